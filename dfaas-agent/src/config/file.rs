//! Settings files: lines with `NAME=value`, quoted as in a shell.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, Result, bail};

/// Reads a file. Errors name the line and the setting, and never show a value: it may be a password.
pub(crate) fn read(path: &Path) -> Result<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&text).with_context(|| path.display().to_string())
}

pub(super) fn parse(text: &str) -> Result<BTreeMap<String, String>> {
    // An editor of another system may begin a file with it.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (line, number) in text.lines().zip(1..) {
        if has_dollar(line) {
            bail!(
                "line {number} ({}): a $ would be replaced by a variable; write the value in '…', or \\$",
                name_in(line)
            );
        }
    }
    let wrong = |error: dotenvy::Error| match error {
        dotenvy::Error::LineParse(line, _) => {
            let number = text.lines().position(|one| one.trim() == line.trim()).map_or(0, |place| place + 1);
            anyhow::anyhow!(
                "line {number} ({}): expected NAME=value, and '…' around a value with blanks or quotes",
                name_in(&line)
            )
        }
        other => anyhow::anyhow!("{other}"),
    };
    dotenvy::from_read_iter(text.as_bytes()).collect::<Result<_, _>>().map_err(wrong)
}

/// What may be shown of a line.
fn name_in(line: &str) -> &str {
    let name = line.split('=').next().unwrap_or_default().trim();
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b' ');
    if line.contains('=') && is_name { name } else { "no name" }
}

/// True if a `$` stands where a shell replaces it.
fn has_dollar(line: &str) -> bool {
    let line = line.trim_start();
    if line.starts_with('#') {
        return false;
    }
    let (mut single, mut double) = (false, false);
    let mut characters = line.chars().peekable();
    let mut before = ' ';
    while let Some(c) = characters.next() {
        match c {
            '\\' if !single => _ = characters.next(),
            '\'' if !double => single = !single,
            '"' if !single => double = !double,
            '#' if !single && !double && before.is_whitespace() => return false,
            '$' if !single => return true,
            _ => {}
        }
        before = c;
    }
    false
}

/// A value as it stands in such a file.
pub(super) fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-./:,=@%+[]".contains(c);
    if value.chars().all(plain) {
        value.to_owned()
    // Within '…' a backslash confuses the reader, which looks for the end of the text behind it.
    } else if value.contains(['\'', '\\']) {
        let mut text = String::from("\"");
        for c in value.chars() {
            if matches!(c, '"' | '\\' | '$') {
                text.push('\\');
            }
            text.push(c);
        }
        text + "\""
    } else {
        format!("'{value}'")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_line_and_setting_and_no_password() {
        let text = "AGENT_MODE=off\n\nAGENT_OPENFAAS_PASSWORD=it's secret\n";
        let error = format!("{:#}", parse(text).unwrap_err());
        assert!(error.contains("line 3 (AGENT_OPENFAAS_PASSWORD)") && !error.contains("secret"), "{error}");
        let error = format!("{:#}", parse("hunter2\n").unwrap_err());
        assert!(error.contains("line 1") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn no_variable_is_put_in_unasked() {
        for text in ["AGENT_X=ab$HOME$x", "AGENT_X=\"a $b\""] {
            assert!(parse(text).unwrap_err().to_string().contains("line 1 (AGENT_X)"), "{text}");
        }
        let read = parse("A='$a'\nB=\\$b\nC=1 # costs $5\n# $comment\n").unwrap();
        assert_eq!((read["A"].as_str(), read["B"].as_str(), read["C"].as_str()), ("$a", "$b", "1"));
    }

    #[test]
    fn a_byte_order_mark_and_carriage_returns_are_no_part_of_a_setting() {
        let read = parse("\u{feff}AGENT_MODE=off\r\nAGENT_XDP=generic\r\n").unwrap();
        assert_eq!((read["AGENT_MODE"].as_str(), read["AGENT_XDP"].as_str()), ("off", "generic"));
    }
}

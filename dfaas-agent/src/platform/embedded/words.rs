//! A command line split into words, without a shell.
//!
//! Blanks separate words. Within '…' everything stands for itself; within "…" a backslash escapes `"` and
//! `\`; elsewhere a backslash takes the next character as it is. Nothing else is special: no variables,
//! patterns, pipes or comments.

use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadCommand {
    Empty,
    Unclosed(char),
    TrailingBackslash,
}

impl fmt::Display for BadCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the command line is empty, expected a program and its arguments"),
            Self::Unclosed(quote) => write!(f, "the command line has an opening {quote} without a closing one"),
            Self::TrailingBackslash => f.write_str("the command line ends with a backslash that escapes nothing"),
        }
    }
}

impl std::error::Error for BadCommand {}

/// At least one word.
pub(super) fn split(line: &str) -> Result<Vec<String>, BadCommand> {
    let mut words = Vec::new();
    // `Some` as soon as a word has begun: '' is a word, too.
    let mut word: Option<String> = None;
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        match c {
            '\'' | '"' => quoted(c, &mut rest, word.get_or_insert_default())?,
            '\\' => word.get_or_insert_default().push(rest.next().ok_or(BadCommand::TrailingBackslash)?),
            c if c.is_ascii_whitespace() => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    if words.is_empty() { Err(BadCommand::Empty) } else { Ok(words) }
}

fn quoted(quote: char, rest: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), BadCommand> {
    while let Some(c) = rest.next() {
        if c == quote {
            return Ok(());
        }
        if c == '\\' && quote == '"' {
            match rest.next().ok_or(BadCommand::Unclosed(quote))? {
                escaped @ ('"' | '\\') => word.push(escaped),
                other => word.extend(['\\', other]),
            }
        } else {
            word.push(c);
        }
    }
    Err(BadCommand::Unclosed(quote))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_backslashes_keep_words_together() {
        let cases: [(&str, &[&str]); 8] = [
            ("figlet", &["figlet"]),
            ("  tesseract\tstdin  stdout\n", &["tesseract", "stdin", "stdout"]),
            ("sh -c 'a \"b\" \\ c'", &["sh", "-c", "a \"b\" \\ c"]),
            (r#"echo "a 'b' \"c\" \\ \n""#, &["echo", r#"a 'b' "c" \ \n"#]),
            (r"a\ b\'c", &["a b'c"]),
            ("a''b \"\"", &["ab", ""]),
            ("pre'mid dle'post", &["premid dlepost"]),
            ("x $HOME *.c | y; # z", &["x", "$HOME", "*.c", "|", "y;", "#", "z"]),
        ];
        for (line, words) in cases {
            assert_eq!(split(line).unwrap(), words, "{line:?}");
        }
    }

    #[test]
    fn unfinished_lines_are_refused() {
        assert_eq!(split(" \t"), Err(BadCommand::Empty));
        assert_eq!(split("a 'b"), Err(BadCommand::Unclosed('\'')));
        assert_eq!(split("a \"b\\"), Err(BadCommand::Unclosed('"')));
        assert_eq!(split("a \\"), Err(BadCommand::TrailingBackslash));
    }
}

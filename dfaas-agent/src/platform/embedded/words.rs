//! A command line split into words as a POSIX shell does, without a shell: quotes, backslashes and comments mean something,
//! variables, patterns and pipes do not.

use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadCommand {
    Empty,
    Unfinished,
}

impl fmt::Display for BadCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the command line is empty, expected a program and its arguments",
            Self::Unfinished => "the command line has a quote that is not closed, or a backslash at its end",
        })
    }
}

impl std::error::Error for BadCommand {}

/// At least one word.
pub(super) fn split(line: &str) -> Result<Vec<String>, BadCommand> {
    let words = shlex::split(line).ok_or(BadCommand::Unfinished)?;
    if words.is_empty() { Err(BadCommand::Empty) } else { Ok(words) }
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
            ("x $HOME *.c | y; # z", &["x", "$HOME", "*.c", "|", "y;"]),
        ];
        for (line, words) in cases {
            assert_eq!(split(line).unwrap(), words, "{line:?}");
        }
    }

    #[test]
    fn unfinished_lines_are_refused() {
        assert_eq!(split(" \t"), Err(BadCommand::Empty));
        for line in ["a 'b", "a \"b\\", "a \\"] {
            assert_eq!(split(line), Err(BadCommand::Unfinished), "{line:?}");
        }
    }
}

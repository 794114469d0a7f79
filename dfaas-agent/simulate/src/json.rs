//! JSON as the original's programs write it.

use std::borrow::Cow;

/// Puts `NaN` and infinities, which Python writes bare and JSON does not know, into quotes: what then finds a text
/// where a number belongs can say where it was.
pub fn quote_non_numbers(text: &str) -> Cow<'_, str> {
    if !text.contains("NaN") && !text.contains("Infinity") {
        return Cow::Borrowed(text);
    }
    let mut quoted = String::with_capacity(text.len() + 16);
    let (mut rest, mut inside) = (text, false);
    while let Some(first) = rest.chars().next() {
        let word = ["NaN", "-Infinity", "Infinity"].into_iter().find(|word| !inside && rest.starts_with(word));
        let taken = if let Some(word) = word {
            quoted.extend(["\"", word, "\""]);
            word.len()
        } else {
            inside ^= first == '"';
            // The character after a backslash is not the end of a text.
            let escaped = if inside && first == '\\' { rest[1..].chars().next() } else { None };
            let taken = first.len_utf8() + escaped.map_or(0, char::len_utf8);
            quoted.push_str(&rest[..taken]);
            taken
        };
        rest = &rest[taken..];
    }
    Cow::Owned(quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_words_are_quoted_and_texts_left_alone() {
        let text = r#"{"NaN": NaN, "a\"NaN": [-Infinity, Infinity, 1, "Ünfinity NaN"]}"#;
        let quoted = r#"{"NaN": "NaN", "a\"NaN": ["-Infinity", "Infinity", 1, "Ünfinity NaN"]}"#;
        assert_eq!(quote_non_numbers(text), quoted);
        assert_eq!(quote_non_numbers("[1]"), "[1]");
    }
}

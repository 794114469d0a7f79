//! Licence expressions as crates write them: `A OR B`, `A AND (B OR C)`, `A WITH exception`, and the older `A/B`.

use std::fmt;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum ExpressionError {
    Ends(String),
    Unexpected { word: String, text: String },
    TooDeep(String),
}

impl fmt::Display for ExpressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ends(text) => write!(f, "`{text}` ends where a licence was expected"),
            Self::Unexpected { word, text } => write!(f, "unexpected `{word}` in `{text}`"),
            Self::TooDeep(text) => write!(f, "more than {DEEPEST} brackets within each other in `{text}`"),
        }
    }
}

impl std::error::Error for ExpressionError {}

const DEEPEST: u32 = 16;

/// True if the expression can be met by allowed licences alone; `A WITH b` is one licence of that whole name.
pub(super) fn is_met(text: &str, is_allowed: &dyn Fn(&str) -> bool) -> Result<bool, ExpressionError> {
    let spaced = text.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut parser = Parser { words: spaced.split_whitespace().peekable(), text, is_allowed, depth: 0 };
    let met = parser.any_of()?;
    match parser.words.next() {
        None => Ok(met),
        Some(word) => Err(parser.unexpected(word)),
    }
}

struct Parser<'a, W: Iterator<Item = &'a str>> {
    words: std::iter::Peekable<W>,
    text: &'a str,
    is_allowed: &'a dyn Fn(&str) -> bool,
    depth: u32,
}

impl<'a, W: Iterator<Item = &'a str>> Parser<'a, W> {
    fn any_of(&mut self) -> Result<bool, ExpressionError> {
        let mut met = self.all_of()?;
        while self.words.next_if_eq(&"OR").is_some() {
            met |= self.all_of()?;
        }
        Ok(met)
    }

    fn all_of(&mut self) -> Result<bool, ExpressionError> {
        let mut met = self.one()?;
        while self.words.next_if_eq(&"AND").is_some() {
            met &= self.one()?;
        }
        Ok(met)
    }

    fn one(&mut self) -> Result<bool, ExpressionError> {
        match self.words.next() {
            None => Err(ExpressionError::Ends(self.text.to_owned())),
            Some("(") => self.bracket(),
            Some(word @ (")" | "OR" | "AND" | "WITH")) => Err(self.unexpected(word)),
            Some(licence) => {
                if self.words.next_if_eq(&"WITH").is_none() {
                    return Ok((self.is_allowed)(licence));
                }
                let exception = self.words.next().ok_or_else(|| ExpressionError::Ends(self.text.to_owned()))?;
                Ok((self.is_allowed)(&format!("{licence} WITH {exception}")))
            }
        }
    }

    fn bracket(&mut self) -> Result<bool, ExpressionError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(ExpressionError::TooDeep(self.text.to_owned()));
        }
        let met = self.any_of()?;
        self.depth -= 1;
        match self.words.next() {
            Some(")") => Ok(met),
            Some(word) => Err(self.unexpected(word)),
            None => Err(ExpressionError::Ends(self.text.to_owned())),
        }
    }

    fn unexpected(&self, word: &str) -> ExpressionError {
        ExpressionError::Unexpected { word: word.to_owned(), text: self.text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(text: &str) -> bool {
        is_met(text, &|licence| ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"].contains(&licence)).unwrap()
    }

    #[test]
    fn one_allowed_choice_is_enough_and_all_parts_are_needed() {
        assert!(met("MIT") && met("MIT OR GPL-3.0") && met("GPL-3.0/MIT") && met("GPL-3.0 / MIT"));
        assert!(met("MIT AND ISC") && met("ISC AND (GPL-3.0 OR MIT)"));
        assert!(!met("MIT AND GPL-3.0") && !met("(MIT OR ISC) AND GPL-3.0") && !met("GPL-3.0"));
    }

    #[test]
    fn and_binds_closer_than_or() {
        assert!(met("MIT OR GPL-3.0 AND GPL-2.0"));
        assert!(!met("GPL-3.0 AND MIT OR GPL-2.0"));
    }

    #[test]
    fn an_exception_belongs_to_its_licence() {
        assert!(met("Apache-2.0 WITH LLVM-exception") && !met("Apache-2.0"));
    }

    #[test]
    fn malformed_expressions_are_refused_and_deep_ones_do_not_overflow() {
        for text in ["", "MIT OR", "(MIT", "MIT)", "OR MIT", "MIT ISC", "MIT WITH", "( )"] {
            assert!(is_met(text, &|_| true).is_err(), "{text}");
        }
        assert!(matches!(is_met(&"(".repeat(100_000), &|_| true), Err(ExpressionError::TooDeep(_))));
    }
}

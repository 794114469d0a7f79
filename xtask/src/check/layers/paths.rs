//! The paths in a source file that may lead to modules of its own crate, those within macros too.

use std::{collections::BTreeSet, iter::Peekable};

use anyhow::{Result, anyhow};
use proc_macro2::{Delimiter, TokenStream, TokenTree, token_stream::IntoIter};

/// `use crate::{a, b::c}` is two; a path counts from `crate`, `self`, `super` or a child module on. Without the parts of
/// the file that only tests have.
pub(super) fn paths_in(text: &str, children: &BTreeSet<String>) -> Result<Vec<Vec<String>>> {
    let tokens: TokenStream = text.parse().map_err(|error| anyhow!("not Rust: {error}"))?;
    let mut found = Vec::new();
    walk(tokens, children, &mut found);
    Ok(found)
}

fn walk(tokens: TokenStream, children: &BTreeSet<String>, found: &mut Vec<Vec<String>>) {
    let mut tokens = tokens.into_iter().peekable();
    // A name after `::` or `.` is not the beginning of a path.
    let mut inner = false;
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(mark) if mark.as_char() == '#' => {
                if is_for_tests(&mut tokens) {
                    skip_item(&mut tokens);
                }
                inner = false;
            }
            TokenTree::Punct(mark) => {
                inner = matches!(mark.as_char(), ':' | '.') && inner_mark(&mut tokens, mark.as_char());
            }
            TokenTree::Ident(name) => {
                let name = name.to_string();
                let begins = ["crate", "self", "super"].contains(&name.as_str()) || children.contains(&name);
                if begins && !inner && separator(&mut tokens) {
                    rest(&mut tokens, vec![name], found);
                }
                inner = false;
            }
            TokenTree::Group(group) => {
                walk(group.stream(), children, found);
                inner = false;
            }
            TokenTree::Literal(_) => inner = false,
        }
    }
}

type Tokens = Peekable<IntoIter>;

/// True behind `.` and behind the second colon of `::`.
fn inner_mark(tokens: &mut Tokens, mark: char) -> bool {
    if mark == '.' {
        return true;
    }
    let second = matches!(tokens.peek(), Some(TokenTree::Punct(next)) if next.as_char() == ':');
    if second {
        tokens.next();
    }
    second
}

/// Takes `::` if it comes next.
fn separator(tokens: &mut Tokens) -> bool {
    let mut ahead = tokens.clone();
    let colon = |token: Option<TokenTree>| matches!(token, Some(TokenTree::Punct(mark)) if mark.as_char() == ':');
    let found = colon(ahead.next()) && colon(ahead.next());
    if found {
        *tokens = ahead;
    }
    found
}

/// Behind a `::`: names, or a group of a `use`.
fn rest(tokens: &mut Tokens, mut path: Vec<String>, found: &mut Vec<Vec<String>>) {
    match tokens.peek() {
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
            let mut inside = group.stream().into_iter().peekable();
            tokens.next();
            while let Some(token) = inside.next() {
                let TokenTree::Ident(name) = token else { continue };
                let mut longer = path.clone();
                if name != "self" {
                    longer.push(name.to_string());
                }
                if separator(&mut inside) {
                    rest(&mut inside, longer, found);
                } else {
                    found.push(longer);
                    skip_to_comma(&mut inside);
                }
            }
        }
        Some(TokenTree::Ident(name)) => {
            path.push(name.to_string());
            tokens.next();
            if separator(tokens) { rest(tokens, path, found) } else { found.push(path) }
        }
        // A glob, or the angle brackets of a generic.
        _ => found.push(path),
    }
}

fn skip_to_comma(tokens: &mut Tokens) {
    while tokens.next_if(|token| !matches!(token, TokenTree::Punct(mark) if mark.as_char() == ',')).is_some() {}
}

/// After a `#`: takes the attribute and says whether it is `cfg(test)` or one of `cfg(all(test, …))`.
fn is_for_tests(tokens: &mut Tokens) -> bool {
    let Some(TokenTree::Group(group)) = tokens.peek() else { return false };
    let text: String = group.stream().to_string().split_whitespace().collect();
    tokens.next();
    text.starts_with("cfg(test)") || text.starts_with("cfg(all(test,")
}

/// To the end of the item: its body, or the semicolon.
fn skip_item(tokens: &mut Tokens) {
    for token in tokens.by_ref() {
        match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => return,
            TokenTree::Punct(mark) if mark.as_char() == ';' => return,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let children = BTreeSet::from(["child".to_owned()]);
        paths_in(text, &children).unwrap().iter().map(|path| path.join("::")).collect()
    }

    #[test]
    fn groups_of_a_use_are_taken_apart() {
        let text = "use crate::{a, b::{self, C as D, e::*}}; use super::super::f; pub(crate) use self::g::H;";
        let expected = ["crate::a", "crate::b", "crate::b::C", "crate::b::e", "super::super::f", "self::g::H"];
        assert_eq!(found(text), expected);
    }

    #[test]
    fn full_paths_count_in_code_types_and_macros() {
        let text =
            "fn f(x: crate::a::T<super::U>) -> u8 { child::g(); m!(\"{}\", crate::b::X); x.child; other::child::y() }";
        assert_eq!(found(text), ["crate::a::T", "super::U", "child::g", "crate::b::X"]);
    }

    #[test]
    fn what_only_tests_have_does_not_count() {
        let text = "#[cfg(test)] mod t { use crate::a; } #[cfg(all(test, unix))] use crate::b; #[test] fn x() { crate::c::d() }";
        assert_eq!(found(text), ["crate::c::d"]);
        assert_eq!(found("#[cfg(feature = \"x\")] use crate::a::b;"), ["crate::a::b"]);
    }

    #[test]
    fn comments_and_texts_do_not_count() {
        assert!(
            found("/// crate::a::b\n// super::c\nconst X: &str = \"crate::d::e\"; pub(in crate) fn f() {}").is_empty()
        );
    }
}

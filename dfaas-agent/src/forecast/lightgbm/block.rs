//! Lines of a text model, and blocks of `key=value` lines.

use std::{collections::BTreeMap, str::FromStr};

use super::{Fault, cut};

/// Lines with their numbers, counted from 1.
pub(super) struct Lines<'a> {
    lines: std::iter::Peekable<std::iter::Enumerate<std::str::Lines<'a>>>,
    number: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { lines: text.lines().enumerate().peekable(), number: 0 }
    }

    pub(super) fn next(&mut self) -> Option<(usize, &'a str)> {
        let (index, line) = self.lines.next()?;
        self.number = index + 1;
        Some((self.number, line.trim_end()))
    }

    /// Of the line that was read last.
    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// What follows the title in line `title`, up to an empty line.
    pub(super) fn block(&mut self, title: usize) -> Result<Block<'a>, Fault> {
        let mut values = BTreeMap::new();
        while self.lines.peek().is_some_and(|(_, line)| !line.trim_end().is_empty()) {
            let Some((number, line)) = self.next() else { break };
            // A word alone is a switch, such as `average_output`.
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            if values.insert(key, (number, value)).is_some() {
                return Err((number, format!("{:?} a second time", cut(key))));
            }
        }
        Ok(Block { title, end: self.number, values })
    }
}

/// The `key=value` lines of the header or of a tree.
pub(super) struct Block<'a> {
    pub(super) title: usize,
    end: usize,
    values: BTreeMap<&'a str, (usize, &'a str)>,
}

impl<'a> Block<'a> {
    /// Line and text of a value.
    pub(super) fn get(&self, key: &str) -> Result<(usize, &'a str), Fault> {
        let missing =
            || (self.end, format!("{key} is missing since line {}: the file is damaged or cut off", self.title));
        self.values.get(key).copied().ok_or_else(missing)
    }

    pub(super) fn has(&self, key: &str) -> Option<usize> {
        self.values.get(key).map(|(line, _)| *line)
    }

    /// A value that can only be one thing; absent, it is that.
    pub(super) fn only(&self, key: &str, value: &str, why: &str) -> Result<(), Fault> {
        match self.values.get(key) {
            Some((line, found)) if *found != value => {
                Err((*line, format!("{key}={}, expected {value}: {why}", cut(found))))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn number<T: FromStr>(&self, key: &str, what: &str) -> Result<T, Fault> {
        let (line, text) = self.get(key)?;
        text.parse().map_err(|_| (line, format!("{key}={}, expected {what}", cut(text))))
    }

    /// Exactly `count` values.
    pub(super) fn list<T: FromStr>(&self, key: &str, count: usize, what: &str) -> Result<Vec<T>, Fault> {
        let (line, text) = self.get(key)?;
        let found = text.split_whitespace().count();
        if found != count {
            return Err((line, format!("{key} has {found} values, expected {count}")));
        }
        let value = |(i, word): (usize, &str)| {
            word.parse().map_err(|_| (line, format!("{key}: value {} is {:?}, expected {what}", i + 1, cut(word))))
        };
        text.split_whitespace().enumerate().map(value).collect()
    }
}

//! Reads LightGBM's text models (`*.lgb.txt`, also gzipped). What is wrong is told with its line.

mod block;
mod check;

use std::{
    fmt,
    io::Read as _,
    path::{Path, PathBuf},
};

use flate2::read::MultiGzDecoder;

use super::tree::Tree;
use block::{Block, Lines};

/// Larger than any model that helps here; a small file must not grow without bound when unpacked.
const MAX_BYTES: u64 = 256 << 20;

/// A model: a sum of trees and what it stands for.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    pub objective: Objective,
    pub features: usize,
    pub trees: Vec<Tree>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Objective {
    /// The sum is the answer.
    Plain,
    /// The answer is the logistic function of the sum times this.
    Logistic { sigmoid: f64 },
}

/// Why a model file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelError {
    pub file: PathBuf,
    /// Counted from 1; `None` if the file as a whole is wrong.
    pub line: Option<usize>,
    pub what: String,
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        f.write_str(&self.what)
    }
}

impl std::error::Error for ModelError {}

/// What is wrong, and in which line.
type Fault = (usize, String);

impl Model {
    /// `file` says where the bytes are from, and by its ending whether they are gzipped.
    pub fn from_bytes(file: &Path, bytes: &[u8]) -> Result<Self, ModelError> {
        let wrong = |line, what: String| ModelError { file: file.to_owned(), line, what };
        let text = if file.extension().is_some_and(|e| e == "gz") {
            let mut text = Vec::new();
            let read = MultiGzDecoder::new(bytes).take(MAX_BYTES + 1).read_to_end(&mut text);
            read.map_err(|e| {
                let lines = text.split(|b| *b == b'\n').count();
                wrong(Some(lines), format!("the compressed file is damaged or cut off here: {e}"))
            })?;
            text
        } else {
            bytes.to_vec()
        };
        if text.len() as u64 > MAX_BYTES {
            return Err(wrong(None, format!("has more than {MAX_BYTES} bytes")));
        }
        let text = String::from_utf8(text).map_err(|e| {
            let before = &e.as_bytes()[..e.utf8_error().valid_up_to()];
            let line = before.split(|b| *b == b'\n').count();
            wrong(Some(line), "is not text, expected a LightGBM text model".into())
        })?;
        parse(&text).map_err(|(line, what)| wrong(Some(line), what))
    }
}

fn parse(text: &str) -> Result<Model, Fault> {
    let mut lines = Lines::new(text);
    match lines.next() {
        Some((_, "tree")) => {}
        other => return Err((1, format!("{:?}, expected \"tree\"", cut(other.map_or("", |l| l.1))))),
    }
    let header = lines.block(1)?;
    let (objective, features) = check::header(&header)?;
    let expected = header.get("tree_sizes")?.1.split_whitespace().count();
    let mut trees = Vec::new();
    loop {
        match lines.next() {
            Some((_, "")) => {}
            Some((_, "end of trees")) if trees.len() == expected => break,
            Some((line, "end of trees")) => {
                return Err((line, format!("the file ends with {} trees, tree_sizes lists {expected}", trees.len())));
            }
            Some((line, title)) if title == format!("Tree={}", trees.len()) => {
                let block: Block<'_> = lines.block(line)?;
                trees.push(check::tree(&block, features)?);
            }
            Some((line, other)) => {
                let next = trees.len();
                return Err((line, format!("{:?}, expected \"Tree={next}\" or \"end of trees\"", cut(other))));
            }
            None => {
                let what = format!("the file is cut off after {} of {expected} trees", trees.len());
                return Err((lines.number(), what));
            }
        }
    }
    Ok(Model { objective, features, trees })
}

/// Short enough for a message.
fn cut(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests;

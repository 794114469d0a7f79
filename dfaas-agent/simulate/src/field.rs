//! JSON that a user gives us: every complaint names the file, the field and the value, and says what was expected.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;
use serde_json::Value;

use super::json::quote_non_numbers;
use dfaas_base::BadInput;

/// Calls per second beyond this are a slip of the pen, and would be drawn one by one.
pub const MAX_RATE: f64 = 1e6;

/// A JSON file.
#[derive(Clone, Debug)]
pub struct Document {
    file: PathBuf,
    root: Value,
}

impl Document {
    pub fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file)
            .map_err(|e| BadInput(format!("{}: {e}, expected a readable JSON file", file.display())))?;
        Self::parse(file, &text)
    }

    pub fn parse(file: &Path, text: &str) -> Result<Self> {
        let root = serde_json::from_str(text)
            // Other programs write NaN as a bare word. Quoted it reaches the check of its field, which can name it.
            .or_else(|e| serde_json::from_str(&quote_non_numbers(text)).map_err(|_| e))
            .map_err(|e| BadInput(format!("{}: not JSON: {e}", file.display())))?;
        Ok(Self { file: file.to_owned(), root })
    }

    pub fn file(&self) -> &Path {
        &self.file
    }

    pub fn root(&self) -> Field<'_> {
        Field { file: &self.file, path: String::new(), value: &self.root }
    }
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Field<'a> {
    file: &'a Path,
    path: String,
    value: &'a Value,
}

impl<'a> Field<'a> {
    pub fn find(&self, key: &str) -> Option<Self> {
        let value = self.value.get(key)?;
        Some(Self { file: self.file, path: self.path_of(key), value })
    }

    pub fn get(&self, key: &str) -> Result<Self> {
        self.find(key)
            .ok_or_else(|| BadInput(format!("{}: {} is missing", self.file.display(), self.path_of(key))).into())
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    pub fn is_number(&self) -> bool {
        self.value.is_number()
    }

    pub fn is_object(&self) -> bool {
        self.value.is_object()
    }

    /// The fields of an object.
    pub fn entries(&self) -> Result<Vec<(&'a str, Self)>> {
        let map = self.value.as_object().ok_or_else(|| self.error("an object"))?;
        let field = |key: &String, value| Self { file: self.file, path: self.path_of(key), value };
        Ok(map.iter().map(|(key, value)| (key.as_str(), field(key, value))).collect())
    }

    pub fn items(&self) -> Result<Vec<Self>> {
        let list = self.value.as_array().ok_or_else(|| self.error("a list"))?;
        let item = |(i, value)| Self { file: self.file, path: format!("{}[{i}]", self.path), value };
        Ok(list.iter().enumerate().map(item).collect())
    }

    pub fn text(&self) -> Result<&'a str> {
        self.value.as_str().ok_or_else(|| self.error("a text"))
    }

    /// A number of 0 or more.
    pub fn number(&self) -> Result<f64> {
        let number = self.value.as_f64().filter(|n| n.is_finite() && *n >= 0.0);
        number.ok_or_else(|| self.error("a number of 0 or more"))
    }

    pub fn whole(&self) -> Result<u32> {
        let whole = self.value.as_u64().and_then(|n| u32::try_from(n).ok());
        whole.ok_or_else(|| self.error("a whole number of 0 or more"))
    }

    /// Calls per second.
    pub fn rate(&self) -> Result<f64> {
        let rate = self.value.as_f64().filter(|rate| (0.0..=MAX_RATE).contains(rate));
        rate.ok_or_else(|| self.error(&format!("a rate from 0 to {MAX_RATE} calls per second")))
    }

    /// File and field, for messages.
    pub fn place(&self) -> String {
        format!("{}: {}", self.file.display(), if self.path.is_empty() { "the document" } else { &self.path })
    }

    pub fn error(&self, expected: &str) -> anyhow::Error {
        let shown: String = self.value.to_string().chars().take(60).collect();
        BadInput(format!("{} is {shown}, expected {expected}", self.place())).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(text: &str, check: impl Fn(&Field<'_>) -> Result<()>) -> String {
        let document = Document::parse(Path::new("file.json"), text).unwrap();
        let error = check(&document.root()).unwrap_err();
        assert!(error.is::<BadInput>());
        error.to_string()
    }

    #[test]
    fn a_complaint_names_file_field_and_value() {
        let rate = |root: &Field<'_>| root.get("a")?.items()?[1].get("rate")?.rate().map(drop);
        assert_eq!(
            complaint(r#"{"a": [0, {"rate": -3}]}"#, rate),
            "file.json: a[1].rate is -3, expected a rate from 0 to 1000000 calls per second"
        );
        assert_eq!(complaint(r#"{"a": [0, {}]}"#, rate), "file.json: a[1].rate is missing");
        assert_eq!(complaint(r#"{"a": 7}"#, rate), "file.json: a is 7, expected a list");
    }

    #[test]
    fn a_bare_nan_is_named_by_its_field() {
        let number = |root: &Field<'_>| root.get("x")?.number().map(drop);
        assert_eq!(
            complaint(r#"{"note": "NaN", "x": NaN}"#, number),
            r#"file.json: x is "NaN", expected a number of 0 or more"#
        );
        assert!(complaint(r#"{"x": -Infinity}"#, number).contains("-Infinity"));
    }

    #[test]
    fn what_is_not_json_is_refused_with_its_line() {
        let error = Document::parse(Path::new("file.json"), "{\n\"a\": }").unwrap_err();
        assert!(error.is::<BadInput>() && error.to_string().contains("line 2"), "{error}");
    }
}

//! Log of questions and answers, one JSON object a line, as the original writes it; bounded in size.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context, Result};
use dfaas_base::civil::rfc3339;
use serde::Serialize;
use serde_json::Value;

/// A file of at most `max_bytes`, and the full one before it under the same name with `.1` behind.
#[derive(Debug)]
pub(crate) struct ExchangeLog {
    path: PathBuf,
    max_bytes: u64,
}

#[derive(Serialize)]
struct Exchange<'a> {
    observation: &'a Value,
    action: Value,
    timestamp: String,
}

impl ExchangeLog {
    pub(crate) fn new(path: PathBuf, max_bytes: u64) -> Self {
        Self { path, max_bytes }
    }

    /// Appends one exchange; an answer that is no JSON becomes a text.
    pub(crate) fn append(&self, question: &Value, answer: &str, now: SystemTime) -> Result<()> {
        let action = serde_json::from_str(answer).unwrap_or_else(|_| Value::String(answer.to_owned()));
        let exchange = Exchange { observation: question, action, timestamp: rfc3339(now) };
        let mut line = serde_json::to_vec(&exchange)?;
        line.push(b'\n');
        self.write(&line).with_context(|| format!("log of the model {}", self.path.display()))
    }

    fn write(&self, line: &[u8]) -> io::Result<()> {
        let mut file = self.open()?;
        let length = file.metadata()?.len();
        if length > 0 && length + line.len() as u64 > self.max_bytes {
            fs::rename(&self.path, with_suffix(&self.path))?;
            file = self.open()?;
        }
        // At once, so that a line is never cut by a crash between two writes.
        file.write_all(line)
    }

    fn open(&self) -> io::Result<File> {
        OpenOptions::new().create(true).append(true).open(&self.path)
    }
}

fn with_suffix(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use serde_json::json;

    use super::*;

    #[test]
    fn an_exchange_is_one_line_with_the_original_s_keys() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rl_model.log");
        let log = ExchangeLog::new(path.clone(), 1 << 20);
        let now = UNIX_EPOCH + Duration::from_secs(951_782_401);
        log.append(&json!({"a": 1}), r#" {"node_x": {"local": 0.5}} "#, now).unwrap();
        log.append(&json!({"a": 2}), "not\njson", now).unwrap();
        let expected = concat!(
            r#"{"observation":{"a":1},"action":{"node_x":{"local":0.5}},"timestamp":"2000-02-29T00:00:01Z"}"#,
            "\n",
            r#"{"observation":{"a":2},"action":"not\njson","timestamp":"2000-02-29T00:00:01Z"}"#,
            "\n"
        );
        assert_eq!(fs::read_to_string(path).unwrap(), expected);
    }

    #[test]
    fn the_log_is_bounded_and_keeps_the_newest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rl_model.log");
        let log = ExchangeLog::new(path.clone(), 1000);
        for n in 0..200 {
            log.append(&json!({"n": n}), "[1]", UNIX_EPOCH).unwrap();
        }
        let sizes: Vec<u64> =
            fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).collect();
        assert!(sizes.len() == 2 && sizes.iter().all(|size| *size <= 1000), "{sizes:?}");
        assert!(fs::read_to_string(path).unwrap().lines().last().unwrap().contains(r#""n":199"#));
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let log = ExchangeLog::new(PathBuf::from("/nonexistent/rl_model.log"), 1000);
        let error = format!("{:#}", log.append(&json!({}), "", UNIX_EPOCH).unwrap_err());
        assert!(error.starts_with("log of the model /nonexistent/rl_model.log: "), "{error}");
    }
}

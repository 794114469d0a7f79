//! All settings read at once: every wrong one is named, and nothing is built of wrong ones.

use super::{
    InvalidConfig,
    keys::KEYS,
    setting::{Key, Setting},
    sources::Resolved,
};

pub(super) struct Reader<'a> {
    resolved: &'a Resolved,
    wrong: Vec<String>,
    /// What may be meant otherwise, and stops nothing.
    pub(super) remarks: Vec<String>,
}

impl<'a> Reader<'a> {
    /// Checks every text by the reader of its setting.
    pub(super) fn new(resolved: &'a Resolved) -> Self {
        let mut reader = Self { resolved, wrong: Vec::new(), remarks: Vec::new() };
        for key in KEYS {
            if let Err(why) = (key.check)(resolved.text(key)) {
                reader.wrong(key, why);
            }
        }
        reader
    }

    /// `None`: its text is wrong, which has been noted.
    pub(super) fn get<T>(&self, setting: &Setting<T>) -> Option<T> {
        (setting.read)(self.resolved.text(&setting.key)).ok()
    }

    pub(super) fn is_given<T>(&self, setting: &Setting<T>) -> bool {
        !self.resolved.text(&setting.key).is_empty()
    }

    pub(super) fn wrong(&mut self, key: &Key, why: impl std::fmt::Display) {
        let expected = match why.to_string() {
            why if why.contains("expected") => why,
            why => format!("{why} (expected {})", key.value),
        };
        // A reader may cite what it was given.
        let (text, expected) = match self.resolved.text(key) {
            text if key.secret && !text.is_empty() => ("********", expected.replace(text, "********")),
            text => (text, expected),
        };
        self.wrong.push(format!("{}={text:?} ({}): {expected}", key.name, self.resolved.origin(key)));
    }

    pub(super) fn finish<T>(self, built: Option<T>) -> Result<T, InvalidConfig> {
        match built {
            Some(built) if self.wrong.is_empty() => Ok(built),
            _ => Err(InvalidConfig(self.wrong)),
        }
    }
}

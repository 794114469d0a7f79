//! An error that is the user's to mend.

use std::fmt;

/// Input of the user that cannot be used: exit code 2. Names the file, the field and the value, and what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadInput(pub String);

impl fmt::Display for BadInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadInput {}

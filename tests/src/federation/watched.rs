//! A federation in a test.

use std::{
    ops::{Deref, DerefMut},
    thread,
};

use super::{Federation, Options};
use crate::built;

/// Shows the nodes' logs if the test fails; its files are gone at the end.
pub struct Watched {
    federation: Option<Federation>,
    _directory: tempfile::TempDir,
}

impl Watched {
    /// With the agent that was built beside this program. Panics if the federation does not start.
    pub fn start(change: impl FnOnce(&mut Options)) -> Self {
        let agent = built::program("dfaas-agent").unwrap_or_else(|error| panic!("{error:#}"));
        let directory = tempfile::tempdir().expect("a folder for the test");
        let mut options = Options::new(&agent, directory.path());
        change(&mut options);
        let federation = Federation::start(options, &|_| {}).unwrap_or_else(|error| panic!("{error:#}"));
        Self { federation: Some(federation), _directory: directory }
    }

    /// Ends all agents; they must do so without complaint.
    pub fn stop(mut self) {
        let troubles = self.federation.take().map(Federation::stop);
        assert_eq!(troubles, Some(Vec::new()));
    }
}

impl Deref for Watched {
    type Target = Federation;
    fn deref(&self) -> &Federation {
        self.federation.as_ref().expect("it is stopped at the end only")
    }
}

impl DerefMut for Watched {
    fn deref_mut(&mut self) -> &mut Federation {
        self.federation.as_mut().expect("it is stopped at the end only")
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(federation) = self.federation.as_ref().filter(|_| thread::panicking()) {
            federation.nodes.iter().for_each(|node| eprintln!("{}: {}", node.name, node.last_lines()));
        }
    }
}

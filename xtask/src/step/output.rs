//! Copies what a step's command prints into its log file, and onto the terminal where asked.

use std::{
    fs::File,
    io::{PipeReader, Read, Write},
    path::Path,
    sync::mpsc::{Receiver, sync_channel},
    time::Duration,
};

use anyhow::{Context, Result};

use super::progress::{Display, Sieve};

/// A left-over grandchild may hold the pipe open: the copy is waited for only this long after the command's end.
const AFTER_END: Duration = Duration::from_secs(3);

pub(super) struct Copy {
    done: Receiver<()>,
}

/// What becomes of the output besides the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    Nothing,
    /// As it comes.
    All,
    /// How far cargo is.
    Progress,
}

pub(super) fn copy_to(mut from: PipeReader, log: &Path, shown: Shown) -> Result<Copy> {
    let mut file = File::create(log).with_context(|| format!("cannot create the log file {}", log.display()))?;
    let (say_done, done) = sync_channel(1);
    std::thread::spawn(move || {
        let mut buffer = [0; 8192];
        let (mut sieve, mut display) = (Sieve::default(), Display::new());
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let (text, bar) = match shown {
                Shown::Progress => sieve.take(&buffer[..count]),
                Shown::All | Shown::Nothing => (buffer[..count].to_vec(), None),
            };
            // Neither a full disk nor a closed terminal may stop the command on a full pipe.
            let _ = file.write_all(&text);
            if shown == Shown::All {
                let mut terminal = std::io::stdout().lock();
                let _ = terminal.write_all(&text).and_then(|()| terminal.flush());
            }
            if let Some(bar) = bar {
                display.show(&bar);
            }
        }
        display.clear();
        let _ = file.write_all(&sieve.rest());
        let _ = say_done.send(());
    });
    Ok(Copy { done })
}

impl Copy {
    pub(super) fn finish(self) {
        let _ = self.done.recv_timeout(AFTER_END);
    }
}

//! Copies what a step's command prints into its log file, and onto the terminal where asked.

use std::{
    fs::File,
    io::{PipeReader, Read, Write},
    path::Path,
    sync::mpsc::{Receiver, sync_channel},
    time::Duration,
};

use anyhow::{Context, Result};

/// A left-over grandchild may hold the pipe open: the copy is waited for only this long after the command's end.
const AFTER_END: Duration = Duration::from_secs(3);

pub(super) struct Copy {
    done: Receiver<()>,
}

pub(super) fn copy_to(mut from: PipeReader, log: &Path, echo: bool) -> Result<Copy> {
    let mut file = File::create(log).with_context(|| format!("cannot create the log file {}", log.display()))?;
    let (say_done, done) = sync_channel(1);
    std::thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            // Neither a full disk nor a closed terminal may stop the command on a full pipe.
            let _ = file.write_all(&buffer[..count]);
            if echo {
                let mut terminal = std::io::stdout().lock();
                let _ = terminal.write_all(&buffer[..count]).and_then(|()| terminal.flush());
            }
        }
        let _ = say_done.send(());
    });
    Ok(Copy { done })
}

impl Copy {
    pub(super) fn finish(self) {
        let _ = self.done.recv_timeout(AFTER_END);
    }
}

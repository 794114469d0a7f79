//! How far cargo is: taken out of what it prints, shown on the terminal, kept out of the log.
//!
//! Cargo tells the number of all crates nowhere but in its progress bar, so it is made to draw one into our pipe.

use std::{
    io::{self, IsTerminal, Write},
    process::Command,
    time::{Duration, Instant},
};

/// Without a terminal a line this often: a log of an hour stays readable.
const PERIOD: Duration = Duration::from_secs(20);
const WIDTH: usize = 100;

/// Has cargo draw its bar.
pub(super) fn ask(cargo: &mut Command) {
    cargo.env("CARGO_TERM_PROGRESS_WHEN", "always").env("CARGO_TERM_PROGRESS_WIDTH", WIDTH.to_string());
}

/// Tells a bar from other output, which may come in any pieces.
#[derive(Debug, Default)]
pub(super) struct Sieve {
    /// Of a line whose end has not come yet.
    begun: Vec<u8>,
}

impl Sieve {
    /// What belongs into the log, and the last bar in it.
    pub(super) fn take(&mut self, bytes: &[u8]) -> (Vec<u8>, Option<Bar>) {
        let (mut log, mut last) = (Vec::new(), None);
        for byte in bytes {
            self.begun.push(*byte);
            // A bar ends with a return, so that the next thing is written over it.
            if matches!(byte, b'\n' | b'\r') {
                let line = without_erasures(&std::mem::take(&mut self.begun));
                match Bar::parse(&String::from_utf8_lossy(&line)) {
                    Some(bar) => last = Some(bar),
                    None if line == b"\r" => {}
                    None => log.extend(line),
                }
            }
        }
        (log, last)
    }

    /// What is left at the end.
    pub(super) fn rest(self) -> Vec<u8> {
        without_erasures(&self.begun)
    }
}

/// Without "erase to the end of the line", which stands where a bar was, before whatever comes next.
fn without_erasures(line: &[u8]) -> Vec<u8> {
    let (mut rest, mut text) = (line, Vec::new());
    while let Some((first, others)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(b"\x1b[K") {
            rest = after;
        } else {
            text.push(*first);
            rest = others;
        }
    }
    text
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bar {
    done: u32,
    all: u32,
    /// What is being compiled.
    now: String,
}

impl Bar {
    /// `    Building [====>   ] 43/210: libp2p, aya(build)`.
    fn parse(line: &str) -> Option<Self> {
        let rest = line.trim().strip_prefix("Building [")?;
        let (_, rest) = rest.split_once("] ")?;
        let (numbers, now) = rest.split_once(':').unwrap_or((rest, ""));
        let (done, all) = numbers.split_once('/')?;
        Some(Self { done: done.trim().parse().ok()?, all: all.trim().parse().ok()?, now: now.trim().to_owned() })
    }

    fn text(&self) -> String {
        format!("    {} of {} crates: {}", self.done, self.all, self.now)
    }
}

/// Where it is shown.
pub(super) struct Display {
    is_terminal: bool,
    last: Instant,
    is_drawn: bool,
}

impl Display {
    pub(super) fn new() -> Self {
        Self { is_terminal: io::stdout().is_terminal(), last: Instant::now(), is_drawn: false }
    }

    /// Nobody may be there to read it: no reason to end.
    pub(super) fn show(&mut self, bar: &Bar) {
        let mut out = io::stdout().lock();
        if self.is_terminal {
            let text: String = bar.text().chars().take(WIDTH - 1).collect();
            let _ = write!(out, "\r\u{1b}[K{text}").and_then(|()| out.flush());
            self.is_drawn = true;
        } else if self.last.elapsed() >= PERIOD {
            let _ = writeln!(out, "{}", bar.text());
            self.last = Instant::now();
        }
    }

    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.is_drawn) {
            let mut out = io::stdout().lock();
            let _ = write!(out, "\r\u{1b}[K").and_then(|()| out.flush());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What cargo 1.95 prints between two crates.
    const OUTPUT: &str = "   Compiling aya v0.14.0\n\r    Building [==>      ] 12/210: aya, libp2p-core(build.rs)\r\
        \u{1b}[K   Compiling nix v0.31.0\n    Building [===>     ] 13/210: nix...\r\u{1b}[K    Finished x\n";

    #[test]
    fn bars_are_read_and_kept_out_of_the_log_in_whatever_pieces_they_come() {
        for size in [1, 7, OUTPUT.len()] {
            let (mut sieve, mut log, mut bars) = (Sieve::default(), Vec::new(), Vec::new());
            for piece in OUTPUT.as_bytes().chunks(size) {
                let (text, bar) = sieve.take(piece);
                log.extend(text);
                bars.extend(bar);
            }
            log.extend(sieve.rest());
            let log = String::from_utf8(log).unwrap();
            assert_eq!(log, "   Compiling aya v0.14.0\n   Compiling nix v0.31.0\n    Finished x\n", "pieces of {size}");
            assert_eq!(bars.last().unwrap().text(), "    13 of 210 crates: nix...");
        }
    }

    #[test]
    fn what_only_looks_like_a_bar_is_none() {
        for line in ["Building [x", "    Building a house", "Building [=] one/two: x", "error: [=] 1/2"] {
            assert_eq!(Bar::parse(line), None, "{line}");
        }
    }
}

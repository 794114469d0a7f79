//! The nodes at this moment: a table on a terminal, now and then a line elsewhere.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::Result;
use dfaas_agent::status::Status;

use crate::{client::Tally, federation::Federation, stop::Stop, view};

const LINE_PERIOD: Duration = Duration::from_secs(5);

pub(super) struct Live {
    screen: Option<view::Screen>,
    json: bool,
    last_line: Option<Instant>,
}

impl Live {
    pub(super) fn new(json: bool, is_terminal: bool) -> Self {
        Self { screen: (is_terminal && !json).then(view::Screen::default), json, last_line: None }
    }

    /// Shows the federation until the end is wished for.
    pub(super) fn watch(mut self, federation: &Federation, stop: &Stop) -> Result<()> {
        if self.screen.is_some() {
            view::print("Ctrl-C ends and removes everything.")?;
        }
        loop {
            match federation.statuses() {
                Ok(statuses) => self.show(&statuses, None)?,
                // One agent that is away is for the others to cope with, and for the onlooker to see.
                Err(error) => eprintln!("{error:#}"),
            }
            if !stop.sleep(Duration::from_secs(1)) {
                return Ok(());
            }
        }
    }

    /// To be called once a second; shows as often as is suitable.
    pub(super) fn show(&mut self, statuses: &[(&str, Status)], tally: Option<&Tally>) -> Result<()> {
        if let Some(screen) = &mut self.screen {
            let calls = tally.map_or(String::new(), |tally| format!("{}\n", calls(tally)));
            return Ok(screen.draw(&format!("{}\n{calls}", view::table(statuses)))?);
        }
        if self.last_line.is_some_and(|last| last.elapsed() < LINE_PERIOD) {
            return Ok(());
        }
        self.last_line = Some(Instant::now());
        let line = match tally {
            // A scenario's result is the one object on the output.
            Some(tally) if self.json => {
                eprintln!("{}", calls(tally));
                return Ok(());
            }
            Some(tally) => format!("{}; {}", view::line(statuses), calls(tally)),
            None if self.json => {
                let nodes: BTreeMap<&str, &Status> = statuses.iter().map(|(name, status)| (*name, status)).collect();
                serde_json::json!({ "nodes": nodes }).to_string()
            }
            None => view::line(statuses),
        };
        Ok(view::print(&line)?)
    }

    /// Leaves what was shown last where it is.
    pub(super) fn finish(&mut self) {
        if let Some(screen) = &mut self.screen {
            *screen = view::Screen::default();
        }
    }
}

fn calls(tally: &Tally) -> String {
    let total = tally.total();
    format!("{} calls answered, {} of them not with 200", total.calls(), total.unsuccessful())
}

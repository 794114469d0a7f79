//! What the emulator shows: the way a federation is called, and its nodes at this moment.

use std::io::{self, Write};

use comfy_table::{CellAlignment, ContentArrangement, Table};
use crossterm::{cursor, queue, terminal};
use dfaas_agent::{
    name::FunctionName,
    status::{FunctionStatus, Status},
};

use crate::federation::Federation;

/// A line below the heading, none between the rows.
pub const PRESET: &str = "     ──            ";

/// How to call the nodes from the host, and how to look at them.
pub fn examples(federation: &Federation) -> String {
    let call = |i: usize| match example_function(federation.status(i).ok()?.functions.keys()) {
        Some(function) => Some(format!("  curl -d 'hello' {}", federation.url(i, &format!("/function/{function}")))),
        None => Some(format!("  ({} has no functions)", federation.nodes[i].name)),
    };
    let mut lines: Vec<String> = (0..federation.nodes.len()).filter_map(call).collect();
    if let Some(first) = federation.nodes.first() {
        let namespace = federation.host(0).namespace.name();
        lines.push(format!("  ip netns exec {namespace} curl -s 127.0.0.1:8090/status"));
        lines.push(format!("  ip netns exec {}-client bash    # a client on the nodes' network", federation.prefix()));
        lines.push(format!("  tail -f {}", shell_word(&first.log.display().to_string())));
    }
    lines.join("\n")
}

/// One that is deployed: figlet, whose answer shows best that it worked, else the first.
fn example_function<'a>(deployed: impl Iterator<Item = &'a FunctionName>) -> Option<String> {
    let names: Vec<String> = deployed.map(ToString::to_string).collect();
    names.iter().find(|name| *name == "figlet").or(names.first()).cloned()
}

/// As a shell takes it for one word.
fn shell_word(text: &str) -> String {
    let is_plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+:@".contains(c));
    if is_plain { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// Prints a line. An output that nobody reads any more is an error, not a panic.
pub fn print(line: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{line}")
}

/// All nodes and functions.
pub fn table(statuses: &[(&str, Status)]) -> Table {
    let mut table = Table::new();
    table.load_preset(PRESET).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header([
        "node",
        "mode",
        "peers",
        "function",
        "limit",
        "offered/s",
        "local/s",
        "forwarded/s",
        "received/s",
        "rejected/s",
    ]);
    for (name, status) in statuses {
        let up = status.peers.iter().filter(|peer| peer.state == "up").count();
        let mut front = [(*name).to_owned(), mode(status), format!("{up}/{}", status.peers.len())];
        if status.functions.is_empty() {
            table.add_row(front.iter().map(String::as_str).chain(["none"]));
        }
        for (function, state) in &status.functions {
            let limit = state.limit.map_or("none".to_owned(), |limit| format!("{limit:.0}"));
            let rates = rates(state).map(|(_, rate)| format!("{rate:.1}"));
            table.add_row(front.iter().cloned().chain([function.to_string(), limit]).chain(rates));
            // Only once for each node.
            front = Default::default();
        }
    }
    for column in table.column_iter_mut().skip(4) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// One line for a log: what is not zero.
pub fn line(statuses: &[(&str, Status)]) -> String {
    let nodes = statuses.iter().map(|(name, status)| {
        let up = status.peers.iter().filter(|peer| peer.state == "up").count();
        let mut text = format!("{name} {} peers {up}", mode(status));
        for (function, state) in &status.functions {
            let busy: Vec<String> = rates(state)
                .into_iter()
                .filter(|(_, rate)| *rate >= 0.05)
                .map(|(what, rate)| format!("{what} {rate:.1}"))
                .collect();
            if !busy.is_empty() {
                text = format!("{text}, {function} {}", busy.join(" "));
            }
        }
        text
    });
    nodes.collect::<Vec<_>>().join(" | ")
}

fn mode(status: &Status) -> String {
    let kernel = &status.kernel;
    if kernel.xdp.is_empty() { kernel.mode.to_string() } else { format!("{} {}", kernel.mode, kernel.xdp) }
}

fn rates(state: &FunctionStatus) -> [(&'static str, f64); 5] {
    let rates = &state.rates;
    [
        ("offered", rates.offered),
        ("local", rates.local),
        ("forwarded", rates.forwarded),
        ("received", rates.received),
        ("rejected", rates.rejected),
    ]
}

/// A text on the terminal that is drawn over itself.
#[derive(Default)]
pub struct Screen {
    /// Lines of the last text.
    lines: u16,
}

impl Screen {
    pub fn draw(&mut self, text: &str) -> io::Result<()> {
        let (_, height) = terminal::size().unwrap_or((80, 24));
        let mut out = io::stdout().lock();
        if self.lines > 0 {
            queue!(out, cursor::MoveToPreviousLine(self.lines))?;
        }
        queue!(out, terminal::Clear(terminal::ClearType::FromCursorDown))?;
        // What does not fit would scroll away, and could not be drawn over.
        let shown: Vec<&str> = text.lines().take(usize::from(height.saturating_sub(1)).max(1)).collect();
        self.lines = shown.len() as u16;
        for line in shown {
            writeln!(out, "{line}")?;
        }
        out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_calls_what_is_deployed() {
        let names = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect::<Vec<FunctionName>>();
        assert_eq!(example_function(names(&["env", "figlet"]).iter()).unwrap(), "figlet");
        assert_eq!(example_function(names(&["resize"]).iter()).unwrap(), "resize");
        assert_eq!(example_function([].iter()), None);
    }

    #[test]
    fn a_path_with_blanks_is_one_word() {
        assert_eq!((shell_word("/a/n1.log"), shell_word("/a b")), ("/a/n1.log".to_owned(), "'/a b'".to_owned()));
    }
}

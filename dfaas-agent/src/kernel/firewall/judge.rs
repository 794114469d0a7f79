//! What a look at the rules means for placed connections.

use std::fmt;

use super::table::Counters;

/// Packets that must have vanished before it is called a loss: a first packet is sent that often within some seconds.
const MIN_LOST: u64 = 5;

/// How placed connections stand with the host's firewall.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Their packets are exempt from connection tracking.
    Exempt,
    /// They are not, and need not be at the moment. What would help if that changes.
    Bare(String),
    /// They are lost: why, and what to do.
    Lost(String),
    /// Nobody looks.
    Unwatched,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exempt => f.write_str("placed connections are exempt from connection tracking"),
            Self::Bare(text) | Self::Lost(text) => f.write_str(text),
            Self::Unwatched => f.write_str("not looked at"),
        }
    }
}

/// Without a table of ours.
pub(super) fn without_table(beside_nat: bool, remedy: &str) -> Standing {
    if beside_nat {
        Standing::Lost(format!("NAT rules on this host reset every connection that the kernel places: {remedy}"))
    } else {
        Standing::Bare(format!(
            "no exemption from connection tracking; NAT rules, or rules that drop by connection state, would reset the \
             connections that the kernel places: {remedy}"
        ))
    }
}

/// Follows the counters from look to look.
#[derive(Debug, Default)]
pub(super) struct Losses {
    way_in: Gap,
    way_out: Gap,
}

impl Losses {
    /// Which way nothing gets through any more, if one.
    pub(super) fn find(&mut self, now: Counters) -> Option<&'static str> {
        let lost_in = self.way_in.is_shut(now.arrived, now.delivered);
        let lost_out = self.way_out.is_shut(now.leaving, now.left);
        match (lost_in, lost_out) {
            (true, _) => Some("arriving"),
            (_, true) => Some("leaving"),
            _ => None,
        }
    }
}

/// Packets in front of and behind the other rules, when something last got through.
#[derive(Debug, Default)]
struct Gap {
    before: u64,
    behind: u64,
}

impl Gap {
    fn is_shut(&mut self, before: u64, behind: u64) -> bool {
        // Fewer than before: the table was made anew.
        if behind != self.behind || before < self.before {
            *self = Self { before, behind };
        }
        before - self.before >= MIN_LOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(arrived: u64, delivered: u64, leaving: u64, left: u64) -> Counters {
        Counters { arrived, delivered, leaving, left }
    }

    #[test]
    fn a_way_on_which_nothing_gets_through_is_found() {
        let mut losses = Losses::default();
        assert_eq!(losses.find(counters(100, 100, 90, 90)), None);
        assert_eq!(losses.find(counters(103, 100, 90, 90)), None);
        assert_eq!(losses.find(counters(105, 100, 90, 90)), Some("arriving"));
        assert_eq!(losses.find(counters(110, 105, 95, 90)), Some("leaving"));
    }

    #[test]
    fn single_losses_and_a_new_table_are_none() {
        let mut losses = Losses::default();
        for n in 1..100 {
            assert_eq!(losses.find(counters(n * 10, n * 2, n * 10, n * 3)), None);
        }
        assert_eq!(losses.find(counters(2, 0, 0, 0)), None);
        assert_eq!(losses.find(counters(6, 0, 0, 0)), None);
        assert_eq!(losses.find(counters(7, 0, 0, 0)), Some("arriving"));
    }

    #[test]
    fn without_a_table_only_nat_is_a_loss_and_both_say_what_to_do() {
        assert!(matches!(without_table(true, "run it"), Standing::Lost(text) if text.contains("run it")));
        assert!(matches!(without_table(false, "run it"), Standing::Bare(text) if text.contains("run it")));
    }
}

//! When to advertise this node and when to search for others. The clock is passed in.
//!
//! The original's times, except that a node whose first advertisement reached nobody does not wait two minutes
//! after it has met somebody, and that one who met a peer again tells it again: it may have lost its memory.

use std::time::{Duration, Instant};

/// 7/8 of the 3 h that the original counts on.
const ADVERTISE_AGAIN: Duration = Duration::from_secs(9450);
const ADVERTISE_AFTER_FAILURE: Duration = Duration::from_mins(2);
/// Between advertisements, however many peers are met.
const ADVERTISE_LEAST: Duration = Duration::from_mins(1);
/// Between searches, however many peers are met.
const SEARCH_LEAST: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::p2p) enum Chore {
    Advertise,
    Search,
}

#[derive(Debug)]
pub(in crate::p2p) struct Schedule {
    search_pause: Duration,
    advertise: Turn,
    search: Turn,
    /// An advertisement has reached somebody.
    known: bool,
}

#[derive(Debug)]
struct Turn {
    next: Instant,
    last: Option<Instant>,
    running: bool,
}

impl Schedule {
    pub(in crate::p2p) fn new(search_pause: Duration, now: Instant) -> Self {
        let turn = || Turn { next: now, last: None, running: false };
        Self { search_pause, advertise: turn(), search: turn(), known: false }
    }

    /// What is to be done now; each must end in `advertised` or `searched`.
    pub(in crate::p2p) fn due(&mut self, now: Instant) -> Option<Chore> {
        let turns = [(Chore::Advertise, &mut self.advertise), (Chore::Search, &mut self.search)];
        for (chore, turn) in turns {
            if !turn.running && turn.next <= now {
                turn.running = true;
                turn.last = Some(now);
                return Some(chore);
            }
        }
        None
    }

    pub(in crate::p2p) fn advertised(&mut self, reached_somebody: bool, now: Instant) {
        self.known |= reached_somebody;
        self.advertise.running = false;
        self.advertise.next = now + if reached_somebody { ADVERTISE_AGAIN } else { ADVERTISE_AFTER_FAILURE };
    }

    pub(in crate::p2p) fn searched(&mut self, now: Instant) {
        self.search.running = false;
        self.search.next = now + self.search_pause;
    }

    /// A peer that keeps records is connected.
    pub(in crate::p2p) fn met(&mut self, now: Instant) {
        let least = if self.known { ADVERTISE_LEAST } else { Duration::ZERO };
        self.advertise.bring_forward(least, now);
        self.search.bring_forward(SEARCH_LEAST.min(self.search_pause), now);
    }
}

impl Turn {
    fn bring_forward(&mut self, least: Duration, now: Instant) {
        let earliest = self.last.map_or(now, |last| (last + least).max(now));
        self.next = self.next.min(earliest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    #[test]
    fn the_times_are_those_of_the_original() {
        let start = Instant::now();
        let mut schedule = Schedule::new(MINUTE, start);
        assert_eq!(schedule.due(start), Some(Chore::Advertise));
        assert_eq!(schedule.due(start), Some(Chore::Search));
        assert_eq!(schedule.due(start + MINUTE * 10), None, "nothing runs twice at a time");
        schedule.advertised(false, start);
        schedule.searched(start);
        assert_eq!(schedule.due(start + MINUTE), Some(Chore::Search));
        assert_eq!(schedule.due(start + Duration::from_secs(119)), None);
        assert_eq!(schedule.due(start + MINUTE * 2), Some(Chore::Advertise));
        schedule.advertised(true, start);
        assert_eq!(schedule.due(start + Duration::from_secs(2 * 3600 + 37 * 60 + 29)), None);
        assert_eq!(schedule.due(start + Duration::from_secs(2 * 3600 + 37 * 60 + 30)), Some(Chore::Advertise));
    }

    #[test]
    fn a_lonely_node_acts_as_soon_as_it_has_met_somebody() {
        let start = Instant::now();
        let mut schedule = Schedule::new(MINUTE, start);
        while let Some(chore) = schedule.due(start) {
            match chore {
                Chore::Advertise => schedule.advertised(false, start),
                Chore::Search => schedule.searched(start),
            }
        }
        schedule.met(start + Duration::from_secs(6));
        assert_eq!(schedule.due(start + Duration::from_secs(6)), Some(Chore::Advertise));
        assert_eq!(schedule.due(start + Duration::from_secs(6)), Some(Chore::Search));
    }

    #[test]
    fn a_crowd_of_new_peers_causes_few_advertisements_and_searches() {
        let start = Instant::now();
        let mut schedule = Schedule::new(MINUTE, start);
        let (mut advertised, mut searched) = (0, 0);
        for millisecond in (0..60_000).step_by(100) {
            let now = start + Duration::from_millis(millisecond);
            schedule.met(now);
            while let Some(chore) = schedule.due(now) {
                match chore {
                    Chore::Advertise => {
                        advertised += 1;
                        schedule.advertised(true, now);
                    }
                    Chore::Search => {
                        searched += 1;
                        schedule.searched(now);
                    }
                }
            }
        }
        assert_eq!((advertised, searched), (1, 12));
        let later = start + MINUTE;
        schedule.met(later);
        assert_eq!(schedule.due(later), Some(Chore::Advertise), "who is met again is told again");
    }
}

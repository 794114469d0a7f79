//! Whose turn it is: round the peers, and for each peer round the functions it has in common with us.

/// Pairs of peer and function that may still be tried.
pub(super) struct Rotation {
    peers: Vec<Turns>,
    at: usize,
    stay_at_last: bool,
}

struct Turns {
    peer: usize,
    functions: Vec<usize>,
    at: usize,
    /// A function has been dropped, so that the turns stay where they are.
    stays: bool,
}

impl Rotation {
    /// With the functions of each peer, in the order in which they are tried.
    pub(super) fn new(peers: impl Iterator<Item = (usize, Vec<usize>)>, stay_at_last: bool) -> Self {
        let turns = |(peer, functions)| Turns { peer, functions, at: 0, stays: false };
        let peers = peers.filter(|(_, functions)| !functions.is_empty()).map(turns).collect();
        Self { peers, at: 0, stay_at_last }
    }

    /// The peer and function to try now.
    pub(super) fn now(&self) -> Option<(usize, usize)> {
        let turns = self.peers.get(self.at)?;
        Some((turns.peer, turns.functions[turns.at]))
    }

    /// The peer took some calls.
    pub(super) fn accepted(&mut self) {
        if let Some(turns) = self.peers.get_mut(self.at)
            && !turns.stays
        {
            turns.at = (turns.at + 1) % turns.functions.len();
        }
        self.next_peer();
    }

    /// The peer gets the same function again, after the others had their turns.
    pub(super) fn postponed(&mut self) {
        self.next_peer();
    }

    /// The peer does not get the function any more.
    pub(super) fn refused(&mut self) {
        if let Some((_, function)) = self.now() {
            self.peers[self.at].drop(function, self.stay_at_last);
            self.next_peer();
            self.forget_empty();
        }
    }

    /// Nobody gets the function any more: there is nothing left of it.
    pub(super) fn exhausted(&mut self, function: usize) {
        for turns in &mut self.peers {
            turns.drop(function, self.stay_at_last);
        }
        self.next_peer();
        self.forget_empty();
    }

    fn next_peer(&mut self) {
        self.at = (self.at + 1) % self.peers.len().max(1);
    }

    fn forget_empty(&mut self) {
        let before = self.peers.len();
        self.peers.retain(|turns| !turns.functions.is_empty());
        if self.peers.len() < before {
            self.at = 0;
        }
    }
}

impl Turns {
    fn drop(&mut self, function: usize, stay_at_last: bool) {
        let Some(place) = self.functions.iter().position(|f| *f == function) else { return };
        self.functions.remove(place);
        self.stays |= stay_at_last;
        if self.stays {
            self.at = self.functions.len().saturating_sub(1);
        } else {
            // The next one moved into the place of the dropped one.
            self.at = if place < self.at { self.at - 1 } else { self.at } % self.functions.len().max(1);
        }
    }
}

//! Lines that strangers can cause: some of a kind are written within a minute, the rest are counted.

use std::time::{Duration, Instant};

const SPAN: Duration = Duration::from_mins(1);
const MOST: u32 = 20;

/// What has been written of one kind.
#[derive(Debug, Default)]
pub(crate) struct Sparse {
    since: Option<Instant>,
    written: u32,
    left_out: u64,
}

impl Sparse {
    /// How many lines were left out since the last one; `None`: this one is to be left out too.
    pub(crate) fn take(&mut self, now: Instant) -> Option<u64> {
        if self.since.is_none_or(|since| now.duration_since(since) >= SPAN) {
            (self.since, self.written) = (Some(now), 0);
        }
        if self.written == MOST {
            self.left_out += 1;
            return None;
        }
        self.written += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_lines_is_counted_and_what_was_left_out_is_told_with_the_next() {
        let (mut sparse, start) = (Sparse::default(), Instant::now());
        let told = (0..1000).filter_map(|_| sparse.take(start)).collect::<Vec<_>>();
        assert_eq!(told, [0; MOST as usize]);
        assert_eq!(sparse.take(start + SPAN), Some(1000 - u64::from(MOST)));
        assert_eq!(sparse.take(start + SPAN), Some(0));
    }
}

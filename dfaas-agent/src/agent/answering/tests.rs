use super::*;
use crate::strategy::test_names::{function, node};

/// A node and a peer whose counters are played.
struct Played {
    answering: Answering,
    start: Instant,
    second: u64,
    sample: FunctionSample,
}

impl Played {
    fn new() -> Self {
        let sample = FunctionSample { answers: [(node(1), Answers::default())].into(), ..FunctionSample::default() };
        let mut played = Self { answering: Answering::default(), start: Instant::now(), second: 0, sample };
        played.look();
        played
    }

    fn look(&mut self) -> f64 {
        let now = self.start + Duration::from_secs(self.second);
        self.answering.learn(now, std::iter::once((&function("f"), &self.sample)));
        self.second += 1;
        self.answering.share(&function("f"), &node(1))
    }

    /// Calls to the peer in the next second, and how many of them fail.
    fn second(&mut self, calls: u64, failed: u64) -> f64 {
        let of = self.sample.answers.get_mut(&node(1)).unwrap();
        (of.calls, of.failed) = (of.calls + calls, of.failed + failed);
        self.look()
    }
}

#[test]
fn a_peer_that_accepts_and_fails_gets_nothing_within_a_second_and_is_tried_again_after_a_rest() {
    let mut peer = Played::new();
    assert_eq!(peer.second(20, 0), 1.0);
    while peer.second(20, 20) > 0.0 {
        assert!(peer.second < 20, "it still gets calls");
    }
    // It rests, then gets little, and more and more if it answers.
    let rest: Vec<f64> = (0..FIRST_REST.as_secs() - 1).map(|_| peer.second(0, 0)).collect();
    assert!(rest.iter().all(|share| *share == 0.0), "{rest:?}");
    let probed: Vec<f64> = (0..5).map(|_| peer.second(2, 0)).collect();
    assert!(probed[4] >= LEAST_SHARE && probed[4] < 0.3, "{probed:?}");
    let recovering: Vec<f64> = (0..60).map(|_| peer.second(10, 0)).collect();
    assert!(recovering.is_sorted() && recovering[20] < 0.7 && recovering[59] == 1.0, "{recovering:?}");
}

#[test]
fn who_fails_every_time_it_is_tried_is_tried_more_and_more_rarely() {
    let mut peer = Played::new();
    let tried = (0..1200).filter(|_| {
        let given = peer.answering.share(&function("f"), &node(1)) > 0.0;
        let calls = if given { 5 } else { 0 };
        peer.second(calls, calls);
        given
    });
    let tried = tried.count();
    assert!((4..=30).contains(&tried), "tried in {tried} of 1200 seconds");
}

#[test]
fn single_failures_and_a_function_that_fails_everywhere_are_not_held_against_a_peer() {
    let mut peer = Played::new();
    assert_eq!((0..100).map(|n| peer.second(10, u64::from(n == 50))).fold(1.0, f64::min), 1.0);
    let mut peer = Played::new();
    for _ in 0..30 {
        peer.sample.answers_here.calls += 10;
        peer.sample.answers_here.failed += 9;
        assert_eq!(peer.second(10, 9), 1.0);
    }
    assert!(peer.answering.own_share(&function("f")) <= 0.1, "and no peer is to send calls here");
}

#[test]
fn half_of_the_answers_is_half_of_the_share_and_another_worker_counts_from_nothing() {
    let mut peer = Played::new();
    (0..10).for_each(|_| _ = peer.second(20, 10));
    let share = peer.second(20, 10);
    assert!((0.3..=0.5).contains(&share), "{share}");
    *peer.sample.answers.get_mut(&node(1)).unwrap() = Answers::default();
    let recovering: Vec<f64> = (0..90).map(|_| peer.second(20, 0)).collect();
    assert_eq!(recovering[89], 1.0);
    peer.sample.answers.clear();
    peer.look();
    assert_eq!(peer.answering.0.len(), 1, "a peer that is gone is forgotten");
}

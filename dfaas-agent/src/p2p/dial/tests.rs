use super::*;

fn address(port: u16) -> Multiaddr {
    format!("/ip4/10.0.0.1/tcp/{port}").parse().unwrap()
}

fn plan(bootstrap: &[PeerId], now: Instant) -> DialPlan {
    DialPlan::new(PeerId::random(), bootstrap.iter().map(|peer| (*peer, address(1))), now)
}

/// Seconds until the next dial of the only target is due.
fn wait(plan: &mut DialPlan, now: &mut Instant) -> u64 {
    for seconds in 0..2000 {
        if !plan.due(*now).is_empty() {
            return seconds;
        }
        *now += Duration::from_secs(1);
    }
    u64::MAX
}

#[test]
fn a_bootstrap_peer_is_dialled_for_ever_with_growing_pauses() {
    let mut now = Instant::now();
    let peer = PeerId::random();
    let mut plan = plan(&[peer], now);
    let waits: Vec<u64> = (0..8)
        .map(|_| {
            let waited = wait(&mut plan, &mut now);
            plan.failed(peer, now, 0.5);
            waited
        })
        .collect();
    assert_eq!(waits, [0, 1, 2, 4, 8, 16, 30, 30]);
    for _ in 0..1000 {
        assert_eq!(wait(&mut plan, &mut now), 30);
        plan.failed(peer, now, 0.5);
    }
    now += Duration::from_mins(1);
    assert_eq!(plan.due(now).len(), 1);
    plan.connected(peer, now);
    assert_eq!(wait(&mut plan, &mut now), u64::MAX, "a connected peer is not dialled");
    plan.lost(peer, now, 0.5);
    assert_eq!(wait(&mut plan, &mut now), 1, "the pause starts again after a connection");
}

/// It takes the handshake and ends the connection then, as one does that lists members, or speaks another muxer.
#[test]
fn a_peer_that_ends_each_connection_at_once_is_dialled_with_growing_pauses() {
    let mut now = Instant::now();
    let (first, known) = (PeerId::random(), PeerId::random());
    let mut plan = plan(&[first], now);
    let ended = |plan: &mut DialPlan, now: &mut Instant, peer, connected_for| {
        let waited = wait(plan, now);
        plan.connected(peer, *now);
        *now += connected_for;
        plan.lost(peer, *now, 0.5);
        waited
    };
    let waits: Vec<u64> = (0..8).map(|_| ended(&mut plan, &mut now, first, Duration::from_millis(5))).collect();
    assert_eq!(waits, [0, 1, 2, 4, 8, 16, 30, 30]);
    ended(&mut plan, &mut now, first, LASTING);
    assert_eq!(ended(&mut plan, &mut now, first, LASTING), 1, "a connection that lasted was one");

    let mut plan = self::plan(&[], now);
    plan.learn_known(known, vec![address(1)], now);
    plan.lost(known, now, 0.5);
    let tries = (0..100).filter(|_| ended(&mut plan, &mut now, known, Duration::ZERO) != u64::MAX).count();
    assert_eq!(tries + 1, TRIES_IF_KNOWN as usize, "given up like one that cannot be reached");
}

/// The original redials without a pause and never gets through its start (docs/compatibility.md, B2).
#[test]
fn an_unreachable_bootstrap_peer_costs_few_dials() {
    let start = Instant::now();
    let peer = PeerId::random();
    let mut plan = plan(&[peer], start);
    let mut dials = 0;
    for tick in 0..4 * 3600 {
        let now = start + Duration::from_millis(250) * tick;
        for _ in plan.due(now) {
            dials += 1;
            plan.failed(peer, now, 0.5);
        }
    }
    assert_eq!(dials, 124, "five in the first half minute, then two a minute");
}

#[test]
fn chance_spreads_the_pauses() {
    assert_eq!(pause(0, 0.0), Duration::from_millis(750));
    assert_eq!(pause(0, 1.0), Duration::from_millis(1250));
    assert_eq!(pause(u32::MAX, 1.0), Duration::from_millis(37_500));
}

#[test]
fn own_addresses_in_the_bootstrap_list_are_skipped_and_one_peer_may_have_several() {
    let now = Instant::now();
    let (own, peer) = (PeerId::random(), PeerId::random());
    let mut plan = DialPlan::new(own, [(own, address(1)), (peer, address(2)), (peer, address(3))], now);
    assert_eq!(plan.due(now), [(peer, vec![address(2), address(3)])]);
    assert!(!plan.learn_hearsay(own, vec![address(1)], Source::Peer(peer), now));
    assert_eq!(plan.due(now), []);
}

#[test]
fn hearsay_is_given_up_soon_and_not_taken_again_for_a_while() {
    let mut now = Instant::now();
    let (source, peer) = (Source::Peer(PeerId::random()), PeerId::random());
    let mut plan = plan(&[], now);
    assert!(plan.learn_hearsay(peer, vec![address(1)], source, now));
    for _ in 0..TRIES_IF_HEARSAY {
        assert!(wait(&mut plan, &mut now) < 5);
        plan.failed(peer, now, 0.5);
    }
    plan.learn_hearsay(peer, vec![address(2)], source, now);
    let again = now + REST.mul_f64(0.99);
    assert_eq!(plan.due(again), []);
    now += REST;
    assert_eq!(plan.due(now), []);
    assert!(plan.learn_hearsay(peer, vec![address(2)], source, now));
    assert_eq!(plan.due(now), [(peer, vec![address(2)])]);
}

#[test]
fn a_peer_that_was_connected_is_sought_for_some_minutes() {
    let mut now = Instant::now();
    let peer = PeerId::random();
    let mut plan = plan(&[], now);
    plan.learn_known(peer, vec![address(1)], now);
    assert_eq!(plan.due(now), [], "it is connected");
    now += LASTING;
    let start = now;
    plan.lost(peer, now, 0.5);
    let mut tries = 0;
    while wait(&mut plan, &mut now) != u64::MAX {
        tries += 1;
        plan.failed(peer, now, 0.5);
    }
    // One each two seconds of the first minute, and those of any other.
    assert_eq!(tries, 30 + TRIES_IF_KNOWN);
    assert!(now - start > Duration::from_mins(3));
}

#[test]
fn others_cannot_replace_the_addresses_a_peer_gave_itself() {
    let now = Instant::now();
    let (source, peer, first) = (Source::Records, PeerId::random(), PeerId::random());
    let mut plan = plan(&[first], now);
    plan.learn_known(peer, vec![address(2)], now);
    assert!(!plan.learn_hearsay(peer, vec![address(3)], source, now), "it is connected");
    plan.lost(peer, now, 0.0);
    plan.learn_hearsay(peer, (10..60).map(address).collect(), source, now);
    plan.learn_known(first, vec![address(4)], now);
    plan.lost(first, now, 0.0);
    let due: BTreeMap<_, _> = plan.due(now + FIRST_PAUSE).into_iter().collect();
    assert_eq!((due[&peer][0].clone(), due[&peer].len()), (address(2), MAX_ADDRESSES));
    assert_eq!(due[&first], [address(1), address(4)]);
}

#[test]
fn one_source_cannot_fill_the_plan_nor_start_many_dials() {
    let now = Instant::now();
    let mut plan = plan(&[], now);
    for source in [Source::Peer(PeerId::random()), Source::Records, Source::Multicast] {
        let taken = (0..500).filter(|_| plan.learn_hearsay(PeerId::random(), vec![address(1)], source, now)).count();
        assert_eq!(taken, source.most());
    }
    for _ in 0..MAX_TARGETS {
        let (peer, source) = (PeerId::random(), Source::Peer(PeerId::random()));
        plan.learn_hearsay(peer, vec![address(1)], source, now);
        plan.learn_known(PeerId::random(), vec![address(1)], now);
    }
    assert_eq!(plan.targets.len(), MAX_TARGETS);
    assert_eq!(plan.due(now).len(), MAX_DIALLING);
    assert_eq!(plan.due(now), []);
}

#[test]
fn a_failure_of_a_dial_that_was_not_ours_changes_nothing() {
    let now = Instant::now();
    let peer = PeerId::random();
    let mut plan = plan(&[peer], now);
    plan.due(now);
    plan.connected(peer, now);
    assert_eq!(plan.failed(peer, now, 0.5), None);
    assert_eq!(plan.due(now + LONGEST_PAUSE), []);
    assert_eq!(plan.failed(PeerId::random(), now, 0.5), None);
}

#[test]
fn only_members_are_dialled_and_a_bootstrap_peer_is_again_when_it_becomes_one() {
    let now = Instant::now();
    let (first, second, heard, known) = (PeerId::random(), PeerId::random(), PeerId::random(), PeerId::random());
    let mut plan = plan(&[first, second], now);
    plan.learn_hearsay(heard, vec![address(1)], Source::Multicast, now);
    plan.learn_known(known, vec![address(2)], now);
    plan.set_members([second, known].into());
    assert_eq!(plan.due(now), [(second, vec![address(1)])]);
    assert!(!plan.learn_hearsay(heard, vec![address(1)], Source::Records, now));
    plan.set_members([first].into());
    plan.lost(known, now, 0.5);
    assert_eq!(plan.due(now + LONGEST_PAUSE), [(first, vec![address(1)])]);
    assert!(!plan.targets.contains_key(&known));
}

#[test]
fn a_peer_that_was_there_a_moment_ago_is_looked_for_often_and_after_a_minute_like_any_other() {
    let mut now = Instant::now();
    let peer = PeerId::random();
    let mut plan = plan(&[], now);
    plan.learn_known(peer, vec![address(1)], now);
    now += LASTING;
    plan.lost(peer, now, 0.5);
    let mut waits = Vec::new();
    for _ in 0..35 {
        waits.push(wait(&mut plan, &mut now));
        plan.failed(peer, now, 0.5);
    }
    // 1 s, then 2 s until a minute is over: the tries of that minute are not counted.
    assert_eq!(waits[0], 1);
    assert_eq!(waits[1..31], [2; 30]);
    assert_eq!(waits[31..], [1, 2, 4, 8]);
}

use super::node::{Node, state, until};
use crate::p2p::{
    Count, OverlayError, OverlayEvent,
    direct::{FunctionState, NodeState, StateError, TunnelKey},
};

async fn pair() -> (Node, Node) {
    let mut first = Node::start(&[]).await;
    let mut second = Node::start(&[&first.address]).await;
    first.connected_to(&second.id()).await;
    second.connected_to(&first.id()).await;
    (first, second)
}

async fn next_state(node: &mut Node, from: &Node) -> NodeState {
    let sender = from.id();
    node.wait("a state", |event| match event {
        OverlayEvent::State { from, state } => {
            assert_eq!(from, sender);
            Some(state)
        }
        _ => None,
    })
    .await
}

async fn acknowledged(node: &mut Node, expected: u64) {
    let pick = |event| matches!(event, OverlayEvent::StateAcknowledged { sequence, .. } if sequence == expected);
    node.wait("an acknowledgement", |event| pick(event).then_some(())).await;
}

#[tokio::test]
async fn states_pass_both_ways_in_full_and_are_acknowledged() {
    let (mut first, mut second) = pair().await;
    let mut sent = state(5, 1);
    sent.tunnel_key = Some(TunnelKey { epoch: 1, key: [9; 16], token: u64::MAX });
    sent.service = Some("127.0.0.1:80".parse().unwrap());
    sent.functions.insert("figlet".parse().unwrap(), FunctionState { limit: 0.1, rate: 3.0, max_rate: Some(7.5) });
    first.handle.send_state(&second.id(), &sent).unwrap();
    second.handle.send_state(&first.id(), &state(6, 2)).unwrap();
    assert_eq!(next_state(&mut second, &first).await, sent);
    assert_eq!(next_state(&mut first, &second).await, state(6, 2));
    // The acknowledgements came before or after the states.
    let (first_counters, second_counters) = (first.handle.counters(), second.handle.counters());
    until("both are acknowledged", || {
        first_counters.get(Count::StateSent) == 1 && second_counters.get(Count::StateSent) == 1
    })
    .await;
    sent.functions.values_mut().for_each(|function| function.limit = f64::NAN);
    assert!(matches!(first.handle.send_state(&second.id(), &sent), Err(OverlayError::State(StateError::Rate(..)))));
}

#[tokio::test]
async fn the_newest_state_always_arrives_and_none_goes_back() {
    let (first, mut second) = pair().await;
    let mut last = 0;
    for round in 1..=3 {
        let newest = round * 300;
        for sequence in newest - 299..=newest {
            first.handle.send_state(&second.id(), &state(5, sequence)).unwrap();
        }
        while last < newest {
            let sequence = next_state(&mut second, &first).await.sequence;
            assert!(sequence > last, "{sequence} after {last}");
            last = sequence;
        }
    }
}

#[tokio::test]
async fn an_old_state_is_acknowledged_but_not_told_and_a_restart_counts_as_new() {
    let (mut first, mut second) = pair().await;
    for (started_ms, sequence, is_new) in [(5, 10, true), (5, 9, false), (5, 10, false), (4, 99, false), (6, 1, true)] {
        first.handle.send_state(&second.id(), &state(started_ms, sequence)).unwrap();
        acknowledged(&mut first, sequence).await;
        if is_new {
            assert_eq!(next_state(&mut second, &first).await, state(started_ms, sequence));
        }
    }
    assert_eq!(second.handle.counters().get(Count::StateStale), 3);
    assert_eq!(second.handle.counters().get(Count::StateReceived), 2);
}

/// Two runs under one key: the first has died without a word, and its connection lingers.
#[tokio::test]
async fn a_peer_that_restarts_with_an_older_clock_is_heard_beside_its_old_connection() {
    let mut second = Node::start(&[]).await;
    let first = Node::start(&[&second.address]).await;
    second.connected_to(&first.id()).await;
    first.handle.send_state(&second.id(), &state(7_200_000, 50)).unwrap();
    assert_eq!(next_state(&mut second, &first).await.sequence, 50);

    let mut again = Node::start_with(&[&second.address], |settings| settings.keypair = first.keypair.clone()).await;
    again.connected_to(&second.id()).await;
    again.handle.send_state(&second.id(), &state(3_600_000, 1)).unwrap();
    assert_eq!(next_state(&mut second, &again).await, state(3_600_000, 1));
    // The last words of the first run come too late.
    first.handle.send_state(&second.id(), &state(7_200_000, 51)).unwrap();
    let counters = second.handle.counters();
    until("they are known to be old", || counters.get(Count::StateStale) == 1).await;
    again.handle.send_state(&second.id(), &state(3_600_000, 2)).unwrap();
    assert_eq!(next_state(&mut second, &again).await, state(3_600_000, 2));
}

#[tokio::test]
async fn a_state_on_its_way_at_shutdown_still_arrives() {
    let (first, mut second) = pair().await;
    let mut goodbye = state(5, 1);
    goodbye.leaving = true;
    first.handle.send_state(&second.id(), &goodbye).unwrap();
    first.handle.shutdown().await;
    assert!(next_state(&mut second, &first).await.leaving);
    second.disconnected_from(&first.id()).await;
    until("the peer is no longer shown", || second.handle.connected().is_empty()).await;
}

use std::{collections::BTreeSet, fs, path::PathBuf};

use libp2p::{Multiaddr, identity::Keypair};

use super::node::{Node, state, until, until_heard};
use crate::{
    name::NodeId,
    p2p::{Count, OverlayError, members},
};

/// A list of members in a file of its own.
struct List {
    _folder: tempfile::TempDir,
    file: PathBuf,
}

impl List {
    fn of(nodes: &[&NodeId]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let list = Self { file: folder.path().join("peers"), _folder: folder };
        list.write(nodes);
        list
    }

    fn write(&self, nodes: &[&NodeId]) {
        fs::write(&self.file, nodes.iter().map(|node| format!("{node} # a node\n")).collect::<Vec<_>>().concat())
            .unwrap();
    }

    /// A node that obeys the list.
    async fn node(&self, bootstrap: &[&Multiaddr]) -> Node {
        let members: BTreeSet<NodeId> = members::read(&self.file).unwrap();
        Node::start_with(bootstrap, |settings| settings.members = Some((self.file.clone(), members))).await
    }
}

fn id(keypair: &Keypair) -> NodeId {
    keypair.public().to_peer_id().to_base58().parse().unwrap()
}

async fn start(keypair: &Keypair, bootstrap: &[&Multiaddr]) -> Node {
    Node::start_with(bootstrap, |settings| settings.keypair = keypair.clone()).await
}

#[tokio::test]
async fn strangers_do_not_get_in_and_are_not_dialled() {
    let friend = Keypair::generate_ed25519();
    let stranger = Node::start(&[]).await;
    let list = List::of(&[&id(&friend)]);
    let mut node = list.node(&[&stranger.address]).await;
    let refused = Node::start(&[&node.address]).await;
    let counters = node.handle.counters();
    until("the stranger is refused", || counters.get(Count::ConnectionRefused) > 1).await;
    let _friend = start(&friend, &[&node.address]).await;
    node.connected_to(&id(&friend)).await;
    assert_eq!(node.handle.connected().into_keys().collect::<Vec<_>>(), [id(&friend)]);
    assert_eq!(counters.get(Count::DialFailed), 0, "the bootstrap node that is no member is dialled");
    let sent = node.handle.send_state(&refused.id(), &state(1, 1));
    assert_eq!(sent, Err(OverlayError::NotConnected(refused.id())));
}

#[tokio::test]
async fn what_a_stranger_wrote_is_not_heard_through_a_member() {
    let middle = Keypair::generate_ed25519();
    let list = List::of(&[&id(&middle)]);
    let mut node = list.node(&[]).await;
    let mut middle = start(&middle, &[&node.address]).await;
    let mut stranger = Node::start(&[&middle.address]).await;
    until_heard(&middle, &mut [&mut node, &mut stranger]).await;
    until_heard(&stranger, &mut [&mut middle]).await;
    let counters = node.handle.counters();
    until("the stranger's words arrive", || {
        let _ = stranger.handle.publish(&crate::p2p::message::Message::Text("stranger".into()));
        counters.get(Count::BroadcastStranger) > 0
    })
    .await;
    until_heard(&middle, &mut [&mut node]).await;
    assert!(node.texts().iter().all(|(from, _)| *from == middle.id()));
    let told: Vec<_> = node.handle.messages().into_iter().filter(|m| m.peer == Some(stranger.id())).collect();
    assert!(!told.is_empty() && told.iter().all(|series| series.outcome == "stranger"), "{told:?}");
}

#[tokio::test]
async fn a_reload_disconnects_who_was_removed_and_lets_in_who_was_added() {
    let (first, second) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
    let list = List::of(&[&id(&first)]);
    let mut node = list.node(&[]).await;
    let _first = start(&first, &[&node.address]).await;
    let _second = start(&second, &[&node.address]).await;
    node.connected_to(&id(&first)).await;

    list.write(&[&id(&second)]);
    let change = node.handle.reload_members().unwrap();
    assert_eq!((change.added, change.removed), (vec![id(&second)], vec![id(&first)]));
    assert!(!node.handle.is_member(&id(&first)));
    node.disconnected_from(&id(&first)).await;
    node.connected_to(&id(&second)).await;

    fs::write(&list.file, "all\n").unwrap();
    let error = format!("{:#}", node.handle.reload_members().unwrap_err());
    assert!(error.contains("line 1") && error.contains("stays as it was"), "{error}");
    assert!(node.handle.members().error.unwrap().contains("line 1"));
    let counters = node.handle.counters();
    let refused = counters.get(Count::ConnectionRefused);
    until("the first is refused again", || counters.get(Count::ConnectionRefused) > refused).await;
    assert_eq!(node.handle.connected().into_keys().collect::<Vec<_>>(), [id(&second)]);

    list.write(&[&id(&second), &id(&first)]);
    assert_eq!(node.handle.reload_members().unwrap().added, [id(&first)]);
    node.connected_to(&id(&first)).await;
    assert_eq!(node.handle.members().error, None);
}

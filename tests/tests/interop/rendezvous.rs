//! Found through the DHT: nobody is told any address but that of a third node, which is foreign, too.

use serde_json::{Value, json};

use crate::{
    bed::Bed,
    foreign::{ForeignPeer, Setup},
    until,
};

/// SHA2-256 of the original's default rendezvous string, as a multihash.
const RENDEZVOUS: &str = "122003011f95c5e7a7d877e542d2b09ca2d5f0892b328ec6f2f303cf26fb86eeda32";
/// The third node: a key file, the id that goes with it, and where it will be.
const THIRD_KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
                         MC4CAQAwBQYDK2VwBCIEIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g\n\
                         -----END PRIVATE KEY-----\n";
const THIRD_ADDRESS: &str = "/ip4/10.77.0.201/tcp/31600/p2p/12D3KooWJ1TsijH7H5F74hfAD5XishQz3sxrmAtVY37GtNd9CqYf";

/// A node whose one bootstrap peer is the third node, on the first guest.
fn bed() -> Bed {
    Bed::new(|options| {
        options.guests = 2;
        options.settings.insert("AGENT_BOOTSTRAP_NODES".to_owned(), "true".to_owned());
        options.settings.insert("AGENT_BOOTSTRAP_NODES_LIST".to_owned(), THIRD_ADDRESS.to_owned());
        options.settings.insert("AGENT_KAD_IDLE_TIME".to_owned(), "1s".to_owned());
    })
}

fn third(bed: &Bed) -> ForeignPeer {
    let third = bed.foreign(0, Setup { key: Some(THIRD_KEY), ..Setup::default() });
    assert_eq!(third.address, THIRD_ADDRESS);
    third
}

fn find(peer: &mut ForeignPeer) -> Vec<Value> {
    let found = peer.obey("find", json!({ "key": RENDEZVOUS })).unwrap_or_default();
    found.as_array().cloned().unwrap_or_default()
}

#[test]
fn a_bootstrap_peer_that_comes_late_is_met_all_the_same() {
    let bed = bed();
    let third = third(&bed);
    assert_eq!(third.wait_connected(&bed.nodes[0].id)["direction"], "inbound");
    until("the node sees its bootstrap peer", || bed.seen(0, &third).is_some());
    third.stop();
    bed.stop();
}

#[test]
fn a_foreign_node_finds_us_by_our_record() {
    let bed = bed();
    let third = third(&bed);
    third.wait_connected(&bed.nodes[0].id);
    let mut foreign = bed.foreign(1, Setup { is_dht_server: false, ..Setup::default() });
    foreign.dial(THIRD_ADDRESS);
    let (node, mut addresses) = (bed.nodes[0].id.clone(), Value::Null);
    until("our record is found", || {
        let found = find(&mut foreign).into_iter().find(|found| found["peer"] == node.as_str());
        addresses = found.map_or(Value::Null, |found| found["addresses"].clone());
        addresses.as_array().is_some_and(|addresses| !addresses.is_empty())
    });
    let expected = format!("/ip4/{}/tcp/31600", bed.nodes[0].address);
    assert!(addresses.as_array().unwrap().contains(&expected.into()), "{addresses}");
    foreign.dial(&bed.overlay_address(0));
    until("the node sees the foreign one", || bed.seen(0, &foreign).is_some());
    foreign.stop();
    third.stop();
    bed.stop();
}

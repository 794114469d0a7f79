//! The messages of the other strategies, between a whole node of ours and a foreign one.

use dfaas_common::route::{SLOT_LOCAL, SLOT_PROXY};
use serde_json::{Value, json};

use crate::{
    bed::Bed,
    foreign::{ForeignPeer, Setup},
    stand_in::PORT,
    until,
};

fn bed(strategy: &str) -> (Bed, ForeignPeer) {
    let bed = Bed::new(|options| strategy.clone_into(&mut options.strategy));
    let mut foreign = bed.foreign(0, Setup::default());
    foreign.dial(&bed.overlay_address(0));
    until("the node sees the foreign peer", || bed.seen(0, &foreign).is_some());
    (bed, foreign)
}

/// The node's next message of a type, and how much the foreign peer had said before it.
fn heard(bed: &Bed, foreign: &ForeignPeer, kind: &str) -> Value {
    foreign.wait_message(&bed.nodes[0].id, 0, |line| line["json"]["MsgType"] == kind)["json"].clone()
}

#[test]
fn a_foreign_node_of_the_static_strategy_gets_its_share() {
    let (bed, mut foreign) = bed("staticstrategy");
    let own = json!({
        "MsgType": "nodeinfoStatic", "HAProxyHost": bed.nodes[0].address, "HAProxyPort": PORT,
        "Functions": ["env", "figlet", "ocr", "shasum"],
    });
    assert_eq!(heard(&bed, &foreign, "nodeinfoStatic"), own);
    let message = json!({
        "MsgType": "nodeinfoStatic", "HAProxyHost": bed.guest(0).address, "HAProxyPort": PORT, "Functions": ["figlet"],
    });
    foreign.publish(message.to_string().as_bytes());
    let count = |target| bed.route(0, "figlet").slots.iter().filter(|slot| **slot == target).count();
    // 40 % of 256, which HAProxy steers because the foreign node has no kernel path.
    until("the table of figlet is shared", || count(SLOT_PROXY) == 102 && count(SLOT_LOCAL) == 154);
    assert_eq!(bed.route(0, "shasum").slots, [SLOT_LOCAL; 256], "the foreign node does not run it");
    foreign.stop();
    bed.stop();
}

//! Connections, both ways, with each security protocol.

use dfaas_agent::p2p::OverlayEvent;
use serde_json::{Value, json};

use crate::{
    foreign::{ForeignPeer, Setup},
    ours::Ours,
};

/// Names of the security protocols, and how they are negotiated.
const SECURITY: [(&str, &str); 2] = [("noise", "/noise"), ("tls", "/tls/1.0.0")];

/// What both sides know of each other once they are connected.
fn assert_acquainted(ours: &mut Ours, foreign: &mut ForeignPeer, direction: &str) -> Value {
    let connected = foreign.wait_connected(&ours.id);
    assert_eq!(connected["direction"], direction);
    assert_eq!(connected["multiplexer"], "/yamux/1.0.0");
    let identified = foreign.wait_event("identified", |line| line["peer"] == ours.id.as_str());
    assert!(identified["agent"].as_str().unwrap().starts_with("dfaas-agent/"), "{identified}");
    let protocols = identified["protocols"].as_array().unwrap();
    for protocol in ["/meshsub/1.1.0", "/ipfs/id/1.0.0", "/ipfs/id/push/1.0.0", "/ipfs/ping/1.0.0", "/ipfs/kad/1.0.0"] {
        assert!(protocols.contains(&protocol.into()), "{protocol} not in {protocols:?}");
    }
    let (agent, protocols) = ours.wait("who the foreign peer is", |event| match event {
        OverlayEvent::Identified { peer, agent, protocols } if peer == foreign.id => Some((agent, protocols)),
        _ => None,
    });
    assert!(agent.starts_with("js-libp2p/"), "{agent}");
    assert!(protocols.iter().any(|protocol| protocol == "/meshsub/1.1.0"), "{protocols:?}");
    assert!(!ours.handle.connected()[&foreign.id].direct, "it is none of our own kind");
    let pinged = foreign.obey("ping", json!({ "peer": ours.id.as_str() })).unwrap();
    assert!(pinged["ms"].is_number(), "{pinged}");
    connected
}

#[test]
fn a_foreign_peer_dials_us_with_each_security_protocol() {
    for (name, protocol) in SECURITY {
        let mut ours = Ours::start(&[]);
        let mut foreign = ForeignPeer::here(Setup { security: &[name], ..Setup::default() });
        assert_eq!(foreign.dial(&ours.address)["encryption"], protocol);
        assert_acquainted(&mut ours, &mut foreign, "outbound");
        foreign.stop();
        ours.wait("the end of the connection", |event| {
            matches!(event, OverlayEvent::Disconnected { .. }).then_some(())
        });
    }
}

#[test]
fn we_dial_a_foreign_peer_with_each_security_protocol() {
    for (name, protocol) in SECURITY {
        let mut foreign = ForeignPeer::here(Setup { security: &[name], ..Setup::default() });
        let mut ours = Ours::start(&[&foreign.address]);
        assert_eq!(assert_acquainted(&mut ours, &mut foreign, "inbound")["encryption"], protocol);
    }
}

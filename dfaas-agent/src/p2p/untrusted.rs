//! What other nodes, and files of node ids and keys, may say.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
};

use dfaas_base::Reader;
use futures::{executor::block_on, io::Cursor};
use libp2p::{Multiaddr, PeerId, StreamProtocol, request_response::Codec as _};

use super::{
    address::{candidates, dialable, ip, split_peer, tcp},
    direct::{Ack, FrameCodec, MAX_FRAME_BYTES, NodeState, PROTOCOL},
    identity, mdns, members,
    message::Message,
};

pub(crate) const READERS: &[Reader] = &[
    ("broadcast", broadcast),
    ("direct-state", state),
    ("direct-acknowledgement", acknowledgement),
    ("direct-frame", frame),
    ("mdns", mdns_packet),
    ("address", address),
    ("key-file", key_file),
    ("members-file", members_file),
];

const PEER: &str = "12D3KooWJ1TsijH7H5F74hfAD5XishQz3sxrmAtVY37GtNd9CqYf";

fn broadcast(bytes: &[u8]) {
    let Ok(decoded) = Message::decode(bytes) else { return };
    let Ok(encoded) = decoded.message.encode() else { return };
    let again = Message::decode(&encoded);
    assert_eq!(again.map(|again| (again.message, again.dropped_names)), Ok((decoded.message, 0)));
}

fn state(bytes: &[u8]) {
    let Ok(state) = NodeState::decode(bytes) else { return };
    let Ok(encoded) = state.encode() else { return };
    assert_eq!(NodeState::decode(&encoded), Ok(state));
}

fn acknowledgement(bytes: &[u8]) {
    let Some(ack) = Ack::decode(bytes) else { return };
    assert_eq!(Ack::decode(&ack.encode()), Some(ack));
}

fn frame(bytes: &[u8]) {
    let protocol = StreamProtocol::new(PROTOCOL);
    let mut stream = Cursor::new(bytes);
    let Ok(frame) = block_on(FrameCodec.read_request(&protocol, &mut stream)) else { return };
    assert!(frame.len() <= MAX_FRAME_BYTES && frame.len() < bytes.len(), "{} of {} bytes", frame.len(), bytes.len());
    let mut wire = Cursor::new(Vec::new());
    assert!(block_on(FrameCodec.write_response(&protocol, &mut wire, frame.clone())).is_ok());
    let mut wire = Cursor::new(wire.into_inner());
    assert_eq!(block_on(FrameCodec.read_response(&protocol, &mut wire)).ok(), Some(frame));
}

fn mdns_packet(bytes: &[u8]) {
    let _ = mdns::addresses_in(bytes);
}

/// The text of an address or, behind a zero, its bytes: told by a peer that is far away.
fn address(bytes: &[u8]) {
    let read = match bytes {
        [0, rest @ ..] => Multiaddr::try_from(rest.to_vec()).ok(),
        text => str::from_utf8(text).ok().and_then(|text| text.parse().ok()),
    };
    let (Some(address), Ok(peer)) = (read, PEER.parse::<PeerId>()) else { return };
    let source = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));
    let _ = split_peer(&address);
    let found = candidates(None, std::slice::from_ref(&address), peer, source);
    for dialled in found.iter().cloned().chain(dialable(&address, peer, source)) {
        let end = tcp(&dialled);
        let is_fit = |ip: IpAddr| !(ip.is_loopback() || ip.is_unspecified() || ip.is_multicast());
        assert!(end.is_some_and(|(ip, _)| is_fit(ip)) && ip(&dialled).is_some(), "{dialled} of {address}");
    }
}

fn key_file(bytes: &[u8]) {
    let Some(Ok(seed)) = str::from_utf8(bytes).ok().map(identity::parse) else { return };
    assert_eq!(identity::to_pem(&seed).ok().map(|text| identity::parse(&text)), Some(Ok(seed)));
}

fn members_file(bytes: &[u8]) {
    let Some(Ok(nodes)) = str::from_utf8(bytes).ok().map(members::parse) else { return };
    let text: BTreeSet<String> = nodes.iter().map(ToString::to_string).collect();
    let text = text.into_iter().collect::<Vec<_>>().join("\n");
    assert_eq!(members::parse(&text), Ok(nodes));
}

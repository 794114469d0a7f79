use super::*;

fn record(key: &RecordKey) -> ProviderRecord {
    ProviderRecord::new(key.clone(), PeerId::random(), vec![])
}

fn dht(only_loopback: bool) -> Dht {
    Dht::new(PeerId::random(), Some(DEFAULT_RENDEZVOUS), only_loopback)
}

/// Base 32 of RFC 4648 in small letters, without padding.
fn base32(bytes: &[u8]) -> String {
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let letter = |bits: &[u8]| {
        let value = (0..5).fold(0, |value, at| value << 1 | bits.get(at).copied().unwrap_or(0));
        char::from(b"abcdefghijklmnopqrstuvwxyz234567"[usize::from(value)])
    };
    bits.chunks(5).map(letter).collect()
}

#[test]
fn the_known_rendezvous_gives_the_known_multihash() {
    let key = rendezvous_key(DEFAULT_RENDEZVOUS).to_vec();
    let digest: [u8; 32] = key[2..].try_into().unwrap();
    assert_eq!(key[..2], [0x12, 0x20]);
    assert_eq!(digest[..8], 0x0301_1f95_c5e7_a7d8_u64.to_be_bytes());
    assert_eq!(digest[8..16], 0x77e5_42d2_b09c_a2d5_u64.to_be_bytes());
    assert_eq!(digest[16..24], 0xf089_2b32_8ec6_f2f3_u64.to_be_bytes());
    assert_eq!(digest[24..], 0x03cf_26fb_86ee_da32_u64.to_be_bytes());
    let cid = [&[0x01, 0x55], &key[..]].concat();
    assert_eq!(format!("b{}", base32(&cid)), "bafkreiadaepzlrphu7mhpzkc2kyjziwv6ceswmuoy3zpga6pe35yn3w2gi");
}

#[test]
fn addresses_that_others_made_up_are_not_dialled() {
    let peer = PeerId::random();
    let texts = ["/ip4/10.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/2", "/ip4/169.254.64.1/tcp/3", "/ip4/10.0.0.1/udp/4"];
    let addresses: Vec<Multiaddr> = texts.iter().map(|text| text.parse().unwrap()).collect();
    for (only_loopback, expected) in [(false, &texts[..1]), (true, &texts[..2])] {
        let mut dht = dht(only_loopback);
        dht.learn(peer, &addresses);
        let dialled =
            dht.handle_pending_outbound_connection(ConnectionId::new_unchecked(1), Some(peer), &[], Endpoint::Dialer);
        let dialled: BTreeSet<String> = dialled.unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(dialled, expected.iter().map(|text| (*text).to_owned()).collect());
        assert!(dht.knows_servers());
    }
}

#[test]
fn records_of_others_are_bounded_and_leave_room_for_ours() {
    let mut dht = dht(false);
    dht.advertise().unwrap();
    let foreign = |i: usize| RecordKey::new(&i.to_be_bytes());
    let kept = (0..1000).filter(|i| dht.keep(record(&foreign(*i)), vec![])).count();
    assert_eq!(kept, MAX_FOREIGN_KEYS);
    let kept = (0..100).filter(|_| dht.keep(record(&foreign(0)), vec![])).count();
    assert_eq!(kept, MAX_FOREIGN_PROVIDERS - 1);
    let ours = dht.key.clone();
    let kept = (0..1000).filter(|_| dht.keep(record(&ours), vec![])).count();
    assert_eq!(kept, MAX_PROVIDERS - 1, "this node is one of them");
}

#[test]
fn a_provider_is_dialled_where_its_connection_came_from() {
    let mut dht = dht(false);
    let claimed = ProviderRecord { addresses: vec!["/ip4/192.0.2.7/tcp/9".parse().unwrap()], ..record(&dht.key) };
    let seen: Multiaddr = "/ip4/10.0.0.1/tcp/1".parse().unwrap();
    let peer = claimed.provider;
    assert!(dht.keep(claimed, vec![seen.clone()]));
    assert_eq!(dht.addresses(peer), [seen]);
    assert!(dht.addresses(PeerId::random()).is_empty());
}

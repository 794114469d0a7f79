//! Whatever a strategy decides, HAProxy takes the text.

use std::{net::IpAddr, path::Path, process::Command, time::Duration};

use dfaas_agent::{
    decision::{Decision, FunctionTable, PeerEndpoint, Shape, Weights},
    name::{FunctionName, NodeId},
    proxy::{External, Instance, ProxySettings, render},
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};

use crate::harness::OWN_ID;

const NAMES: &[&str] =
    &["a", "local", "peers", "checks", "st_calls", "fe_service", "gateway", "fig", "figlet", "a-b.c_d", "0", "_x"];

fn node_id(random: &mut StdRng) -> NodeId {
    if random.random_bool(0.05) {
        return OWN_ID.parse().unwrap();
    }
    let text: String = (0..52).map(|_| random.sample(rand::distr::Alphanumeric) as char).collect();
    text.parse().unwrap()
}

fn address(random: &mut StdRng) -> IpAddr {
    if random.random_bool(0.3) {
        IpAddr::from(random.random::<[u8; 16]>())
    } else {
        IpAddr::from(random.random::<[u8; 4]>())
    }
}

fn endpoint(random: &mut StdRng) -> PeerEndpoint {
    let host = match random.random_range(0..4) {
        // The same host for several peers, as behind a NAT.
        0 => "127.0.0.9".to_owned(),
        1 => "localhost".to_owned(),
        _ => address(random).to_string(),
    };
    let at = host.parse().unwrap_or_else(|_| address(random));
    PeerEndpoint {
        host: host.parse().unwrap(),
        proxy: (at, random.random_range(1..=u16::MAX)).into(),
        addresses: (0..random.random_range(0..4)).map(|_| address(random)).collect(),
        alias: random.random_bool(0.5).then(|| address(random)),
    }
}

fn rate(random: &mut StdRng) -> f64 {
    *[0.0, 0.3, 7.0, 1e6, 1e300, -1.0, f64::NAN, f64::INFINITY].choose(random).unwrap()
}

fn table(random: &mut StdRng, peers: &[NodeId]) -> FunctionTable {
    let some =
        |random: &mut StdRng| -> Vec<NodeId> { peers.iter().filter(|_| random.random_bool(0.7)).cloned().collect() };
    FunctionTable {
        deployed: random.random(),
        local_limit: random.random_bool(0.7).then(|| rate(random)),
        shape: if random.random() { Shape::LocalFirst } else { Shape::Weighted },
        weights: Weights {
            local: random.random_range(0..200),
            reject: random.random(),
            peers: some(random).into_iter().map(|id| (id, random.random())).collect(),
        },
        limits_out: some(random).into_iter().map(|id| (id, rate(random))).collect(),
        limits_in: some(random).into_iter().map(|id| (id, rate(random))).collect(),
        timeout: random.random_bool(0.3).then(|| Duration::from_millis(random.random())),
    }
}

fn decision(random: &mut StdRng) -> Decision {
    let peers: Vec<NodeId> = (0..random.random_range(0..8)).map(|_| node_id(random)).collect();
    // A weight may name a peer that has gone.
    let known = peers.iter().filter(|_| random.random_bool(0.8)).cloned().collect::<Vec<_>>();
    let names = NAMES.iter().filter(|_| random.random_bool(0.5)).collect::<Vec<_>>();
    let names = names.into_iter().filter_map(|name| name.parse::<FunctionName>().ok());
    Decision {
        version: random.random(),
        functions: names.map(|name| (name, table(random, &peers))).collect(),
        peers: known.into_iter().map(|id| (id, endpoint(random))).collect(),
    }
}

fn settings(random: &mut StdRng, dir: &Path) -> ProxySettings {
    let external = External {
        config: dir.join("haproxy.cfg"),
        reload: vec!["true".to_owned()],
        runtime_socket: dir.join("own.sock"),
    };
    ProxySettings {
        node: OWN_ID.parse().unwrap(),
        host: "::1".parse().unwrap(),
        service: vec!["0.0.0.0:80".parse().unwrap(), "[::]:80".parse().unwrap(), "0.0.0.0:30080".parse().unwrap()],
        placed: random.random_bool(0.8).then(|| "127.0.0.1:10080".parse().unwrap()),
        handoff: random.random_bool(0.8).then(|| "127.0.0.1:10081".parse().unwrap()),
        sticky: random.random(),
        stages: random.random(),
        gateway_host: ["127.0.0.1", "::1", "localhost"].choose(random).unwrap().parse().unwrap(),
        gateway_port: 8080,
        exporter: random.random_bool(0.5).then(|| "127.0.0.1:8405".parse().unwrap()),
        run_dir: dir.to_path_buf(),
        placed_for: random.random_bool(0.5).then(|| "192.0.2.1:80".parse().unwrap()),
        program: "haproxy".into(),
        init: None,
        user: random.random_bool(0.3).then(|| ("nobody".to_owned(), "nogroup".to_owned())),
        instance: if random.random() { Instance::Managed } else { Instance::External(external) },
    }
}

#[test]
fn haproxy_accepts_every_decision_without_a_warning_and_the_text_repeats() {
    for seed in 0..60 {
        let mut random = StdRng::seed_from_u64(seed);
        let dir = tempfile::tempdir().unwrap();
        let (settings, decision) = (settings(&mut random, dir.path()), decision(&mut random));
        let rendered = render(&settings, &decision);
        assert_eq!(rendered, render(&settings, &decision));
        for (name, text) in rendered.map_files() {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let config = dir.path().join("haproxy.cfg");
        std::fs::write(&config, &rendered.config).unwrap();
        let output = Command::new("haproxy").arg("-c").arg("-f").arg(&config).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !said.contains("WARNING"), "seed {seed}: {said}\n{}", rendered.config);
    }
}

/// Limits and weights that are obeyed before the structure may change.
#[test]
fn a_decision_within_another_has_the_structure_of_that() {
    for seed in 0..300 {
        let mut random = StdRng::seed_from_u64(seed);
        let settings = settings(&mut random, Path::new("/run/dfaas"));
        let (running, new) = (decision(&mut random), decision(&mut random));
        let held = new.within(&running);
        assert_eq!(render(&settings, &held).stamp, render(&settings, &running).stamp, "seed {seed}");
    }
}

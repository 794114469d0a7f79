//! The control plane at work: settings, tables and planes that change under load.

use std::{
    net::IpAddr,
    thread,
    time::{Duration, Instant},
};

use dfaas_agent::{
    kernel::{pins::Pins, tables::Tables},
    status::Status,
};
use dfaas_common::{http::Name, route::SLOT_REFUSE, settings::Control};
use dfaas_tests::{
    client::{Call, Connections, Load, NODE_HEADER},
    federation::Functions,
};

use crate::{Bed, SETTLE};

#[test]
fn a_strategy_is_switched_without_a_lost_request() {
    let bed = Bed::new(|options| options.rate_limits = vec![40]);
    let loads = [Connections::PerCall, Connections::Kept].map(|connections| {
        let call = Call::post(bed.url(0, "/function/figlet"), "hello").timeout(Duration::from_secs(20));
        Load { call, rate: 6.0, duration: None, connections }.start(&bed.from()).unwrap()
    });
    for strategy in ["staticstrategy", "alllocalstrategy", "recalcstrategy"] {
        for i in 0..3 {
            bed.change_settings(i, &[("AGENT_STRATEGY", strategy)]).unwrap();
        }
        bed.wait_until(SETTLE, |statuses| {
            let other = statuses.iter().find(|(_, status)| status.strategy != strategy);
            other.map(|(name, status)| format!("{name} runs {}, expected {strategy}", status.strategy))
        })
        .unwrap();
        // Under static, a part of the calls goes to the peers although the node is not overloaded.
        if strategy == "staticstrategy" {
            bed.wait_until(SETTLE, |statuses| {
                let figlet = statuses[0].1.functions.iter().find(|(name, _)| name.as_str() == "figlet");
                let forwarded = figlet.map_or(0, |(_, function)| function.totals.forwarded);
                (forwarded < 5).then(|| format!("only {forwarded} calls forwarded"))
            })
            .unwrap();
        }
        thread::sleep(Duration::from_secs(2));
    }
    for load in loads {
        let tally = load.stop().unwrap();
        let total = tally.total();
        assert_eq!(total.unsuccessful(), 0, "{:?}\n{}", total.outcomes, tally.troubles());
        assert!(total.calls() >= 30, "only {} calls", total.calls());
    }
    bed.stop();
}

#[test]
fn a_wrong_setting_on_reload_changes_nothing_and_is_told() {
    let bed = Bed::new(|options| options.nodes = 1);
    bed.change_settings(0, &[("AGENT_STRATEGY", "no such")]).unwrap();
    thread::sleep(Duration::from_secs(1));
    assert_eq!(bed.status(0).unwrap().strategy, "recalcstrategy");
    let log = std::fs::read_to_string(&bed.nodes[0].log).unwrap();
    assert!(log.contains("the settings stay as they are") && log.contains("no such"), "{log}");
    bed.stop();
}

#[test]
fn kernel_tables_that_somebody_else_changed_are_put_right() {
    let bed = Bed::new(|options| options.nodes = 1);
    let mut tables = Tables::open(&Pins::new(&bed.nodes[0].pin_dir)).unwrap().unwrap();
    let figlet = Name::new("figlet").unwrap();
    let find = |tables: &Tables| tables.routes().into_iter().find(|(name, _)| *name == figlet).unwrap().1;
    let mut route = find(&tables);
    let good = route;
    route.slots.fill(SLOT_REFUSE);
    route.deployed = 0;
    tables.set_route(&figlet, &route).unwrap();
    let foreign = Name::new("foreign").unwrap();
    tables.set_route(&foreign, &route).unwrap();
    bed.wait_until(SETTLE, |statuses| {
        let repaired = statuses[0].1.planes.kernel.repaired;
        (repaired < 2).then(|| format!("{repaired} entries repaired, expected 2"))
    })
    .unwrap();
    assert_eq!(find(&tables), good);
    assert!(tables.routes().iter().all(|(name, _)| *name != foreign));
    bed.stop();
}

#[test]
fn haproxys_values_that_somebody_else_changed_are_put_right() {
    use std::{io::Write as _, os::unix::net::UnixStream};
    let bed = Bed::new(|options| options.nodes = 1);
    let socket = bed.nodes[0].run_dir.join("haproxy").join("runtime.sock");
    let mut socket = UnixStream::connect(&socket).unwrap_or_else(|e| panic!("{}: {e}", socket.display()));
    socket.write_all(b"set map local_limit.map figlet 0\n").unwrap();
    bed.wait_until(SETTLE, |statuses| {
        let repaired = statuses[0].1.planes.proxy.repaired;
        (repaired == 0).then(|| "nothing repaired".to_owned())
    })
    .unwrap();
    assert_eq!(bed.served(&Call::get(bed.url(0, "/function/figlet"))).1, "n1");
    bed.stop();
}

#[test]
fn a_node_struck_off_the_list_of_members_is_out_of_all_tables_at_once() {
    let mut bed = Bed::new(|options| options.functions = Functions::Lasting);
    let list = bed.directory().join("members");
    let write = |bed: &Bed, members: &[usize]| {
        let ids: Vec<_> = members.iter().map(|i| format!("{}  # {}\n", bed.nodes[*i].id, bed.nodes[*i].name)).collect();
        std::fs::write(&list, ids.concat()).unwrap();
    };
    write(&bed, &[0, 1, 2]);
    bed.change_settings(0, &[("AGENT_PEERS_FILE", list.to_str().unwrap())]).unwrap();
    bed.stop_agent(0).unwrap();
    bed.start_agent(0).unwrap();
    bed.wait_ready(0).unwrap();
    bed.wait_settled(SETTLE).unwrap();

    write(&bed, &[0, 1]);
    bed.change_settings(0, &[]).unwrap();
    let (second, third) = (bed.nodes[1].id.clone(), bed.nodes[2].id.clone());
    bed.wait_until(SETTLE, |statuses| {
        let n1 = &statuses[0].1;
        let known = n1.peers.iter().any(|peer| peer.node == third);
        let granted = n1.functions.values().any(|f| f.limits_in.contains_key(&third) || f.weights.contains_key(&third));
        (known || granted).then(|| format!("n1 still knows n3: {:?}", n1.peers))
    })
    .unwrap();
    assert!(bed.status(0).unwrap().peers.iter().any(|peer| peer.node == second && peer.state == "up"));
    // By its own word it is a node; its calls are those of a stranger.
    let call =
        Call::get(format!("http://{}:30080/function/figlet", bed.nodes[0].address)).header(NODE_HEADER, third.as_str());
    assert_eq!(call.send(&bed.host(2).namespace.entrance().unwrap()).unwrap().status, 403);

    write(&bed, &[0, 1, 2]);
    bed.change_settings(0, &[]).unwrap();
    bed.wait_settled(SETTLE).unwrap();
    bed.stop();
}

#[test]
fn what_the_kernel_knows_of_a_peer_is_put_right_when_somebody_else_changed_it() {
    let bed = Bed::new(|options| options.nodes = 2);
    let mut tables = Tables::open(&Pins::new(&bed.nodes[0].pin_dir)).unwrap().unwrap();
    let sorted = |tables: &Tables| {
        let mut addresses = tables.peer_addresses();
        addresses.sort_unstable();
        addresses
    };
    let good = sorted(&tables);
    assert!(good.iter().any(|(address, _)| *address == IpAddr::from(bed.nodes[1].address)), "{good:?}");
    for (address, _) in &good {
        tables.remove_peer_address(*address).unwrap();
    }
    tables.set_peer_address("192.0.2.1".parse().unwrap(), 0).unwrap();
    let control = tables.control().unwrap();
    tables.set_control(&Control { draining: 1, ..control }).unwrap();
    bed.host(0).namespace.run("ip address flush dev lo to 169.254.64.0/24").unwrap();
    let deadline = Instant::now() + SETTLE;
    while sorted(&tables) != good || tables.control().unwrap() != control {
        assert!(Instant::now() < deadline, "{:?}, expected {good:?}", sorted(&tables));
        thread::sleep(Duration::from_millis(100));
    }
    let alias = || bed.host(0).namespace.run("ip -4 -o address show dev lo").unwrap();
    while !alias().contains("169.254.64.1/32") {
        assert!(Instant::now() < deadline, "{}", alias());
        thread::sleep(Duration::from_millis(100));
    }
    bed.stop();
}

/// Its own kernel says that there is no way to the third node; all else must go on.
#[test]
fn a_peer_without_a_route_keeps_nothing_from_being_obeyed() {
    let bed = Bed::new(|_| {});
    let third = bed.nodes[2].id.clone();
    bed.host(0).namespace.run(&format!("ip route add unreachable {}/32", bed.nodes[2].address)).unwrap();
    let named = |statuses: &[(&str, Status)]| {
        let peer = statuses[0].1.peers.iter().find(|peer| peer.node == third)?;
        peer.trouble.clone()
    };
    bed.wait_until(SETTLE, |statuses| named(statuses).is_none().then(|| "n1 has no trouble with n3".to_owned()))
        .unwrap();
    let before = bed.status(0).unwrap().decision;
    bed.change_settings(0, &[("AGENT_STRATEGY", "staticstrategy")]).unwrap();
    bed.wait_until(SETTLE, |statuses| {
        let n1 = &statuses[0].1;
        let obeyed = n1.strategy == "staticstrategy" && n1.decision > before && n1.planes.kernel.version == n1.decision;
        let error = n1.kernel.error.clone().unwrap_or_default();
        (!obeyed || !error.is_empty()).then(|| {
            format!(
                "n1 runs {}, decision {}, the kernel {} {error}",
                n1.strategy, n1.decision, n1.planes.kernel.version
            )
        })
    })
    .unwrap();
    let trouble = named(&bed.statuses().unwrap()).unwrap();
    assert!(trouble.contains(&format!("no route to {}", bed.nodes[2].address)), "{trouble}");
    bed.host(0).namespace.run(&format!("ip route del unreachable {}/32", bed.nodes[2].address)).unwrap();
    bed.wait_until(SETTLE, |statuses| named(statuses).map(|trouble| format!("still {trouble}"))).unwrap();
    bed.stop();
}

/// Idle is also who is called by nobody while a peer has more than it can serve.
#[test]
fn the_decision_of_an_idle_node_stands_still() {
    let bed = Bed::new(|options| options.rate_limits = vec![5, 100]);
    assert_stands_still(&bed, &[0, 1, 2]);
    let call = Call::post(bed.url(0, "/function/figlet"), "hello").timeout(Duration::from_secs(20));
    let load = Load { call, rate: 20.0, duration: None, connections: Connections::PerCall };
    let load = load.start(&bed.from()).unwrap();
    assert_stands_still(&bed, &[1, 2]);
    load.stop().unwrap();
    bed.stop();
}

fn assert_stands_still(bed: &Bed, nodes: &[usize]) {
    let versions = || nodes.iter().map(|i| bed.status(*i).unwrap().decision).collect::<Vec<_>>();
    // On a busy machine a peer or a load may be late: then it is looked at again.
    let tries: Vec<_> = (0..6)
        .map(|_| {
            let before = versions();
            thread::sleep(Duration::from_secs(5));
            (before, versions())
        })
        .take_while(|(before, after)| before != after)
        .collect();
    assert!(tries.len() < 6, "versions before and after 5 s: {tries:?}");
}

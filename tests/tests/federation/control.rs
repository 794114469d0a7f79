//! The control plane at work: settings, tables and planes that change under load.

use std::{thread, time::Duration};

use dfaas_agent::kernel::{pins::Pins, tables::Tables};
use dfaas_common::{http::Name, route::SLOT_REFUSE};
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

//! Tables that are replaced while calls come in.

use std::{thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use dfaas_agent::kernel::mode::XdpPlace;
use dfaas_common::{
    http::Name,
    route::{Route, fill_slots},
};
use dfaas_tests::client::{Call, Connections, Load};

use crate::bed::{Bed, HANG, PLENTY};

const REPLACEMENTS: u32 = 200;
const INTERVAL: Duration = Duration::from_millis(50);
const RATE: f64 = 60.0;

/// `shared` is run by n2 and n3 for n1.
fn bed() -> Result<Bed> {
    let bed = Bed::new(3, XdpPlace::Native)?;
    bed.deploy(0, "shared", "cat", 0)?;
    bed.deploy(1, "shared", "cat", PLENTY)?;
    bed.deploy(2, "shared", "cat", PLENTY)?;
    bed.wait_to_be_served("shared", 1)?;
    bed.wait_to_be_served("shared", 2)?;
    Ok(bed)
}

/// Calls of `shared` and `near` while the tables are replaced: none may fail.
fn replaced_under_load(bed: &Bed, mut replace: impl FnMut(u32) -> Result<()>) -> Result<()> {
    let start = |function: &str| {
        let call = Call::post(bed.url(function), "hello").timeout(HANG);
        Load { call, rate: RATE, duration: None, connections: Connections::PerCall }.start(&bed.client)
    };
    let loads = [start("shared")?, start("near")?];
    let versions = || Ok::<_, anyhow::Error>(bed.tables(0)?.routes().iter().map(|(_, r)| r.version).max());
    let before = versions()?;
    for n in 0..REPLACEMENTS {
        replace(n)?;
        thread::sleep(INTERVAL);
    }
    for load in loads {
        let tally = load.stop()?;
        let total = tally.total();
        ensure!(total.calls() > 300, "only {} calls", total.calls());
        let bad = total.unsuccessful();
        ensure!(bad == 0, "{bad} of {} calls failed: {}\n{}", total.calls(), tally.troubles(), bed.verdicts());
    }
    for (node, function) in [(0, "near"), (1, "shared"), (2, "shared")] {
        let served = bed.started(node, function)?;
        ensure!(served > 50, "n{} served {served} calls of {function}", node + 1);
    }
    let after = versions()?;
    ensure!(after > before, "tables of version {before:?} were not replaced");
    Ok(())
}

/// By hand, faster than any agent would.
#[test]
fn tables_are_replaced_under_load_without_a_failed_call() {
    let bed = bed().unwrap();
    let name = Name::new("shared").unwrap();
    let number = |node: usize| {
        let id = &bed.federation.nodes[node].id;
        let peers = bed.federation.status(0).unwrap().peers;
        peers.into_iter().find(|peer| peer.node == *id).and_then(|peer| peer.number).unwrap() as u8
    };
    let (n2, n3) = (number(1), number(2));
    let routes = bed.tables(0).unwrap().routes();
    let mut route: Route = routes.into_iter().find(|(n, _)| *n == name).map(|(_, route)| route).unwrap();
    replaced_under_load(&bed, |n| {
        let weights = [[(n2, 1), (n3, 0)], [(n2, 0), (n3, 1)], [(n2, 30), (n3, 70)]][n as usize % 3];
        route.version += 1;
        route.slots = fill_slots(&weights);
        bed.tables(0)?.set_route(&name, &route).context("n1's table")
    })
    .unwrap();
}

/// Through labels, so that agents, grants and HAProxy follow as well.
#[test]
fn limits_are_changed_under_load_without_a_failed_call() {
    let bed = bed().unwrap();
    replaced_under_load(&bed, |n| match n % 3 {
        0 => bed.deploy(0, "near", "cat", PLENTY - n),
        1 => bed.deploy(1, "shared", "cat", PLENTY - n),
        _ => bed.deploy(2, "shared", "cat", PLENTY - n),
    })
    .unwrap();
}

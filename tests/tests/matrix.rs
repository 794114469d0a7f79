//! Nodes on a kernel of a distribution and on drivers of network cards: guests under QEMU, a client beside them.
//!
//! What `cargo xtask matrix` tries at length, in two cells. The kernel is fetched by `cargo xtask matrix --fetch`; the
//! agent is the one that was built beside the tests.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "all of this is a test")]

use std::path::PathBuf;

use dfaas_tests::{
    matrix::{Case, Cell, Kernel, QEMU, Setup},
    stop::Stop,
};

const KERNEL: &str = "6.12";

/// The folder of the programs, in the target folder.
fn programs() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().to_owned()
}

/// What came of all cases that these guests are enough for. Panics if something was wrong.
fn tried(nics: &[&str]) -> Cell {
    let target = programs().parent().unwrap().join("matrix");
    let kernel = Kernel::find(&target.join("kernels"), KERNEL).unwrap_or_else(|error| panic!("{error:#}"));
    let logs = target.join("logs").join(format!("test-{}", nics.join("-")));
    let nics = nics.iter().map(|nic| nic.parse().unwrap()).collect();
    let setup = Setup { kernel, nics, xdp: None, qemu: QEMU.to_owned(), agent: programs().join("dfaas-agent"), logs };
    let cell = Cell::run(&setup, Case::ALL, &Stop::default(), &|text| println!("{text}"));
    let faults = cell.faults();
    assert!(faults.is_empty(), "{}: {}\nlogs: {}", cell.text(), faults.join("\n"), setup.logs.display());
    cell
}

#[test]
fn a_node_on_virtio_serves_echoes_and_refuses_in_the_driver() {
    let cell = tried(&["virtio"]);
    assert_eq!(cell.text(), "handoff, native, ok");
    assert_eq!(cell.cases.len(), Case::ALL.iter().filter(|case| !case.needs_peer()).count());
}

#[test]
fn a_driver_without_room_for_metadata_places_and_hands_over_every_call() {
    let cell = tried(&["vmxnet3", "virtio"]);
    assert_eq!(cell.text(), "handoff, native, ok");
    assert_eq!(cell.cases.len(), Case::ALL.len());
}

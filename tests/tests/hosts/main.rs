//! A node on a host that boots systemd, installed as `deploy/README.md` says: its commands are read from there.

#![allow(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

mod bed;

use std::{
    thread,
    time::{Duration, Instant},
};

use dfaas_agent::kernel::mode::Mode;

use self::bed::{Bed, SETTINGS};

/// For something to come about on a busy machine.
const SOON: Duration = Duration::from_mins(1);

/// Calls until one is answered, then some more, all of which must be.
fn assert_serves(bed: &Bed, what: &str) {
    let deadline = Instant::now() + SOON;
    while let Err(error) = bed.call() {
        assert!(Instant::now() < deadline, "{what}: {error:#}\n{}", bed.journal());
        thread::sleep(Duration::from_millis(200));
    }
    for n in 0..10 {
        bed.call().unwrap_or_else(|error| panic!("{what}, call {n}: {error:#}\n{}", bed.journal()));
    }
}

fn assert_steers(bed: &Bed, what: &str) {
    let status = bed.status().unwrap_or_else(|error| panic!("{what}: {error:#}\n{}", bed.journal()));
    assert_eq!(status.kernel.mode, Mode::Handoff, "{what}: {:?}", status.kernel.why);
    let unwell: Vec<_> = status.components().into_iter().filter(|component| !component.healthy).collect();
    assert!(unwell.is_empty(), "{what}: {unwell:?}");
}

#[test]
fn the_commands_of_the_readme_bring_up_a_node_that_comes_back_after_everything() {
    let Some(mut bed) = Bed::installed() else { return };
    assert_eq!(bed.run("systemctl is-active dfaas-agent").trim(), "active");
    assert_serves(&bed, "first start");
    assert_steers(&bed, "first start");

    bed.host_mut().reboot().unwrap();
    assert_serves(&bed, "after a reboot");
    assert_steers(&bed, "after a reboot");

    bed.run("systemctl stop dfaas-agent && dfaas-agent detach --config /etc/dfaas/dfaas-agent.env");
    bed.run("rm -rf /sys/fs/bpf/dfaas && systemctl start dfaas-agent");
    assert_serves(&bed, "with an empty BPF file system");
    assert_steers(&bed, "with an empty BPF file system");
}

#[test]
fn stopping_killing_and_restarting_the_service_loses_no_call() {
    let Some(mut bed) = Bed::installed() else { return };
    bed.lasting_functions();
    assert_serves(&bed, "before");
    let load = bed.load(10.0);
    thread::sleep(Duration::from_secs(1));
    bed.run("systemctl restart dfaas-agent");
    thread::sleep(Duration::from_secs(1));
    bed.run("systemctl reload dfaas-agent");
    bed.run("systemctl kill --kill-whom=main --signal=KILL dfaas-agent");
    thread::sleep(Duration::from_secs(3));
    bed.run("systemctl stop dfaas-agent; sleep 2; systemctl start dfaas-agent");
    thread::sleep(Duration::from_secs(1));
    let tally = load.stop().unwrap();
    let total = tally.total();
    assert_eq!(total.unsuccessful(), 0, "{:?}\n{}\n{}", total.outcomes, tally.troubles(), bed.journal());
    assert!(total.calls() >= 50, "only {} calls", total.calls());
    assert_steers(&bed, "after all that");
}

#[test]
fn an_interface_that_gets_its_address_late_is_taken_when_it_comes() {
    let Some(mut bed) = Bed::installed() else { return };
    assert_serves(&bed, "before");
    bed.host_mut().stop().unwrap();
    let address = bed.host().address;
    bed.in_network("ip addr flush dev eth0");
    bed.host_mut().launch().unwrap();
    let deadline = Instant::now() + SOON;
    while !bed.journal().contains("eth0 has no IPv4 address yet") {
        assert!(Instant::now() < deadline, "{}", bed.journal());
        thread::sleep(Duration::from_millis(200));
    }
    thread::sleep(Duration::from_secs(15));
    assert_eq!(bed.try_run("systemctl is-active dfaas-agent").1.trim(), "activating");
    bed.in_network(&format!("ip addr add {address}/24 dev eth0"));
    assert_serves(&bed, "with the late address");
    assert_steers(&bed, "with the late address");
}

#[test]
fn settings_that_cannot_be_used_fail_the_start_and_the_reload_with_a_message() {
    let Some(bed) = Bed::installed() else { return };
    assert_serves(&bed, "before");

    bed.run(&format!("sed -i s/^AGENT_MODE=.*/AGENT_MODE=fast/ {SETTINGS}"));
    let (well, text) = bed.try_run("systemctl reload dfaas-agent");
    assert!(!well, "a reload with a wrong value succeeds: {text}");
    assert_eq!(bed.run("systemctl is-active dfaas-agent").trim(), "active");
    assert_serves(&bed, "after the reload");

    let (well, text) = bed.try_run("systemctl restart dfaas-agent");
    assert!(!well, "a start with a wrong value succeeds: {text}");
    assert!(bed.journal().contains("AGENT_MODE=\"fast\""), "{}", bed.journal());
    assert_eq!(bed.try_run("systemctl is-failed dfaas-agent").1.trim(), "failed", "no try after try");

    bed.run(&format!(
        "sed -i s/^AGENT_MODE=.*/AGENT_MODE=auto/ {SETTINGS}; chmod 600 {SETTINGS}; chown root {SETTINGS}"
    ));
    let (well, text) = bed.try_run("systemctl restart dfaas-agent");
    assert!(!well, "a start without readable settings succeeds: {text}");
    assert!(bed.journal().contains("Permission denied"), "{}", bed.journal());

    bed.run(&format!("chmod 640 {SETTINGS}; systemctl restart dfaas-agent"));
    assert_serves(&bed, "with everything right again");
}

#[test]
fn the_unit_is_sound_and_as_closed_as_the_documentation_says() {
    let Some(bed) = Bed::installed() else { return };
    let verified = bed.run("systemd-analyze verify /etc/systemd/system/dfaas-agent.service 2>&1");
    assert_eq!(verified.trim(), "");
    assert_serves(&bed, "before");
    // CAP_NET_BIND_SERVICE is all that HAProxy has of the unit's rights.
    let rights = bed.run("for pid in $(pgrep -u dfaas -x haproxy); do grep CapEff /proc/$pid/status; done");
    assert!(!rights.is_empty() && rights.lines().all(|line| line == "CapEff:\t0000000000000400"), "{rights}");
    let text = bed.run("systemd-analyze security --no-pager dfaas-agent");
    let line = text.lines().find(|line| line.contains("Overall exposure level")).unwrap_or_else(|| panic!("{text}"));
    let figure: f64 = line.split_whitespace().find_map(|word| word.parse().ok()).unwrap();
    assert!(figure <= 2.5, "{line}");
}

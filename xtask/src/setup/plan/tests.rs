use std::collections::{BTreeMap, BTreeSet};

use super::{super::report::State, *};

/// Package and version.
type Lists = BTreeMap<&'static str, &'static str>;

/// A machine of a few fields, whose actions do to it what the real ones would.
#[derive(Clone, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is one thing that may be wrong with a machine")]
struct Simulated {
    /// What the mirror has.
    archive: Lists,
    /// What the lists say; `None` before the first fetch.
    lists: Option<Lists>,
    is_offline: bool,
    is_locked: bool,
    half_installed: bool,
    /// Packages whose installation fails.
    broken: BTreeSet<&'static str>,
    /// `None`: no rustup; else whether it can download.
    rustup: Option<bool>,
    lacks_apt: bool,
    installed: Lists,
    has_nightly: bool,
    has_linker: bool,
    /// What is needed besides the compiler and the linker.
    needs: Vec<(&'static str, Remedy, bool)>,
    acted: Vec<String>,
}

const RUSTC: Remedy = Remedy {
    sets: &[&["rustc-web", "rust-web-src"]],
    least: Some(("rustc-web", "1.95")),
    otherwise: Some(Otherwise::Nightly),
};
const LINKER: Remedy = Remedy { sets: &[], least: None, otherwise: Some(Otherwise::BpfLinker) };
const NODE: Remedy = Remedy { sets: &[&["nodejs", "npm"]], least: Some(("nodejs", "20.0")), otherwise: None };
const BPFTOOL: Remedy = Remedy::packages(&[&["bpftool"], &["linux-tools-common", "linux-tools-generic"]]);

const fn package(sets: &'static [&'static [&'static str]]) -> Remedy {
    Remedy::packages(sets)
}

/// Debian 12 as its mirror has it today.
fn bookworm() -> Lists {
    Lists::from([
        ("rustc-web", "1.96.0+dfsg1-1~deb12u2"),
        ("rust-web-src", "1.96.0+dfsg1-1~deb12u2"),
        ("haproxy", "2.6.12-1+deb12u4"),
        ("iproute2", "6.1.0-3"),
        ("bpftool", "7.1.0+6.1.170-3"),
        ("nodejs", "18.20.4+dfsg-1~deb12u3"),
        ("npm", "9.2.0~ds1-1"),
    ])
}

fn fresh() -> Simulated {
    Simulated {
        archive: bookworm(),
        rustup: Some(false),
        needs: vec![
            ("haproxy", package(&[&["haproxy"]]), false),
            ("ip", package(&[&["iproute2"]]), false),
            ("bpftool", BPFTOOL, false),
            ("node", NODE, true),
        ],
        ..Simulated::default()
    }
}

impl Simulated {
    fn has(&self, remedy: Remedy) -> bool {
        remedy.sets.iter().any(|set| set.iter().all(|package| self.installed.contains_key(package)))
    }

    fn fails(&self, action: &Action) -> Option<Failure> {
        let other = |text: &str| Some(Failure::Other(text.to_owned()));
        match action {
            Action::Repair | Action::Install(_) if self.is_locked => {
                Some(Failure::Locked("could not get lock, held by process 7 (apt)".to_owned()))
            }
            Action::FetchLists if self.is_offline => other("could not resolve the mirror"),
            Action::Install(_) if self.half_installed => other("dpkg was interrupted"),
            Action::Install(names) => {
                let listed = self.lists.clone().unwrap_or_default();
                let is_fetchable = |name: &&str| !self.is_offline && listed.get(*name) == self.archive.get(*name);
                if !names.iter().all(is_fetchable) {
                    return other("404 not found");
                }
                names.iter().any(|name| self.broken.contains(name)).then(|| Failure::Other("post-install".to_owned()))
            }
            Action::Nightly if self.rustup != Some(true) => other("could not download"),
            _ => None,
        }
    }
}

impl Machine for Simulated {
    fn missing(&self) -> Vec<Finding> {
        let linker = ("bpf-linker", LINKER, false, self.has_linker);
        let compiler = ("rustc", RUSTC, false, self.has_compiler());
        let others = self.needs.iter().map(|(what, remedy, optional)| (*what, *remedy, *optional, self.has(*remedy)));
        let all = [compiler, linker].into_iter().chain(others).filter(|(.., is_there)| !is_there);
        all.map(|(what, remedy, optional, _)| Finding {
            what: what.to_owned(),
            needed_for: "x",
            state: State::missing(),
            remedy,
            optional,
        })
        .collect()
    }

    fn has_apt(&self) -> bool {
        !self.lacks_apt
    }

    fn has_lists(&self) -> bool {
        self.lists.is_some()
    }

    fn is_half_installed(&self) -> bool {
        self.half_installed
    }

    fn candidate(&self, package: &str) -> Option<String> {
        self.lists.as_ref()?.get(package).map(|version| (*version).to_owned())
    }

    fn has_rustup(&self) -> bool {
        self.rustup.is_some()
    }

    fn has_compiler(&self) -> bool {
        let fit = |version: &&str| version_is_at_least(version, "1.95");
        self.has_nightly || self.has(RUSTC) && self.installed.get("rustc-web").is_some_and(fit)
    }

    fn act(&mut self, action: &Action) -> Result<(), Failure> {
        self.acted.push(action.to_string());
        assert!(self.acted.len() < 30, "no end: {:?}", self.acted);
        if let Some(failure) = self.fails(action) {
            return Err(failure);
        }
        match action {
            Action::Repair => self.half_installed = false,
            Action::FetchLists => self.lists = Some(self.archive.clone()),
            Action::Install(names) => {
                let versions = names.iter().map(|name| (*name, self.archive[name]));
                self.installed.extend(versions.collect::<Vec<_>>());
            }
            Action::Nightly => self.has_nightly = true,
            Action::BpfLinker => self.has_linker = true,
        }
        Ok(())
    }
}

fn assert_ends_well(mut machine: Simulated) -> Simulated {
    complete(&mut machine).unwrap_or_else(|stuck| panic!("{stuck}\nafter {:?}", machine.acted));
    assert!(machine.missing().iter().all(|finding| finding.optional));
    machine
}

fn assert_stuck(mut machine: Simulated) -> (String, Vec<String>) {
    let stuck = complete(&mut machine).expect_err("nothing is missing").to_string();
    assert!(stuck.ends_with("then again: cargo xtask setup"), "{stuck}");
    (stuck, machine.acted)
}

/// Lists as they were when the image was made: all versions are older, and no longer on the mirror.
fn stale() -> Lists {
    let mut lists = bookworm();
    lists.extend([("rustc-web", "1.85.0+dfsg3-1~deb12u3"), ("rust-web-src", "1.85.0+dfsg3-1~deb12u3")]);
    lists.extend([("haproxy", "2.6.12-1"), ("iproute2", "6.1.0-2")]);
    lists
}

#[test]
fn stale_lists_are_fetched_and_the_compiler_is_chosen_anew() {
    let machine = assert_ends_well(Simulated { lists: Some(stale()), ..fresh() });
    assert!(machine.installed.contains_key("rustc-web"));
    assert!(!machine.acted.iter().any(|action| action.contains("rustup")), "{:?}", machine.acted);
}

#[test]
fn lists_that_know_every_package_and_name_versions_that_are_gone_are_fetched_too() {
    let lists = bookworm().into_iter().map(|(name, version)| (name, if name == "haproxy" { "2.6.9" } else { version }));
    let machine = assert_ends_well(Simulated { lists: Some(lists.collect()), ..fresh() });
    assert_eq!(machine.acted.iter().filter(|action| *action == "apt-get update").count(), 1, "{:?}", machine.acted);
}

#[test]
fn a_machine_that_never_fetched_lists_fetches_them_first() {
    let machine = assert_ends_well(fresh());
    assert_eq!(machine.acted[0], "apt-get update");
}

#[test]
fn lists_that_are_fit_are_not_fetched_again() {
    let machine = assert_ends_well(Simulated { lists: Some(bookworm()), ..fresh() });
    assert!(!machine.acted.contains(&"apt-get update".to_owned()), "{:?}", machine.acted);
}

#[test]
fn an_interrupted_installation_is_finished_first() {
    let machine = assert_ends_well(Simulated { half_installed: true, lists: Some(bookworm()), ..fresh() });
    assert_eq!(machine.acted[0], "dpkg --configure --pending");
}

#[test]
fn a_locked_dpkg_is_told_with_its_holder_and_waited_for_once() {
    let (text, acted) = assert_stuck(Simulated { is_locked: true, lists: Some(bookworm()), ..fresh() });
    assert!(text.contains("held by process 7 (apt)"), "{text}");
    assert_eq!(acted.iter().filter(|action| action.contains("apt-get install")).count(), 1, "{acted:?}");
}

#[test]
fn without_a_network_each_way_is_tried_once_and_the_command_is_told() {
    for lists in [None, Some(stale()), Some(bookworm())] {
        let (text, acted) = assert_stuck(Simulated { is_offline: true, lists, ..fresh() });
        assert!(text.contains("`apt-get update` failed: could not resolve the mirror"), "{text}");
        assert!(text.contains("apt-get update && apt-get install bpftool haproxy iproute2 rust-web-src"), "{text}");
        assert!(acted.len() <= 3, "{acted:?}");
    }
}

#[test]
fn a_rustup_that_cannot_download_is_no_dead_end() {
    let mut archive = bookworm();
    archive.insert("rustc-web", "1.85.0");
    let (text, acted) = assert_stuck(Simulated { archive: archive.clone(), ..fresh() });
    assert!(text.starts_with("still missing: rustc, bpf-linker\n"), "{text}");
    assert!(text.contains("this distribution has rustc-web 1.85.0, expected 1.95 or later"), "{text}");
    assert!(text.contains("by hand: rustup toolchain install nightly-"), "{text}");
    // All else was brought before.
    assert!(acted.last().unwrap().contains("rustup") && acted.iter().any(|action| action.contains("haproxy")));
    let machine = assert_ends_well(Simulated { archive, rustup: Some(true), ..fresh() });
    assert!(machine.has_nightly && machine.has_linker);
}

#[test]
fn what_would_not_serve_is_not_installed() {
    let machine = assert_ends_well(fresh());
    assert!(!machine.installed.contains_key("nodejs") && !machine.installed.contains_key("npm"));
    let trixie = bookworm().into_iter().chain([("nodejs", "20.19.2+dfsg-1")]).collect();
    let machine = assert_ends_well(Simulated { archive: trixie, ..fresh() });
    assert!(machine.installed.contains_key("nodejs") && machine.installed.contains_key("npm"));
}

#[test]
fn one_package_that_cannot_be_installed_does_not_keep_the_others_away() {
    let (text, _) = assert_stuck(Simulated { broken: ["bpftool"].into(), ..fresh() });
    assert!(text.starts_with("still missing: bpftool\n"), "{text}");
    assert!(text.contains("by hand: as root: apt-get update && apt-get install bpftool"), "{text}");
}

#[test]
fn ubuntu_has_bpftool_under_other_names() {
    let mut noble = bookworm();
    noble.remove("bpftool");
    noble.extend([("linux-tools-common", "6.8.0-100.100"), ("linux-tools-generic", "6.8.0-100.100")]);
    let machine = assert_ends_well(Simulated { archive: noble, ..fresh() });
    assert!(machine.installed.contains_key("linux-tools-generic"));
}

#[test]
fn another_distribution_is_told_what_to_install_by_hand() {
    let (text, acted) = assert_stuck(Simulated { lacks_apt: true, rustup: None, ..fresh() });
    assert!(text.contains("no apt-get") && text.contains("haproxy iproute2"), "{text}");
    assert!(acted.is_empty());
}

#[test]
fn an_epoch_is_no_part_of_the_version() {
    assert_eq!((upstream("1:7.5.0-1"), upstream("2.6.12-1")), ("7.5.0-1", "2.6.12-1"));
}

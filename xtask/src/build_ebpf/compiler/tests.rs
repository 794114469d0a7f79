use super::*;

fn candidate(origin: Origin, release: &str, llvm: &str, has_sources: bool) -> Candidate {
    let description = format!("host: x86_64-unknown-linux-gnu\nrelease: {release}\nLLVM version: {llvm}\n");
    Candidate {
        origin,
        rustc: "/t/bin/rustc".into(),
        description: Some(description),
        sysroot: "/t".into(),
        has_sources,
    }
}

fn nightly() -> Origin {
    Origin::Nightly("nightly-x86_64-unknown-linux-gnu".into())
}

#[test]
fn a_nightly_with_sources_goes_before_the_distribution() {
    let found = choose(&[
        candidate(nightly(), "1.97.0-nightly", "22.1.4", true),
        candidate(Origin::Distribution, "1.96.0", "22.1.8", true),
    ]);
    assert_eq!(found.unwrap().origin, nightly());
}

#[test]
fn a_nightly_without_sources_is_passed_over() {
    let found = choose(&[
        candidate(nightly(), "1.97.0-nightly", "22.1.4", false),
        candidate(Origin::Distribution, "1.96.0", "22.1.8", true),
    ]);
    let found = found.unwrap();
    assert_eq!((found.origin, found.version.llvm_major), (Origin::Distribution, 22));
}

#[test]
fn an_unfit_compiler_named_by_hand_is_an_error_and_not_replaced() {
    let error = choose(&[
        candidate(Origin::Environment, "1.85.0", "19.1.7", true),
        candidate(Origin::Distribution, "1.96.0", "22.1.8", true),
    ])
    .unwrap_err();
    assert_eq!(error.refused.len(), 1);
    assert!(error.refused[0].contains(VARIABLE) && error.refused[0].contains("1.85.0"), "{error}");
}

#[test]
fn every_refusal_is_told_with_its_reason() {
    let broken = Candidate { description: None, ..candidate(nightly(), "", "", true) };
    let error = choose(&[
        broken,
        candidate(nightly(), "1.97.0-nightly", "22.1.4", false),
        candidate(nightly(), "1.99.0-nightly", "24.0.0", true),
        candidate(Origin::Distribution, "1.85.0", "19.1.7", true),
    ])
    .unwrap_err()
    .to_string();
    for part in ["does not run", "rust-src", "LLVM 24", "version 1.85.0", "rustc-web rust-web-src", VARIABLE] {
        assert!(error.contains(part), "no `{part}` in: {error}");
    }
}

#[test]
fn the_pinned_nightly_is_tried_first_and_stable_never() {
    let names = ["stable-x", "nightly-2020-01-01-x", "nightly-x86_64", "nightly-2026-07-01-x"];
    let pinned = format!("{KERNEL_NIGHTLY}-x");
    let mut given: Vec<String> = names.map(str::to_owned).to_vec();
    given.push(pinned.clone());
    assert_eq!(in_order(given), [&pinned, "nightly-x86_64", "nightly-2026-07-01-x", "nightly-2020-01-01-x"]);
}

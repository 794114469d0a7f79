//! The verifier accepts every program, and none is larger than it is meant to be.

use dfaas_agent::kernel::object;
use dfaas_tests::bench::programs::{STACK_MAX_BYTES, Sizes};

const FILE: &str = "expected/programs.json";

/// Run as root with `DFAAS_UPDATE_EXPECTED=1`, it writes the file anew: a larger program is a decision.
#[test]
fn no_program_is_larger_than_it_is_meant_to_be() {
    let sizes = Sizes::measure(object::embedded().unwrap()).unwrap_or_else(|error| panic!("{error:#}"));
    let text = serde_json::to_string_pretty(&sizes).unwrap() + "\n";
    println!("{text}");
    // In the package's folder, where cargo runs tests; not by the folder it was built in.
    let file = std::path::absolute(FILE).unwrap();
    if std::env::var_os("DFAAS_UPDATE_EXPECTED").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let grown = sizes.grown(&Sizes::read(&expected).unwrap());
    assert!(grown.is_empty(), "{}", grown.join("\n"));
    for (name, size) in &sizes.programs {
        // What is more would not have been loaded; what is zero was not read.
        assert!((1..=STACK_MAX_BYTES).contains(&size.stack_bytes), "{name}: {size:?}");
        assert!(size.instructions > 0 && size.verified > 0, "{name}: {size:?}");
    }
}

//! Layers: which module may use which.
//!
//! Two rules. In every crate, folders and files beside each other (with all that is below them) use one another in one
//! direction only; what a module shares with its own children does not count. And the crate with a list in
//! `xtask/layers.txt` uses its modules in the order of that list.

mod graph;
mod paths;

use std::{collections::BTreeSet, fs};

use anyhow::{Context, Result, bail};

use crate::{project::Project, step::say};
use graph::{Module, Uses};

const LIST: &str = "xtask/layers.txt";

/// The root file of every crate.
const CRATES: [&str; 11] = [
    "dfaas-agent/src/lib.rs",
    "dfaas-agent/base/src/lib.rs",
    "dfaas-agent/confine/src/lib.rs",
    "dfaas-agent/load/src/lib.rs",
    "dfaas-agent/plot/src/lib.rs",
    "dfaas-agent/program/src/main.rs",
    "dfaas-agent/simulate/src/lib.rs",
    "dfaas-common/src/lib.rs",
    "dfaas-ebpf/src/main.rs",
    "tests/src/lib.rs",
    "xtask/src/main.rs",
];

pub(super) fn check(project: &Project) -> Result<()> {
    say("layers");
    let text = fs::read_to_string(project.root.join(LIST)).with_context(|| format!("cannot read {LIST}"))?;
    let (listed, layers) = parse(&text)?;
    let mut complaints = Vec::new();
    for root in CRATES {
        let uses = Uses::read(&project.root.join(root))?;
        complaints.extend(uses.circles().into_iter().map(|circle| format!("{root}: {circle}")));
        if root == listed {
            complaints.extend(out_of_order(&uses, &layers));
        }
    }
    if !complaints.is_empty() {
        bail!("modules use each other against the layers:\n  {}", complaints.join("\n  "));
    }
    println!("    {} crates without circles, {} layers in {listed}", CRATES.len(), layers.len());
    Ok(())
}

/// Names of modules that stand on the same step.
type Layer = BTreeSet<String>;

/// The first line that is no comment names the crate; each one after it is a layer, the lowest first.
fn parse(text: &str) -> Result<(&str, Vec<Layer>)> {
    let mut lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let root = lines.by_ref().find(|line| !line.is_empty()).with_context(|| format!("{LIST} names no crate"))?;
    let layers = lines.filter(|line| !line.is_empty());
    Ok((root, layers.map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()))
}

/// Uses of a module that is not on a lower layer, and modules that are on none.
fn out_of_order(uses: &Uses, layers: &[Layer]) -> Vec<String> {
    let place = |name: &str| layers.iter().position(|layer| layer.contains(name));
    let mut complaints = Vec::new();
    for name in uses.top_modules().iter().filter(|name| place(name).is_none()) {
        complaints.push(format!("the module {name} is on no layer of {LIST}"));
    }
    for name in layers.iter().flatten().filter(|name| !uses.top_modules().contains(*name)) {
        complaints.push(format!("{LIST} names {name}, which is no module"));
    }
    for (from, to) in uses.between_tops() {
        let (Some(upper), Some(lower)) = (place(&from[0]), place(&to[0])) else { continue };
        if lower >= upper {
            complaints.push(format!("{} uses {}, which is not on a lower layer", shown(from), shown(to)));
        }
    }
    complaints
}

fn shown(module: &Module) -> String {
    if module.is_empty() { "crate".to_owned() } else { module.join("::") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uses(files: &[(&str, &str)]) -> Uses {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Uses::read(&folder.path().join("lib.rs")).unwrap()
    }

    #[test]
    fn a_circle_is_named_with_the_files_that_close_it() {
        let circle = uses(&[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "mod deep;"),
            ("a/deep.rs", "fn f() { println!(\"{}\", crate::b::X); }"),
            ("b.rs", "use super::a::{self, Y};"),
        ]);
        assert_eq!(circle.circles(), ["a, b in a circle: a::deep uses b; b uses a"]);
    }

    #[test]
    fn parents_and_children_may_use_each_other_and_tests_everything() {
        let none = uses(&[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "mod deep; use self::deep::Z; pub struct Y; #[cfg(test)] mod tests { use crate::b::X; }"),
            ("a/deep.rs", "use super::Y; pub struct Z;"),
            ("b.rs", "use crate::a::Y; pub const X: u8 = 1;"),
        ]);
        assert!(none.circles().is_empty(), "{:?}", none.circles());
    }

    #[test]
    fn what_uses_a_higher_layer_or_stands_on_none_is_named() {
        let uses = uses(&[
            ("lib.rs", "mod a; mod b; mod c; mod d;"),
            ("a.rs", "use crate::b::X;"),
            ("b.rs", ""),
            ("c.rs", "use crate::{b, a};"),
            ("d.rs", ""),
        ]);
        let (root, layers) = parse("# lowest first\nlib.rs\n\na b # both\nc\nd old\n").unwrap();
        assert_eq!((root, layers.len()), ("lib.rs", 3));
        assert_eq!(
            out_of_order(&uses, &layers),
            ["xtask/layers.txt names old, which is no module", "a uses b, which is not on a lower layer"]
        );
        let (_, without_d) = parse("lib.rs\na\nb\nc").unwrap();
        assert_eq!(out_of_order(&uses, &without_d)[0], "the module d is on no layer of xtask/layers.txt");
    }
}

//! docs/compatibility.md: every defect of the original has a row, and every row a test that exists.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    // Cargo runs tests in the package's folder.
    Path::new("..").to_path_buf()
}

fn rows() -> Vec<Vec<String>> {
    let text = fs::read_to_string(root().join("docs/compatibility.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| "));
    rows.map(|row| row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// Names of all functions with `#[test]` or a kind of it.
fn tests(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let after_attribute = text.split("test]").skip(1).chain(text.split("test(").skip(1));
            found.extend(after_attribute.filter_map(|rest| {
                let (_, name) = rest.split_once("fn ")?;
                Some(name.split('(').next()?.to_owned())
            }));
        }
    }
}

#[test]
fn every_defect_of_the_original_has_its_row() {
    let numbers: Vec<String> = rows().into_iter().filter_map(|row| row.first().cloned()).collect();
    for n in 1..=19 {
        let rows = numbers.iter().filter(|number| **number == format!("B{n}")).count();
        assert_eq!(rows, 1, "rows of B{n}");
    }
}

#[test]
fn every_row_names_tests_that_exist() {
    let mut known = BTreeSet::new();
    for folder in ["dfaas-agent", "dfaas-common/src", "tests/src", "tests/tests"] {
        tests(&root().join(folder), &mut known);
    }
    for row in rows() {
        let cell = row.last().unwrap();
        if cell == "test" || cell == "none" {
            continue;
        }
        let names: Vec<&str> = cell.split(", ").map(|name| name.trim_matches('`')).collect();
        assert!(!names.is_empty(), "{row:?}");
        for name in names {
            assert!(known.contains(name), "{name:?} is no test: {row:?}");
        }
    }
}

use std::{collections::BTreeSet, env, fs, path::PathBuf};

use super::*;

fn corpus() -> PathBuf {
    PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("corpus")
}

/// Each finding stays as an input here.
#[test]
fn every_input_that_is_kept_is_read_without_a_complaint() {
    for (name, read) in targets() {
        let folder = corpus().join(name);
        let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut tried = 0;
        for file in files {
            let file = file.unwrap().path();
            println!("{}", file.display());
            let input = fs::read(&file).unwrap();
            // Whole, and cut off anywhere.
            (0..=input.len().min(4096)).for_each(|end| read(&input[..end]));
            read(&input);
            tried += 1;
        }
        assert!(tried > 0, "{} is empty", folder.display());
    }
}

#[test]
fn every_folder_of_inputs_has_its_target() {
    let folders = fs::read_dir(corpus()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let targets: Vec<String> = targets().map(|(name, _)| name.to_owned()).collect();
    let names: BTreeSet<String> = targets.iter().cloned().collect();
    assert_eq!(names.len(), targets.len(), "a name twice: {targets:?}");
    assert_eq!(folders.collect::<BTreeSet<_>>(), names);
}

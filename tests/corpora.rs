//! Replays the inputs kept from fuzzing: see fuzz/src/lib.rs.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../fuzz/src/lib.rs"]
mod fuzz;

use std::{collections::BTreeSet, fs, path::Path};

fn corpus() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus"))
}

#[test]
fn every_target_takes_its_corpus() {
    for (name, target) in fuzz::TARGETS {
        let mut inputs = 0;
        for entry in fs::read_dir(corpus().join(name)).unwrap() {
            let path = entry.unwrap().path();
            // Captured by the test harness, so shown only if the target panics.
            eprintln!("{}", path.display());
            target(&fs::read(&path).unwrap());
            inputs += 1;
        }
        assert!(inputs > 10, "the corpus of {name} has {inputs} inputs");
    }
}

#[test]
fn every_corpus_has_its_target_and_every_target_its_program() {
    let names = |folder: &Path| -> BTreeSet<String> {
        let stem = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
        fs::read_dir(folder).unwrap().map(|entry| stem(&entry.unwrap().path())).collect()
    };
    let targets: BTreeSet<String> = fuzz::TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(corpus()), targets);
    assert_eq!(names(&corpus().with_file_name("fuzz_targets")), targets);
}

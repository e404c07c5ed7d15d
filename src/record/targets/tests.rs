//! The tasks that are followed from the start.

use std::process::{Command, id};

use super::*;

#[test]
fn a_process_that_does_not_exist_is_named() {
    check(&[]).unwrap();
    check(&[id(), 1]).unwrap();
    for missing in [4_194_305, u32::MAX] {
        let error = check(&[id(), missing]).unwrap_err().to_string();
        assert!(error.contains(&missing.to_string()), "{error}");
    }
}

#[test]
fn a_process_comes_with_its_descendants() {
    let mut shell = Command::new("sh");
    shell.args(["-c", "sleep 10 & echo $!; read line; kill $!"]);
    let mut child =
        shell.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let output = child.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line).unwrap();
    let grandchild: u32 = line.trim().parse().unwrap();
    let found = with_descendants(&[child.id()]).unwrap();
    assert_eq!(found, BTreeSet::from([child.id(), grandchild]));
    assert!(with_descendants(&[id()]).unwrap().is_superset(&found));
    assert_eq!(with_descendants(&[]).unwrap(), BTreeSet::new());
    drop(child.stdin.take());
    child.wait().unwrap();
}

#[test]
fn all_threads_of_a_process_are_listed() {
    let found = threads(id());
    let own = u32::try_from(rustix::thread::gettid().as_raw_nonzero().get()).unwrap();
    assert!(found.contains(&id()) && found.contains(&own), "{found:?}");
    assert_eq!(threads(4_194_305), Vec::<u32>::new());
}

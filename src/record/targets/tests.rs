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
    let found: Vec<_> = threads(id()).iter().map(|thread| thread.tid).collect();
    let own = rustix::thread::gettid().as_raw_nonzero().get();
    assert!(found.contains(&(id() as i32)) && found.contains(&own), "{found:?}");
    assert!(threads(4_194_305).is_empty());
}

#[test]
fn a_thread_ends_when_its_process_is_a_zombie() {
    let mut child =
        Command::new("sh").args(["-c", "read line"]).stdin(std::process::Stdio::piped()).spawn().unwrap();
    let threads = threads(child.id());
    assert!(threads.len() == 1 && !ends(&threads[0]));
    drop(child.stdin.take());
    for _ in 0..500 {
        if ends(&threads[0]) {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(ends(&threads[0]), "a zombie");
    child.wait().unwrap();
    assert!(ends(&threads[0]), "nothing is left of it");
}

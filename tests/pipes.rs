//! Captures written to pipes, and names in messages: no reader, a reader that stops, a closed stdout. Needs root.

#![allow(clippy::unwrap_used)]

mod common;

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use common::{file, run, scapd};
use rustix::{
    pipe::fcntl_setpipe_size,
    process::{Pid, Signal, kill_process},
};
use scap::format::Reader;
use tempfile::TempDir;

/// The time limit for a recorder's end on a busy machine.
const SOON: Duration = Duration::from_secs(30);

fn fifo() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "fifo");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    (folder, path)
}

fn record(path: &Path, options: &[&str]) -> Child {
    let mut command = scapd();
    command.args(["record", "-q", "-w"]).arg(path).args(options).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits for the recorder's end, and returns its exit code and stderr. Kills it after the limit.
fn ended(mut recorder: Child) -> (Option<i32>, String) {
    let started = Instant::now();
    while recorder.try_wait().unwrap().is_none() && started.elapsed() < SOON {
        sleep(Duration::from_millis(20));
    }
    let _ = recorder.kill();
    let code = recorder.wait().unwrap().code();
    let mut said = String::new();
    recorder.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (code, said)
}

#[test]
fn a_pipe_that_nobody_reads_is_given_up() {
    let (_folder, path) = fifo();
    let (code, said) = ended(record(&path, &["--duration", "1s"]));
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("no reader has opened") && said.contains("nothing was recorded"), "{said}");
    let recorder = record(&path, &[]);
    sleep(Duration::from_secs(2));
    kill_process(Pid::from_child(&recorder), Signal::TERM).unwrap();
    let (code, said) = ended(recorder);
    assert_eq!(code, Some(5), "{said}");
}

#[test]
fn a_reader_that_comes_late_gets_everything() {
    let (_folder, path) = fifo();
    let recorder = record(&path, &["--syscalls", "getcwd", "--", "true"]);
    sleep(Duration::from_secs(2));
    let mut reader = Reader::new(fs::File::open(&path).unwrap()).unwrap();
    while reader.next_event().unwrap().is_some() {}
    assert_eq!(ended(recorder).0, Some(0));
}

#[test]
fn a_reader_that_stops_does_not_hold_up_the_end() {
    let (_folder, path) = fifo();
    // Opened for reading and writing, as that does not wait for the writer.
    let reader = fs::File::options().read(true).write(true).open(&path).unwrap();
    // Full even on a quiet machine.
    fcntl_setpipe_size(&reader, 4096).unwrap();
    let (code, said) = ended(record(&path, &["--duration", "1s"]));
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("stopped reading") && said.contains("events lost"), "{said}");
    drop(reader);
    let recorder = record(&path, &[]);
    let reader = fs::File::open(&path).unwrap();
    fcntl_setpipe_size(&reader, 4096).unwrap();
    sleep(Duration::from_secs(2));
    kill_process(Pid::from_child(&recorder), Signal::TERM).unwrap();
    let (code, said) = ended(recorder);
    assert_eq!(code, Some(5), "{said}");
    assert!(!said.contains("nothing lost"), "{said}");
    drop(reader);
}

#[test]
fn a_slow_reader_is_waited_for() {
    let (_folder, path) = fifo();
    let recorder = record(&path, &["--syscalls", "getcwd", "--duration", "1s"]);
    let mut pipe = fs::File::open(&path).unwrap();
    sleep(Duration::from_secs(2));
    // The reader takes a pipe's worth in less than the patience, but for longer than the patience.
    let (mut bytes, mut part) = (Vec::new(), vec![0; 16 << 10]);
    for _ in 0..5 {
        let read = pipe.read(&mut part).unwrap();
        bytes.extend_from_slice(&part[..read]);
        sleep(Duration::from_millis(900));
    }
    pipe.read_to_end(&mut bytes).unwrap();
    let (code, said) = ended(recorder);
    assert_eq!(code, Some(0), "{said}");
    let mut reader = Reader::new(&bytes[..]).unwrap();
    while reader.next_event().unwrap().is_some() {}
}

#[test]
fn a_closed_stdout_is_an_error() {
    for arguments in ["record -q -w - -- true", "record -q -w /dev/stdout -- true", "list events", "check"] {
        let script = format!("exec \"$0\" {arguments} >&-");
        let (code, _, said) = run(Command::new("sh").args(["-c", &script, env!("CARGO_BIN_EXE_scapd")]));
        assert_eq!(code, Some(5), "{arguments}: {said}");
        assert!(said.contains("stdout is closed"), "{arguments}: {said}");
    }
    // A stdout opened on /dev/null is intended.
    for mode in [">", "<>"] {
        let script = format!("exec \"$0\" record -q -w - -- true 1{mode}/dev/null");
        let (code, _, said) = run(Command::new("sh").args(["-c", &script, env!("CARGO_BIN_EXE_scapd")]));
        assert_eq!(code, Some(0), "{said}");
    }
}

#[test]
fn a_name_makes_no_line_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let name = "x\nscapd: complete, nothing lost\n.scap";
    let (path, missing) = (folder.path().join(name), folder.path().join("no\nsuch").join(name));
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let record = |path: &Path| {
        let mut command = scapd();
        command.args(["record", "--syscalls", "getcwd", "-w"]).arg(path);
        command
    };
    let mut commands = vec![record(&path), record(&missing), record(&path), record(&path), record(&path)];
    for command in &mut commands {
        command.args(["--duration", "1s"]);
    }
    commands[2].args(["--stats-file", &text(&missing)]);
    commands[3].args(["-e", "1000000", "-W", "2", "--write-manifest"]);
    commands[4].args(["--", &text(&missing)]);
    for what in ["verify", "repair", "info", "read"] {
        for path in [&path, &missing] {
            let mut command = scapd();
            command.arg(what).arg(path);
            commands.push(command);
        }
    }
    for mut command in commands {
        let (_, out, said) = run(&mut command);
        let forged = out.lines().chain(said.lines()).find(|line| line.starts_with("scapd: complete"));
        assert_eq!(forged, None, "{command:?}\n{out}{said}");
    }
}

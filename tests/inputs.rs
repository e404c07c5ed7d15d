//! What `scapd read` reads: several captures, folders, growing files, a part of the time. Needs no kernel.

#![allow(clippy::unwrap_used)]

mod common;

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use common::{read_until, run, scapd};
use rustix::{
    fs::{FlockOperation, flock},
    process::{Pid, Signal, kill_process},
};
use scap::{
    events::event_by_program,
    format::{EventBuilder, MachineState, Value, frame_event, write_state},
};
use tempfile::TempDir;

/// 2023-11-14 22:13:20 UTC.
const START: u64 = 1_700_000_000;

/// The bytes of an event of thread 1 at a second after [`START`].
fn event(program: &str, second: u64, params: &[Value<'_>]) -> Vec<u8> {
    let start = EventBuilder::new(event_by_program(program).unwrap(), (START + second) * 1_000_000_000, 1);
    let event = params.iter().fold(start, |event, param| event.param(*param).unwrap());
    let mut bytes = Vec::new();
    frame_event(&mut bytes, 0, &event.build_short().unwrap());
    bytes
}

/// The bytes of close events at these seconds; the descriptor is the second.
fn events(seconds: &[u64]) -> Vec<u8> {
    let close = |second: &u64| event("close_e", *second, &[Value::Fd(*second as i64)]);
    seconds.iter().flat_map(close).collect()
}

fn capture(seconds: &[u64]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_state(&mut bytes, &MachineState::default()).unwrap();
    bytes.extend(events(seconds));
    bytes
}

/// A folder with captures of these names and seconds.
fn folder(captures: &[(&str, &[u64])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, seconds) in captures {
        fs::write(folder.path().join(name), capture(seconds)).unwrap();
    }
    folder
}

fn read(folder: &Path, args: &[&str]) -> Command {
    let mut command = scapd();
    command.current_dir(folder).env("TZ", "UTC").arg("read").args(args);
    command
}

/// The numbers of the descriptors in the lines.
fn fds(text: &str) -> Vec<u64> {
    text.lines().map(|line| line.rsplit("fd=").next().unwrap().parse().unwrap()).collect()
}

fn shown(folder: &TempDir, args: &[&str]) -> Vec<u64> {
    let (code, out, said) = run(&mut read(folder.path(), args));
    assert_eq!((code, &*said), (Some(0), ""), "{args:?}");
    fds(&out)
}

#[test]
fn captures_are_read_in_the_order_of_their_times() {
    let folder = folder(&[("s10.scap", &[7, 8]), ("s2.scap", &[3, 5]), ("other.txt", &[1])]);
    assert_eq!(shown(&folder, &["s10.scap", "s2.scap"]), [3, 5, 7, 8]);
    assert_eq!(shown(&folder, &["."]), [3, 5, 7, 8]);
    assert_eq!(shown(&folder, &[".", "other.txt", "evt.num > 1"]), [3, 5, 7, 8]);
    let (_, out, _) = run(&mut read(folder.path(), &["."]));
    let numbers: Vec<_> = out.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(numbers, ["1", "2", "3", "4"], "they are numbered as one");
}

#[test]
fn an_empty_folder_and_a_missing_file_are_said() {
    let folder = folder(&[("a.scap", &[1])]);
    fs::create_dir(folder.path().join("empty")).unwrap();
    let (code, _, said) = run(&mut read(folder.path(), &["empty"]));
    assert!(
        code == Some(1) && said.contains("cannot open empty: this folder has no captures"),
        "{code:?} {said}"
    );
    let (code, out, said) = run(&mut read(folder.path(), &["a.scap", "b.scap"]));
    assert_eq!((code, &*out), (Some(2), ""));
    assert!(said.contains("b.scap is no file"), "{said}");
}

#[test]
fn a_part_of_the_time_is_shown() {
    let folder = folder(&[("a.scap", &[1, 2, 3]), ("b.scap", &[4, 5]), ("c.scap", &[6, 9])]);
    assert_eq!(shown(&folder, &["a.scap", "--from", "1s", "--to", "22:13:23"]), [2, 3]);
    assert_eq!(shown(&folder, &[".", "--from", "2s", "--to", "5s"]), [3, 4, 5, 6]);
    assert_eq!(shown(&folder, &[".", "--from", "2023-11-14T22:13:25Z"]), [5, 6, 9]);
    assert_eq!(shown(&folder, &[".", "--to", "2023-11-14 22:13"]), [0; 0]);
    // A file that ends before is not read.
    fs::OpenOptions::new()
        .append(true)
        .open(folder.path().join("a.scap"))
        .unwrap()
        .write_all(b"damage")
        .unwrap();
    assert_eq!(shown(&folder, &[".", "--from", "22:13:25"]), [5, 6, 9]);
    assert_eq!(run(&mut read(folder.path(), &[".", "--from", "22:13:22"])).0, Some(6));
}

/// A recorder that holds the lock on its file, as scapd does.
struct Recorder(File);

impl Recorder {
    fn start(path: &Path, seconds: &[u64]) -> Recorder {
        let mut file = File::create(path).unwrap();
        flock(&file, FlockOperation::LockExclusive).unwrap();
        file.write_all(&capture(seconds)).unwrap();
        Recorder(file)
    }

    fn record(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }
}

/// Starts a reader. It ends after 30 s, so that a line that never comes fails a test.
fn start(command: &mut Command) -> (Child, BufReader<ChildStdout>) {
    let mut limited = Command::new("timeout");
    limited.args(["--foreground", "-k", "5", "30", env!("CARGO_BIN_EXE_scapd")]).args(command.get_args());
    limited.current_dir(command.get_current_dir().unwrap());
    let mut child = limited.stdout(Stdio::piped()).spawn().unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    (child, out)
}

fn next(out: &mut BufReader<ChildStdout>) -> Vec<u64> {
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    fds(&line)
}

#[test]
fn a_capture_is_followed_until_its_recorder_ends() {
    let folder = tempfile::tempdir().unwrap();
    let partial = folder.path().join("a.scap.partial");
    let mut recorder = Recorder::start(&partial, &[1]);
    let (mut child, mut out) = start(&mut read(folder.path(), &["--follow", "a.scap"]));
    assert_eq!(next(&mut out), [1]);
    // Half an event is waited for.
    let event = events(&[2]);
    recorder.record(&event[..10]);
    recorder.record(&event[10..]);
    assert_eq!(next(&mut out), [2]);
    fs::rename(&partial, folder.path().join("a.scap")).unwrap();
    recorder.record(&events(&[3]));
    assert_eq!(next(&mut out), [3]);
    drop(recorder);
    assert_eq!(next(&mut out), [0; 0]);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn what_is_shown_does_not_wait_for_an_event_that_is() {
    let folder = tempfile::tempdir().unwrap();
    let _recorder = Recorder::start(&folder.path().join("a.scap"), &[1, 2]);
    let (mut child, mut out) = start(&mut read(folder.path(), &["--follow", "a.scap", "evt.num = 1"]));
    assert_eq!(next(&mut out), [1]);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The times of the events are no times of the test: only what comes, and what does not, counts.
#[test]
fn a_call_that_has_not_returned_is_shown_before_it_returns() {
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = Recorder::start(&folder.path().join("a.scap"), &[1]);
    let returned = event("close_x", 1, &[Value::Errno(0), Value::Fd(1)]);
    let (mut child, mut out) = start(&mut read(folder.path(), &["--follow", "--calls", "a.scap"]));
    assert_eq!(read_until(&mut out, "(1"), "22:13:21.000000 1 close(1");
    recorder.record(&returned);
    assert_eq!(read_until(&mut out, "\n"), ") = 0 <0.000000>\n");
    drop(recorder);
    assert_eq!(child.wait().unwrap().code(), Some(0));

    let mut command = Command::new("timeout");
    command.args(["-k", "5", "30", env!("CARGO_BIN_EXE_scapd"), "read", "--calls", "-"]).env("TZ", "UTC");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut input, mut out) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    input.write_all(&capture(&[1])).unwrap();
    assert_eq!(read_until(&mut out, "(1"), "22:13:21.000000 1 close(1");
    input.write_all(&returned).unwrap();
    assert_eq!(read_until(&mut out, "\n"), ") = 0 <0.000000>\n");
    drop(input);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn new_captures_of_a_folder_are_followed() {
    let folder = folder(&[("s1.scap", &[1])]);
    let (mut child, mut out) = start(&mut read(folder.path(), &["--follow", ".", "evt.num > 0"]));
    assert_eq!(next(&mut out), [1]);
    let recorder = Recorder::start(&folder.path().join("s2.scap.partial"), &[2]);
    assert_eq!(next(&mut out), [2]);
    fs::rename(folder.path().join("s2.scap.partial"), folder.path().join("s2.scap")).unwrap();
    drop(recorder);
    fs::write(folder.path().join("s3.scap"), capture(&[3])).unwrap();
    assert_eq!(next(&mut out), [3]);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(next(&mut out), [0; 0]);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn what_a_recorder_has_not_finished_is_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = Recorder::start(&folder.path().join("a.scap.partial"), &[1, 2]);
    recorder.record(&events(&[3])[..10]);
    assert_eq!(shown(&folder, &["."]), [1, 2]);
    drop(recorder);
    assert_eq!(run(&mut read(folder.path(), &["."])).0, Some(6));
}

//! `scapd trace`: what is recorded is shown at once. Needs root.

#![allow(clippy::unwrap_used)]

mod common;

use std::{
    fs,
    io::{self, Write},
    process::{Command, Stdio},
};

use common::{file, read_until, run};
use rustix::process::{Pid, Signal, kill_process};

/// A trace that ends after a minute at the latest.
fn trace(args: &[&str]) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--foreground", "-s", "KILL", "120", env!("CARGO_BIN_EXE_scapd"), "trace"]).args(args);
    command
}

#[test]
fn the_calls_of_a_command_are_shown_beside_its_output() {
    let script = "cat /etc/hostname; exit 3";
    let (code, out, said) = run(&mut trace(&["--syscalls", "openat", "--", "sh", "-c", script]));
    assert_eq!(code, Some(3), "{said}");
    assert_eq!(out, fs::read_to_string("/etc/hostname").unwrap());
    assert!(said.lines().any(|line| line.contains("openat") && line.contains("/etc/hostname")), "{said}");
    let folder = tempfile::tempdir().unwrap();
    let lines = file(&folder, "lines");
    let args = ["-o", lines.to_str().unwrap(), "--syscalls", "openat", "--", "cat", "/etc/hostname"];
    let (code, _, said) = run(&mut trace(&args));
    assert_eq!((code, &*said), (Some(0), ""));
    assert!(fs::read_to_string(&lines).unwrap().contains("/etc/hostname"));
}

#[test]
fn only_what_matches_is_shown_and_only_so_much() {
    let script = "cat /etc/hostname /etc/passwd /etc/group";
    let filter = "evt.type = openat and proc.name = cat";
    let (code, _, said) = run(&mut trace(&["-n", "2", filter, "--", "sh", "-c", script]));
    assert_eq!(code, Some(0), "{said}");
    let lines: Vec<_> = said.lines().collect();
    assert!(
        lines.len() == 2 && lines.iter().all(|line| line.contains("openat") && line.contains("cat")),
        "{said}"
    );
    let (code, _, said) = run(&mut trace(&["proc.nam = cat", "--", "true"]));
    assert!(code == Some(2) && said.contains("did you mean proc.name?"), "{said}");
}

#[test]
fn a_running_process_is_traced_until_a_signal_comes() {
    let script = "while :; do : </etc/hostname; sleep 0.05; done";
    let mut process = Command::new("sh").args(["-c", script]).spawn().unwrap();
    let pid = process.id().to_string();
    let mut tracer = trace(&["-p", &pid, "evt.type = openat"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(tracer.stdout.take().unwrap()));
    // While both still run. The first one can be of a sleep.
    assert!(lines.any(|line| line.unwrap().contains("/etc/hostname")));
    // Not SIGINT, which stays ignored where a script has started the tests in the background.
    kill_process(Pid::from_child(&tracer), Signal::TERM).unwrap();
    // All of it, before it is waited for: on a slow machine, there is more than a pipe takes.
    assert!(lines.all(|line| line.unwrap().contains("openat")));
    assert_eq!(tracer.wait().unwrap().code(), Some(0));
    process.kill().unwrap();
    process.wait().unwrap();
}

#[test]
fn a_call_that_blocks_is_shown_at_once() {
    let command = ["--", "dd", "bs=77", "count=2", "status=none"];
    let mut child = trace(&[&["--syscalls", "read", "evt.rawarg.size = 77"], &command[..]].concat());
    let child = child.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = child.spawn().unwrap();
    let (mut input, mut said) = (child.stdin.take().unwrap(), child.stderr.take().unwrap());
    // dd waits for what is written below.
    let first = read_until(&mut said, "]>");
    assert!(first.contains("<dd> read(0<pipe:[") && !first.contains('\n'), "{first:?}");
    input.write_all(b"ab").unwrap();
    let rest = read_until(&mut said, "\n");
    let time = rest.strip_prefix(", \"ab\", 77) = 2 <").and_then(|rest| rest.strip_suffix(">\n"));
    assert!(time.is_some_and(|time| time.parse::<f64>().unwrap() > 0.05), "{rest:?}");
    let second = read_until(&mut said, "]>");
    assert!(second.contains("<dd> read(0<pipe:[") && !second.contains('\n'), "{second:?}");
    drop(input);
    let rest = io::read_to_string(&mut said).unwrap();
    assert!(rest.starts_with(", \"\", 77) = 0 <") && rest.lines().count() == 1, "{rest:?}");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_call_that_blocks_is_shown_while_others_are_recorded() {
    // What the filter leaves out comes all the time; and the line that another one interrupts is resumed.
    let script = "(while :; do stat / >/dev/null; done) & cat; kill $!; wait; :";
    let filter = "proc.name = cat and evt.type in (read, write)";
    let mut child = trace(&[filter, "--", "sh", "-c", script]);
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let (input, mut said) = (child.stdin.take().unwrap(), child.stderr.take().unwrap());
    let shown = read_until(&mut said, "read(0<");
    assert!(shown.ends_with("<cat> read(0<"), "{shown:?}");
    drop(input);
    assert!(io::read_to_string(&mut said).unwrap().contains(", \"\", 131072) = 0 <"));
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn what_cannot_be_traced_is_said() {
    let (code, _, said) = run(&mut trace(&["--", "/no/such/command"]));
    assert_eq!(
        (code, said.trim_end()),
        (Some(127), "scapd: cannot run /no/such/command: there is no such program")
    );
    let (code, _, said) = run(&mut trace(&["-o", "/no/such/folder/x", "--", "true"]));
    assert!(code == Some(1) && said.contains("cannot create /no/such/folder/x"), "{code:?} {said}");
}

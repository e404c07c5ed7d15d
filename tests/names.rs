//! The names in a capture of some calls: right by default, as the calls that change them are also recorded. Needs root.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::PathBuf;

use common::{Capture, file, number, run, scapd};
use scap::events::{Arch, Syscall};
use tempfile::TempDir;

/// A recording of a command.
struct Recorded {
    folder: TempDir,
    path: PathBuf,
    said: String,
}

impl Recorded {
    /// Records a command with these options; FOLDER in it becomes a directory of the test's own.
    fn of(options: &[&str], command: &[&str]) -> Recorded {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder, "names.scap");
        let here = folder.path().to_str().unwrap();
        let command = command.iter().map(|word| word.replace("FOLDER", here));
        let (code, _, said) =
            run(scapd().args(["record", "-w"]).arg(&path).args(options).arg("--").args(command));
        assert_eq!(code, Some(0), "{said}");
        let (code, verified, _) = run(scapd().arg("verify").arg(&path));
        assert_eq!(code, Some(0), "{verified}");
        Recorded { folder, path, said }
    }

    fn read(&self, options: &[&str]) -> String {
        let (code, lines, said) = run(scapd().arg("read").args(options).arg(&self.path));
        assert_eq!(code, Some(0), "{said}");
        lines
    }

    fn info(&self, options: &[&str]) -> serde_json::Value {
        let (_, json, _) = run(scapd().args(["info", "--json"]).args(options).arg(&self.path));
        serde_json::from_str(&json).unwrap()
    }

    /// Returns the single line with all of these texts.
    fn line(&self, texts: &[&str]) -> String {
        let all = self.read(&[]);
        let lines: Vec<_> = all.lines().filter(|line| texts.iter().all(|text| line.contains(text))).collect();
        assert_eq!(lines.len(), 1, "{texts:?} in {all}");
        lines[0].to_owned()
    }
}

fn perl(script: &str) -> [&str; 3] {
    ["perl", "-e", script]
}

/// Returns code that calls access by its number, if this machine has such a call: arm64 has not.
fn access(path: &str) -> Option<String> {
    let number = Syscall::by_name("access").unwrap().number(Arch::NATIVE)?;
    Some(format!("my $p = '{path}'; syscall({number}, $p, 0)"))
}

#[test]
fn a_write_behind_a_redirect_is_to_the_file() {
    let recorded =
        Recorded::of(&["--syscalls", "openat,read,write"], &["sh", "-c", "echo secret > FOLDER/OUT"]);
    let line = recorded.line(&["< write", "secret"]);
    assert!(line.contains(&format!("fd=1(<f>{}/OUT)", recorded.folder.path().display())), "{line}");
    assert!(line.contains(" sh ("), "{line}");
}

#[test]
fn a_relative_path_begins_at_the_directory_that_was_changed_to() {
    let recorded =
        Recorded::of(&["--syscalls", "%process,openat"], &["sh", "-c", "cd /usr; cat share/none || true"]);
    let line = recorded.line(&["< openat", "share/none"]);
    assert!(line.contains("name=share/none(/usr/share/none)") && line.contains(" cat ("), "{line}");
}

#[test]
fn a_descriptor_that_is_used_again_has_its_new_name() {
    let script = "open F, '<', '/etc/hostname'; close F; pipe R, W; syswrite W, 'PIPE'; sysread R, $_, 4";
    let recorded = Recorded::of(&["--syscalls", "openat,read,write"], &perl(script));
    let line = recorded.line(&["< read", "PIPE"]);
    assert!(line.contains("(<p>pipe:["), "{line}");
}

#[test]
fn processes_have_their_names() {
    let recorded = Recorded::of(&["--syscalls", "openat,%network"], &["sh", "-c", "cat /etc/hostname; true"]);
    // With the recorder's notices.
    let lines = recorded.read(&["--syscalls", "all,!notification"]);
    let names: std::collections::BTreeSet<_> =
        lines.lines().map(|line| line.split(' ').nth(3).unwrap()).collect();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["cat", "sh"]);
}

#[test]
fn a_directory_may_be_changed_to_by_its_descriptor() {
    let Some(access) = access("share/none") else { return };
    // Only working directories need descriptors here: of the opened files, only the directory is recorded.
    let script = format!("open F, '<', '/etc/hostname'; opendir D, '/usr'; chdir D; {access}");
    let recorded = Recorded::of(&["--syscalls", "access"], &perl(&script));
    let line = recorded.line(&["< access", "share/none"]);
    assert!(line.contains("name=share/none(/usr/share/none)"), "{line}");
    let opened = recorded.read(&["--all", "--syscalls", "openat"]);
    assert!(opened.contains("name=/usr ") && !opened.contains("hostname"), "{opened}");
}

#[test]
fn entries_alone_have_right_names_too() {
    let recorded = Recorded::of(
        &["--syscalls", "write", "--events", "enter"],
        &["sh", "-c", "echo secret > FOLDER/OUT"],
    );
    let line = recorded.line(&["> write"]);
    assert!(line.contains(&format!("fd=1(<f>{}/OUT)", recorded.folder.path().display())), "{line}");
    assert_eq!(Capture::read(&recorded.path).count("write_x"), 0);
}

#[test]
fn what_was_not_asked_for_is_counted_apart_and_shown_on_demand() {
    let recorded = Recorded::of(&["--syscalls", "write"], &["sh", "-c", "echo a; echo b"]);
    let capture = Capture::read(&recorded.path);
    let asked = capture.count("write_e") + capture.count("write_x");
    let besides = capture.events.len() as u64 - asked;
    assert!(asked == 4 && besides > 3, "{:?}", capture.counts);
    assert!(recorded.said.contains("4 events in "), "{}", recorded.said);
    assert!(recorded.said.contains(&format!(" and {besides} recorded for names")), "{}", recorded.said);
    assert!(!recorded.said.contains("execve"), "{}", recorded.said);
    // With the notices of the selection and of the totals.
    assert_eq!(recorded.read(&[]).lines().count(), 6);
    assert_eq!(recorded.read(&["--all"]).lines().count() as u64, 6 + besides);
    let (some, all) = (recorded.info(&[]), recorded.info(&["--all"]));
    assert_eq!((some["events"].as_u64(), some["events_for_names"].as_u64()), (Some(6), Some(besides)));
    assert_eq!(all["events"].as_u64(), Some(6 + besides));
    let [said] = &capture.asked[..] else { panic!("{:?}", capture.asked) };
    assert_eq!(said.to_string(), "syscalls=write events=enter,exit tracepoints=none");
    // Only exit events, and only of calls that changed something.
    for (ty, _, bytes) in &capture.events {
        let event = scap::format::EventView::parse(bytes, false).unwrap();
        let name = event.info().unwrap().name;
        assert!(name == "write" || name == "procexit" || !ty.is_enter(), "{name}");
        let res = number(&event, "res").or_else(|| number(&event, "fd"));
        assert!(res.is_none_or(|res| res >= 0), "{name} {res:?}");
    }
}

#[test]
fn nothing_comes_besides_where_only_that_is_wanted() {
    let recorded = Recorded::of(&["--only", "--syscalls", "write"], &["sh", "-c", "echo a"]);
    let capture = Capture::read(&recorded.path);
    assert_eq!((capture.events.len(), capture.count("write_x")), (2, 1));
    assert!(!recorded.said.contains("names right"), "{}", recorded.said);
}

#[test]
fn what_changes_no_name_is_left_out() {
    let script = "use Socket; use Fcntl;
        open F, '<', '/dev/null'; fcntl(F, F_GETFL, 0) for 1..5; my $copy = fcntl(F, F_DUPFD, 20);
        socket S, PF_INET, SOCK_DGRAM, 0; bind S, sockaddr_in(0, INADDR_LOOPBACK); my $to = getsockname S;
        socket C, PF_INET, SOCK_DGRAM, 0; send(C, 'x', 0, $to) for 1..3; connect C, $to; send(C, 'x', 0) for 1..5;
        open G, '<', '/no/such/file' for 1..5; sysread F, $_, 1";
    let recorded = Recorded::of(&["--syscalls", "read"], &perl(script));
    let capture = Capture::read(&recorded.path);
    assert_eq!(capture.count("sendto_x"), 3);
    let commands: Vec<_> = capture.of("fcntl_x").map(|event| number(&event, "fd")).collect();
    assert_eq!(commands.len(), 1, "{commands:?}");
    let read = recorded.read(&["--all"]);
    assert!(read.contains("< fcntl") && !read.contains("< openat fd=-"), "{read}");
}

#[test]
fn a_limit_is_of_what_was_asked_for() {
    let script = "for (1..100) { open F, '<', '/dev/null'; sysread F, $_, 1; close F }";
    let recorded = Recorded::of(&["--syscalls", "read", "-n", "20"], &perl(script));
    let capture = Capture::read(&recorded.path);
    assert_eq!(capture.count("read_e") + capture.count("read_x"), 20);
    assert!(capture.events.len() > 20);
}

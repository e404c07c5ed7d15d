//! Requests to a running recording, from another thread of the same process, which records itself. Needs root.

#![allow(clippy::unwrap_used)]

mod common;

use std::{
    sync::mpsc::{Sender, channel},
    thread,
};

use common::{Capture, file};
use scap::select::{self, SyscallSet, TracepointSet};
use scapd::{
    probe::ProbeOptions,
    record::{self, Config, LiveSettings, Observer, RequestError, Status},
};

/// Reports that the recording has started.
struct Began(Sender<()>);

impl Observer for Began {
    fn started(&mut self, _: &Status) {
        self.0.send(()).unwrap();
    }
}

fn set(list: &str) -> Option<SyscallSet> {
    Some(select::parse(list).unwrap())
}

/// Makes calls that nothing else in this process makes.
fn hundred_of_each() {
    for _ in 0..100 {
        // SAFETY: these calls have no arguments, and cannot fail.
        unsafe { (libc::syscall(libc::SYS_getppid), libc::syscall(libc::SYS_getegid)) };
    }
}

#[test]
fn the_selection_changes_while_events_are_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config {
        write: Some(file(&folder, "changed.scap")),
        syscalls: set("getppid"),
        selectable: true,
        probe: ProbeOptions { tracepoints: TracepointSet::none(), ..ProbeOptions::default() },
        pids: vec![std::process::id()],
        include_self: true,
        quiet: true,
        ..Config::default()
    };
    let settings = LiveSettings::from(&config);
    let (handle, requests) = record::requests();
    let (began, begins) = channel();
    let path = config.write.clone().unwrap();
    let recording = thread::spawn(move || record::run(&config, requests, &mut Began(began)).unwrap());
    begins.recv().unwrap();
    hundred_of_each();
    handle.change(LiveSettings { syscalls: set("getegid"), ..settings.clone() }).unwrap();
    hundred_of_each();
    handle.change(LiveSettings { syscalls: None, ..settings.clone() }).unwrap();
    hundred_of_each();
    handle.change(LiveSettings { syscalls: set("none"), ..settings.clone() }).unwrap();
    hundred_of_each();
    assert!(matches!(handle.rotate(), Err(RequestError::Refused(_))));
    handle.stop();
    recording.join().unwrap();
    assert!(matches!(handle.rotate(), Err(RequestError::Ended)));

    let status = handle.status();
    assert_eq!(status.pending(), 0);
    assert!(status.taken > 800 && status.cpus.iter().map(|cpu| cpu.seen).sum::<u64>() >= status.taken);
    let capture = Capture::read(&path);
    let asked: Vec<_> = capture.asked.iter().map(ToString::to_string).collect();
    let expected = ["getppid", "getegid", "all", "none"]
        .map(|calls| format!("syscalls={calls} events=enter,exit tracepoints=none"));
    assert_eq!(asked, expected);
    // Each selection counts from its time on: there are no more pairs than requested.
    let (code, shown, _) =
        common::run(common::scapd().args(["read", "--syscalls", "getppid,getegid"]).arg(&path));
    assert_eq!((code, shown.lines().count()), (Some(0), 800), "of three selections");
    for program in ["getegid_e", "getegid_x"] {
        assert_eq!(capture.count(program), 200, "{program}");
    }
    // A generic call.
    let own = |event: &_| common::number(event, "nativeID") == Some(libc::SYS_getppid);
    let seen = capture.of("generic_x").filter(own).count();
    assert_eq!(seen, 200, "getppid");
}

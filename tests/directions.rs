//! Directions for each call, with the library's probe. Needs root.

#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use scap::{
    events::{EventType, event},
    select::{self, Selection, SyscallSet},
};
use scapd::probe::{Active, Opened, ProbeError, ProbeOptions, TargetState};

fn set(list: &str) -> SyscallSet {
    select::parse(list).unwrap()
}

/// Calls getegid, geteuid and getgid once each, and returns the programs of their events.
fn recorded(probe: &mut Active) -> Vec<&'static str> {
    // SAFETY: these calls have no arguments, and cannot fail.
    unsafe { (libc::getegid(), libc::geteuid(), libc::getgid()) };
    let mut events = Vec::new();
    let start = Instant::now();
    while !(probe.is_drained() && start.elapsed() > Duration::from_millis(20)) {
        assert!(start.elapsed() < Duration::from_secs(5), "events stay in the rings");
        if let Some(raw) = probe.next_event() {
            let ty = EventType(u16::from_ne_bytes([raw.bytes[20], raw.bytes[21]]));
            events.push(event(ty).unwrap().program.unwrap());
        }
    }
    events
}

#[test]
fn all_returns_and_some_entries() {
    let options = ProbeOptions { targets: 16, ..ProbeOptions::default() };
    let loaded = Selection {
        enter: set("getegid,getgid"),
        exit: set("getegid,geteuid,getgid"),
        ..Selection::default()
    };
    let attached = Opened::new(&options).unwrap().load_events(&loaded).unwrap().attach().unwrap();
    let tid = rustix::thread::gettid().as_raw_nonzero().get() as u32;
    attached.probe().control().add_target(tid, TargetState::Active).unwrap();
    let mut probe = attached.start();
    assert_eq!(recorded(&mut probe), ["getegid_e", "getegid_x", "geteuid_x", "getgid_e", "getgid_x"]);

    let some = Selection { enter: set("getgid"), exit: set("getegid"), ..Selection::default() };
    probe.probe().select_events(&some).unwrap();
    assert_eq!(recorded(&mut probe), ["getegid_x", "getgid_e"]);

    let more = Selection { enter: set("geteuid"), ..Selection::default() };
    let refused = probe.probe().select_events(&more).unwrap_err();
    assert!(matches!(refused, ProbeError::NotLoaded(name) if name == "geteuid"));
    assert_eq!(recorded(&mut probe), ["getegid_x", "getgid_e"], "nothing has changed");
}

use std::{
    fs::File,
    os::fd::{AsRawFd, IntoRawFd},
    time::{Duration, Instant},
};

use scapd::probe::{Directions, SampleRatio};

use super::look_at;
use crate::{
    harness::{Params, Test},
    syscall,
};

fn sample(t: &mut Test, ratio: u32) {
    t.change(|control| control.set_sampling(Some(SampleRatio::try_from(ratio).unwrap())));
}

/// Makes a call every 5 ms, less than 1/128 of a second, until there is an event of the test's type.
#[track_caller]
fn until_marked(t: &mut Test) -> Params {
    for _ in 0..1000 {
        let mut events = t.capture(|| syscall!(SYS_getppid)).all();
        assert!(events.len() <= 1, "one call has {} marks", events.len());
        if let Some(mark) = events.pop() {
            return mark;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("there is no mark");
}

pub fn drop_e(t: &mut Test) {
    sample(t, 128);
    until_marked(t).u32("ratio", 128);
    // Recording everything and sampling again makes another mark.
    t.change(|control| control.set_sampling(None));
    assert_eq!(t.capture(|| syscall!(SYS_getppid)).all().len(), 0);
    sample(t, 64);
    until_marked(t).u32("ratio", 64);
}

pub fn drop_x(t: &mut Test) {
    sample(t, 128);
    while t.left_out().sampled == 0 {
        t.names(|| syscall!(SYS_getppid));
        std::thread::sleep(Duration::from_millis(5));
    }
    // With 1, the clock leaves nothing out: the first call ends the left-out part, and is recorded itself.
    sample(t, 1);
    until_marked(t).u32("ratio", 1);
    t.change(|control| control.set_sampling(None));
    assert_eq!(t.capture(|| syscall!(SYS_getppid)).all().len(), 0);
}

pub fn records_a_part_of_each_second(t: &mut Test) {
    alternates(t, 2);
}

pub fn records_a_part_of_each_second_on_enter(t: &mut Test) {
    t.directions(Directions { enter: true, exit: false });
    alternates(t, 1);
}

/// Samples until there are events of both parts of a second; a call has `events_of_a_call` events.
fn alternates(t: &mut Test, events_of_a_call: u64) {
    sample(t, 8);
    let mut made = 0;
    let mut events = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(10);
    while events.len() < 40 || events.iter().filter(|(program, _)| *program == "drop_e").count() < 2 {
        assert!(Instant::now() < deadline, "there are only {events:?}");
        events.extend(t.names(|| (0..10).map(|_| syscall!(SYS_getppid)).sum()));
        made += 10;
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut left_out = false;
    let mut recorded = Vec::new();
    for (program, ts) in events {
        match program {
            "drop_e" | "drop_x" => {
                assert_eq!(program == "drop_x", left_out, "a mark has no other one before");
                left_out = program == "drop_e";
            }
            _ => {
                // The exit event of a call entered before the mark follows its enter event.
                assert!(
                    !left_out || program == "generic_x",
                    "{program} behind the mark that none is recorded"
                );
                recorded.push(ts);
            }
        }
    }
    assert_eq!(recorded.len() as u64 + t.left_out().sampled, made * events_of_a_call);
    // The program reads the clock after the rule has, and may be delayed in between: so most events, not all.
    let first = recorded.iter().filter(|ts| **ts % 1_000_000_000 < 125_000_000).count();
    assert!(
        first > recorded.len() / 2,
        "{first} of {} are in the first part of their second",
        recorded.len()
    );
}

pub fn treats_calls_by_their_class(t: &mut Test) {
    let file = File::open("/").unwrap();
    let fd = file.as_raw_fd();
    t.select(&["close", "fcntl", "newfstatat", "openat", "getppid"]);
    let mut programs = |control: Option<SampleRatio>| -> (Vec<&'static str>, u64) {
        t.change(|c| c.set_sampling(control));
        let before = t.left_out().sampled;
        let events = t.names(|| {
            syscall!(SYS_close, -1);
            let copy = syscall!(SYS_fcntl, fd, libc::F_DUPFD, 0);
            syscall!(SYS_fcntl, fd, libc::F_GETFL);
            syscall!(SYS_close, copy);
            look_at(c"/");
            syscall!(SYS_openat, -1, c"nowhere".as_ptr(), 0);
            syscall!(SYS_getppid)
        });
        (events.into_iter().map(|(program, _)| program).collect(), t.left_out().sampled - before)
    };
    let every = [
        ["close_e", "close_x"],
        ["fcntl_e", "fcntl_x"],
        ["fcntl_e", "fcntl_x"],
        ["close_e", "close_x"],
        ["newfstatat_e", "newfstatat_x"],
        ["openat_e", "openat_x"],
        ["generic_e", "generic_x"],
    ]
    .concat();
    assert_eq!(programs(None), (every.clone(), 0));
    // Both events of F_GETFL, and of newfstatat. A failing close is unknown at its entry: both events stay.
    let sampled = [
        "close_e",
        "close_x",
        "fcntl_e",
        "fcntl_x",
        "close_e",
        "close_x",
        "openat_e",
        "openat_x",
        "generic_e",
        "generic_x",
    ];
    assert_eq!(programs(SampleRatio::try_from(1).ok()), (sampled.to_vec(), 4));
    assert_eq!(programs(None), (every, 0));
}

pub fn judges_returns_alone_by_their_result(t: &mut Test) {
    t.directions(Directions { enter: false, exit: true });
    sample(t, 1);
    assert!(t.names(|| syscall!(SYS_close, -1)).is_empty());
    assert_eq!(t.left_out().sampled, 1);
    let fd = File::open("/").unwrap().into_raw_fd();
    assert_eq!(t.names(|| syscall!(SYS_close, fd)).len(), 1);
}

/// Calls in progress when a part of a second starts or ends.
pub fn keeps_or_leaves_out_pairs(t: &mut Test) {
    let nap = libc::timespec { tv_sec: 0, tv_nsec: 9_000_000 };
    t.select(&["clock_nanosleep"]);
    sample(t, 4);
    let mut events = Vec::new();
    let (mut parts, start) = (0, Instant::now());
    while parts < 6 {
        assert!(start.elapsed() < Duration::from_secs(30), "there are only {parts} parts");
        let sleep = |_| syscall!(SYS_clock_nanosleep, libc::CLOCK_MONOTONIC, 0, &nap, std::ptr::null::<u8>());
        let calls = || (0..20).map(sleep).sum();
        let new = t.names(calls);
        parts += new.iter().filter(|(program, _)| program.starts_with("drop")).count();
        events.extend(new);
    }
    let programs: Vec<_> =
        events.iter().map(|(program, _)| *program).filter(|p| !p.starts_with("drop")).collect();
    assert!(programs.len() > 20 && t.left_out().sampled > 20, "{programs:?}");
    for pair in programs.chunks(2) {
        assert_eq!(pair, ["generic_e", "generic_x"], "{events:?}");
    }
}

pub fn leaves_out_tracepoints(t: &mut Test) {
    // Several times: a sleep that is over before the thread has left the CPU is no switch.
    let sleep = || {
        (0..10).for_each(|_| std::thread::sleep(Duration::from_millis(5)));
        0
    };
    sample(t, 1);
    assert_eq!(t.names(sleep).len(), 0);
    assert!(t.left_out().sampled > 0);
    t.change(|control| control.set_sampling(None));
    assert!(!t.names(sleep).is_empty());
}

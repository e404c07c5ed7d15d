//! Event times follow the wall clock: in a time namespace, and when the clock is stepped. Needs root.

#![allow(clippy::unwrap_used)]

mod common;

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::Path,
    process::Command,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use common::{
    Capture, file, number, run,
    series::{self, Recording, alone},
};
use rustix::time::{ClockId, clock_gettime};
use scap::{
    format::Reader,
    ledger::{self, ClockStep, Notice},
};
use scapd::{
    output::{Rotation, Series},
    verify::{VerifyOutcome, VerifyReport},
};

const MS: u64 = 1_000_000;

/// Returns the wall clock, in ns since the epoch.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos().try_into().unwrap()
}

fn boot_time() -> u64 {
    let uptime = clock_gettime(ClockId::Boottime);
    now() - (uptime.tv_sec as u64 * 1000 * MS + uptime.tv_nsec as u64)
}

#[test]
fn a_recorder_in_a_time_namespace() {
    let _alone = alone();
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["-T", "--boottime", "86400"]);
        command
    };
    let (code, _, error) = run(unshare().arg("true"));
    assert_eq!(code, Some(0), "cannot make a time namespace (needs Linux 5.6 and util-linux 2.36): {error}");
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "namespace.scap");
    let before = now();
    let mut command = unshare();
    command.arg(env!("CARGO_BIN_EXE_scapd")).args(["record", "-q", "--syscalls", "openat", "-w"]).arg(&path);
    let (code, _, error) = run(command.args(["--", "cat", "/etc/hostname"]));
    assert_eq!(code, Some(0), "{error}");
    let after = now();
    let capture = Capture::read(&path);
    assert_eq!((capture.verdict.late, &capture.clock_steps[..]), (0, &[][..]));
    let times: Vec<_> = capture.of("openat_x").map(|event| event.ts()).collect();
    assert!(!times.is_empty());
    assert!(times.iter().all(|ts| (before..after).contains(ts)), "{times:?} not in {before}..{after}");
    let mut reader = Reader::new(File::open(&path).unwrap()).unwrap();
    reader.next_event().unwrap().unwrap();
    let state = reader.state();
    let booted = state.machine.boot_time;
    assert!(booted.abs_diff(boot_time()) < 1000 * MS, "{booted} {}", boot_time());
    let starts: Vec<_> = state.threads.iter().map(|thread| thread.pidns_init_start_ts).collect();
    // Accurate to a clock tick.
    let start = booted - 20 * MS;
    assert!(starts.iter().any(|ts| (start..after).contains(ts)), "{starts:?} not in {start}..{after}");
    assert!(starts.iter().all(|ts| *ts < after), "{starts:?} not before {after}");
}

/// The contents of a series.
#[derive(Debug, Default)]
struct Told {
    /// The number and the time of each call.
    calls: Vec<(u64, u64)>,
    /// For each step, the number of calls before it.
    steps: Vec<(usize, ClockStep)>,
    boot_times: Vec<u64>,
}

impl Told {
    fn read(folder: &Path) -> Told {
        let mut told = Told::default();
        let mut last = 0;
        for path in series::captures(folder) {
            assert_eq!(VerifyReport::of(File::open(&path).unwrap()).outcome(), VerifyOutcome::Complete);
            let mut reader = Reader::new(File::open(&path).unwrap()).unwrap();
            while let Some(captured) = reader.next_event().unwrap() {
                let event = captured.event;
                assert!(event.ts() >= last, "out of order in {}", path.display());
                last = event.ts();
                if let Some(Notice::Clock(step)) = ledger::parse(&event) {
                    told.steps.push((told.calls.len(), step));
                }
                if event.ty() == common::event_type("pread64_x") {
                    told.calls.push((number(&event, "pos").unwrap() as u64, event.ts()));
                }
            }
            told.boot_times.push(reader.state().machine.boot_time);
        }
        told
    }
}

/// Records calls for some time, with a boot time that is wrong by `wrong_by`: the recorder sees a step of the clock
/// back from it at the start. Returns the contents, and the wall clock before and after each call.
fn record(wrong_by: i64) -> (Told, Vec<(u64, u64)>) {
    let _alone = alone();
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let rotation = Rotation { events: Some(100), ..Rotation::default() };
    let files = Series { rotation, ..Series::default() };
    let mut config = series::config(folder.path().join("a.scap"), files);
    config.probe.boot_time = Some(boot_time().saturating_add_signed(wrong_by));
    let recording = Recording::start(config);
    let zero = File::open("/dev/zero").unwrap();
    let mut times = Vec::new();
    for call in 0..400 {
        let before = now();
        zero.read_at(&mut [0], call).unwrap();
        times.push((before, now()));
        thread::sleep(Duration::from_millis(1));
    }
    let summary = recording.stop().unwrap().summary;
    assert!(summary.verdict.is_complete(), "{:?}", summary.verdict);
    (Told::read(folder.path()), times)
}

fn assert_times(told: &Told, times: &[(u64, u64)], from: u64) {
    let numbers: Vec<_> = told.calls.iter().map(|(call, _)| *call).collect();
    assert_eq!(numbers, (0..times.len() as u64).collect::<Vec<_>>());
    for (call, ts) in &told.calls {
        let (before, after) = times[*call as usize];
        if *call >= from {
            assert!((before - MS..after + MS).contains(ts), "call {call} at {ts}, not in {before}..{after}");
        }
    }
}

#[test]
fn a_step_forward_is_followed_at_once() {
    let (told, times) = record(-5_000_000_000);
    let [(0, step)] = told.steps[..] else { panic!("{:?}", told.steps) };
    assert!((step.by - 5_000_000_000).unsigned_abs() < MS, "{step:?}");
    assert_times(&told, &times, 0);
    let now = boot_time();
    assert!(told.boot_times.len() >= 4);
    assert!(told.boot_times[1..].iter().all(|time| time.abs_diff(now) < MS), "{:?} {now}", told.boot_times);
}

#[test]
fn a_step_backward_keeps_the_order_and_is_followed() {
    let (told, times) = record(200 * MS as i64);
    let [(0, step)] = told.steps[..] else { panic!("{:?}", told.steps) };
    assert!((step.by + 200_000_000).unsigned_abs() < MS, "{step:?}");
    // Event times need 400 ms to agree again; the calls are at least 1 ms apart.
    assert_times(&told, &times, 395);
}

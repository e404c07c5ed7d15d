//! The flight recorder: what its dumps have, and that they are true. Needs root.

#![allow(clippy::unwrap_used)]

mod common;
#[path = "flight/disk.rs"]
mod disk;
#[path = "flight/longer.rs"]
mod longer;
#[path = "flight/memory.rs"]
mod memory;
#[path = "flight/redacted.rs"]
mod redacted;
#[path = "flight/service.rs"]
mod service;
#[path = "flight/state.rs"]
mod state;

use std::{
    fs::{self, File},
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use common::{
    number,
    series::{Generator, Recording, alone, assert_whole, captures, config, read, wait_for},
};
use scap::{
    fields::Fields,
    filter::Filter,
    format::{Keep, Reader},
    ledger::{self, Notice, Trigger, TriggerKind, Verdict},
    replay::{Position, Replay},
    select,
};
use scapd::{
    flight::{Flight, FlightStatus, RateTrigger},
    output::{Retention, Series},
    record::Config,
};

/// Returns a flight recorder of this process' `pread` calls. Its dumps end at their triggers.
fn flight(folder: &Path, seconds: u64) -> Config {
    let flight = Flight {
        time: Duration::from_secs(seconds),
        bytes: Flight::BYTES,
        is_packed: false,
        longer: None,
        on_disk: None,
        after: Duration::ZERO,
        dumps_per_hour: 60,
        triggers: Vec::new(),
        rates: Vec::new(),
        pressures: Vec::new(),
    };
    Config { flight: Some(flight), ..config(folder.join("a.scap"), Series::default()) }
}

fn filter(text: &str) -> Filter {
    Filter::parse(text, &Fields).unwrap()
}

fn status(recording: &Recording) -> FlightStatus {
    recording.handle.status().flight.clone().unwrap()
}

fn dump(recording: &Recording, after: Duration, reason: &str) {
    recording.handle.dump(TriggerKind::Request, Some(after), reason).unwrap();
}

fn calls_in(path: &Path) -> u64 {
    read(path).calls.values().map(|calls| calls.len() as u64).sum()
}

/// Returns the triggers in a capture, each with the position of the `pread` before it.
fn triggers(path: &Path) -> Vec<(Trigger, i64)> {
    let mut reader = Reader::new(File::open(path).unwrap()).unwrap();
    let (mut found, mut last) = (Vec::new(), -1);
    while let Some(captured) = reader.next_event().unwrap() {
        match ledger::parse(&captured.event) {
            Some(Notice::Trigger(trigger)) => found.push((trigger, last)),
            _ => last = number(&captured.event, "pos").unwrap_or(last),
        }
    }
    found
}

#[test]
fn a_dump_has_all_calls_of_the_window() {
    let _alone = alone();
    for compress in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let recording = Recording::start(Config { compress, ..flight(folder.path(), 600) });
        let generator = Generator::start(2, 1000, Duration::from_millis(1));
        wait_for("some calls", || generator.calls() > 100_000);
        let calls = generator.stop();
        dump(&recording, Duration::ZERO, "all of it");
        wait_for("the dump", || status(&recording).written == 1);
        let summary = recording.stop().unwrap().summary;
        assert_eq!(summary.verdict.written, calls.values().sum::<u64>());
        assert!(summary.verdict.is_complete() && summary.verdict.unaccounted() == 0, "{:?}", summary.verdict);
        assert_eq!(summary.flight.as_ref().unwrap().window.evicted, 0);
        assert!(summary.to_string().contains("1 dump of them"), "{summary}");
        let paths = captures(folder.path());
        assert_eq!(paths.len(), 1);
        assert_whole(&paths, &calls);
        let (trigger, _) = triggers(&paths[0]).remove(0);
        assert_eq!((trigger.by, trigger.reason.as_str()), (TriggerKind::Request, "all of it"));
    }
}

#[test]
fn a_dump_has_the_time_before_and_after_its_trigger() {
    const SECOND: u64 = 1_000_000_000;
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let recording = Recording::start(flight(folder.path(), 2));
    let generator = Generator::start(2, 100, Duration::from_millis(1));
    thread::sleep(Duration::from_secs(4));
    dump(&recording, Duration::from_secs(1), "now");
    wait_for("the dump", || status(&recording).written == 1);
    let all: u64 = generator.stop().values().sum();
    recording.stop().unwrap();
    let path = captures(folder.path()).remove(0);
    let found = read(&path);
    assert!(found.verdict.unwrap().is_complete());
    let mut calls = 0;
    for numbers in found.calls.values() {
        assert!(numbers[0] > 0, "the first calls left the window");
        assert!(numbers.windows(2).all(|two| two[1] == two[0] + 1), "one is missing, or there twice");
        calls += numbers.len() as u64;
    }
    assert!(calls < all);
    let mut reader = Reader::new(File::open(&path).unwrap()).unwrap();
    let (mut first, mut last) = (u64::MAX, 0);
    while let Some(captured) = reader.next_event().unwrap() {
        if captured.event.ty() == common::event_type("pread64_x") {
            first = first.min(captured.event.ts());
            last = last.max(captured.event.ts());
        }
    }
    let at = triggers(&path)[0].0.at;
    let (before, after) = (at - first, last - at);
    assert!((2 * SECOND..3 * SECOND).contains(&before), "{before} ns before");
    assert!((SECOND..2 * SECOND).contains(&after), "{after} ns after");
}

#[test]
fn a_filter_is_a_trigger_behind_its_event() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let mut config = flight(folder.path(), 600);
    let rate = RateTrigger {
        filter: filter("evt.arg.pos >= 700000 and evt.arg.pos < 700100"),
        count: 50,
        within: Duration::from_secs(60),
    };
    if let Some(flight) = &mut config.flight {
        flight.triggers.push(filter("evt.type = pread and evt.arg.pos = 12345"));
        flight.rates.push(rate);
    }
    let recording = Recording::start(config);
    let call = |pos: i64| {
        // SAFETY: the descriptor is invalid, so nothing is read.
        unsafe { libc::pread64(-1, std::ptr::null_mut(), 0, pos) };
    };
    // A trigger is the last call before its dump: of those behind it, a busy machine may make some too late.
    (12_300..=12_345).for_each(call);
    wait_for("the first dump", || status(&recording).written == 1);
    (700_000..700_049).for_each(call);
    thread::sleep(Duration::from_secs(1));
    assert_eq!(status(&recording).triggers, 1, "49 are too few");
    call(700_049);
    wait_for("the second dump", || status(&recording).written == 2);
    recording.stop().unwrap();
    let paths = captures(folder.path());
    let found: Vec<_> = paths.iter().map(|path| triggers(path)).collect();
    let [first, second] = &found[..] else { panic!("{paths:?}") };
    assert_eq!((first[0].0.by, first[0].1, first.len()), (TriggerKind::Filter, 12_345, 1));
    assert_eq!(first[0].0.reason, "evt.type = pread and evt.arg.pos = 12345");
    // The window still has what made the first dump.
    assert_eq!((second[0].clone(), second.len()), (first[0].clone(), 2));
    assert_eq!((second[1].0.by, second[1].1), (TriggerKind::Rate, 700_049));
    assert_eq!((calls_in(&paths[0]), calls_in(&paths[1])), (46, 96));
}

#[test]
fn names_are_those_of_the_time_before_the_window() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| -> PathBuf {
        let path = folder.path().join(name);
        fs::write(&path, name).unwrap();
        path
    };
    let early = File::open(path("early")).unwrap();
    let base = flight(folder.path(), 1);
    let config = Config { syscalls: Some(select::parse("pread").unwrap()), only: false, ..base };
    let recording = Recording::start(config);
    let late = File::open(path("late")).unwrap();
    // This descriptor is another file's later.
    let other = File::open(path("other")).unwrap();
    let fd = other.as_raw_fd();
    drop(other);
    let again = File::open(path("again")).unwrap();
    assert_eq!(again.as_raw_fd(), fd);
    let gone = File::open(path("gone")).unwrap();
    fs::rename(folder.path().join("gone"), folder.path().join("renamed")).unwrap();
    let mut buffer = [0; 8];
    let mut read_all = |at: u64| {
        for file in [&early, &late, &again, &gone] {
            std::os::unix::fs::FileExt::read_at(file, &mut buffer, at).unwrap();
        }
    };
    let mut rounds = 0;
    wait_for("the window to move on", || {
        read_all(rounds);
        rounds += 1;
        rounds > 100 && status(&recording).window.from > 0 && rounds > 700
    });
    dump(&recording, Duration::ZERO, "now");
    wait_for("the dump", || status(&recording).written == 1);
    recording.stop().unwrap();
    let dumps: Vec<_> =
        captures(folder.path()).into_iter().filter(|path| path.extension().is_some()).collect();
    assert!(dumps[0].to_str().unwrap().ends_with("a-000001.scap"), "{dumps:?}");
    let mut reader = Reader::new(File::open(&dumps[0]).unwrap()).unwrap().keep(Keep::All);
    let mut replay = Replay::new(&mut reader, Keep::All, Position::default());
    let mut names = std::collections::BTreeMap::<String, (u64, u64)>::new();
    while let Some(moment) = replay.next().unwrap() {
        let event = moment.event();
        assert_ne!(event.ty(), common::event_type("openat_x"), "the files were opened before the window");
        if event.ty() == common::event_type("pread64_x") {
            let fd = moment.machine.fd(event.tid(), number(event, "fd").unwrap()).unwrap();
            let pos = number(event, "pos").unwrap() as u64;
            let name = String::from_utf8_lossy(&fd.name).rsplit('/').next().unwrap().to_owned();
            let found = names.entry(name).or_insert((pos, 0));
            found.1 += 1;
        }
    }
    let calls: Vec<_> = names.keys().map(String::as_str).collect();
    assert_eq!(calls, ["again", "early", "gone", "late"]);
    assert!(names.values().all(|(first, count)| *first > 0 && *count > 0), "{names:?}");
}

#[test]
fn what_the_memory_has_no_room_for_goes_early_and_is_counted() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let mut config = flight(folder.path(), 3600);
    if let Some(flight) = &mut config.flight {
        flight.bytes = Flight::LEAST;
    }
    let recording = Recording::start(config);
    let generator = Generator::start(2, 500, Duration::from_millis(5));
    let mut most = 0;
    wait_for("many calls", || {
        most = most.max(status(&recording).window.bytes);
        generator.calls() > 400_000
    });
    let calls: u64 = generator.stop().values().sum();
    dump(&recording, Duration::ZERO, "now");
    wait_for("the dump", || status(&recording).written == 1);
    let summary = recording.stop().unwrap().summary;
    assert!(most > Flight::LEAST / 2 && most <= Flight::LEAST, "{most} bytes");
    let path = captures(folder.path()).remove(0);
    let found = read(&path).verdict.unwrap();
    let Verdict { written, left_out, .. } = found;
    assert!(left_out.evicted > 100_000 && written > 10_000, "{found:?}");
    assert_eq!(summary.verdict.written + summary.verdict.losses.sum(), calls);
    assert_eq!(written + left_out.evicted, summary.verdict.written);
    assert_eq!(found.unaccounted(), 0);
    assert_eq!(summary.flight.unwrap().window.evicted, left_out.evicted);
    let (code, out, err) = common::run(common::scapd().arg("info").arg(&path));
    assert_eq!(code, Some(0), "{err}");
    let row = format!("gone before its time {}", left_out.evicted);
    assert!(out.lines().any(|line| line.split_whitespace().eq(row.split_whitespace())), "{out}");
}

/// A file system of this size, mounted until dropped.
struct Disk(tempfile::TempDir);

impl Disk {
    fn new(size: &str) -> Disk {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "scapd-test"]).arg(folder.path());
        assert!(mount.status().unwrap().success());
        Disk(folder)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

#[test]
fn a_dump_waits_for_a_full_disk_and_the_recording_goes_on() {
    let _alone = alone();
    let disk = Disk::new("6M");
    let folder = disk.0.path();
    let ballast = folder.join("ballast");
    fs::write(&ballast, vec![1; 5 << 20]).unwrap();
    let recording = Recording::start(flight(folder, 600));
    let generator = Generator::start(1, 100, Duration::from_millis(5));
    wait_for("some calls", || generator.calls() > 30_000);
    dump(&recording, Duration::ZERO, "on a full disk");
    wait_for("the dump to wait", || recording.handle.status().waiting);
    let before = recording.handle.status().taken;
    wait_for("more events", || recording.handle.status().taken > before + 1000);
    assert_eq!((status(&recording).written, status(&recording).failed), (0, 0));
    fs::remove_file(ballast).unwrap();
    wait_for("the dump", || status(&recording).written == 1);
    wait_for("the end of the wait", || !recording.handle.status().waiting);
    generator.stop();
    let summary = recording.stop().unwrap().summary;
    assert!(summary.verdict.is_complete(), "{:?}", summary.verdict);
    let paths = captures(folder);
    assert!(paths.len() == 1 && paths[0].ends_with("a-000001.scap"), "{paths:?}");
    let found = read(&paths[0]);
    assert!(found.verdict.unwrap().is_complete());
    for numbers in found.calls.values() {
        let wrong = (0..).zip(numbers).find(|(expected, number)| expected != *number);
        assert_eq!(wrong, None, "of {}, of {:?}", numbers.len(), summary.verdict);
    }
}

#[test]
fn dumps_are_a_series_with_manifests_and_retention() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let series = Series {
        manifest: true,
        retention: Retention { files: Some(3), ..Retention::default() },
        ..Series::default()
    };
    let mut config = Config { files: Some(series), ..flight(folder.path(), 1) };
    if let Some(flight) = &mut config.flight {
        flight.dumps_per_hour = 5;
    }
    let recording = Recording::start(config);
    let generator = Generator::start(1, 100, Duration::from_millis(1));
    for count in 1..=6 {
        // Later than the window is long: the dump before takes it otherwise.
        thread::sleep(Duration::from_millis(1200));
        dump(&recording, Duration::ZERO, "again");
        wait_for("the trigger", || status(&recording).triggers == count);
    }
    wait_for("five dumps", || status(&recording).written == 5);
    wait_for("old ones to go", || recording.handle.status().files_deleted == 2);
    generator.stop();
    let found = status(&recording);
    assert_eq!((found.dumps, found.refused, found.failed), (5, 1, 0));
    recording.stop().unwrap();
    let paths = captures(folder.path());
    assert_eq!(paths.len(), 3);
    for path in &paths {
        assert!(read(path).verdict.unwrap().is_complete());
        let manifest = fs::read_to_string(path.with_extension("scap.json")).unwrap();
        assert!(manifest.contains("\"complete\": true"), "{manifest}");
    }
}

/// A child that is killed when dropped, with its group if it has one of its own.
struct Child(std::process::Child);

impl Child {
    /// Starts a command in a group of its own.
    fn group(command: &mut Command) -> Child {
        Child(std::os::unix::process::CommandExt::process_group(command, 0).spawn().unwrap())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        if rustix::process::getpgid(Some(pid)) == Ok(pid) {
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs `scapd ctl` with these arguments until it succeeds; returns what it says.
fn ctl(socket: &Path, args: &[&str]) -> String {
    let mut said = String::new();
    wait_for("an answer", || {
        let (code, out, _) = common::run(common::scapd().arg("ctl").arg("--socket").arg(socket).args(args));
        said = out;
        code == Some(0)
    });
    said
}

#[test]
fn dumps_are_asked_for_over_the_socket_and_by_signal() {
    // Starting a program takes `pread` calls.
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("control.sock");
    let mut recorder = common::scapd();
    recorder.args(["record", "-q", "--keep", "1m,16M", "--after", "0", "--syscalls", "read", "--control"]);
    recorder.arg(&socket).arg("-w").arg(folder.path().join("a.scap"));
    let mut recorder = recorder.stderr(Stdio::null()).spawn().unwrap();
    let is_recording = || ctl(&socket, &["status"]).lines().any(|line| line.starts_with("window"));
    wait_for("the recording", is_recording);
    // Quotes, and what could end a line of a notice.
    ctl(&socket, &["dump", "the \"site\" is\nslow", "reason=x"]);
    let dumps =
        || captures(folder.path()).into_iter().filter(|path| path.to_str().unwrap().ends_with(".scap"));
    wait_for("a dump", || dumps().count() == 1);
    let pid = rustix::process::Pid::from_child(&recorder);
    rustix::process::kill_process(pid, rustix::process::Signal::USR1).unwrap();
    wait_for("another one, or the first one twice", || {
        let status: serde_json::Value = serde_json::from_str(&ctl(&socket, &["status", "--json"])).unwrap();
        status["flight"]["triggers"] == 2 && status["flight"]["written"] == status["flight"]["dumps"]
    });
    ctl(&socket, &["stop"]);
    assert!(recorder.wait().unwrap().success());
    let found: Vec<_> = dumps().flat_map(|path| triggers(&path)).map(|(trigger, _)| trigger).collect();
    assert_eq!(
        (found[0].by, found[0].reason.as_str()),
        (TriggerKind::Request, "the \"site\" is slow reason=x")
    );
    assert_eq!(found.last().unwrap().by, TriggerKind::Signal);
    for path in dumps() {
        let (code, out, err) = common::run(common::scapd().arg("verify").arg(&path));
        assert_eq!(code, Some(0), "{out}{err}");
    }
}

#[test]
fn a_usual_recording_has_no_dumps() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let recording = Recording::start(config(folder.path().join("a.scap"), Series::default()));
    let refused = recording.handle.dump(TriggerKind::Request, None, "x").unwrap_err().to_string();
    assert!(refused.contains("--keep"), "{refused}");
    recording.handle.rotate().unwrap();
    recording.stop().unwrap();
    let recording = Recording::start(flight(folder.path(), 10));
    let refused = recording.handle.rotate().unwrap_err().to_string();
    assert!(refused.contains("ask for a dump"), "{refused}");
    recording.stop().unwrap();
}

#[test]
fn the_kernel_tells_when_tasks_wait() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let mut config = flight(folder.path(), 600);
    if let Some(flight) = &mut config.flight {
        flight.pressures.push("cpu:some:50ms/2s".parse().unwrap());
    }
    let recording = Recording::start(config);
    // More than there are CPUs, so that some wait.
    let cpus = thread::available_parallelism().unwrap().get();
    let generator = Generator::start(2 * cpus, 1000, Duration::ZERO);
    wait_for("a dump", || status(&recording).written > 0);
    generator.stop();
    recording.stop().unwrap();
    let found = triggers(&captures(folder.path())[0]);
    assert_eq!((found[0].0.by, found[0].0.reason.as_str()), (TriggerKind::Pressure, "cpu:some:50ms/2s"));
}

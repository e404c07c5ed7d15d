//! A recording whose filter changes every 100 ms: no event is lost, and what is left out is counted by place. Needs root.

#![allow(clippy::unwrap_used)]

mod common;

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    process::{Child, Command, Stdio},
    thread::{self, sleep},
    time::Duration,
};

use common::{
    file,
    series::{self, Generator, Recording},
};
use scap::{
    events::{Arch, Syscall},
    fields::Fields,
    filter::Filter,
    ledger::{LeftOut, Verdict},
};
use scapd::{output::Series, record::LiveSettings};

/// A recording of this process while the filter changed every 100 ms.
struct Changing {
    /// The calls of each thread, as made and as found.
    made: BTreeMap<u64, u64>,
    found: BTreeMap<u64, Vec<u64>>,
    verdict: Verdict,
}

fn changing(filters: &[&str]) -> Changing {
    let _alone = series::alone();
    let folder = tempfile::tempdir().unwrap();
    let mut config = series::config(file(&folder, "x.scap"), Series::default());
    config.selectable = true;
    let recording = Recording::start(config.clone());
    let generator = Generator::start(2, 10, Duration::from_millis(1));
    for text in filters.iter().cycle().take(20) {
        sleep(Duration::from_millis(100));
        let filter = (!text.is_empty()).then(|| Filter::parse(text, &Fields).unwrap());
        recording.handle.change(LiveSettings { filter, ..LiveSettings::from(&config) }).unwrap();
    }
    let made = generator.stop();
    let verdict = recording.stop().unwrap().summary.verdict;
    assert_eq!((verdict.losses.sum(), verdict.unaccounted()), (0, 0), "{verdict:?}");
    let mut found = BTreeMap::<_, Vec<_>>::new();
    for path in series::captures(folder.path()) {
        series::read(&path)
            .calls
            .into_iter()
            .for_each(|(tid, calls)| found.entry(tid).or_default().extend(calls));
    }
    Changing { made, found, verdict }
}

#[test]
fn no_event_is_lost_while_the_filter_changes() {
    // All of them match all calls: by type, by result, by the state of the machine.
    let Changing { made, found, .. } = changing(&[
        "evt.type = pread",
        "evt.type = pread and evt.rawres < 0",
        "evt.type = pread and proc.pid > 0",
        "evt.type = pread and not proc.name = nobody and user.uid >= 0",
        "",
        "proc.name != nobody and evt.type = pread",
    ]);
    for (tid, calls) in made {
        assert!(found[&tid].iter().copied().eq(0..calls), "{} of {calls} calls of {tid}", found[&tid].len());
    }
}

#[test]
fn what_changing_filters_leave_out_is_counted() {
    for filters in [
        &["evt.type = pread and evt.rawres < 0", "evt.type = pread and evt.rawres >= 0"][..],
        &["evt.type = pread and thread.tid < 1", "evt.type = pread and thread.tid > 0"],
        &["evt.type = pread", "evt.type = pread and evt.cpu < 0", "evt.type = pread and evt.rawres >= 0"],
    ] {
        let Changing { made, found, verdict } = changing(filters);
        let found: u64 = found.values().map(|calls| calls.len() as u64).sum();
        let LeftOut { filtered, sieved, .. } = verdict.left_out;
        // A filter also follows the ends of threads.
        assert_eq!(verdict.seen + sieved, made.values().sum::<u64>() + made.len() as u64, "{filters:?}");
        assert_eq!((verdict.seen, verdict.written), (verdict.written + filtered, found), "{filters:?}");
        assert!(verdict.written > 0 && sieved > 0, "{filters:?}: {verdict:?}");
        assert!(filtered > 0 || filters.len() < 3, "{filters:?}: {verdict:?}");
    }
}

/// A process that makes calls at full speed once it gets a line, then prints one, and waits for its end.
struct Caller(Child);

impl Caller {
    /// So many that they take seconds.
    const CALLS: u64 = 4_000_000;

    fn start(name: &str) -> Caller {
        let number = Syscall::by_name("pread64").unwrap().number(Arch::NATIVE).unwrap();
        let calls = format!("syscall({number}, -1, 0, 0, 0) for 1..{}", Caller::CALLS);
        let script = format!("$| = 1; $0 = '{name}'; <STDIN>; {calls}; print \"done\\n\"; <STDIN>");
        let mut perl = Command::new("perl");
        perl.args(["-e", &script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        Caller(perl.spawn().unwrap())
    }

    fn go(&mut self) {
        self.0.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    }

    /// Waits until the calls have been made.
    fn await_calls(&mut self) {
        let mut line = [0; 5];
        self.0.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        // Its input ends, and so does it.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// Millions of calls at full speed, of a task that matches and of another one, with filters of each place.
#[test]
fn millions_of_calls_are_accounted_for_while_the_filter_changes() {
    let _alone = series::alone();
    let folder = tempfile::tempdir().unwrap();
    let mut callers = ["match", "other"].map(Caller::start);
    let mut config = series::config(file(&folder, "x.scap"), Series::default());
    config.selectable = true;
    config.pids = callers.iter().map(|caller| caller.0.id()).collect();
    let recording = Recording::start(config.clone());
    let filters = [
        "evt.type = pread and evt.rawres >= 0",
        "evt.type = pread and evt.cpu < 0",
        "evt.type = pread and proc.name = match",
        "evt.type = pread and not proc.args contains match",
        "evt.type = pread and proc.name = match and evt.cpu < 0",
        "evt.type = pread and proc.name = other and proc.exepath = /nowhere",
        "",
    ];
    callers.iter_mut().for_each(Caller::go);
    let mut changes = 0;
    thread::scope(|scope| {
        let calling = scope.spawn(|| callers.iter_mut().for_each(Caller::await_calls));
        for text in filters.iter().cycle() {
            let filter = (!text.is_empty()).then(|| Filter::parse(text, &Fields).unwrap());
            recording.handle.change(LiveSettings { filter, ..LiveSettings::from(&config) }).unwrap();
            changes += 1;
            sleep(Duration::from_millis(100));
            if calling.is_finished() {
                break;
            }
        }
    });
    let verdict = recording.stop().unwrap().summary.verdict;
    let LeftOut { filtered, sieved, .. } = verdict.left_out;
    let (lost, called) = (verdict.losses.sum(), callers.len() as u64 * Caller::CALLS);
    println!(
        "{called} called: {} written, {sieved} and {filtered} left out, {lost} lost; {changes} changes",
        verdict.written
    );
    assert_eq!(verdict.unaccounted(), 0, "{verdict:?}");
    assert_eq!(verdict.written + filtered + sieved + lost, called, "{verdict:?}");
    assert!(verdict.written > 0 && sieved > 0 && filtered > 0 && changes > 5, "{changes}: {verdict:?}");
}

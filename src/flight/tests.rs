//! The window without a recording: when events leave it, which dumps there are, and what becomes of them.

mod disk;
mod packed;
mod state;

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{disk::usual_path, window::Window, *};
use crate::output::{Output, OutputTotals, Target, WriterThread};
use scap::{
    events::event_by_program,
    fields::Fields,
    format::{EventBuilder, MachineState, Reader, Value, frame_event, write_state},
    ledger::{self, Notice, Trigger, TriggerKind, Verdict},
};

const SECOND: u64 = 1_000_000_000;
/// The least size of an event's block here, in bytes.
const LARGE: usize = 20_000;

fn flight() -> Flight {
    Flight {
        time: Duration::from_secs(10),
        bytes: Flight::LEAST,
        is_packed: false,
        longer: None,
        on_disk: None,
        after: Duration::ZERO,
        dumps_per_hour: 100,
        triggers: Vec::new(),
        rates: Vec::new(),
        pressures: Vec::new(),
    }
}

/// A window that gets chunks from a test.
struct Fed {
    folder: TempDir,
    window: Box<Window>,
    chunks: WriterThread,
    now: u64,
}

impl Fed {
    fn new(flight: Flight) -> Fed {
        Fed::of(flight, &MachineState::default())
    }

    /// Begins with this state of the machine.
    fn of(flight: Flight, machine: &MachineState) -> Fed {
        let folder = tempfile::tempdir().unwrap();
        let pattern = Pattern::parse(&folder.path().join("a.scap")).unwrap();
        let shelf = Shelf::open(pattern, &Series::default(), false).unwrap();
        let file = flight.on_disk.is_some().then(|| {
            let path = usual_path(folder.path());
            save::make_room(&path, &flight, &shelf).unwrap()
        });
        Fed::over(folder, Window::new(flight, shelf, file), machine)
    }

    fn over(folder: TempDir, window: Window, machine: &MachineState) -> Fed {
        let output = Output::create(Target::File(folder.path().join("unused")), false).unwrap();
        let chunks = WriterThread::spawn(output, 1, 1 << 20).unwrap();
        let mut fed = Fed { folder, window: Box::new(window), chunks, now: 1000 * SECOND };
        let mut state = Vec::new();
        write_state(&mut state, machine).unwrap();
        fed.put(&state, 0);
        fed
    }

    fn put(&mut self, blocks: &[u8], events: u64) {
        let mut chunk = self.chunks.take().unwrap();
        chunk.bytes.extend_from_slice(blocks);
        chunk.events = events;
        self.window.put(&mut chunk).unwrap();
        self.await_disk();
        chunk.bytes.clear();
        chunk.events = 0;
        self.chunks.submit(chunk).unwrap();
    }

    /// Puts events with the next numbers, a second after the ones before.
    fn second(&mut self, numbers: std::ops::Range<u64>) {
        self.now += SECOND;
        let mut blocks = Vec::new();
        for number in numbers.clone() {
            frame_event(&mut blocks, 1, &event(self.now, number));
        }
        self.put(&blocks, numbers.count() as u64);
    }

    fn trigger(&mut self, after: u64) {
        let trigger = Trigger { by: TriggerKind::Request, at: self.now, after, reason: "x".into() };
        let mut blocks = Vec::new();
        frame_event(&mut blocks, 0, &ledger::notice(ledger::TRIGGER, &trigger.text(), self.now));
        self.put(&blocks, 0);
    }

    /// Puts an event that a thread makes a second later.
    fn event(&mut self, tid: u64, program: &str, values: &[(&str, Value<'_>)]) {
        self.now += SECOND;
        let row = event_by_program(program).unwrap();
        assert!(values.iter().all(|(name, _)| row.param(name).is_some()));
        let builder = row.params.iter().fold(EventBuilder::new(row, self.now, tid), |builder, param| {
            let given = values.iter().find(|(name, _)| *name == param.name);
            builder.param(given.map_or(Value::Absent, |(_, value)| *value)).unwrap()
        });
        let mut blocks = Vec::new();
        frame_event(&mut blocks, 0, &builder.build().unwrap());
        self.put(&blocks, 1);
    }

    fn status(&self) -> FlightStatus {
        self.window.report().status()
    }

    /// Waits until no dump is on its way.
    fn settle(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        let is_over = || {
            let status = self.status();
            status.dumps == status.written + status.failed
        };
        while !is_over() {
            assert!(Instant::now() < deadline, "{:?}", self.status());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends it; returns the numbers of the events in each dump, and its balance.
    fn dumps(self) -> Vec<(Vec<u64>, Verdict)> {
        let (_folder, paths) = self.end();
        paths.iter().map(|path| read(path)).collect()
    }

    /// Ends it; returns the folder, and the dumps.
    fn end(mut self) -> (TempDir, Vec<PathBuf>) {
        self.window.end(self.now);
        self.window.finish();
        let paths = captures(self.folder.path());
        (self.folder, paths)
    }
}

fn captures(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with("a-"));
    paths.sort();
    paths
}

fn read(path: &Path) -> (Vec<u64>, Verdict) {
    let mut reader = Reader::new(fs::File::open(path).unwrap()).unwrap();
    let (mut numbers, mut found) = (Vec::new(), None);
    while let Some(captured) = reader.next_event().unwrap() {
        match ledger::parse(&captured.event) {
            Some(Notice::Verdict(verdict)) => found = Some(verdict),
            Some(_) => {}
            None => numbers.push(captured.event.tid()),
        }
    }
    let verdict = found.unwrap();
    assert_eq!((verdict.written, verdict.unaccounted()), (numbers.len() as u64, 0));
    (numbers, verdict)
}

/// An event whose thread is its number.
fn event(ts: u64, number: u64) -> Vec<u8> {
    let row = event_by_program("write_x").unwrap();
    let data = vec![7; LARGE];
    let builder = EventBuilder::new(row, ts, number).param(Value::Errno(1)).unwrap();
    let builder = builder.param(Value::Bytes(&data)).unwrap().param(Value::Fd(1)).unwrap();
    builder.param(Value::Uint(1)).unwrap().build().unwrap()
}

#[test]
fn events_leave_when_their_time_is_over() {
    let mut fed = Fed::new(flight());
    (0..20).for_each(|second| fed.second(second..second + 1));
    let status = fed.status().window;
    // Those of ten seconds ago are just not too old: a trigger of the same time may follow.
    assert_eq!((status.events, status.evicted), (11, 0));
    assert_eq!(status.from, fed.now - 10 * SECOND);
    thread::sleep(Duration::from_millis(10));
    fed.window.tick();
    assert_eq!(fed.status().window.events, 11);
    fed.trigger(0);
    fed.settle();
    let dumps = fed.dumps();
    assert_eq!(dumps[0].0, (9..20).collect::<Vec<_>>());
    assert_eq!((dumps.len(), dumps[0].1.left_out.evicted), (1, 0));
}

#[test]
fn events_leave_early_for_want_of_memory() {
    let mut fed = Fed::new(flight());
    // Each second has 40 events of 20 kB.
    for second in 0..8 {
        fed.second(second * 40..(second + 1) * 40);
        assert!(fed.status().window.bytes <= Flight::LEAST, "{:?}", fed.status());
    }
    let KeptStatus { events, evicted, .. } = fed.status().window;
    assert!(evicted > 0 && events + evicted == 320);
    fed.trigger(0);
    fed.settle();
    // Those that would have left anyway do not count any longer.
    fed.now += 9 * SECOND;
    fed.second(320..321);
    fed.now += 100 * SECOND;
    fed.trigger(0);
    fed.settle();
    let dumps = fed.dumps();
    assert_eq!(dumps[0].1.left_out.evicted, evicted);
    assert_eq!(dumps[0].0, (evicted..320).collect::<Vec<_>>());
    assert_eq!((dumps[1].0.clone(), dumps[1].1.left_out.evicted), (Vec::new(), 0));
}

#[test]
fn triggers_that_overlap_make_one_dump() {
    let mut fed = Fed::new(flight());
    fed.second(0..1);
    fed.trigger(2 * SECOND);
    fed.second(1..2);
    // It goes on for two seconds from here.
    fed.trigger(2 * SECOND);
    (2..8).for_each(|number| fed.second(number..number + 1));
    fed.settle();
    let status = fed.status();
    assert_eq!((status.triggers, status.dumps), (2, 1));
    fed.trigger(0);
    fed.settle();
    let dumps: Vec<_> = fed.dumps().into_iter().map(|(numbers, _)| numbers).collect();
    assert_eq!(dumps, [vec![0, 1, 2, 3], vec![0, 1, 2, 3, 4, 5, 6, 7]]);
}

#[test]
fn a_dump_does_not_go_on_for_ever() {
    let mut fed = Fed::new(flight());
    for number in 0..30 {
        fed.second(number..number + 1);
        fed.trigger(2 * SECOND);
    }
    // One lasts as long as the window, and for what follows the last trigger.
    assert!((2..=4).contains(&fed.status().dumps), "{:?}", fed.status());
}

#[test]
fn dumps_in_an_hour_are_limited() {
    let mut fed = Fed::new(Flight { dumps_per_hour: 2, ..flight() });
    for number in 0..4 {
        fed.now += 20 * SECOND;
        fed.second(number..number + 1);
        fed.trigger(0);
        fed.second(100 + number..101 + number);
    }
    fed.settle();
    let status = fed.status();
    assert_eq!((status.triggers, status.dumps, status.refused), (4, 2, 2));
    assert_eq!(fed.dumps().len(), 2);
}

#[test]
fn a_dump_that_cannot_be_written_waits_in_memory() {
    let mut fed = Fed::new(flight());
    (0..3).for_each(|part| fed.second(part * 50..(part + 1) * 50));
    // No file can be created there.
    let away = fed.folder.path().with_extension("away");
    fs::rename(fed.folder.path(), &away).unwrap();
    fed.trigger(0);
    let mut number = 150;
    while fed.status().window.evicted < 200 {
        assert!(number < 2000, "the window does not get shorter: {:?}", fed.status());
        fed.second(number..number + 10);
        number += 10;
        assert!(fed.status().window.bytes <= Flight::LEAST, "{:?}", fed.status());
    }
    assert!(
        (20..=60).contains(&fed.status().window.events),
        "it has the rest of the memory: {:?}",
        fed.status()
    );
    // There is no room for another one.
    fed.now += 11 * SECOND;
    fed.second(number..number + 30);
    fed.trigger(0);
    fed.second(3000..3040);
    let deadline = Instant::now() + Duration::from_secs(60);
    fs::rename(&away, fed.folder.path()).unwrap();
    fed.settle();
    assert!(Instant::now() < deadline);
    assert_eq!((fed.status().written, fed.status().failed), (1, 1));
    let dumps = fed.dumps();
    assert_eq!(dumps[0].0, (0..150).collect::<Vec<_>>());
    assert_eq!(dumps.len(), 1);
}

#[test]
fn a_dump_of_a_full_window_waits_in_memory() {
    for after in [0, 3600] {
        let mut fed = Fed::new(Flight { time: Duration::from_secs(3600), ..flight() });
        (0..30).for_each(|part| fed.second(part * 10..(part + 1) * 10));
        let KeptStatus { evicted, .. } = fed.status().window;
        assert!(evicted > 0, "the window is not full");
        // No file can be created there.
        let away = fed.folder.path().with_extension("away");
        fs::rename(fed.folder.path(), &away).unwrap();
        fed.trigger(after * SECOND);
        for part in 30..200 {
            fed.second(part * 10..(part + 1) * 10);
            assert!(fed.status().window.bytes <= Flight::LEAST, "{:?}", fed.status());
        }
        fs::rename(&away, fed.folder.path()).unwrap();
        fed.settle();
        assert_eq!((fed.status().written, fed.status().failed), (1, 0));
        let dumps = fed.dumps();
        let (first, last) = (evicted, *dumps[0].0.last().unwrap());
        assert_eq!(dumps[0].0, (first..=last).collect::<Vec<_>>());
        // What came after the trigger has what memory was left.
        assert!(if after == 0 { last == 299 } else { (300..400).contains(&last) }, "{last}");
    }
}

#[test]
fn a_dump_that_gets_on_costs_the_window_little() {
    let mut fed = Fed::new(Flight { time: Duration::from_secs(1000), ..flight() });
    (0..20).for_each(|part| fed.second(part * 10..(part + 1) * 10));
    let before = fed.status().window;
    assert!(before.bytes > Flight::LEAST / 4 * 3, "{before:?}");
    for part in 0..20 {
        fed.trigger(0);
        fed.settle();
        fed.second(1000 + part * 10..1010 + part * 10);
    }
    let FlightStatus { written, failed, window: KeptStatus { events, .. }, .. } = fed.status();
    assert_eq!((written, failed), (20, 0));
    assert!(events >= before.events - 20, "{events} of {}", before.events);
}

#[test]
fn a_file_that_is_taken_away_is_written_once_more() {
    let mut fed = Fed::new(flight());
    fed.second(0..50);
    fed.trigger(10 * SECOND);
    let partial =
        || captures(fed.folder.path()).into_iter().find(|path| path.extension().unwrap() == "partial");
    let deadline = Instant::now() + Duration::from_secs(30);
    while partial().is_none_or(|path| fs::metadata(path).is_ok_and(|found| found.len() == 0)) {
        assert!(Instant::now() < deadline, "no file is begun");
        thread::sleep(Duration::from_millis(5));
    }
    fs::remove_file(partial().unwrap()).unwrap();
    (1..12).for_each(|second| fed.second(49 + second..50 + second));
    fed.settle();
    let dumps = fed.dumps();
    assert_eq!(dumps.len(), 1);
    assert_eq!(dumps[0].0[..50], (0..50).collect::<Vec<_>>()[..]);
}

#[test]
fn a_filter_is_asked_in_order() {
    let filter = Filter::parse("evt.type = write and thread.tid in (7, 9)", &Fields).unwrap();
    let mut fed = Fed::new(Flight { triggers: vec![filter], ..flight() });
    fed.second(0..20);
    let totals = fed.window.totals();
    assert_eq!((totals.events, totals), (20, OutputTotals { ..totals }));
    // The second one is of the same second.
    assert_eq!(fed.status().triggers, 1);
    fed.second(20..21);
    fed.settle();
    let (_folder, paths) = fed.end();
    let mut reader = Reader::new(fs::File::open(&paths[0]).unwrap()).unwrap();
    let mut tids = Vec::new();
    while let Some(captured) = reader.next_event().unwrap() {
        let is_trigger = matches!(ledger::parse(&captured.event), Some(Notice::Trigger(_)));
        tids.push(if is_trigger { 999 } else { captured.event.tid() });
    }
    assert_eq!(tids[..10], [0, 1, 2, 3, 4, 5, 6, 7, 999, 8]);
}

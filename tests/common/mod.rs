//! Helpers shared by the tests of the command.

#![allow(dead_code, clippy::unwrap_used)]

pub mod series;

use std::{
    collections::BTreeMap,
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread::sleep,
    time::Duration,
};

use scap::{
    events::{EventType, event_by_program},
    format::{Decoded, EventView, Reader, Value},
    ledger::{self, Cause, ClockStep, Gap, Notice, Verdict},
    select::Asked,
};

/// Returns the command under test.
pub fn scapd() -> Command {
    Command::new(env!("CARGO_BIN_EXE_scapd"))
}

/// Runs a command, and returns its exit code, stdout and stderr.
pub fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (status.code(), text(stdout), text(stderr))
}

/// Reads until the text ends like this, or until the end of the input.
pub fn read_until(input: &mut impl Read, end: &str) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(end.as_bytes()) && input.read(&mut byte).unwrap() > 0 {
        text.push(byte[0]);
    }
    String::from_utf8(text).unwrap()
}

/// Runs a command, and samples its memory: returns its exit code, stderr, and the resident bytes.
pub fn run_watched(command: &mut Command) -> (Option<i32>, String, Vec<u64>) {
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut resident = Vec::new();
    while child.try_wait().unwrap().is_none() {
        let status = std::fs::read_to_string(&status).unwrap_or_default();
        let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next());
        resident.extend(kib.map(|kib| kib.parse::<u64>().unwrap() << 10));
        sleep(Duration::from_millis(20));
    }
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (child.wait().unwrap().code(), said, resident)
}

/// Returns the event type that a program records.
pub fn event_type(program: &str) -> EventType {
    event_by_program(program).unwrap().ty
}

/// A capture, read to its end: checks that it is complete, in time order, and ends with a correct verdict.
pub struct Capture {
    pub counts: BTreeMap<EventType, u64>,
    pub events: Vec<(EventType, u64, Vec<u8>)>,
    pub gaps: Vec<Gap>,
    pub clock_steps: Vec<ClockStep>,
    pub verdict: Verdict,
    /// The stored selections.
    pub asked: Vec<Asked>,
}

impl Capture {
    pub fn read(path: &Path) -> Capture {
        let mut reader = Reader::new(std::fs::File::open(path).unwrap()).unwrap();
        let (counts, verdict) = (BTreeMap::new(), Verdict::default());
        let (events, gaps, clock_steps) = (Vec::new(), Vec::new(), Vec::new());
        let mut capture = Capture { counts, events, gaps, clock_steps, verdict, asked: Vec::new() };
        let (mut last, mut ended) = (0, false);
        while let Some(captured) = reader.next_event().unwrap() {
            let event = captured.event;
            assert!(event.ts() >= last, "event {} is out of order", capture.events.len());
            last = event.ts();
            assert!(!ended, "an event behind the verdict");
            match ledger::parse(&event) {
                Some(Notice::Gap(gap)) => capture.gaps.push(gap),
                Some(Notice::Verdict(verdict)) => (capture.verdict, ended) = (verdict, true),
                Some(Notice::Cut(cut)) => panic!("it was cut, and repaired: {cut:?}"),
                Some(Notice::Selected(asked)) => capture.asked.push(asked),
                Some(Notice::Slice(note)) => panic!("a slice: {note:?}"),
                Some(Notice::Filter(_) | Notice::Redacted(_) | Notice::Trigger(_) | Notice::Longer(_)) => {}
                Some(Notice::Clock(step)) => capture.clock_steps.push(step),
                None => {}
            }
            if event.ty() == ledger::NOTIFICATION {
                continue;
            }
            *capture.counts.entry(event.ty()).or_default() += 1;
            capture.events.push((event.ty(), event.tid(), event.bytes().to_vec()));
        }
        assert!(ended, "no verdict");
        assert_eq!(capture.verdict.written, capture.events.len() as u64);
        assert_eq!(capture.verdict.unaccounted(), 0);
        let in_gaps: u64 = capture.gaps.iter().map(|gap| gap.losses.sum()).sum();
        assert_eq!(in_gaps, capture.verdict.losses.sum() - capture.verdict.losses.of(Cause::Skipped));
        capture
    }

    pub fn count(&self, program: &str) -> u64 {
        self.counts.get(&event_type(program)).copied().unwrap_or(0)
    }

    /// Returns the events of a program.
    pub fn of(&self, program: &str) -> impl Iterator<Item = EventView<'_>> {
        let wanted = event_type(program);
        self.events
            .iter()
            .filter(move |(ty, ..)| *ty == wanted)
            .map(|(_, _, bytes)| EventView::parse(bytes, false).unwrap())
    }
}

/// Returns the path of a file in the test's directory.
pub fn file(folder: &tempfile::TempDir, name: &str) -> PathBuf {
    folder.path().join(name)
}

/// Returns a text parameter, "" if it has no value.
pub fn text(event: &EventView<'_>, param: &str) -> String {
    match event.value(param) {
        Some(Ok(Decoded { value: Value::Text(text), .. })) => String::from_utf8_lossy(text).into_owned(),
        _ => String::new(),
    }
}

/// Returns a numeric parameter.
pub fn number(event: &EventView<'_>, param: &str) -> Option<i64> {
    match event.value(param)?.ok()?.value {
        Value::Errno(n) | Value::Fd(n) | Value::Pid(n) | Value::Int(n) => Some(n),
        Value::Uint(n) => i64::try_from(n).ok(),
        _ => None,
    }
}

//! What the tests of the command share.

#![allow(dead_code, clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use scapd::{
    events::{EventType, event_by_program},
    ledger::{self, Cause, Gap, Notice, Verdict},
    scap::{Decoded, EventView, Reader, Value},
};

/// The command under test.
pub fn scapd() -> Command {
    Command::new(env!("CARGO_BIN_EXE_scapd"))
}

/// Runs it, and returns what it said.
pub fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (status.code(), text(stdout), text(stderr))
}

/// The event type that a program records.
pub fn event_type(program: &str) -> EventType {
    event_by_program(program).unwrap().ty
}

/// A capture, read to its end: it must be whole, in time order, and end with its verdict, which must add up.
pub struct Capture {
    pub counts: BTreeMap<EventType, u64>,
    pub events: Vec<(EventType, u64, Vec<u8>)>,
    pub gaps: Vec<Gap>,
    pub verdict: Verdict,
}

impl Capture {
    pub fn read(path: &Path) -> Capture {
        let mut reader = Reader::new(std::fs::File::open(path).unwrap()).unwrap();
        let (counts, verdict) = (BTreeMap::new(), Verdict::default());
        let mut capture = Capture { counts, events: Vec::new(), gaps: Vec::new(), verdict };
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

    /// The events of a program.
    pub fn of(&self, program: &str) -> impl Iterator<Item = EventView<'_>> {
        let wanted = event_type(program);
        self.events
            .iter()
            .filter(move |(ty, ..)| *ty == wanted)
            .map(|(_, _, bytes)| EventView::parse(bytes, false).unwrap())
    }
}

/// A file in a folder that goes with the test.
pub fn file(folder: &tempfile::TempDir, name: &str) -> PathBuf {
    folder.path().join(name)
}

/// A parameter that is a text, "" if it has no value.
pub fn text(event: &EventView<'_>, param: &str) -> String {
    match event.value(param) {
        Some(Ok(Decoded { value: Value::Text(text), .. })) => String::from_utf8_lossy(text).into_owned(),
        _ => String::new(),
    }
}

/// A parameter that is a number.
pub fn number(event: &EventView<'_>, param: &str) -> Option<i64> {
    match event.value(param)?.ok()?.value {
        Value::Errno(n) | Value::Fd(n) | Value::Pid(n) | Value::Int(n) => Some(n),
        Value::Uint(n) => i64::try_from(n).ok(),
        _ => None,
    }
}

//! A closed file: the marked calls in it, and the losses that it reports.

use std::{collections::BTreeMap, io::Read};

use scap::{
    events::{EventType, event_by_program},
    format::{CapturedEvent, EventView, Reader, Value},
    ledger::{self, Cause, Losses, Notice, Verdict},
};

use crate::{
    load,
    shared::{Call, THREADS},
};

/// One of the two events of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    Enter,
    Exit,
}

/// The enter or exit events of one thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stream {
    pub thread: usize,
    pub side: Side,
}

impl Stream {
    pub fn all() -> impl Iterator<Item = Stream> {
        (0..THREADS).flat_map(|thread| [Side::Enter, Side::Exit].map(|side| Stream { thread, side }))
    }

    /// Returns the type of its events.
    pub fn ty(self) -> EventType {
        let program = match (Call::of(self.thread), self.side) {
            (Call::Lseek, Side::Enter) => "lseek_e",
            (Call::Lseek, Side::Exit) => "lseek_x",
            (Call::Openat2, Side::Enter) => "openat2_e",
            (Call::Openat2, Side::Exit) => "openat2_x",
        };
        event_by_program(program).map_or(EventType(u16::MAX), |event| event.ty)
    }
}

/// Missing calls: their numbers, and the times of the events around them (ns since the epoch).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hole {
    pub numbers: std::ops::Range<u64>,
    pub after: u64,
    pub before: u64,
}

/// A stream's events in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub first: u64,
    pub first_time: u64,
    pub last: u64,
    pub last_time: u64,
    pub count: u64,
    pub holes: Vec<Hole>,
}

/// The relevant contents of a file.
#[derive(Debug, Default)]
pub struct Capture {
    pub name: String,
    /// The times of its first and last event or notice; 0 if there is none.
    pub first_time: u64,
    pub last_time: u64,
    /// Number of events, without notices.
    pub events: u64,
    pub runs: BTreeMap<Stream, Run>,
    pub gaps: Vec<Gap>,
    pub verdict: Option<Verdict>,
    /// Whether it was repaired.
    pub cut: bool,
    /// Violations in this file.
    pub faults: Vec<String>,
}

/// Losses reported by a notice in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    pub from: u64,
    pub to: u64,
    pub losses: Losses,
    /// By event type, as far as the notice names types.
    pub types: Vec<(EventType, u64)>,
}

impl Gap {
    /// Returns the number of lost events without a type.
    pub fn untyped(&self) -> u64 {
        let typed: u64 = self.types.iter().map(|(_, count)| count).sum();
        (self.losses.sum() - self.losses.of(Cause::Skipped)).saturating_sub(typed)
    }
}

/// Maximum number of faults reported per file.
const FAULTS: usize = 5;

impl Capture {
    /// Reads a file. `root` is a process that exists all the time; `tids` are the threads' ids.
    pub fn read(name: &str, input: impl Read, root: u32, tids: &[u64]) -> Capture {
        let mut capture = Capture { name: name.to_owned(), ..Capture::default() };
        let end = Reader::new(input).and_then(|mut reader| {
            while let Some(captured) = reader.next_event()? {
                capture.take(&captured, tids);
            }
            let state = reader.state();
            let has_state =
                state.machine.num_cpus > 0 && state.threads.iter().any(|t| t.pid == u64::from(root));
            // A file cut off inside its state has no events; it is repaired nevertheless.
            if !has_state && (capture.events > 0 || !capture.cut) {
                capture.fault("does not start with the state of the machine".to_owned());
            }
            Ok(())
        });
        if let Err(error) = end {
            capture.fault(error.to_string());
        }
        capture
    }

    fn fault(&mut self, what: String) {
        if self.faults.len() < FAULTS {
            self.faults.push(format!("{}: {what}", self.name));
        }
    }

    fn take(&mut self, captured: &CapturedEvent<'_>, tids: &[u64]) {
        let event = &captured.event;
        let time = event.ts();
        self.first_time = if self.first_time == 0 { time } else { self.first_time };
        self.last_time = self.last_time.max(time);
        match ledger::parse(event) {
            Some(Notice::Gap(gap)) => {
                self.gaps.push(Gap { from: gap.from, to: gap.to, losses: gap.losses, types: gap.most });
                return;
            }
            Some(Notice::Verdict(verdict)) => {
                self.verdict = Some(verdict);
                return;
            }
            Some(Notice::Clock(_)) => return,
            Some(Notice::Cut(_)) => {
                self.cut = true;
                return;
            }
            Some(
                Notice::Selected(_)
                | Notice::Slice(_)
                | Notice::Filter(_)
                | Notice::Redacted(_)
                | Notice::Trigger(_)
                | Notice::Longer(_),
            ) => return,
            None => self.events += u64::from(!ledger::is_own(event.ty())),
        }
        let Some((stream, number)) = marked(event) else { return };
        if tids.get(stream.thread) != Some(&event.tid()) {
            self.fault(format!("the event at byte {} is not of thread {}", captured.offset, event.tid()));
            return;
        }
        if let Err(what) = self.add(stream, number, time) {
            self.fault(format!("at byte {}: {what}", captured.offset));
        }
    }

    fn add(&mut self, stream: Stream, number: u64, time: u64) -> Result<(), String> {
        let first = Run {
            first: number,
            first_time: time,
            last: number,
            last_time: time,
            count: 0,
            holes: Vec::new(),
        };
        let run = self.runs.entry(stream).or_insert(first);
        run.count += 1;
        if run.count == 1 {
            return Ok(());
        }
        if number <= run.last {
            return Err(format!("{stream:?}: number {number} comes after {}", run.last));
        }
        if number > run.last + 1 {
            run.holes.push(Hole { numbers: run.last + 1..number, after: run.last_time, before: time });
        }
        (run.last, run.last_time) = (number, time);
        Ok(())
    }
}

/// Returns the stream and number of a marked call's event.
fn marked(event: &EventView<'_>) -> Option<(Stream, u64)> {
    let row = event.info()?;
    let (side, found) = match row.program? {
        "lseek_e" => (Side::Enter, offset(event)),
        "lseek_x" => (Side::Exit, offset(event)),
        "openat2_e" => (Side::Enter, path(event)),
        "openat2_x" => (Side::Exit, path(event)),
        _ => return None,
    };
    let (thread, number) = found?;
    (thread < THREADS).then_some((Stream { thread, side }, number))
}

fn offset(event: &EventView<'_>) -> Option<(usize, u64)> {
    match event.value("offset")?.ok()?.value {
        Value::Uint(offset) => Some(load::of_offset(offset)),
        _ => None,
    }
}

fn path(event: &EventView<'_>) -> Option<(usize, u64)> {
    match event.value("name")?.ok()?.value {
        Value::Text(path) => load::of_path(path),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_and_what_comes_twice() {
        let stream = Stream { thread: 0, side: Side::Exit };
        let mut capture = Capture::default();
        for (number, time) in [(3, 10), (4, 11), (7, 15), (8, 16)] {
            capture.add(stream, number, time).unwrap();
        }
        let run = &capture.runs[&stream];
        assert_eq!((run.first, run.last, run.count), (3, 8, 4));
        assert_eq!(run.holes, [Hole { numbers: 5..7, after: 11, before: 15 }]);
        assert!(capture.add(stream, 8, 17).is_err());
    }

    #[test]
    fn each_stream_has_a_type_of_its_own() {
        let types: std::collections::BTreeSet<_> =
            Stream::all().filter(|s| s.thread < Call::ALL.len()).map(|s| s.ty()).collect();
        assert_eq!(types.len(), 4);
        assert!(!types.contains(&EventType(u16::MAX)));
    }
}

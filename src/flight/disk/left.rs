//! What a recorder that was killed has left, as a capture.

use std::{collections::BTreeMap, io, path::PathBuf};

use super::{
    OnDiskError,
    file::{LeftFile, read_at},
    layout::{HEADER, Header, PAGE, checksum},
};
use crate::flight::{gauge::Gauge, segment::Segment, tail::Tail};
use scap::{
    format::{EventBlocks, frame_event},
    ledger::{self, Cause, Cut, CutCause, Gap, Longer, Losses, Notice, Verdict},
};

/// The window of a recorder that has ended without closing it. It is locked.
#[derive(Debug)]
pub struct LeftWindow(LeftFile);

/// What a window has, in the order of a capture.
#[derive(Debug)]
pub struct Saved<'a> {
    file: &'a LeftFile,
    /// The blocks that the capture begins with.
    pub state: Vec<u8>,
    /// The time of the first event, and of the last, in ns since the epoch.
    pub span: (u64, u64),
    parts: Vec<Part>,
    early: u64,
}

/// A part of the capture.
#[derive(Debug)]
enum Part {
    Record(Record),
    /// Segments that are not whole: their events, the bytes of those that are there, and the times before and after.
    Gap {
        events: u64,
        bytes: u64,
        from: u64,
        to: u64,
    },
}

/// What a capture that was saved ends with.
#[derive(Debug, Clone, Copy)]
pub struct End {
    /// The balance.
    pub balance: Verdict,
    /// What was left out.
    pub cut: Cut,
}

/// A record of the file.
#[derive(Debug, Clone, Copy)]
struct Record {
    at: u64,
    header: Header,
}

type Records = BTreeMap<u64, Record>;

impl LeftWindow {
    pub(super) fn new(left: LeftFile) -> LeftWindow {
        LeftWindow(left)
    }

    /// Returns its path.
    pub fn path(&self) -> PathBuf {
        self.0.spot.path()
    }

    /// Removes it: it is saved.
    ///
    /// # Errors
    /// If that fails.
    pub fn remove(&self) -> Result<(), OnDiskError> {
        self.0.remove()
    }

    /// Appends a suffix to its name; replaces nothing.
    ///
    /// # Errors
    /// If that fails.
    pub fn put_aside(&self, suffix: &str) -> io::Result<PathBuf> {
        let (spot, aside) = (&self.0.spot, self.0.spot.with(suffix));
        spot.folder.rename_new(&spot.name, &aside.name)?;
        Ok(aside.path())
    }

    /// Finds what can be saved; `None` if it has no event.
    ///
    /// # Errors
    /// If it cannot be read, or has no whole state of the machine.
    pub fn save(&self) -> Result<Option<Saved<'_>>, OnDiskError> {
        let failed = |source| OnDiskError::Read { path: self.path(), source };
        let [windows, longer, states] = self.records().map_err(failed)?;
        // The newest whole state, and the segments behind it.
        for state in states.values().rev() {
            let Some((lead, blocks)) = self.0.read(state).map_err(failed)? else { continue };
            let Ok(tail) = Tail::new(&blocks) else { continue };
            let mut kept: Vec<_> = longer.range(state.header.longer..).map(|(_, record)| *record).collect();
            // What a torn one had is still among the segments of the window.
            while let Some(last) = kept.last()
                && self.0.read(last).map_err(failed)?.is_none()
            {
                kept.pop();
            }
            let from = kept.last().map_or(0, |last| last.header.window).max(state.header.window);
            let rest: Vec<_> = windows.range(from..).map(|(_, record)| *record).collect();
            if kept.is_empty() && rest.is_empty() {
                return Ok(None);
            }
            let until = kept.is_empty().then_some(state.header.before);
            return self.saved(tail, filter_of(&lead), &kept, (&rest, until)).map(Some).map_err(failed);
        }
        let is_empty = windows.is_empty() && longer.is_empty() && states.is_empty();
        if is_empty { Ok(None) } else { Err(OnDiskError::NoState { path: self.path() }) }
    }

    /// Lets the machine of a state follow what is too old by now, and lists the rest. `until` is the number of events before the
    /// segments of the window, if it is known.
    fn saved(
        &self,
        mut tail: Tail,
        filter: Option<String>,
        kept: &[Record],
        (rest, until): (&[Record], Option<u64>),
    ) -> io::Result<Saved<'_>> {
        let head = &self.0.head;
        let latest = kept.iter().chain(rest).map(|record| record.header.latest).max().unwrap_or(0);
        let is_over = |record: &Record, time: u64| record.header.latest < latest.saturating_sub(time);
        // It stops where something is missing: the capture has to say that, as names may be wrong from there on.
        let mut pass = |records: &[Record], time: u64, mut until: Option<u64>| -> io::Result<usize> {
            for (over, record) in records.iter().enumerate() {
                let Header { before, events, .. } = record.header;
                if !is_over(record, time) || until.is_some_and(|until| until != before) {
                    return Ok(over);
                }
                let Some((_, blocks)) = self.0.read(record)? else { return Ok(over) };
                tail.pass(&Segment::new(blocks, Verdict::default(), &Gauge::default()));
                until = Some(before.saturating_add(events));
            }
            Ok(records.len())
        };
        let over = pass(kept, head.longer, None)?;
        // What is kept longer begins before the window: all of that is needed for names.
        let kept = &kept[over..];
        let over = if kept.is_empty() { pass(rest, head.time, until)? } else { 0 };
        let end = |record: &Record| record.header.before.saturating_add(record.header.events);
        let (passed, rest) = rest.split_at(over);
        let until = passed.last().map(end).or(until);
        let mut parts = Vec::new();
        self.add(kept, None, &mut parts)?;
        self.add(rest, until, &mut parts)?;
        let whole = |records: &[Record]| records.first().map(|record| record.header.first);
        let everything = whole(rest).unwrap_or(latest);
        let first = whole(kept).unwrap_or(everything);
        let longer = filter.filter(|_| !kept.is_empty()).map(|filter| Longer { until: everything, filter });
        // Some of what had left early is here, as it is before the start of the window of that time.
        let early = rest.last().map_or(0, |last| {
            let here = rest.iter().filter(|record| record.header.number < last.header.window);
            last.header
                .early
                .saturating_sub(here.fold(0, |sum, record| sum.saturating_add(record.header.events)))
        });
        let state = tail.blocks(first, longer.as_ref());
        Ok(Saved { file: &self.0, state, span: (first, latest), parts, early })
    }

    /// Adds segments, and the gaps between them. `until` is the number of events before them.
    fn add(&self, records: &[Record], mut until: Option<u64>, parts: &mut Vec<Part>) -> io::Result<()> {
        let mut from = None;
        for record in records {
            let Header { events, blocks, first, latest, before, .. } = record.header;
            let missing = before.saturating_sub(until.unwrap_or(before));
            if missing > 0 {
                parts.push(Part::Gap { events: missing, bytes: 0, from: from.unwrap_or(first), to: first });
            }
            parts.push(match self.0.read(record)? {
                Some(_) => Part::Record(*record),
                None => Part::Gap { events, bytes: blocks, from: first, to: latest },
            });
            (from, until) = (Some(latest), Some(before.saturating_add(events)));
        }
        Ok(())
    }

    /// Finds the records of each kind. Any page may be the start of one.
    fn records(&self) -> io::Result<[Records; 3]> {
        let mut found = [(); 3].map(|()| Records::new());
        for (offset, len) in self.0.head.areas {
            let end = (offset + len).min(self.0.file.metadata()?.len());
            for at in (offset..end).step_by(PAGE as usize) {
                let mut bytes = [0; HEADER];
                let count = read_at(&self.0.file, &mut bytes, at)?;
                let header = Header::parse(&bytes[..count], self.0.head.id);
                let Some(header) = header.filter(|header| fits(header, end - at)) else { continue };
                found[header.kind as usize].insert(header.number, Record { at, header });
            }
        }
        Ok(found)
    }
}

fn fits(header: &Header, room: u64) -> bool {
    header.record().is_some_and(|size| size <= room)
}

impl LeftFile {
    /// Reads the lead and the blocks of a record; `None` if they are not whole.
    fn read(&self, record: &Record) -> io::Result<Option<(Vec<u8>, Vec<u8>)>> {
        let Header { lead, blocks, sum, .. } = record.header;
        let mut bytes = vec![0; (lead + blocks) as usize];
        let read = read_at(&self.file, &mut bytes, record.at + HEADER as u64)?;
        if read < bytes.len() || checksum(&[&bytes]) != sum {
            return Ok(None);
        }
        let blocks = bytes.split_off(lead as usize);
        Ok(Some((bytes, blocks)))
    }
}

impl Saved<'_> {
    /// Puts the segments, each with its number of events, and the notices of what is missing. Returns what the capture ends with.
    ///
    /// # Errors
    /// The first one of `put`, and of reading.
    pub fn put<E: From<io::Error>>(
        &self,
        mut put: impl FnMut(&[u8], u64) -> Result<(), E>,
    ) -> Result<End, E> {
        let mut balance = Verdict::default();
        balance.left_out.evicted = self.early;
        let mut cut = Cut { cause: CutCause::Unclosed, offset: self.state.len() as u64, bytes: 0 };
        for part in &self.parts {
            match part {
                Part::Record(record) => {
                    let Some((lead, blocks)) = self.file.read(record)? else {
                        return Err(io::Error::from(io::ErrorKind::InvalidData).into());
                    };
                    put(&blocks, record.header.events)?;
                    balance.add(&balance_of(&lead, record));
                    cut.offset += blocks.len() as u64;
                }
                Part::Gap { events, bytes, from, to } => {
                    let mut losses = Losses::default();
                    losses.add(Cause::Disk, *events);
                    balance.losses.add(Cause::Disk, *events);
                    cut.bytes += bytes;
                    let gap = Gap { from: *from, to: *to, losses, ..Gap::default() };
                    let mut notice = Vec::new();
                    frame_event(&mut notice, 0, &ledger::notice_of(ledger::GAP, &gap.text(), *from, 0));
                    put(&notice, 0)?;
                    cut.offset += notice.len() as u64;
                }
            }
        }
        Ok(End { balance, cut })
    }

    /// Returns how many events it has, and how many are missing in between.
    pub fn events(&self) -> (u64, u64) {
        self.parts.iter().fold((0, 0), |(events, missing), part| match part {
            Part::Record(record) => (events.saturating_add(record.header.events), missing),
            Part::Gap { events: more, .. } => (events, missing.saturating_add(*more)),
        })
    }
}

/// Returns the balance of a segment.
fn balance_of(lead: &[u8], record: &Record) -> Verdict {
    match notice(lead) {
        Some(Notice::Verdict(balance)) => balance,
        _ => Verdict { written: record.header.events, ..Verdict::default() },
    }
}

/// Returns the filter of what is kept longer.
fn filter_of(lead: &[u8]) -> Option<String> {
    match notice(lead) {
        Some(Notice::Longer(longer)) => Some(longer.filter),
        _ => None,
    }
}

fn notice(lead: &[u8]) -> Option<Notice> {
    ledger::parse(&EventBlocks::new(lead).next()?.event()?.event)
}

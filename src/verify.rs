//! `scapd verify`: checks that a capture is whole and has every event that was seen.

use std::{
    fs::File,
    io::{self, BufReader, Read, Write},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use indicatif::HumanCount;
use jiff::{Timestamp, tz::TimeZone};
use serde_json::json;
use thiserror::Error;

use crate::{
    balance::{self, ToJson},
    escape, json,
    salvage::{self, PARTIAL},
};
use scap::{
    events::event,
    format::{CapturedEvent, Keep, ReadError, Reader},
    ledger::{self, Cause, ClockStep, Cut, Gap, Longer, Notice, SliceNote, Verdict},
};

/// Why a capture could not be verified.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// The file cannot be opened.
    #[error("cannot open {}", escape::shown(path))]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The result cannot be written.
    #[error("cannot write the output")]
    Write(#[from] io::Error),
}

/// The state of a capture; a worse one compares greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum VerifyOutcome {
    /// It is whole, and nothing was lost.
    Complete,
    /// It is whole, nothing was lost, and sampling left events out.
    Sample,
    /// It has no notices: scapd did not write it, or ended before it could write them.
    NoLedger,
    /// It is whole, but events were lost or late, or its balance is missing.
    Incomplete,
    /// It is whole, but contradicts itself: events are malformed or misplaced, or do not match its balance.
    Contradictory,
    /// It cannot be read to its end: `scapd repair` makes it whole if anything can be saved.
    Damaged,
    /// It is another kind of file.
    NotACapture,
}

/// What was found in a capture.
#[derive(Debug, Default)]
pub struct VerifyReport {
    /// Events, without notices.
    pub events: u64,
    /// Events after a later one.
    pub late: u64,
    /// The gaps that it reports: the first thousand.
    pub gaps: Vec<Gap>,
    /// Number of gaps.
    pub gap_count: u64,
    /// The steps of the wall clock that it reports: the first thousand.
    pub clock_steps: Vec<ClockStep>,
    /// Number of steps of the wall clock.
    pub clock_step_count: u64,
    /// Where it ended before repairs: the first thousand.
    pub cuts: Vec<Cut>,
    /// What the sections of a slice left out of their source: the first thousand.
    pub slices: Vec<SliceNote>,
    /// From when on dumps of a flight recorder have everything: the first thousand.
    pub longer: Vec<Longer>,
    /// The balance of all sections together, if each of them has one.
    pub verdict: Option<Verdict>,
    /// Sections: more than one if captures were concatenated.
    pub sections: u32,
    /// Sections that begin before the end of the previous one.
    pub early_sections: u32,
    /// Why it is not whole.
    pub damage: Option<String>,
    /// Other faults, with their offsets.
    pub faults: Vec<String>,
    /// Whether its last section records how it ended: by its balance, or by a repair.
    pub is_closed: bool,
    is_none: bool,
    has_ledger: bool,
    in_section: Section,
}

/// The section being read, so far.
#[derive(Debug, Default)]
struct Section {
    events: u64,
    late: u64,
    lost_in_gaps: u64,
    last: u64,
    verdict: Option<Verdict>,
    is_cut: bool,
    /// The last time in the previous section, until the first event of this one is compared with it.
    before: Option<u64>,
}

/// Limit on the faults that are kept.
const FAULTS: usize = 20;
/// Limit on the gaps, clock steps and cuts that are kept: every event of a capture may be one.
const TOLD: usize = 1000;

impl VerifyReport {
    /// Reads a capture to its end.
    pub fn of(input: impl Read) -> VerifyReport {
        let mut report = VerifyReport { verdict: Some(Verdict::default()), ..VerifyReport::default() };
        let reader = Reader::new(input);
        report.is_none = matches!(reader, Err(ReadError::NotScap(_)));
        if let Err(error) = reader.and_then(|reader| report.read(&mut reader.keep(Keep::Machine))) {
            report.damage = Some(error.to_string());
        }
        report.end_section();
        report
    }

    /// Returns the outcome.
    pub fn outcome(&self) -> VerifyOutcome {
        match self.verdict {
            _ if self.is_none => VerifyOutcome::NotACapture,
            _ if self.damage.is_some() => VerifyOutcome::Damaged,
            _ if !self.faults.is_empty() => VerifyOutcome::Contradictory,
            _ if !self.has_ledger => VerifyOutcome::NoLedger,
            Some(verdict) if verdict.is_complete() && self.cuts.is_empty() => match verdict.is_sample() {
                true => VerifyOutcome::Sample,
                false => VerifyOutcome::Complete,
            },
            _ => VerifyOutcome::Incomplete,
        }
    }

    fn read(&mut self, reader: &mut Reader<impl Read>) -> Result<(), ReadError> {
        while let Some(captured) = reader.next_event()? {
            if captured.section != self.sections {
                if self.sections != 0 {
                    self.end_section();
                }
                self.sections = captured.section;
            }
            self.event(&captured);
        }
        let is_last = reader.section() == self.sections;
        self.is_closed = is_last && (self.in_section.verdict.is_some() || self.in_section.is_cut);
        salvage::missing_state(reader).map_or(Ok(()), Err)
    }

    fn event(&mut self, captured: &CapturedEvent<'_>) {
        let event = &captured.event;
        let at = captured.offset;
        let notice = ledger::parse(event);
        self.has_ledger |= notice.as_ref().is_some_and(|notice| !matches!(notice, Notice::Slice(_)));
        for (param, value) in event.values() {
            if let Err(error) = value {
                self.fault(format!("the event at byte {at} is malformed: {}: {error}", param.name));
            }
        }
        if self.in_section.verdict.is_some() && !matches!(notice, Some(Notice::Cut(_))) {
            self.fault(format!("the event at byte {at} comes after the balance"));
        }
        if self.in_section.is_cut && !matches!(notice, Some(Notice::Cut(_))) {
            self.fault(format!("the event at byte {at} comes after the end of a repaired capture"));
        }
        if self.in_section.before.take().is_some_and(|before| event.ts() < before) {
            self.early_sections += 1;
        }
        if event.ts() < self.in_section.last {
            self.in_section.late += 1;
        }
        self.in_section.last = self.in_section.last.max(event.ts());
        match notice {
            Some(Notice::Gap(gap)) => {
                let lost = &mut self.in_section.lost_in_gaps;
                *lost = lost.saturating_add(gap.losses.sum());
                self.gap_count += 1;
                if self.gaps.len() < TOLD {
                    self.gaps.push(gap);
                }
            }
            Some(Notice::Clock(step)) => {
                self.clock_step_count += 1;
                if self.clock_steps.len() < TOLD {
                    self.clock_steps.push(step);
                }
            }
            Some(Notice::Verdict(verdict)) => self.in_section.verdict = Some(verdict),
            Some(Notice::Cut(cut)) => {
                self.in_section.is_cut = true;
                if self.cuts.len() < TOLD {
                    self.cuts.push(cut);
                }
            }
            Some(Notice::Selected(_) | Notice::Filter(_) | Notice::Redacted(_) | Notice::Trigger(_)) => {}
            Some(Notice::Slice(note)) => {
                if self.slices.len() < TOLD {
                    self.slices.push(note);
                }
            }
            Some(Notice::Longer(longer)) => {
                if self.longer.len() < TOLD {
                    self.longer.push(longer);
                }
            }
            None if ledger::is_own(event.ty()) => {}
            None => self.in_section.events += 1,
        }
    }

    fn end_section(&mut self) {
        let before = self.in_section.before.or(Some(self.in_section.last));
        let section = std::mem::replace(&mut self.in_section, Section { before, ..Section::default() });
        self.events += section.events;
        self.late += section.late;
        let Some(verdict) = section.verdict else {
            self.verdict = None;
            return;
        };
        let mut differs = |what: &str, says: u64, is: u64| {
            if says != is {
                self.fault(format!("the balance says {says} {what}, but there are {is}"));
            }
        };
        differs("events", verdict.written, section.events);
        differs("late events", verdict.late, section.late);
        let in_gaps = verdict.losses.sum() - verdict.losses.of(Cause::Skipped);
        differs("events lost", in_gaps, section.lost_in_gaps);
        if verdict.unaccounted() != 0 {
            self.fault(format!("the balance does not add up: {}", verdict.text()));
        }
        if let Some(sum) = &mut self.verdict {
            sum.add(&verdict);
        }
    }

    fn fault(&mut self, text: String) {
        if self.faults.len() < FAULTS {
            self.faults.push(text);
        }
    }

    /// Returns a JSON object.
    pub fn to_json(&self) -> serde_json::Value {
        json::safe(json!({
            "v": json::VERSION,
            "outcome": self.outcome().name(),
            "events": self.events,
            "late": self.late,
            "sections": self.sections,
            "early_sections": self.early_sections,
            "balance": self.verdict.map(|verdict| json!({
                "seen": verdict.seen,
                "written": verdict.written,
                "lost": verdict.losses.sum(),
                "unread": verdict.unread,
                "causes": verdict.losses.to_json(),
                "sample_ratio": verdict.sample_ratio,
                "left_out": verdict.left_out.to_json(),
                "redacted": verdict.redacted.to_json(),
            })),
            "gaps": self.gaps.iter().map(|gap| json!({
                "from": gap.from.to_string(),
                "to": gap.to.to_string(),
                "cpus": gap.cpus,
                "lost": gap.losses.sum(),
                "causes": gap.losses.to_json(),
            })).collect::<Vec<_>>(),
            "gap_count": self.gap_count,
            "clock_steps": self.clock_steps.iter().map(|step| json!({
                "at": step.at,
                "by": step.by,
            })).collect::<Vec<_>>(),
            "clock_step_count": self.clock_step_count,
            "longer": self.longer.iter().map(ToJson::to_json).collect::<Vec<_>>(),
            "slices": self.slices.iter().map(ToJson::to_json).collect::<Vec<_>>(),
            "cuts": self.cuts.iter().map(ToJson::to_json).collect::<Vec<_>>(),
            "damage": self.damage,
            "faults": self.faults,
        }))
    }

    fn write(&self, name: &str, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{name}: {}", self.outcome().name())?;
        if self.is_none {
            return self.damage.iter().try_for_each(|damage| writeln!(out, "  {damage}"));
        }
        let order = match self.late {
            0 if self.early_sections > 0 => "in time order within each section".to_owned(),
            0 => "in time order".to_owned(),
            late => format!("{} of them out of time order", HumanCount(late)),
        };
        writeln!(out, "  {} events, {order}", HumanCount(self.events))?;
        if self.early_sections > 0 {
            let (early, all) = (self.early_sections, self.sections);
            writeln!(
                out,
                "  captures were concatenated out of order: {early} of {all} sections begin before the end of the previous one"
            )?;
        }
        if !self.slices.is_empty() {
            let left_out = self.slices.iter().map(|note| note.left_out).fold(0, u64::saturating_add);
            writeln!(out, "  a slice: {} events of its source left out", HumanCount(left_out))?;
        }
        for Longer { until, filter } in &self.longer {
            writeln!(
                out,
                "  everything from {} on; before, what changes the state of the machine, and {}",
                local_time(*until),
                escape::escaped(filter.as_bytes())
            )?;
        }
        for cut in &self.cuts {
            write_cut(cut, out)?;
        }
        let is_stopped = self.slices.iter().any(|note| note.is_stopped);
        match &self.verdict {
            None if is_stopped => writeln!(
                out,
                "  its source was not read to its end, so its losses are not known: make the slice by a filter or a time, without -n"
            )?,
            None if !self.has_ledger => writeln!(
                out,
                "  it has no ledger: scapd did not write it, or ended before it could write one"
            )?,
            None if !self.cuts.is_empty() => writeln!(out, "  it does not end with its balance")?,
            None if self.sections > 1 => writeln!(out, "  a section does not end with its balance")?,
            None => writeln!(out, "  it does not end with its balance: it was not closed")?,
            Some(verdict) if verdict.losses.sum() == 0 => writeln!(out, "  nothing lost")?,
            Some(verdict) => writeln!(
                out,
                "  {} of {} events lost:{}",
                HumanCount(verdict.losses.sum()),
                HumanCount(verdict.seen),
                causes(&verdict.losses)
            )?,
        }
        for line in self.verdict.iter().flat_map(balance::left_out_lines) {
            writeln!(out, "  {line}")?;
        }
        for gap in &self.gaps {
            write_gap(gap, out)?;
        }
        let more = self.gap_count - self.gaps.len() as u64;
        if more > 0 {
            writeln!(out, "  and {} more gaps", HumanCount(more))?;
        }
        for step in &self.clock_steps {
            writeln!(out, "  {}: the clock was stepped by {}", local_time(step.at), step.by_text())?;
        }
        let more = self.clock_step_count - self.clock_steps.len() as u64;
        if more > 0 {
            writeln!(out, "  and {} more steps of the clock", HumanCount(more))?;
        }
        for fault in self.damage.iter().chain(&self.faults) {
            writeln!(out, "  {fault}")?;
        }
        Ok(())
    }
}

impl VerifyOutcome {
    /// Returns the outcome in a few words.
    pub const fn name(self) -> &'static str {
        match self {
            VerifyOutcome::Complete => "complete",
            VerifyOutcome::Sample => "sample",
            VerifyOutcome::NoLedger => "no ledger",
            VerifyOutcome::Incomplete => "incomplete",
            VerifyOutcome::Contradictory => "contradictory",
            VerifyOutcome::Damaged => "damaged",
            VerifyOutcome::NotACapture => "not a capture",
        }
    }
}

fn causes(losses: &ledger::Losses) -> String {
    let causes: Vec<_> =
        losses.iter().map(|(cause, n)| format!(" {} {}", cause.text(), HumanCount(n))).collect();
    causes.join(",")
}

fn local_time(ns: u64) -> String {
    let ns = i128::from(ns);
    let time = Timestamp::from_nanosecond(ns).ok().map(|t| t.to_zoned(TimeZone::system()));
    time.map_or_else(|| ns.to_string(), |t| t.strftime("%H:%M:%S.%6f").to_string())
}

fn write_gap(gap: &Gap, out: &mut impl Write) -> io::Result<()> {
    let cpus: Vec<_> = gap.cpus.iter().map(ToString::to_string).collect();
    write!(
        out,
        "  {} to {}, CPU {}: {} lost,{}",
        local_time(gap.from),
        local_time(gap.to),
        cpus.join(" "),
        HumanCount(gap.losses.sum()),
        causes(&gap.losses)
    )?;
    for (ty, count) in &gap.most {
        let direction = if ty.is_enter() { '>' } else { '<' };
        write!(out, "; {direction} {} {}", event(*ty).map_or("unknown", |e| e.name), HumanCount(*count))?;
    }
    writeln!(out)
}

fn write_cut(cut: &Cut, out: &mut impl Write) -> io::Result<()> {
    write!(out, "  repaired: {} at byte {}", cut.cause.text(), cut.offset)?;
    match cut.bytes {
        0 => writeln!(out, "; events not yet written are missing"),
        bytes => writeln!(out, "; {} bytes after it were left out", HumanCount(bytes)),
    }
}

/// Verifies a capture (`-` is stdin), and writes what was found.
///
/// # Errors
/// If the file cannot be opened, or `out` cannot be written. Faults of the capture are part of the result, not errors.
pub fn verify(path: &Path, as_json: bool, out: &mut impl Write) -> Result<VerifyOutcome, VerifyError> {
    let report = if path.as_os_str() == "-" {
        VerifyReport::of(io::stdin().lock())
    } else {
        let file = File::open(path).map_err(|source| VerifyError::Open { path: path.into(), source })?;
        let mut report = VerifyReport::of(BufReader::new(file));
        // The recorder closes a capture before it renames it.
        if path.as_os_str().as_bytes().ends_with(PARTIAL.as_bytes()) && !report.is_closed {
            let unclosed =
                "it is not closed: its recorder is still writing, or ended early (use `scapd repair`)";
            report.damage.get_or_insert_with(|| unclosed.to_owned());
        }
        report
    };
    if as_json {
        writeln!(out, "{:#}", report.to_json())?;
    } else {
        report.write(&escape::escaped(path.as_os_str().as_bytes()), out)?;
    }
    Ok(report.outcome())
}

#[cfg(test)]
mod tests;

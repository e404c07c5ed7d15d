//! The summary that a recording prints at its end.

use std::{fmt, time::Duration};

use indicatif::{HumanBytes, HumanCount};

use super::drain::Drain;
use crate::{
    balance,
    flight::FlightStatus,
    output::OutputTotals,
    probe::{Loaded, ProbeTotals},
};
use scap::{
    events::{EVENTS, Event, EventType, Syscall, event},
    ledger::Verdict,
};

/// How many calls, and how many event types with losses, the summary names.
const TOP: usize = 10;

/// What was recorded, and what was lost.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The output; for a series of files, the pattern of their names.
    pub target: String,
    /// Files started.
    pub files: u64,
    /// Files deleted.
    pub deleted: u64,
    /// How long the gate was open.
    pub duration: Duration,
    /// Requested events in the file.
    pub events: u64,
    /// Other events in the file, which keep the names in the requested ones right.
    pub for_names: u64,
    /// Events and bytes written.
    pub written: OutputTotals,
    /// The balance of the events seen.
    pub verdict: Verdict,
    /// The programs' counters.
    pub totals: ProbeTotals,
    /// Calls with the number of their events, the most frequent first.
    pub calls: Vec<(&'static str, u64)>,
    /// Epochs that the merge gave up.
    pub stalled: u64,
    /// Calls that were not selected but do the same as selected ones.
    pub variants: Vec<&'static str>,
    /// The window and the dumps, if the last events were kept in memory.
    pub flight: Option<FlightStatus>,
}

/// Returns the name of an event type.
fn event_name(ty: EventType) -> &'static str {
    event(ty).map_or("unknown", Event::common_name)
}

impl Summary {
    pub(super) fn new(
        target: &str,
        duration: Duration,
        drain: &Drain,
        verdict: Verdict,
        probe: &Loaded,
    ) -> Summary {
        let counts = drain.counts();
        let types = &counts.types;
        let own = EVENTS.iter().skip(2).step_by(2).filter_map(|enter| {
            let count = types[usize::from(enter.ty.0)] + types[usize::from(enter.ty.pair().0)];
            (count > 0).then_some((event_name(enter.ty), count))
        });
        let generic =
            counts.generic.iter().enumerate().skip(1).filter(|(_, count)| **count > 0).map(
                |(code, count)| (Syscall::by_code(code as u16).map_or("unknown", |call| call.name), *count),
            );
        let unknown = counts.generic[0] - counts.foreign.values().sum::<u64>();
        let unknown = (unknown > 0).then_some(("unknown", unknown));
        let foreign = counts.foreign.iter().map(|(kind, count)| (*kind, *count));
        let mut calls: Vec<_> = own.chain(generic).chain(unknown).chain(foreign).collect();
        calls.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        Summary {
            target: target.to_owned(),
            files: drain.progress().files(),
            deleted: drain.progress().files_deleted(),
            duration,
            events: counts.asked,
            for_names: counts.total - counts.asked,
            written: OutputTotals {
                events: counts.total,
                bytes_in: 0,
                bytes_out: drain.progress().bytes_out(),
            },
            verdict,
            totals: probe.totals(),
            calls,
            stalled: probe.stalled(),
            variants: Vec::new(),
            flight: None,
        }
    }

    /// Returns the event types with the most losses.
    fn most_lost(&self) -> Vec<(EventType, u64)> {
        let mut types: Vec<_> =
            self.totals.events.iter().map(|(ty, c)| (*ty, c.lost())).filter(|(_, lost)| *lost > 0).collect();
        types.sort_by_key(|(_, lost)| std::cmp::Reverse(*lost));
        types.truncate(TOP);
        types
    }
}

impl Summary {
    /// Returns what was lost and why, in one or more lines.
    pub fn balance(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_balance(&mut text);
        text.truncate(text.trim_end().len());
        text
    }

    fn write_balance(&self, f: &mut impl fmt::Write) -> fmt::Result {
        let lost = self.verdict.losses.sum();
        if lost == 0 && self.events == 0 {
            writeln!(f, "nothing was recorded")?;
            if !self.variants.is_empty() {
                writeln!(f, "the C library may have called a variant instead: {}", self.variants.join(", "))?;
            }
        } else if lost == 0 {
            writeln!(f, "nothing lost")?;
        } else {
            let causes: Vec<_> = self
                .verdict
                .losses
                .iter()
                .map(|(cause, count)| format!("{} {}", cause.text(), HumanCount(count)))
                .collect();
            writeln!(f, "{} events lost: {}", HumanCount(lost), causes.join(", "))?;
            let types: Vec<_> = self
                .most_lost()
                .iter()
                .map(|(ty, count)| {
                    let direction = if ty.is_enter() { '>' } else { '<' };
                    format!("{direction} {} {}", event_name(*ty), HumanCount(*count))
                })
                .collect();
            if !types.is_empty() {
                writeln!(f, "  most of all: {}", types.join(", "))?;
            }
        }
        for line in balance::left_out_lines(&self.verdict) {
            writeln!(f, "{line}")?;
        }
        if self.totals.losses.targets_full > 0 {
            writeln!(f, "{} child tasks were not followed: too many tasks", self.totals.losses.targets_full)?;
        }
        if self.verdict.unaccounted() != 0 {
            writeln!(f, "{} events are not accounted for: please report this", self.verdict.unaccounted())?;
        }
        if self.verdict.unread > 0 {
            writeln!(f, "{} events came after the limit", HumanCount(self.verdict.unread))?;
        }
        if self.verdict.late > 0 {
            writeln!(
                f,
                "{} events are out of order: each follows a newer one",
                HumanCount(self.verdict.late)
            )?;
        }
        if self.stalled > 0 {
            writeln!(
                f,
                "order of events uncertain in {} places: a BPF program did not end in time",
                self.stalled
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.duration.as_secs_f64();
        write!(f, "{} events in {seconds:.1} s", HumanCount(self.events))?;
        if seconds > 0.0 {
            write!(f, " ({}/s)", HumanCount((self.events as f64 / seconds) as u64))?;
        }
        if self.for_names > 0 {
            write!(f, ", and {} recorded for names", HumanCount(self.for_names))?;
        }
        if let Some(FlightStatus { written, written_bytes, failed, .. }) = &self.flight {
            let dumps = if *written == 1 { "dump" } else { "dumps" };
            write!(f, ", {} {dumps} of them ({})", HumanCount(*written), HumanBytes(*written_bytes))?;
            write!(f, " written to {}", self.target)?;
            if *failed > 0 {
                write!(f, "; {} failed", HumanCount(*failed))?;
            }
        } else {
            write!(f, ", {} written to {}", HumanBytes(self.written.bytes_out), self.target)?;
        }
        if self.flight.is_none() && (self.files != 1 || self.deleted > 0) {
            write!(f, ": {} files", HumanCount(self.files))?;
        }
        if self.deleted > 0 {
            write!(f, "; {} old ones deleted", HumanCount(self.deleted))?;
        }
        writeln!(f)?;
        writeln!(f, "{}", self.balance())?;
        if !self.calls.is_empty() {
            writeln!(f, "most frequent:")?;
        }
        let width = self.calls.iter().take(TOP).map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, count) in self.calls.iter().take(TOP) {
            writeln!(f, "  {name:width$}  {:>12}", HumanCount(*count).to_string())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

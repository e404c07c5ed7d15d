//! What a recording says at its end.

use std::{fmt, time::Duration};

use indicatif::{HumanBytes, HumanCount};

use super::drain::Counts;
use crate::{
    events::{EVENTS, EventType, Syscall, event},
    output::Totals as Written,
    probe::{Loaded, Totals},
};

/// How many calls the summary names.
const TOP: usize = 10;

/// What was recorded, and what was lost.
#[derive(Debug, Clone)]
pub struct Summary {
    /// Where it was written to.
    pub target: String,
    /// How long the gate was open.
    pub duration: Duration,
    /// Events in the file.
    pub events: u64,
    /// What was written.
    pub written: Written,
    /// The programs' counters.
    pub totals: Totals,
    /// Calls by how often their events occur, the most frequent first.
    pub calls: Vec<(&'static str, u64)>,
    /// Epochs of the merge that were given up.
    pub stalled: u64,
}

impl Summary {
    pub(super) fn new(
        target: &str,
        duration: Duration,
        counts: Counts,
        written: Written,
        probe: &Loaded,
    ) -> Summary {
        let own = EVENTS.iter().skip(2).step_by(2).filter_map(|enter| {
            let exit = event(enter.ty.pair());
            let count = counts.types[usize::from(enter.ty.0)] + counts.types[usize::from(enter.ty.pair().0)];
            let name = if enter.name == "NA" { exit.map_or("NA", |e| e.name) } else { enter.name };
            (count > 0).then_some((name, count))
        });
        let generic =
            counts.generic.iter().enumerate().filter(|(_, count)| **count > 0).map(|(code, count)| {
                (Syscall::by_code(code as u16).map_or("unknown", |call| call.name), *count)
            });
        let mut calls: Vec<_> = own.chain(generic).collect();
        calls.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        Summary {
            target: target.to_owned(),
            duration,
            events: counts.total,
            written,
            totals: probe.totals(),
            calls,
            stalled: probe.stalled(),
        }
    }

    /// The losses by cause; those that did not happen are left out.
    pub fn losses(&self) -> Vec<(&'static str, u64)> {
        let sum = self.totals.sum();
        [
            ("ring full", sum.lost_ring_full),
            ("larger than an event may be", sum.lost_too_large),
            ("no scratch area", sum.lost_no_scratch),
            ("no program", self.totals.losses.no_program),
            ("skipped by the kernel", self.totals.skipped),
        ]
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .collect()
    }

    /// The event types of which most was lost.
    fn most_lost(&self) -> Vec<(EventType, u64)> {
        let mut types: Vec<_> =
            self.totals.events.iter().map(|(ty, c)| (*ty, c.lost())).filter(|(_, lost)| *lost > 0).collect();
        types.sort_by_key(|(_, lost)| std::cmp::Reverse(*lost));
        types.truncate(TOP);
        types
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.duration.as_secs_f64();
        write!(f, "{} events in {seconds:.1} s", HumanCount(self.events))?;
        if seconds > 0.0 {
            write!(f, " ({}/s)", HumanCount((self.events as f64 / seconds) as u64))?;
        }
        writeln!(f, ", {} written to {}", HumanBytes(self.written.bytes_out), self.target)?;
        let lost = self.totals.lost();
        if lost == 0 {
            writeln!(f, "nothing lost")?;
        } else {
            let causes: Vec<_> = self
                .losses()
                .iter()
                .map(|(cause, count)| format!("{cause} {}", HumanCount(*count)))
                .collect();
            writeln!(f, "{} events lost: {}", HumanCount(lost), causes.join(", "))?;
            let types: Vec<_> = self
                .most_lost()
                .iter()
                .map(|(ty, count)| {
                    format!("{} {}", event(*ty).map_or("unknown", |e| e.name), HumanCount(*count))
                })
                .collect();
            if !types.is_empty() {
                writeln!(f, "  most of all: {}", types.join(", "))?;
            }
        }
        if self.totals.losses.targets_full > 0 {
            writeln!(f, "{} children were not followed: too many tasks", self.totals.losses.targets_full)?;
        }
        if self.stalled > 0 {
            writeln!(f, "order not certain in {} places: a program did not end in time", self.stalled)?;
        }
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

//! Tracks losses while a capture runs: finds the gaps, and computes the balance at the end.

use crate::probe::{self, Loaded, ProbeTotals, SampleRatio};
use scap::{
    events::EventType,
    ledger::{Cause, Gap, LeftOut, Losses, Verdict},
};

/// A gap ends when nothing has been lost for this long (ns).
const QUIET: u64 = 100_000_000;
/// A gap also ends at this length (ns). The next one may follow at once.
const LONGEST: u64 = 1_000_000_000;

/// Events taken from the rings, and events lost.
pub(super) struct LossLedger {
    /// Losses of each CPU at the last check.
    lost: Vec<u64>,
    /// The time of the last check, ns since the epoch.
    looked: u64,
    gap: Option<OpenGap>,
    /// The counters when the last gap was closed.
    accounted: ProbeTotals,
    /// Events behind a newer one in their file.
    late: u64,
    /// Events taken from the rings, by CPU and the [place](probe::counted) of their type.
    taken: Vec<Vec<u64>>,
}

struct OpenGap {
    from: u64,
    /// The time of the last loss, ns since the epoch.
    to: u64,
    cpus: Vec<bool>,
}

impl LossLedger {
    /// Makes a ledger of that many CPUs that starts at `now`.
    pub(super) fn new(cpus: usize, now: u64) -> LossLedger {
        LossLedger {
            // One more, for the CPUs without counters.
            lost: vec![0; cpus + 1],
            looked: now,
            gap: None,
            accounted: ProbeTotals::default(),
            late: 0,
            taken: vec![vec![0; probe::COUNTED]; cpus],
        }
    }

    /// Counts an event that was taken from a ring.
    #[inline]
    pub(super) fn take(&mut self, cpu: u16, ty: EventType) {
        if let (Some(types), Some(place)) = (self.taken.get_mut(usize::from(cpu)), probe::counted(ty)) {
            types[place] += 1;
        }
    }

    /// Counts an event that is written.
    #[inline]
    pub(super) fn write(&mut self, late: bool) {
        self.late += u64::from(late);
    }

    /// Checks for new losses at `now`; returns a gap that has ended.
    pub(super) fn look(&mut self, probe: &Loaded, now: u64) -> Option<Gap> {
        let before = std::mem::replace(&mut self.looked, now);
        let cpus = self.lost.len();
        for (cpu, (lost, known)) in probe.lost().zip(&mut self.lost).enumerate() {
            if lost != *known {
                *known = lost;
                let gap = self.gap.get_or_insert_with(|| OpenGap {
                    from: before,
                    to: now,
                    cpus: vec![false; cpus],
                });
                gap.to = now;
                gap.cpus[cpu] = true;
            }
        }
        let over = |gap: &mut OpenGap| {
            now.saturating_sub(gap.to) >= QUIET || gap.to.saturating_sub(gap.from) >= LONGEST
        };
        self.gap.take_if(over).map(|gap| self.close(gap, probe))
    }

    /// Closes and returns the gap that is open at the end of the capture.
    pub(super) fn last_gap(&mut self, probe: &Loaded, now: u64) -> Option<Gap> {
        self.look(probe, now).or_else(|| self.gap.take().map(|gap| self.close(gap, probe)))
    }

    /// Returns the gap to write into a file that ends at `end`. A gap that began by then ends with the file.
    pub(super) fn gap_before(&mut self, probe: &Loaded, end: u64, now: u64) -> Option<Gap> {
        self.look(probe, now)
            .or_else(|| self.gap.take_if(|gap| gap.from <= end).map(|gap| self.close(gap, probe)))
    }

    fn close(&mut self, gap: OpenGap, probe: &Loaded) -> Gap {
        let totals = probe.totals();
        let mut losses = totals.losses().since(&self.accounted.losses());
        // The kernel counts skipped runs; only the verdict states them.
        let skipped = losses.of(Cause::Skipped);
        losses = losses.since(&only(Cause::Skipped, skipped));
        let known = |ty: EventType| {
            self.accounted.events.iter().find(|(other, _)| *other == ty).map_or(0, |(_, c)| c.lost())
        };
        let mut most: Vec<_> = totals
            .events
            .iter()
            .map(|(ty, counters)| (*ty, counters.lost().saturating_sub(known(*ty))))
            .filter(|(_, lost)| *lost > 0)
            .collect();
        most.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        self.accounted = totals;
        let cpus = gap.cpus.iter().enumerate().filter(|(_, lost)| **lost).map(|(cpu, _)| cpu).collect();
        Gap { from: gap.from, to: gap.to, cpus, losses, most }
    }

    /// Returns the balance. Call it after the gate is closed and the rings are drained. `written` is how many of the
    /// taken events have reached the output, `filtered` how many the filter has left out, and `pending` how many it has not
    /// passed on.
    pub(super) fn verdict(&self, probe: &Loaded, written: u64, filtered: u64, pending: u64) -> Verdict {
        let totals = probe.totals();
        let taken: u64 = self.taken.iter().flatten().sum();
        let sum = totals.sum();
        let mut losses = totals.losses();
        losses
            .add(Cause::Disk, taken.saturating_sub(written).saturating_sub(filtered).saturating_sub(pending));
        Verdict {
            seen: sum.seen,
            written,
            losses,
            late: self.late(),
            unread: sum.written().saturating_sub(taken) + pending,
            left_out: LeftOut { filtered, ..totals.left_out },
            sample_ratio: probe.sampling().map_or(0, SampleRatio::get),
            ..Verdict::default()
        }
    }

    /// Returns the number of taken events that are behind a newer one.
    pub(super) fn late(&self) -> u64 {
        self.late
    }

    /// Returns the part of the balance that is not events and their losses: skipped runs, which belong to no event, and
    /// events left out on purpose.
    pub(super) fn beside(&self, probe: &Loaded, filtered: u64) -> Verdict {
        let totals = probe.totals();
        Verdict {
            losses: only(Cause::Skipped, totals.skipped),
            left_out: LeftOut { filtered, ..totals.left_out },
            sample_ratio: probe.sampling().map_or(0, SampleRatio::get),
            ..Verdict::default()
        }
    }

    /// Returns, by CPU and type, the counters and the number of events taken from the rings.
    pub(super) fn cpus<'a>(
        &'a self,
        probe: &'a Loaded,
    ) -> impl Iterator<Item = Vec<(EventType, crate::probe::Counters, u64)>> + 'a {
        self.taken.iter().enumerate().map(|(cpu, taken)| {
            let totals = probe.totals_of(cpu);
            let taken = |ty| probe::counted(ty).map_or(0, |place| taken[place]);
            totals.events.into_iter().map(|(ty, c)| (ty, c, taken(ty))).collect()
        })
    }
}

fn only(cause: Cause, count: u64) -> Losses {
    let mut losses = Losses::default();
    losses.add(cause, count);
    losses
}

//! The status of a recording, for observers outside it.

use std::time::{Duration, Instant, SystemTime};

use super::drain::Drain;
use crate::{
    flight::{FlightStatus, Report},
    probe::{Loaded, ProgramRuns},
};
use scap::ledger::Losses;

/// Gets the status of a recording. Runs on the recording's own thread: a slow observer slows the recording down.
pub trait Observer {
    /// The programs are in the kernel, and no other thread of the recording runs yet. The observer may drop the rights
    /// that only loading takes.
    fn loaded(&mut self) {}

    /// Events are being recorded, and the file has the state of the machine.
    fn started(&mut self, _status: &Status) {}

    /// Called once a second during the recording.
    fn tick(&mut self, _status: &Status) {}

    /// The gate is closed. The remaining events are about to be taken and written.
    fn closing(&mut self, _status: &Status) {}
}

/// Ignores everything.
impl Observer for () {}

/// The status of a recording at one moment. Counts are from its start.
#[derive(Debug, Clone)]
pub struct Status {
    /// When the recording began.
    pub since: SystemTime,
    /// How long it has been running.
    pub running: Duration,
    /// The output.
    pub target: String,
    /// Events taken from the rings.
    pub taken: u64,
    /// Of these, events that have reached the output.
    pub written: u64,
    /// Events that the recorder left out because of its filter.
    pub left_out: u64,
    /// Events that the kernel left out because of the filter.
    pub sieved: u64,
    /// Bytes that have reached the output, after compression.
    pub bytes: u64,
    /// Files started.
    pub files: u64,
    /// Files closed and renamed to their final name.
    pub files_closed: u64,
    /// Files deleted by retention.
    pub files_deleted: u64,
    /// Of these, files that `scapd ship` should have shipped and had not.
    pub files_unshipped: u64,
    /// Whether writing failed and the next attempt is pending.
    pub waiting: bool,
    /// Events taken per second since the previous status.
    pub rate: f64,
    /// Lost events of all CPUs, by cause.
    pub losses: Losses,
    /// Each CPU that has counters.
    pub cpus: Vec<CpuStatus>,
    /// Each ring; the last one is the reserve.
    pub rings: Vec<RingStatus>,
    /// The window and the dumps, if the last events are kept in memory.
    pub flight: Option<FlightStatus>,
    /// How often each program has run, if the kernel counts that.
    pub programs: Vec<ProgramRuns>,
}

/// The event counts of a CPU.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuStatus {
    /// Events that programs on it began to record.
    pub seen: u64,
    /// Events lost, by cause.
    pub losses: Losses,
}

/// The fill level of a ring.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RingStatus {
    /// Bytes waiting in it.
    pub used: u64,
    /// Its size in bytes.
    pub size: u64,
}

impl Default for Status {
    fn default() -> Status {
        Status {
            since: SystemTime::UNIX_EPOCH,
            running: Duration::ZERO,
            target: String::new(),
            taken: 0,
            written: 0,
            left_out: 0,
            sieved: 0,
            bytes: 0,
            files: 0,
            files_closed: 0,
            files_deleted: 0,
            files_unshipped: 0,
            waiting: false,
            rate: 0.0,
            losses: Losses::default(),
            cpus: Vec::new(),
            rings: Vec::new(),
            flight: None,
            programs: Vec::new(),
        }
    }
}

impl Status {
    /// Returns the number of events that were taken but have not reached the output.
    pub fn pending(&self) -> u64 {
        self.taken.saturating_sub(self.written)
    }
}

/// Makes a [`Status`] periodically.
pub(super) struct Watch {
    since: SystemTime,
    started: Instant,
    looked: Instant,
    taken: u64,
    flight: Option<Report>,
}

/// The time between two statuses.
const INTERVAL: Duration = Duration::from_secs(1);

impl Watch {
    pub(super) fn new(flight: Option<Report>) -> Watch {
        let now = Instant::now();
        Watch { since: SystemTime::now(), started: now, looked: now, taken: 0, flight }
    }

    /// Returns whether the next status is due.
    pub(super) fn is_due(&self) -> bool {
        self.looked.elapsed() >= INTERVAL
    }

    pub(super) fn look(&mut self, probe: &Loaded, drain: &Drain) -> Status {
        let cpus: Vec<_> = (0..probe.cpus())
            .map(|cpu| {
                let totals = probe.totals_of(cpu);
                CpuStatus { seen: totals.sum().seen, losses: totals.losses() }
            })
            .collect();
        let taken = drain.events();
        let since = self.looked.elapsed().as_secs_f64();
        let rate = if since > 0.0 { (taken - self.taken) as f64 / since } else { 0.0 };
        self.looked = Instant::now();
        self.taken = taken;
        let progress = drain.progress();
        let totals = probe.totals();
        Status {
            since: self.since,
            running: self.started.elapsed(),
            target: drain.target().to_owned(),
            taken,
            written: progress.events(),
            left_out: drain.left_out(),
            sieved: totals.left_out.sieved,
            bytes: progress.bytes_out(),
            files: progress.files(),
            files_closed: progress.files_closed(),
            files_deleted: progress.files_deleted(),
            files_unshipped: progress.files_unshipped(),
            waiting: progress.is_waiting(),
            rate,
            losses: totals.losses(),
            cpus,
            rings: probe.rings().map(|(used, size)| RingStatus { used, size }).collect(),
            flight: self.flight.as_ref().map(Report::status),
            programs: probe.runs(),
        }
    }
}

#[cfg(test)]
mod tests;

//! How a recording goes: what those see who look at it from outside.

use std::time::{Duration, Instant, SystemTime};

use super::drain::Drain;
use crate::probe::{Loaded, ProgramRuns};
use scap::ledger::Losses;

/// Followed by whoever starts a recording, on the recording's own thread: a slow observer makes it slow.
pub trait Observer {
    /// The programs are in the kernel, and no other thread of the recording runs yet: what only loading takes can be
    /// given up.
    fn loaded(&mut self) {}

    /// Events are recorded, and the file has the state of the machine.
    fn started(&mut self, _status: &Status) {}

    /// Once a second while it goes on.
    fn tick(&mut self, _status: &Status) {}

    /// The gate is closed; what is left is taken and written.
    fn closing(&mut self, _status: &Status) {}
}

/// Nobody looks.
impl Observer for () {}

/// A recording at one moment. Counts are from its start.
#[derive(Debug, Clone)]
pub struct Status {
    /// When it began.
    pub since: SystemTime,
    /// How long it has been going on.
    pub running: Duration,
    /// What is written to.
    pub target: String,
    /// Events taken from the rings.
    pub taken: u64,
    /// Of these, events that have reached the output.
    pub written: u64,
    /// Bytes that have, after compression.
    pub bytes: u64,
    /// Files begun.
    pub files: u64,
    /// Files closed, each with its own name.
    pub files_closed: u64,
    /// Files deleted by retention.
    pub files_deleted: u64,
    /// Nothing can be written now, and another attempt is waited for.
    pub waiting: bool,
    /// Events taken in a second, since the last look.
    pub rate: f64,
    /// Lost events of all CPUs, by cause.
    pub losses: Losses,
    /// Each possible CPU.
    pub cpus: Vec<CpuStatus>,
    /// Each ring; the last one is the one in reserve.
    pub rings: Vec<RingStatus>,
    /// How often the programs have run, if the kernel counts that.
    pub programs: Vec<ProgramRuns>,
}

/// The events of a CPU.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuStatus {
    /// Events that its programs began to record.
    pub seen: u64,
    /// Events lost, by cause.
    pub losses: Losses,
}

/// A ring.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RingStatus {
    /// Bytes that wait in it.
    pub used: u64,
    /// Bytes that it has.
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
            bytes: 0,
            files: 0,
            files_closed: 0,
            files_deleted: 0,
            waiting: false,
            rate: 0.0,
            losses: Losses::default(),
            cpus: Vec::new(),
            rings: Vec::new(),
            programs: Vec::new(),
        }
    }
}

impl Status {
    /// Events that were taken and have not reached the output.
    pub fn pending(&self) -> u64 {
        self.taken.saturating_sub(self.written)
    }
}

/// Makes a [`Status`] from time to time.
pub(super) struct Watch {
    since: SystemTime,
    started: Instant,
    looked: Instant,
    taken: u64,
}

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(1);

impl Watch {
    pub(super) fn new() -> Watch {
        let now = Instant::now();
        Watch { since: SystemTime::now(), started: now, looked: now, taken: 0 }
    }

    /// Whether it is time for a look.
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
        Status {
            since: self.since,
            running: self.started.elapsed(),
            target: drain.target().to_owned(),
            taken,
            written: progress.events(),
            bytes: progress.bytes_out(),
            files: progress.files(),
            files_closed: progress.files_closed(),
            files_deleted: progress.files_deleted(),
            waiting: progress.is_waiting(),
            rate,
            losses: probe.totals().losses(),
            cpus,
            rings: probe.rings().map(|(used, size)| RingStatus { used, size }).collect(),
            programs: probe.runs(),
        }
    }
}

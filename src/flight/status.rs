//! What a flight recorder has and does, for others.

use std::sync::{Arc, Mutex, PoisonError};

/// What is kept in memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeptStatus {
    /// The time of its first event, in ns since the epoch; 0 if it is empty.
    pub from: u64,
    /// Its events.
    pub events: u64,
    /// Memory of all events that are kept, those that only a dump still needs included, in bytes.
    pub bytes: u64,
    /// The most that it may be.
    pub limit: u64,
    /// Events that left it before their time, as there was no memory for them, since the start.
    pub evicted: u64,
}

/// The file in which a window is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskStatus {
    /// Its size in bytes.
    pub size: u64,
    /// Segments and states that wait to be written.
    pub queued: u64,
    /// Bytes written to it since the start.
    pub written: u64,
    /// Events that it lacks, since the start: the disk failed, or was too slow.
    pub skipped: u64,
    /// Whether the last write failed.
    pub is_failing: bool,
}

/// The state of a flight recorder. Counts are from its start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FlightStatus {
    /// The window.
    pub window: KeptStatus,
    /// What is kept longer, if anything is.
    pub longer: Option<KeptStatus>,
    /// The file in which they are kept, too, if there is one.
    pub disk: Option<DiskStatus>,
    /// Triggers so far.
    pub triggers: u64,
    /// Of these, triggers without a dump, as there were too many in an hour.
    pub refused: u64,
    /// Dumps begun.
    pub dumps: u64,
    /// Dumps that are whole.
    pub written: u64,
    /// Dumps given up.
    pub failed: u64,
    /// Bytes of the whole ones, after compression.
    pub written_bytes: u64,
}

/// The state, shared by threads.
#[derive(Debug, Clone, Default)]
pub struct Report(Arc<Mutex<FlightStatus>>);

impl Report {
    /// Returns the state.
    pub fn status(&self) -> FlightStatus {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes the state.
    pub(super) fn change(&self, change: impl FnOnce(&mut FlightStatus)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

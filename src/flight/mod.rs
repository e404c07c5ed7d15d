//! The flight recorder: keeps the last events in memory, and writes a capture of them when something happens.
//!
//! ```text
//!  chunks of the recorder ─▶ window: segments of whole blocks ─▶ longer: what is kept of them ─▶ tail: a machine that has
//!                               │                                  │                          applied what left both
//!                               │  triggers: filters and rates, asked about each event; requests are events, too
//!                               ▼                                  ▼
//!                            dump: the state of the tail, the segments, and those that still come ─▶ a thread that writes files
//! ```
//!
//! The tail is why a dump needs no look into /proc, which would show the machine after the fact: the state at the window's
//! first event is always at hand. Events of types that change nothing cost the tail one look at a table, when they come; all
//! others are applied to it once, when they go.
//!
//! `longer` is there with `--keep-longer` only. It has a machine of its own, which is that at the window's first event: its filter
//! is asked about what leaves the window. As it keeps all that changes the state, a dump that begins with it has right names.

mod disk;
mod dump;
mod gauge;
mod longer;
mod packer;
mod pressure;
mod rate;
mod ring;
mod save;
mod segment;
mod status;
mod tail;
mod trigger;
mod watcher;
mod window;
mod writer;

#[cfg(test)]
mod tests;

use std::{path::PathBuf, time::Duration};

use crate::confine::Confinement;
use crate::output::{ChunkSink, Pattern, Series, Shelf};
use scap::filter::Filter;

pub use disk::OnDiskError;
pub use pressure::{Pressure, PressureError, PressureWatch, Resource, Waiters};
pub use save::{SavedReport, repair};
pub use status::{DiskStatus, FlightStatus, KeptStatus, Report};
use window::Window;

/// What a flight recorder keeps, and when it writes.
#[derive(Debug, Clone, PartialEq)]
pub struct Flight {
    /// How long events are kept.
    pub time: Duration,
    /// The most memory for them, in bytes.
    pub bytes: u64,
    /// Whether older events are packed, so that more of them fit.
    pub is_packed: bool,
    /// What is kept longer than that.
    pub longer: Option<KeepLonger>,
    /// The file in which all of that is kept, too, so that it is there after the recorder was killed.
    pub on_disk: Option<KeepOnDisk>,
    /// How long a dump goes on after its trigger, if the trigger does not say.
    pub after: Duration,
    /// The most dumps in an hour.
    pub dumps_per_hour: u32,
    /// A dump is written at an event that matches one of these.
    pub triggers: Vec<Filter>,
    /// Or at as many events as one of these says.
    pub rates: Vec<RateTrigger>,
    /// Or when tasks wait as long as one of these says.
    pub pressures: Vec<Pressure>,
}

/// Events that are kept longer than all others: those that match, and those that change the state of the machine.
#[derive(Debug, Clone, PartialEq)]
pub struct KeepLonger {
    /// The filter.
    pub filter: Filter,
    /// How long: longer than [`Flight::time`].
    pub time: Duration,
    /// The most memory for them, in bytes, apart from [`Flight::bytes`].
    pub bytes: u64,
}

impl KeepLonger {
    /// The default of [`bytes`](KeepLonger::bytes).
    pub const BYTES: u64 = 64 << 20;
}

/// The file in which a window is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeepOnDisk {
    /// `scapd.window` in the folder of the dumps.
    Beside,
    /// This one.
    At(PathBuf),
}

/// As many events that match a filter, within a time.
#[derive(Debug, Clone, PartialEq)]
pub struct RateTrigger {
    /// The filter.
    pub filter: Filter,
    /// How many events.
    pub count: u32,
    /// The time.
    pub within: Duration,
}

impl Flight {
    /// The default of [`bytes`](Flight::bytes).
    pub const BYTES: u64 = 256 << 20;
    /// The least memory that makes sense, in bytes: some of the recorder's buffers.
    pub const LEAST: u64 = 4 << 20;
    /// The same if older events are packed: some are then there twice.
    pub const LEAST_PACKED: u64 = 16 << 20;
}

/// A flight recorder before it begins. Nothing has been changed yet.
#[derive(Debug)]
pub struct ReservedFlight {
    flight: Flight,
    pattern: Pattern,
    series: Series,
    compress: bool,
}

impl ReservedFlight {
    /// Checks that dumps can be written, and that the window can be kept in its file, if it has one.
    ///
    /// # Errors
    /// [`OutputError::Create`](crate::output::OutputError::Create), [`OnDiskError`].
    pub fn new(
        flight: Flight,
        pattern: Pattern,
        series: &Series,
        compress: bool,
    ) -> anyhow::Result<ReservedFlight> {
        Shelf::check(&pattern)?;
        let reserved = ReservedFlight { flight, pattern, series: series.clone(), compress };
        if let Some(path) = reserved.path_on_disk() {
            disk::check(&path)?;
        }
        Ok(reserved)
    }

    fn path_on_disk(&self) -> Option<PathBuf> {
        Some(match self.flight.on_disk.as_ref()? {
            KeepOnDisk::Beside => disk::usual_path(self.pattern.dir()),
            KeepOnDisk::At(path) => path.clone(),
        })
    }

    /// Has the kernel tell when tasks wait. Call it before the thread gives up its rights.
    ///
    /// # Errors
    /// [`PressureError`] if the kernel does not.
    pub fn watch(&self, confine: Confinement) -> Result<PressureWatch, PressureError> {
        PressureWatch::start(&self.flight.pressures, confine)
    }

    /// Begins, and returns what takes the chunks of a recording, with its report. From now on files are closed, repaired and
    /// deleted; a window that a recorder left on disk is first made into a capture.
    ///
    /// # Errors
    /// [`OutputError`](crate::output::OutputError) if no thread can be started, or if the window that was left on disk cannot be
    /// written as a capture; [`OnDiskError`] if the window cannot be kept there.
    pub fn begin(self) -> anyhow::Result<(Box<dyn ChunkSink>, Report)> {
        let path = self.path_on_disk();
        let ReservedFlight { flight, pattern, series, compress } = self;
        let shelf = Shelf::open(pattern, &series, compress)?;
        let file = path.map(|path| save::make_room(&path, &flight, &shelf)).transpose()?;
        let window = Window::new(flight, shelf, file);
        let report = window.report();
        Ok((Box::new(window), report))
    }
}

fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

//! A capture in several files, each of which can be read alone.
//!
//! A file is written as `NAME.partial`, locked, and renamed when it is whole and on disk; it never replaces another.
//! The recorder decides where a file ends ([`FileCut`]): chunks submitted before go into it, later ones into the next file,
//! which begins with a fresh machine state. Each file ends with its own balance. The last one gets the rest of the
//! whole recording's balance, so that an error in any of them shows.
//!
//! While the disk fails, submitted chunks are not lost: they wait, and are written later, into the same file if it
//! exists, else into a new one. Meanwhile the buffers run out, and then the rings; the notices in the file that is
//! written next record those losses.
//!
//! Modules: `name`, `rotation` and `retention` decide and touch no file. `partial` creates and renames a file. `files`
//! and `current` write, on the writer's thread. `keeper` closes files on a thread of its own, and then uses `manifest`,
//! `hook`, and `store`, which deletes. `shelf` writes files that do not follow each other.

mod current;
mod files;
mod hook;
mod keeper;
mod manifest;
mod name;
mod partial;
mod retention;
mod rotation;
mod shelf;
mod store;

use std::fmt;

use serde::Deserialize;

pub use files::{Files, ReservedFiles};
pub use hook::Hook;
pub use keeper::SeriesReport;
pub use manifest::{checksum, hex};
pub use name::{Pattern, PatternError, unpacked};
pub use retention::{Free, Retention};
pub use rotation::Rotation;
pub use shelf::{Shelf, ShelfFile};
pub use store::{SHIPPED, SHIPPING, SHIPS};

pub(super) use files::Position;
pub(super) use partial::Partial;

use crate::{
    choice::{Choice, choices},
    confine::Confinement,
};
use scap::ledger::Verdict;

/// How a capture is split into files, and which of them are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Series {
    /// When the next file begins.
    pub rotation: Rotation,
    /// Which files are kept.
    pub retention: Retention,
    /// Whether to write `NAME.json` for each closed file: its contents and checksum.
    pub manifest: bool,
    /// The command to run for each closed file.
    pub on_close: Option<Hook>,
    /// What to do when a file cannot be written.
    pub on_error: OnError,
    /// The privileges that the thread for closed files gives up.
    pub confine: Confinement,
}

choices! {
    /// What to do when a file cannot be written.
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum OnError {
        #[default]
        Wait = "wait": "Wait until it can be written again, and count events lost meanwhile",
        Fail = "fail": "End the recording, as with a single file",
    }
}

/// Where a file of a series ends, and the next one begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileCut {
    /// The time in ns since the epoch, by the event clock.
    pub at: u64,
    /// What the balance of the ending file has besides its chunks: skipped runs, and events left out on purpose.
    pub beside: Verdict,
}

/// A source of the machine state, as blocks that begin a capture.
pub struct StateSource(Box<dyn FnMut() -> Vec<u8> + Send>);

impl StateSource {
    /// Wraps a function that reads the machine state.
    pub fn new(look: impl FnMut() -> Vec<u8> + Send + 'static) -> StateSource {
        StateSource(Box::new(look))
    }
}

impl fmt::Debug for StateSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StateSource")
    }
}

/// Completes the balance of a file that was added up as it was written: events seen are those written plus those lost.
pub(crate) fn seal(mut part: Verdict) -> Verdict {
    let unseen = part.losses.unseen();
    part.seen = part.written + part.losses.sum() - unseen + part.left_out.filtered;
    part
}

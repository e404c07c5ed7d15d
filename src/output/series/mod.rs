//! A capture in many files, each of which stands alone.
//!
//! A file is written as `NAME.partial`, locked, and gets its name when it is whole and on disk; it never takes the place
//! of another. The recorder says where one ends ([`Cut`]): what was submitted before is in the one, what comes after in the
//! next, which begins with the state of the machine, taken anew. Each ends with its own balance; the last one's holds
//! what remains of the whole recording's, so that a slip in any of them shows.
//!
//! When the disk gives trouble, nothing that was submitted is lost: it waits, and is written when that can be done, into
//! the same file if it is there, else into a new one. The buffers run out meanwhile, then the rings; those losses are in
//! the notices of the file that is written then.
//!
//! Who does what: `name` and `rotation`, `retention` decide and touch nothing. `partial` is a file's way to its name.
//! `files` and `current` write, on the writer's thread. `keeper` closes files on a thread of its own, then `manifest`, `hook`, and
//! `store`, which deletes.

mod current;
mod files;
mod hook;
mod keeper;
mod manifest;
mod name;
mod partial;
mod retention;
mod rotation;
mod store;

use std::fmt;

use serde::Deserialize;

pub use files::{Files, ReservedFiles};
pub use hook::Hook;
pub use name::{Pattern, PatternError};
pub use retention::{Free, Retention};
pub use rotation::Rotation;

pub(super) use files::Position;
pub(super) use keeper::Report;
pub(super) use partial::Partial;

use crate::confine::Confinement;
use scap::ledger::Verdict;

/// How a capture is divided into files, and which of them are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Series {
    /// When the next file begins.
    pub rotation: Rotation,
    /// Which are kept.
    pub retention: Retention,
    /// Write `NAME.json` beside each closed file: what is in it, and its checksum.
    pub manifest: bool,
    /// Run this for each closed file.
    pub on_close: Option<Hook>,
    /// What to do when a file cannot be written.
    pub on_error: OnError,
    /// What the thread that looks after closed files gives up.
    pub confine: Confinement,
}

/// What to do when a file cannot be written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// Wait until it can be, and go on; what is lost meanwhile is counted
    #[default]
    Wait,
    /// End the recording, as one to a single file does
    Fail,
}

/// Where a file of a series ends, and the next one begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// When: ns since the epoch, as event times have it.
    pub at: u64,
    /// What belongs to the balance of the file that ends, besides what its chunks tell of: skipped runs, and what was left
    /// out on purpose.
    pub beside: Verdict,
}

/// Where the state of the machine comes from, in the form that a capture begins with.
pub struct StateSource(Box<dyn FnMut() -> Vec<u8> + Send>);

impl StateSource {
    /// Of a function that looks at the machine.
    pub fn new(look: impl FnMut() -> Vec<u8> + Send + 'static) -> StateSource {
        StateSource(Box::new(look))
    }
}

impl fmt::Debug for StateSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StateSource")
    }
}

/// A balance's part that was added up as it was written: what it saw is what it has and what it lost.
fn seal(mut part: Verdict) -> Verdict {
    let unseen = part.losses.unseen();
    part.seen = part.written + part.losses.sum() - unseen;
    part
}

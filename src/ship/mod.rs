//! `scapd ship`: closed captures to object storage, without the command line.
//!
//! A process of its own: the recorder speaks to no network. An object appears as a whole or not at all; its manifest is sent
//! behind it, so a capture with a manifest is complete. What was shipped is remembered beside the capture (`marks`): so
//! nothing is sent twice, an unfinished upload goes on where it was, and the recorder's retention knows what would be lost.
//!
//! `found` looks for captures, `upload` sends one, `remote` is the store.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

mod found;
mod marks;
mod remote;
mod report;
mod round;
mod tables;
#[cfg(test)]
mod tests;
mod upload;

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use thiserror::Error;
use url::Url;

use crate::{
    choice::{Choice, choices},
    escape::shown,
    folder::{Folder, Spot},
};
use remote::Store;
use round::Round;

pub use report::Report;

/// How often a wait looks for a signal.
const LOOK: Duration = Duration::from_millis(100);
/// How soon files that were just closed are looked at again.
const SOON: Duration = Duration::from_millis(500);

choices! {
    /// What is shipped of a capture.
    #[derive(Default)]
    pub enum Form {
        #[default]
        Scap = "scap": "The capture, and its manifest",
        Parquet = "parquet": "Its tables of Parquet, as of `scapd export`",
        Both = "both": "Both",
    }
}

choices! {
    /// When an object counts as arrived.
    #[derive(Default)]
    pub enum Confirm {
        #[default]
        Auto = "auto": "If the store has its size, and has checked its SHA-256; where it does not check that, it is read back",
        Read = "read": "If the store has its size, and it reads back the same",
        Size = "size": "If the store has its size",
    }
}

/// The arguments of [`ship()`].
#[derive(Debug, Clone)]
pub struct ShipArgs {
    /// Captures, and folders of captures.
    pub paths: Vec<PathBuf>,
    /// The store, with a prefix for all that is put there.
    pub to: Url,
    /// What is shipped.
    pub form: Form,
    /// Whether captures are deleted when they are shipped.
    pub delete: bool,
    /// When they are.
    pub confirm: Confirm,
    /// How long a request that fails is repeated.
    pub retry: Duration,
    /// Goes on, and looks for new captures that often.
    pub watch: Option<Duration>,
    /// Whether to print a JSON object in the end instead of lines.
    pub json: bool,
    /// The number of a signal that ends it, or 0.
    pub signal: Arc<AtomicUsize>,
}

/// Why nothing can be shipped.
#[derive(Debug, Error)]
pub enum ShipError {
    /// The store cannot be used.
    #[error("cannot use {to}")]
    Store {
        /// Its URL.
        to: String,
        /// The cause.
        source: object_store::Error,
    },
    /// A folder cannot be used.
    #[error("cannot ship from {}", shown(path))]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Another process ships from a folder.
    #[error("another scapd ships from {}: stop it, or let it do", shown(path))]
    Busy {
        /// The folder.
        path: PathBuf,
    },
}

/// A folder of which captures are shipped: all of them, or those of these names.
struct Source {
    folder: Arc<Folder>,
    only: Option<Vec<Spot>>,
    /// Holds the lock.
    _lock: File,
}

/// Ships closed captures, and prints what it does to `out`.
///
/// # Errors
/// If a folder or the store cannot be used at all, or `out` cannot be written. What happens to each capture is in the report.
pub fn ship(args: &ShipArgs, out: &mut impl Write) -> anyhow::Result<Report> {
    let sources = sources(&args.paths)?;
    let failed = |source| ShipError::Store { to: args.to.to_string(), source };
    let (mut store, prefix) = Store::open(&args.to, args.retry, args.signal.clone()).map_err(failed)?;
    let mut report = Report::default();
    loop {
        let has_fresh = {
            let mut round = Round { args, remote: &mut store, prefix: &prefix, report: &mut report, out };
            round.run(&sources)?
        };
        out.flush()?;
        let stopped = args.signal.load(Ordering::Relaxed) != 0;
        match args.watch {
            _ if stopped => break,
            _ if has_fresh => pause(SOON, &args.signal),
            Some(every) => pause(every, &args.signal),
            None => break,
        }
    }
    if args.json {
        writeln!(out, "{:#}", report.to_json(&args.to))?;
    } else if args.watch.is_none() {
        writeln!(out, "{report}")?;
    }
    Ok(report)
}

/// Waits, until a signal comes.
fn pause(time: Duration, signal: &AtomicUsize) {
    let began = Instant::now();
    while began.elapsed() < time && signal.load(Ordering::Relaxed) == 0 {
        thread::sleep(LOOK.min(time));
    }
}

/// Opens and locks the folders.
fn sources(paths: &[PathBuf]) -> Result<Vec<Source>, ShipError> {
    let mut sources: Vec<Source> = Vec::new();
    for path in paths {
        let failed = |source| ShipError::Folder { path: path.clone(), source };
        let claim = |folder: &Path| match found::claim(folder).map_err(failed)? {
            Some(claimed) => Ok(claimed),
            None => Err(ShipError::Busy { path: path.clone() }),
        };
        match Folder::open(path) {
            Ok(_) => {
                let (folder, lock) = claim(path)?;
                sources.push(Source { folder, only: None, _lock: lock });
            }
            Err(e) if e.kind() == io::ErrorKind::NotADirectory => {
                let spot = Spot::find(path).map_err(failed)?;
                let spot = spot.ok_or_else(|| failed(io::Error::other("it is no file with a name")))?;
                let same = sources.iter_mut().find(|source| source.folder.path() == spot.folder.path());
                if let Some(Source { only: Some(only), .. }) = same {
                    only.push(spot);
                    continue;
                }
                let (folder, lock) = claim(spot.folder.path())?;
                sources.push(Source { folder, only: Some(vec![spot]), _lock: lock });
            }
            Err(e) => return Err(failed(e)),
        }
    }
    Ok(sources)
}

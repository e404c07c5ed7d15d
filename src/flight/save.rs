//! Makes captures of windows that were left in their files: at the next start, and by hand.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::{
    ffi::OsString,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

use indicatif::HumanCount;

use super::{
    Flight, OnDiskError,
    disk::{self, LeftWindow, Saved, WindowFile},
};
use crate::{
    escape::shown,
    folder,
    output::{Made, Shelf, Target, seal},
    repair::{DAMAGED, RepairError, RepairPlace},
};
use scap::{format::frame_event, ledger};

/// How long to wait until a capture is on disk and has its name.
const CLOSING: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(5);

/// Makes the file of a recording. Makes a capture of the one that is there, among the dumps of the shelf.
pub fn make_room(path: &Path, flight: &Flight, shelf: &Shelf) -> anyhow::Result<WindowFile> {
    let make = || disk::make(path, (flight.time, flight.bytes), flight.longer.as_ref());
    let left = match make()? {
        Ok(file) => return Ok(file),
        Err(left) => left,
    };
    match left.save() {
        Ok(saved) => {
            if let Some(saved) = saved {
                to_shelf(&left, &saved, shelf)?;
            }
            left.remove()?;
        }
        Err(OnDiskError::NoState { .. }) => {
            // As after a crash of the machine: the next recording must not fail for that.
            let Ok(aside) = left.put_aside(DAMAGED) else {
                return Err(OnDiskError::NoState { path: path.into() }.into());
            };
            tracing::error!(
                "a recorder left {}, from which nothing can be saved: now {}",
                shown(path),
                shown(&aside)
            );
        }
        Err(error) => return Err(error.into()),
    }
    drop(left);
    make()?.map_err(|left| OnDiskError::Busy { path: left.path() }.into())
}

/// Writes a capture of a window, and waits until it has its name.
fn to_shelf(left: &LeftWindow, saved: &Saved<'_>, shelf: &Shelf) -> anyhow::Result<()> {
    let report = shelf.report();
    let before = report.finished.load(Ordering::Relaxed);
    let mut file = shelf.begin(saved.span.1)?;
    let becomes = file.becomes();
    let written = shelf.put(&mut file, &saved.state, 0).map_err(anyhow::Error::from).and_then(|()| {
        saved.put(|blocks, events| shelf.put(&mut file, blocks, events).map_err(anyhow::Error::from))
    });
    let end = match written {
        Ok(end) => end,
        Err(error) => {
            shelf.discard(file);
            return Err(error.context(not_saved(left)));
        }
    };
    if let Err(failed) = shelf.close(file, end.balance, Some(&end.cut), saved.span) {
        let (file, error) = *failed;
        shelf.discard(file);
        return Err(anyhow::Error::from(error).context(not_saved(left)));
    }
    let deadline = Instant::now() + CLOSING;
    while report.finished.load(Ordering::Relaxed) == before {
        if Instant::now() >= deadline {
            anyhow::bail!("{}: {} could not be closed", not_saved(left), shown(&becomes));
        }
        thread::sleep(LOOK);
    }
    let (events, missing) = saved.events();
    tracing::warn!(
        "a recorder was killed and left its window: now {}, {} events, {} missing",
        shown(&becomes),
        HumanCount(events),
        HumanCount(missing)
    );
    Ok(())
}

fn not_saved(left: &LeftWindow) -> String {
    format!(
        "the window that a recorder left in {0} cannot be saved; it is unchanged (`scapd repair {0} -o FILE` saves it elsewhere)",
        shown(&left.path())
    )
}

/// What became of a window that was saved by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedReport {
    /// Where the capture is; `None` if there was no event to save.
    pub path: Option<PathBuf>,
    /// Its events.
    pub events: u64,
    /// Events between them that are missing.
    pub missing: u64,
    /// Where the window is kept.
    pub kept: Option<PathBuf>,
}

impl SavedReport {
    /// Writes what was done with the file of that name.
    ///
    /// # Errors
    /// If `out` cannot be written.
    pub fn write(&self, name: &Path, out: &mut impl Write) -> io::Result<()> {
        let Some(path) = &self.path else {
            return writeln!(out, "{}: the window of a recorder, without an event", shown(name));
        };
        let [events, missing] = [self.events, self.missing].map(HumanCount);
        writeln!(out, "{}: the window of a recorder, {events} events kept, {missing} missing", shown(name))?;
        writeln!(out, "  now in {}", shown(path))?;
        if let Some(kept) = &self.kept {
            writeln!(out, "  as it was: {}", shown(kept))?;
        }
        Ok(())
    }
}

/// Returns a path with a suffix.
fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Makes a capture of a window that a recorder left, `PATH.scap` unless the place names another; `None` if it is no window.
///
/// The window is removed, unless the capture goes elsewhere or the window is to be kept.
///
/// # Errors
/// [`OnDiskError`], [`RepairError::Exists`] and [`OutputError`](crate::output::OutputError); the window is then unchanged.
pub fn repair(path: &Path, place: &RepairPlace) -> anyhow::Result<Option<SavedReport>> {
    let Some(left) = disk::find(path)? else { return Ok(None) };
    let to = match place {
        RepairPlace::Elsewhere(to) => to.clone(),
        RepairPlace::Instead | RepairPlace::InsteadOfKept | RepairPlace::InPlace => with(path, ".scap"),
    };
    let Some(saved) = left.save()? else {
        return Ok(Some(SavedReport { path: None, events: 0, missing: 0, kept: None }));
    };
    if folder::is_there(&to) {
        return Err(RepairError::Exists { path: to }.into());
    }
    let mut made = Made::open(Made::reserve(Target::File(to.clone()), false, &[path.into()])?)?;
    made.write(&saved.state, 0)?;
    let end = saved.put(|blocks, events| made.write(blocks, events).map_err(anyhow::Error::from))?;
    let mut last = Vec::new();
    let balance = seal(end.balance);
    frame_event(&mut last, 0, &ledger::notice(ledger::VERDICT, &balance.text(), saved.span.1));
    frame_event(&mut last, 0, &ledger::notice_of(ledger::CUT, &end.cut.text(), saved.span.1, 0));
    made.write(&last, 0)?;
    made.finish()?;
    let (events, missing) = saved.events();
    let mut kept = None;
    match place {
        RepairPlace::Elsewhere(_) => {}
        RepairPlace::InsteadOfKept => {
            let failed = |source| RepairError::Write { path: with(path, DAMAGED), source };
            kept = Some(left.put_aside(DAMAGED).map_err(failed)?);
        }
        RepairPlace::Instead | RepairPlace::InPlace => left.remove()?,
    }
    Ok(Some(SavedReport { path: Some(to), events, missing, kept }))
}

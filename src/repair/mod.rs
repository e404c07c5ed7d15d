//! `scapd repair`: turns a truncated or damaged capture into one that every reader opens; `scapd verify` then calls it
//! incomplete instead of damaged.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::{
    io::{self, ErrorKind, Write},
    path::Path,
};

use indicatif::HumanCount;
use rustix::fs::OFlags;

use crate::{escape::shown, folder::Spot, salvage::Capture};
use scap::ledger::Cut;

pub use crate::salvage::{DAMAGED, PARTIAL, RepairError, RepairPlace, RepairReport, Survey};

impl RepairReport {
    /// Writes what was done to the file of that name.
    ///
    /// # Errors
    /// If `out` cannot be written.
    pub fn write(&self, name: &Path, out: &mut impl Write) -> io::Result<()> {
        let events = HumanCount(self.events);
        write!(out, "{}: ", shown(name))?;
        match &self.cut {
            None => writeln!(out, "whole, {events} events")?,
            Some(Cut { cause, offset, bytes }) => writeln!(
                out,
                "{} at byte {offset}: {events} events kept, {} bytes after them left out",
                cause.text(),
                HumanCount(*bytes)
            )?,
        }
        if self.path.file_name() != name.file_name() {
            writeln!(out, "  now in {}", shown(&self.path))?;
        }
        if let Some(damaged) = &self.damaged {
            writeln!(out, "  as it was: {}", shown(damaged))?;
        }
        Ok(())
    }
}

/// Repairs a capture.
///
/// A whole capture stays as it is, and only loses a `.partial` suffix. A missing balance counts as damage only with
/// that suffix: captures of other programs have none.
///
/// Symbolic links to the capture stay, and the file they lead to is replaced. All steps happen in the folder in which
/// the capture was found, even if the path changes meanwhile.
///
/// # Errors
/// Any [`RepairError`]; the capture is then unchanged, unless it is repaired in place.
pub fn repair(path: &Path, place: &RepairPlace) -> Result<RepairReport, RepairError> {
    let failed = |source| RepairError::Open { path: path.into(), source };
    let no_file = || RepairError::NotAFile { path: path.into() };
    let spot = match Spot::find(path) {
        Err(e) if e.kind() == ErrorKind::IsADirectory => return Err(no_file()),
        spot => spot.map_err(failed)?.ok_or_else(no_file)?,
    };
    let access = if *place == RepairPlace::InPlace { OFlags::RDWR } else { OFlags::RDONLY };
    let file = spot.folder.regular(&spot.name, access).map_err(failed)?.ok_or_else(no_file)?;
    Ok(Capture::of(file, spot)?.repair(place)?.0)
}

#[cfg(test)]
mod tests;

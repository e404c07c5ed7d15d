//! `scapd repair`: makes a capture that was cut off, or that is damaged, one that every reader opens.
//!
//! Everything up to the last whole block is kept. Behind it comes a notice ([`ledger::CUT`](scap::ledger::CUT)) that
//! says what was left out; `scapd verify` then calls the capture incomplete instead of damaged. A gzip member that is not
//! whole is decompressed as far as it goes, and what came out is packed anew.
//!
//! At no moment is there less on disk than before: the repaired capture is written beside the damaged one, and takes its
//! name when it is complete. Only [in place](Place::InPlace) is it otherwise: a full disk has no room for a second one.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

pub mod salvage;

use std::{
    ffi::{OsStr, OsString},
    fs::{File, Permissions},
    io::{self, ErrorKind, Seek, Write},
    os::unix::{
        ffi::OsStrExt,
        fs::{FileExt, PermissionsExt, fchown},
    },
    path::{Path, PathBuf},
};

use indicatif::HumanCount;
use rustix::fs::{OFlags, fstat};
use salvage::Survey;
use thiserror::Error;

use crate::{
    folder::{self, Draft, Spot},
    print::shown,
};
use scap::{format::ReadError, ledger::Cut};

/// What the name of a capture that is still being written ends with.
pub const PARTIAL: &str = ".partial";
/// What the name of a damaged capture ends with that is kept.
pub const DAMAGED: &str = ".damaged";

/// Where the repaired capture goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Place {
    /// It takes the damaged one's name, and loses a `.partial` at its end.
    #[default]
    Instead,
    /// The same; the damaged one is kept too, with `.damaged` behind its name.
    InsteadOfKept,
    /// Into a new file; the damaged one is left alone.
    Elsewhere(PathBuf),
    /// Into the damaged file itself, which takes no room. Who is interrupted in it may have less of the capture: of a
    /// compressed one, not what was whole of its last member.
    InPlace,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Where the capture is now.
    pub path: PathBuf,
    /// Its events: all that were whole, scapd's own notices among them, but not the one that was added.
    pub events: u64,
    /// What the added notice says; `None` if the capture was whole and is as it was.
    pub cut: Option<Cut>,
    /// Where the damaged capture is kept.
    pub damaged: Option<PathBuf>,
}

impl Report {
    /// Says what was done to the file of that name.
    ///
    /// # Errors
    /// Of `out`.
    pub fn write(&self, name: &Path, out: &mut impl Write) -> io::Result<()> {
        let events = HumanCount(self.events);
        write!(out, "{}: ", shown(name))?;
        match &self.cut {
            None => writeln!(out, "whole, {events} events")?,
            Some(Cut { cause, offset, bytes }) => writeln!(
                out,
                "{} at byte {offset}: {events} events kept, {} bytes behind them left out",
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

/// Why a capture is as it was.
#[derive(Debug, Error)]
pub enum RepairError {
    /// The file cannot be opened.
    #[error("cannot open {}", shown(path))]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A pipe, a device, a directory.
    #[error("{} is not a regular file: only such a one can be repaired", shown(path))]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// It is locked: its recorder is at work, or another repair.
    #[error("{} is still being written: stop its recorder first", shown(path))]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It ends before the description of its machine, or is no capture.
    #[error("nothing can be saved from {}, which is left as it is", shown(path))]
    Nothing {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: ReadError,
    },
    /// The capture cannot be read: not its fault, and so no reason to cut it.
    #[error("cannot read {}", shown(path))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ReadError,
    },
    /// There is a file of the name already.
    #[error("{} is there already: move it away, or name another file with -o", shown(path))]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The repaired capture cannot be written.
    #[error("cannot write {}{}", shown(path), remedy(source))]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn remedy(source: &io::Error) -> &'static str {
    match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => " (free some room, or write elsewhere with -o)",
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => " (write elsewhere with -o)",
        _ => "",
    }
}

/// Repairs a capture.
///
/// One that is whole stays as it is, but for a `.partial` at the end of its name. That its recorder did not close it is
/// damage only where the name says so: other programs' captures have no balance.
///
/// Links to it stay: the capture is replaced. All is done in the folder in which it was found, whatever others do meanwhile
/// to the path.
///
/// # Errors
/// Any [`RepairError`]; the capture is then as it was, unless it is repaired in place.
pub fn repair(path: &Path, place: &Place) -> Result<Report, RepairError> {
    let failed = |source| RepairError::Open { path: path.into(), source };
    let no_file = || RepairError::NotAFile { path: path.into() };
    let spot = match Spot::find(path) {
        Err(e) if e.kind() == ErrorKind::IsADirectory => return Err(no_file()),
        spot => spot.map_err(failed)?.ok_or_else(no_file)?,
    };
    let access = if *place == Place::InPlace { OFlags::RDWR } else { OFlags::RDONLY };
    let file = spot.folder.regular(&spot.name, access).map_err(failed)?.ok_or_else(no_file)?;
    Ok(Capture::of(file, spot)?.repair(place)?.0)
}

/// Repairs in place what a recorder of this user left behind in the folder of a series: also where it is now.
///
/// # Errors
/// As for [`repair`]; [`RepairError::NotAFile`] if somebody else made it, or it has another name.
pub(crate) fn adopt(spot: &Spot) -> Result<(Report, Spot), RepairError> {
    let failed = |source| RepairError::Open { path: spot.path(), source };
    let file = spot.folder.own(&spot.name, OFlags::RDWR).map_err(failed)?;
    let file = file.ok_or_else(|| RepairError::NotAFile { path: spot.path() })?;
    Capture::of(file, spot.clone())?.repair(&Place::InPlace)
}

/// A capture that is locked against its recorder, where that locks it too.
struct Capture {
    file: File,
    spot: Spot,
    survey: Survey,
}

impl Capture {
    fn of(file: File, spot: Spot) -> Result<Capture, RepairError> {
        let path = spot.path();
        if !folder::lock(&file) {
            return Err(RepairError::InUse { path });
        }
        let survey = Survey::of(&file).map_err(|source| match source {
            ReadError::Io { .. } => RepairError::Read { path, source },
            _ => RepairError::Nothing { path, source },
        })?;
        Ok(Capture { file, spot, survey })
    }

    fn repair(mut self, place: &Place) -> Result<(Report, Spot), RepairError> {
        let complete = complete_name(&self.spot);
        let is_whole = self.survey.is_whole() && (self.survey.is_closed || complete.is_none());
        let (path, events) = (self.spot.path(), self.survey.events);
        let mut report = Report { path, events, cut: None, damaged: None };
        if let Place::Elsewhere(out) = place {
            let elsewhere = target(out)?;
            let (draft, cut) = self.write_beside(is_whole, &elsewhere)?;
            draft.rename_new(&elsewhere.name).map_err(|e| exists_or(out.clone(), e))?;
            (report.path, report.cut) = (out.clone(), cut);
            return Ok((report, elsewhere));
        }
        if let Some(complete) =
            complete.as_ref().filter(|name| name.stat().is_ok_and(|found| found.is_some()))
        {
            return Err(RepairError::Exists { path: complete.path() });
        }
        if !is_whole {
            report.cut = if *place == Place::InPlace {
                Some(self.mend()?)
            } else {
                let (draft, cut) = self.write_beside(is_whole, &self.spot.clone())?;
                self.adopt_owner(draft.file()).map_err(|e| write_error(&self.spot, e))?;
                if *place == Place::InsteadOfKept {
                    report.damaged = Some(self.keep(complete.as_ref().unwrap_or(&self.spot))?);
                }
                draft.replace(&self.spot.name).map_err(|e| write_error(&self.spot, e))?;
                cut
            };
        }
        let Some(complete) = complete else { return Ok((report, self.spot)) };
        // Only now, so that a crash in between leaves a `.partial` that is whole.
        let folder = &self.spot.folder;
        let renamed = folder.rename_new(&self.spot.name, &complete.name).and_then(|()| folder.sync());
        renamed.map_err(|e| exists_or(complete.path(), e))?;
        report.path = complete.path();
        Ok((report, complete))
    }

    /// Writes what is kept into the folder of `target`.
    fn write_beside(&mut self, is_whole: bool, target: &Spot) -> Result<(Draft, Option<Cut>), RepairError> {
        let Capture { file, survey, .. } = self;
        let failed = |source| write_error(target, source);
        let draft = Draft::beside(&target.beside(".scapd-repair")).map_err(failed)?;
        let cut = if is_whole {
            file.rewind().and_then(|()| io::copy(file, &mut draft.file())).map_err(failed)?;
            None
        } else {
            Some(survey.write(file, &mut draft.file()).map_err(failed)?)
        };
        // Captures are kept and removed by their age.
        let modified = file.metadata().and_then(|meta| meta.modified());
        modified.and_then(|time| draft.file().set_modified(time)).map_err(failed)?;
        Ok((draft, cut))
    }

    /// Writes the end of what is kept over that of the damaged file.
    fn mend(&mut self) -> Result<Cut, RepairError> {
        let Capture { file, survey, .. } = self;
        let mut write = || {
            let modified = file.metadata()?.modified()?;
            let mut rest = Vec::new();
            let cut = survey.write_rest(file, &mut rest)?;
            file.write_all_at(&rest, survey.kept())?;
            file.set_len(survey.kept() + rest.len() as u64)?;
            // Captures are kept and removed by their age.
            file.set_modified(modified)?;
            file.sync_all()?;
            Ok(cut)
        };
        write().map_err(|source| write_error(&self.spot, source))
    }

    /// Gives the new file, which is in the folder of the old one, its owner and who may read and write it.
    fn adopt_owner(&self, new: &File) -> io::Result<()> {
        let old = fstat(&self.file)?;
        // Not allowed to everyone; then it is ours, as any new file.
        let _ = fchown(new, Some(old.st_uid), Some(old.st_gid));
        new.set_permissions(Permissions::from_mode(old.st_mode & 0o666))
    }

    /// Gives the damaged capture a second name, which it keeps.
    fn keep(&self, named: &Spot) -> Result<PathBuf, RepairError> {
        let damaged = named.with(DAMAGED);
        let kept = self.spot.folder.link(&self.spot.name, &damaged.name);
        kept.map_err(|e| exists_or(damaged.path(), e))?;
        Ok(damaged.path())
    }
}

/// Where the repaired capture is to go, of which nothing may be there.
fn target(out: &Path) -> Result<Spot, RepairError> {
    let found = Spot::find(out).map_err(|source| RepairError::Write { path: out.into(), source })?;
    found.ok_or_else(|| RepairError::Exists { path: out.into() })
}

/// The name that a `.partial` gets when it is complete.
fn complete_name(spot: &Spot) -> Option<Spot> {
    let name = spot.name.as_bytes().strip_suffix(PARTIAL.as_bytes())?;
    (!name.is_empty()).then(|| spot.beside(OsString::from(OsStr::from_bytes(name))))
}

fn write_error(spot: &Spot, source: io::Error) -> RepairError {
    RepairError::Write { path: spot.path(), source }
}

fn exists_or(path: PathBuf, source: io::Error) -> RepairError {
    match source.kind() {
        ErrorKind::AlreadyExists => RepairError::Exists { path },
        _ => RepairError::Write { path, source },
    }
}

#[cfg(test)]
mod tests;

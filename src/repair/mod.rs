//! `scapd repair`: makes a capture that was cut off, or that is damaged, one that every reader opens.
//!
//! Everything up to the last whole block is kept. Behind it comes a notice ([`ledger::CUT`](crate::ledger::CUT)) that
//! says what was left out; `scapd verify` then calls the capture incomplete instead of damaged. A gzip member that is not
//! whole is decompressed as far as it goes, and what came out is packed anew.
//!
//! At no moment is there less on disk than before: the repaired capture is written beside the damaged one, and takes its
//! name when it is complete. Only [in place](Place::InPlace) is it otherwise: a full disk has no room for a second one.

pub mod salvage;

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::{self, ErrorKind, Seek, Write},
    os::unix::{
        ffi::OsStrExt,
        fs::{FileExt, MetadataExt, fchown},
    },
    path::{Path, PathBuf},
};

use indicatif::HumanCount;
use rustix::{
    fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with},
    io::Errno,
};
use salvage::Survey;
use thiserror::Error;

use crate::{ledger::Cut, print, scap::ReadError};

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
        let shown = |path: &Path| print::escaped(path.as_os_str().as_bytes());
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
    #[error("cannot open {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A pipe, a device, a directory.
    #[error("{} is not a regular file: only such a one can be repaired", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// It is locked: its recorder is at work, or another repair.
    #[error("{} is still being written: stop its recorder first", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It ends before the description of its machine, or is no capture.
    #[error("nothing can be saved from {}, which is left as it is", path.display())]
    Nothing {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: ReadError,
    },
    /// The capture cannot be read: not its fault, and so no reason to cut it.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ReadError,
    },
    /// There is a file of the name already.
    #[error("{} is there already: move it away, or name another file with -o", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The repaired capture cannot be written.
    #[error("cannot write {}{}", path.display(), remedy(source))]
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
/// # Errors
/// Any [`RepairError`]; the capture is then as it was, unless it is repaired in place.
pub fn repair(path: &Path, place: &Place) -> Result<Report, RepairError> {
    let opened = |source| RepairError::Open { path: path.into(), source };
    // Through links: the capture is to be replaced, not the link to it.
    let path = fs::canonicalize(path).map_err(opened)?;
    let mut file = open(&path)?;
    let survey = Survey::of(&file).map_err(|source| match source {
        ReadError::Io { .. } => RepairError::Read { path: path.clone(), source },
        _ => RepairError::Nothing { path: path.clone(), source },
    })?;
    let complete = complete_name(&path);
    let is_whole = survey.damage.is_none() && (survey.is_closed || complete.is_none());
    let mut report = Report { path: path.clone(), events: survey.events, cut: None, damaged: None };
    if let Place::Elsewhere(out) = place {
        report.path = out.clone();
        report.cut = write_beside(&mut file, &survey, is_whole, out)?.into_new(out)?;
        return Ok(report);
    }
    if let Some(complete) = complete.as_ref().filter(|name| name.symlink_metadata().is_ok()) {
        return Err(RepairError::Exists { path: complete.clone() });
    }
    if !is_whole {
        report.cut = if *place == Place::InPlace {
            Some(mend(&mut file, &survey, &path)?)
        } else {
            let repaired = write_beside(&mut file, &survey, is_whole, &path)?;
            if *place == Place::InsteadOfKept {
                report.damaged = Some(keep(&path, complete.as_deref().unwrap_or(&path))?);
            }
            repaired.instead_of(&path)?
        };
    }
    if let Some(complete) = complete {
        // Only now, so that a crash in between leaves a `.partial` that is whole.
        rename_new(&path, &complete)?;
        report.path = complete;
    }
    Ok(report)
}

/// The capture, locked against its recorder where that locks it too.
fn open(path: &Path) -> Result<File, RepairError> {
    let opened = |source| RepairError::Open { path: path.into(), source };
    if !fs::metadata(path).map_err(opened)?.is_file() {
        return Err(RepairError::NotAFile { path: path.into() });
    }
    let file = File::open(path).map_err(opened)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Err(RepairError::InUse { path: path.into() }),
        // A file system that knows no locks has none that are held.
        _ => Ok(file),
    }
}

/// The name that a `.partial` gets when it is complete.
fn complete_name(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.as_bytes().strip_suffix(PARTIAL.as_bytes())?;
    (!name.is_empty()).then(|| path.with_file_name(OsStr::from_bytes(name)))
}

/// A repaired capture that has no name yet.
struct Repaired {
    file: tempfile::NamedTempFile,
    cut: Option<Cut>,
}

/// Writes what is kept into the folder of `target`.
fn write_beside(
    file: &mut File,
    survey: &Survey,
    is_whole: bool,
    target: &Path,
) -> Result<Repaired, RepairError> {
    let failed = |source| RepairError::Write { path: target.into(), source };
    let folder = folder_of(target);
    let mut new = tempfile::Builder::new().prefix(".scapd-repair-").tempfile_in(folder).map_err(failed)?;
    let cut = if is_whole {
        file.rewind().and_then(|()| io::copy(file, &mut new)).map_err(failed)?;
        None
    } else {
        Some(survey.write(file, new.as_file_mut()).map_err(failed)?)
    };
    adopt(file, new.as_file()).and_then(|()| new.as_file().sync_all()).map_err(failed)?;
    Ok(Repaired { file: new, cut })
}

/// Writes the end of what is kept over that of the damaged file.
fn mend(file: &mut File, survey: &Survey, path: &Path) -> Result<Cut, RepairError> {
    let mut write = || {
        let modified = file.metadata()?.modified()?;
        let mut rest = Vec::new();
        let cut = survey.write_rest(file, &mut rest)?;
        let out = File::options().write(true).open(path)?;
        out.write_all_at(&rest, survey.kept())?;
        out.set_len(survey.kept() + rest.len() as u64)?;
        // Captures are kept and removed by their age.
        out.set_modified(modified)?;
        out.sync_all()?;
        Ok(cut)
    };
    write().map_err(|source| RepairError::Write { path: path.into(), source })
}

/// Gives the new file the mode, the owner and the time of the old one.
fn adopt(old: &File, new: &File) -> io::Result<()> {
    let meta = old.metadata()?;
    // Not allowed to everyone; then it is ours, as any new file.
    let _ = fchown(new, Some(meta.uid()), Some(meta.gid()));
    new.set_permissions(meta.permissions())?;
    // Captures are kept and removed by their age.
    new.set_modified(meta.modified()?)
}

impl Repaired {
    /// Gives it a name that no file has.
    fn into_new(self, target: &Path) -> Result<Option<Cut>, RepairError> {
        self.file.persist_noclobber(target).map_err(|e| exists_or(target, e.error))?;
        sync_folder(target)?;
        Ok(self.cut)
    }

    /// Gives it the name of the damaged one.
    fn instead_of(self, target: &Path) -> Result<Option<Cut>, RepairError> {
        self.file.persist(target).map_err(|e| RepairError::Write { path: target.into(), source: e.error })?;
        sync_folder(target)?;
        Ok(self.cut)
    }
}

/// Gives the damaged capture a second name, which it keeps.
fn keep(path: &Path, named: &Path) -> Result<PathBuf, RepairError> {
    let mut name = OsString::from(named);
    name.push(DAMAGED);
    let damaged = PathBuf::from(name);
    fs::hard_link(path, &damaged).map_err(|e| exists_or(&damaged, e))?;
    Ok(damaged)
}

/// Renames, and never over a file that is there.
fn rename_new(from: &Path, to: &Path) -> Result<(), RepairError> {
    let renamed = match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // A file system that cannot rename so.
        Err(Errno::INVAL | Errno::NOSYS) => fs::hard_link(from, to).and_then(|()| fs::remove_file(from)),
        result => result.map_err(io::Error::from),
    };
    renamed.map_err(|e| exists_or(to, e))?;
    sync_folder(to)
}

fn exists_or(path: &Path, source: io::Error) -> RepairError {
    match source.kind() {
        ErrorKind::AlreadyExists => RepairError::Exists { path: path.into() },
        _ => RepairError::Write { path: path.into(), source },
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Sees to it that the names are on disk too.
fn sync_folder(path: &Path) -> Result<(), RepairError> {
    let synced = File::open(folder_of(path)).and_then(|folder| folder.sync_all());
    synced.map_err(|source| RepairError::Write { path: path.into(), source })
}

#[cfg(test)]
mod tests;

//! Makes a damaged capture whole again: keeps everything up to its last whole block, and appends a notice
//! ([`ledger::CUT`](scap::ledger::CUT)) that says what was left out. Decompresses a broken gzip member as far as possible,
//! and compresses the result anew.
//!
//! The repaired capture is written beside the damaged one and replaces it when it is complete, so nothing is lost on
//! the way. Only a repair [in place](RepairPlace::InPlace) differs: a full disk has no room for a second file.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

mod survey;

use std::{
    ffi::{OsStr, OsString},
    fs::{File, Permissions},
    io::{self, ErrorKind, Seek},
    os::unix::{
        ffi::OsStrExt,
        fs::{FileExt, PermissionsExt, fchown},
    },
    path::{Path, PathBuf},
};

use rustix::fs::{OFlags, fstat};
use thiserror::Error;

use crate::{
    escape::shown,
    folder::{self, Draft, Spot},
};
use scap::{format::ReadError, ledger::Cut};

pub use survey::Survey;
pub(crate) use survey::missing_state;

/// The suffix of a capture that is still being written.
pub const PARTIAL: &str = ".partial";
/// The suffix of a damaged capture that is kept.
pub const DAMAGED: &str = ".damaged";
/// The rights that a repaired capture keeps: no setuid bit, nothing to execute.
const RIGHTS: u32 = 0o666;

/// Where the repaired capture goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum RepairPlace {
    /// It replaces the damaged one; a `.partial` suffix is dropped.
    #[default]
    Instead,
    /// It replaces the damaged one, which is kept with the suffix `.damaged`.
    InsteadOfKept,
    /// It goes into a new file; the damaged one is left alone.
    Elsewhere(PathBuf),
    /// It is made in the damaged file itself, which takes no room. An interrupted repair may lose data: of a compressed
    /// capture, the intact start of its last member.
    InPlace,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepairReport {
    /// Where the capture is now.
    pub path: PathBuf,
    /// Its whole events, including scapd's notices, but not the one that was added.
    pub events: u64,
    /// What the added notice says; `None` if the capture was whole and is unchanged.
    pub cut: Option<Cut>,
    /// Where the damaged capture is kept.
    pub damaged: Option<PathBuf>,
}

/// Why a capture was not repaired.
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
    #[error("{} is not a regular file: only regular files can be repaired", shown(path))]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// It is locked by its recorder, or by another repair.
    #[error("{} is still being written: stop its recorder first", shown(path))]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It is no capture, or ends before its machine info.
    #[error("nothing can be saved from {}; it is unchanged", shown(path))]
    Nothing {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: ReadError,
    },
    /// The capture cannot be read. That is no damage, and so no reason to cut it.
    #[error("cannot read {}", shown(path))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ReadError,
    },
    /// A file of that name exists.
    #[error("{} already exists: move it away, or name another file with -o", shown(path))]
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

/// Repairs in place a capture that a recorder of this user left behind in the folder of a series. Returns its new place
/// too.
///
/// # Errors
/// As for [`repair`]; [`RepairError::NotAFile`] if another user owns it, or it has a second name.
pub(crate) fn adopt(spot: &Spot) -> Result<(RepairReport, Spot), RepairError> {
    let failed = |source| RepairError::Open { path: spot.path(), source };
    let file = spot.folder.own(&spot.name, OFlags::RDWR).map_err(failed)?;
    let file = file.ok_or_else(|| RepairError::NotAFile { path: spot.path() })?;
    Capture::of(file, spot.clone())?.repair(&RepairPlace::InPlace)
}

/// A capture, locked: its recorder holds the same lock while it writes.
pub(crate) struct Capture {
    file: File,
    spot: Spot,
    survey: Survey,
}

impl Capture {
    pub(crate) fn of(file: File, spot: Spot) -> Result<Capture, RepairError> {
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

    pub(crate) fn repair(mut self, place: &RepairPlace) -> Result<(RepairReport, Spot), RepairError> {
        let complete = complete_name(&self.spot);
        let is_whole = self.survey.is_whole() && (self.survey.is_closed || complete.is_none());
        let (path, events) = (self.spot.path(), self.survey.events);
        let mut report = RepairReport { path, events, cut: None, damaged: None };
        if let RepairPlace::Elsewhere(out) = place {
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
            report.cut = if *place == RepairPlace::InPlace {
                Some(self.mend()?)
            } else {
                let (draft, cut) = self.write_beside(is_whole, &self.spot.clone())?;
                self.adopt_owner(draft.file()).map_err(|e| write_error(&self.spot, e))?;
                if *place == RepairPlace::InsteadOfKept {
                    report.damaged = Some(self.keep(complete.as_ref().unwrap_or(&self.spot))?);
                }
                draft.replace(&self.spot.name).map_err(|e| write_error(&self.spot, e))?;
                cut
            };
        }
        let Some(complete) = complete else { return Ok((report, self.spot)) };
        // Last, so that a crash before leaves a whole `.partial`.
        let folder = &self.spot.folder;
        let renamed = folder.rename_new(&self.spot.name, &complete.name).and_then(|()| folder.sync());
        renamed.map_err(|e| exists_or(complete.path(), e))?;
        report.path = complete.path();
        Ok((report, complete))
    }

    /// Writes the repaired capture to a draft in the folder of `target`.
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
        // Retention goes by the age of a file.
        let modified = file.metadata().and_then(|meta| meta.modified());
        modified.and_then(|time| draft.file().set_modified(time)).map_err(failed)?;
        Ok((draft, cut))
    }

    /// Overwrites the damaged end of the file.
    fn mend(&mut self) -> Result<Cut, RepairError> {
        let Capture { file, survey, .. } = self;
        let mut write = || {
            let found = file.metadata()?;
            let (mode, modified) = (found.permissions().mode(), found.modified()?);
            if mode & 0o7777 & !RIGHTS != 0 {
                // Only the owner and root may. For others, the kernel drops setuid bits at the first write.
                let _ = file.set_permissions(Permissions::from_mode(mode & RIGHTS));
            }
            let mut rest = Vec::new();
            let cut = survey.write_rest(file, &mut rest)?;
            file.write_all_at(&rest, survey.kept())?;
            file.set_len(survey.kept() + rest.len() as u64)?;
            // Retention goes by the age of a file.
            file.set_modified(modified)?;
            file.sync_all()?;
            Ok(cut)
        };
        write().map_err(|source| write_error(&self.spot, source))
    }

    /// Gives the new file the owner and the permissions of the damaged one.
    fn adopt_owner(&self, new: &File) -> io::Result<()> {
        let old = fstat(&self.file)?;
        // Fails without CAP_CHOWN; the new file stays ours then.
        let _ = fchown(new, Some(old.st_uid), Some(old.st_gid));
        new.set_permissions(Permissions::from_mode(old.st_mode & RIGHTS))
    }

    /// Links the damaged capture to the name under which it is kept.
    fn keep(&self, named: &Spot) -> Result<PathBuf, RepairError> {
        let damaged = named.with(DAMAGED);
        let kept = self.spot.folder.link(&self.spot.name, &damaged.name);
        kept.map_err(|e| exists_or(damaged.path(), e))?;
        Ok(damaged.path())
    }
}

/// Returns where the repaired capture goes. Nothing may exist there.
fn target(out: &Path) -> Result<Spot, RepairError> {
    let found = Spot::find(out).map_err(|source| RepairError::Write { path: out.into(), source })?;
    found.ok_or_else(|| RepairError::Exists { path: out.into() })
}

/// Returns the name of a `.partial` once it is complete.
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

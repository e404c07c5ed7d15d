//! Errors of an output, and their remedies.

use std::{
    io::{self, ErrorKind},
    os::unix::ffi::OsStrExt,
    path::PathBuf,
};

use super::{OutputTotals, Target};
use crate::escape::shown;

/// Why a capture cannot be written, or not completely.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// Stdout is a terminal.
    #[error("stdout is a terminal, and a capture is binary: name a file with -w, or pipe it into a reader")]
    Terminal,
    /// The target cannot be opened.
    #[error("cannot create {target}{}", create_remedy(source))]
    Create {
        /// The target.
        target: Target,
        /// Why not.
        source: io::Error,
    },
    /// Another recorder writes the file, or `scapd repair` repairs it.
    #[error(
        "{} is being written by another process: stop that one first, or name another file with -w",
        shown(path)
    )]
    Busy {
        /// The target.
        target: Target,
        /// The file that is locked.
        path: PathBuf,
    },
    /// A file left behind by a recorder, or another user's, has the name that this one needs while it is written.
    #[error(
        "cannot create {target} because {0} exists: run `scapd repair {0}`, move it away, or name another file with -w",
        shown(path)
    )]
    InTheWay {
        /// The target.
        target: Target,
        /// The existing file.
        path: PathBuf,
        /// Why it cannot be moved.
        source: io::Error,
    },
    /// The pipe has no reader.
    #[error("no reader has opened {target}: nothing was recorded")]
    NoReader {
        /// The target.
        target: Target,
    },
    /// The file lost its name while it was written.
    #[error("{} was {became} while it was written: {target} was not created", shown(path))]
    Missing {
        /// The target.
        target: Target,
        /// The name that the file had.
        path: PathBuf,
        /// What happened to it.
        became: &'static str,
    },
    /// The file is whole, but cannot be renamed.
    #[error("cannot rename {}, which is complete, to {target}", shown(path))]
    Publish {
        /// The name that it was to get.
        target: Target,
        /// Where it is.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The disk is full, or the user's quota is used up.
    #[error(
        "no room for {target}, which is complete up to byte {} with {} events; free some, or write elsewhere with -w{}",
        .written.bytes_out, .written.events, repair_remedy(target, written)
    )]
    NoSpace {
        /// The target.
        target: Target,
        /// What was written to it.
        written: OutputTotals,
        /// The system's error.
        source: io::Error,
    },
    /// The reader closed the pipe. Often it just had enough.
    #[error("the reader of {target} closed it after {} events", .written.events)]
    BrokenPipe {
        /// The target.
        target: Target,
        /// What was written to it.
        written: OutputTotals,
        /// The system's error.
        source: io::Error,
    },
    /// The reader keeps the pipe open, but stopped reading.
    #[error("the reader of {target} stopped reading after {} events: the rest was dropped", .written.events)]
    Stalled {
        /// The target.
        target: Target,
        /// What was written to it.
        written: OutputTotals,
    },
    /// Stdout was closed when the process started.
    #[error("stdout is closed: name a file with -w, or pipe it into a reader")]
    Closed,
    /// A write to the target failed.
    #[error(
        "cannot write to {target}, which is complete up to byte {} with {} events{}{}",
        .written.bytes_out, .written.events, write_remedy(source), repair_remedy(target, written)
    )]
    Write {
        /// The target.
        target: Target,
        /// What was written to it.
        written: OutputTotals,
        /// The system's error.
        source: io::Error,
    },
    /// A capture that is made from others cannot be written. Nothing is left of it.
    #[error("cannot write {target}{}{}: nothing is left of it", create_remedy(source), write_remedy(source))]
    NotMade {
        /// The target.
        target: Target,
        /// The system's error.
        source: io::Error,
    },
    /// The capture to write is one of those to read.
    #[error("{target} is also read: name another file with -w")]
    IsSource {
        /// The target.
        target: Target,
    },
    /// The system refuses a thread.
    #[error("cannot start the thread that writes {target}; there may be a limit on processes (ulimit -u)")]
    Thread {
        /// The target.
        target: Target,
        /// The system's error.
        source: io::Error,
    },
    /// The writer ended earlier, with an error that it has reported.
    #[error("writing to {target} stopped after an earlier error")]
    Stopped {
        /// The target.
        target: Target,
    },
}

impl OutputError {
    pub(super) fn create(target: &Target, source: io::Error) -> Self {
        OutputError::Create { target: target.clone(), source }
    }

    pub(super) fn write(target: &Target, written: OutputTotals, source: io::Error) -> Self {
        let target = target.clone();
        match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                OutputError::NoSpace { target, written, source }
            }
            ErrorKind::BrokenPipe => OutputError::BrokenPipe { target, written, source },
            _ => OutputError::Write { target, written, source },
        }
    }
}

/// Returns the remedy for an error on opening; the message ends with the system's error as the source.
fn create_remedy(source: &io::Error) -> &'static str {
    // Our own errors name their remedy.
    if source.get_ref().is_some() {
        return "";
    }
    match source.kind() {
        ErrorKind::NotFound => " (make its directory first, or name another file with -w)",
        ErrorKind::PermissionDenied => " (run as a user who may write there, or name another file with -w)",
        ErrorKind::ReadOnlyFilesystem => " (name a file on a writable file system with -w)",
        ErrorKind::IsADirectory => " (name a file in it with -w)",
        ErrorKind::NotADirectory => " (a part of the path is a file; name another with -w)",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => " (free some room, or write elsewhere with -w)",
        _ => "",
    }
}

/// Returns the remedy for an error on writing.
fn write_remedy(source: &io::Error) -> &'static str {
    match source.kind() {
        ErrorKind::FileTooLarge => " (the limit on file sizes is reached, see ulimit -f)",
        ErrorKind::ReadOnlyFilesystem => " (the file system became read-only, see dmesg)",
        _ => "",
    }
}

/// Returns what to do with a file that did not get its name.
fn repair_remedy(target: &Target, written: &OutputTotals) -> String {
    match target {
        Target::File(path) if written.bytes_out > 0 && path.as_os_str().as_bytes().ends_with(b".partial") => {
            format!("; save it with `scapd repair {target}`")
        }
        _ => String::new(),
    }
}

//! What can go wrong with an output, and what to do about it.

use std::{
    io::{self, ErrorKind},
    os::unix::ffi::OsStrExt,
    path::PathBuf,
};

use super::{Target, Totals};
use crate::print::shown;

/// A capture that cannot be written, or not further.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// Stdout is a terminal.
    #[error("stdout is a terminal, and a capture is not text: name a file with -w, or pipe it into a reader")]
    Terminal,
    /// The target cannot be opened.
    #[error("cannot create {target}{}", create_remedy(source))]
    Create {
        /// What was to be opened.
        target: Target,
        /// Why not.
        source: io::Error,
    },
    /// Another recorder writes the file, or `scapd repair` is at work on it.
    #[error(
        "{} is being written by another process: stop that one first, or name another file with -w",
        shown(path)
    )]
    Busy {
        /// What was to be opened.
        target: Target,
        /// The file that is locked.
        path: PathBuf,
    },
    /// What a recorder left behind, or another's, has the name that the file is to have while it is written.
    #[error(
        "cannot create {target}, as {0} is there: `scapd repair {0}`, move it away, or name another file with -w",
        shown(path)
    )]
    InTheWay {
        /// What was to be opened.
        target: Target,
        /// What is there.
        path: PathBuf,
        /// Why it stays there.
        source: io::Error,
    },
    /// Nobody reads the pipe.
    #[error("nobody has opened {target} to read it: nothing was recorded")]
    NoReader {
        /// What was to be opened.
        target: Target,
    },
    /// The file has lost its name while it was written.
    #[error("{} was {became} while it was written: {target} was not recorded", shown(path))]
    Missing {
        /// What was to be written.
        target: Target,
        /// The name that the file had.
        path: PathBuf,
        /// What became of it.
        became: &'static str,
    },
    /// The file is whole, and cannot get its name.
    #[error("cannot rename {}, which is complete, to {target}", shown(path))]
    Publish {
        /// What it was to be called.
        target: Target,
        /// Where it is.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The disk is full, or the user's share of it.
    #[error(
        "no room for {target}, which is complete up to byte {} with {} events; free some, or write elsewhere with -w{}",
        .written.bytes_out, .written.events, repair_remedy(target, written)
    )]
    NoSpace {
        /// What was written to.
        target: Target,
        /// What it has got.
        written: Totals,
        /// What the system says.
        source: io::Error,
    },
    /// The reader of the pipe has gone. Often it just had enough.
    #[error("the reader of {target} has gone after {} events", .written.events)]
    BrokenPipe {
        /// What was written to.
        target: Target,
        /// What it has got.
        written: Totals,
        /// What the system says.
        source: io::Error,
    },
    /// The reader of the pipe is there, and reads no more.
    #[error("the reader of {target} takes no more after {} events: the rest was given up", .written.events)]
    Stalled {
        /// What was written to.
        target: Target,
        /// What it has got.
        written: Totals,
    },
    /// Stdout was closed when the process began.
    #[error("stdout is closed: name a file with -w, or pipe it into a reader")]
    Closed,
    /// The target cannot be written to any more.
    #[error(
        "cannot write to {target}, which is complete up to byte {} with {} events{}{}",
        .written.bytes_out, .written.events, write_remedy(source), repair_remedy(target, written)
    )]
    Write {
        /// What was written to.
        target: Target,
        /// What it has got.
        written: Totals,
        /// What the system says.
        source: io::Error,
    },
    /// The system gives no thread to write with.
    #[error("cannot start the thread that writes {target}; there may be a limit on processes (ulimit -u)")]
    Thread {
        /// What was to be written to.
        target: Target,
        /// What the system says.
        source: io::Error,
    },
    /// The writer has ended before, with an error that it has told already.
    #[error("nothing is written to {target} any more, since an earlier error")]
    Stopped {
        /// What was written to.
        target: Target,
    },
}

impl OutputError {
    pub(super) fn create(target: &Target, source: io::Error) -> Self {
        OutputError::Create { target: target.clone(), source }
    }

    pub(super) fn write(target: &Target, written: Totals, source: io::Error) -> Self {
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

/// What the message adds about an error on opening; the system's own words follow as the source.
fn create_remedy(source: &io::Error) -> &'static str {
    // Our own errors name their remedy.
    if source.get_ref().is_some() {
        return "";
    }
    match source.kind() {
        ErrorKind::NotFound => " (make its directory first, or name another file with -w)",
        ErrorKind::PermissionDenied => " (run as a user who may write there, or name another file with -w)",
        ErrorKind::ReadOnlyFilesystem => {
            " (name a file on a file system that is mounted for writing, with -w)"
        }
        ErrorKind::IsADirectory => " (name a file in it with -w)",
        ErrorKind::NotADirectory => " (a part of the path is a file; name another with -w)",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => " (free some room, or write elsewhere with -w)",
        _ => "",
    }
}

/// The same for an error on writing.
fn write_remedy(source: &io::Error) -> &'static str {
    match source.kind() {
        ErrorKind::FileTooLarge => " (there is a limit on the size of files, see ulimit -f)",
        ErrorKind::ReadOnlyFilesystem => " (the file system became read-only, see dmesg)",
        _ => "",
    }
}

/// What to do with a file that did not get its name.
fn repair_remedy(target: &Target, written: &Totals) -> String {
    match target {
        Target::File(path) if written.bytes_out > 0 && path.as_os_str().as_bytes().ends_with(b".partial") => {
            format!("; keep what there is with `scapd repair {target}`")
        }
        _ => String::new(),
    }
}

//! Finds and reads configuration files. Opens only regular files: a pipe would block the service forever, and opening a
//! device can have side effects.

use std::{
    ffi::{CStr, OsStr},
    fs::File,
    io::{self, ErrorKind, Read},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, fstat, openat};

/// The maximum size of a file, in bytes.
pub(super) const LONGEST: u64 = 1 << 20;
/// The maximum number of files in a folder.
const MOST: usize = 1000;

/// The contents of a folder of configuration files.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The files, sorted by name.
    pub files: Vec<(PathBuf, File)>,
    /// Entries with the name of a configuration file that are not regular files.
    pub others: Vec<PathBuf>,
    /// Files that cannot be opened.
    pub failed: Vec<(PathBuf, io::Error)>,
}

/// Opens a file that the user named.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] if it is not a regular file, and errors of open(2).
pub(super) fn open(path: &Path) -> io::Result<File> {
    let pinned = pin(CWD, path)?;
    regular(&pinned)?.ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "it is not a regular file"))
}

/// Opens the files in a folder whose names end in `.toml`; none if the folder does not exist. Looks all of them up in
/// the opened folder, even if its path changes meanwhile. Follows symbolic links, which configuration managers create.
///
/// # Errors
/// Errors of the folder.
pub(super) fn open_all(folder: &Path) -> io::Result<Found> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let handle = match openat(CWD, folder, flags, Mode::empty()) {
        Err(rustix::io::Errno::NOENT) => return Ok(Found::default()),
        handle => handle?,
    };
    let mut names = Vec::new();
    for entry in Dir::read_from(&handle)? {
        let entry = entry?;
        if is_wanted(entry.file_name()) {
            names.push(entry.file_name().to_owned());
        }
        if names.len() > MOST {
            return Err(io::Error::other(format!("it has more than {MOST} files")));
        }
    }
    names.sort();
    let mut found = Found::default();
    for name in names {
        let name = OsStr::from_bytes(name.to_bytes());
        let path = folder.join(name);
        match pin(&handle, Path::new(name)).and_then(|pinned| regular(&pinned)) {
            Ok(Some(file)) => found.files.push((path, file)),
            Ok(None) => found.others.push(path),
            Err(e) => found.failed.push((path, e)),
        }
    }
    Ok(found)
}

fn is_wanted(name: &CStr) -> bool {
    let name = name.to_bytes();
    name.ends_with(b".toml") && !name.starts_with(b".")
}

/// Pins what a path leads to (O_PATH), without opening it.
fn pin(folder: impl AsFd, path: &Path) -> io::Result<OwnedFd> {
    Ok(openat(folder, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
}

/// Opens a pinned file for reading; returns `None` if it is not a regular file.
fn regular(pinned: &OwnedFd) -> io::Result<Option<File>> {
    if FileType::from_raw_mode(fstat(pinned)?.st_mode) != FileType::RegularFile {
        return Ok(None);
    }
    match File::open(format!("/proc/self/fd/{}", pinned.as_raw_fd())) {
        Err(e) if e.kind() == ErrorKind::NotFound => Err(io::Error::other("/proc is not mounted")),
        opened => opened.map(Some),
    }
}

/// Reads a file as text.
///
/// # Errors
/// If the file is too large or not UTF-8, and errors of read(2).
pub(super) fn read(file: File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(io::Error::new(ErrorKind::FileTooLarge, format!("it has more than {LONGEST} bytes")));
    }
    String::from_utf8(bytes).map_err(|e| {
        let line =
            1 + e.as_bytes()[..e.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        io::Error::new(ErrorKind::InvalidData, format!("line {line} is not UTF-8"))
    })
}

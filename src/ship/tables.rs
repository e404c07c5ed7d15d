//! The tables of a capture, as `scapd export --to parquet` makes them.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use object_store::path::Path as Key;
use rustix::fs::{FileType, OFlags};
use thiserror::Error;

use super::{
    ShipArgs,
    remote::Remote,
    upload::{self, Sending, UploadError},
};
use crate::{
    export::{self, ExportForm, StackValue},
    folder::{Folder, Spot},
    output::{Target, checksum},
    read::ReadArgs,
};
use scap::summary::Keys;

/// Why the tables of a capture were not sent.
#[derive(Debug, Error)]
pub(super) enum TablesError {
    /// They cannot be made.
    #[error("cannot make its tables: {0}")]
    Export(String),
    /// They cannot be kept until they are sent.
    #[error("cannot keep its tables in the folder for temporary files: free some room, or set TMPDIR")]
    Local(#[from] io::Error),
    /// They cannot be sent.
    #[error(transparent)]
    Upload(#[from] UploadError),
}

/// A file of a table.
struct Part {
    /// The folders in which it is, and its name.
    place: Vec<String>,
    file: File,
}

/// Makes the tables of a capture, one capture at a time, and sends them. `unique` is the name of the capture, as no other one has
/// it: the files of a table are called like it. Returns their keys.
pub(super) fn send(
    remote: &mut dyn Remote,
    spot: &Spot,
    unique: &str,
    prefix: &Key,
    args: &ShipArgs,
) -> Result<Vec<String>, TablesError> {
    let room = tempfile::tempdir()?;
    let folder = room.path().join("tables");
    let export = export::ExportArgs {
        reading: ReadArgs {
            files: vec![spot.path()],
            signal: Some(args.signal.clone()),
            ..ReadArgs::default()
        },
        form: ExportForm::Parquet,
        target: Target::File(folder.clone()),
        value: StackValue::default(),
        // Not for tables.
        keys: Keys::parse("call").map_err(|error| TablesError::Export(error.to_string()))?,
    };
    export::export(export, &mut io::sink()).map_err(|error| TablesError::Export(format!("{error:#}")))?;
    let mut keys = Vec::new();
    for Part { place, file } in parts(&folder, &[])? {
        let (name, folders) = place.split_last().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let folders = folders.iter().fold(prefix.clone(), |key, part| key.join(part.as_str()));
        let key = folders.join(format!("{unique}-{name}"));
        let sha256 = checksum(file.try_clone()?)?;
        let sending = Sending {
            bytes: file.metadata()?.len(),
            file: &file,
            sha256: &sha256,
            key: &key,
            mark: None,
            to: args.to.as_str(),
        };
        upload::send(remote, &sending, args.confirm, &|_| {})?;
        keys.push(key.to_string());
    }
    Ok(keys)
}

/// Finds all files below a folder, in the order of their names.
fn parts(path: &Path, place: &[String]) -> io::Result<Vec<Part>> {
    let folder = Arc::new(Folder::open(path)?);
    let mut names: Vec<_> = folder.names()?.collect();
    names.sort();
    let mut parts = Vec::new();
    for name in names {
        let place: Vec<_> = place.iter().cloned().chain([name.to_string_lossy().into_owned()]).collect();
        let found = folder.stat(&name)?.ok_or(io::ErrorKind::NotFound)?;
        if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
            let below: PathBuf = path.join(&name);
            parts.extend(self::parts(&below, &place)?);
        } else if let Some(file) = folder.regular(&name, OFlags::RDONLY)? {
            parts.push(Part { place, file });
        }
    }
    Ok(parts)
}

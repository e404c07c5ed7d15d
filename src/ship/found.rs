//! Which captures are closed, and what they are.

use std::{
    fs::File,
    io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use jiff::Timestamp;
use object_store::path::Path as Key;
use rustix::fs::OFlags;
use serde_json::{Value, json};
use thiserror::Error;

use super::marks::{self, SHIPPED, Shipped};
use crate::{
    export::host_partition,
    folder::{Folder, Identity, Spot, lock},
    output::{SHIPS, checksum, unpacked},
    read::{is_capture_name, is_locked},
};
use scap::format::{Keep, ReadError, Reader};

/// A file that was changed or renamed more recently may be without its manifest still.
const FRESH: Duration = Duration::from_secs(2);
/// How many bytes of a manifest are read at most.
const LONGEST: u64 = 64 << 10;
/// Where captures are in the store, beside the tables of Parquet.
const CAPTURES: &str = "captures";

/// Why a capture was not described.
#[derive(Debug, Error)]
pub(super) enum DescribeError {
    /// It cannot be read.
    #[error("cannot read it")]
    Io(#[from] io::Error),
    /// It is no capture, or has no event.
    #[error("it is no capture with an event: `scapd repair` may help")]
    Capture(#[source] ReadError),
    /// It is not closed.
    #[error("it is still being written: ship it when it is closed, or its folder with --watch")]
    Open,
    /// It has no event.
    #[error("it has no event: nothing is in it, and it can be deleted")]
    Empty,
    /// It is another file than the one that was closed.
    #[error(
        "its SHA-256 is not that of its manifest: it was changed or damaged; look at it with `scapd verify`"
    )]
    Changed,
}

/// The captures of a folder.
#[derive(Default)]
pub(super) struct Found {
    /// Closed captures, the oldest first.
    pub ready: Vec<Spot>,
    /// Whether others have just been closed.
    pub has_fresh: bool,
}

/// What is known of a closed capture.
pub(super) struct Capture {
    pub file: File,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its SHA-256 in hexadecimal.
    pub sha256: String,
    /// `host=HOST/date=DATE/hour=HOUR`: of its first event, in UTC.
    pub partition: String,
    /// The text of its manifest.
    pub manifest: Vec<u8>,
    /// When it was last written.
    pub modified: (i64, i64),
}

/// Opens a folder to ship from, and locks it; `None` if another process ships from it.
pub(super) fn claim(folder: &Path) -> io::Result<Option<(Arc<Folder>, File)>> {
    let folder = Folder::open(folder)?;
    let file = match folder.create(SHIPS) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => folder.regular(SHIPS, OFlags::RDONLY)?,
        file => Some(file?),
    };
    let file =
        file.ok_or_else(|| io::Error::other(format!("{SHIPS} is no regular file there: remove it")))?;
    Ok(lock(&file).then(|| (Arc::new(folder), file)))
}

/// Looks for closed captures in a folder.
pub(super) fn look(folder: &Arc<Folder>) -> io::Result<Found> {
    let mut found = Found::default();
    let mut dated = Vec::new();
    for name in folder.names()?.filter(|name| is_capture_name(name.as_bytes())) {
        // The command of --on-close is still making it.
        let original = name.to_str().and_then(unpacked);
        if original.is_some_and(|original| folder.stat(original).is_ok_and(|found| found.is_some())) {
            continue;
        }
        // A file that was just removed is none.
        let Ok(Some(file)) = folder.regular(&name, OFlags::RDONLY) else { continue };
        let Ok(meta) = file.metadata() else { continue };
        if is_locked(&file) {
            continue;
        }
        let changed = Duration::new(meta.ctime().max(0).unsigned_abs(), 0);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        if now.checked_sub(changed).is_some_and(|age| age < FRESH) {
            found.has_fresh = true;
            continue;
        }
        dated.push(((meta.mtime(), meta.mtime_nsec()), Spot { folder: folder.clone(), name }));
    }
    dated.sort_by(|(a, x), (b, y)| (a, &x.name).cmp(&(b, &y.name)));
    found.ready = dated.into_iter().map(|(_, spot)| spot).collect();
    Ok(found)
}

/// Returns what was remembered of a capture that is in the store already, in this form.
pub(super) fn shipped(spot: &Spot, to: &str, form: &str) -> Option<Shipped> {
    let mark: Shipped = marks::read(spot, SHIPPED)?;
    let bytes = spot.stat().ok()??.st_size;
    (mark.to == to && mark.form == form && u64::try_from(bytes) == Ok(mark.bytes)).then_some(mark)
}

/// Opens a capture, and finds out what it is; `None` if it is gone.
pub(super) fn describe(spot: &Spot) -> Result<Option<Capture>, DescribeError> {
    let file = match spot.folder.regular(&spot.name, OFlags::RDONLY) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?.ok_or_else(|| io::Error::other("it is no regular file"))?,
    };
    if is_locked(&file) {
        return Err(DescribeError::Open);
    }
    let meta = file.metadata()?;
    let (start, host) = beginning(spot)?;
    let sha256 = checksum(file.try_clone()?)?;
    let time = Timestamp::from_nanosecond(start.into()).unwrap_or_default();
    let partition = format!("{}/{}", host_partition(&host), time.strftime("date=%Y-%m-%d/hour=%H"));
    let manifest = match own_manifest(spot) {
        Some((manifest, _)) if manifest["sha256"] != json!(sha256) => return Err(DescribeError::Changed),
        Some((_, text)) => text,
        None => {
            let made = json!({
                "file": spot.name.to_string_lossy(),
                "host": String::from_utf8_lossy(&host),
                "start": time.to_string(),
                "bytes": meta.len(),
                "sha256": sha256,
                "scapd": env!("CARGO_PKG_VERSION"),
            });
            format!("{made:#}\n").into_bytes()
        }
    };
    let modified = (meta.mtime(), meta.mtime_nsec());
    Ok(Some(Capture { bytes: meta.len(), file, sha256, partition, manifest, modified }))
}

impl Capture {
    /// Returns the name of its object: `PREFIX/captures/host=HOST/date=DATE/hour=HOUR/NAME`.
    pub fn key(&self, prefix: &Key, name: &str) -> Key {
        let parts = self.partition.split('/').chain([name]);
        parts.fold(prefix.clone().join(CAPTURES), |key, part| key.join(part))
    }

    /// Returns whether the file was not changed since it was opened.
    pub fn is_unchanged(&self) -> bool {
        let is_same = |meta: std::fs::Metadata| {
            meta.len() == self.bytes && (meta.mtime(), meta.mtime_nsec()) == self.modified
        };
        self.file.metadata().is_ok_and(is_same)
    }

    /// Returns whether the file still has this name, and not another one.
    pub fn is_at(&self, spot: &Spot) -> bool {
        let here = spot.stat().ok().flatten().map(|found| Identity::from(&found));
        here.is_some() && here == Identity::of(&self.file).ok()
    }
}

/// Returns the time of the first event, in ns since the epoch, and the name of the machine.
fn beginning(spot: &Spot) -> Result<(u64, Vec<u8>), DescribeError> {
    let file = spot.folder.regular(&spot.name, OFlags::RDONLY)?;
    let file = file.ok_or_else(|| io::Error::other("it is no regular file"))?;
    let mut reader = Reader::new(file).map_err(DescribeError::Capture)?.keep(Keep::Machine);
    let start = match reader.next_event().map_err(DescribeError::Capture)? {
        Some(event) => event.event.ts(),
        None => return Err(DescribeError::Empty),
    };
    Ok((start, reader.state().machine.hostname.clone()))
}

/// Reads the manifest that the recorder wrote of this capture, if it did.
fn own_manifest(spot: &Spot) -> Option<(Value, Vec<u8>)> {
    use std::io::Read;
    let beside = spot.with(".json");
    let file = beside.folder.regular(&beside.name, OFlags::RDONLY).ok()??;
    let mut text = Vec::new();
    file.take(LONGEST).read_to_end(&mut text).ok()?;
    let manifest: Value = serde_json::from_slice(&text).ok()?;
    (manifest["file"] == json!(spot.name.to_string_lossy())).then_some((manifest, text))
}

/// Returns whether the recorder wrote a manifest of this capture.
pub(super) fn has_own_manifest(spot: &Spot) -> bool {
    own_manifest(spot).is_some()
}

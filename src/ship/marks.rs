//! What is remembered beside a capture: `NAME.shipped` when it is in the store, `NAME.shipping` while it is sent.

use std::io::{self, Read, Write};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::folder::{Draft, Spot};

pub(super) use crate::output::{SHIPPED, SHIPPING};

/// How many bytes of a mark are read at most: ours have some for each part of a file.
const LONGEST: u64 = 4 << 20;

/// A capture is in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Shipped {
    /// The URL of the store.
    pub to: String,
    /// The names of the objects, the capture itself first, or the first of its tables.
    pub keys: Vec<String>,
    /// The form, by its name.
    #[serde(rename = "as")]
    pub form: String,
    /// The size of the capture in bytes.
    pub bytes: u64,
    /// Its SHA-256 in hexadecimal.
    pub sha256: String,
}

/// An upload that has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Shipping {
    /// The URL of the store.
    pub to: String,
    /// The name of the object.
    pub key: String,
    /// The SHA-256 of what is sent, in hexadecimal.
    pub sha256: String,
    /// The size of its parts in bytes.
    pub part: u64,
    /// The name of the upload.
    pub upload: String,
    /// The names of the parts that the store has.
    pub parts: Vec<String>,
}

/// Reads the mark of a capture; `None` if there is none, or something else.
pub(super) fn read<M: DeserializeOwned>(capture: &Spot, suffix: &str) -> Option<M> {
    let spot = capture.with(suffix);
    let file = spot.folder.regular(&spot.name, OFlags::RDONLY).ok()??;
    let mut text = Vec::new();
    file.take(LONGEST).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Writes the mark of a capture: as a whole or not at all.
pub(super) fn write(capture: &Spot, suffix: &str, mark: &impl Serialize) -> io::Result<()> {
    let spot = capture.with(suffix);
    let draft = Draft::beside(&spot)?;
    writeln!(draft.file(), "{}", serde_json::to_string(mark)?)?;
    draft.replace(&spot.name)
}

/// Removes the mark of a capture, if there is one.
pub(super) fn remove(capture: &Spot, suffix: &str) -> io::Result<()> {
    let spot = capture.with(suffix);
    match spot.folder.remove(&spot.name) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

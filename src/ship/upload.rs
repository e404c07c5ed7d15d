//! Sends a file to the store, and looks whether it has arrived.

use std::{fs::File, io, os::unix::fs::FileExt};

use object_store::path::Path as Key;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::{
    Confirm,
    marks::{self, SHIPPING, Shipping},
    remote::{Remote, RemoteError},
};
use crate::{folder::Spot, output::hex};

/// The size of a part in bytes. Stores want at least 5 MiB, and take at most 10,000 parts.
pub(super) const PART: u64 = 8 << 20;
const MOST_PARTS: u64 = 9000;

/// Why a file was not sent.
#[derive(Debug, Error)]
pub(super) enum UploadError {
    /// The file cannot be read, or its mark not be written.
    #[error("cannot read or mark the file: give this user the folder, or free some room")]
    Local(#[from] io::Error),
    /// A request failed.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The object is not what was sent.
    #[error(
        "the object {key} differs from the file: nothing was deleted; look at the store, and ship it again"
    )]
    Differs {
        /// The object.
        key: String,
    },
}

/// A file to send.
pub(super) struct Sending<'a> {
    /// The file.
    pub file: &'a File,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its SHA-256 in hexadecimal.
    pub sha256: &'a str,
    /// The name of the object.
    pub key: &'a Key,
    /// The capture beside which an unfinished upload is remembered; `None`: it starts anew.
    pub mark: Option<&'a Spot>,
    /// The URL of the store.
    pub to: &'a str,
}

/// Sends a file, and confirms that the store has it. `progress` gets the bytes that were sent.
pub(super) fn send(
    remote: &mut dyn Remote,
    sending: &Sending<'_>,
    confirm: Confirm,
    progress: &dyn Fn(u64),
) -> Result<(), UploadError> {
    let mut is_sure = true;
    if sending.bytes <= PART {
        remote.put(sending.key, chunk(sending.file, 0, sending.bytes)?)?;
        progress(sending.bytes);
    } else {
        is_sure = in_parts(remote, sending, progress)?;
    }
    if let Some(mark) = sending.mark {
        marks::remove(mark, SHIPPING)?;
    }
    let differs = || UploadError::Differs { key: sending.key.to_string() };
    if remote.size(sending.key)? != Some(sending.bytes) {
        return Err(differs());
    }
    let reads = match confirm {
        Confirm::Read => true,
        Confirm::Size => false,
        Confirm::Auto => !remote.checks_sums() || !is_sure,
    };
    if reads && checksum_of(remote, sending.key, sending.bytes)? != sending.sha256 {
        return Err(differs());
    }
    Ok(())
}

/// Sends the parts that the store does not have yet. Returns false if the object was there before it was completed here: an
/// earlier process completed it, or this one without getting the answer.
fn in_parts(
    remote: &mut dyn Remote,
    sending: &Sending<'_>,
    progress: &dyn Fn(u64),
) -> Result<bool, UploadError> {
    let begun = sending.mark.filter(|_| remote.is_resumable()).and_then(|mark| marks::read(mark, SHIPPING));
    if let Some(mut begun) = begun.filter(|begun: &Shipping| begun.is_of(sending)) {
        match the_rest(remote, sending, &mut begun, progress) {
            // The store has forgotten the upload: it was too old, or is complete.
            Err(UploadError::Remote(RemoteError::NotFound(_))) => {
                if begun.parts.len() as u64 == sending.bytes.div_ceil(begun.part)
                    && remote.size(sending.key)? == Some(sending.bytes)
                {
                    return Ok(false);
                }
            }
            done => return done.map(|()| true),
        }
    }
    let part = PART.max(sending.bytes.div_ceil(MOST_PARTS).next_multiple_of(1 << 20));
    let mut new = Shipping {
        to: sending.to.to_owned(),
        key: sending.key.to_string(),
        sha256: sending.sha256.to_owned(),
        part,
        upload: remote.begin(sending.key)?,
        parts: Vec::new(),
    };
    let done = the_rest(remote, sending, &mut new, progress);
    if done.is_err() && (sending.mark.is_none() || !remote.is_resumable()) {
        // Nobody will go on with it. An error of that adds nothing to the one at hand.
        let _ = remote.abort(sending.key, &new.upload);
    }
    match done {
        // The answer to an earlier request to complete it was lost.
        Err(UploadError::Remote(RemoteError::NotFound(_)))
            if new.parts.len() as u64 == sending.bytes.div_ceil(part)
                && remote.size(sending.key)? == Some(sending.bytes) =>
        {
            Ok(false)
        }
        done => done.map(|()| true),
    }
}

fn the_rest(
    remote: &mut dyn Remote,
    sending: &Sending<'_>,
    shipping: &mut Shipping,
    progress: &dyn Fn(u64),
) -> Result<(), UploadError> {
    let mark = sending.mark.filter(|_| remote.is_resumable());
    let mut at = shipping.parts.len() as u64 * shipping.part;
    progress(at.min(sending.bytes));
    while at < sending.bytes {
        let length = shipping.part.min(sending.bytes - at);
        let bytes = chunk(sending.file, at, length)?;
        let part = remote.part(sending.key, &shipping.upload, shipping.parts.len(), bytes)?;
        shipping.parts.push(part);
        if let Some(mark) = mark {
            marks::write(mark, SHIPPING, shipping)?;
        }
        at += length;
        progress(length);
    }
    Ok(remote.complete(sending.key, &shipping.upload, &shipping.parts)?)
}

impl Shipping {
    /// Returns whether this is an upload of the same bytes to the same place.
    fn is_of(&self, sending: &Sending<'_>) -> bool {
        self.to == sending.to
            && self.key == sending.key.as_ref()
            && self.sha256 == sending.sha256
            && self.part >= PART
            && self.parts.len() as u64 <= sending.bytes.div_ceil(self.part)
    }
}

fn chunk(file: &File, at: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, at)?;
    Ok(bytes)
}

/// Reads an object back, and returns its SHA-256 in hexadecimal.
pub(super) fn checksum_of(remote: &mut dyn Remote, key: &Key, bytes: u64) -> Result<String, RemoteError> {
    let mut sum = Sha256::new();
    let mut at = 0;
    while at < bytes {
        let end = bytes.min(at + PART);
        sum.update(remote.read(key, at..end)?);
        at = end;
    }
    Ok(hex(sum.finalize()))
}

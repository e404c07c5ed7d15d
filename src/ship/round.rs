//! One look at all captures.

use std::{
    io::{self, IsTerminal, Write},
    sync::atomic::Ordering,
};

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use object_store::path::Path as Key;
use serde_json::Value;
use thiserror::Error;

use super::{
    Form, ShipArgs, Source,
    found::{self, Capture, DescribeError},
    marks::{self, SHIPPED, SHIPPING, Shipped},
    remote::{Remote, RemoteError},
    report::{Report, ShippedFile},
    tables::{self, TablesError},
    upload::{self, Sending, UploadError},
};
use crate::{
    choice::Choice,
    escape::{for_terminal, shown},
    folder::Spot,
};

/// How many digits of the SHA-256 tell captures of one name apart.
const DIGITS: usize = 12;
/// How many bytes a manifest in the store has at most.
const LONGEST: u64 = 64 << 10;

/// Why a capture was not shipped.
#[derive(Debug, Error)]
pub(super) enum FileError {
    #[error(transparent)]
    Describe(#[from] DescribeError),
    #[error(transparent)]
    Upload(#[from] UploadError),
    #[error(transparent)]
    Tables(#[from] TablesError),
    #[error("it was changed while it was sent: it is sent again next time")]
    Changed,
    #[error("it is shipped, but cannot be marked as shipped, or deleted: give this user the folder")]
    Mark(#[source] io::Error),
}

impl From<RemoteError> for FileError {
    fn from(error: RemoteError) -> FileError {
        FileError::Upload(error.into())
    }
}

impl FileError {
    /// Returns whether others would fail in the same way.
    fn is_of_store(&self) -> bool {
        use RemoteError::{Away, NotFound, Refused, Stopped};
        let FileError::Upload(UploadError::Remote(error)) = self else { return false };
        matches!(error, Away(_) | NotFound(_) | Refused(_) | Stopped)
    }
}

/// One look at all captures.
pub(super) struct Round<'a, W: Write> {
    pub args: &'a ShipArgs,
    pub remote: &'a mut dyn Remote,
    /// What all keys begin with.
    pub prefix: &'a Key,
    pub report: &'a mut Report,
    pub out: &'a mut W,
}

impl<W: Write> Round<'_, W> {
    /// Ships what is closed, the oldest first. Returns whether there are captures that were just closed.
    ///
    /// # Errors
    /// If the output cannot be written.
    pub fn run(&mut self, sources: &[Source]) -> io::Result<bool> {
        let mut has_fresh = false;
        let mut spots = Vec::new();
        self.report.failed.clear();
        self.report.already = 0;
        for source in sources {
            match &source.only {
                Some(only) => spots.extend(only.iter().cloned()),
                None => match found::look(&source.folder) {
                    Ok(found) => {
                        has_fresh |= found.has_fresh;
                        spots.extend(found.ready);
                    }
                    Err(error) => self.failed(shown(source.folder.path()), &error.into()),
                },
            }
        }
        for (nth, spot) in spots.iter().enumerate() {
            let path = shown(&spot.path());
            match self.capture(spot) {
                Ok(true) => {}
                Ok(false) => self.report.already += 1,
                Err(error) => {
                    let is_of_store = error.is_of_store();
                    self.failed(path, &error.into());
                    if is_of_store {
                        let rest = spots.iter().skip(nth + 1);
                        let rest = rest.filter(|spot| self.is_shipped(spot).is_none());
                        let why = "not tried, as the store could not be used";
                        let rest: Vec<_> = rest.map(|spot| (shown(&spot.path()), why.to_owned())).collect();
                        self.report.failed.extend(rest);
                        // What is closed can wait as well.
                        return Ok(false);
                    }
                }
            }
            if self.args.signal.load(Ordering::Relaxed) != 0 {
                break;
            }
        }
        Ok(has_fresh)
    }

    fn failed(&mut self, path: String, error: &anyhow::Error) {
        let why = format!("{error:#}");
        for line in format!("scapd: cannot ship {path}: {why}").lines() {
            eprintln!("{}", for_terminal(line));
        }
        self.report.failed.push((path, why));
    }

    fn is_shipped(&self, spot: &Spot) -> Option<Shipped> {
        found::shipped(spot, self.args.to.as_str(), self.args.form.name())
    }

    /// Ships a capture. Returns false if it was in the store already.
    fn capture(&mut self, spot: &Spot) -> Result<bool, FileError> {
        if let Some(mark) = self.is_shipped(spot) {
            return if self.args.delete { self.delete_later(spot, &mark) } else { Ok(false) };
        }
        self.send_all(spot)
    }

    /// Ships a capture that is not marked.
    fn send_all(&mut self, spot: &Spot) -> Result<bool, FileError> {
        let Some(capture) = found::describe(spot)? else { return Ok(false) };
        let name = spot.name.to_string_lossy().into_owned();
        let mut keys = Vec::new();
        let mut was_sent = false;
        if self.args.form != Form::Parquet {
            let (key, sent) = self.send(spot, &name, &capture)?;
            keys.push(key.to_string());
            was_sent |= sent;
        }
        if self.args.form != Form::Scap {
            let unique = format!("{name}-{}", &capture.sha256[..DIGITS]);
            keys.extend(tables::send(self.remote, spot, &unique, self.prefix, self.args)?);
            was_sent = true;
        }
        if !capture.is_unchanged() {
            return Err(FileError::Changed);
        }
        let mark = Shipped {
            to: self.args.to.to_string(),
            form: self.args.form.name().to_owned(),
            bytes: capture.bytes,
            sha256: capture.sha256.clone(),
            keys: keys.clone(),
        };
        marks::write(spot, SHIPPED, &mark).map_err(FileError::Mark)?;
        if was_sent {
            let path = shown(&spot.path());
            if !self.args.json {
                let key = keys.first().map(String::as_str).unwrap_or_default();
                let line = format!("{path} -> {key} ({})", HumanBytes(capture.bytes));
                // An error shows again when the rest is written.
                let _ = writeln!(self.out, "{}", for_terminal(&line));
            }
            self.report.shipped.push(ShippedFile {
                file: path,
                keys,
                bytes: capture.bytes,
                sha256: capture.sha256.clone(),
            });
        }
        if self.args.delete {
            self.delete(spot, &capture)?;
        }
        Ok(was_sent)
    }

    /// Sends a capture and then its manifest. Returns the key, and false if both were there already.
    fn send(&mut self, spot: &Spot, name: &str, capture: &Capture) -> Result<(Key, bool), FileError> {
        let mut key = capture.key(self.prefix, name);
        match self.manifest_of(&key)? {
            Some(sha256) if sha256 == capture.sha256 => return Ok((key, false)),
            // Another capture of this name, of the same hour.
            Some(_) => {
                key = capture.key(self.prefix, &format!("{}-{name}", &capture.sha256[..DIGITS]));
                if self.manifest_of(&key)?.is_some_and(|sha256| sha256 == capture.sha256) {
                    return Ok((key, false));
                }
            }
            None => {}
        }
        let bar = bar(capture.bytes, name);
        let sending = Sending {
            file: &capture.file,
            bytes: capture.bytes,
            sha256: &capture.sha256,
            key: &key,
            mark: Some(spot),
            to: self.args.to.as_str(),
        };
        let sent = upload::send(self.remote, &sending, self.args.confirm, &|bytes| bar.inc(bytes));
        bar.finish_and_clear();
        sent?;
        if !capture.is_unchanged() {
            return Err(FileError::Changed);
        }
        self.remote.put(&manifest_key(&key), capture.manifest.clone())?;
        Ok((key, true))
    }

    /// Returns the SHA-256 of the object that a manifest in the store is of, if there are both.
    fn manifest_of(&mut self, key: &Key) -> Result<Option<String>, FileError> {
        let beside = manifest_key(key);
        let Some(bytes) = self.remote.size(&beside)? else { return Ok(None) };
        let text = self.remote.read(&beside, 0..bytes.min(LONGEST))?;
        let manifest: Value = serde_json::from_slice(&text).unwrap_or_default();
        let is_whole = self.remote.size(key)?.is_some_and(|bytes| manifest["bytes"] == bytes);
        Ok(manifest["sha256"].as_str().filter(|_| is_whole).map(str::to_owned))
    }

    /// Deletes a capture that was shipped before, if it is what was shipped, and the store still has it; else ships it again.
    fn delete_later(&mut self, spot: &Spot, mark: &Shipped) -> Result<bool, FileError> {
        let Some(capture) = found::describe(spot)? else { return Ok(false) };
        let mut is_there = capture.sha256 == mark.sha256;
        for (nth, key) in mark.keys.iter().enumerate() {
            let size = self.remote.size(&Key::from(key.as_str()))?;
            let is_capture = nth == 0 && self.args.form != Form::Parquet;
            is_there &= if is_capture { size == Some(capture.bytes) } else { size.is_some() };
        }
        if !is_there {
            marks::remove(spot, SHIPPED).map_err(FileError::Mark)?;
            return self.send_all(spot);
        }
        self.delete(spot, &capture).map(|()| false)
    }

    fn delete(&mut self, spot: &Spot, capture: &Capture) -> Result<(), FileError> {
        if !capture.is_at(spot) || !capture.is_unchanged() {
            return Err(FileError::Changed);
        }
        // The manifest first: one without its capture would be left behind otherwise.
        if found::has_own_manifest(spot) {
            spot.folder.remove(&spot.with(".json").name).map_err(FileError::Mark)?;
        }
        match spot.folder.remove(&spot.name) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(FileError::Mark(e)),
            _ => {}
        }
        for suffix in [SHIPPED, SHIPPING] {
            marks::remove(spot, suffix).map_err(FileError::Mark)?;
        }
        self.report.deleted += 1;
        Ok(())
    }
}

/// Returns the name of the manifest of an object.
fn manifest_key(key: &Key) -> Key {
    Key::from(format!("{key}.json"))
}

fn bar(bytes: u64, name: &str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(bytes).with_message(for_terminal(name));
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {percent} %  {bytes_per_sec}  {eta}") {
        bar.set_style(style);
    }
    bar
}

//! The manifest of a closed file: `NAME.json`.

use std::{
    fs::File,
    io::{self, Read, Write},
};

use jiff::Timestamp;
use rustix::fs::OFlags;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::name::unpacked;
use crate::{
    balance::ToJson,
    escape::shown,
    folder::{Draft, Folder, Spot},
};
use scap::ledger::Verdict;

/// How many bytes of a manifest are read at most: ours have a tenth of that.
const LONGEST: u64 = 64 << 10;
/// The suffix after the name of the file.
const SUFFIX: &str = ".json";
/// Buffer size in bytes for the checksum of a file that was not hashed while it was written.
const READ: usize = 1 << 20;

/// What a manifest has besides the name of the file.
#[derive(Debug)]
pub struct Contents<'a> {
    /// The period that the file covers: start and end in ns since the epoch.
    pub span: (u64, u64),
    /// The file's balance; `None` if it has none.
    pub verdict: Option<&'a Verdict>,
    /// The file's size in bytes.
    pub bytes: u64,
    /// The file's SHA-256 in hexadecimal.
    pub sha256: &'a str,
}

/// Writes the manifest of a file under a temporary name and renames it, so that nobody reads half of it.
pub fn write(capture: &Spot, contents: &Contents<'_>) -> io::Result<Spot> {
    let spot = capture.with(SUFFIX);
    let draft = Draft::beside(&spot)?;
    writeln!(draft.file(), "{:#}", json(capture, contents))?;
    draft.replace(&spot.name)?;
    Ok(spot)
}

/// Deletes the manifest of a deleted file, even if the file was compressed after the manifest was written.
pub fn delete(folder: &Folder, capture: &str) {
    delete_of(folder, capture);
    if let Some(before) = unpacked(capture)
        && folder.stat(before).is_ok_and(|found| found.is_none())
    {
        delete_of(folder, before);
    }
}

/// Deletes the manifest of that file, if the file with its name is one.
fn delete_of(folder: &Folder, capture: &str) {
    let name = format!("{capture}{SUFFIX}");
    let read = |file: File| {
        let mut text = Vec::new();
        file.take(LONGEST).read_to_end(&mut text).map(|_| text)
    };
    let text = folder.regular(&name, OFlags::RDONLY).ok().flatten().and_then(|file| read(file).ok());
    let is_manifest = text
        .and_then(|text| serde_json::from_slice::<Value>(&text).ok())
        .is_some_and(|manifest| manifest["file"] == json!(capture));
    if is_manifest && let Err(e) = folder.remove(&name) {
        tracing::warn!("cannot delete {}: {e}", shown(&folder.join(&name)));
    }
}

fn json(capture: &Spot, contents: &Contents<'_>) -> Value {
    let time = |ns: u64| Timestamp::from_nanosecond(ns.into()).map(|time| time.to_string()).ok();
    let verdict = contents.verdict.copied().unwrap_or_default();
    json!({
        "file": capture.name.to_string_lossy(),
        "host": rustix::system::uname().nodename().to_string_lossy(),
        "start": time(contents.span.0),
        "end": time(contents.span.1),
        "closed": contents.verdict.is_some(),
        "complete": contents.verdict.is_some_and(Verdict::is_complete),
        "events": verdict.written,
        "lost": verdict.losses.sum(),
        "causes": verdict.losses.to_json(),
        "bytes": contents.bytes,
        "sha256": contents.sha256,
        "scapd": env!("CARGO_PKG_VERSION"),
    })
}

/// Formats a checksum in hexadecimal.
pub fn hex(sum: impl AsRef<[u8]>) -> String {
    sum.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Computes the SHA-256 of a file.
pub fn checksum(mut file: File) -> io::Result<String> {
    let mut sum = Sha256::new();
    let mut bytes = vec![0; READ];
    loop {
        match file.read(&mut bytes)? {
            0 => return Ok(hex(sum.finalize())),
            read => sum.update(&bytes[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_manifest_goes_with_its_file_and_nothing_else_does() {
        let dir = tempfile::tempdir().unwrap();
        let capture = dir.path().join("a.scap");
        fs::write(&capture, "abc").unwrap();
        let sum = checksum(File::open(&capture).unwrap()).unwrap();
        let spot = Spot::find(&capture).unwrap().unwrap();
        assert_eq!(sum, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let verdict = Verdict { seen: 5, written: 5, ..Verdict::default() };
        let contents = Contents { span: (0, 1_500_000_000), verdict: Some(&verdict), bytes: 3, sha256: &sum };
        let path = write(&spot, &contents).unwrap().path();
        assert_eq!(path, dir.path().join("a.scap.json"));
        let manifest: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(manifest["end"], "1970-01-01T00:00:01.5Z");
        assert_eq!((&manifest["complete"], &manifest["events"]), (&json!(true), &json!(5)));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        delete(&spot.folder, "a.scap");
        assert!(!path.exists());
        // No manifest of this file.
        let long = " ".repeat(LONGEST as usize) + r#"{"file": "a.scap"}"#;
        for other in ["{}", "no JSON", r#"{"file": "b.scap"}"#, &long] {
            fs::write(&path, other).unwrap();
            delete(&spot.folder, "a.scap");
            assert!(path.exists(), "{other}");
        }
    }
}

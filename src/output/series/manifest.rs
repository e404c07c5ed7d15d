//! What is said beside a closed file: `NAME.json`.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{name::unpacked, partial::partial_of};
use crate::ledger::Verdict;

/// Read at once from a file whose checksum was not taken while it was written.
const READ: usize = 1 << 20;

/// What a manifest tells besides the name.
#[derive(Debug)]
pub struct Contents<'a> {
    /// The time that the file covers: ns since the epoch.
    pub span: (u64, u64),
    /// Its balance; `None` if it could not be written to the end.
    pub verdict: Option<&'a Verdict>,
    /// Its size.
    pub bytes: u64,
    /// Its checksum.
    pub sha256: &'a str,
}

/// Writes the manifest of a file: beside its place first, then renamed, so that nobody reads half of it.
pub fn write(capture: &Path, contents: &Contents<'_>) -> io::Result<PathBuf> {
    let path = path_of(capture);
    let partial = partial_of(&path);
    let mut file = File::create(&partial)?;
    writeln!(file, "{:#}", json(capture, contents))?;
    file.sync_all()?;
    fs::rename(&partial, &path)?;
    Ok(path)
}

/// Deletes the manifest of a file that is deleted, also of one that was compressed since.
pub fn delete(capture: &Path) {
    delete_of(capture);
    let before = unpacked(&name(capture)).map(|name| capture.with_file_name(name));
    if let Some(before) = before.filter(|before| !before.exists()) {
        delete_of(&before);
    }
}

/// Deletes the manifest of that name, if what is there is one.
fn delete_of(capture: &Path) {
    let path = path_of(capture);
    let is_manifest = fs::read(&path)
        .ok()
        .and_then(|text| serde_json::from_slice::<Value>(&text).ok())
        .is_some_and(|manifest| manifest["file"] == json!(name(capture)));
    if is_manifest && let Err(e) = fs::remove_file(&path) {
        tracing::warn!("cannot delete {}: {e}", path.display());
    }
}

fn path_of(capture: &Path) -> PathBuf {
    let mut path = capture.as_os_str().to_owned();
    path.push(".json");
    path.into()
}

fn name(capture: &Path) -> String {
    capture.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn json(capture: &Path, contents: &Contents<'_>) -> Value {
    let time = |ns: u64| Timestamp::from_nanosecond(ns.into()).map(|time| time.to_string()).ok();
    let verdict = contents.verdict.copied().unwrap_or_default();
    json!({
        "file": name(capture),
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

/// A checksum as it is written.
pub fn hex(sum: impl AsRef<[u8]>) -> String {
    sum.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The checksum of a file.
pub fn checksum(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
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
    use super::*;

    #[test]
    fn a_manifest_goes_with_its_file_and_nothing_else_does() {
        let dir = tempfile::tempdir().unwrap();
        let capture = dir.path().join("a.scap");
        fs::write(&capture, "abc").unwrap();
        let sum = checksum(&capture).unwrap();
        assert_eq!(sum, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let verdict = Verdict { seen: 5, written: 5, ..Verdict::default() };
        let contents = Contents { span: (0, 1_500_000_000), verdict: Some(&verdict), bytes: 3, sha256: &sum };
        let path = write(&capture, &contents).unwrap();
        assert_eq!(path, dir.path().join("a.scap.json"));
        let manifest: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(manifest["end"], "1970-01-01T00:00:01.5Z");
        assert_eq!((&manifest["complete"], &manifest["events"]), (&json!(true), &json!(5)));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        delete(&capture);
        assert!(!path.exists());
        // Somebody else's.
        for other in ["{}", "no JSON", r#"{"file": "b.scap"}"#] {
            fs::write(&path, other).unwrap();
            delete(&capture);
            assert!(path.exists(), "{other}");
        }
    }
}

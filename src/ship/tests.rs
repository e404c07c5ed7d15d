//! Stores in memory and in folders, and one that fails when it is told to.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    ops::Range,
    path::PathBuf,
    sync::{Arc, atomic::AtomicUsize},
    thread,
    time::{Duration, Instant, SystemTime},
};

use object_store::{memory::InMemory, path::Path as Key};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    Confirm, Form, Report, ShipArgs, ShipError, Source,
    marks::{self, SHIPPED, SHIPPING, Shipping},
    remote::{Remote, RemoteError, Store},
    round::Round,
    sources,
    upload::PART,
};
use crate::{
    folder::{Spot, lock},
    output::{SHIPS, hex},
};
use scap::{
    events::{EventType, event},
    format::{EventBuilder, MachineState, Value as Parameter, frame_event, state::MachineInfo, write_state},
};

/// 2026-11-28 at 14:03:20 UTC, in ns since the epoch.
const START: u64 = 1_795_874_600_000_000_000;

/// A store that keeps all in memory, and fails as it is told.
#[derive(Default)]
struct Fake {
    objects: BTreeMap<String, Vec<u8>>,
    uploads: BTreeMap<String, BTreeMap<usize, Vec<u8>>>,
    /// Requests that write, still to succeed before all others fail.
    good: Option<usize>,
    /// Spoils the objects that it gets.
    spoils: bool,
    /// Completes an object, and says that it has no such upload.
    loses_answers: bool,
    checks_sums: bool,
    /// What happens here while something is sent.
    meanwhile: Option<Box<dyn FnMut()>>,
    /// What was sent: parts and objects.
    sent: Vec<String>,
    reads: usize,
}

impl Fake {
    fn write(&mut self, what: String) -> Result<(), RemoteError> {
        match &mut self.good {
            Some(0) => {
                return Err(RemoteError::Away(object_store::Error::NotImplemented {
                    operation: what,
                    implementer: "the store".to_owned(),
                }));
            }
            Some(good) => *good -= 1,
            None => {}
        }
        if let Some(meanwhile) = &mut self.meanwhile {
            meanwhile();
        }
        self.sent.push(what);
        Ok(())
    }

    fn keep(&mut self, key: &Key, mut bytes: Vec<u8>) {
        if self.spoils
            && let Some(byte) = bytes.last_mut()
        {
            *byte ^= 1;
        }
        self.objects.insert(key.to_string(), bytes);
    }
}

fn unknown(what: &str) -> RemoteError {
    RemoteError::NotFound(object_store::Error::NotFound { path: what.to_owned(), source: "unknown".into() })
}

impl Remote for Fake {
    fn put(&mut self, key: &Key, bytes: Vec<u8>) -> Result<(), RemoteError> {
        self.write(key.to_string())?;
        self.keep(key, bytes);
        Ok(())
    }

    fn begin(&mut self, key: &Key) -> Result<String, RemoteError> {
        self.write(format!("begin {key}"))?;
        let upload = format!("upload-{}", self.sent.len());
        self.uploads.insert(upload.clone(), BTreeMap::new());
        Ok(upload)
    }

    fn is_resumable(&self) -> bool {
        true
    }

    fn part(&mut self, _: &Key, upload: &str, number: usize, bytes: Vec<u8>) -> Result<String, RemoteError> {
        self.write(format!("part {number}"))?;
        self.uploads.get_mut(upload).ok_or_else(|| unknown(upload))?.insert(number, bytes);
        Ok(format!("part-{number}"))
    }

    fn complete(&mut self, key: &Key, upload: &str, parts: &[String]) -> Result<(), RemoteError> {
        self.write(format!("complete {key}"))?;
        let sent = self.uploads.remove(upload).ok_or_else(|| unknown(upload))?;
        assert_eq!(parts, sent.keys().map(|number| format!("part-{number}")).collect::<Vec<_>>());
        self.keep(key, sent.into_values().flatten().collect());
        if self.loses_answers { Err(unknown(upload)) } else { Ok(()) }
    }

    fn abort(&mut self, _: &Key, upload: &str) -> Result<(), RemoteError> {
        self.uploads.remove(upload).map(drop).ok_or_else(|| unknown(upload))
    }

    fn size(&mut self, key: &Key) -> Result<Option<u64>, RemoteError> {
        Ok(self.objects.get(key.as_ref()).map(|bytes| bytes.len() as u64))
    }

    fn read(&mut self, key: &Key, range: Range<u64>) -> Result<Vec<u8>, RemoteError> {
        self.reads += 1;
        let bytes = self.objects.get(key.as_ref()).ok_or_else(|| unknown(key.as_ref()))?;
        Ok(bytes[range.start as usize..range.end as usize].to_vec())
    }

    fn checks_sums(&self) -> bool {
        self.checks_sums
    }
}

/// A capture of the machine `vm` with an event.
fn small() -> Vec<u8> {
    let mut bytes = Vec::new();
    let machine = MachineInfo { hostname: b"vm".to_vec(), ..MachineInfo::default() };
    write_state(&mut bytes, &MachineState { machine, ..MachineState::default() }).unwrap();
    let close = EventBuilder::new(event(EventType(4)).unwrap(), START, 1).param(Parameter::Fd(3)).unwrap();
    frame_event(&mut bytes, 0, &close.build().unwrap());
    bytes
}

/// The same with this many bytes of events more.
fn capture(more: usize) -> Vec<u8> {
    capture_of(3, more)
}

/// The same, of this descriptor.
fn capture_of(fd: i64, more: usize) -> Vec<u8> {
    let mut bytes = small();
    let close =
        EventBuilder::new(event(EventType(4)).unwrap(), START + 1, 1).param(Parameter::Fd(fd)).unwrap();
    let (close, end) = (close.build().unwrap(), bytes.len() + more);
    while bytes.len() < end {
        frame_event(&mut bytes, 0, &close);
    }
    bytes
}

/// A folder with captures of these names and contents, closed a while ago.
fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (nth, (name, bytes)) in files.iter().enumerate() {
        fs::write(dir.path().join(name), bytes).unwrap();
        let closed = SystemTime::now() - Duration::from_secs(1000 - nth as u64);
        File::options().write(true).open(dir.path().join(name)).unwrap().set_modified(closed).unwrap();
    }
    dir
}

fn names(dir: &tempfile::TempDir) -> Vec<String> {
    let entries = fs::read_dir(dir.path()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn args(paths: Vec<PathBuf>) -> ShipArgs {
    ShipArgs {
        paths,
        to: "s3://bucket/all".parse().unwrap(),
        form: Form::Scap,
        delete: false,
        confirm: Confirm::Auto,
        retry: Duration::ZERO,
        watch: None,
        json: false,
        signal: Arc::new(AtomicUsize::new(0)),
    }
}

/// Locks the folders. A program that another test starts has all descriptors for a moment, also that of a lock just given up.
fn locked(args: &ShipArgs) -> Vec<Source> {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        match sources(&args.paths) {
            Err(ShipError::Busy { .. }) if Instant::now() < until => thread::sleep(Duration::from_millis(5)),
            sources => return sources.unwrap(),
        }
    }
}

/// Ships once what is in a folder, named file by file: they are closed, however fresh they are.
fn ship_with(remote: &mut dyn Remote, args: &ShipArgs) -> (Report, String) {
    let (mut report, mut out) = (Report::default(), Vec::new());
    let sources = locked(args);
    let prefix = Key::from("all");
    Round { args, remote, prefix: &prefix, report: &mut report, out: &mut out }.run(&sources).unwrap();
    (report, String::from_utf8(out).unwrap())
}

fn ship(remote: &mut dyn Remote, dir: &tempfile::TempDir, change: impl Fn(&mut ShipArgs)) -> Report {
    let files = names(dir).into_iter().filter(|name| name.ends_with(".scap"));
    let mut args = args(files.map(|name| dir.path().join(name)).collect());
    change(&mut args);
    ship_with(remote, &args).0
}

fn spot(dir: &tempfile::TempDir, name: &str) -> Spot {
    Spot::find(&dir.path().join(name)).unwrap().unwrap()
}

#[test]
fn a_capture_and_its_manifest_are_shipped_once() {
    let dir = folder(&[("a.scap", &small())]);
    let mut remote = Fake { checks_sums: true, ..Fake::default() };
    let report = ship(&mut remote, &dir, |_| {});
    assert!(report.is_complete(), "{report:?}");
    let key = report.shipped[0].keys[0].clone();
    assert_eq!(remote.objects[&key], small());
    assert_eq!(key, "all/captures/host=vm/date=2026-11-28/hour=14/a.scap");
    let manifest: Value = serde_json::from_slice(&remote.objects[&format!("{key}.json")]).unwrap();
    assert_eq!(manifest["sha256"], hex(Sha256::digest(small())));
    assert_eq!((&manifest["file"], &manifest["bytes"]), (&"a.scap".into(), &small().len().into()));
    // The manifest last: where it is, the capture is whole.
    assert_eq!(remote.sent, [key.clone(), format!("{key}.json")]);
    assert_eq!(
        (remote.reads, names(&dir)),
        (0, vec![SHIPS.into(), "a.scap".into(), "a.scap.shipped".into()])
    );
    let again = ship(&mut remote, &dir, |_| {});
    assert_eq!((again.already, again.shipped.len(), remote.sent.len()), (1, 0, 2));
    // Without the mark, the store's manifest says it.
    marks::remove(&spot(&dir, "a.scap"), SHIPPED).unwrap();
    let again = ship(&mut remote, &dir, |_| {});
    assert_eq!((again.already, again.shipped.len(), remote.sent.len()), (1, 0, 2));
    // To another store, it is sent; and if it was changed.
    assert_eq!(
        ship(&mut Fake::default(), &dir, |args| args.to = "s3://other".parse().unwrap()).shipped.len(),
        1
    );
    fs::write(dir.path().join("a.scap"), capture(8)).unwrap();
    let changed = ship(&mut remote, &dir, |_| {});
    let other = &changed.shipped[0].keys[0];
    assert!(other.ends_with("-a.scap") && remote.objects[&key] == small(), "{other}");
}

#[test]
fn nothing_is_deleted_that_the_store_has_not_as_it_was_sent() {
    let delete = |args: &mut ShipArgs| args.delete = true;
    // Confirmed: by reading back where the store checks no sums.
    for checks_sums in [true, false] {
        let dir = folder(&[("a.scap", &small())]);
        let mut remote = Fake { checks_sums, ..Fake::default() };
        let report = ship(&mut remote, &dir, delete);
        assert_eq!((report.deleted, remote.reads > 0), (1, !checks_sums));
        assert_eq!(names(&dir), [SHIPS]);
    }
    // Spoiled on the way.
    let dir = folder(&[("a.scap", &small())]);
    let mut remote = Fake { spoils: true, ..Fake::default() };
    let report = ship(&mut remote, &dir, delete);
    assert!(report.failed[0].1.contains("differs from the file"), "{report:?}");
    assert_eq!((report.deleted, names(&dir).contains(&"a.scap".to_owned())), (0, true));
    assert_eq!(remote.sent.len(), 1, "no manifest: {:?}", remote.sent);
    // The store goes away before the manifest.
    let dir = folder(&[("a.scap", &small()), ("b.scap", &capture(8))]);
    let mut remote = Fake { checks_sums: true, good: Some(1), ..Fake::default() };
    let report = ship(&mut remote, &dir, delete);
    assert_eq!((report.deleted, report.failed.len()), (0, 2), "{report:?}");
    assert!(report.failed[0].1.contains("run `scapd ship` again"), "{report:?}");
    assert_eq!(names(&dir), [SHIPS, "a.scap", "b.scap"]);
}

#[test]
fn a_capture_that_was_shipped_before_is_deleted_only_if_the_store_still_has_it() {
    let dir = folder(&[("a.scap", &small()), ("b.scap", &capture(8))]);
    let mut remote = Fake { checks_sums: true, ..Fake::default() };
    let report = ship(&mut remote, &dir, |_| {});
    let lost = report.shipped[1].keys[0].clone();
    remote.objects.remove(&lost);
    let report = ship(&mut remote, &dir, |args| args.delete = true);
    assert_eq!((report.deleted, report.already, report.shipped.len()), (2, 1, 1));
    assert_eq!(remote.objects[&lost], capture(8));
    assert_eq!(names(&dir), [SHIPS]);
}

#[test]
fn what_changes_while_it_is_sent_stays_and_is_sent_again() {
    let (old, new) = (small(), capture(8));
    // At the object, and at its manifest; by a write, and by another file that takes the name.
    for (nth, replaces) in [(1, false), (1, true), (2, false), (2, true)] {
        let dir = folder(&[("a.scap", &old)]);
        let (path, with, mut left) = (dir.path().join("a.scap"), new.clone(), nth);
        let change = move || {
            left -= 1;
            let to = if replaces { path.with_extension("new") } else { path.clone() };
            if left == 0 {
                fs::write(&to, &with).unwrap();
                fs::rename(&to, &path).unwrap();
            }
        };
        let mut remote = Fake { checks_sums: true, meanwhile: Some(Box::new(change)), ..Fake::default() };
        let report = ship(&mut remote, &dir, |args| args.delete = true);
        assert_eq!((report.deleted, report.failed.len()), (0, 1), "{nth} {replaces}: {report:?}");
        assert_eq!(fs::read(dir.path().join("a.scap")).unwrap(), new, "{nth} {replaces}");
        remote.meanwhile = None;
        let report = ship(&mut remote, &dir, |args| args.delete = true);
        assert_eq!((report.deleted, report.failed.len()), (1, 0), "{nth} {replaces}: {report:?}");
        assert_eq!(remote.objects[&report.shipped[0].keys[0]], new, "{nth} {replaces}");
    }
}

#[test]
fn an_upload_goes_on_where_another_process_left_it() {
    let large = capture(3 * PART as usize);
    let dir = folder(&[("a.scap", &large)]);
    let mut remote = Fake { checks_sums: true, good: Some(3), ..Fake::default() };
    let report = ship(&mut remote, &dir, |_| {});
    assert_eq!((report.failed.len(), remote.objects.len()), (1, 0));
    let mark: Shipping = marks::read(&spot(&dir, "a.scap"), SHIPPING).unwrap();
    assert_eq!(mark.parts, ["part-0", "part-1"]);
    remote.good = None;
    let report = ship(&mut remote, &dir, |_| {});
    assert_eq!(remote.sent.iter().filter(|what| what.starts_with("part")).count(), 4, "{:?}", remote.sent);
    assert_eq!(remote.objects[&report.shipped[0].keys[0]], large);
    assert!(!names(&dir).contains(&"a.scap.shipping".to_owned()));
}

#[test]
fn an_upload_that_the_store_forgot_begins_anew() {
    let large = capture(2 * PART as usize);
    let dir = folder(&[("a.scap", &large)]);
    let mut remote = Fake { checks_sums: true, good: Some(2), ..Fake::default() };
    ship(&mut remote, &dir, |_| {});
    (remote.good, remote.uploads) = (None, BTreeMap::new());
    let report = ship(&mut remote, &dir, |_| {});
    assert_eq!(remote.objects[&report.shipped[0].keys[0]], large);
    // Nor does it go on with parts of another content.
    let dir = folder(&[("a.scap", &large)]);
    let mut remote = Fake { checks_sums: true, good: Some(2), ..Fake::default() };
    ship(&mut remote, &dir, |_| {});
    let other = capture_of(4, 2 * PART as usize);
    fs::write(dir.path().join("a.scap"), &other).unwrap();
    remote.good = None;
    let report = ship(&mut remote, &dir, |_| {});
    assert_eq!(remote.objects[&report.shipped[0].keys[0]], other);
}

#[test]
fn an_object_whose_last_answer_was_lost_is_read_back() {
    let large = capture(2 * PART as usize);
    let dir = folder(&[("a.scap", &large)]);
    let mut remote = Fake { checks_sums: true, loses_answers: true, ..Fake::default() };
    let report = ship(&mut remote, &dir, |_| {});
    assert_eq!((report.shipped.len(), remote.reads > 0), (1, true), "{report:?}");
    let dir = folder(&[("a.scap", &large)]);
    let mut remote = Fake { checks_sums: true, loses_answers: true, spoils: true, ..Fake::default() };
    assert_eq!(ship(&mut remote, &dir, |_| {}).failed.len(), 1);
}

#[test]
fn what_is_no_closed_capture_stays() {
    let dir = folder(&[
        ("a.scap.partial", &small()),
        ("b.scap", &small()),
        ("letter.txt", b"Dear editor"),
        ("c.scap", b"Dear editor"),
        ("d.scap", &small()),
        ("d.scap.gz", b"half of it"),
        ("e.scap", &small()),
        ("e.scap.json", br#"{"file": "e.scap", "sha256": "another"}"#),
    ]);
    let written = File::open(dir.path().join("b.scap")).unwrap();
    assert!(lock(&written));
    thread::sleep(Duration::from_millis(2100));
    let mut remote = Fake { checks_sums: true, ..Fake::default() };
    let args = ShipArgs { delete: true, ..args(vec![dir.path().to_owned()]) };
    let (report, _) = ship_with(&mut remote, &args);
    let shipped: Vec<_> = report.shipped.iter().map(|file| file.file.rsplit('/').next().unwrap()).collect();
    assert_eq!(shipped, ["d.scap"]);
    let why: Vec<_> = report.failed.iter().map(|(_, why)| why.split(':').next().unwrap()).collect();
    assert_eq!(why, ["it is no capture with an event", "its SHA-256 is not that of its manifest"]);
    let args = ShipArgs { paths: vec![dir.path().join("b.scap")], ..args };
    let (report, _) = ship_with(&mut remote, &args);
    assert!(report.failed[0].1.starts_with("it is still being written"), "{report:?}");
    // Two at once.
    let _one = locked(&args);
    assert!(sources(&args.paths).is_err_and(|error| error.to_string().starts_with("another scapd ships")));
}

#[test]
fn files_that_were_just_closed_wait_for_their_manifest() {
    let dir = folder(&[("a.scap", &small())]);
    let args = args(vec![dir.path().to_owned()]);
    let sources = locked(&args);
    let (mut report, mut out, mut remote) = (Report::default(), Vec::new(), Fake::default());
    let prefix = Key::default();
    let mut round =
        Round { args: &args, remote: &mut remote, prefix: &prefix, report: &mut report, out: &mut out };
    assert!(round.run(&sources).unwrap());
    assert_eq!(report, Report::default());
}

#[test]
fn the_stores_of_the_crate_take_small_and_large_captures() {
    let large = capture(2 * PART as usize);
    let files: &[(&str, &[u8])] = &[("a.scap", &small()), ("b.scap", &large)];
    let memory = Arc::new(InMemory::new());
    let mut remote = Store::over(memory.clone(), Some(memory), false, Arc::default()).unwrap();
    let dir = folder(files);
    let report = ship(&mut remote, &dir, |_| {});
    assert_eq!(report.shipped.len(), 2, "{report:?}");
    assert_eq!(
        remote.size(&Key::from(report.shipped[1].keys[0].as_str())).unwrap(),
        Some(large.len() as u64)
    );
    let target = tempfile::tempdir().unwrap();
    let url = url::Url::from_directory_path(target.path()).unwrap();
    let (mut remote, prefix) = Store::open(&url, Duration::ZERO, Arc::default()).unwrap();
    assert_eq!(prefix, Key::default());
    let report = ship(&mut remote, &folder(files), |args| args.delete = true);
    assert_eq!((report.shipped.len(), report.deleted), (2, 2), "{report:?}");
    for (file, bytes) in report.shipped.iter().zip([&small(), &large]) {
        assert_eq!(&fs::read(target.path().join(&file.keys[0])).unwrap(), bytes);
    }
}

#[test]
fn tables_go_beside_captures() {
    let dir = folder(&[("a.scap", &small())]);
    let mut remote = Fake { checks_sums: true, ..Fake::default() };
    let report = ship(&mut remote, &dir, |args| args.form = Form::Both);
    assert!(report.is_complete(), "{report:?}");
    let keys = &report.shipped[0].keys;
    for table in ["all/captures/host=", "all/events/host=", "all/processes/host=", "all/ledger/host="] {
        assert!(keys.iter().any(|key| key.starts_with(table)), "{table}: {keys:?}");
    }
    for key in keys.iter().filter(|key| key.ends_with(".parquet")) {
        assert_eq!(remote.objects[key][..4], *b"PAR1", "{key}");
        assert!(key.rsplit('/').next().unwrap().starts_with("a.scap-"), "{key}");
    }
    let again = ship(&mut remote, &dir, |args| args.form = Form::Both);
    assert_eq!((again.already, again.shipped.len()), (1, 0));
}

//! A capture in a single file: an existing file, a second recorder, a removed file. Needs root, for real recordings.

#![allow(clippy::unwrap_used)]

mod common;

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use common::{Capture, file, run, scapd};
use rustix::{
    fs::{FlockOperation, flock},
    process::{Pid, Signal, kill_process},
};
use tempfile::TempDir;

const OLD: &[u8] = b"an old capture";

/// Returns a directory with a file `a.scap` that everyone can write to.
fn with_old() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "a.scap");
    fs::write(&path, OLD).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
    (folder, path)
}

/// Records for a minute at most.
fn record(path: &Path) -> Command {
    let mut record = scapd();
    record.args(["record", "-q", "--duration", "60s", "--syscalls", "getcwd", "-w"]).arg(path);
    record
}

/// A recorder that runs until it is stopped, and no longer than its test.
struct Recorder(Option<Child>);

impl Recorder {
    fn child(&mut self) -> &mut Child {
        self.0.as_mut().unwrap()
    }

    /// Stops it, and returns its exit code and what it said.
    fn stop(mut self) -> (Option<i32>, String) {
        kill_process(Pid::from_child(self.child()), Signal::INT).unwrap();
        let Output { status, stderr, .. } = self.0.take().unwrap().wait_with_output().unwrap();
        (status.code(), String::from_utf8_lossy(&stderr).into_owned())
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

fn names(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn partial(path: &Path) -> PathBuf {
    format!("{}.partial", path.display()).into()
}

/// Starts a recorder, and waits until it has written to a file.
fn started(path: &Path, written: &Path) -> Recorder {
    let mut recorder = Recorder(Some(record(path).stderr(Stdio::piped()).spawn().unwrap()));
    let start = Instant::now();
    // The old capture is shorter.
    while fs::metadata(written).map_or(0, |found| found.len()) < 1000 {
        assert!(recorder.child().try_wait().unwrap().is_none(), "the recorder has ended");
        assert!(start.elapsed() < Duration::from_secs(60), "nothing is written");
        sleep(Duration::from_millis(5));
    }
    recorder
}

#[test]
fn a_start_that_fails_changes_nothing() {
    let (folder, path) = with_old();
    let before = fs::metadata(&path).unwrap();
    for options in [
        &["--buffer-size", "5000", "--", "true"][..],
        &["-p", "99999999"],
        &["--", "/no/such/command"],
        &["--stats-file", "/no/dir/x", "--", "true"],
        &["--stats-file", "/", "--", "true"],
    ] {
        let (code, _, said) = run(record(&path).args(options));
        assert_ne!(code, Some(0), "{options:?}");
        assert_eq!(fs::read(&path).unwrap(), OLD, "{options:?}: {said}");
        assert_eq!(names(&folder), ["a.scap"], "{options:?}");
    }
    let after = fs::metadata(&path).unwrap();
    assert_eq!(
        (before.ino(), before.mode(), before.mtime_nsec()),
        (after.ino(), after.mode(), after.mtime_nsec())
    );
}

#[test]
fn a_start_without_rights_changes_nothing() {
    let (folder, path) = with_old();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
    // A path that every user can reach, wherever the build is.
    let binary = file(&folder, "scapd");
    fs::copy(env!("CARGO_BIN_EXE_scapd"), &binary).unwrap();
    let mut nobody = Command::new("setpriv");
    nobody.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(binary);
    let (code, _, said) = run(nobody.args(["record", "-q", "-w"]).arg(&path).args(["--", "true"]));
    assert_eq!(code, Some(3), "{said}");
    assert_eq!(fs::read(&path).unwrap(), OLD);
    assert_eq!(names(&folder), ["a.scap", "scapd"]);
}

#[test]
fn the_old_file_stays_until_the_new_one_is_whole() {
    let (folder, path) = with_old();
    let recorder = started(&path, &partial(&path));
    assert_eq!(fs::read(&path).unwrap(), OLD);
    assert_eq!(mode(&partial(&path)), 0o600);
    let (code, said) = recorder.stop();
    assert_eq!(code, Some(0), "{said}");
    Capture::read(&path);
    assert_eq!(mode(&path), 0o600);
    assert_eq!(names(&folder), ["a.scap"]);
}

#[test]
fn a_second_recorder_is_refused() {
    let (folder, path) = with_old();
    let first = started(&path, &partial(&path));
    let (code, _, said) = run(record(&path).args(["--", "true"]));
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("a.scap.partial is being written by another process"), "{said}");
    let (code, said) = first.stop();
    assert_eq!(code, Some(0), "{said}");
    Capture::read(&path);
    assert_eq!(names(&folder), ["a.scap"]);
}

#[test]
fn a_file_that_is_being_written_is_not_repaired() {
    let (folder, path) = with_old();
    let recorder = started(&path, &partial(&path));
    let (code, _, said) = run(scapd().arg("repair").arg(partial(&path)));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("is still being written: stop its recorder first"), "{said}");
    let (code, said) = recorder.stop();
    assert_eq!(code, Some(0), "{said}");
    Capture::read(&path);
    assert_eq!(names(&folder), ["a.scap"]);
}

#[test]
fn a_file_that_is_taken_away_is_an_error() {
    let removed = |path: &Path| fs::remove_file(path).unwrap();
    let replaced = |path: &Path| {
        fs::rename(path, path.with_extension("away")).unwrap();
        fs::write(path, "another").unwrap();
    };
    for (take_away, word) in [(&removed as &dyn Fn(&Path), "removed"), (&replaced, "moved away")] {
        let (_folder, path) = with_old();
        let recorder = started(&path, &partial(&path));
        take_away(&partial(&path));
        let (code, said) = recorder.stop();
        assert_eq!(code, Some(5), "{said}");
        assert!(said.contains(&format!("a.scap.partial was {word} while it was written")), "{said}");
        assert!(!said.contains("nothing lost"), "{said}");
        assert_eq!(fs::read(&path).unwrap(), OLD);
    }
}

#[test]
fn what_a_killed_recorder_leaves_is_kept() {
    let (folder, path) = with_old();
    let mut killed = started(&path, &partial(&path));
    killed.child().kill().unwrap();
    killed.child().wait().unwrap();
    assert_eq!(fs::read(&path).unwrap(), OLD);
    let left = fs::read(partial(&path)).unwrap();
    let (code, _, said) = run(record(&path).args(["--", "true"]));
    assert_eq!(code, Some(0), "{said}");
    Capture::read(&path);
    assert_eq!(names(&folder), ["a.scap", "a.scap.1.partial"]);
    let aside = file(&folder, "a.scap.1.partial");
    assert_eq!(fs::read(&aside).unwrap(), left);
    assert!(said.contains("`scapd repair"), "{said}");
    let (code, _, said) = run(scapd().arg("repair").arg(aside));
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(names(&folder), ["a.scap", "a.scap.1"]);
}

#[test]
fn a_failing_disk_leaves_the_old_file() {
    let (folder, path) = with_old();
    let mut limited = Command::new("sh");
    // 8 KiB: less than the state of any machine.
    let script = "ulimit -f 16; exec \"$0\" record -q -w \"$1\" -- true";
    let (code, _, said) = run(limited.args(["-c", script, env!("CARGO_BIN_EXE_scapd")]).arg(&path));
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("a.scap.partial"), "{said}");
    assert_eq!(fs::read(&path).unwrap(), OLD);
    // A chunk is written completely or not at all, so nothing was written.
    assert_eq!(names(&folder), ["a.scap"]);
}

#[test]
fn a_link_stays_and_its_target_is_replaced() {
    let (folder, path) = with_old();
    let link = file(&folder, "link");
    symlink("a.scap", &link).unwrap();
    let (code, _, said) = run(record(&link).args(["--", "true"]));
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(fs::read_link(&link).unwrap(), Path::new("a.scap"));
    Capture::read(&path);
    assert_eq!(names(&folder), ["a.scap", "link"]);
}

/// Records with `volume` mounted over `path`, as in a container: no file can be renamed over a mount point.
fn record_mounted(volume: &Path, path: &Path, options: &[&str]) -> (Option<i32>, String) {
    let script = "mount --bind \"$1\" \"$2\" && f=$2 && shift 2 && \
        exec \"$0\" record -q --syscalls getcwd -w \"$f\" \"$@\"";
    let mut namespace = Command::new("unshare");
    namespace.args(["--mount", "sh", "-c", script, env!("CARGO_BIN_EXE_scapd")]).args([volume, path]);
    let (code, _, said) = run(namespace.args(options));
    (code, said)
}

#[test]
fn a_file_that_cannot_be_replaced_is_locked_and_written_in_place() {
    let (folder, path) = with_old();
    let volume = file(&folder, "volume");
    fs::write(&volume, OLD).unwrap();
    fs::set_permissions(&volume, Permissions::from_mode(0o666)).unwrap();
    // A failing start changes nothing here either.
    let (code, said) = record_mounted(&volume, &path, &["--buffer-size", "5000", "--", "true"]);
    assert_ne!(code, Some(0), "{said}");
    assert_eq!((fs::read(&volume).unwrap().as_slice(), mode(&volume)), (OLD, 0o666));
    let held = fs::File::open(&volume).unwrap();
    flock(&held, FlockOperation::LockShared).unwrap();
    let (code, said) = record_mounted(&volume, &path, &["--", "true"]);
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("is being written by another process"), "{said}");
    assert_eq!(fs::read(&volume).unwrap(), OLD);
    drop(held);
    let (code, said) = record_mounted(&volume, &path, &["--", "true"]);
    assert_eq!(code, Some(0), "{said}");
    Capture::read(&volume);
    assert_eq!(fs::read(&path).unwrap(), OLD);
    assert_eq!((mode(&volume), names(&folder)), (0o600, vec!["a.scap".into(), "volume".into()]));
}

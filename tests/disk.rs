//! Disk trouble while recording a series of files. Needs root, to mount.

#![allow(clippy::unwrap_used)]

mod common;

use std::{fs, path::Path, process::Command, thread, time::Duration};

use common::series::{Generator, Recording, alone, assert_whole, captures, config, read, wait_for};
use scap::ledger::Cause;
use scapd::output::{OnError, OutputError, Retention, Rotation, Series};
use tempfile::TempDir;

/// A file system, mounted until dropped.
struct Mount(TempDir);

impl Mount {
    fn tmpfs(options: &str) -> Mount {
        let folder = TempDir::new().unwrap();
        mount(&["-t", "tmpfs", "-o", options, "scapd-test"], folder.path());
        Mount(folder)
    }

    /// Mounts an ext4 file system in an image.
    fn ext4(image: &Path, size: u64) -> Mount {
        fs::File::create(image).unwrap().set_len(size).unwrap();
        assert!(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(image).status().unwrap().success());
        let folder = TempDir::new().unwrap();
        mount(&["-o", "loop", image.to_str().unwrap()], folder.path());
        Mount(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

fn mount(args: &[&str], at: &Path) {
    let out = Command::new("mount").args(args).arg(at).output().unwrap();
    assert!(out.status.success(), "cannot mount: {}", String::from_utf8_lossy(&out.stderr));
}

fn unmount(path: &Path) {
    let status = Command::new("umount").arg("--lazy").arg(path).status().unwrap();
    assert!(status.success(), "{} stays mounted", path.display());
}

impl Drop for Mount {
    fn drop(&mut self) {
        unmount(self.0.path());
    }
}

fn sized(size: u64) -> Series {
    Series { rotation: Rotation { size: Some(size), ..Rotation::default() }, ..Series::default() }
}

/// Checks that captured and lost events add up to the calls.
fn assert_accounted(paths: &[std::path::PathBuf], calls: u64) -> u64 {
    let (mut captured, mut lost) = (0, 0);
    for path in paths {
        let found = read(path);
        let verdict = found.verdict.unwrap_or_else(|| panic!("no balance in {}", path.display()));
        captured += found.calls.values().map(|calls| calls.len() as u64).sum::<u64>();
        lost += verdict.losses.sum();
    }
    assert_eq!(captured + lost, calls, "{captured} captured, {lost} lost");
    lost
}

#[test]
fn a_full_disk_costs_the_oldest_files() {
    let _alone = alone();
    let image = tempfile::NamedTempFile::new().unwrap();
    let disk = Mount::ext4(image.path(), 24 << 20);
    // More files than fit on the disk.
    let series =
        Series { retention: Retention { files: Some(1000), ..Retention::default() }, ..sized(2 << 20) };
    let recording = Recording::start(config(disk.path().join("a.scap"), series));
    let generator = Generator::start(2, 1000, Duration::from_millis(5));
    wait_for("old files to go", || recording.handle.status().files_deleted >= 5);
    let calls = generator.stop();
    let summary = recording.stop().unwrap().summary;
    assert!(summary.verdict.is_complete(), "{:?}", summary.verdict);
    assert_eq!(summary.verdict.written, calls.values().sum::<u64>());
    let paths = captures(disk.path());
    assert!(paths.iter().all(|path| path.extension().is_none_or(|e| e != "partial")), "{paths:?}");
    for path in paths.iter().filter(|path| path.is_file()) {
        assert!(read(path).verdict.unwrap().is_complete());
    }
}

#[test]
fn a_file_that_fills_the_disk_alone_makes_room_for_the_next() {
    let _alone = alone();
    let image = tempfile::NamedTempFile::new().unwrap();
    let disk = Mount::ext4(image.path(), 24 << 20);
    let rotation = Rotation { period: Some(Duration::from_secs(3600)), ..Rotation::default() };
    let retention = Retention { files: Some(1000), ..Retention::default() };
    let series = Series { rotation, retention, ..Series::default() };
    let recording = Recording::start(config(disk.path().join("a.scap"), series));
    let generator = Generator::start(2, 1000, Duration::from_millis(5));
    wait_for("files to go that filled the disk", || recording.handle.status().files_deleted >= 2);
    let calls: u64 = generator.stop().values().sum();
    let verdict = recording.stop().unwrap().summary.verdict;
    assert_eq!(verdict.written + verdict.losses.sum(), calls);
}

#[test]
fn a_full_disk_without_old_files_pauses_the_recording() {
    let _alone = alone();
    let disk = Mount::tmpfs("size=48m");
    let ballast = disk.path().join("ballast");
    // Its removal frees space for all buffers.
    fs::write(&ballast, vec![1; 44 << 20]).unwrap();
    let folder = disk.path().join("captures");
    fs::create_dir(&folder).unwrap();
    let mut config = config(folder.join("a.scap"), sized(1 << 20));
    config.probe.ring_size = 64 << 10;
    let recording = Recording::start(config);
    let generator = Generator::start(2, 1000, Duration::from_millis(2));
    wait_for("losses", || recording.handle.status().losses.of(Cause::Backlog) > 1000);
    let calls = generator.stop().values().sum();
    fs::remove_file(&ballast).unwrap();
    let summary = recording.stop().unwrap().summary;
    assert_eq!(summary.verdict.unaccounted(), 0, "{:?}", summary.verdict);
    assert!(assert_accounted(&captures(&folder), calls) > 1000);
}

#[test]
fn a_folder_that_is_taken_away_is_missed_until_it_is_there_again() {
    let _alone = alone();
    let base = TempDir::new().unwrap();
    let folder = base.path().join("captures");
    fs::create_dir(&folder).unwrap();
    let recording = Recording::start(config(folder.join("a.scap"), Series::default()));
    let generator = Generator::start(1, 10, Duration::from_millis(1));
    wait_for("a file", || recording.handle.status().written > 100);
    let gone = base.path().join("gone");
    fs::rename(&folder, &gone).unwrap();
    // The recorder checks for the directory once a second.
    thread::sleep(Duration::from_millis(2500));
    fs::create_dir(&folder).unwrap();
    wait_for("a new file", || !captures(&folder).is_empty());
    let calls = generator.stop();
    recording.stop().unwrap();
    // Nothing was lost: events waited in the buffers.
    let paths = [captures(&gone), captures(&folder)].concat();
    assert_eq!(paths.len(), 2);
    assert_whole(&paths, &calls);
}

#[test]
fn a_file_that_is_removed_is_not_written_further() {
    let _alone = alone();
    let folder = TempDir::new().unwrap();
    let recording = Recording::start(config(folder.path().join("a.scap"), Series::default()));
    let generator = Generator::start(1, 10, Duration::from_millis(1));
    wait_for("a file", || recording.handle.status().written > 100);
    fs::remove_file(&captures(folder.path())[0]).unwrap();
    wait_for("a new file", || !captures(folder.path()).is_empty());
    generator.stop();
    recording.stop().unwrap();
    let paths = captures(folder.path());
    assert_eq!(paths.len(), 1);
    assert!(read(&paths[0]).verdict.unwrap().is_complete());
}

#[test]
fn a_disk_that_breaks_does_not_end_the_recording() {
    let _alone = alone();
    let image = tempfile::NamedTempFile::new().unwrap();
    let disk = Mount::ext4(image.path(), 64 << 20);
    let recording = Recording::start(config(disk.path().join("a.scap"), Series::default()));
    let generator = Generator::start(1, 100, Duration::from_millis(1));
    wait_for("a file", || recording.handle.status().written > 1000);
    // Like a failing device: the file system shuts down, and every write fails.
    shut_down(disk.path());
    thread::sleep(Duration::from_millis(1500));
    let second = Mount::tmpfs_over(disk.path());
    wait_for("a new file", || !captures(disk.path()).is_empty());
    let calls = generator.stop();
    let outcome = recording.stop().unwrap();
    assert_eq!(outcome.summary.verdict.unaccounted(), 0, "{:?}", outcome.summary.verdict);
    let after = captures(disk.path());
    let found: Vec<_> = after.iter().map(|path| read(path)).collect();
    assert!(found.iter().all(|found| found.verdict.is_some_and(|v| v.is_complete())));
    // The calls continue those on the broken disk, without a gap.
    let (tid, all) = calls.first_key_value().unwrap();
    let numbers: Vec<u64> = found.iter().flat_map(|found| found.calls[tid].clone()).collect();
    assert!(numbers[0] > 0 && numbers.windows(2).all(|pair| pair[1] == pair[0] + 1));
    assert_eq!(numbers.last(), Some(&(all - 1)));
    assert_eq!(outcome.summary.verdict.written, *all);
    drop(second);
}

#[test]
fn a_failing_disk_ends_the_recording_where_that_is_wanted() {
    let _alone = alone();
    let disk = Mount::tmpfs("size=2m");
    let series = Series { on_error: OnError::Fail, ..Series::default() };
    let recording = Recording::start(config(disk.path().join("a.scap"), series));
    let generator = Generator::start(2, 1000, Duration::from_millis(1));
    wait_for("the end", || recording.handle.rotate().is_err());
    generator.stop();
    let error = recording.stop().unwrap_err();
    assert!(error.is::<OutputError>(), "{error:#}");
}

impl Mount {
    /// Mounts a tmpfs over a path, without a child process, whose calls would be recorded.
    fn tmpfs_over(path: &Path) -> Over {
        let at = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).unwrap();
        // SAFETY: the strings are NUL-terminated, and the data is null.
        let result = unsafe {
            libc::mount(c"scapd-test".as_ptr(), at.as_ptr(), c"tmpfs".as_ptr(), 0, std::ptr::null())
        };
        assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
        Over(path.to_owned())
    }
}

/// A mount over another one, until dropped.
struct Over(std::path::PathBuf);

impl Drop for Over {
    fn drop(&mut self) {
        unmount(&self.0);
    }
}

/// Shuts an ext4 file system down (`EXT4_IOC_SHUTDOWN`) without writing its journal.
fn shut_down(path: &Path) {
    use std::os::fd::AsRawFd;
    const SHUTDOWN: libc::c_ulong = 0x8004_587D;
    let folder = fs::File::open(path).unwrap();
    let flags: u32 = 2;
    // SAFETY: the request reads one number, which is valid.
    let result = unsafe { libc::ioctl(folder.as_raw_fd(), SHUTDOWN, &flags) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

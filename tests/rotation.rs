//! Recordings to a series of files: nothing is lost or duplicated between them, and each stands alone. Needs root.

#![allow(clippy::unwrap_used)]

mod common;

use std::{fs, process::Command, thread, time::Duration};

use common::series::{Generator, Recording, alone, assert_whole, captures, config, read, wait_for};
use scap::select;
use scapd::{
    output::{Retention, Rotation, Series},
    record::{Config, LiveSettings},
    verify::{VerifyOutcome, VerifyReport},
};

fn every(events: u64) -> Series {
    Series { rotation: Rotation { events: Some(events), ..Rotation::default() }, ..Series::default() }
}

/// Rotates until there are `files` files, and prints the numbers of files and calls.
fn rotate(files: u64) {
    let _alone = alone();
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let recording = Recording::start(config(folder.path().join("a.scap"), every(500)));
    let generator = Generator::start(3, 100, Duration::from_millis(5));
    let (mut seen, mut stuck) = (0, 0);
    loop {
        thread::sleep(Duration::from_millis(100));
        let now = recording.handle.status().files;
        if now > files {
            break;
        }
        stuck = if now > seen { 0 } else { stuck + 1 };
        seen = seen.max(now);
        assert!(stuck < 600, "no new file for a minute, after {now}");
    }
    let calls = generator.stop();
    let summary = recording.stop().unwrap().summary;
    assert!(summary.verdict.is_complete() && summary.verdict.unaccounted() == 0, "{:?}", summary.verdict);
    let paths = captures(folder.path());
    assert_eq!(paths.len() as u64, summary.files);
    assert!(summary.files > files);
    assert!(paths.iter().all(|path| path.extension().unwrap() == "scap"), "{paths:?}");
    assert_whole(&paths, &calls);
    println!("{} files, {} calls", paths.len(), calls.values().sum::<u64>());
}

#[test]
fn fifty_rotations_lose_and_double_nothing() {
    rotate(50);
}

#[test]
#[ignore = "takes minutes: make soak-rotations"]
fn ten_thousand_rotations_lose_and_double_nothing() {
    rotate(10_000);
}

#[test]
fn a_file_ends_after_its_events() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path().join("a.scap"), every(1000));
    config.limit = Some(3500);
    let recording = Recording::start(config);
    // A second for each file: until the state of the next one is read, it takes all events.
    let generator = Generator::start(1, 10, Duration::from_millis(10));
    wait_for("3500 calls", || generator.calls() >= 3500);
    recording.stop().unwrap();
    generator.stop();
    let counts: Vec<_> =
        captures(folder.path()).iter().map(|path| read(path).verdict.unwrap().written).collect();
    assert_eq!(counts, [1000, 1000, 1000, 500]);
}

#[test]
fn a_file_is_not_larger_than_it_may_be() {
    let _alone = alone();
    for (compress, size) in [(false, 1 << 20), (true, 128 << 10)] {
        let folder = tempfile::tempdir().unwrap();
        let rotation = Rotation { size: Some(size), ..Rotation::default() };
        let mut config = config(folder.path().join("a.scap"), Series { rotation, ..Series::default() });
        config.compress = compress;
        let recording = Recording::start(config);
        // Few calls, so that a file is far from full when its state is written.
        let generator = Generator::start(1, 100, Duration::from_millis(20));
        wait_for("two files", || recording.handle.status().files >= 3);
        let calls = generator.stop();
        recording.stop().unwrap();
        let paths = captures(folder.path());
        let sizes: Vec<_> = paths.iter().map(|path| path.metadata().unwrap().len()).collect();
        for full in &sizes[..sizes.len() - 1] {
            // A compressed file may exceed its limit by what is in the buffers.
            assert!(*full > size / 2 && (compress || *full <= size), "{sizes:?}");
        }
        assert_whole(&paths, &calls);
    }
}

#[test]
fn files_of_a_second_begin_with_the_second() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let period = Some(Duration::from_secs(1));
    let rotation = Rotation { period, align: true, ..Rotation::default() };
    let recording =
        Recording::start(config(folder.path().join("a-%s.scap"), Series { rotation, ..Series::default() }));
    let generator = Generator::start(1, 10, Duration::from_millis(1));
    wait_for("three files", || recording.handle.status().files >= 4);
    let calls = generator.stop();
    recording.stop().unwrap();
    let paths = captures(folder.path());
    assert_whole(&paths, &calls);
    for path in &paths[1..] {
        let second: u64 = path.file_stem().unwrap().to_str().unwrap()["a-".len()..].parse().unwrap();
        let mut reader = scap::format::Reader::new(fs::File::open(path).unwrap()).unwrap();
        let first = reader.next_event().unwrap().unwrap().event.ts();
        assert!(first / 1_000_000_000 >= second, "{first} in {}", path.display());
    }
}

#[test]
fn a_rotation_that_is_asked_for_is_done_when_it_is_answered() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let recording = Recording::start(config(folder.path().join("a.scap"), Series::default()));
    let generator = Generator::start(1, 10, Duration::from_millis(1));
    for file in 2..5 {
        recording.handle.rotate().unwrap();
        assert!(
            captures(folder.path()).iter().any(|p| p.to_str().unwrap().contains(&format!("a-00000{file}")))
        );
    }
    let calls = generator.stop();
    recording.stop().unwrap();
    let paths = captures(folder.path());
    assert_eq!(paths.len(), 4);
    assert_whole(&paths, &calls);
}

#[test]
fn old_files_go_with_their_manifests_and_a_command_is_run_for_each() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let log = tempfile::NamedTempFile::new().unwrap();
    let hook = format!("sh -c 'echo \"$0 $SCAPD_FILE $SCAPD_MANIFEST\" >> {}'", log.path().display());
    let series = Series {
        retention: Retention { files: Some(3), ..Retention::default() },
        manifest: true,
        on_close: Some(hook.parse().unwrap()),
        ..Series::default()
    };
    let recording = Recording::start(config(folder.path().join("a.scap"), series));
    for _ in 0..5 {
        recording.handle.rotate().unwrap();
    }
    let summary = recording.stop().unwrap().summary;
    assert_eq!((summary.files, summary.deleted), (6, 3));
    let paths = captures(folder.path());
    let names: Vec<_> = paths.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["a-000004.scap", "a-000005.scap", "a-000006.scap"]);
    for path in &paths {
        let manifest = fs::read(format!("{}.json", path.display())).unwrap();
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        let out = Command::new("sha256sum").arg(path).output().unwrap();
        let sum = String::from_utf8(out.stdout).unwrap();
        assert!(sum.starts_with(manifest["sha256"].as_str().unwrap()), "{manifest}");
        assert_eq!(manifest["bytes"], path.metadata().unwrap().len());
        assert_eq!(manifest["complete"], true);
        assert_eq!(manifest["events"], read(path).verdict.unwrap().written);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 6);
    let log = fs::read_to_string(log.path()).unwrap();
    let last = names.last().unwrap();
    let mut lines = log.lines();
    assert!(lines.all(|line| {
        let words: Vec<_> = line.split(' ').collect();
        words.len() == 3 && words[0] == words[1] && words[2] == format!("{}.json", words[0])
    }));
    assert!(log.contains(last), "{log}");
}

#[test]
fn files_that_a_command_compresses_are_kept_within_the_same_limits() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let series = Series {
        retention: Retention { files: Some(2), ..Retention::default() },
        manifest: true,
        on_close: Some("gzip".parse().unwrap()),
        ..Series::default()
    };
    let recording = Recording::start(config(folder.path().join("a.scap"), series));
    for _ in 0..5 {
        recording.handle.rotate().unwrap();
    }
    recording.stop().unwrap();
    let mut names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["a-000005.scap.gz", "a-000005.scap.json", "a-000006.scap.gz", "a-000006.scap.json"]);
    assert!(read(&folder.path().join(&names[0])).verdict.is_some());
}

#[test]
fn the_next_recording_goes_on_behind_the_files_of_the_one_before() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        Recording::start(config(folder.path().join("a.scap"), Series::default())).stop().unwrap();
    }
    let names: Vec<_> =
        captures(folder.path()).iter().map(|p| p.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["a-000001.scap", "a-000002.scap"]);
}

#[test]
fn what_a_killed_recorder_left_behind_is_repaired_by_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let record = || {
        let mut command = common::scapd();
        command.args(["record", "-q", "--syscalls", "access", "-e", "1000000", "-w"]);
        command.arg(folder.path().join("a.scap"));
        command
    };
    // The shell kills its parent, the recorder, after the file has been flushed.
    let status =
        record().args(["--", "sh", "-c", "test -r /; test -r /; sleep 1; kill -9 $PPID"]).status().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
    let partials = || {
        let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        names.filter(|path| path.extension().is_some_and(|e| e == "partial")).collect::<Vec<_>>()
    };
    assert_eq!(partials().len(), 1);
    // On a full disk a file may be empty, or have part of what comes before the first event.
    let start = fs::read(&partials()[0]).unwrap()[..100].to_vec();
    fs::write(folder.path().join("a-000007.scap.partial"), start).unwrap();
    fs::write(folder.path().join("a-000008.scap.partial"), "").unwrap();

    // A new file may be one that another recorder is about to lock.
    thread::sleep(Duration::from_millis(1100));
    let (code, _, said) = common::run(record().args(["--", "test", "-r", "/"]));
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("was left behind and not closed"), "{said}");
    assert_eq!(said.matches("was left behind without an event: removed").count(), 2, "{said}");
    assert!(partials().is_empty());
    let outcomes: Vec<_> = captures(folder.path())
        .iter()
        .map(|path| VerifyReport::of(fs::File::open(path).unwrap()))
        .inspect(|report| assert!(report.events > 1))
        .map(|report| report.outcome())
        .collect();
    assert_eq!(outcomes, [VerifyOutcome::Incomplete, VerifyOutcome::Complete]);
}

/// The events of the new selection refer to descriptors, which were not followed before.
#[test]
fn a_selection_that_needs_more_names_begins_a_new_file() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let base = config(folder.path().join("a.scap"), Series::default());
    let config = Config { only: false, selectable: true, syscalls: select::parse("getppid").ok(), ..base };
    let settings = LiveSettings::from(&config);
    let recording = Recording::start(config);
    let path = folder.path().join("opened unseen.json");
    fs::write(&path, "x").unwrap();
    let opened = fs::File::open(&path).unwrap();
    recording
        .handle
        .change(LiveSettings { syscalls: select::parse("getgid").ok(), ..settings.clone() })
        .unwrap();
    recording.handle.change(LiveSettings { syscalls: select::parse("pread").ok(), ..settings }).unwrap();
    wait_for("a new file", || recording.handle.status().files >= 2);
    // The state is written soon after.
    thread::sleep(Duration::from_millis(500));
    std::os::unix::fs::FileExt::read_at(&opened, &mut [0], 0).unwrap();
    recording.stop().unwrap();
    let paths = captures(folder.path());
    assert_eq!(paths.len(), 2);
    paths.iter().for_each(|path| drop(read(path)));
    let (_, shown, _) = common::run(common::scapd().args(["read", "--syscalls", "pread"]).arg(&paths[1]));
    assert!(shown.contains(&format!("(<f>{})", path.display())), "{shown}");
}

#[test]
fn a_start_that_fails_leaves_a_series_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let capture = 0x0A0D_0D0A_u32.to_ne_bytes();
    let names = ["a-000001.scap", "a-000002.scap", "a-000003.scap.partial"];
    for name in names {
        fs::write(folder.path().join(name), capture).unwrap();
    }
    // A new file might belong to another recorder.
    thread::sleep(Duration::from_millis(1100));
    let mut record = common::scapd();
    record.args(["record", "-q", "-W", "1", "--buffer-size", "5000", "-w"]).arg(folder.path().join("a.scap"));
    let (code, _, said) = common::run(record.args(["--", "true"]));
    assert_ne!(code, Some(0), "{said}");
    let mut left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, names, "{said}");
    for name in names {
        assert_eq!(fs::read(folder.path().join(name)).unwrap(), capture, "{name}");
    }
}

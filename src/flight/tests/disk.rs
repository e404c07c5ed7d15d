//! The window in a file: what becomes of it when its recorder is killed.

use std::{
    os::unix::fs::{FileExt, PermissionsExt, symlink},
    sync::Arc,
};

use super::{
    state::{Contents, busy, contents, longer, machine},
    *,
};
use crate::flight::disk::{self, WindowFile};
use crate::repair::RepairPlace;
use scap::ledger::{Cause, Cut, CutCause};

fn on_disk(flight: Flight) -> Flight {
    Flight { on_disk: Some(KeepOnDisk::Beside), ..flight }
}

impl Fed {
    /// Ends it as if it were killed, once all is in the file; returns the folder.
    fn kill(self) -> TempDir {
        self.window.finish();
        self.folder
    }

    fn disk(&self) -> DiskStatus {
        self.status().disk.unwrap()
    }

    /// Waits until all is in the file: these windows move on faster than time.
    pub(super) fn await_disk(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.status().disk.is_some_and(|disk| disk.queued > 0) {
            assert!(Instant::now() < deadline, "{:?}", self.disk());
            thread::sleep(Duration::from_millis(1));
            self.window.tick();
        }
    }
}

/// Makes the capture that the next start makes; returns its path.
fn saved(folder: &TempDir) -> PathBuf {
    let before = captures(folder.path());
    let pattern = Pattern::parse(&folder.path().join("a.scap")).unwrap();
    let shelf = Shelf::open(pattern, &Series::default(), false).unwrap();
    let flight = on_disk(flight());
    let made = save::make_room(&usual_path(folder.path()), &flight, &shelf).unwrap();
    made.remove();
    captures(folder.path()).into_iter().find(|path| !before.contains(path)).expect("no capture was made")
}

/// Returns the cut of a capture, and the events lost in its gaps.
fn lacks(path: &Path) -> (Cut, u64) {
    let mut reader = Reader::new(fs::File::open(path).unwrap()).unwrap();
    let (mut cut, mut lost) = (None, 0);
    while let Some(captured) = reader.next_event().unwrap() {
        match ledger::parse(&captured.event) {
            Some(Notice::Cut(found)) => cut = Some(found),
            Some(Notice::Gap(gap)) => lost += gap.losses.of(Cause::Disk),
            _ => assert_eq!(cut, None),
        }
    }
    (cut.unwrap(), lost)
}

#[test]
fn a_window_whose_recorder_was_killed_is_what_a_dump_would_be() {
    for flight in [flight(), longer(1000, Flight::LEAST)] {
        let mut fed = Fed::of(on_disk(flight), &machine());
        busy(&mut fed);
        fed.trigger(0);
        fed.settle();
        let dump = contents(&captures(fed.folder.path())[0]);
        let folder = fed.kill();
        let path = saved(&folder);
        let Contents { start, events, longer, verdict, state } = contents(&path);
        assert_eq!((start, events), (dump.start, dump.events));
        assert_eq!((longer, state), (dump.longer, dump.state));
        assert_eq!((verdict.written, verdict.losses), (dump.verdict.written, dump.verdict.losses));
        assert_eq!((lacks(&path).0.cause, lacks(&path).0.bytes, lacks(&path).1), (CutCause::Unclosed, 0, 0));
        assert_eq!(captures(folder.path()).len(), 2);
        assert!(!usual_path(folder.path()).exists());
    }
}

#[test]
fn a_recording_that_ends_leaves_no_window() {
    let mut fed = Fed::of(on_disk(flight()), &machine());
    let path = usual_path(fed.folder.path());
    fed.second(0..10);
    assert!(path.exists());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let (_folder, dumps) = fed.end();
    assert!(dumps.is_empty() && !path.exists());
}

/// The file is written round several times, with states in between.
#[test]
fn what_is_overwritten_is_not_needed() {
    let mut random = fastrand::Rng::with_seed(7);
    for rounds in [1, 8, 30, 31, 50] {
        let mut fed = Fed::of(on_disk(flight()), &machine());
        fed.open(5, "/second");
        // Above the ids of threads.
        let mut next = 1000;
        for _ in 0..rounds {
            let count = random.u64(1..80);
            fed.second(next..next + count);
            next += count;
        }
        let KeptStatus { events, evicted, .. } = fed.status().window;
        let (disk, now) = (fed.disk(), fed.now);
        let folder = fed.kill();
        assert_eq!(disk.skipped, 0, "{disk:?}");
        assert!(rounds < 50 || disk.written > 30 << 20, "{disk:?}: more than the file");
        let path = saved(&folder);
        let (numbers, verdict) = read(&path);
        if rounds < 10 {
            // Nothing is too old: all that is not here had to go early.
            assert_eq!(numbers.len() as u64 + verdict.left_out.evicted, next - 1000 + 1);
        }
        let numbers: Vec<_> = numbers.into_iter().filter(|number| *number != 100).collect();
        let first = numbers.first().copied().unwrap_or(next);
        assert_eq!(numbers, (first..next).collect::<Vec<_>>(), "{rounds} rounds");
        assert!(numbers.len() as u64 + 1 >= events, "{} of {events}", numbers.len());
        assert!(verdict.left_out.evicted <= evicted && lacks(&path).1 == 0);
        let found = contents_of_large(&path);
        assert_eq!(found, ("sh".to_owned(), "/second".to_owned()), "{rounds} rounds, at {now}");
    }
}

/// Returns the name of the process at the end, and that of its descriptor 5.
fn contents_of_large(path: &Path) -> (String, String) {
    let mut reader = Reader::new(fs::File::open(path).unwrap()).unwrap().keep(scap::format::Keep::All);
    let mut machine = None;
    while let Some(captured) = reader.next_event().unwrap() {
        let machine = machine
            .get_or_insert_with(|| scap::model::Machine::of_state(captured.state, scap::format::Keep::All));
        machine.apply_on(captured.cpu, &captured.event);
    }
    let machine = machine.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(machine.thread(100).unwrap().comm), text(&machine.fd(100, 5).unwrap().name))
}

/// Returns where the records of a kind begin in a file, and how long they are.
fn records(path: &Path, kind: u64) -> Vec<(u64, u64)> {
    let bytes = fs::read(path).unwrap();
    let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let pages = (4096..bytes.len()).step_by(4096);
    let mut found: Vec<_> = pages
        .filter(|at| bytes[*at..].starts_with(b"SCAPDREC") && word(at + 24) == kind)
        .map(|at| (word(at + 32), (at as u64, 128 + word(at + 40) + word(at + 48))))
        .collect();
    found.sort_unstable();
    found.into_iter().map(|(_, place)| place).collect()
}

fn flip(path: &Path, at: u64) {
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 4], at).unwrap();
}

#[test]
fn a_torn_segment_is_left_out_and_said() {
    let fill = || {
        let mut fed = Fed::of(on_disk(flight()), &machine());
        (0..6).for_each(|part| fed.second(part * 10..(part + 1) * 10));
        fed.kill()
    };
    let all: Vec<u64> = (0..60).collect();
    // A byte of a segment in the middle.
    let folder = fill();
    let path = usual_path(folder.path());
    let segments = records(&path, 0);
    assert_eq!(segments.len(), 6);
    flip(&path, segments[2].0 + segments[2].1 / 2);
    let capture = saved(&folder);
    let (numbers, verdict) = read(&capture);
    assert_eq!(numbers, [&all[..20], &all[30..]].concat());
    assert_eq!((verdict.losses.of(Cause::Disk), lacks(&capture).1), (10, 10));
    assert!(lacks(&capture).0.bytes > 10 * LARGE as u64);
    assert_eq!(verify(&capture), "incomplete");
    // A header in the middle: its events are counted by its neighbours.
    let folder = fill();
    let path = usual_path(folder.path());
    flip(&path, records(&path, 0)[3].0 + 60);
    let capture = saved(&folder);
    let (numbers, verdict) = read(&capture);
    assert_eq!(numbers, [&all[..30], &all[40..]].concat());
    assert_eq!((verdict.losses.of(Cause::Disk), verify(&capture)), (10, "incomplete"));
    // The header of the first one.
    let folder = fill();
    let path = usual_path(folder.path());
    flip(&path, records(&path, 0)[0].0);
    let capture = saved(&folder);
    assert_eq!((read(&capture).0, read(&capture).1.losses.of(Cause::Disk)), (all[10..].to_vec(), 10));
    // The last one is cut off, with the file.
    let folder = fill();
    let path = usual_path(folder.path());
    let (at, len) = *records(&path, 0).last().unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_len(at + len - 5000).unwrap();
    let capture = saved(&folder);
    assert_eq!(read(&capture).0, all[..50]);
    assert_eq!(verify(&capture), "incomplete");
}

#[test]
fn a_capture_begins_where_something_is_missing_that_names_may_need() {
    // The call that gives the process another name, a while before the window: its blocks, and its header.
    for at in [200, 60] {
        let mut fed = Fed::of(on_disk(flight()), &machine());
        busy(&mut fed);
        let folder = fed.kill();
        let path = usual_path(folder.path());
        flip(&path, records(&path, 0)[2].0 + at);
        let capture = saved(&folder);
        let found = contents(&capture);
        assert_eq!(found.start.0, "sh");
        assert_eq!(found.events[..2], [("close_x", false), ("write_x", false)]);
        assert_eq!((found.events.len(), lacks(&capture).1, verify(&capture)), (22, 1, "incomplete"));
    }
}

#[test]
fn what_a_process_writes_does_not_pass_for_a_part_of_the_window() {
    let fill = |parts: u64| {
        let mut fed = Fed::of(on_disk(flight()), &machine());
        (0..parts).for_each(|part| fed.second(part * 10..(part + 1) * 10));
        fed.kill()
    };
    // The last segment of another file, with its checksums, as the data of an event might have it.
    let (other, folder) = (fill(7), fill(6));
    let (from, path) = (usual_path(other.path()), usual_path(folder.path()));
    let (at, len) = *records(&from, 0).last().unwrap();
    let bytes = fs::read(&from).unwrap();
    let free = fs::metadata(&path).unwrap().len() / 4096 / 2 * 4096;
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.write_all_at(&bytes[at as usize..(at + len) as usize], free).unwrap();
    assert_eq!(records(&path, 0).len(), 7);
    let capture = saved(&folder);
    assert_eq!((read(&capture).0, lacks(&capture).1), ((0..60).collect(), 0));
}

fn verify(path: &Path) -> &'static str {
    crate::verify::VerifyReport::of(fs::File::open(path).unwrap()).outcome().name()
}

#[test]
fn a_torn_state_leaves_the_one_before() {
    let folder = {
        let mut fed = Fed::of(on_disk(flight()), &machine());
        fed.rename("worker");
        for part in 0..12 {
            fed.second(part * 40..(part + 1) * 40);
        }
        fed.kill()
    };
    let path = usual_path(folder.path());
    let states = records(&path, 2);
    assert!(states.len() > 2, "{states:?}");
    let (at, len) = *states.last().unwrap();
    flip(&path, at + len - 3);
    let capture = saved(&folder);
    let numbers = read(&capture).0;
    assert_eq!(numbers.last(), Some(&479));
    assert!(numbers.len() >= 120, "{}", numbers.len());
    // None is whole.
    let folder = {
        let mut fed = Fed::of(on_disk(flight()), &machine());
        fed.second(0..40);
        fed.kill()
    };
    let path = usual_path(folder.path());
    records(&path, 2).iter().for_each(|(at, _)| flip(&path, at + 150));
    let error = save::repair(&path, &RepairPlace::Instead).unwrap_err().to_string();
    assert!(error.contains("no whole state"), "{error}");
    let pattern = Pattern::parse(&folder.path().join("a.scap")).unwrap();
    let shelf = Shelf::open(pattern, &Series::default(), false).unwrap();
    save::make_room(&path, &on_disk(flight()), &shelf).unwrap();
    assert!(path.with_file_name("scapd.window.damaged").exists(), "it is kept aside");
}

#[test]
fn what_is_not_ours_is_refused_and_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("window");
    let refused = |says: &str| {
        let before = fs::read(&path).unwrap();
        let error = disk::check(&path).unwrap_err().to_string();
        assert!(error.contains(says) && error.contains("window"), "{error}");
        let made = disk::make(&path, (Duration::from_secs(1), Flight::LEAST), None);
        assert_eq!(made.unwrap_err().to_string(), error);
        assert_eq!(fs::read(&path).unwrap(), before);
    };
    fs::write(&path, "a letter to the editor").unwrap();
    refused("is not the window of a flight recorder");
    fs::write(&path, [0; 100_000]).unwrap();
    refused("is not the window of a flight recorder");
    let mut made = Vec::new();
    let whole = {
        let other = folder.path().join("other");
        let file = disk::make(&other, (Duration::from_secs(1), Flight::LEAST), None).unwrap().unwrap();
        made.push(fs::read(&other).unwrap());
        assert!(disk::check(&other).unwrap_err().to_string().contains("in use by another recorder"));
        file.remove();
        made.remove(0)
    };
    let with = |at: usize, byte: u8| {
        let mut bytes = whole.clone();
        bytes[at] = byte;
        fs::write(&path, bytes).unwrap();
    };
    with(8, 9);
    refused("its form is 9, this version knows 1");
    with(50, 9);
    refused("the start of");
    fs::write(&path, &whole).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o622)).unwrap();
    refused("only this user may write");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    disk::check(&path).unwrap();
    fs::hard_link(&path, folder.path().join("second")).unwrap();
    refused("no other name");
    fs::remove_file(folder.path().join("second")).unwrap();
    // A file cut off behind its head, and one that a recorder had just made.
    fs::write(&path, &whole[..5000]).unwrap();
    disk::check(&path).unwrap();
    fs::write(&path, "").unwrap();
    disk::check(&path).unwrap();
    // A link of this user's is followed, a folder is not a file.
    fs::remove_file(&path).unwrap();
    symlink("target", &path).unwrap();
    fs::write(folder.path().join("target"), "x").unwrap();
    refused("is not the window of a flight recorder");
    let error = disk::check(folder.path()).unwrap_err().to_string();
    assert!(error.contains("cannot open") || error.contains("only this user"), "{error}");
}

#[test]
fn a_disk_that_fails_does_not_stop_the_window() {
    let folder = tempfile::tempdir().unwrap();
    let pattern = Pattern::parse(&folder.path().join("a.scap")).unwrap();
    let shelf = Shelf::open(pattern, &Series::default(), false).unwrap();
    let path = usual_path(folder.path());
    let flight = on_disk(flight());
    let mut file: WindowFile = save::make_room(&path, &flight, &shelf).unwrap();
    // Nothing can be written to this one.
    file.file = Arc::new(fs::File::open(&path).unwrap());
    let mut fed = Fed::over(folder, Window::new(flight, shelf, Some(file)), &machine());
    (0..9).for_each(|part| fed.second(part * 10..(part + 1) * 10));
    assert_eq!(fed.disk().skipped, 90);
    assert!(fed.disk().is_failing && fed.disk().written == 0, "{:?}", fed.disk());
    fed.trigger(0);
    fed.settle();
    assert_eq!(fed.status().written, 1);
    let (_folder, dumps) = fed.end();
    assert_eq!(read(&dumps[0]).0, (0..90).collect::<Vec<_>>());
}

#[test]
fn a_window_is_saved_by_hand() {
    let fill = || {
        let mut fed = Fed::of(on_disk(flight()), &machine());
        (0..6).for_each(|part| fed.second(part * 10..(part + 1) * 10));
        fed.kill()
    };
    let all: Vec<u64> = (0..60).collect();
    for place in [RepairPlace::Instead, RepairPlace::InsteadOfKept] {
        let folder = fill();
        let path = usual_path(folder.path());
        let report = save::repair(&path, &place).unwrap().unwrap();
        assert_eq!((report.events, report.missing), (60, 0));
        assert_eq!(read(report.path.as_ref().unwrap()).0, all);
        assert!(!path.exists());
        let kept = path.with_file_name("scapd.window.damaged");
        assert_eq!(kept.exists(), place == RepairPlace::InsteadOfKept);
        assert_eq!(report.kept.is_some(), kept.exists());
    }
    let folder = fill();
    let path = usual_path(folder.path());
    let out = folder.path().join("out.scap");
    save::repair(&path, &RepairPlace::Elsewhere(out.clone())).unwrap().unwrap();
    assert_eq!((read(&out).0, verify(&out)), (all, "incomplete"));
    let again = save::repair(&path, &RepairPlace::Elsewhere(out)).unwrap_err().to_string();
    assert!(path.exists() && again.contains("already exists"), "{again}");
    // It is no window.
    assert!(
        save::repair(
            &captures(folder.path()).pop().unwrap_or(path.with_file_name("out.scap")),
            &RepairPlace::Instead
        )
        .unwrap()
        .is_none()
    );
}

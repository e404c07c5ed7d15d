//! The state that a dump begins with, and what is kept longer than the window.

use super::*;
use scap::{
    container,
    format::{
        FOR_NAMES, Keep,
        state::{Fd, FdKind, FdList, Thread},
    },
    ledger::Longer,
    model::Machine,
};

/// A process of one thread with one open file.
pub(super) fn machine() -> MachineState {
    let thread = Thread {
        tid: 100,
        pid: 100,
        ptid: 1,
        vtid: 100,
        vpid: 100,
        comm: b"sh".into(),
        cwd: b"/".into(),
        root: b"/".into(),
        ..Thread::default()
    };
    let file = FdKind::File { open_flags: 1, path: b"/first".into(), dev: 5 };
    let fds = FdList { pid: 100, fds: vec![Fd { fd: 3, ino: 9, kind: file }] };
    MachineState { threads: vec![thread], fds: vec![fds], ..MachineState::default() }
}

impl Fed {
    pub(super) fn open(&mut self, fd: i64, name: &str) {
        let name = ("name", Value::Text(name.as_bytes()));
        self.event(100, "openat_x", &[("fd", Value::Fd(fd)), ("dirfd", Value::Fd(-100)), name]);
    }

    /// Opens a file with a name that is easily packed, and has that be the case.
    pub(super) fn large(&mut self, fd: i64) {
        self.open(20 + fd, &"/deep".repeat(700));
        let segments = |fed: &Fed| fed.status().window.bytes;
        let deadline = Instant::now() + Duration::from_secs(1);
        let before = segments(self);
        while segments(self) >= before && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
            self.window.tick();
        }
    }

    pub(super) fn rename(&mut self, name: &str) {
        let values = [("option", Value::Enum(15)), ("arg2_str", Value::Text(name.as_bytes()))];
        self.event(100, "prctl_x", &[&[("res", Value::Errno(0))], &values[..]].concat());
    }

    fn close(&mut self, fd: i64) {
        self.event(100, "close_x", &[("res", Value::Errno(0)), ("fd", Value::Fd(fd))]);
    }
}

/// Returns what a machine knows of its process: the name, and the names of descriptors.
fn known(machine: &Machine) -> (String, Vec<(i64, String)>) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let fds = (0..10).filter_map(|fd| Some((fd, text(&machine.fd(100, fd)?.name)))).collect();
    (text(machine.thread(100).unwrap().comm), fds)
}

/// What a dump has.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// The process at the start.
    pub start: (String, Vec<(i64, String)>),
    /// The types of the events, by program, each with whether it is there for names only.
    pub events: Vec<(&'static str, bool)>,
    pub longer: Option<Longer>,
    pub verdict: Verdict,
    /// The state at the first event from which on it has everything.
    pub state: Option<MachineState>,
}

pub(super) fn contents(path: &Path) -> Contents {
    let mut reader = Reader::new(fs::File::open(path).unwrap()).unwrap().keep(Keep::All);
    let mut found = Contents::default();
    let (mut machine, mut is_before) = (None, true);
    while let Some(captured) = reader.next_event().unwrap() {
        let machine = machine.get_or_insert_with(|| {
            let machine = Machine::of_state(captured.state, Keep::All);
            found.start = known(&machine);
            machine
        });
        let notice = ledger::parse(&captured.event);
        let until = found.longer.as_ref().map_or(0, |longer| longer.until);
        let begins_with = matches!(notice, Some(Notice::Longer(_) | Notice::Selected(_)));
        if !begins_with && captured.event.ts() >= until && std::mem::take(&mut is_before) {
            machine.settle();
            // As a dump that began here would have it, once it is read.
            let written = Machine::of_state(&machine.write_state(), Keep::All);
            found.state = Some(written.write_state());
        }
        machine.apply_on(captured.cpu, &captured.event);
        match notice {
            Some(Notice::Longer(longer)) => found.longer = Some(longer),
            Some(Notice::Verdict(verdict)) => found.verdict = verdict,
            Some(_) => {}
            None => {
                let program = captured.event.info().unwrap().program.unwrap();
                found.events.push((program, captured.flags & FOR_NAMES != 0));
            }
        }
    }
    let verdict = found.verdict;
    assert_eq!((verdict.written, verdict.unaccounted()), (found.events.len() as u64, 0));
    found
}

pub(super) fn longer(seconds: u64, bytes: u64) -> Flight {
    let filter = Filter::parse("evt.type = write and fd.name = /second", &Fields).unwrap();
    let time = Duration::from_secs(seconds);
    Flight { longer: Some(KeepLonger { filter, time, bytes }), ..flight() }
}

/// The process opens and closes files, and is renamed. Then it writes to a file for 20 seconds.
pub(super) fn busy(fed: &mut Fed) {
    fed.open(5, "/second");
    fed.open(-2, "/missing");
    fed.rename("worker");
    fed.close(3);
    for number in 0..20 {
        fed.event(100, "write_x", &[("res", Value::Errno(1)), ("fd", Value::Fd(5 + number % 2))]);
    }
    fed.open(6, "/third");
}

#[test]
fn the_state_has_what_left_the_window() {
    let mut fed = Fed::of(flight(), &machine());
    busy(&mut fed);
    fed.trigger(0);
    fed.settle();
    let (_folder, paths) = fed.end();
    let found = contents(&paths[0]);
    assert_eq!(found.start, ("worker".to_owned(), vec![(5, "/second".to_owned())]));
    assert_eq!(found.events, [vec![("write_x", false); 10], vec![("openat_x", false)]].concat());
    assert_eq!((found.longer, found.verdict.left_out.passed), (None, 0));
}

#[test]
fn a_dump_begins_with_what_was_told_of_containers() {
    let mut fed = Fed::of(flight(), &machine());
    let mut blocks = Vec::new();
    let told = container::event_of(r#"{"container":{"id":"aaaaaaaaaaaa","name":"web"}}"#, fed.now + 1);
    frame_event(&mut blocks, 0, &told);
    // The recorder's own event is not counted.
    fed.put(&blocks, 0);
    busy(&mut fed);
    fed.trigger(0);
    fed.settle();
    let (_folder, paths) = fed.end();
    let mut reader = Reader::new(fs::File::open(&paths[0]).unwrap()).unwrap();
    let (mut told, mut events, mut written) = (Vec::new(), 0, 0);
    while let Some(captured) = reader.next_event().unwrap() {
        told.extend(container::told_by(&captured.event).map(|told| (told.name, events)));
        events += u64::from(!ledger::is_own(captured.event.ty()));
        if let Some(Notice::Verdict(verdict)) = ledger::parse(&captured.event) {
            written = verdict.written;
        }
    }
    assert_eq!(told, [("web".into(), 0)]);
    assert_eq!((events, written), (11, 11));
}

#[test]
fn what_matches_and_what_changes_the_state_is_kept_longer() {
    let mut plain = Fed::of(flight(), &machine());
    let mut fed = Fed::of(longer(1000, Flight::LEAST), &machine());
    let feds = [&mut plain, &mut fed];
    let until = feds.map(|fed| {
        busy(fed);
        fed.trigger(0);
        fed.settle();
        fed.status().window.from
    });
    let ((_folder, plain), (_other, paths)) = (plain.end(), fed.end());
    let (plain, found) = (contents(&plain[0]), contents(&paths[0]));
    assert_eq!(found.start, ("sh".to_owned(), vec![(3, "/first".to_owned())]));
    // All but the open that failed, and the writes to the other descriptor.
    let before = [("openat_x", true), ("prctl_x", true), ("close_x", true)];
    let writes = vec![("write_x", false); 5];
    assert_eq!(found.events, [&before[..], &writes, &plain.events].concat());
    let filter = "evt.type = write and fd.name = /second".to_owned();
    assert_eq!(found.longer, Some(Longer { until: until[1], filter }));
    assert_eq!((found.verdict.left_out.passed, found.verdict.left_out.evicted), (6, 0));
    assert_eq!(found.state, plain.state, "the states at the first event of the window");
}

#[test]
fn what_is_kept_longer_leaves_too() {
    let mut fed = Fed::of(longer(15, Flight::LEAST), &machine());
    busy(&mut fed);
    fed.trigger(0);
    fed.settle();
    let status = fed.status().longer.unwrap();
    assert_eq!((status.evicted, status.limit), (0, Flight::LEAST));
    let (_folder, paths) = fed.end();
    let found = contents(&paths[0]);
    assert_eq!(found.start, ("worker".to_owned(), vec![(5, "/second".to_owned())]));
    assert_eq!(found.events.len(), 11 + 2, "those of the window, and every other one of 5 seconds");
    assert_eq!(found.verdict.left_out.evicted, 0);
}

#[test]
fn what_is_kept_longer_has_memory_of_its_own() {
    let mut fed = Fed::of(longer(1000, Flight::LEAST), &machine());
    fed.open(5, "/second");
    let data = vec![7; LARGE];
    let write = |fed: &mut Fed| {
        let values = [("res", Value::Errno(1)), ("data", Value::Bytes(&data)), ("fd", Value::Fd(5))];
        fed.event(100, "write_x", &values);
    };
    for _ in 0..400 {
        write(&mut fed);
        let FlightStatus { longer, window, .. } = fed.status();
        assert_eq!(window.evicted, 0);
        assert!(longer.unwrap().bytes <= Flight::LEAST, "{longer:?}");
    }
    let status = fed.status().longer.unwrap();
    assert!(status.evicted > 100 && status.bytes > Flight::LEAST / 2, "{status:?}");
    fed.trigger(0);
    fed.settle();
    let (_folder, paths) = fed.end();
    let found = contents(&paths[0]);
    assert_eq!(found.start.1, [(3, "/first".to_owned()), (5, "/second".to_owned())]);
    assert_eq!(found.verdict.written + found.verdict.left_out.evicted, 401);
    assert_eq!(found.verdict.left_out.passed, 0);
}

#[test]
fn what_is_kept_longer_leaves_when_nothing_follows() {
    let mut fed = Fed::of(longer(15, Flight::LEAST), &machine());
    fed.open(5, "/second");
    fed.now += 12 * SECOND;
    fed.open(6, "/third");
    assert_eq!(fed.status().longer.unwrap().events, 1);
    fed.now += 100 * SECOND;
    fed.open(7, "/fourth");
    assert_eq!((fed.status().longer.unwrap().events, fed.status().longer.unwrap().from), (0, 0));
}

#[test]
fn what_had_to_go_early_has_only_passed_when_its_time_is_over() {
    let mut fed = Fed::of(longer(1000, Flight::LEAST), &machine());
    fed.open(5, "/second");
    // Each second has 40 events of 20 kB.
    (0..8).for_each(|second| fed.second(second * 40..(second + 1) * 40));
    let evicted = fed.status().window.evicted;
    assert!(evicted > 100);
    fed.trigger(0);
    fed.settle();
    fed.now += 100 * SECOND;
    fed.open(6, "/third");
    fed.trigger(0);
    fed.settle();
    let (_folder, paths) = fed.end();
    let gone = [0, 1].map(|dump| contents(&paths[dump]).verdict.left_out).map(|l| (l.evicted, l.passed));
    assert_eq!(gone, [(evicted, 0), (0, 320)]);
}

#[test]
fn a_full_window_leaves_room_for_the_state() {
    let mut large = machine();
    let first = large.threads[0].clone();
    let thread = |tid: u64| Thread {
        tid,
        pid: tid,
        vtid: tid as i64,
        vpid: tid as i64,
        env: vec![b'x'; 4000],
        ..first.clone()
    };
    large.threads.extend((1000..1200).map(thread));
    let mut fed = Fed::of(flight(), &large);
    (0..8).for_each(|second| fed.second(second * 40..(second + 1) * 40));
    // No file can be created there.
    let away = fed.folder.path().with_extension("away");
    fs::rename(fed.folder.path(), &away).unwrap();
    fed.trigger(0);
    for second in 8..12 {
        fed.second(second * 40..(second + 1) * 40);
        assert!(fed.status().window.bytes <= Flight::LEAST, "{:?}", fed.status());
    }
    fs::rename(&away, fed.folder.path()).unwrap();
    fed.settle();
    assert_eq!((fed.status().written, fed.status().failed), (1, 0));
}

//! Tests of the machine with events that they make.

mod requests;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{
    events::{EVENTS, Event, EventType, event as event_row},
    format::{
        EventBuilder, EventView, Keep, MachineState, Reader, Value, frame_event,
        state::{Fd, FdKind, FdList, L4Proto, NamedFd, Thread as StateThread, User},
        strategies, write_state,
    },
};

const NA: Value<'static> = Value::Absent;
const OK: Value<'static> = Value::Errno(0);

fn state() -> MachineState {
    let thread = |tid| StateThread {
        tid,
        pid: 100,
        ptid: 1,
        sid: 50,
        pgid: 90,
        vpgid: 90,
        vtid: tid as i64,
        vpid: 100,
        comm: b"sh".into(),
        exe: b"sh".into(),
        exepath: b"/bin/sh".into(),
        env: b"A=1\0".into(),
        cwd: b"/srv".into(),
        root: b"/".into(),
        fdlimit: 1024,
        tty: 7,
        cap_permitted: 3,
        cap_effective: 3,
        ..StateThread::default()
    };
    let file = FdKind::File { open_flags: 1, path: b"/srv/data".into(), dev: 5 };
    MachineState {
        users: vec![User { name: b"root".into(), ..User::default() }],
        threads: vec![thread(100), thread(101)],
        fds: vec![FdList { pid: 100, fds: vec![Fd { fd: 3, ino: 9, kind: file }] }],
        ..MachineState::default()
    }
}

/// Applies events to a machine, each 10 ns later than the one before.
struct Run {
    machine: Machine,
    ts: u64,
}

impl Run {
    fn new() -> Run {
        Run { machine: Machine::of_state(&state(), Keep::All), ts: 1_000_000 }
    }

    /// Applies an event of the newest row of that name, with the values of the parameters named.
    fn event(&mut self, tid: u64, name: &str, values: &[(&str, Value<'_>)]) -> Option<u64> {
        let (name, direction) = name.split_at(name.len() - 2);
        let row = EVENTS.iter().rfind(|e| e.name == name && e.ty.is_enter() == (direction == "_e")).unwrap();
        self.row(tid, row, values)
    }

    fn row(&mut self, tid: u64, row: &'static Event, values: &[(&str, Value<'_>)]) -> Option<u64> {
        self.ts += 10;
        let builder = row.params.iter().fold(EventBuilder::new(row, self.ts, tid), |builder, param| {
            let value = values.iter().find(|(name, _)| *name == param.name).map_or(NA, |(_, value)| *value);
            builder.param(value).unwrap()
        });
        values.iter().for_each(|(name, _)| assert!(row.param(name).is_some(), "{name}"));
        let bytes = builder.build_short().unwrap();
        self.machine.apply(&EventView::parse(&bytes, false).unwrap());
        self.machine.latency()
    }

    fn fork(&mut self, tid: u64, res: i64, pid: i64, parent: i64, flags: u32) {
        let vtid = ("vtid", Value::Pid(tid as i64));
        let values = [("res", Value::Pid(res)), ("pid", Value::Pid(pid)), ("ptid", Value::Pid(parent)), vtid];
        let more = [("flags", Value::Flags(flags)), ("comm", Value::Text(b"sh")), ("vpid", Value::Pid(pid))];
        self.event(tid, "clone_x", &[&values[..], &more].concat());
    }

    fn thread(&self, tid: u64) -> Thread<'_> {
        self.machine.thread(tid).unwrap()
    }
}

#[test]
fn calls_change_what_belongs_to_threads_and_processes() {
    let mut run = Run::new();
    run.event(101, "setsid_x", &[("res", Value::Pid(100))]);
    run.event(
        100,
        "setresuid_x",
        &[("res", OK), ("ruid", Value::Uid(5)), ("euid", Value::Uid(5)), ("suid", Value::Uid(5))],
    );
    run.event(101, "setgid_x", &[("res", OK), ("gid", Value::Gid(8))]);
    let limit = [("res", OK), ("cur", Value::Int(77)), ("max", Value::Int(99)), ("resource", Value::Enum(7))];
    run.event(101, "setrlimit_x", &limit);
    run.event(
        100,
        "setrlimit_x",
        &[("res", OK), ("cur", Value::Int(1)), ("max", NA), ("resource", Value::Enum(6))],
    );
    run.event(100, "setuid_x", &[("res", Value::Errno(-1)), ("uid", Value::Uid(0))]);
    run.event(100, "chroot_x", &[("res", OK), ("path", Value::Text(b"jail"))]);
    run.event(
        101,
        "prctl_x",
        &[("res", OK), ("option", Value::Enum(15)), ("arg2_str", Value::Text(b"worker"))],
    );
    for tid in [100, 101] {
        let Thread { process, .. } = run.thread(tid);
        assert_eq!((process.sid, process.pgid, process.vpgid, process.tty), (100, 100, 100, 0));
        assert_eq!((process.fdlimit, process.ptid, &*process.exepath), (77, 1, &b"/bin/sh"[..]));
        assert_eq!(run.thread(tid).root, b"/srv/jail");
    }
    let (main, other) = (run.thread(100), run.thread(101));
    assert_eq!((main.info.uid, main.info.cap_effective, main.info.cap_permitted), (5, 0, 0));
    assert_eq!((other.info.uid, other.info.cap_effective, other.info.gid), (0, 3, 8));
    assert_eq!((main.comm, other.comm), (&b"sh"[..], &b"worker"[..]));
    // A process group of another process, and its own.
    run.event(100, "setpgid_x", &[("res", OK), ("pid", Value::Pid(0)), ("pgid", Value::Pid(60))]);
    assert_eq!(run.thread(101).process.pgid, 60);
    run.event(100, "setpgid_x", &[("res", OK), ("pid", Value::Pid(100)), ("pgid", Value::Pid(0))]);
    assert_eq!(run.thread(101).process.pgid, 100);
}

#[test]
fn a_child_has_what_its_parent_has_until_it_executes() {
    let mut run = Run::new();
    run.fork(200, 0, 200, 101, 0);
    let child = run.thread(200);
    assert_eq!((child.pid, child.process.ptid, child.process.sid, child.process.vpid), (200, 100, 50, 200));
    assert_eq!((child.cwd, child.root, &*child.process.env), (&b"/srv"[..], &b"/"[..], &b"A=1\0"[..]));
    assert_eq!((child.process.started, child.info.vtid, child.info.cap_permitted), (run.ts, 200, 3));
    let texts =
        [("exe", Value::Text(b"ls")), ("args", Value::Bytes(b"-l\0")), ("env", Value::Bytes(b"B=2\0"))];
    let ids = [("res", OK), ("pid", Value::Pid(200)), ("ptid", Value::Pid(100)), ("uid", Value::Uid(6))];
    let path = [
        ("comm", Value::Text(b"ls")),
        ("trusted_exepath", Value::Text(b"/bin/ls")),
        ("cwd", Value::Text(b"/")),
    ];
    let flags =
        [("flags", Value::Flags(5)), ("exe_ino_mtime", Value::AbsTime(44)), ("vm_size", Value::Uint(9))];
    let rest = [("vm_rss", Value::Uint(8)), ("vm_swap", Value::Uint(7)), ("pgft_min", Value::Uint(6))];
    run.event(200, "execve_x", &[&texts[..], &ids, &path, &flags, &rest].concat());
    let child = run.thread(200);
    assert_eq!(
        (child.comm, &*child.process.exe, &*child.process.args),
        (&b"ls"[..], &b"ls"[..], &b"-l\0"[..])
    );
    assert_eq!((&*child.process.exepath, &*child.process.env), (&b"/bin/ls"[..], &b"B=2\0"[..]));
    assert!(child.process.exe_writable && child.process.exe_from_memfd && !child.process.exe_upper_layer);
    assert_eq!((child.process.exe_ino_mtime, child.process.executed, child.info.uid), (44, run.ts, 6));
    let Memory { vmsize_kb, vmrss_kb, vmswap_kb, pfminor, .. } = child.info.memory;
    assert_eq!((vmsize_kb, vmrss_kb, vmswap_kb, pfminor), (9, 8, 7, 6));
    assert_eq!(&*run.thread(100).process.exepath, b"/bin/sh");
}

/// A thread's own return names its process's parent, whose descriptors and directory are not the thread's.
#[test]
fn a_thread_shares_with_its_process_whoever_tells_first() {
    const THREAD: u32 = flag("clone_flags", "CLONE_THREAD")
        | flag("clone_flags", "CLONE_FILES")
        | flag("clone_flags", "CLONE_FS");
    let mut run = Run::new();
    run.fork(200, 0, 200, 100, 0);
    run.event(200, "chdir_x", &[("res", OK), ("path", Value::Text(b"/tmp"))]);
    run.fork(201, 0, 200, 100, THREAD);
    run.event(201, "close_x", &[("res", OK), ("fd", Value::Fd(3))]);
    run.event(201, "getcwd_x", &[]);
    assert_eq!((run.thread(201).pid, run.thread(201).cwd), (200, &b"/tmp"[..]));
    assert!(run.machine.fd(200, 3).is_none() && run.machine.fd(100, 3).is_some());
}

#[test]
fn an_exit_event_knows_its_duration() {
    let mut run = Run::new();
    assert_eq!(run.event(100, "read_x", &[]), None);
    run.event(100, "read_e", &[]);
    run.event(101, "write_e", &[]);
    assert_eq!(run.machine.call(100).unwrap().entered, 1_000_020);
    run.event(100, "switch_e", &[]);
    assert_eq!(run.event(100, "read_x", &[]), Some(30));
    assert_eq!(run.machine.call(100), None);
    assert_eq!(run.event(101, "write_x", &[]), Some(30));
    assert_eq!(run.event(101, "write_x", &[]), None, "an enter event has one exit");
    // Another call's exit, a lost exit, and another generic call.
    run.event(100, "read_e", &[]);
    assert_eq!(run.event(100, "write_x", &[]), None);
    assert_eq!(run.event(100, "read_x", &[]), None);
    run.event(100, "read_e", &[]);
    run.event(101, "read_e", &[]);
    run.event(100, "write_e", &[]);
    assert_eq!(run.event(100, "write_x", &[]), Some(10));
    assert_eq!(run.event(100, "read_x", &[]), None);
    let (enter, exit) = (&EVENTS[0], &EVENTS[1]);
    run.row(100, enter, &[("ID", Value::Syscall(7))]);
    assert_eq!(run.row(100, exit, &[("ID", Value::Syscall(8))]), None);
    run.row(100, enter, &[("ID", Value::Syscall(7))]);
    assert_eq!(run.row(100, exit, &[("ID", Value::Syscall(7))]), Some(10));
    // A thread's end, and a gap.
    run.event(100, "read_e", &[]);
    run.event(100, "procexit_e", &[]);
    assert_eq!(run.event(100, "read_x", &[]), None);
    run.event(101, "read_e", &[]);
    run.event(0, "drop_e", &[]);
    assert_eq!(run.event(101, "read_x", &[]), None);
}

#[test]
fn a_successors_exit_ends_an_old_call() {
    let mut run = Run::new();
    let row = |code: &str| EVENTS.iter().find(|e| e.code == code).unwrap();
    run.row(100, row("PPME_SYSCALL_OPENAT_E"), &[]);
    assert_eq!(run.row(100, row("PPME_SYSCALL_OPENAT_2_X"), &[]), Some(10));
}

/// The child's return, its end and the next process of its number are on both sides of a gap: the next one is not the
/// same task.
#[test]
fn after_a_gap_a_number_may_be_another_process() {
    let first = |run: &mut Run| {
        run.fork(100, 200, 100, 1, 0);
        run.event(200, "close_x", &[("res", OK), ("fd", Value::Fd(3))]);
        run.event(
            100,
            "prctl_x",
            &[("res", OK), ("option", Value::Enum(15)), ("arg2_str", Value::Text(b"new"))],
        );
    };
    let mut run = Run::new();
    first(&mut run);
    run.fork(200, 0, 200, 100, 0);
    assert!(run.machine.fd(200, 3).is_none(), "the second return of the same clone");
    let mut run = Run::new();
    first(&mut run);
    let notice = [("id", Value::Text(b"scapd.gap")), ("desc", Value::Text(b"lost=9"))];
    run.event(0, "notification_e", &notice);
    run.fork(200, 0, 200, 100, 0);
    assert!(run.machine.fd(200, 3).is_some(), "another process of that number");
}

#[test]
fn users_and_groups_come_and_go() {
    let mut run = Run::new();
    let name = |name| ("name", Value::Text(name));
    run.event(1, "useradded_e", &[("uid", Value::Uint(7)), name(b"a"), ("shell", Value::Text(b"/bin/sh"))]);
    run.event(1, "groupadded_e", &[("gid", Value::Uint(8)), name(b"g")]);
    run.event(1, "useradded_e", &[("uid", Value::Uint(9)), name(b"b"), ("container_id", Value::Text(b"c"))]);
    run.event(1, "userdeleted_e", &[("uid", Value::Uint(0))]);
    let user = run.machine.user(7).unwrap();
    assert_eq!((&user.name[..], &user.shell[..]), (&b"a"[..], &b"/bin/sh"[..]));
    assert_eq!(run.machine.group(8).unwrap().name, b"g");
    assert!(run.machine.user(9).is_none() && run.machine.user(0).is_none());
    run.event(1, "groupdeleted_e", &[("gid", Value::Uint(8))]);
    assert!(run.machine.group(8).is_none());
}

#[test]
fn a_call_whose_exit_is_lost_is_not_paired_with_a_later_exit() {
    let mut run = Run::new();
    let exit = [("res", OK), ("fd", Value::Fd(3))];
    run.event(100, "read_e", &[]);
    run.event(101, "close_e", &[]);
    run.event(101, "close_x", &exit);
    run.event(100, "close_e", &[]);
    assert_eq!(run.event(100, "close_x", &exit), Some(10));
    assert_eq!(run.event(100, "read_x", &exit), None);
}

#[test]
fn only_names_are_kept_where_only_names_are_asked_for() {
    let mut run = Run { machine: Machine::of_state(&state(), Keep::Names), ts: 0 };
    run.fork(200, 0, 200, 100, 0);
    run.event(200, "execve_x", &[("res", OK), ("pid", Value::Pid(200)), ("comm", Value::Text(b"ls"))]);
    assert!(run.machine.thread(100).is_none() && run.machine.thread(200).is_none());
    assert_eq!((run.machine.comm(200), run.machine.cwd(200)), (Some(&b"ls"[..]), Some(&b"/srv"[..])));
}

/// Returns a state in the order and with the lists that [`Machine::write_state`] has.
fn normal(mut state: MachineState) -> MachineState {
    state.threads.sort_by_key(|t| t.tid);
    state.users.sort_by_key(|user| user.uid);
    state.groups.sort_by_key(|group| group.gid);
    let mut lists: BTreeMap<u64, BTreeMap<u64, Fd>> = BTreeMap::new();
    for list in state.fds {
        lists.entry(list.pid).or_default().extend(list.fds.into_iter().map(|fd| (fd.fd, fd)));
    }
    lists.retain(|_, fds| !fds.is_empty());
    state.fds =
        lists.into_iter().map(|(pid, fds)| FdList { pid, fds: fds.into_values().collect() }).collect();
    state
}

proptest! {
    /// The state right after the start is the one read. (Of several entries of a thread, the last counts; descriptors
    /// have numbers that the kernel gives; a list is a process's, not a thread's.)
    #[test]
    fn the_first_state_is_written_as_it_was(mut state in strategies::state()) {
        for (i, t) in state.threads.iter_mut().enumerate() {
            t.tid = t.tid % 1000 * 100 + i as u64;
            // A process's number is no other process's thread.
            t.pid = if i == 0 { t.tid } else { t.pid % 7 * 100 };
            t.cwd = if t.tid != t.pid && t.cwd.is_empty() { b"/x".into() } else { t.cwd.clone() };
            t.root = if t.tid != t.pid && t.root.is_empty() { b"/x".into() } else { t.root.clone() };
        }
        for (i, list) in state.fds.iter_mut().enumerate() {
            list.pid = 1 << 40 | i as u64;
            list.fds.iter_mut().for_each(|fd| fd.fd %= 1 << 31);
        }
        let machine = Machine::of_state(&state, Keep::All);
        let mut written = machine.write_state();
        // Processes without a thread.
        written.beyond.retain(|entry| entry[0] != 1);
        prop_assert_eq!(written, normal(state));
    }

    /// A hostile state is no panic, and what comes of it can be written again.
    #[test]
    fn any_entries_beyond_the_lists_are_no_panic(
        mut state in strategies::state(),
        entries in proptest::collection::vec((1..4u8, proptest::collection::vec(0..6u8, 0..80)), 0..12),
    ) {
        for (i, thread) in state.threads.iter_mut().enumerate() {
            (thread.tid, thread.pid) = (i as u64, i as u64 / 2);
        }
        // Small numbers in every place: they name each other.
        let spread = |bytes: Vec<u8>| bytes.into_iter().flat_map(|b| [b, 0, 0, 0, 0, 0, 0, 0]).collect::<Vec<u8>>();
        state.beyond = entries.into_iter().map(|(kind, bytes)| [vec![kind], spread(bytes)].concat()).collect();
        let machine = Machine::of_state(&state, Keep::All);
        let again = Machine::of_state(&machine.write_state(), Keep::All);
        prop_assert_eq!(again.threads(), machine.threads());
        prop_assert!(machine.memory() > 0 || machine.threads().is_empty());
    }

    /// No sequence of events makes a state that cannot be read back, and read back it is the same.
    #[test]
    fn any_state_is_read_back(state in strategies::state(), events in proptest::collection::vec((strategies::event(), 0..6u64), 0..40)) {
        let mut machine = Machine::of_state(&state, Keep::All);
        for (i, ((row, values), tid)) in events.iter().enumerate() {
            let event = strategies::built(row, values, i as u64, *tid);
            if let Ok(event) = EventView::parse(&event, false) {
                machine.apply(&event);
            }
        }
        let written = machine.write_state();
        let mut bytes = Vec::new();
        write_state(&mut bytes, &written).unwrap();
        let mut reader = Reader::new(&bytes[..]).unwrap();
        prop_assert!(reader.next_event().unwrap().is_none());
        prop_assert_eq!(reader.state().threads.len(), written.threads.len());
        let again = Machine::of_state(reader.state(), Keep::All);
        for tid in machine.threads() {
            prop_assert_eq!(again.comm(tid).map(|comm| &comm[..comm.len().min(1024)]), machine.comm(tid));
        }
    }
}

/// A capture that begins with the state at an event shows the names that one from the start shows.
#[test]
fn a_state_in_the_middle_has_the_names_of_that_moment() {
    let mut run = Run::new();
    let open = [("name", Value::Text(b"f")), ("dirfd", Value::Fd(-100)), ("flags", Value::Flags(4097))];
    run.event(
        100,
        "openat_x",
        &[&open[..], &[("fd", Value::Fd(4)), ("dev", Value::Uint(3)), ("ino", Value::Uint(8))]].concat(),
    );
    let tuple = crate::format::SockTuple::Inet {
        source: ([127, 0, 0, 1].into(), 4000),
        destination: ([127, 0, 0, 1].into(), 80),
    };
    run.event(100, "socket_x", &[("fd", Value::Fd(5)), ("domain", Value::Enum(2)), ("type", Value::Uint(1))]);
    run.event(100, "socket_x", &[("fd", Value::Fd(6)), ("domain", Value::Enum(2)), ("type", Value::Uint(1))]);
    run.event(100, "connect_x", &[("res", OK), ("fd", Value::Fd(5)), ("tuple", Value::SockTuple(tuple))]);
    let unix = crate::format::SockTuple::Unix { source: 1, destination: 2, path: b"/run/s" };
    run.event(100, "connect_x", &[("res", OK), ("fd", Value::Fd(7)), ("tuple", Value::SockTuple(unix))]);
    run.event(
        100,
        "pipe2_x",
        &[("res", OK), ("fd1", Value::Fd(8)), ("fd2", Value::Fd(9)), ("ino", Value::Uint(55))],
    );
    run.event(100, "memfd_create_x", &[("fd", Value::Fd(10)), ("name", Value::Text(b"m"))]);
    run.event(100, "dup_x", &[("res", Value::Fd(11)), ("oldfd", Value::Fd(3))]);
    run.event(100, "close_x", &[("res", OK), ("fd", Value::Fd(3))]);
    run.fork(200, 0, 200, 100, 0);
    run.event(200, "chdir_x", &[("res", OK), ("path", Value::Text(b"sub"))]);

    let mut bytes = Vec::new();
    let written = run.machine.write_state();
    write_state(&mut bytes, &written).unwrap();
    let close = EVENTS.iter().find(|e| e.code == "PPME_SYSCALL_CLOSE_X").unwrap();
    let event = EventBuilder::new(close, 1, 100)
        .param(OK)
        .unwrap()
        .param(Value::Fd(50))
        .unwrap()
        .build_short()
        .unwrap();
    frame_event(&mut bytes, 0, &event);
    let mut reader = Reader::new(&bytes[..]).unwrap();
    let captured = reader.next_event().unwrap().unwrap();
    assert_eq!(*captured.state, written);
    let again = Machine::of_state(captured.state, Keep::All);
    for tid in [100, 101, 200] {
        assert_eq!((again.comm(tid), again.cwd(tid)), (run.machine.comm(tid), run.machine.cwd(tid)));
        let shown = |machine: &Machine| {
            let fds = machine.fds(tid).into_iter();
            fds.map(|(fd, open)| (fd, open.class.letter(), open.name.escape_ascii().to_string()))
                .collect::<Vec<_>>()
        };
        let (before, after) = (shown(&run.machine), shown(&again));
        // A socket without an address has no kind in the state.
        assert_eq!(
            before.iter().filter(|(fd, ..)| *fd != 6).collect::<Vec<_>>(),
            after.iter().filter(|(fd, ..)| *fd != 6).collect::<Vec<_>>()
        );
        assert_eq!(before.len(), 8);
    }
    // An exec closes what was close-on-exec.
    let of = |machine: &Machine| machine.fd(100, 4).map(|fd| (fd.flags, fd.dev, fd.ino, fd.name.to_vec()));
    assert_eq!(of(&run.machine), of(&again));
    assert_eq!(of(&again), Some((4097, 3, 8, b"/srv/f".to_vec())));
    assert!(matches!(again.fd(100, 5).unwrap().class, FdClass::Ipv4(L4Proto::Tcp)));
    assert_eq!(again.fd(100, 10).unwrap().class, FdClass::Named(NamedFd::Memfd));
}

/// A call without a program of its own changes the machine by what its extension says.
#[test]
fn an_extended_event_has_the_effect_of_its_row() {
    let mut run = Run::new();
    let call = |run: &mut Run, name: &str, values: &[(&str, Value<'_>)]| {
        let code = crate::events::Syscall::by_name(name).unwrap().code;
        let row = event_row(EventType(0x8001 + 2 * code)).unwrap();
        run.ts += 10;
        let build = |row: &'static Event, values: &[(&str, Value<'_>)]| {
            let value = |name: &str| values.iter().find(|(n, _)| *n == name).map_or(NA, |(_, value)| *value);
            let start = EventBuilder::new(row, run.ts, 100);
            row.params.iter().fold(start, |b, p| b.param(value(p.name)).unwrap()).build().unwrap()
        };
        let mut bytes = build(&EVENTS[1], &[("ID", Value::Syscall(code))]);
        let extension = build(row, values);
        bytes.extend(extension);
        run.machine.apply(&EventView::parse_joined(&bytes, false).unwrap());
    };
    let cloexec = flag("fsopen_flags", "FSOPEN_CLOEXEC");
    call(&mut run, "fsopen", &[("res", Value::Fd(7)), ("flags", Value::Flags(cloexec))]);
    let dir = ("dirfd", Value::Fd(-100));
    call(&mut run, "open_tree", &[("res", Value::Fd(8)), dir, ("path", Value::Text(b"a"))]);
    call(&mut run, "fsopen", &[("res", Value::Fd(-1))]);
    call(&mut run, "fsmount", &[("res", Value::Fd(9)), ("flags", Value::Flags(0))]);
    call(&mut run, "mq_open", &[("res", Value::Fd(10)), ("name", Value::Text(b"queue"))]);
    let name = |run: &Run, fd| run.machine.fd(100, fd).map(|fd| fd.name.escape_ascii().to_string());
    assert_eq!(name(&run, 7).as_deref(), Some("anon_inode:[fscontext]"));
    assert_eq!(name(&run, 8).as_deref(), Some("/srv/a"));
    assert_eq!(name(&run, -1), None);
    let class = |run: &Run, fd| run.machine.fd(100, fd).unwrap().class;
    assert_eq!(name(&run, 9).as_deref(), Some("/"));
    assert_eq!(class(&run, 9), FdClass::Named(NamedFd::Directory));
    assert_eq!(name(&run, 10).as_deref(), Some("/queue"));
    assert_eq!(class(&run, 10), FdClass::File);
    run.event(100, "execve_x", &[("res", OK), ("exe", Value::Text(b"x")), ("pid", Value::Pid(100))]);
    assert_eq!((name(&run, 7), name(&run, 8).is_some()), (None, true), "FSOPEN_CLOEXEC");
    assert_eq!((name(&run, 9).is_some(), name(&run, 10)), (true, None), "a queue is close-on-exec");
}

//! Tests that print captures.

use std::{io, net::Ipv4Addr};

use jiff::tz::TimeZone;
use proptest::{collection::vec, prelude::*};
use serde_json::{Value as Json, json};

use super::{line::LineWriter, *};
use crate::read::{Form, ReadArgs, read};
use scap::{
    events::{EVENTS, Event},
    format::{
        EventBuilder, FdEntries, MachineState, Reader, SockAddr, SockTuple, Value, frame_event,
        state::{Fd, FdKind, FdList, Group, L4Proto, MachineInfo, Thread, User},
        strategies, write_state,
    },
    ledger,
    replay::{Position, Replay},
    select::{self, parse_events},
};

const NA: Value<'static> = Value::Absent;

/// A shell (100) that has a directory, a log and a connection open.
fn state() -> MachineState {
    let thread = |tid, comm: &str| Thread {
        tid,
        pid: 100,
        comm: comm.into(),
        cwd: b"/srv".into(),
        ..Thread::default()
    };
    let fd = |fd, kind| Fd { fd, ino: 0, kind };
    let connection = FdKind::Ipv4 {
        source: (Ipv4Addr::LOCALHOST, 4000),
        destination: (Ipv4Addr::LOCALHOST, 80),
        l4: L4Proto::Tcp,
    };
    MachineState {
        machine: MachineInfo {
            num_cpus: 4,
            hostname: b"box".into(),
            memory_size: 8 << 30,
            ..MachineInfo::default()
        },
        users: vec![User { uid: 0, name: b"root".into(), ..User::default() }],
        groups: vec![Group { gid: 5, name: b"tty".into() }],
        threads: vec![thread(100, "sh"), thread(101, "sh-worker")],
        fds: vec![FdList {
            pid: 100,
            fds: vec![
                fd(3, FdKind::File { open_flags: 1, path: b"/srv/data".into(), dev: 0 }),
                fd(4, FdKind::File { open_flags: 2 | 4096, path: b"/var/log/x".into(), dev: 0 }),
                fd(5, connection),
            ],
        }],
        ..MachineState::default()
    }
}

/// Returns the newest row of a name, which ends in `_e` for the enter and `_x` for the exit event.
fn newest(event: &str) -> &'static Event {
    let (name, direction) = event.split_at(event.len() - 2);
    EVENTS.iter().rfind(|e| e.name == name && e.ty.is_enter() == (direction == "_e")).unwrap()
}

/// A capture under construction. Each event is 1 ns later than the one before.
struct Capture {
    bytes: Vec<u8>,
    ts: u64,
}

impl Capture {
    fn new() -> Capture {
        let mut bytes = Vec::new();
        write_state(&mut bytes, &state()).unwrap();
        Capture { bytes, ts: 1_700_000_000_000_000_000 }
    }

    fn event(self, tid: u64, event: &str, values: &[Value<'_>]) -> Capture {
        self.row(tid, newest(event), values)
    }

    fn row(mut self, tid: u64, row: &'static Event, values: &[Value<'_>]) -> Capture {
        self.ts += 1;
        let start = EventBuilder::new(row, self.ts, tid);
        let event = values.iter().fold(start, |b, v| b.param(*v).unwrap()).build_short().unwrap();
        frame_event(&mut self.bytes, 1, &event);
        self
    }

    /// Adds an exec with only the parameters that affect names.
    fn exec(self, tid: u64, comm: &str) -> Capture {
        let pid = Value::Pid(tid as i64);
        let mut values = vec![Value::Errno(0), Value::Text(b"/bin/x"), NA, pid, pid, Value::Pid(1)];
        values.extend([Value::Text(b"/srv"), NA, NA, NA, NA, NA, NA, Value::Text(comm.as_bytes())]);
        self.event(tid, "execve_x", &values)
    }

    /// Adds one of the two returns of a fork.
    fn fork(self, tid: u64, res: i64, pid: u64, parent: i64) -> Capture {
        let (id, pid) = (Value::Pid(tid as i64), Value::Pid(pid as i64));
        let mut values = vec![Value::Pid(res), Value::Text(b"/bin/sh"), NA, id, pid, Value::Pid(parent)];
        values.extend([NA, NA, NA, NA, NA, NA, NA, Value::Text(b"sh"), NA, Value::Flags(0), NA, NA, id, pid]);
        self.event(tid, "fork_x", &values)
    }

    /// Creates a capture with another initial state.
    fn of(state: &MachineState) -> Capture {
        let mut capture = Capture::new();
        capture.bytes.clear();
        write_state(&mut capture.bytes, state).unwrap();
        capture
    }

    /// Adds an event of the row with this code, which may be an old one.
    fn old(self, tid: u64, code: &str, values: &[Value<'_>]) -> Capture {
        self.row(tid, EVENTS.iter().find(|e| e.code == code).unwrap(), values)
    }

    /// Adds an event whose line ends with the name of a descriptor.
    fn look(self, tid: u64, fd: i64) -> Capture {
        self.event(tid, "fchdir_e", &[Value::Fd(fd)])
    }

    /// Returns the descriptors that [`look`](Capture::look) shows.
    fn looks(&self) -> Vec<String> {
        let looks =
            self.lines().into_iter().filter_map(|l| l.strip_prefix("> fchdir fd=").map(str::to_string));
        looks.collect()
    }

    /// Writes the capture to a file and reads it as the commands do.
    fn read(&self, change: impl FnOnce(&mut ReadArgs)) -> (String, Result<(), PrintError>) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &self.bytes).unwrap();
        let mut args = ReadArgs { files: vec![file.path().into()], ..ReadArgs::default() };
        change(&mut args);
        let mut out = Vec::new();
        let result = read(&args, &mut out);
        (String::from_utf8(out).unwrap(), result)
    }

    /// Returns the part of each line after the thread.
    fn lines(&self) -> Vec<String> {
        let (out, result) = self.read(|_| {});
        result.unwrap();
        out.lines().map(|l| l.split_once(") ").unwrap().1.to_string()).collect()
    }

    fn json(&self) -> Vec<Json> {
        let (out, result) = self.read(|args| (args.form, args.wanted.all) = (Form::Json, true));
        result.unwrap();
        out.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
    }
}

fn v4(port: u16) -> (std::net::IpAddr, u16) {
    (Ipv4Addr::LOCALHOST.into(), port)
}

#[test]
fn a_line_is_sysdigs() {
    let capture = Capture::new()
        .event(
            100,
            "openat_e",
            &[Value::Fd(-100), Value::Text(b"/etc/passwd"), Value::Flags(1), Value::Uint(0)],
        )
        .event(999, "close_e", &[Value::Fd(3)]);
    let mut writer = LineWriter::new(LineStyle::default(), TimeZone::UTC);
    let mut reader = Reader::new(&capture.bytes[..]).unwrap();
    let mut lines = Vec::new();
    let mut replay = Replay::new(&mut reader, Keep::Names, Position::default());
    while let Some(moment) = replay.next().unwrap() {
        let mut line = String::new();
        writer.write(&mut line, &moment);
        lines.push(line);
    }
    let opened = "1 22:13:20.000000001 1 sh (100) > openat dirfd=-100(AT_FDCWD) name=/etc/passwd flags=1(O_RDONLY) mode=0";
    assert_eq!(lines, [opened, "2 22:13:20.000000002 1 <NA> (999) > close fd=3"]);
}

#[test]
fn results_errors_and_data() {
    let lines = Capture::new()
        .event(100, "access_x", &[Value::Errno(-2), Value::Text(b"sub/f"), Value::Flags(4)])
        .event(100, "read_x", &[Value::Errno(6), Value::Bytes(b"a\0\r\n\xffb"), Value::Fd(3), Value::Uint(6)])
        .event(100, "read_x", &[Value::Errno(-9), NA, Value::Fd(77), Value::Uint(6)])
        .event(100, "mmap_x", &[Value::Errno(0x7fab_0000_0000)])
        .event(100, "mmap_x", &[Value::Errno(-12)])
        .event(
            101,
            "openat_x",
            &[
                Value::Fd(-13),
                Value::Fd(3),
                Value::Text(b"../x"),
                Value::Flags(4097),
                Value::Uint(0o644),
                Value::Uint(0xfe01),
                NA,
            ],
        )
        .lines();
    let expected = [
        "< access res=-2(ENOENT) name=sub/f(/srv/sub/f) mode=4(R_OK)",
        "< read res=6 data=a....b fd=3(<f>/srv/data) size=6",
        "< read res=-9(EBADF) data=NULL fd=77 size=6",
        "< mmap res=7FAB00000000",
        "< mmap res=-12(ENOMEM)",
        "< openat fd=-13(EACCES) dirfd=3(<f>/srv/data) name=../x(/srv/x) flags=4097(O_RDONLY|O_CLOEXEC) mode=0644 dev=FE01 ino=<NA>",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn processes_signals_users_and_calls() {
    let lines = Capture::new()
        .event(100, "kill_e", &[Value::Pid(101), Value::Signal(9)])
        .event(100, "kill_e", &[Value::Pid(-1), Value::Signal(15)])
        .event(100, "setuid_e", &[Value::Uid(0)])
        .event(100, "setgid_e", &[Value::Gid(u32::MAX)])
        .event(100, "setgid_e", &[Value::Gid(5)])
        .event(100, "syscall_e", &[Value::Syscall(16), Value::Uint(39)])
        .event(100, "syscall_x", &[Value::Syscall(0), Value::Uint(39)])
        .event(100, "syscall_e", &[Value::Syscall(0), Value::Uint(0x403b)])
        .event(100, "syscall_x", &[Value::Syscall(0), Value::Uint(0x8011)])
        .event(100, "syscall_x", &[Value::Syscall(0), Value::Uint(0xffff)])
        .lines();
    let getpid = if cfg!(target_arch = "x86_64") { "getpid" } else { "umount2" };
    let expected = [
        "> kill pid=101(sh-worker) sig=9(SIGKILL)".to_string(),
        "> kill pid=-1 sig=15(SIGTERM)".to_string(),
        "> setuid uid=0(root)".to_string(),
        "> setgid gid=-1(<NONE>)".to_string(),
        "> setgid gid=5(tty)".to_string(),
        "> getpid ID=16(getpid) nativeID=39".to_string(),
        format!("< {getpid} ID=0 nativeID=39"),
        "> syscall ID=0 nativeID=16443(x32 call 59)".to_string(),
        "< syscall ID=0 nativeID=32785(32-bit call 17)".to_string(),
        "< syscall ID=0 nativeID=65535(a call number above 16383)".to_string(),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn sockets_times_and_lists() {
    let tuple = SockTuple::Inet { source: v4(1), destination: v4(2) };
    let entries =
        [&3i64.to_ne_bytes()[..], &1u16.to_ne_bytes(), &9i64.to_ne_bytes(), &4u16.to_ne_bytes()].concat();
    let fds = Value::FdList(FdEntries::new(&entries).unwrap());
    let row = |code: &str| EVENTS.iter().find(|e| e.code == code).unwrap();
    let capture = Capture::new()
        .event(100, "socket_x", &[Value::Fd(8), Value::Enum(2), Value::Uint(1), Value::Uint(0)])
        .event(100, "connect_e", &[Value::Fd(8), Value::SockAddr(SockAddr::Inet(v4(2).0, 2))])
        .event(100, "connect_x", &[Value::Errno(-115), Value::SockTuple(tuple), Value::Fd(8), NA])
        .event(100, "shutdown_e", &[Value::Fd(8), Value::Enum(2)])
        .row(100, row("PPME_SYSCALL_PPOLL_E"), &[fds, Value::RelTime(1_500_000_000), Value::SigSet(0b110)])
        .row(100, row("PPME_SYSCALL_PPOLL_E"), &[NA, Value::RelTime(u64::MAX), Value::SigSet(0)]);
    let expected = [
        "< socket fd=8(<4t>) domain=2(AF_INET) type=1 proto=0",
        "> connect fd=8(<4t>) addr=127.0.0.1:2",
        "< connect res=-115(EINPROGRESS) tuple=127.0.0.1:1->127.0.0.1:2 fd=8(<4t>127.0.0.1:1->127.0.0.1:2) addr=<NA>",
        "> shutdown fd=8(<4t>127.0.0.1:1->127.0.0.1:2) how=2(SHUT_RDWR)",
        "> ppoll fds=3:f1 9:?4 timeout=1500000000(1.5s) sigmask=SIGINT SIGQUIT",
        "> ppoll fds=NULL timeout=none sigmask=",
    ];
    assert_eq!(capture.lines(), expected);

    let json = capture.json();
    let tuple = json!({
        "family": "AF_INET",
        "source": { "ip": "127.0.0.1", "port": 1 },
        "destination": { "ip": "127.0.0.1", "port": 2 },
    });
    assert_eq!(json[2]["args"]["tuple"], tuple);
    assert_eq!(json[1]["args"]["addr"], json!({ "family": "AF_INET", "ip": "127.0.0.1", "port": 2 }));
    assert_eq!(json[4]["args"]["fds"][1], json!({ "fd": 9, "events": { "value": 4, "names": ["POLLOUT"] } }));
    assert_eq!(json[4]["args"]["timeout"], json!({ "value": 1_500_000_000, "name": "1.5s" }));
    assert_eq!(json[5]["args"]["timeout"], json!({ "value": "18446744073709551615" }));
    assert_eq!(json[4]["args"]["sigmask"], json!({ "value": 6, "names": ["SIGINT", "SIGQUIT"] }));
    assert_eq!(json[5]["args"]["fds"], Json::Null);
}

#[test]
fn json_has_typed_values() {
    let json = Capture::new()
        .event(
            101,
            "openat_x",
            &[Value::Fd(6), Value::Fd(-100), Value::Text(b"f"), Value::Flags(3), Value::Uint(0)],
        )
        .event(101, "read_x", &[Value::Errno(-9), Value::Bytes(b"\xff\0"), Value::Fd(6), Value::Uint(2)])
        .json();
    let expected = json!({
        "v": 1,
        "num": 1,
        "ts": "1700000000000000001",
        "time": "2023-11-14T22:13:20.000000001Z",
        "cpu": 1,
        "tid": 101,
        "pid": 100,
        "proc": "sh-worker",
        "dir": "<",
        "type": "openat",
        "category": "File",
        "args": {
            "fd": { "value": 6, "name": "/srv/f", "kind": "file" },
            "dirfd": { "value": -100, "name": "AT_FDCWD" },
            "name": { "value": "f", "name": "/srv/f" },
            "flags": { "value": 3, "names": ["O_RDWR"] },
            "mode": 0,
        },
    });
    assert_eq!(json[0], expected);
    assert_eq!(json[1]["args"]["res"], json!({ "value": -9, "name": "EBADF" }));
    assert_eq!(json[1]["args"]["data"], json!("\\xff\0"));
}

#[test]
fn names_follow_descriptors() {
    let cloexec = Value::Flags(1 | 4096);
    let lines = Capture::new()
        // The close itself still shows the name.
        .event(100, "close_x", &[Value::Errno(0), Value::Fd(3)])
        .event(100, "close_x", &[Value::Errno(-9), Value::Fd(3)])
        .event(101, "dup2_x", &[Value::Fd(7), Value::Fd(5), Value::Fd(7)])
        .event(100, "chdir_x", &[Value::Errno(0), Value::Text(b"../tmp")])
        .event(100, "openat_x", &[Value::Fd(9), Value::Fd(-100), Value::Text(b"a"), cloexec, Value::Uint(0)])
        .event(
            100,
            "pipe2_x",
            &[Value::Errno(0), Value::Fd(10), Value::Fd(11), Value::Uint(55), Value::Flags(0)],
        )
        // An exec closes the close-on-exec descriptors: 4 and 9, not the rest.
        .exec(100, "prog")
        .event(100, "read_e", &[Value::Fd(4), Value::Uint(1)])
        .event(100, "read_e", &[Value::Fd(9), Value::Uint(1)])
        .event(100, "read_e", &[Value::Fd(10), Value::Uint(1)])
        .event(100, "read_e", &[Value::Fd(7), Value::Uint(1)])
        .lines();
    assert_eq!(lines[0], "< close res=0 fd=3(<f>/srv/data)");
    assert_eq!(lines[1], "< close res=-9(EBADF) fd=3");
    assert!(lines[2].contains("res=7(<4t>127.0.0.1:4000->127.0.0.1:80)"), "{}", lines[2]);
    assert!(lines[4].contains("fd=9(<f>/tmp/a)"), "{}", lines[4]);
    assert!(lines[5].contains("fd1=10(<p>pipe:[55]) fd2=11(<p>pipe:[55])"), "{}", lines[5]);
    let reads = [
        "> read fd=4 size=1",
        "> read fd=9 size=1",
        "> read fd=10(<p>pipe:[55]) size=1",
        "> read fd=7(<4t>127.0.0.1:4000->127.0.0.1:80) size=1",
    ];
    assert_eq!(lines[7..], reads);
}

#[test]
fn names_follow_the_rarer_calls() {
    let row = |code: &str| EVENTS.iter().find(|e| e.code == code).unwrap();
    let (dupfd, dupfd_cloexec, setfd) = (Value::Enum(1), Value::Enum(26), Value::Enum(3));
    let unix = SockTuple::Unix { source: 1, destination: 2, path: b"/run/s" };
    let read = |fd| [Value::Fd(fd), Value::Uint(1)];
    let lines = Capture::new()
        .event(100, "fcntl_x", &[Value::Fd(20), Value::Fd(3), dupfd, Value::Uint(20)])
        .event(100, "fcntl_x", &[Value::Fd(21), Value::Fd(3), dupfd_cloexec, Value::Uint(20)])
        .event(100, "fcntl_x", &[Value::Fd(0), Value::Fd(5), setfd, Value::Uint(1)])
        .event(100, "fchdir_x", &[Value::Errno(0), Value::Fd(3)])
        .event(100, "stat_x", &[Value::Errno(0), Value::Text(b"f")])
        // Sockets that were unknown before.
        .event(100, "connect_x", &[Value::Errno(0), Value::SockTuple(unix), Value::Fd(30), NA])
        .event(100, "accept4_x", &[Value::Fd(31), Value::SockTuple(unix), NA, NA, NA, Value::Int(0o2000000)])
        .event(100, "bind_x", &[Value::Errno(0), Value::SockAddr(SockAddr::Inet(v4(0).0, 53)), Value::Fd(32)])
        .row(100, row("PPME_SYSCALL_EPOLL_CREATE1_X"), &[Value::Errno(33), Value::Flags(0)])
        .row(100, row("PPME_SYSCALL_MEMFD_CREATE_X"), &[Value::Fd(34), Value::Text(b"mem")])
        .row(
            100,
            row("PPME_SYSCALL_CLOSE_RANGE_X"),
            &[Value::Errno(0), Value::Uint(33), Value::Uint(33), Value::Flags(0)],
        )
        .exec(100, "prog")
        .event(100, "read_e", &read(20))
        .event(100, "read_e", &read(21))
        .event(100, "read_e", &read(5))
        .event(100, "read_e", &read(30))
        .event(100, "read_e", &read(31))
        .event(100, "read_e", &read(32))
        .event(100, "read_e", &read(33))
        .event(100, "read_e", &read(34))
        .lines();
    assert_eq!(lines[4], "< stat res=0 path=f(/srv/data/f)");
    assert!(lines[8].contains("res=33"), "{}", lines[8]);
    let reads = [
        "> read fd=20(<f>/srv/data) size=1",
        "> read fd=21 size=1",
        "> read fd=5 size=1",
        "> read fd=30(<u>1->2 /run/s) size=1",
        "> read fd=31 size=1",
        "> read fd=32(<4>127.0.0.1:53) size=1",
        "> read fd=33 size=1",
        "> read fd=34(<m>memfd:mem) size=1",
    ];
    assert_eq!(lines[12..], reads);
}

#[test]
fn the_enter_event_fills_in_for_an_old_exit_event() {
    let lines = Capture::new()
        .event(100, "close_e", &[Value::Fd(3)])
        .event(100, "close_x", &[Value::Errno(0)])
        .event(100, "read_e", &[Value::Fd(3), Value::Uint(1)])
        .lines();
    let closed = "< close res=0 fd=3(<f>/srv/data)";
    assert_eq!(lines, ["> close fd=3(<f>/srv/data)", closed, "> read fd=3 size=1"]);
}

/// Returns the child's command name, and whether its descriptor 3 is known.
fn child_of(capture: Capture) -> (String, bool) {
    let (out, result) = capture.event(200, "read_e", &[Value::Fd(3), Value::Uint(1)]).read(|_| {});
    result.unwrap();
    let line = out.lines().last().unwrap();
    (line.split(' ').nth(3).unwrap().to_string(), line.contains("/srv/data"))
}

#[test]
fn a_child_inherits_whoever_tells_first() {
    let child_first = || Capture::new().fork(200, 0, 200, 100);
    assert_eq!(child_of(Capture::new()), ("<NA>".into(), false));
    assert_eq!(child_of(child_first()), ("sh".into(), true));
    assert_eq!(child_of(Capture::new().fork(100, 200, 100, 1)), ("sh".into(), true));
    assert_eq!(child_of(Capture::new().fork(100, 200, 100, 1).fork(200, 0, 200, 100)), ("sh".into(), true));
    // The parent's return comes late, after the child's close and exec.
    let close = [Value::Errno(0), Value::Fd(3)];
    let late = child_first().event(200, "close_x", &close).exec(200, "prog").fork(100, 200, 100, 1);
    assert_eq!(child_of(late), ("prog".into(), false));
    // A child's descriptors are its own.
    let own = child_first().event(100, "close_x", &close);
    assert_eq!(child_of(own), ("sh".into(), true));
}

#[test]
fn an_end_takes_the_name_along() {
    let exit = [Value::Errno(0), Value::Errno(0), Value::Signal(0), Value::Uint(0), Value::Pid(1)];
    let (out, _) = Capture::new()
        .fork(200, 0, 200, 100)
        .event(200, "procexit_e", &exit)
        .event(200, "read_e", &[Value::Fd(3), Value::Uint(1)])
        .read(|_| {});
    let names: Vec<_> = out.lines().map(|l| l.split(' ').nth(3).unwrap()).collect();
    assert_eq!(names, ["sh", "sh", "<NA>"]);
    assert!(out.lines().last().unwrap().ends_with("fd=3 size=1"), "{out}");
}

#[test]
fn a_thread_is_renamed() {
    let rename = [Value::Errno(0), Value::Enum(15), Value::Text(b"new\x1bname"), NA];
    let (out, _) = Capture::new().event(101, "prctl_x", &rename).read(|_| {});
    assert!(out.contains(" new\\u{1b}name (101) < prctl res=0 option=15(PR_SET_NAME)"), "{out}");
}

mod calls;
mod effects;
mod extended;
mod fds;
mod fields;
mod hostile;
mod json_form;
mod meaning;
mod old;
mod pids;
mod sockets;
mod summary;
mod whole;

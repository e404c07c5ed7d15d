//! Tests of the fields `evt.*`, `syscall.type` and `fs.path.*`, at events that they make.

mod registry;

use std::net::Ipv4Addr;

use super::{
    fixture::{self, OK, reference},
    *,
};
use crate::format::{
    FdEntries, MachineState, SockAddr, Value as Param,
    state::{Fd, FdKind, FdList, L4Proto, MachineInfo, NamedFd, Thread},
};

const TS: u64 = 1_534_527_348_014_632_619;

fn state() -> MachineState {
    let thread = |tid| Thread { tid, pid: 100, comm: b"sh".into(), cwd: b"/srv".into(), ..Thread::default() };
    let file = |path: &str| FdKind::File { open_flags: 1, path: path.into(), dev: 5 };
    let named = |kind, name: &str| FdKind::Named { kind, name: name.into() };
    let connection = FdKind::Ipv4 {
        source: (Ipv4Addr::LOCALHOST, 4000),
        destination: (Ipv4Addr::LOCALHOST, 80),
        l4: L4Proto::Tcp,
    };
    let log = FdKind::Unix { source: 1, destination: 2, path: b"/dev/log".into() };
    let kinds = [
        file("/srv/data"),
        named(NamedFd::Directory, "/srv/dir"),
        connection,
        log,
        named(NamedFd::Fifo, "pipe:[1]"),
        named(NamedFd::Eventpoll, "[eventpoll]"),
    ];
    let fds = (3..).zip(kinds).map(|(fd, kind)| Fd { fd, ino: 0, kind }).collect();
    MachineState {
        machine: MachineInfo { hostname: b"box".into(), ..MachineInfo::default() },
        threads: vec![thread(100), thread(101)],
        fds: vec![FdList { pid: 100, fds }],
        ..MachineState::default()
    }
}

/// A capture of thread 100 that starts with [`state`]; each event is 1.5 µs later than the one before.
struct Capture(fixture::Capture);

impl Capture {
    fn new() -> Capture {
        Capture(fixture::Capture::of(&state()).clock(TS, 1500).on_cpu(1))
    }

    fn event(mut self, name: &str, values: &[(&str, Param<'_>)]) -> Capture {
        self.0.event(100, name, values);
        self
    }

    fn bytes(mut self, event: &[u8]) -> Capture {
        self.0.add(event);
        self
    }

    /// Returns the values of a field at each event; `-` if it has none.
    fn values(&self, field: &str) -> Vec<String> {
        let only = |mut values: Vec<String>| {
            assert!(values.len() < 2, "{field} has several values");
            values.pop().unwrap_or("-".into())
        };
        self.0.at_each(field).into_iter().map(only).collect()
    }

    /// Checks the values of fields, which stand behind the names, one for each event.
    fn has(&self, wanted: &[&str]) {
        for line in wanted {
            let (field, values) = line.split_once(": ").unwrap();
            assert_eq!(self.values(field), values.split(' ').collect::<Vec<_>>(), "{field}");
        }
    }
}

fn opened(result: i64, flags: u32, mode: u64) -> [(&'static str, Param<'static>); 5] {
    [
        ("fd", Param::Fd(result)),
        ("dirfd", Param::Fd(-100)),
        ("name", Param::Text(b"a/../b")),
        ("flags", Param::Flags(flags)),
        ("mode", Param::Uint(mode)),
    ]
}

#[test]
fn the_event_itself() {
    let generic = |name, code, native| {
        move |capture: Capture| {
            capture.event(name, &[("ID", Param::Syscall(code)), ("nativeID", Param::Uint(native))])
        }
    };
    let code = crate::events::Syscall::by_name("rt_sigaction").unwrap().code;
    let capture =
        Capture::new().event("openat_e", &[("name", Param::Text(b"a"))]).event("openat_x", &opened(-2, 1, 0));
    let capture = generic("syscall_x", code, 13)(capture)
        .event("switch_e", &[("next", Param::Pid(101))])
        .event("asyncevent_e", &[("name", Param::Text(b"container"))])
        .event("getuid_x", &[("uid", Param::Uid(7))]);
    capture.has(&[
        "evt.num: 1 2 3 4 5 6",
        "evt.dir: > < < > > <",
        "evt.type: openat openat rt_sigaction switch container getuid",
        "evt.type.is.openat: 1 1 0 0 0 0",
        "evt.type.is.rt_sigaction: 0 0 1 0 0 0",
        "evt.type.is[307]: 0 1 0 0 0 0",
        "syscall.type: openat openat rt_sigaction - - getuid",
        "evt.category: file file other scheduler other user",
        "evt.cpu: 1 1 1 1 1 1",
        "evt.source: syscall syscall syscall syscall syscall syscall",
        "evt.is_async: false false false false true false",
        "evt.asynctype: - - - - container -",
        "evt.hostname: box box box box box box",
        "evt.res: - ENOENT - - - SUCCESS",
        "evt.rawres: - -2 - - - 7",
        "evt.failed: - true - - - false",
        "evt.is_wait: false false false false false false",
        "evt.count: 1 1 1 1 1 1",
        "evt.count.error: - 1 - - - 0",
        "evt.count.error.file: - 1 - - - -",
        "evt.count.error.other: - - - - - 0",
        "evt.count.exit: - 1 1 - - 1",
        "evt.count.procinfo: 0 0 0 0 0 0",
    ]);
}

#[test]
fn transfers() {
    let of = |capture: Capture, name: &str, fd, result: i64| {
        let mut values = vec![("res", Param::Errno(result)), ("fd", Param::Fd(fd))];
        if name != "close_x" {
            values.push(("data", Param::Bytes(b"x\0y")));
        }
        capture.event(name, &values)
    };
    let calls =
        [("read_x", 3, 3), ("write_x", 5, 9), ("write_x", 6, 2), ("write_x", 7, -32), ("read_x", 99, 1)];
    let capture = calls.iter().fold(Capture::new(), |capture, (name, fd, res)| of(capture, name, *fd, *res));
    let capture = of(capture, "close_x", 3, 0);
    capture.has(&[
        "evt.buffer: x\\x00y x\\x00y x\\x00y x\\x00y x\\x00y -",
        "evt.buflen: 3 9 2 - - 0",
        "evt.buflen.in: 3 - - - - -",
        "evt.buflen.out: - 9 2 - - -",
        "evt.buflen.file: 3 - - - - 0",
        "evt.buflen.file.in: 3 - - - - -",
        "evt.buflen.file.out: - - - - - -",
        "evt.buflen.net: - 9 - - - -",
        "evt.buflen.net.in: - - - - - -",
        "evt.buflen.net.out: - 9 - - - -",
        "evt.is_io: true true true true true false",
        "evt.is_io_read: true false false false true false",
        "evt.is_io_write: false true true true false false",
        "evt.io_dir: read write write write read -",
        "evt.is_syslog: false false true false false false",
        "evt.category: file net ipc ipc unknown file",
        "evt.count.error.file: 0 - - - - 0",
        "evt.count.error.net: - 0 0 - - -",
        "evt.count.error.other: - - - 1 0 -",
        "evt.res: SUCCESS SUCCESS SUCCESS EPIPE SUCCESS SUCCESS",
    ]);
}

#[test]
fn what_a_failing_call_is_about() {
    let capture = Capture::new()
        .event("accept4_x", &[("fd", Param::Fd(-11))])
        .event("mmap_x", &[("res", Param::Errno(-12)), ("fd", Param::Fd(-1))])
        .event("epoll_wait_x", &[("res", Param::Errno(-4))])
        .event("ioctl_x", &[("res", Param::Errno(-25)), ("fd", Param::Fd(8))])
        .event("fcntl_x", &[("res", Param::Fd(0)), ("fd", Param::Fd(3)), ("cmd", Param::Enum(2))])
        .event("dup_x", &[("res", Param::Fd(9)), ("oldfd", Param::Fd(4))]);
    capture.has(&[
        "evt.count.error.net: 1 - - - - -",
        "evt.count.error.memory: - 1 - - - -",
        "evt.count.error.other: - - 1 1 - -",
        "evt.count.error.file: - - - - 0 0",
        "evt.category: net memory wait unknown file file",
    ]);
}

#[test]
fn opened_files() {
    let capture = Capture::new()
        .event("openat_x", &opened(9, 1 | 4096, 0))
        .event("openat_x", &opened(9, 2 | 4 | 16384, 0o755))
        .event("openat_x", &opened(-13, 3 | 8192, 0o600))
        .event("openat_x", &opened(9, 3 | 8192, 0o600))
        .event("creat_x", &[("fd", Param::Fd(9)), ("mode", Param::Uint(0o711))])
        .event("openat_e", &[("flags", Param::Flags(3))])
        .event("open_x", &[("fd", Param::Fd(9)), ("flags", Param::Flags(2))]);
    capture.has(&[
        "evt.is_open_read: true false true true false false false",
        "evt.is_open_write: false true true true false false true",
        "evt.is_open_exec: false true false false true false false",
        "evt.is_open_create: false true false true false false false",
    ]);
}

#[test]
fn times() {
    let poll = [("res", OK), ("timeout", Param::Int(5))];
    let capture = Capture::new()
        .event("poll_e", &[])
        .event("poll_x", &poll)
        .event("close_x", &[("res", OK), ("fd", Param::Fd(3))]);
    capture.has(&[
        "evt.latency: - 1500 -",
        "evt.latency.s: - 0 -",
        "evt.latency.ns: - 1500 -",
        "evt.latency.quantized: - 3 -",
        "evt.latency.human: - 1.50us -",
        "evt.is_wait: true true false",
        "evt.wait_latency: - 1500 -",
        "evt.deltatime: 0 1500 1500",
        "evt.deltatime.s: 0 0 0",
        "evt.deltatime.ns: 0 1500 1500",
        "evt.rawtime: 1534527348014632619 1534527348014634119 1534527348014635619",
        "evt.rawtime.s: 1534527348 1534527348 1534527348",
        "evt.rawtime.ns: 14632619 14634119 14635619",
        "evt.reltime: 0 1500 3000",
        "evt.reltime.s: 0 0 0",
        "evt.reltime.ns: 0 1500 3000",
    ]);
    assert_eq!(capture.values("evt.time.iso8601")[0], "2018-08-17T17:35:48.014632619+0000");
    let local = |field| capture.values(field).swap_remove(0);
    assert!(local("evt.time").ends_with(".014632619") && local("evt.time").len() == 18);
    assert_eq!(local("evt.time"), local("evt.outputtime"));
    assert_eq!(local("evt.datetime").split(' ').nth(1), Some(&*local("evt.time")));
    assert_eq!(format!("{}.014632619", local("evt.time.s")), local("evt.time"));
    assert_eq!(format!("{}.014632619", local("evt.datetime.s")), local("evt.datetime"));
    // What follows a decimal point has all its digits.
    let digits = |field: &str| Fields.digits(reference(field).field);
    assert_eq!((digits("evt.rawtime.ns"), digits("evt.reltime"), digits("evt.rawtime.s")), (9, 9, 1));
}

#[test]
fn a_duration_has_the_unit_that_fits() {
    let latency = |ns| {
        let enter = Capture::new().event("close_e", &[("fd", Param::Fd(3))]);
        let later = Capture(enter.0.clock(TS + ns, 0));
        let exit = later.event("close_x", &[("res", OK), ("fd", Param::Fd(3))]);
        exit.values("evt.latency.human").swap_remove(1)
    };
    for (ns, shown) in [
        (252, "252ns"),
        (1_999, "1.99us"),
        (12_345, "12us"),
        (4_130_000, "4.13ms"),
        (99_999_999, "99ms"),
        (61_050_000_000, "1:1"),
        (12_340_000_000, "12.34s"),
        (3_600_000_000_000 + 62_000_000_000, "01:01:02"),
    ] {
        assert_eq!(latency(ns), shown);
    }
}

#[test]
fn arguments() {
    let list = [&[3, 0, 0, 0, 0, 0, 0, 0, 1, 0][..]].concat();
    let capture = Capture::new()
        .event("openat_x", &opened(3, 1 | 4096, 0))
        .event("openat_x", &opened(-2, 1, 0))
        .event(
            "read_x",
            &[
                ("res", Param::Errno(2)),
                ("data", Param::Bytes(b"a\n")),
                ("fd", Param::Fd(5)),
                ("size", Param::Uint(4096)),
            ],
        )
        .event("kill_x", &[("res", OK), ("pid", Param::Pid(101)), ("sig", Param::Signal(9))])
        .event("syscall_x", &[("ID", Param::Syscall(99)), ("nativeID", Param::Uint(1))])
        .event(
            "bind_x",
            &[("res", OK), ("addr", Param::SockAddr(SockAddr::Inet(Ipv4Addr::LOCALHOST.into(), 80)))],
        )
        .event("poll_x", &[("res", OK), ("fds", Param::FdList(FdEntries::new(&list).unwrap()))]);
    capture.has(&[
        "evt.arg.flags: O_RDONLY|O_CLOEXEC O_RDONLY - - - - -",
        "evt.arg.fd: <f>/srv/b ENOENT <4t>127.0.0.1:4000->127.0.0.1:80 - - <NA> -",
        "evt.arg.name: /srv/b /srv/b - - - - -",
        "evt.arg.data: - - a. - - - -",
        "evt.arg.pid: - - - sh - - -",
        "evt.arg.sig: - - - SIGKILL - - -",
        "evt.arg[1]: AT_FDCWD AT_FDCWD a. sh 1 127.0.0.1:80 3:f1",
        "evt.arg[9]: - - - - - - -",
        "evt.rawarg.fd: 3 -2 5 - - - -",
        "evt.rawarg.size: - - 4096 - - - -",
        "evt.rawarg.flags: 4097 1 - - - - -",
        "evt.rawarg.name: a/../b a/../b - - - - -",
        "evt.rawarg.data: - - a\\n - - - -",
        "evt.rawarg.addr: - - - - - 127.0.0.1:80 -",
        "evt.rawarg[0]: 3 -2 2 0 99 0 0",
    ]);
    let lines = capture.values("evt.args");
    assert_eq!(
        lines[0],
        "fd=3(<f>/srv/b) dirfd=-100(AT_FDCWD) name=a/../b(/srv/b) flags=4097(O_RDONLY|O_CLOEXEC) mode=0 dev=<NA> ino=<NA>"
    );
    assert_eq!(lines[4], "", "those of a generic event say nothing");
    assert_eq!(lines, capture.values("evt.info"));
    let types = ["fd", "size", "name", "data", "addr", "timeout", "res", "uid", "flags"];
    let ty = |name: &str| Fields.type_of(&reference(&format!("evt.rawarg.{name}")));
    use Type::*;
    assert_eq!(types.map(ty), [Int, Int, Text, Bytes, Text, Int, Int, Uint, Int]);
    let names = Fields.argument_names(reference("evt.arg.fd").field).unwrap();
    assert!(names.contains(&"size") && names.contains(&"pidns_init_start_ts") && names.is_sorted());
}

#[test]
fn text_of_a_capture_stays_as_it_is() {
    let name = [("fd", Param::Fd(9)), ("name", Param::Text(b"/a\n\\\xff"))];
    let capture = Capture::new().event("open_x", &name);
    assert_eq!(capture.values("evt.arg.name"), ["/a\\n\\\\\\xff"]);
    assert!(capture.values("evt.args")[0].contains(" name=/a\\n\\\\\\xff "));
}

#[test]
fn paths() {
    let at = |dir, path| [("res", OK), ("dirfd", Param::Fd(dir)), path];
    let failed = [("res", Param::Errno(-2)), ("path", Param::Text(b"gone"))];
    let renamed = [
        ("res", OK),
        ("olddirfd", Param::Fd(4)),
        ("oldpath", Param::Text(b"x")),
        ("newdirfd", Param::Fd(-100)),
        ("newpath", Param::Text(b"../y")),
    ];
    let link = [
        ("res", OK),
        ("linkdirfd", Param::Fd(4)),
        ("linkpath", Param::Text(b"l")),
        ("target", Param::Text(b"t")),
    ];
    let capture = Capture::new()
        .event("openat_x", &opened(-1, 1, 0))
        .event("unlinkat_x", &at(4, ("name", Param::Text(b"x"))))
        .event("mkdirat_x", &at(77, ("path", Param::Text(b"x"))))
        .event("rmdir_x", &failed)
        .event("renameat2_x", &renamed)
        .event("symlinkat_x", &link)
        .event("fchmod_x", &[("res", OK), ("fd", Param::Fd(3))])
        .event("mkdir_x", &[("res", OK), ("path", Param::Text(b"/a//./b"))])
        .event("close_x", &[("res", OK), ("fd", Param::Fd(3))]);
    capture.has(&[
        "fs.path.name: /srv/b /srv/dir/x - - - - /srv/data /a/b -",
        "fs.path.nameraw: a/../b x x - - - /srv/data /a//./b -",
        "fs.path.source: - - - - /srv/dir/x /srv/dir/l - - -",
        "fs.path.sourceraw: - - - - x l - - -",
        "fs.path.target: - - - - /y /srv/dir/t - - -",
        "fs.path.targetraw: - - - - ../y t - - -",
        "evt.abspath: /srv/b /srv/dir/x - - /srv/dir/x /srv/dir/l - - -",
        "evt.abspath.src: /srv/b /srv/dir/x - - /srv/dir/x /srv/dir/l - - -",
        "evt.abspath.dst: /srv/b /srv/dir/x - - /y /srv/dir/l - - -",
    ]);
}

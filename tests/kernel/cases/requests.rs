//! Requests of io_uring: their submissions and completions.

mod cases;

use std::{
    ffi::CStr,
    net::{TcpListener, UdpSocket},
    os::fd::AsRawFd,
};

use scap::events::IO_URING_OPS;

use self::cases::{Case, Submission, World, at, descriptors, entry, files, op, open_by_how, paths};
use super::addresses::{self, NO_FD, own};
use crate::{
    harness::{Test, not_testable},
    ring::{ASYNC, Entry, FIXED_FILE, Ring, SETUP_SQPOLL},
    syscall,
};

const OWNER: u8 = 0;
const SQPOLL: u8 = 1;
const WORKER: u8 = 2;

/// Requests that the kernel refuses before it starts them.
const REFUSED: [i32; 2] = [libc::EINVAL, libc::EFAULT];

/// What this kernel says about a request.
#[derive(Clone, Copy)]
struct Kernel {
    /// Requests that it refuses have a submission.
    tells_refused: bool,
    /// Completions have the request.
    tells_request: bool,
}

impl Kernel {
    fn this() -> Kernel {
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        let mut numbers = release.split(['.', '-']).map(|number| number.parse::<u32>().unwrap_or(0));
        let version = (numbers.next().unwrap(), numbers.next().unwrap());
        Kernel { tells_refused: version >= (6, 0), tells_request: version >= (5, 18) }
    }
}

#[track_caller]
fn assert_result(entry: &Entry, result: i64, errno: i32) {
    let name = IO_URING_OPS.get(usize::from(entry.opcode)).map_or("unknown", |op| op.name);
    assert!(if errno == 0 { result >= 0 } else { result == -i64::from(errno) }, "{name}: {result}");
}

/// Submits a request, and asserts the result and the submission.
#[track_caller]
fn submits(t: &mut Test, ring: &mut Ring, kernel: Kernel, (entry, submission, errno): &Case<'_>) {
    if !ring.has(entry.opcode) && entry.opcode != u8::MAX {
        return;
    }
    let captured = t.capture(|| ring.run(*entry));
    assert_result(entry, captured.ret, *errno);
    let mut events = captured.all();
    if !kernel.tells_refused && REFUSED.contains(errno) {
        assert!(events.is_empty());
        return;
    }
    // These kernels look some descriptors up before they take the request.
    if !kernel.tells_refused && *errno == libc::EBADF && events.is_empty() {
        return;
    }
    assert_eq!(events.len(), 1);
    let event = events.remove(0);
    submission.assert(&event, entry);
    event.empty("thread").u8("thread_kind", OWNER);
}

/// Skips a test where the kernel lacks what it needs.
fn ring(flags: u32) -> Ring {
    if std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").is_ok_and(|text| text.trim() == "2") {
        not_testable("io_uring is disabled here");
    }
    Ring::new(flags)
}

/// Makes a request in a child process, and returns its id.
fn in_child(action: impl FnOnce()) -> i64 {
    let child = syscall!(SYS_clone, libc::SIGCHLD, 0, 0, 0, 0);
    if child == 0 {
        action();
        syscall!(SYS_exit_group, 0);
    }
    let mut status = -1i32;
    assert_eq!(syscall!(SYS_wait4, child, &raw mut status, 0, 0), child);
    assert_eq!(status, 0, "the child failed");
    child
}

pub fn io_uring_submit(t: &mut Test) {
    let (kernel, world, mut ring) = (Kernel::this(), World::new(), ring(0));
    ring.register(&[world.file.as_raw_fd(), -1]);
    let how = [libc::O_RDONLY as u64, 0, 0x08];
    let mut paths = paths(&world);
    if !ring.has(op("MKDIRAT")) {
        // They need each other.
        paths.retain(|(_, _, errno)| *errno != 0);
    }
    let cases = [
        paths,
        files(&world),
        descriptors(&world),
        vec![
            open_by_how(&how, c"/etc/passwd", 1, libc::EXDEV),
            open_by_how(&[libc::O_CREAT as u64, 0o7777, 0], c"/no/where", 0, libc::ENOENT),
            // A number that no kernel has.
            (Entry { opcode: u8::MAX, fd: 3, ..entry("NOP") }, Submission::default(), libc::EINVAL),
        ],
    ];
    for case in cases.iter().flatten() {
        submits(t, &mut ring, kernel, case);
        // The same on a file that is not open.
        if case.1.fd == Some(world.file.as_raw_fd().into()) {
            let submission = Submission { fd: Some(NO_FD.into()), ..copy(&case.1) };
            submits(t, &mut ring, kernel, &(Entry { fd: NO_FD, ..case.0 }, submission, libc::EBADF));
        }
    }
    // A registered file, by a worker; with all that every entry has.
    let read = Entry { flags: FIXED_FILE | ASYNC, addr: world.addr(), len: 8, ..entry("READ") };
    let submission = Submission {
        file_index: Some(0),
        addr: true,
        buf: true,
        len: Some(8),
        off: Some(0),
        op_flags: Some(0),
        ..Submission::default()
    };
    submits(t, &mut ring, kernel, &(read, submission, 0));
    sockets(t, &mut ring, kernel);
    by_the_polling_thread(t);
}

fn copy<'a>(of: &Submission<'a>) -> Submission<'a> {
    Submission { sockaddr: of.sockaddr.clone(), ..*of }
}

/// Addresses of sockets.
fn sockets(t: &mut Test, ring: &mut Ring, kernel: Kernel) {
    let listener = TcpListener::bind(addresses::LOOPBACK).unwrap();
    let address = listener.local_addr().unwrap();
    let (raw, encoded) = (addresses::raw(address), addresses::sockaddr(address));
    let socket = |kind: i32| own(syscall!(SYS_socket, libc::AF_INET, kind, 0));
    let client = socket(libc::SOCK_STREAM);
    let on = |fd: i32| Submission { fd: Some(fd.into()), ..Submission::default() };
    let connect = Entry {
        fd: client.as_raw_fd(),
        addr: raw.as_ptr() as u64,
        off: raw.len() as u64,
        ..entry("CONNECT")
    };
    let connected = || Submission { sockaddr: Some(encoded.clone()), ..on(client.as_raw_fd()) };
    submits(t, ring, kernel, &(connect, connected(), 0));
    submits(t, ring, kernel, &(connect, connected(), libc::EISCONN));
    let accept = Entry { fd: listener.as_raw_fd(), op_flags: 0x80000, ..entry("ACCEPT") };
    let accepted = Submission { addr: true, op_flags: Some(0x80000), ..on(listener.as_raw_fd()) };
    submits(t, ring, kernel, &(accept, accepted, 0));
    let unbound = socket(libc::SOCK_STREAM);
    let bind = Entry { fd: unbound.as_raw_fd(), ..Entry { opcode: op("BIND"), ..connect } };
    let bound = Submission { sockaddr: Some(encoded.clone()), ..on(unbound.as_raw_fd()) };
    submits(t, ring, kernel, &(bind, bound, libc::EADDRINUSE));

    let receiver = UdpSocket::bind(addresses::LOOPBACK).unwrap();
    let address = receiver.local_addr().unwrap();
    let raw = addresses::raw(address);
    let sender = socket(libc::SOCK_DGRAM);
    // struct msghdr: name, namelen; no data.
    let header = [raw.as_ptr() as u64, raw.len() as u64, 0, 0, 0, 0, 0];
    let message = Entry { fd: sender.as_raw_fd(), addr: header.as_ptr() as u64, ..entry("SENDMSG") };
    let sent = Submission {
        addr: true,
        buf: true,
        op_flags: Some(0),
        sockaddr: Some(addresses::sockaddr(address)),
        ..on(sender.as_raw_fd())
    };
    submits(t, ring, kernel, &(message, sent, 0));
}

/// The kernel's polling thread takes the requests; they belong to the process.
fn by_the_polling_thread(t: &mut Test) {
    let captured = t.capture(|| {
        in_child(|| {
            let mut ring = Ring::new(SETUP_SQPOLL);
            assert_eq!(ring.run(entry("NOP")), 0);
        })
    });
    let child = captured.ret;
    let events = captured.all();
    assert_eq!(events.len(), 1);
    let event = &events[0];
    assert_eq!(event.tid() as i64, child);
    Submission { op_flags: Some(0), ..Submission::default() }.assert(event, &entry("NOP"));
    assert_ne!(event.number("thread") as i64, child);
    event.u8("thread_kind", SQPOLL);
}

/// What a completion has of descriptors.
#[derive(Default)]
struct Completed<'a> {
    fd: Option<i64>,
    file: Option<&'a CStr>,
    tuple: Vec<u8>,
}

/// Completes a request in a child, where also older kernels say whose it is.
#[track_caller]
fn completes<'a>(
    t: &mut Test,
    ring: &mut Ring,
    entry: Entry,
    errno: i32,
    kind: Option<u8>,
    expected: impl FnOnce(i64) -> Completed<'a>,
) {
    if !ring.has(entry.opcode) && entry.opcode != u8::MAX {
        return;
    }
    let kernel = Kernel::this();
    let captured = t.capture(|| in_child(|| _ = ring.run(entry)));
    let child = captured.ret;
    let events = captured.all();
    assert_eq!(events.len(), 1, "completions of {entry:?}");
    let event = &events[0];
    assert_eq!(event.tid() as i64, child);
    let res = event.number("res") as i64;
    assert_result(&entry, res, errno);
    assert!(event.number("ring") >> 63 == 1, "an address of the kernel");
    event.u64("user_data", entry.user_data).u32("cqe_flags", 0);
    let thread = event.number("thread_kind") as u8;
    assert!(kind.is_none_or(|kind| kind == thread), "done by a thread of kind {thread}");
    if thread == OWNER {
        event.empty("thread");
    } else {
        assert_ne!(event.number("thread") as i64, child);
    }
    let expected = if kernel.tells_request { expected(res) } else { Completed::default() };
    if !kernel.tells_request {
        event.empty("req").empty("opcode");
    } else {
        // The kernel forgets a number that it does not know.
        event.u8("opcode", if entry.opcode == u8::MAX { 0 } else { entry.opcode });
        assert!(event.number("req") >> 63 == 1, "an address of the kernel");
    }
    event.bytes("fd", expected.fd.map(i64::to_ne_bytes).as_ref().map_or(&[], |fd| &fd[..]));
    event.bytes("file", expected.file.map_or(&[], CStr::to_bytes_with_nul));
    event.bytes("tuple", &expected.tuple).empty("fd2");
    if expected.file.is_some() {
        assert!(event.number("ino") > 0 && event.number("dev") > 0);
    } else {
        event.empty("dev").empty("ino");
    }
}

pub fn io_uring_complete(t: &mut Test) {
    let (world, mut ring) = (World::new(), ring(0));
    let ring = &mut ring;
    ring.register(&[world.file.as_raw_fd(), -1]);
    let owner = Some(OWNER);
    let nothing = |_| Completed::default();
    completes(t, ring, entry("NOP"), 0, owner, nothing);
    completes(t, ring, Entry { opcode: u8::MAX, ..entry("NOP") }, libc::EINVAL, owner, nothing);

    let made = |fd| Completed { fd: Some(fd), ..Completed::default() };
    let open = Entry { fd: libc::AT_FDCWD, addr: at(&world.path), ..entry("OPENAT") };
    completes(t, ring, open, 0, None, |fd| Completed { file: Some(&world.path), ..made(fd) });
    completes(t, ring, Entry { addr: at(&world.missing), ..open }, libc::ENOENT, None, nothing);
    completes(t, ring, Entry { addr: 1, ..open }, libc::EFAULT, None, nothing);
    completes(t, ring, Entry { file_index: 2, ..open }, 0, None, nothing);
    let closed = world.pipes[0][0].as_raw_fd();
    completes(t, ring, Entry { fd: closed, ..entry("CLOSE") }, 0, None, |_| made(closed.into()));
    completes(t, ring, Entry { fd: 1000, ..entry("CLOSE") }, libc::EBADF, None, |_| made(1000));
    let stream = Entry { fd: libc::AF_INET, off: libc::SOCK_STREAM as u64, ..entry("SOCKET") };
    completes(t, ring, stream, 0, owner, made);
    completes(t, ring, Entry { fd: 99, ..stream }, libc::EAFNOSUPPORT, owner, nothing);

    let read = Entry { fd: world.file.as_raw_fd(), addr: world.addr(), len: 8, ..entry("READ") };
    completes(t, ring, read, 0, None, nothing);
    completes(t, ring, Entry { fd: NO_FD, ..read }, libc::EBADF, None, nothing);
    let registered = |_| Completed { file: Some(&world.path), ..Completed::default() };
    let fixed = Entry { fd: 0, flags: FIXED_FILE, ..read };
    completes(t, ring, fixed, 0, None, registered);
    completes(t, ring, Entry { flags: FIXED_FILE | ASYNC, ..fixed }, 0, Some(WORKER), registered);
    completes(t, ring, Entry { fd: 5, ..fixed }, libc::EBADF, None, nothing);
    connections(t, ring);
    completed_by_the_polling_thread(t);
}

/// The ends of connections.
fn connections(t: &mut Test, ring: &mut Ring) {
    let listener = TcpListener::bind(addresses::LOOPBACK).unwrap();
    let server = listener.local_addr().unwrap();
    let raw = addresses::raw(server);
    let client = addresses::socket(addresses::LOOPBACK, libc::SOCK_STREAM);
    let connect = Entry {
        fd: client.as_raw_fd(),
        addr: raw.as_ptr() as u64,
        off: raw.len() as u64,
        ..entry("CONNECT")
    };
    completes(t, ring, connect, 0, None, |_| Completed {
        tuple: addresses::tuple(addresses::local(&client), server),
        ..Completed::default()
    });
    completes(t, ring, connect, libc::EISCONN, None, |_| Completed::default());
    let accept = Entry { fd: listener.as_raw_fd(), ..entry("ACCEPT") };
    completes(t, ring, accept, 0, None, |fd| Completed {
        fd: Some(fd),
        tuple: addresses::tuple(addresses::local(&client), server),
        ..Completed::default()
    });
    completes(t, ring, Entry { fd: NO_FD, ..accept }, libc::EBADF, None, |_| Completed::default());
}

fn completed_by_the_polling_thread(t: &mut Test) {
    let captured = t.capture(|| {
        in_child(|| {
            let mut ring = Ring::new(SETUP_SQPOLL);
            assert_eq!(ring.run(entry("NOP")), 0);
        })
    });
    let child = captured.ret;
    let events = captured.all();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].tid() as i64, child);
    events[0].u8("thread_kind", SQPOLL).i64("res", 0);
    events[0].rest_does_not_matter();
}

//! Requests of io_uring.

use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::{
    events::{IO_URING_OPS, event_by_program},
    format::{SockAddr, SockTuple},
};

const RING: (&str, Value<'static>) = ("ring", Value::Uint(7));
const MORE: u32 = 2;

impl Run {
    /// Submits a request at an address, with this user_data.
    fn submit(&mut self, op: &str, user_data: u64, req: u64, values: &[(&str, Value<'_>)]) {
        let number = IO_URING_OPS.iter().find(|known| known.name == op).unwrap().number;
        let key = [RING, ("user_data", Value::Uint(user_data)), ("req", Value::Uint(req))];
        let opcode = [("opcode", Value::Enum(number.into()))];
        self.row(100, event_by_program("io_uring_submit").unwrap(), &[&key[..], &opcode, values].concat());
    }

    /// Completes the request with this user_data, at an address if the event says it.
    fn complete(&mut self, user_data: u64, res: i64, values: &[(&str, Value<'_>)]) -> Option<u64> {
        let key = [RING, ("user_data", Value::Uint(user_data)), ("res", Value::Errno(res))];
        self.row(100, event_by_program("io_uring_complete").unwrap(), &[&key[..], values].concat())
    }

    fn name_of(&mut self, fd: i64) -> Option<String> {
        self.machine.settle();
        self.machine.fd(100, fd).map(|open| String::from_utf8_lossy(&open.name).into_owned())
    }
}

const DIR: Value<'static> = Value::Fd(-100);

#[test]
fn an_open_takes_effect_at_its_completion() {
    let mut run = Run::new();
    let open = [("fd", DIR), ("name", Value::Text(b"a")), ("op_flags", Value::Flags(0x80000))];
    run.submit("OPENAT", 1, 10, &open);
    run.submit("OPENAT", 1, 11, &[("fd", DIR), ("name", Value::Text(b"/b"))]);
    assert_eq!(run.name_of(5), None);
    // Without the request, as older kernels: the oldest one.
    assert_eq!(run.complete(1, 5, &[]), Some(20));
    assert_eq!(run.name_of(5).as_deref(), Some("/srv/a"));
    assert!(run.machine.fds(100).iter().any(|(fd, _)| *fd == 5));
    // With the request, and the path as the kernel has it.
    let said = [
        ("req", Value::Uint(11)),
        ("fd", Value::Fd(6)),
        ("file", Value::Text(b"/real")),
        ("ino", Value::Uint(3)),
    ];
    assert_eq!(run.complete(1, 6, &said), Some(20));
    assert_eq!(run.name_of(6).as_deref(), Some("/real"));
    assert_eq!(run.machine.fd(100, 6).unwrap().ino, 3);
    run.submit("OPENAT", 1, 10, &open);
    run.complete(1, -2, &[]);
    // The submission is lost.
    assert_eq!(run.complete(1, 8, &[]), None);
    assert_eq!(run.name_of(8), None);
    let opcode = ("opcode", Value::Enum(18));
    run.complete(9, 8, &[opcode, ("fd", Value::Fd(8)), ("file", Value::Text(b"/c"))]);
    assert_eq!(run.name_of(8).as_deref(), Some("/c"));
}

#[test]
fn what_goes_to_the_registered_files_is_no_descriptor() {
    let mut run = Run::new();
    let slot = ("slot", Value::Int(-1));
    run.submit("OPENAT", 1, 10, &[("fd", DIR), ("name", Value::Text(b"/a")), slot]);
    run.complete(1, 4, &[]);
    assert_eq!(run.name_of(4), None);
    run.submit("CLOSE", 1, 10, &[("slot", Value::Int(3))]);
    run.complete(1, 0, &[]);
    assert_eq!(run.name_of(3).as_deref(), Some("/srv/data"));
}

#[test]
fn a_close_closes_unless_the_descriptor_was_none() {
    let mut run = Run::new();
    run.submit("CLOSE", 1, 10, &[("fd", Value::Fd(3))]);
    run.complete(1, -4, &[]);
    // It still shows its name at this event.
    assert!(run.machine.fd(100, 3).is_some());
    assert_eq!(run.name_of(3), None);
}

#[test]
fn sockets_get_their_ends() {
    let mut run = Run::new();
    let ip = |port| (IpAddr::from(Ipv4Addr::LOCALHOST), port);
    let number = |v| Value::Uint(v);
    run.submit("SOCKET", 1, 10, &[("domain", Value::Enum(2)), ("type", number(1)), ("proto", number(0))]);
    run.complete(1, 4, &[]);
    assert!(run.machine.fd(100, 4).unwrap().class.is_socket());
    let address = Value::SockAddr(SockAddr::Inet(ip(80).0, 80));
    run.submit("BIND", 2, 11, &[("fd", Value::Fd(4)), ("sockaddr", address.clone())]);
    run.complete(2, 0, &[]);
    assert_eq!(run.name_of(4).as_deref(), Some("127.0.0.1:80"));
    let tuple = Value::SockTuple(SockTuple::Inet { source: ip(80), destination: ip(81) });
    run.submit("CONNECT", 3, 12, &[("fd", Value::Fd(4)), ("sockaddr", address)]);
    run.complete(3, 0, &[("tuple", tuple.clone())]);
    assert_eq!(run.name_of(4).as_deref(), Some("127.0.0.1:80->127.0.0.1:81"));
    // A multishot accept makes several.
    run.submit("ACCEPT", 4, 13, &[("fd", Value::Fd(4))]);
    for fd in [5, 6] {
        run.complete(4, fd, &[("cqe_flags", Value::Flags(MORE))]);
        assert_eq!(run.name_of(fd).as_deref(), Some(""));
    }
    run.complete(4, 7, &[("req", Value::Uint(13)), ("fd", Value::Fd(7)), ("tuple", tuple)]);
    assert_eq!(run.name_of(7).as_deref(), Some("127.0.0.1:80->127.0.0.1:81"));
    assert_eq!(run.complete(4, 8, &[]), None);
}

#[test]
fn flags_of_open_become_those_of_the_format() {
    let mut run = Run::new();
    for (flags, expected) in
        [(0, "O_RDONLY"), (1, "O_WRONLY"), (2 | 0x40, "O_RDWR O_CREAT"), (0x80000, "O_RDONLY O_CLOEXEC")]
    {
        run.submit(
            "OPENAT",
            1,
            10,
            &[("fd", DIR), ("name", Value::Text(b"/a")), ("op_flags", Value::Flags(flags))],
        );
        run.complete(1, 4, &[]);
        let expected: u32 = expected.split(' ').map(|name| flag("file_flags", name)).sum();
        assert_eq!(run.machine.fd(100, 4).unwrap().flags, expected, "{flags:#x}");
    }
}

//! Tests of the fields of descriptors, with captures that they make.

use super::fixture::{self, OK};
use crate::format::{
    FdEntries, MachineState, SockAddr, SockTuple, Value,
    state::{Fd, FdKind, FdList, Interface, InterfaceAddress, L4Proto, Thread},
};

/// A capture of thread 100, in whose state descriptor 3 is a file and descriptor 4 a listening socket.
struct Capture(fixture::Capture);

impl Capture {
    fn new() -> Capture {
        let file = FdKind::File { open_flags: 1, path: b"/srv/data".into(), dev: 0x0010_fe03 };
        let listening = FdKind::Ipv4Listening { local: ([10, 0, 0, 1].into(), 22), l4: L4Proto::Tcp };
        let loopback = InterfaceAddress::V4 {
            address: [10, 0, 0, 1].into(),
            netmask: [255, 0, 0, 0].into(),
            broadcast: [10, 255, 255, 255].into(),
        };
        let state = MachineState {
            interfaces: vec![Interface { name: b"eth0".into(), address: loopback, link_speed: 0 }],
            threads: vec![Thread { tid: 100, pid: 100, cwd: b"/srv".into(), ..Thread::default() }],
            fds: vec![FdList {
                pid: 100,
                fds: vec![Fd { fd: 3, ino: 9, kind: file }, Fd { fd: 4, ino: 8, kind: listening }],
            }],
            ..MachineState::default()
        };
        Capture(fixture::Capture::of(&state))
    }

    fn event(&mut self, name: &str, values: &[(&str, Value<'_>)]) -> &mut Capture {
        self.0.event(100, name, values);
        self
    }

    /// Opens descriptor 5 as a TCP socket.
    fn socket(&mut self) -> &mut Capture {
        let tcp = [("domain", Value::Enum(2)), ("type", Value::Uint(1)), ("proto", Value::Uint(6))];
        self.event("socket_x", &[&[("fd", Value::Fd(5))], &tcp[..]].concat())
    }

    /// Connects it.
    fn connect(&mut self, client: ([u8; 4], u16), server: ([u8; 4], u16)) -> &mut Capture {
        let tuple = tuple(client, server);
        self.event("connect_x", &[("res", OK), ("fd", Value::Fd(5)), ("tuple", tuple)])
    }

    /// Returns the values of a field at the last event, as text.
    fn all(&self, field: &str) -> Vec<String> {
        self.0.at_each(field).pop().unwrap_or_default()
    }

    /// Returns the value of a field at the last event; `-` if it has none.
    fn one(&self, field: &str) -> String {
        let mut all = self.all(field);
        assert!(all.len() < 2, "{field}: {all:?}");
        all.pop().unwrap_or("-".into())
    }

    /// Checks the values of fields at the last event: `field=value`, with `-` for none.
    #[track_caller]
    fn has(&self, expected: &str) {
        for expected in expected.split_whitespace() {
            let (field, value) = expected.split_once('=').unwrap();
            assert_eq!(self.one(&format!("fd.{field}")), value, "{field}");
        }
    }
}

fn tuple(client: ([u8; 4], u16), server: ([u8; 4], u16)) -> Value<'static> {
    let (source, destination) = ((client.0.into(), client.1), (server.0.into(), server.1));
    Value::SockTuple(SockTuple::Inet { source, destination })
}

#[test]
fn a_file_of_the_initial_state() {
    let mut c = Capture::new();
    c.event("read_e", &[("fd", Value::Fd(3))]).has("num=3 name=/srv/data typechar=f");
    c.event("read_x", &[("res", Value::Errno(1)), ("fd", Value::Fd(3))]);
    c.has("num=3 type=file typechar=f name=/srv/data directory=/srv filename=data uid=1003 ino=9");
    c.has("dev=1113603 dev.major=254 dev.minor=259 is_upper_layer=false is_lower_layer=false nameraw=");
    c.has("containername=:/srv/data containerdirectory=:/srv sockfamily=- is_server=false connected=false");
    c.has("name_changed=false cip=- lport=- l4proto=- sproto=-");
    assert!(c.all("fd.ip").is_empty() && c.all("fd.port").is_empty());
    c.event("close_x", &[("res", OK), ("fd", Value::Fd(3))]).has("num=3 name=/srv/data");
    c.event("read_x", &[("res", Value::Errno(-9)), ("fd", Value::Fd(3))]);
    c.has("num=3 type=- typechar=o name= directory=- filename=- ino=- nameraw=");
    c.event("getuid_x", &[]).has("num=- name=- uid=- typechar=-");
}

#[test]
fn a_file_that_is_opened() {
    let open = |fd, path| {
        let flags = 1 | 32768; // O_RDONLY and in the upper layer
        [
            ("fd", Value::Fd(fd)),
            ("dirfd", Value::Fd(-100)),
            ("name", Value::Text(path)),
            ("flags", Value::Flags(flags)),
            ("ino", Value::Uint(77)),
        ]
    };
    let mut c = Capture::new();
    c.event("openat_e", &[]).has("num=-1 name=- typechar=f");
    c.event("openat_x", &open(6, b"sub//./x"));
    c.has("num=6 name=/srv/sub/x nameraw=sub/./x name_changed=true ino=77 is_upper_layer=true");
    c.event("dup_x", &[("res", Value::Fd(7)), ("oldfd", Value::Fd(6))]);
    c.has("num=7 name=/srv/sub/x nameraw=sub/./x name_changed=false");
    c.event("dup_x", &[("res", Value::Fd(-24)), ("oldfd", Value::Fd(6))]).has("num=6 name=/srv/sub/x");
    c.event("openat_x", &open(-2, b"none"));
    c.has("num=-1 name=/srv/none nameraw=none directory=/srv filename=- type=- typechar=f uid=100-1");
    let duplicates = [("res", Value::Fd(8)), ("fd", Value::Fd(6)), ("cmd", Value::Enum(1))];
    c.event("fcntl_x", &duplicates).has("num=8 name=/srv/sub/x");
    let asks = [("res", Value::Fd(1)), ("fd", Value::Fd(6)), ("cmd", Value::Enum(2))];
    c.event("fcntl_x", &asks).has("num=6");
}

#[test]
fn calls_with_two_descriptors() {
    let mut c = Capture::new();
    let pair = [("res", OK), ("fd1", Value::Fd(10)), ("fd2", Value::Fd(11)), ("ino", Value::Uint(5))];
    c.event("pipe2_x", &pair).has("num=11 type=pipe name=pipe:[5] ino=5");
    let both = [("fd_in", Value::Fd(3)), ("fd_out", Value::Fd(11))];
    c.event("splice_x", &[&[("res", OK)], &both[..]].concat()).has("num=11");
    c.event("splice_e", &both).has("num=11");
    let both = [("res", OK), ("out_fd", Value::Fd(11)), ("in_fd", Value::Fd(3))];
    c.event("sendfile_x", &both).has("num=11");
    c.event("mmap_x", &[("res", OK), ("fd", Value::Fd(3))]).has("num=3 name=/srv/data");
    c.event("signalfd_x", &[("res", Value::Fd(12)), ("fd", Value::Fd(-1))]).has("num=12 type=signalfd");
}

#[test]
fn a_connection_has_two_ends() {
    let (here, there) = ([10, 0, 0, 1], [8, 8, 8, 8]);
    let mut c = Capture::new();
    c.socket().has(
        "num=5 type=ipv4 typechar=4 name= sockfamily=ip l4proto=- connected=false is_server=false cip=-",
    );
    c.connect((here, 4000), (there, 443));
    c.has("name=10.0.0.1:4000->8.8.8.8:443 cip=10.0.0.1 sip=8.8.8.8 lip=10.0.0.1 rip=8.8.8.8 cnet=10.0.0.1");
    c.has("cport=4000 sport=443 lport=4000 rport=443 cproto=4000 sproto=https lproto=4000 rproto=https");
    c.has("l4proto=tcp is_server=false connected=true name_changed=true rnet=8.8.8.8");
    for (field, expected) in [
        ("ip", ["10.0.0.1", "8.8.8.8"]),
        ("net", ["10.0.0.1", "8.8.8.8"]),
        ("port", ["4000", "443"]),
        ("proto", ["4000", "443"]),
    ] {
        assert_eq!(c.all(&format!("fd.{field}")), expected);
    }
    c.event("accept4_x", &[("fd", Value::Fd(6)), ("tuple", tuple((there, 5000), (here, 80)))]);
    c.has("num=6 cip=8.8.8.8 sip=10.0.0.1 lip=10.0.0.1 rip=8.8.8.8 lport=80 lproto=http is_server=true");
    c.event("accept4_x", &[("fd", Value::Fd(-11))]).has("num=-1 name= typechar=4");
}

/// The interfaces may not have the address: in a container, say. If they have both, the client's end is local.
#[test]
fn the_local_end() {
    let mut c = Capture::new();
    c.socket().connect(([172, 17, 0, 2], 4000), ([8, 8, 8, 8], 443)).has("lport=4000 is_server=false");
    let inside = tuple(([8, 8, 8, 8], 4000), ([172, 17, 0, 2], 80));
    c.event("accept4_x", &[("fd", Value::Fd(6)), ("tuple", inside)]).has("lport=80 is_server=true");
    let own = tuple(([10, 0, 0, 1], 4000), ([10, 0, 0, 1], 80));
    c.event("accept4_x", &[("fd", Value::Fd(6)), ("tuple", own)]).has("lport=4000 rport=80 is_server=true");
    let any = tuple(([0, 0, 0, 0], 4000), ([10, 0, 0, 1], 80));
    c.event("accept4_x", &[("fd", Value::Fd(6)), ("tuple", any)]).has("lport=4000 rport=80");
}

#[test]
fn a_listening_socket_has_one_end() {
    let mut c = Capture::new();
    c.event("listen_x", &[("res", OK), ("fd", Value::Fd(4))]);
    c.has("name=10.0.0.1:22 sip=10.0.0.1 sport=22 sproto=ssh cip=- lip=- is_server=true l4proto=tcp");
    assert_eq!((c.all("fd.ip"), c.all("fd.port")), (vec!["10.0.0.1".into()], vec!["22".into()]));
    c.socket();
    let bind = |port| {
        [
            ("res", OK),
            ("fd", Value::Fd(5)),
            ("addr", Value::SockAddr(SockAddr::Inet([10, 0, 0, 1].into(), port))),
        ]
    };
    c.event("bind_x", &bind(0)).has("name=10.0.0.1:0 sport=- is_server=false name_changed=true");
    c.event("bind_x", &bind(80)).has("name=10.0.0.1:80 sport=80 is_server=true");
}

#[test]
fn unix_sockets() {
    let unix =
        |source, destination| Value::SockTuple(SockTuple::Unix { source, destination, path: b"/run/s" });
    let mut c = Capture::new();
    let pair = [("res", OK), ("fd1", Value::Fd(7)), ("fd2", Value::Fd(8))];
    c.event("socketpair_x", &pair)
        .has("num=8 type=unix sockfamily=unix name= connected=false is_server=false");
    c.event("connect_x", &[("res", OK), ("fd", Value::Fd(7)), ("tuple", unix(0xa, 0xb))]);
    assert_eq!(c.one("fd.name"), "a->b /run/s");
    c.has("connected=true cip=- cproto=- l4proto=- directory=-");
}

#[test]
fn the_name_of_a_datagram_socket_changes_with_its_peer() {
    let from = |port| tuple(([8, 8, 8, 8], port), ([10, 0, 0, 1], 53));
    let udp = [("fd", Value::Fd(5)), ("domain", Value::Enum(2)), ("type", Value::Uint(2))];
    let mut c = Capture::new();
    c.event("socket_x", &udp);
    for (port, changed) in [(1, true), (1, false), (2, true)] {
        let received = [("res", Value::Errno(1)), ("fd", Value::Fd(5)), ("tuple", from(port))];
        c.event("recvfrom_x", &received)
            .has(&format!("cport={port} sproto=domain l4proto=udp name_changed={changed}"));
    }
}

#[test]
fn the_kinds_of_all_descriptors() {
    let mut c = Capture::new();
    c.event("eventfd2_x", &[("res", Value::Fd(9))]);
    c.event("read_x", &[("res", OK), ("fd", Value::Fd(3))]);
    assert_eq!(c.all("fd.types"), ["file", "ipv4", "event"]);
    assert_eq!((c.all("fd.types[9]"), c.one("fd.types[50]")), (vec!["event".into()], "-".into()));
    c.event("getuid_x", &[]);
    assert!(c.all("fd.types").is_empty());
}

#[test]
fn the_descriptors_of_a_poll() {
    let mut c = Capture::new();
    c.socket().connect(([10, 0, 0, 1], 4000), ([8, 8, 8, 8], 443));
    let entries: Vec<u8> =
        [3_i64, 4, 5, 99].iter().flat_map(|fd| [&fd.to_ne_bytes()[..], &[1, 0]].concat()).collect();
    let fds = Value::FdList(FdEntries::new(&entries).unwrap());
    c.event("poll_x", &[("res", OK), ("fds", fds)]);
    for (field, expected) in [
        ("nums", "3,4,5,99"),
        ("names", "/srv/data,10.0.0.1:22,10.0.0.1:4000->8.8.8.8:443,<NA>"),
        ("cips", "10.0.0.1"),
        ("sips", "10.0.0.1,8.8.8.8"),
        ("cports", "4000"),
        ("sports", "22,443"),
    ] {
        assert_eq!(c.one(&format!("fdlist.{field}")), expected);
    }
    c.has("num=-");
    c.event("read_x", &[("res", OK), ("fd", Value::Fd(3))]);
    assert_eq!(c.one("fdlist.nums"), "-");
}

//! The capture format from outside: files assembled by hand, in the form of older writers. (In tests/other_readers.rs,
//! other readers open scapd's files.)

#![cfg(target_endian = "little")]
#![allow(clippy::unwrap_used)]

mod commands;
mod packed;

use std::net::Ipv4Addr;

use scap::format::{
    BlockType, ReadError, Reader,
    state::{Fd, FdKind, FdList, Group, Interface, InterfaceAddress, MachineState, NamedFd, Thread, User},
};

/// A byte string assembled from integers and texts.
#[derive(Default, Clone)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn u8(mut self, v: u8) -> Bytes {
        self.0.push(v);
        self
    }

    fn u16(mut self, v: u16) -> Bytes {
        self.0.extend_from_slice(&v.to_le_bytes());
        self
    }

    fn u32(mut self, v: u32) -> Bytes {
        self.0.extend_from_slice(&v.to_le_bytes());
        self
    }

    fn u64(mut self, v: u64) -> Bytes {
        self.0.extend_from_slice(&v.to_le_bytes());
        self
    }

    fn raw(mut self, bytes: &[u8]) -> Bytes {
        self.0.extend_from_slice(bytes);
        self
    }

    fn text(self, text: &str) -> Bytes {
        self.u16(text.len() as u16).raw(text.as_bytes())
    }

    fn block(self, ty: u32, body: Bytes) -> Bytes {
        let padded = body.0.len().next_multiple_of(4);
        let len = 12 + padded as u32;
        self.u32(ty).u32(len).raw(&body.0).raw(&vec![0; padded - body.0.len()]).u32(len)
    }
}

fn bytes() -> Bytes {
    Bytes::default()
}

fn section() -> Bytes {
    bytes().block(0x0A0D_0D0A, bytes().u32(0x1A2B_3C4D).u16(1).u16(0).u64(u64::MAX))
}

/// Returns a `close` exit event with today's header; its block must keep the time.
fn close_exit(ts: u64) -> Bytes {
    bytes().u64(ts).u64(7).u32(26 + 2 + 8).u16(5).u32(1).u16(8).u64(0)
}

/// An event's time and its parameters.
type Event = (u64, Vec<Vec<u8>>);

fn read_all(file: &Bytes) -> (Vec<Event>, MachineState, Option<ReadError>) {
    let mut reader = Reader::new(&file.0[..]).unwrap();
    let mut events = Vec::new();
    let error = loop {
        match reader.next_event() {
            Ok(Some(e)) => events.push((e.event.ts(), e.event.params().map(<[u8]>::to_vec).collect())),
            Ok(None) => break None,
            Err(e) => break Some(e),
        }
    };
    (events, reader.state().clone(), error)
}

fn state_of(ty: u32, body: Bytes) -> MachineState {
    let (events, state, error) = read_all(&section().block(ty, body));
    assert!(events.is_empty() && error.is_none(), "{error:?}");
    state
}

/// Returns the fields of a thread in a process list of this version.
fn old_thread(version: u8, tid: u64) -> Bytes {
    let mut b = bytes().u64(tid).u64(2).u64(1);
    if version >= 6 {
        b = b.u64(22);
    }
    if version >= 8 {
        b = b.u64(23);
    }
    b = b.text("sh").text("/bin/sh");
    if version >= 7 {
        b = b.text("/usr/bin/dash");
    }
    b = b.text("-c\0ls\0").text("/root").u64(1024).u32(1).u32(1000).u32(100);
    if version >= 2 {
        b = b.u32(4).u32(5).u32(6).u64(7).u64(8);
    }
    if version >= 3 {
        b = b.text("A=1\0");
    }
    if version >= 4 {
        b = b.u64(31).u64(32).text("cpu=/\0");
    }
    if version >= 5 {
        b = b.text("/jail");
    }
    b
}

fn expected_thread(version: u8, tid: u64) -> Thread {
    let since = |v| version >= v;
    let if_since = |v, value: u64| if since(v) { value } else { 0 };
    let text = |v, text: &str| if since(v) { text.into() } else { Vec::new() };
    Thread {
        tid,
        pid: 2,
        ptid: 1,
        sid: if_since(6, 22),
        vpgid: if_since(8, 23),
        comm: b"sh".into(),
        exe: b"/bin/sh".into(),
        exepath: text(7, "/usr/bin/dash"),
        args: b"-c\0ls\0".into(),
        cwd: b"/root".into(),
        fdlimit: 1024,
        flags: 1,
        uid: 1000,
        gid: 100,
        vmsize_kb: if_since(2, 4) as u32,
        vmrss_kb: if_since(2, 5) as u32,
        vmswap_kb: if_since(2, 6) as u32,
        pfmajor: if_since(2, 7),
        pfminor: if_since(2, 8),
        env: text(3, "A=1\0"),
        vtid: if since(4) { 31 } else { -1 },
        vpid: if since(4) { 32 } else { -1 },
        cgroups: text(4, "cpu=/\0"),
        root: text(5, "/jail"),
        loginuid: u32::MAX,
        pgid: -1,
        ..Thread::default()
    }
}

#[test]
fn process_lists_of_every_version() {
    let types = [
        (0x202, 1),
        (0x8000_ABCD, 1),
        (0x207, 2),
        (0x8013_ABCD, 2),
        (0x209, 3),
        (0x8014_ABCD, 3),
        (0x210, 4),
        (0x211, 5),
        (0x212, 6),
        (0x213, 7),
        (0x214, 8),
    ];
    for (ty, version) in types {
        let state = state_of(ty, old_thread(version, 50).raw(&old_thread(version, 51).0));
        assert_eq!(state.threads, [expected_thread(version, 50), expected_thread(version, 51)], "{ty:#x}");
    }
}

#[test]
fn a_process_list_entry_ends_where_its_length_says() {
    let entry = |tail: Bytes| {
        let fields = old_thread(9, 50).raw(&tail.0);
        let list = bytes().u32(4 + fields.0.len() as u32).raw(&fields.0);
        let mut threads = state_of(0x215, list.clone().raw(&list.0)).threads;
        assert_eq!(threads.len(), 2);
        assert_eq!(threads[0], threads[1]);
        threads.remove(0)
    };
    let base = expected_thread(9, 50);
    assert_eq!(entry(bytes()), base);
    assert_eq!(entry(bytes().u32(5)), Thread { loginuid: 5, ..base.clone() });
    // Later versions moved five fields from the end, behind two new ones.
    let capabilities = Thread {
        loginuid: 5,
        exe_writable: true,
        cap_inheritable: 1,
        cap_permitted: 2,
        cap_effective: 3,
        ..base
    };
    let old = bytes().u32(5).u8(1).u64(1).u64(2).u64(3);
    assert_eq!(entry(old.clone()), capabilities);
    let later = bytes().u64(77).u32(34816).raw(&old.0).u8(1);
    let with_tty = Thread { pidns_init_start_ts: 77, tty: 34816, exe_upper_layer: true, ..capabilities };
    assert_eq!(entry(later.clone()), with_tty);
    // All of today's fields, and one of a future version.
    let full = later.u64(11).u64(12).u64(13).u8(0).u8(1).u64(99).raw(b"future");
    let expected = Thread {
        exe_ino: 11,
        exe_ino_ctime: 12,
        exe_ino_mtime: 13,
        exe_lower_layer: true,
        pgid: 99,
        ..with_tty
    };
    assert_eq!(entry(full), expected);
}

#[test]
fn fd_lists_of_both_versions() {
    let file = || bytes().u32(1).text("/etc/passwd");
    let head = |fd, ty| bytes().u64(fd).u64(600).u8(ty);
    let kind = |fd, kind| Fd { fd, ino: 600, kind };
    let path = || b"/etc/passwd".to_vec();
    let pipe = FdKind::Named { kind: NamedFd::Fifo, name: b"pipe:[1]".into() };

    let v1 = bytes()
        .u64(42)
        .raw(&head(3, 16).raw(&file().0).0)
        .raw(&head(4, 1).text("/etc/passwd").0)
        .raw(&head(5, 0).0)
        .raw(&head(6, 7).text("pipe:[1]").0);
    let fds = vec![
        kind(3, FdKind::File { open_flags: 1, path: path(), dev: 0 }),
        kind(4, FdKind::File { open_flags: 0, path: path(), dev: 0 }),
        kind(6, pipe.clone()),
    ];
    assert_eq!(state_of(0x203, v1.clone()).fds, [FdList { pid: 42, fds: fds.clone() }]);
    assert_eq!(state_of(0x8001_ABCD, v1).fds, [FdList { pid: 42, fds }]);

    let sized = |b: Bytes| bytes().u32(4 + b.0.len() as u32).raw(&b.0).0;
    let v2 = bytes()
        .u64(42)
        .raw(&sized(head(3, 16).raw(&file().u32(0x10_0001).0)))
        .raw(&sized(head(4, 16).raw(&file().0)))
        .raw(&sized(head(5, 99).raw(b"of tomorrow")))
        .raw(&sized(head(6, 7).text("pipe:[1]").raw(b"more")));
    let fds = [
        kind(3, FdKind::File { open_flags: 1, path: path(), dev: 0x10_0001 }),
        kind(4, FdKind::File { open_flags: 1, path: path(), dev: 0 }),
        kind(5, FdKind::Named { kind: NamedFd::Unsupported, name: Vec::new() }),
        kind(6, pipe),
    ];
    assert_eq!(state_of(0x218, v2).fds[0].fds, fds);
}

#[test]
fn old_lists_of_interfaces_and_users() {
    let v4 = |speed| Interface {
        name: b"lo".into(),
        address: InterfaceAddress::V4 {
            address: Ipv4Addr::LOCALHOST,
            netmask: [255, 0, 0, 0].into(),
            broadcast: [127, 255, 255, 255].into(),
        },
        link_speed: speed,
    };
    let addresses = [127, 0, 0, 1, 255, 0, 0, 0, 127, 255, 255, 255];
    let list =
        bytes().u16(1).u16(2).raw(&addresses).u64(1000).raw(b"lo").u16(3).u16(2).raw(&addresses).raw(b"lo");
    assert_eq!(state_of(0x205, list.clone()).interfaces, [v4(1000), v4(0)]);
    assert_eq!(state_of(0x8011_ABCD, list).interfaces, [v4(1000), v4(0)]);

    let list =
        bytes().u8(0).u32(7).u32(8).text("me").text("/home/me").text("/bin/sh").u8(1).u32(8).text("us");
    let state = state_of(0x206, list);
    let me = User { uid: 7, gid: 8, name: b"me".into(), home: b"/home/me".into(), shell: b"/bin/sh".into() };
    assert_eq!(state.users, [me]);
    assert_eq!(state.groups, [Group { gid: 8, name: b"us".into() }]);
}

#[test]
fn events_of_every_block_type() {
    // The old header has no number of parameters: 22 bytes.
    let old = |ts: u64| bytes().u64(ts).u64(7).u32(22 + 2 + 8).u16(5).u16(8).u64(0);
    let file = section()
        .block(0x204, bytes().u16(0).raw(&old(1).0))
        .block(0x8010_ABCD, bytes().u16(1).raw(&old(2).0))
        .block(0x208, bytes().u16(2).u32(0xF1A6).raw(&old(3).0))
        .block(0x216, bytes().u16(3).raw(&close_exit(4).0))
        .block(0x217, bytes().u16(4).u32(0xF1A7).raw(&close_exit(5).0))
        .block(0x221, bytes().u16(5).raw(&close_exit(6).0))
        .block(0x222, bytes().u16(6).u32(0xF1A8).raw(&close_exit(7).0));
    let mut reader = Reader::new(&file.0[..]).unwrap();
    for (i, flags) in [0, 0, 0xF1A6, 0, 0xF1A7, 0, 0xF1A8].into_iter().enumerate() {
        let e = reader.next_event().unwrap().unwrap();
        assert_eq!((e.cpu, e.flags, e.event.ts()), (i as u16, flags, i as u64 + 1));
        assert_eq!((e.event.nparams(), e.event.param(0)), (1, Some(&[0; 8][..])));
    }
    assert!(reader.next_event().unwrap().is_none());
    assert_eq!(reader.offset(), file.0.len() as u64);
    assert_eq!(reader.block_counts()[&BlockType(0x8010_ABCD)], 1);
}

#[test]
fn an_old_event_has_the_parameters_that_fill_it() {
    let old = |ty: u16, len: u32, params: Bytes| {
        let event = bytes().u64(1).u64(7).u32(len).u16(ty).raw(&params.0);
        read_all(&section().block(0x204, bytes().u16(0).raw(&event.0)))
    };
    // An exit event of `open` from before its device was recorded: 4 of 6 parameters.
    let open = bytes().u16(8).u16(3).u16(4).u16(4).u64(3).raw(b"/a\0").u32(1).u32(0);
    let (events, _, error) = old(3, 22 + open.0.len() as u32, open.clone());
    assert!(error.is_none(), "{error:?}");
    assert_eq!(events[0].1, [&3u64.to_le_bytes()[..], b"/a\0", &[1, 0, 0, 0], &[0; 4]]);
    // A notification: old writers added 3 bytes too many.
    let notification = bytes().u16(3).u16(2).raw(b"id\0d\0");
    let (events, _, _) = old(280, 22 + notification.0.len() as u32 + 3, notification.raw(&[0; 3]));
    assert_eq!(events[0].1, [&b"id\0"[..], b"d\0"]);
    // No number of parameters fits.
    let (events, _, error) = old(3, 22 + open.0.len() as u32 - 1, open);
    assert!(events.is_empty());
    assert!(matches!(error, Some(ReadError::Corrupt { offset: 28, .. })), "{error:?}");
}

#[test]
fn unknown_blocks_are_stepped_over() {
    let file = section()
        .block(0x7777, bytes().raw(&[1; 1000]))
        .block(0x216, bytes().u16(0).raw(&close_exit(1).0))
        .block(0x7778, bytes())
        .block(0x216, bytes().u16(0).raw(&close_exit(2).0));
    let (events, _, error) = read_all(&file);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(events.iter().map(|e| e.0).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_second_section_has_a_state_of_its_own() {
    let machine = |cpus| bytes().u32(cpus).u64(0).u64(0).raw(&[0; 128]).raw(&[0; 32]);
    let users = bytes().u8(1).u32(8).text("us");
    let file = section()
        .block(0x201, machine(1))
        .block(0x206, users)
        .block(0x216, bytes().u16(0).raw(&close_exit(1).0))
        .raw(&section().0)
        .block(0x201, machine(2))
        .block(0x216, bytes().u16(0).raw(&close_exit(2).0));
    let mut reader = Reader::new(&file.0[..]).unwrap();
    reader.next_event().unwrap().unwrap();
    assert_eq!((reader.section(), reader.state().machine.num_cpus, reader.state().groups.len()), (1, 1, 1));
    reader.next_event().unwrap().unwrap();
    assert_eq!((reader.section(), reader.state().machine.num_cpus, reader.state().groups.len()), (2, 2, 0));
}

#[test]
fn what_is_no_capture_is_named() {
    let error = |bytes: &[u8]| match Reader::new(bytes) {
        Ok(_) => panic!("a capture"),
        Err(e) => e,
    };
    assert!(matches!(error(b""), ReadError::Truncated { offset: 0, .. }));
    assert!(matches!(error(&section().0[..20]), ReadError::Truncated { offset: 0, .. }));
    assert!(matches!(error(b"#!/bin/sh\nexit 0\n"), ReadError::NotScap(_)));
    assert!(matches!(error(b"\x1f\x8b is no gzip"), ReadError::Corrupt { .. } | ReadError::Truncated { .. }));
    let swapped =
        b"\x0a\x0d\x0d\x0a\0\0\0\x1c\x1a\x2b\x3c\x4d\0\x01\0\x02\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\x1c";
    assert!(error(swapped).to_string().contains("byte order"), "{}", error(swapped));
    let newer = bytes().block(0x0A0D_0D0A, bytes().u32(0x1A2B_3C4D).u16(2).u16(0).u64(0));
    assert!(error(&newer.0).to_string().contains("version"));
    let pcapng = section().block(1, bytes().u32(1).u32(0)).block(6, bytes().raw(&[0; 40]));
    assert!(matches!(read_all(&pcapng).2, Some(ReadError::NotScap(_))));
}

#[test]
fn damage_is_named_with_its_offset() {
    let good = || section().block(0x216, bytes().u16(0).raw(&close_exit(1).0));
    let at = good().0.len() as u64;
    let error = |file: Bytes| {
        let (events, _, error) = read_all(&file);
        assert_eq!(events.len(), 1, "what stands before is read");
        error.unwrap()
    };
    let corrupt = |file| matches!(error(file), ReadError::Corrupt { offset, .. } if offset == at);
    assert!(corrupt(good().u32(0x216).u32(4).u32(4)), "shorter than its frame");
    assert!(corrupt(good().u32(0x216).u32(16).u32(0).u32(20)), "another length at the end");
    assert!(corrupt(good().block(0x216, bytes().u16(0).raw(&[1; 26]))), "an event longer than its block");
    assert!(corrupt(good().u32(0x216).u32(u32::MAX)), "longer than an event may be");
    assert!(corrupt(good().u32(0x215).u32(u32::MAX)), "longer than anything may be");
    assert!(corrupt(good().block(0x215, bytes().u32(3).u64(1))), "an entry shorter than its length");
    assert!(corrupt(good().block(0x215, bytes().u32(12).u64(1))), "an entry that lacks fields");
    assert!(
        corrupt(good().block(0x203, bytes().u64(1).u64(2).u64(3).u8(99))),
        "a descriptor of unknown size"
    );
    let cut = |file| matches!(error(file), ReadError::Truncated { offset, .. } if offset == at);
    assert!(cut(good().u32(0x216)));
    assert!(cut(good().u32(0x216).u32(60).raw(&[0; 51])));
    assert!(cut(good().u32(0x215).u32(1 << 28)), "a length is no reason to allocate");
    assert!(cut(good().u32(0x9999).u32(u32::MAX).raw(&[0; 99])));
}

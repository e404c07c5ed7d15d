//! Which calls have an effect, and how far it goes; captures that were put together.

use super::*;
use scap::events::{SYSCALLS, Syscall};

const FAILED: Value<'static> = Value::Errno(-22);
const OK: Value<'static> = Value::Errno(0);

/// An event with these parameters; the others have no value.
fn named(capture: Capture, tid: u64, event: &str, params: &[(&str, Value<'_>)]) -> Capture {
    let row = newest(event);
    assert!(params.iter().all(|(name, _)| row.param(name).is_some()), "{event}: {params:?}");
    let value = |name: &str| params.iter().find(|(of, _)| *of == name).map_or(NA, |(_, value)| *value);
    let values: Vec<_> = row.params.iter().map(|param| value(param.name)).collect();
    capture.event(tid, event, &values)
}

/// What a relative name is opened as.
fn opened(capture: Capture, tid: u64) -> String {
    let params = [("fd", Value::Fd(9)), ("dirfd", Value::Fd(-100)), ("name", Value::Text(b"a"))];
    let looks = named(capture, tid, "openat_x", &params).look(tid, 9).looks();
    looks.last().unwrap().clone()
}

#[test]
fn a_call_that_failed_changes_nothing() {
    let looks = |capture: Capture| capture.look(100, 3).look(100, 4).look(100, 5).looks();
    let known = looks(Capture::new());
    let fds = [("res", FAILED), ("fd1", Value::Fd(3)), ("fd2", Value::Fd(4))];
    let (address, source, destination) = (SockAddr::Inet(v4(0).0, 53), v4(1), v4(2));
    let tuple = ("tuple", Value::SockTuple(SockTuple::Inet { source, destination }));
    let range = [("first", Value::Uint(3)), ("last", Value::Uint(5)), ("flags", Value::Flags(0))];
    let (res, fd) = (("res", FAILED), ("fd", Value::Fd(5)));
    for (event, params) in [
        ("close_range_x", &[&[res], &range[..]].concat()[..]),
        ("pipe2_x", &fds),
        ("socketpair_x", &fds),
        ("bind_x", &[res, fd, ("addr", Value::SockAddr(address))]),
        ("connect_x", &[res, fd, tuple]),
        ("sendto_x", &[res, fd, tuple]),
        ("recvfrom_x", &[res, fd, tuple]),
        ("execve_x", &[res, ("comm", Value::Text(b"other"))]),
        ("bpf_x", &[("fd", Value::Fd(-1)), ("cmd", Value::Enum(5))]),
    ] {
        assert_eq!(looks(named(Capture::new(), 100, event, params)), known, "{event}");
    }
    for (event, param) in [("chdir_x", ("path", Value::Text(b"/tmp"))), ("fchdir_x", ("fd", Value::Fd(3)))] {
        assert_eq!(opened(named(Capture::new(), 100, event, &[res, param]), 100), "9(<f>/srv/a)", "{event}");
    }
    for (event, param) in [("prctl_x", "arg2_str"), ("execve_x", "comm")] {
        let mut params = vec![res, (param, Value::Text(b"other"))];
        params.extend((event == "prctl_x").then_some(("option", Value::Enum(15))));
        let (out, _) = named(Capture::new(), 100, event, &params).look(100, 3).read(|_| {});
        assert!(out.lines().last().unwrap().contains(" sh (100) "), "{event}: {out}");
    }
}

#[test]
fn a_command_of_bpf_that_makes_no_descriptor_leaves_its_number() {
    let looks = named(Capture::new(), 100, "bpf_x", &[("fd", Value::Fd(3)), ("cmd", Value::Enum(1))]);
    assert_eq!(looks.look(100, 3).looks(), ["3(<f>/srv/data)"]);
}

#[test]
fn unshare_divides_what_its_flags_name() {
    const FILES: u32 = 1;
    const FS: u32 = 2;
    const NEWNS: u32 = 32;
    const NEWNET: u32 = 16;
    let unshared = |res, flags| {
        let params = [("res", res), ("flags", Value::Flags(flags))];
        named(Capture::new(), 101, "unshare_x", &params)
    };
    // Whether the descriptors, and the directory, of the other thread follow.
    let is_shared = |res, flags| {
        let closed = unshared(res, flags).event(101, "close_x", &[OK, Value::Fd(3)]).look(100, 3).looks();
        let changed =
            named(unshared(res, flags), 101, "chdir_x", &[("res", OK), ("path", Value::Text(b"/tmp"))]);
        (closed == ["3"], opened(changed, 100) == "9(<f>/tmp/a)")
    };
    assert_eq!(is_shared(OK, NEWNET), (true, true));
    assert_eq!(is_shared(OK, FILES), (false, true));
    assert_eq!(is_shared(OK, FS), (true, false));
    assert_eq!(is_shared(OK, NEWNS), (true, false));
    assert_eq!(is_shared(FAILED, FILES | FS), (true, true));
}

#[test]
fn sockets_keep_their_flag_for_exec() {
    const CLOEXEC: i32 = 0o2000000;
    let made = |event: &str, params: &[(&str, Value<'_>)], fd| {
        named(Capture::new(), 100, event, params).exec(100, "x").look(100, fd).looks()
    };
    for (flag, looks) in [(0, ["7(<u>)"]), (CLOEXEC, ["7"])] {
        let kind = Value::Uint(1 | flag as u64);
        let socket = [("fd", Value::Fd(7)), ("domain", Value::Enum(1)), ("type", kind)];
        assert_eq!(made("socket_x", &socket, 7), looks);
        let pair = [("res", OK), ("fd1", Value::Fd(7)), ("fd2", Value::Fd(8)), ("type", kind)];
        assert_eq!(made("socketpair_x", &pair, 7), looks);
        let ends = Value::SockTuple(SockTuple::Unix { source: 1, destination: 2, path: b"" });
        let accepted = made(
            "accept4_x",
            &[("fd", Value::Fd(7)), ("tuple", ends), ("flags", Value::Int(flag.into()))],
            7,
        );
        assert_eq!(accepted == ["7"], flag != 0, "{accepted:?}");
    }
}

#[test]
fn a_descriptor_that_is_made_a_copy_of_itself_keeps_its_flag_for_exec() {
    let same = Capture::new().event(100, "dup2_x", &[Value::Fd(4), Value::Fd(4), Value::Fd(4)]);
    assert_eq!(same.exec(100, "x").look(100, 4).looks(), ["4"]);
    // A copy has none.
    let copy = Capture::new().event(100, "dup2_x", &[Value::Fd(7), Value::Fd(4), Value::Fd(7)]);
    assert_eq!(copy.exec(100, "x").look(100, 7).looks(), ["7(<f>/var/log/x)"]);
}

#[test]
fn a_section_that_begins_before_the_last_one_has_ended_is_noticed() {
    // The times of the events of each section.
    let turns = |sections: &[&[u64]]| {
        let mut file = Vec::new();
        for times in sections {
            let mut capture = Capture::new();
            for ts in *times {
                capture.ts = *ts;
                capture = capture.look(100, 3);
            }
            file.extend(capture.bytes);
        }
        let mut turns = Vec::new();
        let mut reader = Reader::new(&file[..]).unwrap();
        let mut replay = Replay::new(&mut reader, Keep::Names, Position::default());
        while let Some(moment) = replay.next().unwrap() {
            turns.push(moment.turns_back);
        }
        turns
    };
    assert_eq!(turns(&[&[10, 20], &[30, 40]]), [false; 4]);
    assert_eq!(turns(&[&[10, 20], &[20, 40]]), [false; 4]);
    assert_eq!(turns(&[&[10, 20], &[19, 40]]), [false, false, true, false]);
    // A late event within a section; and the latest counts, not the last.
    assert_eq!(turns(&[&[10, 20, 15], &[17]]), [false, false, false, true]);
}

#[test]
fn a_generic_event_is_shown_if_its_call_was_asked_for() {
    let has_row = |call: &Syscall| EVENTS.iter().any(|row| row.name == call.name);
    let mut generic = SYSCALLS.iter().filter(|call| !has_row(call) && call.selected_with().is_none());
    let (asked, other) = (generic.next().unwrap(), generic.next().unwrap());
    let mut capture = Capture::new();
    let text = format!("syscalls={} events=enter,exit tracepoints=none", asked.name);
    frame_event(&mut capture.bytes, 1, &ledger::notice(ledger::SELECTED, &text, capture.ts));
    for call in [asked, other, asked] {
        capture = capture.event(100, "syscall_x", &[Value::Syscall(call.code), Value::Uint(1)]);
    }
    let lines = |all| {
        let (out, result) = capture.read(|args| args.wanted.all = all);
        result.unwrap();
        out.lines().filter(|line| line.contains(" < ")).count()
    };
    assert_eq!((lines(false), lines(true)), (2, 3));
}

#[test]
fn a_copy_of_what_nothing_is_known_of_has_no_name() {
    let copied = |res| Capture::new().event(100, "dup2_x", &[Value::Fd(res), Value::Fd(99), Value::Fd(5)]);
    assert_eq!(copied(5).look(100, 5).looks(), ["5"]);
    let kept = copied(-9).look(100, 5).looks();
    assert!(kept[0].contains("127.0.0.1:80"), "{kept:?}");
}

#[test]
fn what_an_exec_closes_is_what_its_maker_asked_for() {
    let closed = |event: &str, params: &[(&str, Value<'_>)], fd| {
        named(Capture::new(), 100, event, params).exec(100, "x").look(100, fd).looks() == [fd.to_string()]
    };
    let memfd = |flags| [("fd", Value::Fd(7)), ("name", Value::Text(b"m")), ("flags", Value::Flags(flags))];
    // MFD_CLOEXEC; MFD_ALLOW_SEALING.
    assert!(closed("memfd_create_x", &memfd(1), 7) && !closed("memfd_create_x", &memfd(2), 7));
    // Always.
    assert!(closed("io_uring_setup_x", &[("res", Value::Errno(7)), ("flags", Value::Flags(0))], 7));
    assert!(closed("bpf_x", &[("fd", Value::Fd(7)), ("cmd", Value::Enum(5))], 7));
    // F_SETFD and F_GETFD, of 3, which has no such flag: it gets it; it does not, as the call fails.
    let fcntl = |res, cmd| {
        let arg = ("arg", Value::Uint(1));
        [("res", Value::Fd(res)), ("fd", Value::Fd(3)), ("cmd", Value::Enum(cmd)), arg]
    };
    assert!(closed("fcntl_x", &fcntl(0, 3), 3) && !closed("fcntl_x", &fcntl(-9, 3), 3));
    assert!(closed("fcntl_x", &fcntl(1, 2)[..3], 3) && !closed("fcntl_x", &fcntl(-9, 2)[..3], 3));
}

#[test]
fn a_socket_is_of_the_family_that_was_asked_for() {
    let of_family = |domain| {
        let params = [("fd", Value::Fd(7)), ("domain", Value::Enum(domain)), ("type", Value::Uint(3))];
        named(Capture::new(), 100, "socket_x", &params).look(100, 7).looks().remove(0)
    };
    assert_eq!([1, 2, 10].map(of_family), ["7(<u>)", "7(<4r>)", "7(<6r>)"]);
    assert_ne!(of_family(16), of_family(17), "netlink, and one that has no name of its own");
}

#[test]
fn a_time_is_shown_in_the_zone_of_the_reader() {
    let time = Value::AbsTime(1_700_000_000_000_000_005);
    let params = [("res", Value::Errno(0)), ("exe_ino_ctime", time)];
    let capture = named(Capture::new(), 100, "execve_x", &params);
    let mut line = String::new();
    let zone = TimeZone::get("Asia/Kolkata").unwrap();
    let mut reader = Reader::new(&capture.bytes[..]).unwrap();
    let mut replay = Replay::new(&mut reader, Keep::Names, Position::default());
    let mut writer = LineWriter::new(LineStyle::default(), zone);
    writer.write(&mut line, &replay.next().unwrap().unwrap());
    assert!(line.contains(" exe_ino_ctime=2023-11-15 03:43:20.000000005 +0530 "), "{line}");
}

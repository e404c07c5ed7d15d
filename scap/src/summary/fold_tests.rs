//! What threads wait for, the slowest calls, and the time to connect, of captures whose numbers are known.

use super::{Column, Exit, Keys, Slowest, Spent, Top, Tree, Use, Wait, Waiting};
use crate::{
    fields::fixture::{BOOT, Capture, OK},
    format::{Keep, Reader, SockAddr, SockTuple, Value as Param},
    replay::{Moment, Now, Position, Replay},
};

/// Calls `each` with each event, then `end`. Both change `fold`.
fn replay<T>(
    capture: &Capture,
    mut fold: T,
    each: impl Fn(&mut T, &Moment<'_>),
    end: impl Fn(&mut T, Now<'_>),
) -> T {
    let mut reader = Reader::new(capture.bytes()).unwrap().keep(Keep::All);
    let mut replay = Replay::new(&mut reader, Keep::All, Position::default());
    while let Some(moment) = replay.next().unwrap() {
        each(&mut fold, &moment);
    }
    end(&mut fold, replay.now());
    fold
}

/// Returns what each thread spent its time on, as `thread threads: use ns, ...`.
fn spent(capture: &Capture) -> Vec<String> {
    let waiting = Waiting::new(Keys::parse("thread.tid").unwrap());
    let each = |waiting: &mut Waiting, moment: &Moment<'_>| waiting.event(moment, true).unwrap();
    let waiting = replay(capture, waiting, each, Waiting::end_capture);
    let show = |spent: &Spent| {
        let uses = Use::all().filter(|on| spent.on(*on) > 0);
        let uses: Vec<_> = uses.map(|on| format!("{} {}", on.name(), spent.on(on))).collect();
        assert_eq!(Use::all().map(|on| spent.on(on)).sum::<u64>(), spent.time());
        format!("{}: {}", spent.threads, uses.join(", "))
    };
    let mut all: Vec<_> = waiting
        .groups()
        .map(|(keys, spent)| {
            let mut text = String::new();
            keys.iter().for_each(|key| key.show(&mut text));
            format!("{text} {}", show(spent))
        })
        .collect();
    all.sort();
    all
}

#[test]
fn the_time_of_a_thread_is_divided() {
    let mut capture = Capture::new().clock(BOOT + 1000, 10);
    // At 0, 10, ... 60.
    capture
        .event(60, "getcwd_e", &[])
        .event(60, "getcwd_x", &[("res", OK)])
        .event(60, "nanosleep_e", &[])
        .event(70, "futex_x", &[("res", OK)])
        .event(60, "nanosleep_x", &[("res", OK)])
        .event(70, "vfork_e", &[])
        .call(50);
    let expected = [
        "50 1: disk 60",
        "60 1: running 30, disk 10, sleep 20",
        // It was in the futex from the start, and still waits.
        "70 1: running 20, locks 30, children 10",
    ];
    assert_eq!(spent(&capture), expected);
}

#[test]
fn a_thread_ends_and_another_begins() {
    let mut capture = Capture::new().clock(BOOT + 1000, 10);
    capture
        .event(60, "nanosleep_e", &[])
        .child(80, 60)
        .event(80, "nanosleep_e", &[])
        .event(60, "procexit_e", &[("status", OK)])
        .event(80, "nanosleep_x", &[("res", OK)])
        .call(50);
    let expected = ["50 1: disk 50", "60 1: sleep 30", "80 1: running 20, sleep 20"];
    assert_eq!(spent(&capture), expected);
}

#[test]
fn switches_tell_who_waits_for_a_cpu() {
    let switch = |next| [("next", Param::Pid(next))];
    let mut capture = Capture::new().clock(BOOT + 1000, 10);
    capture
        .event(60, "getcwd_e", &[])
        .event(60, "getcwd_x", &[("res", OK)])
        // 60 is preempted outside of a call from 20 to 40, then runs and sleeps, off the CPU from 60 to 80.
        .event(60, "switch_e", &switch(70))
        .event(70, "futex_e", &[])
        .event(70, "switch_e", &switch(60))
        .event(60, "nanosleep_e", &[])
        .event(60, "switch_e", &switch(70))
        .event(70, "futex_x", &[("res", OK)])
        .event(70, "switch_e", &switch(60))
        .event(60, "nanosleep_x", &[("res", OK)]);
    let got = spent(&capture);
    assert_eq!(got[0], "60 1: running 40, runnable 20, disk 10, sleep 20");
    // What was before its first event is not known to be off a CPU.
    assert_eq!(got[1], "70 1: running 60, runnable 10, locks 20");
}

#[test]
fn behind_a_gap_the_time_is_unknown_until_the_next_event() {
    let mut capture = Capture::new().clock(BOOT + 1000, 10);
    capture.event(60, "nanosleep_e", &[]).gap("from=1 to=2 ring=3").call(50);
    capture.event(60, "nanosleep_x", &[("res", OK)]).call(60);
    assert_eq!(spent(&capture)[1], "60 1: running 10, sleep 10, unknown 20");
}

#[test]
fn the_slowest_calls_are_kept_with_those_that_go_on() {
    let mut capture = Capture::new().clock(BOOT + 1000, 10);
    let call = |capture: &mut Capture, ns: u64| {
        capture.event(60, "getcwd_e", &[]);
        capture.ts += ns - 10;
        capture.event(60, "getcwd_x", &[("res", OK)]);
    };
    [50, 30, 70, 30, 20].into_iter().for_each(|ns| call(&mut capture, ns));
    capture.event(70, "nanosleep_e", &[]).event(50, "getcwd_e", &[]);
    capture.ts += 30;
    capture.call(60);
    let slowest = |most, with_waits| {
        let slowest = replay(
            &capture,
            Slowest::new(most, with_waits),
            |slowest, moment| slowest.event(moment, |moment| Some(moment.num)),
            |slowest, now| slowest.end_capture(now, |moment| Some(moment.event().tid())),
        );
        let calls = slowest.into_sorted().into_iter();
        calls.map(|slow| (slow.latency, slow.has_ended, slow.what)).collect::<Vec<_>>()
    };
    assert_eq!(slowest(3, false), [(70, true, 6), (50, true, 2), (40, false, 50)]);
    assert_eq!(slowest(4, true), [(70, true, 6), (50, true, 2), (50, false, 70), (40, false, 50)]);
    // Of two of the same time, the earlier one.
    assert_eq!(slowest(4, false)[3], (30, true, 4));
    assert_eq!(slowest(0, true), []);
    let mut capture = Capture::new().clock(BOOT + 1000, 10);
    [30, 30].into_iter().for_each(|ns| call(&mut capture, ns));
    let each =
        |slowest: &mut Slowest<u64>, moment: &Moment<'_>| slowest.event(moment, |moment| Some(moment.num));
    let first = replay(&capture, Slowest::new(1, false), each, |_, _| {}).into_sorted();
    assert_eq!(first.iter().map(|slow| slow.what).collect::<Vec<_>>(), [2]);
}

#[test]
fn a_call_whose_end_nobody_told_is_not_pending() {
    let mut capture = Capture::new();
    capture.event(60, "getcwd_e", &[]).event(60, "getcwd_x", &[("res", OK)]).event(60, "chdir_e", &[]);
    let top = Top::new(Keys::parse("call").unwrap());
    // The reader goes past what is not wanted.
    let each = |top: &mut Top, moment: &Moment<'_>| {
        if moment.num == 1 {
            top.event(moment).unwrap();
        }
    };
    let top = replay(&capture, top, each, |top, now| {
        top.end_capture(now);
        top.finish(now.ts);
    });
    assert_eq!(top.total().pending, 0);
}

#[test]
fn calls_count_whose_starts_are_not_wanted() {
    let mut capture = Capture::new();
    for _ in 0..2 {
        capture.event(60, "sendmmsg_e", &[]);
        for res in [5, 6] {
            capture.event(60, "sendmmsg_x", &[("res", Param::Errno(res))]);
        }
    }
    let top = Top::new(Keys::parse("call").unwrap());
    let each = |top: &mut Top, moment: &Moment<'_>| match moment.event().ty().is_enter() {
        true => top.unwanted(moment),
        false => top.event(moment).unwrap(),
    };
    assert_eq!(replay(&capture, top, each, Top::end_capture).total().calls, 2);
}

#[test]
fn the_time_to_connect_ends_with_the_first_transfer() {
    let address = "10.0.0.1:80".parse::<std::net::SocketAddr>().unwrap();
    let local = "10.0.0.2:4000".parse::<std::net::SocketAddr>().unwrap();
    let tuple = SockTuple::Inet { source: (local.ip(), 4000), destination: (address.ip(), 80) };
    let (fd, addr) = (("fd", Param::Fd(3)), ("addr", Param::SockAddr(SockAddr::Inet(address.ip(), 80))));
    let connect = |capture: &mut Capture, result| {
        let socket = [("fd", Param::Fd(3)), ("domain", Param::Enum(2)), ("type", Param::Uint(1))];
        capture.event(60, "socket_x", &socket);
        capture.event(60, "connect_e", &[fd, addr]);
        let tuple = ("tuple", Param::SockTuple(tuple));
        capture.event(60, "connect_x", &[("res", Param::Errno(result)), tuple, fd, addr]);
    };
    let mut capture = Capture::new().clock(BOOT + 1000, 10);
    connect(&mut capture, 0);
    capture.event(60, "close_x", &[("res", OK), fd]);
    connect(&mut capture, -115);
    capture.ts += 200;
    capture.event(60, "write_e", &[fd]);
    capture.event(60, "write_x", &[("res", Param::Errno(5)), fd]);
    capture.event(60, "write_x", &[("res", Param::Errno(5)), fd]);
    capture.event(60, "close_x", &[("res", OK), fd]);
    // Refused at once, and later.
    connect(&mut capture, -111);
    connect(&mut capture, -115);
    let error = ("val", Param::Errno(-111));
    capture.event(60, "getsockopt_x", &[("res", OK), fd, error]);
    let top = Top::new(Keys::parse("peer,port").unwrap()).with_connections();
    let top = replay(&capture, top, |top, moment| top.event(moment).unwrap(), |_, _| {});
    let groups: Vec<_> = top.groups().collect();
    let [group] = &groups[..] else { panic!("{groups:?}") };
    let times = group.totals.connecting.as_ref().unwrap();
    assert_eq!((times.count(), times.sum(), times.max()), (2, 10 + 220, Some(220)));
    let value = |column: Column| column.value(group.totals);
    assert_eq!((value(Column::Connects), value(Column::Errors)), (Some(3), Some(2)));
    assert_eq!(group.totals.errors, [(111, 2)]);
    assert_eq!(value(Column::Connect), Some(10));
}

#[test]
fn what_a_call_waits_for_depends_on_its_descriptor() {
    let mut capture = Capture::new();
    let open = |name: &'static str| {
        [("fd", Param::Fd(3)), ("name", Param::Text(name.as_bytes())), ("dirfd", Param::Fd(-100))]
    };
    let read = [("res", OK), ("fd", Param::Fd(3))];
    capture.event(60, "openat_x", &open("/var/x")).event(60, "read_x", &read);
    capture.event(60, "openat_x", &open("/dev/tty")).event(60, "read_x", &read);
    // The pipe of the initial state.
    capture.event(70, "read_x", &[("res", OK), ("fd", Param::Fd(0))]);
    capture.event(60, "poll_x", &[]).event(60, "getuid_x", &[]);
    let mut waits = Vec::new();
    capture.replay(|moment| waits.push(Wait::of(moment)));
    use Wait::{Disk, Other, Pipes, Poll};
    assert_eq!(waits, [Disk, Disk, Disk, Other, Pipes, Poll, Other]);
}

#[test]
fn the_tree_has_what_became_of_processes() {
    let exit = |status, signal| {
        let status = [("status", Param::Errno(status)), ("ret", Param::Errno(status >> 8))];
        [&status[..], &[("sig", Param::Signal(signal))]].concat()
    };
    let mut capture = Capture::new().clock(BOOT + 1000, 10);
    capture
        .event(60, "getcwd_x", &[("res", OK)])
        .child(80, 60)
        .exec(80, 60, b"-l\0/\0")
        .exec(80, 60, b"-x\0")
        .event(80, "read_x", &[("res", Param::Errno(7)), ("fd", Param::Fd(0))])
        .event(80, "write_x", &[("res", Param::Errno(-32)), ("fd", Param::Fd(1))])
        .child(81, 80)
        .event(81, "procexit_e", &exit(9, 9))
        .event(80, "procexit_e", &exit(3 << 8, 0))
        // The id is used again.
        .child(80, 60);
    let each = |tree: &mut Tree, moment: &Moment<'_>| tree.event(moment, moment.event().tid() != 81).unwrap();
    let tree = replay(&capture, Tree::default(), each, Tree::end_capture);
    let [make, ls, cut, again] = tree.processes() else { panic!("{:?}", tree.processes()) };
    assert_eq!((make.pid, make.parent, make.started, make.ended), (60, None, None, None));
    assert_eq!((&make.comm[..], &make.command[..], make.calls), (&b"make"[..], &b"-make\0-a\0b c\0"[..], 1));
    assert_eq!((ls.pid, ls.parent, ls.started), (80, Some(0), Some(BOOT + 1010)));
    assert_eq!(ls.ended, Some((BOOT + 1080, Exit::Status(3))));
    assert_eq!((&ls.command[..], ls.programs.len()), (&b"ls\0-x\0"[..], 2));
    assert_eq!((ls.uid, &ls.user[..], &ls.cwd[..]), (Some(7), &b"ann"[..], &b"/srv"[..]));
    // Two execs, a read and a write.
    assert_eq!((ls.calls, ls.errors, ls.read, ls.written), (4, 1, 7, 0));
    assert_eq!((cut.parent, cut.is_wanted, cut.calls), (Some(1), false, 0));
    assert_eq!(cut.ended.map(|(_, exit)| exit), Some(Exit::Signal(9)));
    assert_eq!((again.pid, again.parent, again.ended, again.is_wanted), (80, Some(0), None, true));
}

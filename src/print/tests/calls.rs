//! Calls in strace's form.

use super::*;

/// `O_RDONLY`, as the format has it.
const O_RDONLY: Value<'_> = Value::Flags(1);

impl Capture {
    /// Returns the lines of calls without their times.
    pub(super) fn calls(&self) -> Vec<String> {
        self.calls_with(|_| {})
    }

    fn calls_with(&self, change: impl FnOnce(&mut ReadArgs)) -> Vec<String> {
        let (out, result) = self.read(|args| {
            args.form = Form::Calls { colours: false };
            change(args);
        });
        result.unwrap();
        out.lines().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect()
    }

    fn later(mut self, ns: u64) -> Capture {
        self.ts += ns;
        self
    }

    fn opens(self, tid: u64, path: &[u8]) -> Capture {
        self.event(tid, "openat_e", &[Value::Fd(-100), Value::Text(path), O_RDONLY, Value::Uint(0)])
    }

    fn opened(self, tid: u64, fd: i64, path: &[u8]) -> Capture {
        let values = [Value::Fd(fd), Value::Fd(-100), Value::Text(path), O_RDONLY, Value::Uint(0)];
        self.event(tid, "openat_x", &values)
    }

    fn reads(self, tid: u64, fd: i64) -> Capture {
        self.event(tid, "read_e", &[Value::Fd(fd), Value::Uint(10)])
    }

    fn has_read(self, tid: u64, fd: i64, data: &[u8]) -> Capture {
        let res = Value::Errno(data.len() as i64);
        self.event(tid, "read_x", &[res, Value::Bytes(data), Value::Fd(fd), Value::Uint(10)])
    }

    fn notice(self, id: &str, desc: &str) -> Capture {
        self.event(1, "notification_e", &[Value::Text(id.as_bytes()), Value::Text(desc.as_bytes())])
    }

    fn gap(self) -> Capture {
        self.notice(ledger::GAP, "lost=3 from=1 to=2 cpus=0 ring_full=3 most=read_x:3")
    }

    fn generic(self, tid: u64, direction: &str, call: &str) -> Capture {
        let call = scap::events::Syscall::by_name(call).unwrap();
        let number = call.number(scap::events::Arch::NATIVE).unwrap();
        let row = format!("syscall_{direction}");
        let row = EVENTS.iter().find(|e| e.ty.0 == u16::from(row.ends_with('x'))).unwrap();
        self.row(tid, row, &[Value::Syscall(call.code), Value::Uint(number.into())])
    }

    fn exits(self, tid: u64, ret: i64, sig: u8, core: u64) -> Capture {
        let status = Value::Errno(ret << 8 | i64::from(sig));
        self.event(
            tid,
            "procexit_e",
            &[status, Value::Errno(ret), Value::Signal(sig), Value::Uint(core), Value::Pid(0)],
        )
    }
}

#[test]
fn a_call_is_a_line() {
    let capture = Capture::new().later(123_455_999).opens(100, b"/etc/hosts").later(11_999);
    let capture = capture.opened(100, 6, b"/etc/hosts");
    let mut view = Calls::in_zone(TimeZone::UTC, false);
    let mut reader = Reader::new(&capture.bytes[..]).unwrap();
    let mut replay = Replay::new(&mut reader, Keep::Names, Position::default());
    let mut out = Vec::new();
    while let Some(moment) = replay.next().unwrap() {
        view.event(&moment, &mut out).unwrap();
    }
    view.finish(&mut out).unwrap();
    let line =
        "22:13:20.123456 100<sh> openat(AT_FDCWD, \"/etc/hosts\", O_RDONLY) = 6</etc/hosts> <0.000012>\n";
    assert_eq!(String::from_utf8(out).unwrap(), line);
}

/// Returns what the view writes; `|` where the beginning of a call was overdue.
fn overdue_after(capture: &Capture, events: &[u64], is_wanted: impl Fn(u64) -> bool) -> String {
    let mut view = Calls::in_zone(TimeZone::UTC, false);
    let mut reader = Reader::new(&capture.bytes[..]).unwrap();
    let mut replay = Replay::new(&mut reader, Keep::Names, Position::default());
    let mut out = Vec::new();
    while let Some(moment) = replay.next().unwrap() {
        let show = if is_wanted(moment.num) { Calls::event } else { Calls::unwanted };
        show(&mut view, &moment, &mut out).unwrap();
        if events.contains(&moment.num) && view.waits_since().is_some() {
            view.overdue(&mut out).unwrap();
            out.push(b'|');
            assert_eq!(view.waits_since(), None);
        }
    }
    view.finish(&mut out).unwrap();
    String::from_utf8(out)
        .unwrap()
        .lines()
        .map(|line| line.split_once(' ').unwrap().1.to_owned() + "\n")
        .collect()
}

#[test]
fn the_beginning_of_a_call_that_is_overdue_is_written_once() {
    let capture = Capture::new().reads(100, 3).has_read(100, 3, b"abc").reads(100, 3);
    let shown = overdue_after(&capture, &[1, 2, 3], |_| true);
    let expected = "100<sh> read(3</srv/data>|, \"abc\", 10) = 3 <0.000000>\n\
        100<sh> read(3</srv/data>|,  <unfinished ...>\n";
    assert_eq!(shown, expected);
    // Another line comes between, and the end of a thread.
    let capture = Capture::new().reads(100, 3).opened(101, 7, b"/a").has_read(100, 3, b"abc");
    let capture = capture.generic(101, "e", "pause").exits(101, 0, 9, 0);
    let expected = "100<sh> read(3</srv/data>|,  <unfinished ...>\n\
        101<sh-worker> openat(AT_FDCWD, \"/a\", O_RDONLY) = 7</a>\n\
        100<sh> <... read resumed>\"abc\", 10) = 3 <0.000000>\n\
        101<sh-worker> pause(|) = ?\n\
        101<sh-worker> +++ killed by SIGKILL +++\n";
    assert_eq!(overdue_after(&capture, &[1, 2, 3, 4], |_| true), expected);
}

#[test]
fn a_call_whose_beginning_was_written_is_ended_though_no_filter_wants_its_end() {
    let capture = Capture::new().reads(100, 3).has_read(100, 3, b"abc").reads(100, 3).has_read(100, 3, b"d");
    let shown = overdue_after(&capture, &[1], |num| num % 2 == 1);
    assert_eq!(shown, "100<sh> read(3</srv/data>|, \"abc\", 10) = 3 <0.000000>\n");
}

#[test]
fn an_exit_event_alone_is_a_line_with_its_own_time() {
    let lines = Capture::new().has_read(100, 3, b"abc").opened(100, -2, b"x").calls();
    let expected = [
        "100<sh> read(3</srv/data>, \"abc\", 10) = 3",
        "100<sh> openat(AT_FDCWD, \"x\", O_RDONLY) = -1 ENOENT (No such file or directory)",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn threads_that_interleave_break_lines() {
    let lines = Capture::new()
        .reads(100, 3)
        .opens(101, b"/a")
        .opened(101, 7, b"/a")
        .opens(101, b"/b")
        .has_read(100, 3, b"abc")
        .opened(101, 8, b"/b")
        .reads(100, 7)
        .has_read(100, 7, b"d")
        .calls();
    let expected = [
        "100<sh> read(3</srv/data>,  <unfinished ...>",
        "101<sh-worker> openat(AT_FDCWD, \"/a\", O_RDONLY) = 7</a> <0.000000>",
        "101<sh-worker> openat(AT_FDCWD, \"/b\", O_RDONLY <unfinished ...>",
        "100<sh> <... read resumed>\"abc\", 10) = 3 <0.000000>",
        "101<sh-worker> <... openat resumed>) = 8</b> <0.000000>",
        "100<sh> read(7</a>, \"d\", 10) = 1 <0.000000>",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_call_that_never_returns_is_unfinished() {
    let lines = Capture::new().reads(101, 3).reads(100, 4).calls();
    let expected = [
        "101<sh-worker> read(3</srv/data>,  <unfinished ...>",
        "100<sh> read(4</var/log/x>,  <unfinished ...>",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn the_end_of_a_thread_ends_its_call() {
    let lines = Capture::new()
        .generic(101, "e", "pause")
        .generic(100, "e", "exit_group")
        .exits(101, 0, 9, 0)
        .exits(100, 3, 0, 0)
        .calls();
    let expected = [
        "101<sh-worker> pause( <unfinished ...>",
        "100<sh> exit_group( <unfinished ...>",
        "101<sh-worker> <... pause resumed>) = ?",
        "101<sh-worker> +++ killed by SIGKILL +++",
        "100<sh> <... exit_group resumed>...) = ?",
        "100<sh> +++ exited with 3 +++",
    ];
    assert_eq!(lines, expected);
    let lines = Capture::new().reads(100, 3).exits(100, 0, 11, 1).calls();
    let expected = ["100<sh> read(3</srv/data>, ...) = ?", "100<sh> +++ killed by SIGSEGV (core dumped) +++"];
    assert_eq!(lines, expected);
}

#[test]
fn what_no_start_belongs_to_is_not_resumed() {
    // Another call ends than the one that has started.
    let other = Capture::new().reads(100, 3).opened(100, 7, b"/a").calls();
    let expected = [
        "100<sh> read(3</srv/data>,  <unfinished ...>",
        "100<sh> openat(AT_FDCWD, \"/a\", O_RDONLY) = 7</a>",
    ];
    assert_eq!(other, expected);
    // The same call with another descriptor: the events between them are lost, and nothing says so yet.
    let same = Capture::new().reads(100, 3).reads(101, 3).has_read(100, 4, b"abc").calls();
    let expected = [
        "100<sh> read(3</srv/data>,  <unfinished ...>",
        "101<sh-worker> read(3</srv/data>,  <unfinished ...>",
        "100<sh> read(4</var/log/x>, \"abc\", 10) = 3",
    ];
    assert_eq!(same, expected);
    // A call starts twice.
    let twice = Capture::new().reads(100, 3).reads(100, 4).has_read(100, 4, b"abc").calls();
    let expected = [
        "100<sh> read(3</srv/data>,  <unfinished ...>",
        "100<sh> read(4</var/log/x>, \"abc\", 10) = 3 <0.000000>",
    ];
    assert_eq!(twice, expected);
}

#[test]
fn a_step_of_the_clock_loses_nothing() {
    let capture = Capture::new().reads(100, 3).notice(ledger::CLOCK, "stepped by=-1500000000 at=5");
    let expected = [
        "100<sh> read(3</srv/data>,  <unfinished ...>",
        "--- the clock was set: -1.500000 s ---",
        "100<sh> <... read resumed>\"abc\", 10) = 3 <0.000000>",
    ];
    assert_eq!(capture.has_read(100, 3, b"abc").calls(), expected);
}

/// Between two captures, events may be missing.
#[test]
fn nothing_is_paired_across_captures() {
    let second = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(second.path(), &Capture::new().later(1000).has_read(100, 3, b"abc").bytes).unwrap();
    let first = Capture::new().reads(100, 3);
    let lines = first.calls_with(|args| args.files.push(second.path().into()));
    let expected =
        ["100<sh> read(3</srv/data>,  <unfinished ...>", "100<sh> read(3</srv/data>, \"abc\", 10) = 3"];
    assert_eq!(lines, expected);
}

/// On x86-64, the kernel shows the return of an execveat as that of an execve.
#[test]
fn an_execveat_ends_as_an_execve() {
    let execveat = [Value::Fd(-100), Value::Text(b"/bin/x"), Value::Flags(0)];
    let lines = Capture::new().event(100, "execveat_e", &execveat).exec(100, "x").calls();
    let expected = [
        "100<sh> execveat(AT_FDCWD, \"/bin/x\",  <unfinished ...>",
        "100<x> execve(..., [\"/bin/x\"], ...) = 0",
    ];
    assert_eq!(lines, expected);
}

/// Its exit event has neither directory nor path, and other flags under the name.
#[test]
fn an_execveat_that_fails_is_one_call() {
    let execveat = [Value::Fd(-100), Value::Text(b"/bin/x"), Value::Flags(0x1000)];
    let pid = Value::Pid(100);
    let mut failed = vec![Value::Errno(-2), Value::Text(b"x"), Value::Bytes(b"1\0"), pid, pid, Value::Pid(1)];
    failed.extend([NA; 13]);
    failed.push(Value::Flags(1));
    let lines = Capture::new().event(100, "execveat_e", &execveat).event(100, "execveat_x", &failed).calls();
    let expected = "100<sh> execveat(AT_FDCWD, \"/bin/x\", [\"x\", \"1\"], ..., ...) = -1 ENOENT (No such file or \
                    directory) <0.000000>";
    assert_eq!(lines, [expected]);
}

/// The same number has a sign in one of both events.
#[test]
fn a_number_is_the_same_with_and_without_a_sign() {
    let started = Capture::new().event(100, "bpf_e", &[Value::Int(-87_097_619)]);
    let lines = started.event(100, "bpf_x", &[Value::Fd(-22), Value::Enum(0xface_feed)]).calls();
    assert_eq!(lines, ["100<sh> bpf(0xfacefeed, ...) = -1 EINVAL (Invalid argument) <0.000000>"]);
}

#[test]
fn nothing_is_paired_across_a_gap() {
    let lines =
        Capture::new().reads(101, 3).reads(100, 3).gap().has_read(100, 3, b"abc").exits(101, 0, 9, 0).calls();
    let expected = [
        "101<sh-worker> read(3</srv/data>,  <unfinished ...>",
        "100<sh> read(3</srv/data>,  <unfinished ...>",
        "--- 3 events lost: ring_full=3 ---",
        "100<sh> read(3</srv/data>, \"abc\", 10) = 3",
        // It may not have ended in this call.
        "101<sh-worker> +++ killed by SIGKILL +++",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn the_exit_event_decides_what_is_shown() {
    let capture = Capture::new()
        .opens(100, b"/a")
        .opened(100, -2, b"/a")
        .opens(100, b"/b")
        .reads(101, 3)
        .opened(100, 7, b"/b")
        .has_read(101, 3, b"x");
    let with = |filter: &str| {
        let filter = scap::filter::Filter::parse(filter, &scap::fields::Fields).unwrap();
        capture.calls_with(|args| args.wanted.filter = Some(filter))
    };
    let opened = "100<sh> openat(AT_FDCWD, \"/b\", O_RDONLY) = 7</b> <0.000000>";
    let failed =
        "100<sh> openat(AT_FDCWD, \"/a\", O_RDONLY) = -1 ENOENT (No such file or directory) <0.000000>";
    // A line of what is not wanted breaks none.
    assert_eq!(with("evt.type = openat"), [failed, opened]);
    // Only exit events have a duration.
    assert_eq!(
        with("evt.latency exists"),
        [failed, opened, "101<sh-worker> read(3</srv/data>, \"x\", 10) = 1 <0.000000>"]
    );
    // Enter events: openat, openat, read. The first call ends before another line comes.
    assert_eq!(with("evt.num in (1, 3, 4)"), with("evt.num in (3, 4)"));
    let started = [
        "100<sh> openat(AT_FDCWD, \"/b\", O_RDONLY <unfinished ...>",
        "101<sh-worker> read(3</srv/data>,  <unfinished ...>",
        "100<sh> <... openat resumed>) = 7</b> <0.000000>",
        "101<sh-worker> <... read resumed>\"x\", 10) = 1 <0.000000>",
    ];
    assert_eq!(with("evt.num in (3, 4)"), started);
    assert_eq!(with("evt.dir = '>'"), started);
    assert_eq!(with("evt.type = openat and evt.dir = '<'"), [failed, opened]);
    let limited = capture.calls_with(|args| args.limit = Some(1));
    assert_eq!(limited, [failed], "a limit counts lines, not events");
}

#[test]
fn signals_and_children() {
    let signal = |spid, sig| [Value::Pid(spid), Value::Pid(100), Value::Signal(sig)];
    let lines = Capture::new()
        .event(100, "fork_e", &[])
        .fork(200, 0, 200, 100)
        .fork(100, 200, 100, 1)
        .event(100, "signaldeliver_e", &signal(200, 17))
        .event(100, "signaldeliver_e", &signal(0, 34))
        .generic(100, "e", "getpid")
        .generic(100, "x", "getpid")
        .event(100, "read_x", &[Value::Errno(-512), NA, Value::Fd(3), Value::Uint(1)])
        .calls();
    let expected = [
        "100<sh> fork() = 200 <0.000000>",
        "100<sh> --- SIGCHLD {si_signo=SIGCHLD, si_pid=200} ---",
        "100<sh> --- SIGRT_2 {si_signo=SIGRT_2} ---",
        "100<sh> getpid() = ? <0.000000>",
        "100<sh> read(3</srv/data>, ..., 1) = ? ERESTARTSYS (To be restarted if SA_RESTART is set)",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn names_cannot_leave_their_place() {
    let evil = b"/x\n+++ exited with 0 +++\"\x1b[31m> = 3<";
    let mut state = state();
    state.threads[0].comm = b"a>\n\x1b[0m<".to_vec();
    let lines = Capture::of(&state).opened(100, 7, evil).has_read(100, 7, b"\xe2\x80\xae\0").calls();
    let comm = r"100<a\76\n\33[0m\74>";
    let expected = [
        format!(
            r#"{comm} openat(AT_FDCWD, "/x\n+++ exited with 0 +++\"\33[31m> = 3<", O_RDONLY) = 7</x\n+++ exited with 0 +++\"\33[31m\76 = 3\74>"#
        ),
        format!(r#"{comm} read(7</x\n+++ exited with 0 +++\"\33[31m\76 = 3\74>, "\342\200\256\0", 10) = 4"#),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn arguments_by_their_type() {
    let number = Value::Uint;
    let text = Value::Text;
    let address = Value::SockAddr(SockAddr::Inet(v4(80).0, 80));
    let lines = Capture::new()
        .event(100, "mkdir_x", &[Value::Errno(0), text(b"d"), number(0o755)])
        .event(100, "access_x", &[Value::Errno(0), text(b"f"), Value::Flags(6)])
        .event(100, "connect_x", &[Value::Errno(-115), NA, Value::Fd(5), address])
        .event(100, "write_x", &[Value::Errno(9), Value::Bytes(b"abc"), Value::Fd(4), number(9)])
        .event(100, "brk_x", &[number(0x1000), number(0), number(0), number(0), number(0)])
        .event(100, "socket_x", &[Value::Fd(9), Value::Enum(1), number(0x8_0002), number(0)])
        .event(
            100,
            "pipe2_x",
            &[Value::Errno(0), Value::Fd(10), Value::Fd(11), number(7), Value::Flags(4096)],
        )
        .event(100, "kill_x", &[Value::Errno(0), Value::Pid(-1), Value::Signal(15)])
        .event(100, "setuid_x", &[Value::Errno(0), Value::Uid(u32::MAX)])
        .event(100, "getuid_x", &[Value::Uid(1000)])
        .event(100, "mknod_x", &[Value::Errno(0), text(b"n"), Value::Mode(0o020_600), number(0x103)])
        .event(100, "nanosleep_x", &[Value::Errno(0), Value::RelTime(1_500_000_000)])
        .event(100, "fcntl_x", &[Value::Fd(0x8002), Value::Fd(3), Value::Enum(4), number(0)])
        .event(100, "getcwd_x", &[Value::Errno(-34), NA])
        .event(100, "getsockname_x", &[])
        .calls();
    let expected = [
        "mkdir(\"d\", 0755) = 0",
        "access(\"f\", R_OK|W_OK) = 0",
        "connect(5<TCP:[127.0.0.1:4000->127.0.0.1:80]>, {sa_family=AF_INET, sin_port=htons(80), \
         sin_addr=inet_addr(\"127.0.0.1\")}, ...) = -1 EINPROGRESS (Operation now in progress)",
        "write(4</var/log/x>, \"abc\"..., 9) = 9",
        "brk(NULL) = 0x1000",
        "socket(AF_UNIX, SOCK_DGRAM|SOCK_CLOEXEC, 0) = 9<UNIX>",
        "pipe2([10<pipe:[7]>, 11<pipe:[7]>], O_CLOEXEC) = 0",
        "kill(-1, SIGTERM) = 0",
        "setuid(-1) = 0",
        "getuid() = 1000",
        "mknod(\"n\", S_IFCHR|0600, makedev(0x1, 0x3)) = 0",
        "nanosleep({tv_sec=1, tv_nsec=500000000}, ...) = 0",
        "fcntl(3</srv/data>, F_GETFL) = 0x8002 (flags O_RDWR|O_LARGEFILE)",
        "getcwd(..., ...) = -1 ERANGE (Numerical result out of range)",
        "getsockname(...) = ?",
    ];
    let expected = expected.map(|line| format!("100<sh> {line}"));
    assert_eq!(lines, expected);
}

#[test]
fn an_exec_has_its_arguments() {
    let pid = Value::Pid(100);
    let mut values = vec![Value::Errno(0), Value::Text(b"ls"), Value::Bytes(b"-l\0a b\0"), pid, pid, pid];
    values.extend([Value::Text(b"/"), NA, NA, NA, NA, NA, NA, Value::Text(b"ls"), NA]);
    values.extend([Value::Bytes(b"A=1\0B=2\0"), NA, NA, NA, NA, NA, NA, NA, NA, NA, NA, NA, NA, NA, NA]);
    values.push(Value::Text(b"/bin/ls"));
    let lines = Capture::new().event(100, "execve_x", &values).calls();
    assert_eq!(lines, ["100<ls> execve(\"/bin/ls\", [\"ls\", \"-l\", \"a b\"], ... /* 2 vars */) = 0"]);
}

#[test]
fn the_events_to_wait_for_are_those_of_the_start() {
    let list = |events: u16| [&3i64.to_ne_bytes()[..], &events.to_ne_bytes()].concat();
    let (requested, returned) = (list(5), list(4));
    let fds = |bytes| Value::FdList(FdEntries::new(bytes).unwrap());
    let exit = [Value::Errno(1), fds(&returned), Value::Int(-1)];
    let capture =
        Capture::new().event(100, "poll_e", &[fds(&requested), Value::Int(-1)]).event(100, "poll_x", &exit);
    let whole =
        "100<sh> poll([{fd=3</srv/data>, events=POLLIN|POLLOUT}], 1, -1) = 1 ([{fd=3, revents=POLLOUT}])";
    assert_eq!(capture.calls(), [format!("{whole} <0.000000>")]);
    let alone = "100<sh> poll([{fd=3</srv/data>}], 1, -1) = 1 ([{fd=3, revents=POLLOUT}])";
    assert_eq!(Capture::new().event(100, "poll_x", &exit).calls(), [alone]);
}

#[test]
fn colours_are_between_the_parts() {
    let capture = Capture::new().reads(101, 3).opened(100, -2, b"/a");
    let (out, result) = capture.read(|args| args.form = Form::Calls { colours: true });
    result.unwrap();
    for part in [
        "\x1b[36m100<sh>\x1b[0m \x1b[1mopenat\x1b[0m(AT_FDCWD",
        " = \x1b[31m-1 ENOENT (No such file or directory)\x1b[0m\n",
        ",  \x1b[2m<unfinished ...>\x1b[0m\n",
    ] {
        assert!(out.contains(part), "no {part:?} in {out:?}");
    }
}

proptest! {
    /// Any events make whole lines of printable text.
    #[test]
    fn any_events_make_lines(events in vec((strategies::event(), 100..103u64), 0..40)) {
        let mut capture = Capture::new();
        for ((row, values), tid) in &events {
            capture.ts += 1;
            frame_event(&mut capture.bytes, 1, &strategies::built(row, values, capture.ts, *tid));
        }
        let (out, _) = capture.read(|args| args.form = Form::Calls { colours: false });
        prop_assert!(out.chars().all(|c| matches!(c, ' '..='~' | '\n')), "{out:?}");
        prop_assert!(out.is_empty() || out.ends_with('\n'));
    }
}

//! What the kernel decides of a filter.

use std::{
    ffi::CStr,
    fs::File,
    net::{TcpListener, TcpStream, UdpSocket},
    os::{fd::AsRawFd, unix::net::UnixStream},
};

use scap::{
    fields::Fields,
    filter::{Filter, Places, Verdict},
};
use scapd::probe::KernelFilter;

use super::{look_at, process::in_child};
use crate::{
    harness::{Captured, Test, not_testable},
    recorded::Params,
    syscall,
};

const NOWHERE: &CStr = c"/nowhere/to/be/found";

fn set_name(name: &CStr) -> i64 {
    syscall!(SYS_prctl, libc::PR_SET_NAME, name.as_ptr(), 0, 0, 0)
}

fn set(t: &mut Test, text: &str) {
    let places = Places::of(&Filter::parse(text, &Fields).unwrap());
    let filter =
        KernelFilter { clauses: places.early().to_vec(), kept: places.kept(true), ..KernelFilter::default() };
    assert!(
        ["fd.num > 3", "evt.latency < "].iter().any(|open| text.starts_with(open))
            || !filter.clauses.is_empty(),
        "{text}"
    );
    t.change(|control| control.set_filter(&filter));
}

/// Returns the programs of the events of an action, and how many events the filter left out.
fn taken(t: &mut Test, action: impl FnOnce() -> i64) -> (Vec<&'static str>, u64) {
    let before = t.left_out().sieved;
    let programs = t.names(action).into_iter().map(|(program, _)| program).collect();
    (programs, t.left_out().sieved - before)
}

/// Asserts which filters take a call of this thread, and that the others leave both events out.
fn assert_takes(t: &mut Test, cases: &[(String, bool)]) {
    for (text, is_taken) in cases {
        set(t, text);
        let found = taken(t, || look_at(c"/"));
        assert_eq!(
            found,
            if *is_taken { (vec!["newfstatat_e", "newfstatat_x"], 0) } else { (vec![], 2) },
            "{text}"
        );
    }
}

pub fn takes_tasks_by_their_ids(t: &mut Test) {
    let (tid, pid) = (rustix::thread::gettid().as_raw_nonzero(), std::process::id());
    assert_takes(
        t,
        &[
            (format!("thread.tid = {tid}"), true),
            (format!("thread.tid != {tid}"), false),
            (format!("not thread.tid in (1, {tid})"), false),
            (format!("thread.tid > {tid}"), false),
            (format!("thread.tid >= {tid} and proc.pid <= {pid}"), true),
            (format!("proc.pid = {pid}"), true),
            (format!("proc.pid in (1, {pid}, 2)"), true),
            (format!("proc.pid < {pid}"), false),
            (format!("thread.tid = 1 or proc.pid = {pid}"), true),
            (format!("thread.tid = 1 and proc.pid = {pid}"), false),
            ("fd.num > 3".to_owned(), true),
        ],
    );
}

pub fn takes_tasks_by_their_names(t: &mut Test) {
    // What follows the end of the second name is left of the first.
    set_name(c"sieved-all-over");
    set_name(c"sieve");
    let case = |text: &str, is_taken| (text.to_owned(), is_taken);
    assert_takes(
        t,
        &[
            case("proc.name = sieve", true),
            case("proc.name = siev", false),
            case("proc.name = sieved", false),
            case("proc.name in (cat, sieve)", true),
            case("proc.name != sieve", false),
            case("not proc.name = cat", true),
            case("proc.name startswith sie", true),
            case("not proc.name startswith sieve", false),
            case("proc.name startswith sieved", false),
            case("proc.name = a-name-that-is-too-long", false),
        ],
    );
    set_name(c"fifteen-letters");
    assert_takes(
        t,
        &[case("proc.name = fifteen-letters", true), case("proc.name startswith fifteen-letter", true)],
    );
}

pub fn takes_tasks_by_their_users(t: &mut Test) {
    let case = |text: &str, is_taken| (text.to_owned(), is_taken);
    // Of this thread alone; the saved ids allow the way back.
    syscall!(SYS_setresgid, -1, 7, -1);
    syscall!(SYS_setresuid, -1, 9, -1);
    let ids = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    syscall!(SYS_setresuid, -1, 0, -1);
    assert_eq!(ids, (9, 7));
    // The test itself takes root.
    assert_takes(t, &[case("user.uid = 0", true), case("group.gid = 7", true), case("group.gid = 0", false)]);
    set(t, "user.uid = 9");
    let as_nine = || {
        syscall!(SYS_setresuid, -1, 9, -1);
        let result = look_at(c"/");
        syscall!(SYS_setresuid, -1, 0, -1);
        result
    };
    assert_eq!(taken(t, as_nine), (vec!["newfstatat_e", "newfstatat_x"], 0));
    assert_eq!(taken(t, || look_at(c"/")), (vec![], 2));
    syscall!(SYS_setresgid, -1, 0, -1);
}

pub fn takes_tasks_by_their_parents(t: &mut Test) {
    let (pid, parent) = (std::process::id(), std::os::unix::process::parent_id());
    assert_takes(
        t,
        &[
            (format!("proc.ppid = {parent}"), true),
            (format!("proc.ppid in (2, {parent})"), true),
            (format!("proc.ppid != {parent}"), false),
            (format!("proc.ppid > {parent}"), false),
            (format!("proc.ppid = {pid}"), false),
            ("proc.ppid != 2".to_owned(), true),
            (format!("proc.apid = {parent}"), true),
            // The first process is above all others, and none is above that.
            ("proc.apid = 1".to_owned(), true),
            ("proc.apid = 0".to_owned(), false),
            (format!("proc.apid = {pid}"), false),
            (format!("proc.apid[1] = {parent}"), true),
            (format!("proc.apid[2] = {parent}"), false),
            (format!("proc.apid[30] = {parent}"), false),
        ],
    );
    // A child of the parent's is not the parent's child.
    set(t, &format!("proc.ppid = {parent}"));
    let captured = t.capture(|| in_child(|| look_at(c"/")));
    assert!(captured.all().is_empty());
    set(t, &format!("proc.apid[2] = {parent} and proc.ppid = {pid}"));
    let captured = t.capture(|| in_child(|| look_at(c"/")));
    assert_eq!(number_of(captured), 1);
}

/// Returns the number of events.
fn number_of(captured: Captured) -> usize {
    captured.all().iter().map(Params::rest_does_not_matter).count()
}

/// Tells the kernel that the first test is false of a process.
fn refuse(t: &mut Test, pid: u32, at: u64) {
    let session = rustix::process::getsid(None).unwrap().as_raw_pid().cast_unsigned();
    t.change(|control| control.set_verdict(&Verdict { pid, session, at, fails: 1 }));
}

pub fn takes_processes_by_what_the_recorder_knows(t: &mut Test) {
    const TAKEN: usize = 2;
    let pid = std::process::id();
    set(t, "proc.exepath = /somewhere");
    refuse(t, pid, u64::MAX);
    assert_eq!(taken(t, || look_at(c"/")).0.len(), TAKEN, "the programs had not seen the process");
    refuse(t, pid, 0);
    assert_eq!(taken(t, || look_at(c"/")).0.len(), TAKEN, "what it was before");
    refuse(t, pid, u64::MAX);
    assert_eq!(taken(t, || look_at(c"/")), (vec![], 2));
    let captured = t.capture(|| in_child(|| look_at(c"/")));
    assert_eq!(number_of(captured), 1, "a child is another");
    assert_eq!(taken(t, || look_at(c"/")), (vec![], 2));
    // The next filter has other tests.
    set(t, "proc.exepath = /elsewhere");
    assert_eq!(taken(t, || look_at(c"/")).0.len(), TAKEN);
    set(t, "proc.exepath = /elsewhere or proc.pid = 1");
    taken(t, || look_at(c"/"));
    refuse(t, pid, u64::MAX);
    assert_eq!(taken(t, || look_at(c"/")), (vec![], 2));
    set(t, &format!("proc.exepath = /elsewhere or proc.pid = {pid}"));
    taken(t, || look_at(c"/"));
    refuse(t, pid, u64::MAX);
    assert_eq!(taken(t, || look_at(c"/")).0.len(), TAKEN, "another test of the clause is true");
}

/// A process that begins a session may have another terminal, one that executes a program has another.
pub fn forgets_what_it_knows_of_changed_processes(t: &mut Test) {
    let pipe = || rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let changes: [fn() -> i64; 2] = [
        || {
            syscall!(SYS_setsid);
            look_at(c"/")
        },
        || {
            let null = std::ptr::null::<u8>();
            // What it looks at is not counted, only that it is seen at all.
            let script = c"[ -e / ] || exit 1";
            let args = [c"sh".as_ptr(), c"-c".as_ptr(), script.as_ptr(), null.cast()];
            syscall!(SYS_execve, c"/bin/sh".as_ptr(), args.as_ptr(), [null].as_ptr())
        },
    ];
    for change in changes {
        set(t, "proc.tty = 12345");
        let ((told, tells), (waits, go)) = (pipe(), pipe());
        let mut child = 0;
        let begun = t.capture(|| {
            child = syscall!(SYS_clone, libc::SIGCHLD, 0, 0, 0, 0);
            if child == 0 {
                look_at(c"/");
                let _ = rustix::io::write(&tells, b"x");
                let _ = rustix::io::read(&waits, &mut [0; 1][..]);
                look_at(NOWHERE);
                syscall!(SYS_exit_group, -change());
            }
            rustix::io::read(&told, &mut [0; 1][..]).unwrap();
            0
        });
        assert_eq!(number_of(begun), 1);
        refuse(t, child as u32, u64::MAX);
        let mut status = 0i32;
        let before = t.left_out().sieved;
        let captured = t.capture(|| {
            rustix::io::write(&go, b"x").unwrap();
            syscall!(SYS_wait4, child, &raw mut status, 0, 0).min(0)
        });
        assert_eq!((status, t.left_out().sieved - before), (0, 2), "the calls up to the change are left out");
        assert!(number_of(captured) > 0);
    }
}

/// Readers do not know which user a task in a user namespace is.
pub fn takes_tasks_of_user_namespaces(t: &mut Test) {
    set(t, "user.uid = 12345");
    let captured = t.capture(|| {
        in_child(|| {
            look_at(NOWHERE);
            let result = syscall!(SYS_unshare, libc::CLONE_NEWUSER);
            look_at(c"/");
            result
        })
    });
    if captured.ret != 0 {
        not_testable("user namespaces are not allowed");
    }
    let events = captured.all();
    assert_eq!(events.len(), 1, "the first call is that of root");
    for event in events {
        event.i64("res", 0).rest_does_not_matter();
    }
}

/// The descriptor of a socket that no longer is, or is none.
const CLOSED: i32 = 12345;

pub fn takes_calls_by_the_ends_of_their_connections(t: &mut Test) {
    t.select(&["lseek"]);
    let server = TcpListener::bind("127.0.0.2:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let client = TcpStream::connect(("127.0.0.2", port)).unwrap();
    let (accepted, _) = server.accept().unwrap();
    let mapped = TcpStream::connect(format!("[::ffff:127.0.0.2]:{port}"));
    let server_of_six = TcpListener::bind("[::1]:0");
    let six = server_of_six.as_ref().map(|server| TcpStream::connect(server.local_addr().unwrap()).unwrap());
    let (file, udp) = (File::open("/").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    udp.connect("127.0.0.3:7").unwrap();
    let (unix, _other) = UnixStream::pair().unwrap();
    let fd = |of: &dyn AsRawFd| of.as_raw_fd();
    // Whether that of the server, its two ends, one that is IPv6 for the caller, and one of IPv6 are taken.
    for (text, [of_server, of_four, of_mapped, of_six]) in [
        (format!("fd.port = {port}"), [true, true, true, false]),
        (format!("fd.sport in (1, {port})"), [true, true, true, false]),
        ("fd.sport > 1023 and fd.cport < 65535".to_owned(), [true; 4]),
        ("fd.port < 10".to_owned(), [true, false, false, false]),
        ("fd.sip = 127.0.0.2".to_owned(), [true, true, true, false]),
        ("fd.ip = 127.0.0.3".to_owned(), [true, false, false, false]),
        ("fd.ip = ::1".to_owned(), [true, false, false, true]),
        ("fd.net = 127.0.0.0/30".to_owned(), [true, true, true, false]),
        ("fd.rnet in (127.0.0.4/30, ::/127)".to_owned(), [true, false, false, true]),
        (format!("fd.sip = 127.0.0.2 and fd.port = {}", port ^ 1), [true, false, false, false]),
        ("fd.port = 1 or fd.cip = ::1".to_owned(), [true, false, false, true]),
        (format!("fd.port = 1 or proc.pid = {}", std::process::id()), [true; 4]),
    ] {
        set(t, &text);
        let is_of_all = text.contains("proc.pid");
        let cases = [
            ("the server's", Some(fd(&server)), of_server),
            ("the client's", Some(fd(&client)), of_four),
            ("the accepted one", Some(fd(&accepted)), of_four),
            ("mapped", mapped.as_ref().ok().map(|socket| fd(socket)), of_mapped),
            ("IPv6", six.as_ref().ok().map(|socket| fd(socket)), of_six),
            ("UDP", Some(fd(&udp)), true),
            ("a file", Some(fd(&file)), is_of_all),
            ("a unix socket", Some(fd(&unix)), is_of_all),
            ("none", Some(CLOSED), true),
        ];
        for (what, fd, is_taken) in cases {
            let Some(fd) = fd else { continue };
            let (programs, left_out) = taken(t, || syscall!(SYS_lseek, fd, 0, 0));
            assert_eq!((programs.len(), left_out), if is_taken { (2, 0) } else { (0, 2) }, "{text}: {what}");
        }
    }
}

pub fn takes_returns_by_their_results(t: &mut Test) {
    for (text, fails, succeeds) in [
        ("evt.failed = true", true, false),
        ("evt.failed = false", false, true),
        ("evt.res = ENOENT", true, false),
        ("evt.res in (EACCES, SUCCESS)", false, true),
        ("evt.rawres = -2", true, false),
        ("evt.rawres != -2", false, true),
        ("evt.rawres >= 0", false, true),
    ] {
        set(t, text);
        for (path, is_taken) in [(NOWHERE, fails), (c"/", succeeds)] {
            let (programs, left_out) = taken(t, || look_at(path));
            // Whether an entry is needed is known before the programs are loaded.
            assert_eq!(programs.first(), Some(&"newfstatat_e"), "{text}");
            assert_eq!((programs.len(), left_out), if is_taken { (2, 0) } else { (1, 1) }, "{text}");
        }
    }
}

/// The shorter the sleep, the surer it is left out; the longer, the surer it is taken.
pub fn takes_returns_by_their_times(t: &mut Test) {
    t.select(&["nanosleep", "getppid"]);
    let sleep = |ns| {
        let time = libc::timespec { tv_sec: 0, tv_nsec: ns };
        syscall!(SYS_nanosleep, &raw const time, 0)
    };
    set(t, "evt.latency > 200ms");
    let (programs, left_out) = taken(t, || {
        syscall!(SYS_getppid);
        sleep(300_000_000);
        sleep(1)
    });
    // Entries have the times. They come before it is known how long a call takes.
    assert_eq!(programs, ["generic_e", "nanosleep_e", "nanosleep_x", "nanosleep_e"]);
    assert_eq!(left_out, 2);
    // Another filter finds the time of a call that began before it, or none.
    set(t, "evt.latency > 100ms or evt.rawres = 5");
    assert_eq!(taken(t, || sleep(300_000_000)).0.len(), 2);
    assert_eq!(taken(t, || sleep(1)).1, 1);
    set(t, "evt.latency < 100ms or thread.tid = 1 or evt.latency > 1");
    assert_eq!(taken(t, || sleep(1)).0.len(), 2, "nothing for the kernel to decide");
}

pub fn keeps_what_changes_the_state(t: &mut Test) {
    t.select(&["dup", "close", "prctl", "fcntl", "getppid"]);
    set(t, "proc.name = nobody-at-all");
    let (programs, left_out) = taken(t, || {
        let fd = syscall!(SYS_dup, 0);
        syscall!(SYS_fcntl, fd, libc::F_GETFD);
        syscall!(SYS_close, fd);
        syscall!(SYS_close, -1);
        syscall!(SYS_getppid);
        syscall!(SYS_prctl, libc::PR_GET_DUMPABLE, 0, 0, 0, 0);
        set_name(c"renamed")
    });
    // The thread may have another name when prctl returns.
    assert_eq!(programs, ["dup_x", "close_x", "prctl_e", "prctl_e", "prctl_x"]);
    // All of fcntl, the second close, and getppid; the entries of dup and close; the return of a prctl.
    assert_eq!(left_out, 2 + 2 + 2 + 2 + 1);
}

pub fn follows_a_change(t: &mut Test) {
    let tid = rustix::thread::gettid().as_raw_nonzero();
    for _ in 0..5 {
        set(t, &format!("thread.tid = {tid}"));
        assert_eq!(taken(t, || look_at(c"/")).0.len(), 2);
        set(t, "thread.tid = 1");
        assert_eq!(taken(t, || look_at(c"/")).1, 2);
    }
    t.change(|control| control.set_filter(&KernelFilter::default()));
    assert_eq!(taken(t, || look_at(c"/")).0.len(), 2);
}

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use super::{memory::assert_sizes, process::faults};
use crate::{
    harness::{Params, Test, not_testable},
    syscall,
};

/// Runs a shell script.
fn shell(script: &str) -> i64 {
    let status = Command::new("/bin/sh").args(["-c", script]).stdout(Stdio::null()).status().unwrap();
    status.code().unwrap_or(-1).into()
}

pub fn sched_process_exit(t: &mut Test) {
    let captured = t.capture(|| shell("exit 7"));
    assert_eq!(captured.ret, 7);
    let events = captured.all();
    assert_eq!(events.len(), 1);
    events[0].i64("status", 7 << 8).i64("ret", 7).u8("sig", 0).u8("core", 0).i64("reaper_tid", 0);
    drop(events);

    let event = t.capture(|| shell("kill -9 $$")).all().remove(0);
    event.i64("status", 9).i64("ret", 0).u8("sig", 9).u8("core", 0).i64("reaper_tid", 0);
    drop(event);

    orphans_of_a_thread(t);
    // The first process of a pid namespace inherits the orphans in it, and a subreaper those below it.
    orphans_of_a_process(t, libc::CLONE_NEWPID, || {});
    orphans_of_a_process(t, 0, || _ = syscall!(SYS_prctl, libc::PR_SET_CHILD_SUBREAPER, 1));
}

/// Another thread of the process inherits the children of a thread that ends.
fn orphans_of_a_thread(t: &mut Test) {
    let captured = t.capture(|| {
        let child = std::thread::spawn(|| {
            let child = Command::new("/bin/cat").stdin(Stdio::piped()).spawn().unwrap();
            (child, rustix::thread::gettid().as_raw_nonzero())
        });
        let (mut child, thread) = child.join().unwrap();
        // Before Linux 6.16 a thread can be joined before its event; once it is gone from /proc, the event has been
        // made.
        let entry = format!("/proc/self/task/{thread}");
        let deadline = Instant::now() + Duration::from_secs(10);
        while Path::new(&entry).exists() {
            assert!(Instant::now() < deadline, "{entry} is still there");
            std::thread::sleep(Duration::from_millis(1));
        }
        let pid = child.id();
        child.kill().unwrap();
        child.wait().unwrap();
        pid.into()
    });
    let (child, events) = (captured.ret as u64, captured.all());
    assert_eq!(events.len(), 2);
    for event in events {
        if event.tid() == child {
            event.i64("status", 9).i64("ret", 0).u8("sig", 9).u8("core", 0).i64("reaper_tid", 0);
        } else {
            event.i64("status", 0).i64("ret", 0).u8("sig", 0).u8("core", 0);
            // The first thread, which does not end before the others.
            event.i64("reaper_tid", std::process::id().into());
        }
    }
}

/// Of three generations the middle one ends first: the first, which has called `prepare`, inherits the last one.
fn orphans_of_a_process(t: &mut Test, flags: i32, prepare: fn()) {
    let captured = t.capture(|| {
        let first = syscall!(SYS_clone, flags | libc::SIGCHLD, 0, 0, 0, 0);
        if first == 0 {
            prepare();
            if syscall!(SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) == 0 {
                if syscall!(SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) == 0 {
                    let time = libc::timespec { tv_sec: 0, tv_nsec: 100_000_000 };
                    syscall!(SYS_nanosleep, &raw const time, 0);
                    syscall!(SYS_exit_group, 0);
                }
                syscall!(SYS_exit_group, 5);
            }
            while syscall!(SYS_wait4, -1, 0, 0, 0) > 0 {}
            syscall!(SYS_exit_group, 6);
        }
        assert_eq!(syscall!(SYS_wait4, first, 0, 0, 0), first);
        first
    });
    let first = captured.ret;
    let expected = [(5, first), (0, 0), (6, 0)];
    let events = captured.all();
    assert_eq!(events.len(), expected.len());
    for (event, (status, reaper)) in events.iter().zip(expected) {
        event.i64("status", status << 8).i64("ret", status).u8("sig", 0).u8("core", 0);
        event.i64("reaper_tid", reaper);
    }
}

pub fn sched_switch(t: &mut Test) {
    let (minor, major) = faults();
    let captured = t.capture(|| {
        std::thread::sleep(Duration::from_millis(2));
        0
    });
    let this = captured.tid;
    let events = captured.all();
    assert!(!events.is_empty());
    let (minor_after, major_after) = faults();
    for event in events {
        assert_eq!(event.tid(), this);
        assert_ne!(event.number("next"), this);
        assert!((minor..=minor_after).contains(&event.number("pgft_min")), "pgft_min");
        assert!((major..=major_after).contains(&event.number("pgft_maj")), "pgft_maj");
        assert_sizes(&event);
    }
}

/// A handler that does nothing.
extern "C" fn handler(_: libc::c_int) {}

pub fn signal_deliver(t: &mut Test) {
    const SIGNAL: libc::c_int = 40;
    // SAFETY: the handler does nothing.
    unsafe { libc::signal(SIGNAL, handler as *const () as libc::sighandler_t) };
    let (pid, tid) = (std::process::id(), rustix::thread::gettid().as_raw_nonzero().get());
    let (_, event) = t.succeeds(|| syscall!(SYS_tgkill, pid, tid, SIGNAL));
    event.i64("spid", pid.into()).i64("dpid", tid.into()).u8("sig", SIGNAL as u8);
    drop(event);

    // The sender is another process than the receiver.
    let captured = t.capture(|| {
        let child = syscall!(SYS_clone, libc::SIGCHLD, 0, 0, 0, 0);
        if child == 0 {
            syscall!(SYS_tgkill, pid, tid, SIGNAL);
            syscall!(SYS_exit_group, 0);
        }
        assert_eq!(syscall!(SYS_wait4, child, 0, 0, 0), child);
        child
    });
    let child = captured.ret;
    captured.one().i64("spid", child).i64("dpid", tid.into()).u8("sig", SIGNAL as u8);

    // A fault has no sender.
    let captured = t.capture(|| {
        let child = syscall!(SYS_clone, libc::SIGCHLD, 0, 0, 0, 0);
        if child == 0 {
            let limit = [0u64; 2];
            syscall!(SYS_setrlimit, libc::RLIMIT_CORE, limit.as_ptr());
            // SAFETY: the write ends the process, as intended: not even the handler that a Rust program has is left.
            unsafe {
                libc::signal(libc::SIGSEGV, libc::SIG_DFL);
                std::ptr::dangling_mut::<u8>().write_volatile(0);
            }
        }
        assert_eq!(syscall!(SYS_wait4, child, 0, 0, 0), child);
        child
    });
    let child = captured.ret;
    let event = captured.all().into_iter().find(|event| event.tid() as i64 == child).unwrap();
    event.i64("spid", 0).i64("dpid", child).u8("sig", libc::SIGSEGV as u8);
}

/// Returns a fresh page of memory.
fn page() -> *mut u8 {
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    syscall!(SYS_mmap, 0, 4096, protection, flags, -1, 0) as *mut u8
}

/// Returns the event of the fault at an address: other memory is touched, too.
#[track_caller]
fn fault_at(events: Vec<Params>, address: u64) -> Params {
    let mut found = None;
    for event in events {
        let (at, ip, error) = (event.number("addr"), event.number("ip"), event.number("error"));
        assert!(ip != 0 && error != 0, "a fault at {at:#x} by {ip:#x}: {error:#x}");
        if at == address {
            found = Some(event);
        }
    }
    found.unwrap_or_else(|| panic!("no fault at {address:#x}"))
}

pub fn page_fault(t: &mut Test) {
    if cfg!(target_arch = "aarch64") {
        not_testable("aarch64 has no tracepoints for page faults");
    }
    // The events of both programs: in user mode, and in the kernel.
    let page_of_user = page();
    let captured = t.capture(|| {
        // SAFETY: the page was mapped for this.
        unsafe { page_of_user.write_volatile(1) };
        0
    });
    let event = fault_at(captured.all(), page_of_user as u64);
    assert!(event.number("ip") >> 63 == 0, "an address of user space");
    event.u32("error", 2 | 4 | 16);
    drop(event);

    let page_of_kernel = page();
    let file = std::fs::File::open("/dev/zero").unwrap();
    let fd = std::os::fd::AsRawFd::as_raw_fd(&file);
    let captured = t.capture(|| syscall!(SYS_read, fd, page_of_kernel, 1));
    assert_eq!(captured.ret, 1);
    let event = fault_at(captured.all(), page_of_kernel as u64);
    assert!(event.number("ip") >> 63 == 1, "an address of the kernel");
    event.u32("error", 2 | 4 | 32);
    drop(event);

    for page in [page_of_user, page_of_kernel] {
        assert_eq!(syscall!(SYS_munmap, page, 4096), 0);
    }
}

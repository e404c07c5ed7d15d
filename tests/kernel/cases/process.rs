//! Properties of a process from /proc, for the events that describe one.

use std::{fs, path::Path};

use crate::{
    harness::{Params, Test},
    syscall,
};

/// Returns a field of /proc/PID/status.
pub fn status(pid: &str, field: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("/proc/{pid}/status has no {field}")).trim().to_owned()
}

/// Asserts the parameters from tid to cgroups of this process, or of a task that it made in its cgroups; `ptid` is the
/// thread that made the task.
#[track_caller]
pub fn assert_process(event: &Params, pid: u64, ptid: Option<u64>, comm: &str) {
    event.i64("tid", event.tid() as i64).i64("pid", pid as i64).empty("cwd");
    match ptid {
        Some(ptid) => _ = event.i64("ptid", ptid as i64),
        // This process was made by an unknown thread of its parent.
        None => {
            assert_eq!(status(&event.number("ptid").to_string(), "Tgid"), status("self", "PPid"), "ptid");
        }
    }
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap();
    assert_eq!(event.number("fdlimit"), limit, "fdlimit");
    // The counts of a new task start at 0.
    let (minor, major) = faults();
    let is_own = event.tid() == rustix::thread::gettid().as_raw_nonzero().get() as u64;
    assert!(!is_own || (minor / 2..=minor).contains(&event.number("pgft_min")), "pgft_min");
    assert!(!is_own || event.number("pgft_maj") <= major, "pgft_maj");
    event.number("pgft_min");
    event.number("pgft_maj");
    // A program that has just started has little more than a stack of 132 KiB.
    assert!(event.number("vm_size") > 132, "vm_size is in KiB");
    assert!(event.number("vm_rss") <= event.number("vm_size"), "vm_rss");
    assert!(event.number("vm_swap") <= event.number("vm_size"), "vm_swap");
    assert_eq!(event.bytes_of("comm"), [comm.as_bytes(), b"\0"].concat(), "comm");
    assert_cgroups(event.bytes_of("cgroups"));
}

/// Returns the page faults of this thread: without and with a read from disk.
pub fn faults() -> (u64, u64) {
    let stat = fs::read_to_string("/proc/thread-self/stat").unwrap();
    let mut fields = stat.rsplit_once(')').unwrap().1.split_whitespace().skip(7);
    let mut next = || fields.next().unwrap().parse().unwrap();
    let minor = next();
    next();
    (minor, next())
}

/// Returns the name of this thread.
pub fn comm() -> String {
    fs::read_to_string("/proc/thread-self/comm").unwrap().trim_end().to_owned()
}

/// Returns the entries of a NUL-terminated list.
fn entries(bytes: &[u8]) -> Vec<&str> {
    let text = std::str::from_utf8(bytes).unwrap();
    text.strip_suffix('\0').unwrap_or_else(|| panic!("{text:?} does not end with NUL")).split('\0').collect()
}

#[track_caller]
fn assert_cgroups(bytes: &[u8]) {
    let table = fs::read_to_string("/proc/self/cgroup").unwrap();
    let path_of = |controller: &str| {
        table.lines().find_map(|line| {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            controllers.split(',').any(|c| c == controller).then_some(path)
        })
    };
    let recorded = entries(bytes);
    let names: Vec<_> = recorded.iter().map(|entry| entry.split_once('=').unwrap().0).collect();
    assert_eq!(names, ["cpuset", "cpu", "cpuacct", "io", "memory"]);
    for entry in recorded {
        let (name, path) = entry.split_once('=').unwrap();
        match path_of(if name == "io" { "blkio" } else { name }) {
            Some(own) => assert_eq!(path, own, "the cgroup of {name}"),
            // In the unified tree it is the nearest one with the controller.
            None => {
                assert!(Path::new(path_of("").unwrap()).starts_with(path), "the cgroup of {name}: {path}")
            }
        }
    }
}

/// Runs `action` in a child process, and returns 0 or its error. The child may change anything of its own.
pub fn in_child(action: impl FnOnce() -> i64) -> i64 {
    let child = syscall!(SYS_clone, libc::SIGCHLD, 0, 0, 0, 0);
    if child == 0 {
        let result = action();
        syscall!(SYS_exit_group, if result < 0 { -result } else { 0 });
    }
    let mut status = 0i32;
    assert_eq!(syscall!(SYS_wait4, child, &raw mut status, 0, 0), child);
    assert!(libc::WIFEXITED(status), "the child ended with status {status:#x}");
    -i64::from(libc::WEXITSTATUS(status))
}

/// Runs `action` in a child with the user 65534, which may not create processes, and returns its result, an error.
pub fn without_processes(action: impl FnOnce() -> i64) -> i64 {
    in_child(|| {
        let limit = [0u64; 2];
        syscall!(SYS_setrlimit, libc::RLIMIT_NPROC, limit.as_ptr());
        syscall!(SYS_setresuid, 65534, 65534, 65534);
        action()
    })
}

/// Records `call` in a child process, and returns its result and its one event.
pub fn of_child(t: &mut Test, call: impl FnOnce() -> i64) -> (i64, Params) {
    let captured = t.capture(|| in_child(call));
    let ret = captured.ret;
    let mut events = captured.all();
    assert_eq!(events.len(), 1);
    (ret, events.remove(0))
}

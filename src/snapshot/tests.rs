//! Tests with snapshots of processes that they start, and of directories that look like a /proc.

mod fds;

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::*;
use scap::format::state::Thread;

/// The first descriptor that a child gets.
const FIRST_FD: i32 = 100;
const FDLIMIT: u64 = 777;

/// A process that is killed at the end of the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn sleep(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    command.arg("60").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn snapshot() -> Snapshot {
    take(&SnapshotOptions::default()).unwrap()
}

fn thread(snapshot: &Snapshot, tid: u32) -> &Thread {
    snapshot.state.threads.iter().find(|thread| thread.tid == u64::from(tid)).unwrap()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Takes over a descriptor that a system call has just returned.
fn owned(fd: impl TryInto<i32>) -> OwnedFd {
    let fd = fd.try_into().ok().unwrap();
    assert!(fd >= 0, "{}", io::Error::last_os_error());
    // SAFETY: the call succeeded, and its result has no other owner.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Starts a child that has these descriptors from `FIRST_FD` on.
fn start_with(mut command: Command, fds: Vec<i32>) -> Running {
    let give = move || {
        for (number, &fd) in (FIRST_FD..).zip(&fds) {
            // SAFETY: dup2 only changes the child's own descriptors.
            if unsafe { libc::dup2(fd, number) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        let limit = libc::rlimit { rlim_cur: FDLIMIT, rlim_max: FDLIMIT };
        // SAFETY: the limit lives until the call returns.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    };
    // SAFETY: between fork and exec, the closure makes plain system calls and allocates nothing.
    unsafe { command.pre_exec(give) };
    Running(command.spawn().unwrap())
}

#[test]
fn a_child_with_all_its_fields() {
    let directory = tempfile::tempdir().unwrap();
    let cwd = fs::canonicalize(directory.path()).unwrap();
    fs::set_permissions(&cwd, fs::Permissions::from_mode(0o755)).unwrap();
    let program = fs::canonicalize("/bin/sleep").unwrap();
    let mut command = sleep(&program);
    command.arg0("/not the/real name").arg("0.5").current_dir(&cwd).process_group(0);
    command.env_clear().env("A", "1").env("B", "two words");
    let (uid, gid) = if is_root() { (12345, 23456) } else { own_ids() };
    if is_root() {
        command.uid(uid).gid(gid);
    }
    let child = start_with(command, Vec::new());
    let pid = child.0.id();

    let snapshot = snapshot();
    let found = thread(&snapshot, pid);
    let file = fs::metadata(&program).unwrap();
    let nanoseconds =
        |s: i64, ns: i64| u64::try_from(s).unwrap() * 1_000_000_000 + u64::try_from(ns).unwrap();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).unwrap().trim();
    let capabilities = |key: &str| u64::from_str_radix(line(key), 16).unwrap();
    let expected = Thread {
        tid: pid.into(),
        pid: pid.into(),
        ptid: std::process::id().into(),
        sid: u64::try_from(rustix::process::getsid(None).unwrap().as_raw_nonzero().get()).unwrap(),
        vpgid: pid.into(),
        comm: b"sleep".to_vec(),
        exe: b"/not the/real name".to_vec(),
        exepath: program.as_os_str().as_bytes().to_vec(),
        args: [&b"60\0"[..], b"0.5\0"].concat(),
        cwd: cwd.as_os_str().as_bytes().to_vec(),
        fdlimit: FDLIMIT,
        flags: 0,
        uid,
        gid,
        vmsize_kb: line("VmSize:").trim_end_matches(" kB").parse().unwrap(),
        vmrss_kb: found.vmrss_kb,
        vmswap_kb: found.vmswap_kb,
        pfmajor: found.pfmajor,
        pfminor: found.pfminor,
        env: b"A=1\0B=two words\0".to_vec(),
        vtid: pid.into(),
        vpid: pid.into(),
        cgroups: thread(&snapshot, std::process::id()).cgroups.clone(),
        root: b"/".to_vec(),
        pidns_init_start_ts: thread(&snapshot, std::process::id()).pidns_init_start_ts,
        tty: found.tty,
        loginuid: number_in("/proc/self/loginuid").unwrap_or(u32::MAX),
        exe_writable: false,
        cap_inheritable: capabilities("CapInh:"),
        cap_permitted: capabilities("CapPrm:"),
        cap_effective: capabilities("CapEff:"),
        exe_upper_layer: false,
        exe_ino: file.ino(),
        exe_ino_ctime: nanoseconds(file.ctime(), file.ctime_nsec()),
        exe_ino_mtime: nanoseconds(file.mtime(), file.mtime_nsec()),
        exe_from_memfd: false,
        exe_lower_layer: false,
        pgid: pid.into(),
    };
    assert_eq!(*found, expected);
    assert!(found.vmrss_kb > 0 && found.vmrss_kb <= found.vmsize_kb && found.pfminor > 0, "{found:?}");
    assert!(
        found.cgroups.ends_with(b"\0") && found.cgroups.contains(&b'='),
        "{}",
        found.cgroups.escape_ascii()
    );
    assert_eq!(snapshot.report.threads, snapshot.state.threads.len());
}

fn own_ids() -> (u32, u32) {
    (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}

fn number_in(path: &str) -> Option<u32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[test]
fn a_thread_shares_with_its_process() {
    let (tell, told) = std::sync::mpsc::channel();
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let body = move || {
        tell.send(rustix::thread::gettid().as_raw_nonzero().get()).unwrap();
        let _ = ended.recv();
    };
    let running = std::thread::Builder::new().name("a thread) name".into()).spawn(body).unwrap();
    let tid = told.recv().unwrap();
    let snapshot = snapshot();
    drop(end);
    running.join().unwrap();

    let main = thread(&snapshot, std::process::id());
    let found = thread(&snapshot, tid.try_into().unwrap());
    assert_eq!(found.comm, b"a thread) name");
    assert_eq!((found.pid, found.vpid, found.vtid), (main.pid, main.vpid, tid.into()));
    assert_eq!((found.ptid, found.flags, main.flags), (main.ptid, 8192 | 32768 | 1, 0));
    assert_eq!((&found.exepath, &found.args, &found.env), (&main.exepath, &main.args, &main.env));
    assert_eq!(snapshot.state.fds.iter().filter(|list| list.pid == main.pid).count(), 1);
    assert!(snapshot.state.fds.iter().all(|list| list.pid != found.tid));
}

#[test]
fn an_executable_in_memory() {
    // SAFETY: the name is a C string.
    let memory = owned(unsafe { libc::memfd_create(c"in memory".as_ptr(), libc::MFD_CLOEXEC) });
    let path = format!("/proc/{}/fd/{}", std::process::id(), memory.as_raw_fd());
    fs::write(&path, fs::read("/bin/sleep").unwrap()).unwrap();
    let child = start_with(sleep(&path), Vec::new());
    let snapshot = snapshot();
    let found = thread(&snapshot, child.0.id());
    assert_eq!(found.exepath, b"memfd:in memory");
    assert!(found.exe_from_memfd && found.exe_writable);
    assert_eq!(found.exe_ino, fs::metadata(&path).unwrap().ino());
}

#[test]
fn an_executable_that_its_user_may_write_to_and_that_is_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let program = fs::canonicalize(directory.path()).unwrap().join("program");
    copy_of_sleep(&program);
    let child = start_with(sleep(&program), Vec::new());
    fs::remove_file(&program).unwrap();
    let snapshot = snapshot();
    let found = thread(&snapshot, child.0.id());
    assert_eq!(found.exepath, [program.as_os_str().as_bytes(), b" (deleted)"].concat());
    assert!(found.exe_writable && !found.exe_from_memfd);
}

#[test]
fn a_capability_counts_for_owners_that_the_user_namespace_knows() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("marked");
    copy_of_sleep(&program);
    fs::set_permissions(&program, fs::Permissions::from_mode(0o555)).unwrap();
    let script = format!("exec {} 60", program.display());
    let writable = |flags: &[&str]| {
        let (_child, pid) = in_namespaces(flags, &script);
        let snapshot = snapshot();
        let found = thread(&snapshot, pid);
        assert_ne!(found.cap_effective & 2, 0);
        found.exe_writable
    };
    assert!(writable(&["--user", "--map-root-user"]));
    if !is_root() {
        println!("not run: only root can give a file to a user that the namespace does not know");
        return;
    }
    std::os::unix::fs::chown(&program, Some(12345), Some(12345)).unwrap();
    assert!(writable(&["--mount"]));
    assert!(!writable(&["--user", "--map-root-user"]));
}

/// Copies /bin/sleep in another process. If this process had the file open for writing, it could not be executed while
/// a child of another test, forked meanwhile, still has it open.
fn copy_of_sleep(to: &Path) {
    assert!(Command::new("cp").arg("/bin/sleep").arg(to).status().unwrap().success());
}

/// Runs a script that ends with `exec sleep` in new namespaces, and waits for that exec.
fn in_namespaces(flags: &[&str], script: &str) -> (Running, u32) {
    let mut command = Command::new("unshare");
    if !is_root() {
        command.arg("--map-root-user");
    }
    command.args(flags).args(["sh", "-ec", script]).stdin(Stdio::null());
    let child = Running(command.spawn().unwrap());
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let all = snapshot();
        let started = |thread: &&Thread| {
            let parent = u64::from(child.0.id());
            (thread.pid == parent || thread.ptid == parent) && thread.comm == b"marked"
        };
        if let Some(found) = all.state.threads.iter().find(started) {
            return (child, found.pid.try_into().unwrap());
        }
        assert!(Instant::now() < deadline, "the script has not come to its end: {script}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_process_in_its_own_pid_namespace() {
    let now = || u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("marked");
    copy_of_sleep(&program);
    let before = now();
    let flags = ["--pid", "--fork", "--kill-child"];
    let (_child, pid) = in_namespaces(&flags, &format!("exec {} 60", program.display()));
    let boot_time =
        take(&SnapshotOptions { fds: false, ..SnapshotOptions::default() }).unwrap().state.machine.boot_time;
    let snapshot =
        take(&SnapshotOptions { boot_time: Some(boot_time + 5), ..SnapshotOptions::default() }).unwrap();
    let found = thread(&snapshot, pid);
    assert_eq!((found.pid, found.vpid, found.vtid), (pid.into(), 1, 1));
    assert_eq!(snapshot.state.machine.boot_time, boot_time + 5);
    // The boot time is accurate to a second, a thread's start to a clock tick.
    let start = found.pidns_init_start_ts;
    assert!(start.abs_diff(before) < 3_000_000_000, "{start} {before}");
    assert_eq!(start % 10_000_000, (boot_time + 5) % 10_000_000);
    let own = thread(&snapshot, std::process::id()).pidns_init_start_ts;
    assert!(own > boot_time && own < start - 1_000_000_000, "{own} {start}");
}

#[test]
fn executables_in_an_overlay() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("marked");
    copy_of_sleep(&program);
    for (place, upper) in [("lower", false), ("upper", true)] {
        let script = format!(
            "cd {} && mount -t tmpfs none /mnt && cd /mnt && mkdir lower upper work merged && cp {} {place}/marked && \
             mount -t overlay none -o lowerdir=/mnt/lower,upperdir=/mnt/upper,workdir=/mnt/work /mnt/merged && \
             exec /mnt/merged/marked 60",
            directory.path().display(),
            program.display()
        );
        let (_child, pid) = in_namespaces(&["--mount"], &script);
        let snapshot = snapshot();
        let found = thread(&snapshot, pid);
        assert_eq!(found.exepath, b"/mnt/merged/marked");
        assert_eq!((found.exe_upper_layer, found.exe_lower_layer), (upper, !upper), "{place}");
    }
}

/// Makes a directory like /proc, with a process that has only the two mandatory files.
fn fixture() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let task = root.path().join("7/task/7");
    fs::create_dir_all(&task).unwrap();
    fs::create_dir_all(root.path().join("8")).unwrap();
    fs::write(root.path().join("stat"), "cpu0 1\ncpu1 1\nbtime 1700000000\n").unwrap();
    fs::write(root.path().join("meminfo"), "MemTotal: 2 kB\n").unwrap();
    fs::write(task.join("stat"), "7 (x) S 1 5 6 0 -1 0 1 0 2 0 0 0 0 0 20 0 1 0 300 0").unwrap();
    fs::write(task.join("status"), "PPid:\t1\nUid:\t1\t2\t3\t4\n").unwrap();
    root
}

#[test]
fn what_is_missing_stays_empty() {
    let root = fixture();
    let options = SnapshotOptions {
        proc_root: root.path().into(),
        sys_root: root.path().into(),
        etc_root: root.path().into(),
        ..SnapshotOptions::default()
    };
    let Snapshot { state, report } = take(&options).unwrap();
    assert_eq!(report, SnapshotReport { threads: 1, processes: 1, vanished: 1, unreadable: 0 });
    assert_eq!((state.machine.num_cpus, state.machine.memory_size), (2, 2048));
    assert_eq!(state.machine.boot_time, 1_700_000_000_000_000_000);
    let expected = Thread {
        tid: 7,
        pid: 7,
        ptid: 1,
        sid: 6,
        vpgid: 5,
        comm: b"x".to_vec(),
        fdlimit: u64::MAX,
        uid: 2,
        pfminor: 1,
        pfmajor: 2,
        vtid: 7,
        vpid: 7,
        loginuid: u32::MAX,
        pgid: 5,
        ..Thread::default()
    };
    assert_eq!(state.threads, [expected]);
    assert_eq!((state.fds.len(), state.users.len(), state.groups.len()), (0, 0, 0));
}

#[test]
fn what_cannot_be_read_is_counted() {
    let root = fixture();
    // Reading a directory as a file fails, even for root.
    fs::create_dir(root.path().join("7/cmdline")).unwrap();
    fs::create_dir_all(root.path().join("9/task/9/stat")).unwrap();
    let options = SnapshotOptions {
        proc_root: root.path().into(),
        etc_root: root.path().into(),
        ..SnapshotOptions::default()
    };
    let report = take(&options).unwrap().report;
    assert_eq!(report, SnapshotReport { threads: 1, processes: 1, vanished: 1, unreadable: 2 });
}

#[test]
fn a_directory_that_is_no_proc_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let error = |path: &Path| {
        take(&SnapshotOptions { proc_root: path.into(), ..SnapshotOptions::default() }).unwrap_err()
    };
    assert!(matches!(error(root.path()), SnapshotError::Stat(_)));
    fs::write(root.path().join("stat"), "cpu0 1\n").unwrap();
    assert!(matches!(error(root.path()), SnapshotError::NoBootTime));
    let missing = root.path().join("missing");
    let message = error(&missing).to_string();
    assert!(message.contains(missing.to_str().unwrap()), "{message}");
}

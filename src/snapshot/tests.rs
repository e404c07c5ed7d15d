//! Snapshots of processes that the test starts, and of directories that look like a /proc.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::*;
use crate::scap::state::{Fd, FdKind, L4Proto, NamedFd, Thread};

/// The first number of the descriptors that a child is given.
const FIRST_FD: i32 = 100;
const FDLIMIT: u64 = 777;

/// A process that is ended with the test.
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
    take(&Options::default()).unwrap()
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
    // SAFETY: the call succeeded, and nobody else has its result.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Starts a child that has these descriptors from `FIRST_FD` on.
fn start_with(mut command: Command, fds: Vec<i32>) -> Running {
    let give = move || {
        for (number, &fd) in (FIRST_FD..).zip(&fds) {
            // SAFETY: dup2 changes the child's own descriptors only.
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
        args: b"60\00.5\0".to_vec(),
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
    assert_eq!(found.exepath, b"/memfd:in memory (deleted)");
    assert!(found.exe_from_memfd && found.exe_writable);
    assert_eq!(found.exe_ino, fs::metadata(&path).unwrap().ino());
}

#[test]
fn an_executable_that_its_user_may_write_to_and_that_is_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let program = fs::canonicalize(directory.path()).unwrap().join("program");
    fs::copy("/bin/sleep", &program).unwrap();
    let child = start_with(sleep(&program), Vec::new());
    fs::remove_file(&program).unwrap();
    let snapshot = snapshot();
    let found = thread(&snapshot, child.0.id());
    assert_eq!(found.exepath, [program.as_os_str().as_bytes(), b" (deleted)"].concat());
    assert!(found.exe_writable && !found.exe_from_memfd);
}

/// Runs a script in new namespaces, which ends in `exec sleep`, and waits until it does.
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
    fs::copy("/bin/sleep", &program).unwrap();
    let before = now();
    let flags = ["--pid", "--fork", "--kill-child"];
    let (_child, pid) = in_namespaces(&flags, &format!("exec {} 60", program.display()));
    let boot_time = take(&Options { fds: false, ..Options::default() }).unwrap().state.machine.boot_time;
    let snapshot = take(&Options { boot_time: Some(boot_time + 5), ..Options::default() }).unwrap();
    let found = thread(&snapshot, pid);
    assert_eq!((found.pid, found.vpid, found.vtid), (pid.into(), 1, 1));
    assert_eq!(snapshot.state.machine.boot_time, boot_time + 5);
    // The time of the start is known to a second, a thread's start to a clock tick.
    let start = found.pidns_init_start_ts;
    assert!(start.abs_diff(before) < 3_000_000_000, "{start} {before}");
    assert_eq!(start % 10_000_000, (boot_time + 5) % 10_000_000);
    assert_ne!(start, thread(&snapshot, std::process::id()).pidns_init_start_ts);
}

#[test]
fn executables_in_an_overlay() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("marked");
    fs::copy("/bin/sleep", &program).unwrap();
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

/// The descriptors of a child that was given these.
fn fds_of_child(fds: &[i32]) -> Vec<Fd> {
    let child = start_with(sleep("/bin/sleep"), fds.to_vec());
    let snapshot = snapshot();
    let list = snapshot.state.fds.into_iter().find(|list| list.pid == u64::from(child.0.id())).unwrap();
    // A child also has what the test itself has inherited.
    let numbers = u64::try_from(FIRST_FD).unwrap()..;
    let numbers: Vec<u64> = numbers.take(fds.len()).collect();
    let mut given: Vec<Fd> = list.fds.into_iter().filter(|fd| numbers.contains(&fd.fd)).collect();
    given.sort_by_key(|fd| fd.fd);
    assert_eq!(given.iter().map(|fd| fd.fd).collect::<Vec<_>>(), numbers);
    given
}

fn inode(fd: i32) -> u64 {
    fs::metadata(format!("/proc/self/fd/{fd}")).unwrap().ino()
}

#[test]
fn files_directories_and_devices() {
    let directory = tempfile::tempdir().unwrap();
    let path = fs::canonicalize(directory.path()).unwrap();
    let file = File::options().read(true).append(true).create(true).open(path.join("a file")).unwrap();
    let zero = File::open("/dev/zero").unwrap();
    let folder = File::open(&path).unwrap();
    let status = Command::new("mkfifo").arg(path.join("fifo")).status().unwrap();
    assert!(status.success());
    let fifo = File::options().read(true).write(true).open(path.join("fifo")).unwrap();
    let (reader, writer) = io::pipe().unwrap();
    let raw = [
        file.as_raw_fd(),
        zero.as_raw_fd(),
        folder.as_raw_fd(),
        fifo.as_raw_fd(),
        reader.as_raw_fd(),
        writer.as_raw_fd(),
    ];
    let found = fds_of_child(&raw);
    for (fd, raw) in found.iter().zip(raw) {
        assert_eq!(fd.ino, inode(raw));
    }
    let bytes = |name: &str| path.join(name).as_os_str().as_bytes().to_vec();
    // Whether the kernel keeps O_LARGEFILE is its own business.
    let file_kind = |fd: &Fd| match &fd.kind {
        FdKind::File { open_flags, path, dev } => (open_flags & !2048, path.clone(), *dev),
        other => panic!("{other:?}"),
    };
    let dev = |file: &File| u32::try_from(file.metadata().unwrap().dev()).unwrap();
    assert_eq!(file_kind(&found[0]), (3 | 8, bytes("a file"), dev(&file)));
    assert_eq!(file_kind(&found[1]), (1, b"/dev/zero".to_vec(), dev(&zero)));
    let named = |kind, name: Vec<u8>| FdKind::Named { kind, name };
    assert_eq!(found[2].kind, named(NamedFd::Directory, path.as_os_str().as_bytes().to_vec()));
    assert_eq!(found[3].kind, named(NamedFd::Fifo, bytes("fifo")));
    let pipe = named(NamedFd::Fifo, format!("pipe:[{}]", inode(reader.as_raw_fd())).into_bytes());
    assert_eq!((&found[4].kind, &found[5].kind), (&pipe, &pipe));
}

#[test]
fn files_that_are_none() {
    // SAFETY: system calls with plain numbers, a C string, and a signal set that lives until its call returns.
    let fds = unsafe {
        let mut signals = std::mem::zeroed();
        libc::sigemptyset(&mut signals);
        [
            (NamedFd::Eventfd, "anon_inode:[eventfd]", owned(libc::eventfd(0, libc::EFD_CLOEXEC))),
            (NamedFd::Eventpoll, "anon_inode:[eventpoll]", owned(libc::epoll_create1(libc::EPOLL_CLOEXEC))),
            (
                NamedFd::Signalfd,
                "anon_inode:[signalfd]",
                owned(libc::signalfd(-1, &signals, libc::SFD_CLOEXEC)),
            ),
            (
                NamedFd::Timerfd,
                "anon_inode:[timerfd]",
                owned(libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC)),
            ),
            (NamedFd::Inotify, "anon_inode:inotify", owned(libc::inotify_init1(libc::IN_CLOEXEC))),
            (
                NamedFd::Memfd,
                "/memfd:a name (deleted)",
                owned(libc::memfd_create(c"a name".as_ptr(), libc::MFD_CLOEXEC)),
            ),
            (
                NamedFd::Pidfd,
                "anon_inode:[pidfd]",
                owned(libc::syscall(libc::SYS_pidfd_open, libc::getpid(), 0)),
            ),
        ]
    };
    let raw: Vec<i32> = fds.iter().map(|(.., fd)| fd.as_raw_fd()).collect();
    for (found, (kind, name, fd)) in fds_of_child(&raw).iter().zip(&fds) {
        assert_eq!(found.kind, FdKind::Named { kind: *kind, name: name.as_bytes().to_vec() });
        assert_eq!(found.ino, inode(fd.as_raw_fd()));
    }
}

fn v4(address: SocketAddr) -> (Ipv4Addr, u16) {
    match address {
        SocketAddr::V4(address) => (*address.ip(), address.port()),
        SocketAddr::V6(address) => panic!("{address}"),
    }
}

fn v6(address: SocketAddr) -> (Ipv6Addr, u16) {
    match address {
        SocketAddr::V6(address) => (*address.ip(), address.port()),
        SocketAddr::V4(address) => panic!("{address}"),
    }
}

fn connection(address: &str) -> (TcpListener, TcpStream, TcpStream) {
    let listener = TcpListener::bind(address).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    (listener, client, server)
}

#[test]
fn internet_sockets() {
    let (listener, client, server) = connection("127.0.0.1:0");
    let (listener6, client6, server6) = connection("[::1]:0");
    let unconnected = UdpSocket::bind("127.0.0.1:0").unwrap();
    let connected = UdpSocket::bind("127.0.0.1:0").unwrap();
    connected.connect(unconnected.local_addr().unwrap()).unwrap();
    // A socket for both families whose client speaks IPv4.
    let dual = TcpListener::bind("[::]:0").unwrap();
    let dual_port = dual.local_addr().unwrap().port();
    let dual_client = TcpStream::connect((Ipv4Addr::LOCALHOST, dual_port)).unwrap();
    let (dual_server, _) = dual.accept().unwrap();
    // SAFETY: system calls with plain numbers.
    let unbound = owned(unsafe { libc::socket(libc::AF_INET6, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) });
    let (here, there) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
    let (here6, there6) = (client6.local_addr().unwrap(), client6.peer_addr().unwrap());
    let (tcp, udp) = (L4Proto::Tcp, L4Proto::Udp);
    let (source, destination) = (v4(connected.local_addr().unwrap()), v4(unconnected.local_addr().unwrap()));
    let from6 = FdKind::Ipv6 { source: v6(here6), destination: v6(there6), l4: tcp };
    let dual_ends = ((Ipv4Addr::LOCALHOST, dual_port), v4(dual_client.local_addr().unwrap()));
    let expected = [
        (listener.as_raw_fd(), FdKind::Ipv4Listening { local: v4(there), l4: tcp }),
        (client.as_raw_fd(), FdKind::Ipv4 { source: v4(here), destination: v4(there), l4: tcp }),
        (server.as_raw_fd(), FdKind::Ipv4 { source: v4(there), destination: v4(here), l4: tcp }),
        (listener6.as_raw_fd(), FdKind::Ipv6Listening { local: v6(there6), l4: tcp }),
        (client6.as_raw_fd(), from6.clone()),
        (server6.as_raw_fd(), from6),
        (unconnected.as_raw_fd(), FdKind::Ipv4Listening { local: destination, l4: udp }),
        (connected.as_raw_fd(), FdKind::Ipv4 { source, destination, l4: udp }),
        (dual_server.as_raw_fd(), FdKind::Ipv4 { source: dual_ends.0, destination: dual_ends.1, l4: tcp }),
        (unbound.as_raw_fd(), FdKind::Ipv6Listening { local: (Ipv6Addr::UNSPECIFIED, 0), l4: tcp }),
    ];
    let raw: Vec<i32> = expected.iter().map(|(fd, _)| *fd).collect();
    for (found, (fd, kind)) in fds_of_child(&raw).iter().zip(expected) {
        assert_eq!((&found.kind, found.ino), (&kind, inode(fd)));
    }
}

#[test]
fn unix_and_netlink_sockets() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a socket");
    let listener = UnixListener::bind(&path).unwrap();
    let (one, _other) = UnixStream::pair().unwrap();
    // SAFETY: a system call with plain numbers.
    let netlink = owned(unsafe {
        libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_ROUTE)
    });
    let found = fds_of_child(&[listener.as_raw_fd(), one.as_raw_fd(), netlink.as_raw_fd()]);
    for (fd, wanted) in found.iter().zip([path.as_os_str().as_bytes(), b""]) {
        let FdKind::Unix { source, destination: 0, path } = &fd.kind else { panic!("{fd:?}") };
        assert_eq!(path, wanted);
        assert!(*source == fd.ino || *source >> 63 == 1, "{fd:?}");
    }
    assert_eq!(found[0].ino, inode(listener.as_raw_fd()));
    let name = format!("socket:[{}]", inode(netlink.as_raw_fd())).into_bytes();
    assert_eq!(found[2].kind, FdKind::Named { kind: NamedFd::Netlink, name });
}

/// A directory like /proc, with a process that has what the two mandatory files say and nothing else.
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
    let options = Options {
        proc_root: root.path().into(),
        sys_root: root.path().into(),
        etc_root: root.path().into(),
        ..Options::default()
    };
    let Snapshot { state, report } = take(&options).unwrap();
    assert_eq!(report, Report { threads: 1, processes: 1, vanished: 1, unreadable: 0 });
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
    // Reading a directory as a file fails, for root as well.
    fs::create_dir(root.path().join("7/cmdline")).unwrap();
    fs::create_dir_all(root.path().join("9/task/9/stat")).unwrap();
    let options =
        Options { proc_root: root.path().into(), etc_root: root.path().into(), ..Options::default() };
    let report = take(&options).unwrap().report;
    assert_eq!(report, Report { threads: 1, processes: 1, vanished: 1, unreadable: 2 });
}

#[test]
fn a_directory_that_is_no_proc_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let error = |path: &Path| take(&Options { proc_root: path.into(), ..Options::default() }).unwrap_err();
    assert!(matches!(error(root.path()), SnapshotError::Stat(_)));
    fs::write(root.path().join("stat"), "cpu0 1\n").unwrap();
    assert!(matches!(error(root.path()), SnapshotError::NoBootTime));
    let missing = root.path().join("missing");
    let message = error(&missing).to_string();
    assert!(message.contains(missing.to_str().unwrap()), "{message}");
}

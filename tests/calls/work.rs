//! The program that both tracers run: calls of every family, between two calls that mark its begin and end.

use std::{env, ffi::CStr, fs, io, mem, ptr, thread::sleep, time::Duration};

/// The calls of these names frame what is compared.
pub const BEGIN: &CStr = c"/begin-of-the-work";
pub const END: &CStr = c"/end-of-the-work";

/// Makes a system call; arguments are numbers and pointers.
macro_rules! call {
    ($number:ident $(, $argument:expr)*) => {
        // SAFETY: Pointers are to strings and structures that live here, of the size that the call expects.
        unsafe { libc::syscall(libc::$number $(, Word::of($argument))*) }
    };
}

/// Makes a call that newer architectures do not have. x86-64 has it.
macro_rules! old_call {
    ($number:ident $(, $argument:expr)*) => {
        #[cfg(target_arch = "x86_64")]
        call!($number $(, $argument)*);
        #[cfg(not(target_arch = "x86_64"))]
        let _ = ($(&$argument,)*);
    };
}

/// A call that waits for a signal.
#[cfg(target_arch = "x86_64")]
pub const PAUSE: (&str, i64) = ("pause", libc::SYS_pause);
#[cfg(not(target_arch = "x86_64"))]
pub const PAUSE: (&str, i64) = ("rt_sigsuspend", libc::SYS_rt_sigsuspend);

/// An argument, as a register holds it.
struct Word;

trait Argument {
    fn word(self) -> i64;
}

impl Word {
    fn of(argument: impl Argument) -> i64 {
        argument.word()
    }
}

impl Argument for i64 {
    fn word(self) -> i64 {
        self
    }
}

impl Argument for i32 {
    fn word(self) -> i64 {
        self.into()
    }
}

impl Argument for &CStr {
    fn word(self) -> i64 {
        self.as_ptr() as i64
    }
}

impl<T> Argument for *mut T {
    fn word(self) -> i64 {
        self as i64
    }
}

/// Makes all calls in the current folder, and ends with status 3.
pub fn run() -> ! {
    let folder = env::args_os().next_back().unwrap_or_default();
    assert!(env::set_current_dir(folder).is_ok(), "{}", io::Error::last_os_error());
    extern "C" fn nothing(_: i32) {}
    // Without a handler, the signal of a child does not reach its parent.
    // SAFETY: The handler does nothing.
    unsafe { libc::signal(libc::SIGCHLD, nothing as extern "C" fn(i32) as libc::sighandler_t) };
    call!(SYS_openat, -100, BEGIN, 0, 0);
    files();
    names();
    descriptors();
    sockets();
    memory();
    identity();
    waits();
    call!(SYS_openat, -100, END, 0, 0);
    interleave();
    call!(SYS_exit_group, 3);
    unreachable!()
}

#[cfg(target_arch = "x86_64")]
fn open(path: &CStr, flags: i32, mode: i32) -> i64 {
    call!(SYS_open, path, flags, mode)
}

#[cfg(not(target_arch = "x86_64"))]
fn open(path: &CStr, flags: i32, mode: i32) -> i64 {
    call!(SYS_openat, -100, path, flags, mode)
}

fn files() {
    let mut data = [0u8; 300];
    let at = data.as_mut_ptr();
    old_call!(SYS_mkdir, c"d", 0o755);
    let fd = open(c"a", libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC, 0o644);
    call!(SYS_write, fd, c"hello\n\t\"q\"\\ \x01\xc3\xa91", 15);
    call!(SYS_pwrite64, fd, c"xx", 2, 100);
    call!(SYS_lseek, fd, 0, libc::SEEK_SET);
    call!(SYS_read, fd, at, 300);
    call!(SYS_read, fd, at, 300);
    call!(SYS_pread64, fd, at, 10, 2);
    call!(SYS_write, fd, at, 300);
    let mut parts = [libc::iovec { iov_base: at.cast(), iov_len: 5 }; 2];
    call!(SYS_writev, fd, parts.as_mut_ptr(), 2);
    call!(SYS_preadv, fd, parts.as_mut_ptr(), 2, 7, 0);
    let other =
        call!(SYS_openat, -100, c"b", libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC, 0o600);
    call!(SYS_sendfile, other, fd, 0, 10);
    call!(SYS_copy_file_range, fd, 0, other, 0, 5, 0);
    call!(SYS_openat, -100, c"/nonexistent\x1b", libc::O_RDONLY, 0);
    call!(SYS_openat, -100, c".", libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC, 0);
    call!(SYS_openat, -100, c".", libc::O_RDWR | libc::O_TMPFILE, 0o600);
    call!(SYS_openat, -100, c"a", libc::O_WRONLY | libc::O_APPEND | libc::O_NONBLOCK | libc::O_SYNC, 0);
    let mut how = [libc::O_WRONLY as u64 | libc::O_CREAT as u64, 0o640, 8];
    call!(SYS_openat2, -100, c"n", how.as_mut_ptr(), 24);
    old_call!(SYS_creat, c"c", 0o600);
    call!(SYS_close, other);
    call!(SYS_close, 99);
    call!(SYS_flock, fd, libc::LOCK_EX | libc::LOCK_NB);
    call!(SYS_fchmod, fd, 0o4755);
    call!(SYS_fchown, fd, -1, 0);
    call!(SYS_fstat, fd, at);
    call!(SYS_ioctl, fd, 0x5413, at);
    call!(SYS_splice, fd, 0, fd, 0, 10, 0);
}

fn names() {
    let mut data = [0u8; 512];
    old_call!(SYS_stat, c"a", data.as_mut_ptr());
    call!(SYS_newfstatat, -100, c"zz", data.as_mut_ptr(), libc::AT_SYMLINK_NOFOLLOW);
    old_call!(SYS_access, c"a", libc::R_OK | libc::W_OK);
    call!(SYS_mkdirat, -100, c"dd", 0o700);
    old_call!(SYS_rename, c"b", c"cc");
    call!(SYS_renameat2, -100, c"cc", -100, c"bb", 1);
    old_call!(SYS_link, c"a", c"l");
    call!(SYS_linkat, -100, c"a", -100, c"l2", libc::AT_SYMLINK_FOLLOW);
    old_call!(SYS_symlink, c"a", c"s");
    call!(SYS_symlinkat, c"a", -100, c"s2");
    old_call!(SYS_unlink, c"l");
    call!(SYS_unlinkat, -100, c"dd", libc::AT_REMOVEDIR);
    old_call!(SYS_chmod, c"a", 0o600);
    call!(SYS_fchmodat, -100, c"a", 0o644);
    old_call!(SYS_chown, c"a", 0, 0);
    call!(SYS_fchownat, -100, c"s", 0, 0, libc::AT_SYMLINK_NOFOLLOW);
    old_call!(SYS_lchown, c"s", 1, 2);
    old_call!(SYS_mknod, c"fifo", 0o010_644, 0);
    call!(SYS_mknodat, -100, c"dev", 0o020_600, 0x103);
    call!(SYS_getcwd, data.as_mut_ptr(), 512);
    call!(SYS_chdir, c"nope");
    old_call!(SYS_rmdir, c"nope");
    call!(SYS_umount2, c"/nope", libc::MNT_DETACH);
    call!(
        SYS_mount,
        c"none",
        c"/nope",
        c"tmpfs",
        libc::MS_RDONLY as i64 | libc::MS_NOSUID as i64,
        c"size=1m"
    );
}

fn descriptors() {
    let mut data = [0u8; 16];
    let mut pair = [0i32; 2];
    let fd = open(c"a", libc::O_RDWR, 0);
    call!(SYS_dup, fd);
    old_call!(SYS_dup2, fd, 60);
    call!(SYS_dup3, fd, 61, libc::O_CLOEXEC);
    call!(SYS_fcntl, fd, libc::F_GETFL);
    call!(SYS_fcntl, fd, libc::F_SETFD, 1);
    call!(SYS_fcntl, fd, libc::F_GETFD);
    call!(SYS_fcntl, fd, libc::F_DUPFD_CLOEXEC, 70);
    call!(SYS_fcntl, 99, libc::F_GETFD);
    call!(SYS_close_range, 60, 61, 0);
    call!(SYS_pipe2, pair.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK);
    call!(SYS_write, pair[1], c"x", 1);
    call!(SYS_read, pair[0], data.as_mut_ptr(), 1);
    call!(SYS_read, pair[0], data.as_mut_ptr(), 1);
    let mut polled = [
        libc::pollfd { fd: pair[0], events: libc::POLLIN, revents: 0 },
        libc::pollfd { fd: pair[1], events: libc::POLLOUT | libc::POLLIN, revents: 0 },
    ];
    old_call!(SYS_poll, polled.as_mut_ptr(), 2, 10);
    old_call!(SYS_poll, polled.as_mut_ptr(), 1, 1);
    let mut time = [0i64, 1_000_000];
    let mut signals = [1u64 << 1 | 1 << 16];
    call!(SYS_ppoll, polled.as_mut_ptr(), 1, time.as_mut_ptr(), signals.as_mut_ptr(), 8);
    let epoll = call!(SYS_epoll_create1, libc::EPOLL_CLOEXEC);
    old_call!(SYS_epoll_wait, epoll, data.as_mut_ptr(), 1, 0);
    call!(SYS_eventfd2, 3, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK);
    call!(SYS_timerfd_create, libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC);
    call!(SYS_signalfd4, -1, signals.as_mut_ptr(), 8, libc::SFD_CLOEXEC);
    call!(SYS_inotify_init1, libc::IN_CLOEXEC | libc::IN_NONBLOCK);
    call!(SYS_memfd_create, c"mem", 1);
}

fn sockets() {
    let mut data = [0u8; 128];
    let at = data.as_mut_ptr();
    let mut one = 1i32;
    let mut address = libc::sockaddr_in {
        sin_family: libc::AF_INET as u16,
        sin_port: 0,
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes([127, 0, 0, 1]) },
        sin_zero: [0; 8],
    };
    let (inet, mut len) = (&raw mut address, size_of::<libc::sockaddr_in>() as i32);
    let server = call!(SYS_socket, libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0);
    call!(SYS_setsockopt, server, libc::SOL_SOCKET, libc::SO_REUSEADDR, &raw mut one, 4);
    call!(SYS_bind, server, inet, len);
    call!(SYS_listen, server, 5);
    call!(SYS_getsockname, server, inet, &raw mut len);
    let client = call!(SYS_socket, libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_TCP);
    call!(SYS_connect, client, inet, len);
    let peer = call!(SYS_accept4, server, 0, 0, libc::SOCK_CLOEXEC);
    call!(SYS_sendto, client, c"hi", 2, 0, 0, 0);
    call!(SYS_recvfrom, peer, at, 10, 0, 0, 0);
    call!(SYS_shutdown, client, libc::SHUT_WR);
    call!(SYS_recvfrom, peer, at, 10, 0, 0, 0);
    let mut size = 4i32;
    call!(SYS_getsockopt, client, libc::SOL_SOCKET, libc::SO_ERROR, &raw mut one, &raw mut size);
    call!(SYS_close, peer);
    call!(SYS_close, server);
    let refused = call!(SYS_socket, libc::AF_INET, libc::SOCK_STREAM, 0);
    call!(SYS_connect, refused, inet, len);
    // SAFETY: The structure is plain data.
    let mut six: libc::sockaddr_in6 = unsafe { mem::zeroed() };
    (six.sin6_family, six.sin6_addr.s6_addr[15]) = (libc::AF_INET6 as u16, 1);
    let udp = call!(SYS_socket, libc::AF_INET6, libc::SOCK_DGRAM, libc::IPPROTO_UDP);
    call!(SYS_bind, udp, &raw mut six, size_of::<libc::sockaddr_in6>() as i32);
    let unix = call!(SYS_socket, libc::AF_UNIX, libc::SOCK_STREAM, 0);
    let mut path = *b"\x01\0sock\0";
    call!(SYS_bind, unix, path.as_mut_ptr(), path.len() as i32);
    let mut pair = [0i32; 2];
    call!(SYS_socketpair, libc::AF_UNIX, libc::SOCK_STREAM, 0, pair.as_mut_ptr());
    call!(SYS_write, pair[0], c"ab", 2);
    call!(SYS_read, pair[1], at, 5);
    call!(SYS_socket, libc::AF_NETLINK, libc::SOCK_RAW, 0);
}

fn memory() {
    let private = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let page = call!(SYS_mmap, 0, 8192, libc::PROT_READ | libc::PROT_WRITE, private, -1, 0);
    call!(SYS_mprotect, page, 4096, libc::PROT_NONE);
    call!(SYS_munlock, page, 4096);
    call!(SYS_munmap, page, 8192);
    call!(SYS_mmap, 0, 10, libc::PROT_READ, libc::MAP_SHARED, 3, 0x1000);
    call!(SYS_mmap, 0, 0, libc::PROT_NONE, libc::MAP_PRIVATE, -1, 0);
    call!(SYS_munlockall);
    let mut word = 1i32;
    call!(SYS_futex, &raw mut word, libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, 1);
    call!(SYS_futex, &raw mut word, libc::FUTEX_WAIT, 2, ptr::null_mut::<u8>());
}

fn identity() {
    let mut ids = [0u32; 3];
    let at = ids.as_mut_ptr();
    call!(SYS_getuid);
    call!(SYS_getegid);
    call!(SYS_getresuid, at, at, at);
    call!(SYS_setresuid, -1, 0, -1);
    call!(SYS_setuid, 0);
    call!(SYS_setreuid, -1, -1);
    call!(SYS_getpid);
    call!(SYS_setpgid, 0, 0);
    let mut limit = [0u64; 2];
    old_call!(SYS_getrlimit, libc::RLIMIT_STACK as i32, limit.as_mut_ptr());
    call!(SYS_prlimit64, 0, libc::RLIMIT_STACK as i32, 0, limit.as_mut_ptr());
    call!(SYS_prctl, libc::PR_SET_NAME, c"worker");
    call!(SYS_prctl, libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    call!(SYS_semget, libc::IPC_PRIVATE, 0, 0o600);
    call!(SYS_unshare, 0);
    call!(SYS_kill, 0x7fff_ffff, libc::SIGTERM);
    call!(SYS_tgkill, 0x7fff_ffff, 0x7fff_ffff, libc::SIGUSR1);
}

fn waits() {
    let mut time = [0i64, 1_000_000];
    call!(SYS_nanosleep, time.as_mut_ptr(), 0);
    let mut words = [c"/nonexistent/program".as_ptr(), c"a b".as_ptr(), ptr::null()];
    let mut env = [c"A=1".as_ptr(), ptr::null()];
    call!(SYS_execve, c"/nonexistent/program", words.as_mut_ptr(), env.as_mut_ptr());
}

/// A child waits for its parent, so each breaks the lines of the other.
fn interleave() {
    let mut pair = [0i32; 2];
    call!(SYS_pipe2, pair.as_mut_ptr(), 0);
    let child = call!(SYS_clone, libc::SIGCHLD, 0, 0, 0, 0);
    let mut byte = [0u8; 8];
    if child == 0 {
        call!(SYS_read, pair[0], byte.as_mut_ptr(), 8);
        let mut signals = [0u64];
        // SAFETY: The set is one of 64 signals; `pause` takes no argument.
        unsafe { libc::syscall(PAUSE.1, signals.as_mut_ptr(), size_of_val(&signals)) };
        call!(SYS_exit_group, 0);
    }
    wait_for(child, libc::SYS_read);
    call!(SYS_write, pair[1], c"go", 2);
    wait_for(child, PAUSE.1);
    call!(SYS_kill, child, libc::SIGKILL);
    call!(SYS_wait4, child, 0, 0, 0);
}

/// Waits until a process is in a call.
fn wait_for(process: i64, number: i64) {
    let is_in = || {
        let call = fs::read_to_string(format!("/proc/{process}/syscall")).unwrap_or_default();
        call.split(' ').next() == Some(&number.to_string())
    };
    let is_there = (0..1000).any(|_| {
        sleep(Duration::from_millis(10));
        is_in()
    });
    assert!(is_there, "the child is not in call {number}");
}

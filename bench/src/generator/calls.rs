//! Loops of system calls, made directly: a loop makes no other calls than those it is named after.

use std::{
    ffi::{CStr, c_long},
    fs::File,
    io,
    net::{TcpListener, TcpStream},
    os::fd::{AsRawFd, RawFd},
    thread,
};

use anyhow::{Context, ensure};

use super::Work;

/// A path of common length that does not exist.
const MISSING: &CStr = c"/usr/lib/scapd-bench/does-not-exist.conf";
const NULL: &CStr = c"/dev/null";
/// The size of a read or write, in bytes.
const SIZE: usize = 64;

pub fn getppid() -> Work {
    let run = |iterations| {
        for _ in 0..iterations {
            call_getppid();
        }
        Ok(())
    };
    Work { run: Box::new(run), calls: Some(1) }
}

pub fn access() -> anyhow::Result<Work> {
    ensure!(call_access() < 0, "{} exists", MISSING.to_string_lossy());
    let run = |iterations| {
        for _ in 0..iterations {
            call_access();
        }
        Ok(())
    };
    Ok(Work { run: Box::new(run), calls: Some(1) })
}

pub fn open_close() -> anyhow::Result<Work> {
    let run = |iterations| {
        for _ in 0..iterations {
            call_open_close()?;
        }
        Ok(())
    };
    Ok(Work { run: Box::new(run), calls: Some(2) })
}

pub fn read_write() -> anyhow::Result<Work> {
    let mut files = Files::open()?;
    let run = move |iterations| {
        for _ in 0..iterations {
            files.read_write()?;
        }
        Ok(())
    };
    Ok(Work { run: Box::new(run), calls: Some(2) })
}

pub fn ping_pong() -> anyhow::Result<Work> {
    let mut ball = Ball::new()?;
    let run = move |iterations| {
        for _ in 0..iterations {
            ball.there_and_back()?;
        }
        Ok(())
    };
    Ok(Work { run: Box::new(run), calls: Some(4) })
}

pub fn call_getppid() {
    // SAFETY: the call has no arguments.
    unsafe { libc::syscall(libc::SYS_getppid) };
}

/// Returns the result, which is negative as the path does not exist.
pub fn call_access() -> c_long {
    // SAFETY: the path is NUL-terminated.
    unsafe { libc::syscall(libc::SYS_access, MISSING.as_ptr(), libc::R_OK) }
}

pub fn call_open_close() -> io::Result<()> {
    // SAFETY: the path is NUL-terminated.
    let fd =
        check(unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, NULL.as_ptr(), libc::O_RDONLY) })?;
    // SAFETY: the descriptor was opened above, and nothing else uses it.
    check(unsafe { libc::syscall(libc::SYS_close, fd) })?;
    Ok(())
}

/// The files of `read_write`.
pub struct Files {
    zero: File,
    null: File,
    buffer: [u8; SIZE],
}

impl Files {
    pub fn open() -> anyhow::Result<Files> {
        let zero = File::open("/dev/zero").context("cannot open /dev/zero")?;
        let null = File::create("/dev/null").context("cannot open /dev/null")?;
        Ok(Files { zero, null, buffer: [0; SIZE] })
    }

    pub fn read_write(&mut self) -> io::Result<()> {
        let buffer = self.buffer.as_mut_ptr();
        // SAFETY: the buffer has SIZE bytes.
        check(unsafe { libc::syscall(libc::SYS_read, self.zero.as_raw_fd(), buffer, SIZE) })?;
        // SAFETY: the buffer has SIZE bytes.
        check(unsafe { libc::syscall(libc::SYS_write, self.null.as_raw_fd(), buffer, SIZE) })?;
        Ok(())
    }
}

/// A connection to a thread that echoes bytes.
pub struct Ball {
    stream: TcpStream,
}

impl Ball {
    pub fn new() -> anyhow::Result<Ball> {
        let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen on loopback")?;
        let stream = TcpStream::connect(listener.local_addr()?).context("cannot connect over loopback")?;
        let (other, _) = listener.accept().context("cannot accept a connection")?;
        stream.set_nodelay(true)?;
        other.set_nodelay(true)?;
        // Ends when our end of the connection is closed.
        thread::Builder::new()
            .name("pong".into())
            .spawn(move || {
                let mut byte = 0;
                while receive(other.as_raw_fd(), &mut byte).is_ok_and(|len| len == 1)
                    && send(other.as_raw_fd(), byte).is_ok()
                {}
            })
            .context("cannot start a thread")?;
        Ok(Ball { stream })
    }

    pub fn there_and_back(&mut self) -> io::Result<()> {
        let mut byte = b'.';
        send(self.stream.as_raw_fd(), byte)?;
        if receive(self.stream.as_raw_fd(), &mut byte)? != 1 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

fn send(fd: RawFd, byte: u8) -> io::Result<c_long> {
    // SAFETY: sends one valid byte; the address is null.
    check(unsafe {
        libc::syscall(libc::SYS_sendto, fd, &raw const byte, 1usize, libc::MSG_NOSIGNAL, 0usize, 0)
    })
}

fn receive(fd: RawFd, byte: &mut u8) -> io::Result<c_long> {
    // SAFETY: receives one byte into a valid byte; the address is null.
    check(unsafe { libc::syscall(libc::SYS_recvfrom, fd, &raw mut *byte, 1usize, 0, 0usize, 0usize) })
}

fn check(result: c_long) -> io::Result<c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

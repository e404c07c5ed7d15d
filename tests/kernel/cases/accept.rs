//! The programs of `listen` and `accept`.

use std::{
    net::{SocketAddr, TcpStream},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    ptr::null,
    time::{Duration, Instant},
};

use super::{addresses::*, sockets::*};

use crate::{
    harness::{Params, Test},
    syscall,
};

// ------------------------------------------------------------------ listen

pub fn listen_e(t: &mut Test) {
    t.fails(libc::EBADF, || syscall!(SYS_listen, NO_FD, -3)).i64("fd", NO_FD.into()).i32("backlog", -3);
    let socket = socket(LOOPBACK, libc::SOCK_STREAM);
    bind(&socket, LOOPBACK);
    let fd = socket.as_raw_fd();
    t.succeeds(|| syscall!(SYS_listen, fd, 5)).1.i64("fd", fd.into()).i32("backlog", 5);
}

pub fn listen_x(t: &mut Test) {
    t.fails(libc::EBADF, || syscall!(SYS_listen, NO_FD, -3))
        .i64("res", errno(libc::EBADF))
        .i64("fd", NO_FD.into())
        .i32("backlog", -3);
    let socket = socket(LOOPBACK, libc::SOCK_STREAM);
    bind(&socket, LOOPBACK);
    let fd = socket.as_raw_fd();
    t.succeeds(|| syscall!(SYS_listen, fd, 5)).1.i64("res", 0).i64("fd", fd.into()).i32("backlog", 5);
    if crate::compat::HERE {
        t.fails(libc::EBADF, || by_socketcall(4, &[NO_FD as u32, -3i32 as u32]))
            .i64("res", errno(libc::EBADF))
            .i64("fd", NO_FD.into())
            .i32("backlog", -3);
    }
}

// ------------------------------------------------------------------ accept

/// Returns the number of connections that wait to be accepted.
fn waiting(listener: &OwnedFd) -> u32 {
    // SAFETY: the structure has only numbers.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut len = size_of::<libc::tcp_info>() as u32;
    let result = syscall!(
        SYS_getsockopt,
        listener.as_raw_fd(),
        libc::IPPROTO_TCP,
        libc::TCP_INFO,
        &raw mut info,
        &raw mut len
    );
    assert_eq!(result, 0);
    info.tcpi_unacked // of a socket that listens
}

/// Returns a nonblocking listener with a backlog for four connections, two of which wait.
fn crowded(addr: SocketAddr) -> (OwnedFd, [TcpStream; 2]) {
    let listener = socket(addr, libc::SOCK_STREAM | libc::SOCK_NONBLOCK);
    bind(&listener, addr);
    rustix::net::listen(&listener, 4).unwrap();
    let clients = [(); 2].map(|()| TcpStream::connect(local(&listener)).unwrap());
    // The last step of a handshake may come late on a busy machine.
    let deadline = Instant::now() + Duration::from_secs(5);
    while waiting(&listener) < 2 {
        assert!(Instant::now() < deadline, "no connection arrives");
        std::thread::sleep(Duration::from_micros(100));
    }
    (listener, clients)
}

#[track_caller]
fn assert_queue(event: &Params, percent: u8, len: u32, max: u32) {
    event.u8("queuepct", percent).u32("queuelen", len).u32("queuemax", max);
}

/// Accepts with `call`, and lets `check` assert the additional parameters of accept4.
fn assert_accepts(t: &mut Test, call: impl Fn(i32) -> i64, check: impl Fn(&Params)) {
    let event = t.fails(libc::EBADF, || call(NO_FD));
    event.i64("fd", errno(libc::EBADF)).empty("tuple");
    assert_queue(&event, 0, 0, 0);
    check(&event);

    for addr in [Some(LOOPBACK), loopback6()].into_iter().flatten() {
        let (listener, clients) = crowded(addr);
        let (fd, event) = t.succeeds(|| call(listener.as_raw_fd()));
        let _accepted = own(fd);
        event
            .i64("fd", fd)
            .bytes("tuple", &tuple(clients[0].local_addr().unwrap(), clients[0].peer_addr().unwrap()));
        assert_queue(&event, 25, 1, 4);
        check(&event);

        drop(own(call(listener.as_raw_fd())));
        let event = t.fails(libc::EAGAIN, || call(listener.as_raw_fd()));
        event.i64("fd", errno(libc::EAGAIN)).empty("tuple");
        assert_queue(&event, 0, 0, 0);
        check(&event);
    }

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    rustix::net::listen(&listener, 9).unwrap();
    let _client = UnixStream::connect(&path).unwrap();
    let (fd, event) = t.succeeds(|| call(listener.as_raw_fd()));
    let _accepted = own(fd);
    event.i64("fd", fd);
    assert_unix_tuple(&event, c_path(&path).to_bytes()).both();
    assert_queue(&event, 0, 0, 9);
    check(&event);
}

pub fn accept_e(t: &mut Test) {
    t.fails(libc::EBADF, || syscall!(SYS_accept, NO_FD, null::<u8>(), 0));
    let (listener, _clients) = crowded(LOOPBACK);
    let (fd, _) = t.succeeds(|| syscall!(SYS_accept, listener.as_raw_fd(), null::<u8>(), 0));
    drop(own(fd));
}

pub fn accept_x(t: &mut Test) {
    assert_accepts(t, |fd| syscall!(SYS_accept, fd, null::<u8>(), 0), |_| ());
}

pub fn accept4_e(t: &mut Test) {
    t.fails(libc::EBADF, || syscall!(SYS_accept4, NO_FD, null::<u8>(), 0, libc::SOCK_NONBLOCK))
        .i32("flags", O_NONBLOCK as i32);
    let (listener, _clients) = crowded(LOOPBACK);
    let (fd, event) =
        t.succeeds(|| syscall!(SYS_accept4, listener.as_raw_fd(), null::<u8>(), 0, libc::SOCK_CLOEXEC));
    drop(own(fd));
    event.i32("flags", O_CLOEXEC as i32);
}

pub fn accept4_x(t: &mut Test) {
    let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    assert_accepts(
        t,
        |fd| syscall!(SYS_accept4, fd, null::<u8>(), 0, flags),
        |event| {
            event.i32("flags", (O_CLOEXEC | O_NONBLOCK) as i32);
        },
    );
}

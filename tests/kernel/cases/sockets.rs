use std::{
    net::{SocketAddr, TcpListener},
    os::{
        fd::AsRawFd,
        unix::net::{UnixListener, UnixStream},
    },
};

use super::addresses::*;
use scap::events::Schema;

use crate::{
    harness::{Params, Test},
    syscall,
};

pub(super) const O_NONBLOCK: u32 = 64;
pub(super) const O_CLOEXEC: u32 = 4096;

pub(super) fn errno(errno: i32) -> i64 {
    -i64::from(errno)
}

// ------------------------------------------------------------------ socket

const NO_FAMILY: i32 = 99;

pub fn socket_e(t: &mut Test) {
    t.fails(libc::EAFNOSUPPORT, || syscall!(SYS_socket, NO_FAMILY, libc::SOCK_RAW, 5))
        .u32("domain", 99)
        .u32("type", 3)
        .u32("proto", 5);
    let (fd, event) =
        t.succeeds(|| syscall!(SYS_socket, libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_TCP));
    drop(own(fd));
    event.u32("domain", 2).u32("type", 1).u32("proto", 6);
}

pub fn socket_x(t: &mut Test) {
    let ty = libc::SOCK_RAW | libc::SOCK_NONBLOCK;
    t.fails(libc::EAFNOSUPPORT, || syscall!(SYS_socket, NO_FAMILY, ty, 5))
        .i64("fd", errno(libc::EAFNOSUPPORT))
        .u32("domain", 99)
        .u32("type", ty as u32)
        .u32("proto", 5);
    let ty = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
    let (fd, event) = t.succeeds(|| syscall!(SYS_socket, libc::AF_INET, ty, libc::IPPROTO_UDP));
    drop(own(fd));
    event.i64("fd", fd).u32("domain", 2).u32("type", ty as u32).u32("proto", 17);
    if crate::compat::HERE {
        let (fd, event) = t.succeeds(|| by_socketcall(1, &[2, ty as u32, 17]));
        drop(own(fd));
        event.i64("fd", fd).u32("domain", 2).u32("type", ty as u32).u32("proto", 17);
    }
    t.schema(Schema::V0_25);
    for (flags, expected) in [
        (0, 0),
        (libc::SOCK_CLOEXEC, O_CLOEXEC),
        (libc::SOCK_NONBLOCK, O_NONBLOCK),
        (libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, O_CLOEXEC | O_NONBLOCK),
    ] {
        let ty = libc::SOCK_DGRAM | flags;
        let (fd, event) = t.succeeds(|| syscall!(SYS_socket, libc::AF_INET, ty, 0));
        drop(own(fd));
        event.i64("fd", fd).u32("domain", 2).u32("type", ty as u32).u32("proto", 0).u32("flags", expected);
    }
    let ty = libc::SOCK_RAW | libc::SOCK_NONBLOCK;
    t.fails(libc::EAFNOSUPPORT, || syscall!(SYS_socket, NO_FAMILY, ty, 5))
        .i64("fd", errno(libc::EAFNOSUPPORT))
        .u32("domain", 99)
        .u32("type", ty as u32)
        .u32("proto", 5)
        .u32("flags", O_NONBLOCK);
}

/// Makes a socket call by its number, as a 32-bit caller.
pub(super) fn by_socketcall(number: u32, args: &[u32]) -> i64 {
    crate::compat::socketcall(&mut crate::compat::LowMemory::new(), number, args)
}

// -------------------------------------------------------------- socketpair

fn socketpair(ty: i32, pair: &mut [i32; 2]) -> i64 {
    syscall!(SYS_socketpair, libc::AF_UNIX, ty, 0, pair.as_mut_ptr())
}

pub fn socketpair_e(t: &mut Test) {
    let mut pair = [0; 2];
    let to = pair.as_mut_ptr();
    t.fails(libc::EOPNOTSUPP, || syscall!(SYS_socketpair, libc::AF_INET, libc::SOCK_STREAM, 6, to))
        .u32("domain", 2)
        .u32("type", 1)
        .u32("proto", 6);
    let ty = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
    let (_, event) = t.succeeds(|| socketpair(ty, &mut pair));
    drop(pair.map(|fd| own(fd.into())));
    event.u32("domain", 1).u32("type", ty as u32).u32("proto", 0);
}

/// Asserts all parameters but the type of the sockets.
#[track_caller]
fn assert_pair(event: &Params, pair: [i32; 2]) {
    event.i64("res", 0).i64("fd1", pair[0].into()).i64("fd2", pair[1].into());
    let (source, peer) = (event.number("source"), event.number("peer"));
    assert!(source != 0 && peer != 0 && source != peer, "source {source:#x}, peer {peer:#x}");
}

pub fn socketpair_x(t: &mut Test) {
    let mut pair = [5, 6];
    let to = pair.as_mut_ptr();
    t.fails(libc::EOPNOTSUPP, || syscall!(SYS_socketpair, libc::AF_INET, libc::SOCK_STREAM, 6, to))
        .i64("res", errno(libc::EOPNOTSUPP))
        .i64("fd1", -1)
        .i64("fd2", -1)
        .u64("source", 0)
        .u64("peer", 0)
        .u32("domain", 2)
        .u32("type", 1)
        .u32("proto", 6);
    let ty = libc::SOCK_STREAM | libc::SOCK_CLOEXEC;
    let (_, event) = t.succeeds(|| socketpair(ty, &mut pair));
    drop(pair.map(|fd| own(fd.into())));
    assert_pair(&event, pair);
    event.u32("domain", 1).u32("type", ty as u32).u32("proto", 0);
    if crate::compat::HERE {
        let mut memory = crate::compat::LowMemory::new();
        let to = memory.put_words(&[0; 2]);
        let args = [1, ty as u32, 0, to];
        let (_, event) = t.succeeds(|| crate::compat::socketcall(&mut memory, 8, &args));
        let pair = memory.words(to);
        drop(pair.map(|fd| own(fd.into())));
        assert_pair(&event, pair);
        event.u32("domain", 1).u32("type", ty as u32).u32("proto", 0);
    }
}

// ------------------------------------------------ getsockname, getpeername

pub fn getsockname_e(t: &mut Test) {
    t.fails(libc::EBADF, || syscall!(SYS_getsockname, NO_FD, 0, 0));
    let (socket, _) = UnixStream::pair().unwrap();
    let (mut addr, mut len) = ([0u8; 128], 128u32);
    t.succeeds(|| syscall!(SYS_getsockname, socket.as_raw_fd(), addr.as_mut_ptr(), &raw mut len));
}

const EBADF: i64 = -(libc::EBADF as i64);

/// Asserts the extension of a call that returns an address.
#[track_caller]
fn assert_address(event: &Params, res: i64, fd: i32, addr: &[u8]) {
    event.i64("res", res).i64("fd", fd.into()).bytes("addr", addr);
}

pub fn getsockname_x(t: &mut Test) {
    assert_address(&t.fails(libc::EBADF, || syscall!(SYS_getsockname, NO_FD, 0, 0)), EBADF, NO_FD, b"");
    let listener = std::net::TcpListener::bind(LOOPBACK).unwrap();
    let (mut addr, mut len) = ([0u8; 128], 128u32);
    let fd = listener.as_raw_fd();
    let event = t.succeeds(|| syscall!(SYS_getsockname, fd, addr.as_mut_ptr(), &raw mut len)).1;
    assert_address(&event, 0, fd, &sockaddr(listener.local_addr().unwrap()));
    if crate::compat::HERE {
        let event = t.fails(libc::EBADF, || by_socketcall(6, &[NO_FD as u32, 0, 0]));
        assert_address(&event, EBADF, NO_FD, b"");
    }
}

pub fn getpeername_e(t: &mut Test) {
    t.fails(libc::EBADF, || syscall!(SYS_getpeername, NO_FD, 0, 0));
    let (socket, _peer) = UnixStream::pair().unwrap();
    let (mut addr, mut len) = ([0u8; 128], 128u32);
    t.succeeds(|| syscall!(SYS_getpeername, socket.as_raw_fd(), addr.as_mut_ptr(), &raw mut len));
}

pub fn getpeername_x(t: &mut Test) {
    assert_address(&t.fails(libc::EBADF, || syscall!(SYS_getpeername, NO_FD, 0, 0)), EBADF, NO_FD, b"");
    let listener = std::net::TcpListener::bind(LOOPBACK).unwrap();
    let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut addr, mut len) = ([0u8; 128], 128u32);
    let fd = client.as_raw_fd();
    let event = t.succeeds(|| syscall!(SYS_getpeername, fd, addr.as_mut_ptr(), &raw mut len)).1;
    assert_address(&event, 0, fd, &sockaddr(client.peer_addr().unwrap()));
    let (socket, _peer) = UnixStream::pair().unwrap();
    let fd = socket.as_raw_fd();
    let event = t.succeeds(|| syscall!(SYS_getpeername, fd, addr.as_mut_ptr(), &raw mut len)).1;
    assert_address(&event, 0, fd, &sockaddr_unix(b""));
    if crate::compat::HERE {
        let event = t.fails(libc::EBADF, || by_socketcall(7, &[NO_FD as u32, 0, 0]));
        assert_address(&event, EBADF, NO_FD, b"");
    }
}

// -------------------------------------------------------------------- bind

pub fn bind_e(t: &mut Test) {
    let addr = raw(LOOPBACK);
    t.fails(libc::EBADF, || syscall!(SYS_bind, NO_FD, addr.as_ptr(), addr.len())).i64("fd", NO_FD.into());
    let socket = socket(LOOPBACK, libc::SOCK_STREAM);
    let fd = socket.as_raw_fd();
    t.succeeds(|| syscall!(SYS_bind, fd, addr.as_ptr(), addr.len())).1.i64("fd", fd.into());
}

/// Binds a new socket of the family, and asserts that the event has this address.
#[track_caller]
fn assert_binds(t: &mut Test, family: i32, addr: &[u8], expected: &[u8]) {
    let socket = new_socket(family, libc::SOCK_STREAM);
    let fd = socket.as_raw_fd();
    let (_, event) = t.succeeds(|| syscall!(SYS_bind, fd, addr.as_ptr(), addr.len()));
    event.i64("res", 0).bytes("addr", expected).i64("fd", fd.into());
}

pub fn bind_x(t: &mut Test) {
    let closed = SocketAddr::new(LOOPBACK.ip(), 0x1234);
    let addr = raw(closed);
    t.fails(libc::EBADF, || syscall!(SYS_bind, NO_FD, addr.as_ptr(), addr.len()))
        .i64("res", errno(libc::EBADF))
        .bytes("addr", &sockaddr(closed))
        .i64("fd", NO_FD.into());
    let socket = socket(LOOPBACK, libc::SOCK_STREAM);
    let fd = socket.as_raw_fd();
    t.fails(libc::EFAULT, || syscall!(SYS_bind, fd, 1usize, 16))
        .i64("res", errno(libc::EFAULT))
        .empty("addr")
        .i64("fd", fd.into());
    // Too short for its family.
    t.fails(libc::EINVAL, || syscall!(SYS_bind, fd, addr.as_ptr(), 8))
        .i64("res", errno(libc::EINVAL))
        .empty("addr")
        .i64("fd", fd.into());

    assert_binds(t, libc::AF_INET, &raw(LOOPBACK), &sockaddr(LOOPBACK));
    if let Some(addr) = loopback6() {
        assert_binds(t, libc::AF_INET6, &raw(addr), &sockaddr(addr));
        assert_binds(t, libc::AF_INET6, &raw(mapped(LOOPBACK)), &sockaddr(mapped(LOOPBACK)));
    }
    // A path with its NUL, a path without it, an abstract name, no name.
    let dir = tempfile::tempdir().unwrap();
    let path = c_path(&dir.path().join("with"));
    assert_binds(t, libc::AF_UNIX, &raw_unix(path.to_bytes_with_nul()), &sockaddr_unix(path.to_bytes()));
    let path = c_path(&dir.path().join("without"));
    assert_binds(t, libc::AF_UNIX, &raw_unix(path.to_bytes()), &sockaddr_unix(path.to_bytes()));
    let name = abstract_name("bind");
    assert_binds(t, libc::AF_UNIX, &raw_unix(&name), &sockaddr_unix(&recorded(&name)));
    assert_binds(t, libc::AF_UNIX, &raw_unix(b""), &sockaddr_unix(b""));
    // The shortest and the longest abstract name, and relative paths that look like one.
    let mut longest = [b'x'; 108];
    longest[0] = 0;
    let paths: [(&[u8], &[u8]); 5] = [
        (b"\0", b"@"),
        (&longest, &recorded(&longest)),
        (b"\0abs8", b"@abs8"),
        (b"abs8\0tail", b"abs8"),
        (b"@abs8", b"./@abs8"),
    ];
    for (path, recorded) in paths {
        let addr = raw_unix(path);
        t.fails(libc::EBADF, || syscall!(SYS_bind, NO_FD, addr.as_ptr(), addr.len()))
            .i64("res", errno(libc::EBADF))
            .bytes("addr", &sockaddr_unix(recorded))
            .i64("fd", NO_FD.into());
    }
    if crate::compat::HERE {
        let mut memory = crate::compat::LowMemory::new();
        let at = memory.put(&raw(closed));
        t.fails(libc::EBADF, || crate::compat::socketcall(&mut memory, 2, &[NO_FD as u32, at, 16]))
            .i64("res", errno(libc::EBADF))
            .bytes("addr", &sockaddr(closed))
            .i64("fd", NO_FD.into());
    }
}

// ----------------------------------------------------------------- connect

fn listener(addr: SocketAddr) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(addr).unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

pub fn connect_e(t: &mut Test) {
    let (_listener, server) = listener(LOOPBACK);
    let addr = raw(server);
    t.fails(libc::EBADF, || syscall!(SYS_connect, NO_FD, addr.as_ptr(), addr.len()))
        .i64("fd", NO_FD.into())
        .bytes("addr", &sockaddr(server));
    let client = socket(server, libc::SOCK_STREAM);
    let fd = client.as_raw_fd();
    t.fails(libc::EFAULT, || syscall!(SYS_connect, fd, 1usize, 16)).i64("fd", fd.into()).empty("addr");
    t.succeeds(|| syscall!(SYS_connect, fd, addr.as_ptr(), addr.len()))
        .1
        .i64("fd", fd.into())
        .bytes("addr", &sockaddr(server));
}

/// Connects a new socket to the address.
#[track_caller]
fn assert_connects(t: &mut Test, ty: i32, server: SocketAddr) {
    let client = socket(server, ty);
    let fd = client.as_raw_fd();
    let addr = raw(server);
    let (_, event) = t.succeeds(|| syscall!(SYS_connect, fd, addr.as_ptr(), addr.len()));
    event
        .i64("res", 0)
        .bytes("tuple", &tuple(local(&client), server))
        .i64("fd", fd.into())
        .bytes("addr", &sockaddr(server));
}

#[track_caller]
fn assert_connects_unix(t: &mut Test, addr: &[u8], path: &[u8]) {
    let client = new_socket(libc::AF_UNIX, libc::SOCK_STREAM);
    let fd = client.as_raw_fd();
    let (_, event) = t.succeeds(|| syscall!(SYS_connect, fd, addr.as_ptr(), addr.len()));
    assert_unix_tuple(&event, path).both();
    event.i64("res", 0).i64("fd", fd.into()).bytes("addr", &sockaddr_unix(path));
}

pub fn connect_x(t: &mut Test) {
    // Bound, but not listening.
    let closed = socket(LOOPBACK, libc::SOCK_STREAM);
    bind(&closed, LOOPBACK);
    let addr = raw(local(&closed));
    let client = socket(LOOPBACK, libc::SOCK_STREAM);
    let fd = client.as_raw_fd();
    t.fails(libc::ECONNREFUSED, || syscall!(SYS_connect, fd, addr.as_ptr(), addr.len()))
        .i64("res", errno(libc::ECONNREFUSED))
        .empty("tuple")
        .i64("fd", fd.into())
        .bytes("addr", &sockaddr(local(&closed)));

    let (_listener, server) = listener(LOOPBACK);
    let client = socket(server, libc::SOCK_STREAM | libc::SOCK_NONBLOCK);
    let fd = client.as_raw_fd();
    let addr = raw(server);
    t.fails(libc::EINPROGRESS, || syscall!(SYS_connect, fd, addr.as_ptr(), addr.len()))
        .i64("res", errno(libc::EINPROGRESS))
        .bytes("tuple", &tuple(local(&client), server))
        .i64("fd", fd.into())
        .bytes("addr", &sockaddr(server));

    assert_connects(t, libc::SOCK_STREAM, server);
    assert_connects(t, libc::SOCK_DGRAM, server);
    if let Some(addr) = loopback6() {
        assert_connects(t, libc::SOCK_STREAM, mapped(server));
        let (_listener, server) = listener(addr);
        assert_connects(t, libc::SOCK_STREAM, server);
    }

    let dir = tempfile::tempdir().unwrap();
    let path = c_path(&dir.path().join("socket"));
    let _listener = UnixListener::bind(path.to_str().unwrap()).unwrap();
    assert_connects_unix(t, &raw_unix(path.to_bytes_with_nul()), path.to_bytes());
    let name = abstract_name("connect");
    let addr = raw_unix(&name);
    let listener = new_socket(libc::AF_UNIX, libc::SOCK_STREAM);
    assert_eq!(syscall!(SYS_bind, listener.as_raw_fd(), addr.as_ptr(), addr.len()), 0);
    assert_eq!(syscall!(SYS_listen, listener.as_raw_fd(), 1), 0);
    assert_connects_unix(t, &addr, &recorded(&name));
}

// ---------------------------------------------------------------- shutdown

pub fn shutdown_e(t: &mut Test) {
    t.fails(libc::EBADF, || syscall!(SYS_shutdown, NO_FD, 77)).i64("fd", NO_FD.into()).u8("how", 0xff);
    let (socket, _peer) = UnixStream::pair().unwrap();
    let fd = socket.as_raw_fd();
    t.succeeds(|| syscall!(SYS_shutdown, fd, libc::SHUT_WR)).1.i64("fd", fd.into()).u8("how", 1);
}

pub fn shutdown_x(t: &mut Test) {
    t.fails(libc::EBADF, || syscall!(SYS_shutdown, NO_FD, 77))
        .i64("res", errno(libc::EBADF))
        .i64("fd", NO_FD.into())
        .u8("how", 0xff);
    let (socket, _peer) = UnixStream::pair().unwrap();
    let fd = socket.as_raw_fd();
    for (how, expected) in [(libc::SHUT_RD, 0), (libc::SHUT_WR, 1), (libc::SHUT_RDWR, 2)] {
        t.succeeds(|| syscall!(SYS_shutdown, fd, how))
            .1
            .i64("res", 0)
            .i64("fd", fd.into())
            .u8("how", expected);
    }
}

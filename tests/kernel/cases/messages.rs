use std::{
    io::Write,
    net::{SocketAddr, TcpListener, TcpStream},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::{UnixDatagram, UnixStream},
    },
    ptr::{null, null_mut},
};

use super::addresses::*;
use crate::{
    harness::{Params, Test},
    syscall,
};

pub(super) const EBADF: i64 = -(libc::EBADF as i64);
pub(super) const EFAULT: i64 = -(libc::EFAULT as i64);
pub(super) const EAGAIN: i64 = -(libc::EAGAIN as i64);

pub(super) const TEXT: &[u8; 7] = b"da\0tum!";

/// Returns a datagram socket of the address's family, bound to a new port.
pub(super) fn datagram(addr: SocketAddr) -> (OwnedFd, SocketAddr) {
    let socket = socket(addr, libc::SOCK_DGRAM | libc::SOCK_NONBLOCK);
    bind(&socket, addr);
    let addr = local(&socket);
    (socket, addr)
}

fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(LOOPBACK).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

// ------------------------------------------------------------------ sendto

#[track_caller]
fn assert_enter(event: &Params, fd: i32, size: u32) {
    event.i64("fd", fd.into()).u32("size", size);
}

#[track_caller]
fn assert_sent(event: &Params, res: i64, data: &[u8], fd: i32, size: u32) {
    event.i64("res", res).bytes("data", data).i64("fd", fd.into()).u32("size", size);
}

/// Sends `TEXT` from a socket to an address.
pub(super) fn sendto(fd: i32, addr: &[u8]) -> i64 {
    syscall!(SYS_sendto, fd, TEXT.as_ptr(), TEXT.len(), 0, addr.as_ptr(), addr.len())
}

/// Sends `TEXT` on a connected socket.
fn send(fd: i32) -> i64 {
    syscall!(SYS_sendto, fd, TEXT.as_ptr(), TEXT.len(), 0, null::<u8>(), 0)
}

pub fn sendto_e(t: &mut Test) {
    let event = t.fails(libc::EBADF, || send(NO_FD));
    assert_enter(&event, NO_FD, 7);
    event.empty("tuple");
    let (_receiver, to) = datagram(LOOPBACK);
    let (sender, from) = datagram(LOOPBACK);
    let (_, event) = t.succeeds(|| sendto(sender.as_raw_fd(), &raw(to)));
    assert_enter(&event, sender.as_raw_fd(), 7);
    event.bytes("tuple", &tuple(from, to));
    // Without an address, the remote end is unknown.
    let event = t.fails(libc::EDESTADDRREQ, || send(sender.as_raw_fd()));
    assert_enter(&event, sender.as_raw_fd(), 7);
    event.bytes("tuple", &tuple(from, UNKNOWN));
}

pub fn sendto_x(t: &mut Test) {
    let event = t.fails(libc::EBADF, || send(NO_FD));
    assert_sent(&event, EBADF, TEXT, NO_FD, 7);
    event.empty("tuple");

    for addr in [Some(LOOPBACK), loopback6()].into_iter().flatten() {
        let (_receiver, to) = datagram(addr);
        let (sender, from) = datagram(addr);
        let fd = sender.as_raw_fd();
        let to_raw = raw(to);
        let event =
            t.fails(libc::EFAULT, || syscall!(SYS_sendto, fd, 1usize, 7, 0, to_raw.as_ptr(), to_raw.len()));
        assert_sent(&event, EFAULT, b"", fd, 7);
        event.empty("tuple");
        let (_, event) = t.succeeds(|| sendto(fd, &to_raw));
        assert_sent(&event, 7, TEXT, fd, 7);
        event.bytes("tuple", &tuple(from, to));
    }
    // TCP ignores the address.
    let (client, _server) = tcp_pair();
    let (_, event) = t.succeeds(|| sendto(client.as_raw_fd(), &raw(UNKNOWN)));
    assert_sent(&event, 7, TEXT, client.as_raw_fd(), 7);
    event.bytes("tuple", &tuple(client.local_addr().unwrap(), client.peer_addr().unwrap()));

    let dir = tempfile::tempdir().unwrap();
    let path = c_path(&dir.path().join("socket"));
    let _receiver = UnixDatagram::bind(path.to_str().unwrap()).unwrap();
    let sender = UnixDatagram::unbound().unwrap();
    let (_, event) = t.succeeds(|| sendto(sender.as_raw_fd(), &raw_unix(path.to_bytes())));
    assert_sent(&event, 7, TEXT, sender.as_raw_fd(), 7);
    assert_unix_tuple(&event, path.to_bytes()).sender_alone();
    sender.connect(path.to_str().unwrap()).unwrap();
    let (_, event) = t.succeeds(|| send(sender.as_raw_fd()));
    assert_sent(&event, 7, TEXT, sender.as_raw_fd(), 7);
    assert_unix_tuple(&event, path.to_bytes()).both();

    // Neither end has a name.
    let (one, other) = UnixStream::pair().unwrap();
    let mut ends = [&one, &other].map(|socket| {
        let (_, event) = t.succeeds(|| send(socket.as_raw_fd()));
        assert_sent(&event, 7, TEXT, socket.as_raw_fd(), 7);
        assert_unix_tuple(&event, b"").both()
    });
    ends[1] = ends[1].swapped();
    assert_eq!(ends[0], ends[1]);

    // A socket of a family without tuples in the format: the kernel accepts an empty message.
    let netlink = new_socket(libc::AF_NETLINK, libc::SOCK_RAW);
    let fd = netlink.as_raw_fd();
    let (_, event) = t.succeeds(|| send(fd));
    assert_sent(&event, 7, TEXT, fd, 7);
    event.empty("tuple");
    if crate::compat::HERE {
        let mut memory = crate::compat::LowMemory::new();
        let (_receiver, to) = datagram(LOOPBACK);
        let (sender, from) = datagram(LOOPBACK);
        let (text, addr) = (memory.put(TEXT), memory.put(&raw(to)));
        let fd = sender.as_raw_fd();
        let (_, event) = t.succeeds(|| crate::compat::syscall32(369, [fd as u32, text, 7, 0, addr, 16]));
        assert_sent(&event, 7, TEXT, fd, 7);
        event.bytes("tuple", &tuple(from, to));
    }
}

// ---------------------------------------------------------------- recvfrom

/// Receives into 64 bytes, and gets the address if there is room for it.
fn recvfrom(fd: i32, addr: Option<&mut [u8; 128]>) -> i64 {
    let mut buffer = [b'x'; 64];
    let mut len = 128u32;
    let addr = addr.map_or(null_mut(), |addr| addr.as_mut_ptr());
    syscall!(SYS_recvfrom, fd, buffer.as_mut_ptr(), 64, 0, addr, &raw mut len)
}

#[track_caller]
fn assert_received(event: &Params, res: i64, data: &[u8], fd: i32) {
    event.i64("res", res).bytes("data", data).i64("fd", fd.into()).u32("size", 64);
}

pub fn recvfrom_e(t: &mut Test) {
    assert_enter(&t.fails(libc::EBADF, || recvfrom(NO_FD, None)), NO_FD, 64);
    let (receiver, mut sender) = UnixStream::pair().unwrap();
    sender.write_all(TEXT).unwrap();
    let fd = receiver.as_raw_fd();
    assert_enter(&t.succeeds(|| recvfrom(fd, None)).1, fd, 64);
}

pub fn recvfrom_x(t: &mut Test) {
    let event = t.fails(libc::EBADF, || recvfrom(NO_FD, None));
    assert_received(&event, EBADF, b"", NO_FD);
    event.empty("tuple");

    let mut addr = [0u8; 128];
    for ip in [Some(LOOPBACK), loopback6()].into_iter().flatten() {
        let (receiver, to) = datagram(ip);
        let (sender, from) = datagram(ip);
        let fd = receiver.as_raw_fd();
        let event = t.fails(libc::EAGAIN, || recvfrom(fd, Some(&mut addr)));
        assert_received(&event, EAGAIN, b"", fd);
        event.empty("tuple");
        assert_eq!(sendto(sender.as_raw_fd(), &raw(to)), 7);
        wait_for(&receiver, libc::POLLIN);
        let (_, event) = t.succeeds(|| recvfrom(fd, Some(&mut addr)));
        assert_received(&event, 7, TEXT, fd);
        event.bytes("tuple", &tuple(from, to));
        // The caller does not ask for the sender.
        assert_eq!(sendto(sender.as_raw_fd(), &raw(to)), 7);
        wait_for(&receiver, libc::POLLIN);
        let (_, event) = t.succeeds(|| recvfrom(fd, None));
        assert_received(&event, 7, TEXT, fd);
        let nobody = if ip.is_ipv4() { UNKNOWN } else { "[::]:0".parse().unwrap() };
        event.bytes("tuple", &tuple(nobody, to));
    }

    let (client, mut server) = tcp_pair();
    let fd = client.as_raw_fd();
    server.write_all(TEXT).unwrap();
    let (_, event) = t.succeeds(|| recvfrom(fd, None));
    assert_received(&event, 7, TEXT, fd);
    event.bytes("tuple", &tuple(client.peer_addr().unwrap(), client.local_addr().unwrap()));

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let receiver = UnixDatagram::bind(&path).unwrap();
    let fd = receiver.as_raw_fd();
    UnixDatagram::unbound().unwrap().send_to(TEXT, &path).unwrap();
    let (_, event) = t.succeeds(|| recvfrom(fd, Some(&mut addr)));
    assert_received(&event, 7, TEXT, fd);
    assert_unix_tuple(&event, c_path(&path).to_bytes()).receiver_alone();

    let (one, other) = UnixStream::pair().unwrap();
    let mut ends = [(&one, &other), (&other, &one)].map(|(receiver, mut sender)| {
        sender.write_all(TEXT).unwrap();
        let (_, event) = t.succeeds(|| recvfrom(receiver.as_raw_fd(), None));
        assert_received(&event, 7, TEXT, receiver.as_raw_fd());
        assert_unix_tuple(&event, b"").both()
    });
    ends[1] = ends[1].swapped();
    assert_eq!(ends[0], ends[1]);
}

// ----------------------------------------------------------------- sendmsg

/// Returns a message of these buffers, to or from an address.
pub(super) fn message(iovecs: &mut [libc::iovec], addr: &mut [u8]) -> libc::msghdr {
    // SAFETY: all zeros are a valid, empty message.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = iovecs.as_mut_ptr();
    message.msg_iovlen = iovecs.len();
    if !addr.is_empty() {
        message.msg_name = addr.as_mut_ptr().cast();
        message.msg_namelen = addr.len() as u32;
    }
    message
}

pub(super) fn iovec(bytes: &[u8]) -> libc::iovec {
    libc::iovec { iov_base: bytes.as_ptr() as *mut _, iov_len: bytes.len() }
}

fn sendmsg(fd: i32, message: &libc::msghdr) -> i64 {
    syscall!(SYS_sendmsg, fd, &raw const *message, 0)
}

pub fn sendmsg_e(t: &mut Test) {
    let mut iovecs = [iovec(&TEXT[..3]), iovec(&TEXT[3..])];
    let event = t.fails(libc::EBADF, || sendmsg(NO_FD, &message(&mut iovecs, &mut [])));
    assert_enter(&event, NO_FD, 7);
    event.empty("tuple");
    let (_receiver, to) = datagram(LOOPBACK);
    let (sender, from) = datagram(LOOPBACK);
    let fd = sender.as_raw_fd();
    let event = t.fails(libc::EFAULT, || syscall!(SYS_sendmsg, fd, 1usize, 0));
    event.i64("fd", fd.into()).empty("size").bytes("tuple", &tuple(from, UNKNOWN));
    let (_, event) = t.succeeds(|| sendmsg(fd, &message(&mut iovecs, &mut raw(to))));
    assert_enter(&event, fd, 7);
    event.bytes("tuple", &tuple(from, to));
}

pub fn sendmsg_x(t: &mut Test) {
    let mut iovecs = [iovec(&TEXT[..3]), iovec(&TEXT[3..])];
    let event = t.fails(libc::EBADF, || sendmsg(NO_FD, &message(&mut iovecs, &mut [])));
    assert_sent(&event, EBADF, TEXT, NO_FD, 7);
    event.empty("tuple");

    let (_receiver, to) = datagram(LOOPBACK);
    let (sender, from) = datagram(LOOPBACK);
    let fd = sender.as_raw_fd();
    let event = t.fails(libc::EFAULT, || syscall!(SYS_sendmsg, fd, 1usize, 0));
    event.i64("res", EFAULT).empty("data").i64("fd", fd.into()).empty("size").empty("tuple");
    let (_, event) = t.succeeds(|| sendmsg(fd, &message(&mut iovecs, &mut raw(to))));
    assert_sent(&event, 7, TEXT, fd, 7);
    event.bytes("tuple", &tuple(from, to));

    let name = abstract_name("sendmsg");
    let mut addr = raw_unix(&name);
    let receiver = new_socket(libc::AF_UNIX, libc::SOCK_DGRAM);
    assert_eq!(syscall!(SYS_bind, receiver.as_raw_fd(), addr.as_ptr(), addr.len()), 0);
    let sender = UnixDatagram::unbound().unwrap();
    let (_, event) = t.succeeds(|| sendmsg(sender.as_raw_fd(), &message(&mut iovecs, &mut addr)));
    assert_sent(&event, 7, TEXT, sender.as_raw_fd(), 7);
    assert_unix_tuple(&event, &recorded(&name)).sender_alone();
    if crate::compat::HERE {
        let mut memory = crate::compat::LowMemory::new();
        let (text, addr) = (memory.put(TEXT), memory.put(&raw(to)));
        let iovecs = memory.put_words(&[text, 2, text + 2, 5]);
        let message = memory.put_words(&[addr, 16, iovecs, 2, 0, 0, 0]);
        let (_, event) = t.succeeds(|| crate::compat::syscall32(370, [fd as u32, message, 0, 0, 0, 0]));
        assert_sent(&event, 7, TEXT, fd, 7);
        event.bytes("tuple", &tuple(from, to));
    }
}

// ----------------------------------------------------------------- recvmsg

fn recvmsg(fd: i32, message: &mut libc::msghdr) -> i64 {
    syscall!(SYS_recvmsg, fd, &raw mut *message, 0)
}

#[track_caller]
fn assert_message(event: &Params, res: i64, data: &[u8], fd: i32) {
    event.i64("res", res).u32("size", res.max(0) as u32).bytes("data", data).i64("fd", fd.into());
}

pub fn recvmsg_e(t: &mut Test) {
    let buffer = [b'x'; 64];
    let mut iovecs = [iovec(&buffer)];
    let mut message = message(&mut iovecs, &mut []);
    t.fails(libc::EBADF, || recvmsg(NO_FD, &mut message)).i64("fd", NO_FD.into());
    let (receiver, mut sender) = UnixStream::pair().unwrap();
    sender.write_all(TEXT).unwrap();
    let fd = receiver.as_raw_fd();
    t.succeeds(|| recvmsg(fd, &mut message)).1.i64("fd", fd.into());
}

/// Sends `TEXT` and a descriptor.
pub(super) fn send_descriptor(socket: &UnixStream, fd: i32) {
    let mut iovecs = [iovec(TEXT)];
    let mut control = control_message(fd);
    let mut message = message(&mut iovecs, &mut []);
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = control.len();
    assert_eq!(sendmsg(socket.as_raw_fd(), &message), 7);
}

/// Returns a `struct cmsghdr` with a descriptor.
pub(super) fn control_message(fd: i32) -> Vec<u8> {
    let mut control = 20u64.to_ne_bytes().to_vec();
    for word in [libc::SOL_SOCKET, libc::SCM_RIGHTS, fd, 0] {
        control.extend(word.to_ne_bytes());
    }
    control
}

pub fn recvmsg_x(t: &mut Test) {
    let buffers = [[b'x'; 3], [b'x'; 3], [b'x'; 3]];
    let mut iovecs = [iovec(&buffers[0]), iovec(&buffers[1]), iovec(&buffers[2])];
    let event = t.fails(libc::EBADF, || recvmsg(NO_FD, &mut message(&mut iovecs, &mut [])));
    assert_message(&event, EBADF, b"", NO_FD);
    event.empty("tuple").empty("msgcontrol");

    let (receiver, to) = datagram(LOOPBACK);
    let (sender, from) = datagram(LOOPBACK);
    let fd = receiver.as_raw_fd();
    let event = t.fails(libc::EFAULT, || syscall!(SYS_recvmsg, fd, 1usize, 0));
    assert_message(&event, EFAULT, b"", fd);
    event.empty("tuple").empty("msgcontrol");
    assert_eq!(sendto(sender.as_raw_fd(), &raw(to)), 7);
    wait_for(&receiver, libc::POLLIN);
    let mut addr = [0u8; 128];
    let (_, event) = t.succeeds(|| recvmsg(fd, &mut message(&mut iovecs, &mut addr)));
    assert_message(&event, 7, TEXT, fd);
    event.bytes("tuple", &tuple(from, to)).empty("msgcontrol");
    if crate::compat::HERE {
        let mut memory = crate::compat::LowMemory::new();
        let (buffer, addr) = (memory.put(&[b'x'; 64]), memory.put(&[0; 128]));
        let iovecs = memory.put_words(&[buffer, 4, buffer + 32, 32]);
        let message = memory.put_words(&[addr, 128, iovecs, 2, 0, 0, 0]);
        assert_eq!(sendto(sender.as_raw_fd(), &raw(to)), 7);
        wait_for(&receiver, libc::POLLIN);
        let (_, event) = t.succeeds(|| crate::compat::syscall32(372, [fd as u32, message, 0, 0, 0, 0]));
        assert_message(&event, 7, TEXT, fd);
        event.bytes("tuple", &tuple(from, to)).empty("msgcontrol");
    }

    let (receiver, sender) = UnixStream::pair().unwrap();
    send_descriptor(&sender, fd);
    let mut control = [0u8; 64];
    let mut message = message(&mut iovecs, &mut []);
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = control.len();
    let (_, event) = t.succeeds(|| recvmsg(receiver.as_raw_fd(), &mut message));
    let received = i32::from_ne_bytes(control[16..20].try_into().unwrap());
    let _received = own(received.into());
    assert_message(&event, 7, TEXT, receiver.as_raw_fd());
    assert_unix_tuple(&event, b"").both();
    event.bytes("msgcontrol", &control_message(received)[..message.msg_controllen]);
    assert_brought(&event, received);
}

/// Asserts that the event describes a socket of IPv4 that has this descriptor, as the only one that it brought.
#[track_caller]
pub(super) fn assert_brought(event: &Params, fd: i32) {
    let bytes = event.bytes_of("received");
    let head = [&(bytes.len() as u32).to_ne_bytes()[..], &i64::from(fd).to_ne_bytes()].concat();
    let listening = 5;
    assert!(bytes.starts_with(&head) && bytes[20] == listening, "{}", bytes.escape_ascii());
}

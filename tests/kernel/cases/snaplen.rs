use std::{
    fs::File,
    io::{IoSlice, Write},
    net::SocketAddr,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::{UnixDatagram, UnixStream},
    },
};

use scapd::probe::{DynamicSnaplen, Ports};

use super::{addresses::*, messages::datagram};
use crate::{harness::Test, syscall};

const LENGTH: usize = 20_000;

/// Returns data with this beginning, filled up with `x`.
fn data(beginning: &[u8]) -> Vec<u8> {
    let mut data = beginning.to_vec();
    data.resize(LENGTH, b'x');
    data
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(LOOPBACK.ip(), port)
}

fn port_of(socket: &OwnedFd) -> u16 {
    local(socket).port()
}

fn dynamic(t: &mut Test, full_capture: Option<u16>) {
    let full_capture = full_capture.map(|port| Ports::new(port, port).unwrap());
    t.change(|control| {
        control.set_dynamic_snaplen(Some(DynamicSnaplen { full_capture, ..DynamicSnaplen::default() }))
    });
}

/// Returns how many bytes an event keeps of data sent from a socket to an address.
fn sent(t: &mut Test, from: &OwnedFd, to: SocketAddr, data: &[u8]) -> usize {
    let to = raw(to);
    let fd = from.as_raw_fd();
    let call = || syscall!(SYS_sendto, fd, data.as_ptr(), data.len(), 0, to.as_ptr(), to.len());
    t.succeeds(call).1.rest_does_not_matter().length_of("data")
}

pub fn changes_while_it_runs(t: &mut Test) {
    let zero = File::open("/dev/zero").unwrap();
    let mut buffer = vec![b'x'; 100_000];
    let mut kept = |t: &mut Test| {
        t.succeeds(|| syscall!(SYS_read, zero.as_raw_fd(), buffer.as_mut_ptr(), buffer.len()))
            .1
            .rest_does_not_matter()
            .length_of("data")
    };
    assert_eq!(kept(t), 80);
    // This is the room in an event, whatever the setting.
    for (snaplen, expected) in
        [(3, 3), (0, 0), (64_495, 64_495), (65_535, 64_495), (u32::MAX, 64_495), (1, 1)]
    {
        t.change(|control| control.set_snaplen(snaplen));
        assert_eq!(kept(t), expected, "snaplen {snaplen}");
    }
}

pub fn goes_by_ports(t: &mut Test) {
    let (receiver, to) = datagram(LOOPBACK);
    let (sender, _) = datagram(LOOPBACK);
    let data = data(b"");
    assert_eq!(sent(t, &sender, loopback(8125), &data), 80, "it is not dynamic");
    dynamic(t, None);
    assert_eq!(sent(t, &sender, to, &data), 80);
    assert_eq!(sent(t, &sender, loopback(8125), &data), 2000, "statsd");
    assert_eq!(sent(t, &sender, loopback(53), &data), 512, "DNS");
    assert_eq!(sent(t, &sender, loopback(53), &data[..300]), 300, "there is no more");
    if let Some(address) = loopback6() {
        let (sender, _) = datagram(address);
        assert_eq!(sent(t, &sender, SocketAddr::new(address.ip(), 8125), &data), 2000, "statsd by IPv6");
    }
    dynamic(t, Some(to.port()));
    assert_eq!(sent(t, &sender, to, &data), 16_000, "the remote port");
    assert_eq!(sent(t, &receiver, loopback(9), &data), 16_000, "the local port");
    assert_eq!(sent(t, &sender, loopback(9), &data), 80);
    dynamic(t, Some(8125));
    assert_eq!(sent(t, &sender, loopback(8125), &data), 16_000, "the range comes first");
    // A larger snaplen stays in force.
    t.change(|control| control.set_snaplen(3000));
    assert_eq!(sent(t, &sender, loopback(53), &data), 3000);
    t.change(|control| {
        control.set_snaplen(80);
        control.set_dynamic_snaplen(Some(DynamicSnaplen { full_capture: None, statsd_port: 0 }));
    });
    assert_eq!(sent(t, &sender, loopback(8125), &data), 80, "no statsd");
    t.change(|control| control.set_dynamic_snaplen(None));
    assert_eq!(sent(t, &sender, loopback(53), &data), 80);
}

pub fn knows_databases(t: &mut Test) {
    const MYSQL: u16 = 3306;
    const POSTGRES: u16 = 5432;
    const MONGODB: u16 = 27017;
    let (sender, _) = datagram(LOOPBACK);
    dynamic(t, None);
    for (port, beginning, expected) in [
        (MYSQL, &b"\x08\x01\x01\x00\x03select"[..], 2000),
        (MYSQL, b"\x03zzzzzz", 2000),
        (MYSQL, b"zz\x00\x00zzz", 2000),
        (MYSQL, b"zzzzzzz", 80),
        (MYSQL, b"GET / HTTP", 80),
        (POSTGRES, b"Q\x00\x00\x00zzzz", 2000),
        (POSTGRES, b"P\x00zzzzzz", 2000),
        (POSTGRES, b"E\x00zzzzzz", 2000),
        (POSTGRES, b"zzzz\x00\x03\x00zz", 2000),
        (POSTGRES, b"Qzzzzzzz", 80),
        (POSTGRES, b"zzzz\x00\x02\x00zz", 80),
        (POSTGRES, b"GET / HTTP", 80),
        (MONGODB, b"whatever", 2000),
        (9, b"GET / HTTP", 2000),
        (9, b"zzzzzzzzz", 80),
    ] {
        let data = data(beginning);
        assert_eq!(sent(t, &sender, loopback(port), &data), expected, "port {port}, {beginning:?}");
    }
}

/// Returns how many bytes an event keeps of data written to a descriptor.
fn written(t: &mut Test, to: &impl AsRawFd, data: &[u8]) -> usize {
    let call = || syscall!(SYS_write, to.as_raw_fd(), data.as_ptr(), data.len());
    t.succeeds(call).1.rest_does_not_matter().length_of("data")
}

pub fn goes_by_content(t: &mut Test) {
    let (sender, _receiver) = UnixDatagram::pair().unwrap();
    assert_eq!(written(t, &sender, &data(b"GET /")), 80, "it is not dynamic");
    dynamic(t, None);
    let mut kept = |beginning: &[u8]| {
        let (sender, _receiver) = UnixDatagram::pair().unwrap();
        written(t, &sender, &data(beginning))
    };
    let methods = ["GET /", "POST /", "PUT /", "DELETE /", "TRACE /", "CONNECT h", "OPTIONS *"];
    for beginning in methods.iter().chain(&["HTTP/1.1"]) {
        assert_eq!(kept(beginning.as_bytes()), 2000, "{beginning}");
    }
    for (operation, expected) in
        [(0, 80), (1, 2000), (2, 80), (2000, 80), (2001, 2000), (2007, 2000), (2008, 80)]
    {
        let header = [[b'h'; 12].as_slice(), &u32::to_le_bytes(operation)].concat();
        assert_eq!(kept(&header), expected, "MongoDB's operation {operation}");
    }
    for beginning in ["HTTP 1.1", "get /", "GETTING", "", "xGET /"] {
        assert_eq!(kept(beginning.as_bytes()), 80, "{beginning}");
    }
    t.change(|control| control.set_snaplen(2));
    assert_eq!(written(t, &sender, b"GET /"), 5);
    assert_eq!(written(t, &sender, b"GET "), 2, "too short to be known");
    // A file is not network traffic.
    assert_eq!(written(t, &tempfile::tempfile().unwrap(), &data(b"GET /")), 2);
    let call = || syscall!(SYS_write, -7, b"GET /".as_ptr(), 5);
    assert_eq!(t.fails(libc::EBADF, call).rest_does_not_matter().length_of("data"), 2);
}

pub fn is_for_reading_too(t: &mut Test) {
    let (mut sender, receiver) = UnixStream::pair().unwrap();
    dynamic(t, None);
    let mut buffer = vec![0u8; LENGTH];
    for (beginning, expected) in [(&b"HTTP/1.1 200 OK"[..], 2000), (b"nothing", 80)] {
        sender.write_all(&data(beginning)).unwrap();
        let call = || syscall!(SYS_read, receiver.as_raw_fd(), buffer.as_mut_ptr(), LENGTH);
        assert_eq!(t.succeeds(call).1.rest_does_not_matter().length_of("data"), expected);
    }
}

pub fn is_for_receiving_too(t: &mut Test) {
    let (receiver, to) = datagram(LOOPBACK);
    let (sender, from) = datagram(LOOPBACK);
    let mut buffer = vec![0u8; LENGTH];
    let mut received = |t: &mut Test, beginning: &[u8]| {
        rustix::net::sendto(&sender, &data(beginning), rustix::net::SendFlags::empty(), &to).unwrap();
        wait_for(&receiver, libc::POLLIN);
        let (mut from, mut length) = ([0u8; 128], 128u32);
        let fd = receiver.as_raw_fd();
        let call =
            || syscall!(SYS_recvfrom, fd, buffer.as_mut_ptr(), LENGTH, 0, from.as_mut_ptr(), &raw mut length);
        t.succeeds(call).1.rest_does_not_matter().length_of("data")
    };
    dynamic(t, None);
    assert_eq!(received(t, b"x"), 80);
    assert_eq!(received(t, b"GET / HTTP/1.1"), 2000);
    // The sender's port is known from the call.
    dynamic(t, Some(from.port()));
    assert_eq!(received(t, b"x"), 16_000);
    dynamic(t, Some(port_of(&receiver)));
    assert_eq!(received(t, b"x"), 16_000);
}

pub fn of_vectors_goes_by_ports_alone(t: &mut Test) {
    let data = data(b"GET / HTTP/1.1");
    let pieces = [IoSlice::new(&data[..100]), IoSlice::new(&data[100..])];
    let (sender, _receiver) = UnixDatagram::pair().unwrap();
    let written = |t: &mut Test, fd: i32| {
        t.succeeds(|| syscall!(SYS_writev, fd, pieces.as_ptr(), 2)).1.rest_does_not_matter().length_of("data")
    };
    dynamic(t, None);
    assert_eq!(written(t, sender.as_raw_fd()), 80);
    let (receiver, to) = datagram(LOOPBACK);
    let (sender, _) = datagram(LOOPBACK);
    rustix::net::connect(&sender, &to).unwrap();
    assert_eq!(written(t, sender.as_raw_fd()), 80);
    dynamic(t, Some(port_of(&receiver)));
    assert_eq!(written(t, sender.as_raw_fd()), 16_000);
}

/// Returns a message header for these buffers and this address, which must outlive it.
fn header(address: &mut [u8], pieces: &mut [libc::iovec]) -> libc::msghdr {
    // SAFETY: all zeros are a valid, empty message header.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_name = address.as_mut_ptr().cast();
    header.msg_namelen = address.len() as u32;
    header.msg_iov = pieces.as_mut_ptr();
    header.msg_iovlen = pieces.len();
    header
}

fn piece(data: &mut [u8]) -> libc::iovec {
    libc::iovec { iov_base: data.as_mut_ptr().cast(), iov_len: data.len() }
}

pub fn of_messages_goes_by_their_address(t: &mut Test) {
    let mut data = data(b"GET / HTTP/1.1");
    let mut pieces = [piece(&mut data)];
    let (sender, _) = datagram(LOOPBACK);
    dynamic(t, None);
    for (port, expected) in [(8125, 2000), (53, 512), (9, 80)] {
        let mut to = raw(loopback(port));
        let header = header(&mut to, &mut pieces);
        let call = || syscall!(SYS_sendmsg, sender.as_raw_fd(), &raw const header, 0);
        assert_eq!(t.succeeds(call).1.rest_does_not_matter().length_of("data"), expected, "port {port}");
    }
}

pub fn of_messages_received(t: &mut Test) {
    let (receiver, to) = datagram(LOOPBACK);
    let (sender, from) = datagram(LOOPBACK);
    let mut buffer = vec![0u8; LENGTH];
    let mut pieces = [piece(&mut buffer)];
    let mut received = |t: &mut Test| {
        rustix::net::sendto(&sender, &data(b""), rustix::net::SendFlags::empty(), &to).unwrap();
        wait_for(&receiver, libc::POLLIN);
        let mut name = [0u8; 128];
        let mut header = header(&mut name, &mut pieces);
        let call = || syscall!(SYS_recvmsg, receiver.as_raw_fd(), &raw mut header, 0);
        t.succeeds(call).1.rest_does_not_matter().length_of("data")
    };
    dynamic(t, None);
    assert_eq!(received(t), 80);
    dynamic(t, Some(from.port()));
    assert_eq!(received(t), 16_000, "the sender's port");
    dynamic(t, Some(to.port()));
    assert_eq!(received(t), 16_000, "the receiver's port");
}

pub fn of_several_messages(t: &mut Test) {
    let mut data = data(b"");
    let mut pieces = [piece(&mut data)];
    let (sender, _) = datagram(LOOPBACK);
    dynamic(t, None);
    let mut to = [8125, 53, 9].map(|port| raw(loopback(port)));
    let mut messages = to.each_mut().map(|to| libc::mmsghdr { msg_hdr: header(to, &mut pieces), msg_len: 0 });
    let events = t.capture(|| syscall!(SYS_sendmmsg, sender.as_raw_fd(), messages.as_mut_ptr(), 3, 0)).all();
    let kept: Vec<_> =
        events.into_iter().map(|event| event.rest_does_not_matter().length_of("data")).collect();
    assert_eq!(kept, [2000, 512, 80]);
}

pub fn of_socketcall(t: &mut Test) {
    const SEND: u32 = 9;
    let mut memory = crate::compat::LowMemory::new();
    let (sender, _receiver) = UnixStream::pair().unwrap();
    let fd = sender.as_raw_fd() as u32;
    dynamic(t, None);
    for (beginning, expected) in [(&b"HTTP/1.0"[..], 2000), (b"HTTP/", 2000), (b"http/", 80)] {
        let data = memory.put(&data(beginning)[..3000]);
        let call = || crate::compat::socketcall(&mut memory, SEND, &[fd, data, 3000, 0]);
        assert_eq!(t.succeeds(call).1.rest_does_not_matter().length_of("data"), expected);
    }
}

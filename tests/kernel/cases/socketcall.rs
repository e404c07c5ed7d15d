//! Calls that only 32-bit callers on x86-64 make.

use std::{
    io::{Read, Write},
    os::{
        fd::AsRawFd,
        unix::net::{UnixDatagram, UnixStream},
    },
};

use super::{addresses::*, messages::*};
use crate::{
    compat::{LowMemory, socketcall},
    harness::{Params, Test},
};

const SEND: u32 = 9;
const RECV: u32 = 10;

#[track_caller]
fn assert_enter(event: &Params, fd: i32, size: u32) {
    event.i64("fd", fd.into()).u32("size", size);
}

#[track_caller]
fn assert_exit(event: &Params, res: i64, data: &[u8], fd: i32, size: u32) {
    event.i64("res", res).bytes("data", data).i64("fd", fd.into()).u32("size", size);
}

pub fn send_e(t: &mut Test) {
    let mut memory = LowMemory::new();
    let text = memory.put(TEXT);
    let event = t.fails(libc::EBADF, || socketcall(&mut memory, SEND, &[NO_FD as u32, text, 7, 0]));
    assert_enter(&event, NO_FD, 7);
    let (sender, _receiver) = UnixStream::pair().unwrap();
    let fd = sender.as_raw_fd();
    let (_, event) = t.succeeds(|| socketcall(&mut memory, SEND, &[fd as u32, text, 5, 0]));
    assert_enter(&event, fd, 5);
}

pub fn send_x(t: &mut Test) {
    let mut memory = LowMemory::new();
    let text = memory.put(TEXT);
    let event = t.fails(libc::EBADF, || socketcall(&mut memory, SEND, &[NO_FD as u32, text, 7, 0]));
    assert_exit(&event, EBADF, TEXT, NO_FD, 7);
    event.empty("tuple");
    let (sender, mut receiver) = UnixStream::pair().unwrap();
    let fd = sender.as_raw_fd();
    let event = t.fails(libc::EFAULT, || socketcall(&mut memory, SEND, &[fd as u32, 1, 7, 0]));
    assert_exit(&event, EFAULT, b"", fd, 7);
    event.empty("tuple");
    let (_, event) = t.succeeds(|| socketcall(&mut memory, SEND, &[fd as u32, text, 7, 0]));
    assert_exit(&event, 7, TEXT, fd, 7);
    assert_unix_tuple(&event, b"").both();
    let mut received = [0; 7];
    receiver.read_exact(&mut received).unwrap();
    assert_eq!(&received, TEXT);

    let (_receiver, to) = datagram(LOOPBACK);
    let (sender, from) = datagram(LOOPBACK);
    rustix::net::connect(&sender, &to).unwrap();
    let fd = sender.as_raw_fd();
    let (_, event) = t.succeeds(|| socketcall(&mut memory, SEND, &[fd as u32, text, 7, 0]));
    assert_exit(&event, 7, TEXT, fd, 7);
    event.bytes("tuple", &tuple(from, to));
    // At most the snaplen.
    let long = memory.put(&[b'l'; 200]);
    let (_, event) = t.succeeds(|| socketcall(&mut memory, SEND, &[fd as u32, long, 200, 0]));
    assert_exit(&event, 200, &[b'l'; 80], fd, 200);
    event.bytes("tuple", &tuple(from, to));
}

pub fn recv_e(t: &mut Test) {
    let mut memory = LowMemory::new();
    let buffer = memory.put(&[b'x'; 64]);
    let event = t.fails(libc::EBADF, || socketcall(&mut memory, RECV, &[NO_FD as u32, buffer, 64, 0]));
    assert_enter(&event, NO_FD, 64);
    let (mut sender, receiver) = UnixStream::pair().unwrap();
    sender.write_all(TEXT).unwrap();
    let fd = receiver.as_raw_fd();
    let (_, event) = t.succeeds(|| socketcall(&mut memory, RECV, &[fd as u32, buffer, 33, 0]));
    assert_enter(&event, fd, 33);
}

pub fn recv_x(t: &mut Test) {
    let mut memory = LowMemory::new();
    let buffer = memory.put(&[b'x'; 64]);
    let event = t.fails(libc::EBADF, || socketcall(&mut memory, RECV, &[NO_FD as u32, buffer, 64, 0]));
    assert_exit(&event, EBADF, b"", NO_FD, 64);
    event.empty("tuple");
    let (sender, receiver) = UnixDatagram::pair().unwrap();
    sender.send(TEXT).unwrap();
    let fd = receiver.as_raw_fd();
    let (_, event) = t.succeeds(|| socketcall(&mut memory, RECV, &[fd as u32, buffer, 64, 0]));
    assert_exit(&event, 7, TEXT, fd, 64);
    assert_unix_tuple(&event, b"").both();
    // An empty message.
    sender.send(b"").unwrap();
    let (_, event) = t.succeeds(|| socketcall(&mut memory, RECV, &[fd as u32, buffer, 64, 0]));
    assert_exit(&event, 0, b"", fd, 64);
    assert_unix_tuple(&event, b"").both();

    let (receiver, to) = datagram(LOOPBACK);
    let (sender, from) = datagram(LOOPBACK);
    rustix::net::connect(&receiver, &from).unwrap();
    assert_eq!(sendto(sender.as_raw_fd(), &raw(to)), 7);
    wait_for(&receiver, libc::POLLIN);
    let fd = receiver.as_raw_fd();
    let (_, event) = t.succeeds(|| socketcall(&mut memory, RECV, &[fd as u32, buffer, 64, 0]));
    assert_exit(&event, 7, TEXT, fd, 64);
    event.bytes("tuple", &tuple(from, to));
}

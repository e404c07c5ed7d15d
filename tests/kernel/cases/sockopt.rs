use std::{mem::size_of_val, net::UdpSocket, os::fd::AsRawFd};

use super::addresses::*;
use crate::{
    harness::{Params, Test},
    syscall,
};

/// The first byte of a value: its type.
const BYTES: u8 = 0;
const ERRNO: u8 = 1;
const UINT32: u8 = 2;
const UINT64: u8 = 3;
const RELTIME: u8 = 4;

const SO_RCVTIMEO_NEW: i32 = 66;

fn value(ty: u8, bytes: &[u8]) -> Vec<u8> {
    [&[ty], bytes].concat()
}

/// Asserts the result, the descriptor, and the option in the format's numbers.
#[track_caller]
fn assert_option(event: &Params, res: i64, fd: i32, level: u8, optname: u8) {
    event.i64("res", res).i64("fd", fd.into()).u8("level", level).u8("optname", optname);
}

pub fn setsockopt_e(t: &mut Test) {
    let on = 1u32;
    t.fails(libc::EBADF, || syscall!(SYS_setsockopt, NO_FD, 1, libc::SO_DEBUG, &raw const on, 4));
    let socket = new_socket(libc::AF_UNIX, libc::SOCK_STREAM);
    let fd = socket.as_raw_fd();
    t.succeeds(|| syscall!(SYS_setsockopt, fd, 1, libc::SO_KEEPALIVE, &raw const on, 4));
}

/// Sets an option of SOL_SOCKET.
#[track_caller]
fn assert_sets<T>(t: &mut Test, option: i32, input: &T, optname: u8, expected: &[u8]) {
    let socket = new_socket(libc::AF_INET, libc::SOCK_STREAM);
    let fd = socket.as_raw_fd();
    let len = size_of_val(input);
    let (_, event) =
        t.succeeds(|| syscall!(SYS_setsockopt, fd, libc::SOL_SOCKET, option, &raw const *input, len));
    assert_option(&event, 0, fd, 1, optname);
    event.bytes("val", expected).u32("optlen", len as u32);
}

pub fn setsockopt_x(t: &mut Test) {
    let number = 0x1234_5678u32;
    let event = t.fails(libc::EBADF, || {
        syscall!(SYS_setsockopt, NO_FD, libc::SOL_SOCKET, libc::SO_MARK, &raw const number, 4)
    });
    assert_option(&event, -i64::from(libc::EBADF), NO_FD, 1, 36);
    event.bytes("val", &value(UINT32, &number.to_ne_bytes())).u32("optlen", 4);

    let socket = new_socket(libc::AF_INET, libc::SOCK_STREAM);
    let fd = socket.as_raw_fd();
    // The value is unreadable.
    let event = t.fails(libc::EFAULT, || {
        syscall!(SYS_setsockopt, fd, libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1usize, 4)
    });
    assert_option(&event, -i64::from(libc::EFAULT), fd, 1, 9);
    event.bytes("val", &[BYTES]).u32("optlen", 4);
    // Too short for a number.
    let event = t.fails(libc::EINVAL, || {
        syscall!(SYS_setsockopt, fd, libc::SOL_SOCKET, libc::SO_KEEPALIVE, &raw const number, 2)
    });
    assert_option(&event, -i64::from(libc::EINVAL), fd, 1, 9);
    event.bytes("val", &value(BYTES, &number.to_ne_bytes()[..2])).u32("optlen", 2);

    assert_sets(t, libc::SO_KEEPALIVE, &1u32, 9, &value(UINT32, &1u32.to_ne_bytes()));
    let time = libc::timeval { tv_sec: 7, tv_usec: 5 };
    let ns = value(RELTIME, &7_000_005_000u64.to_ne_bytes());
    assert_sets(t, libc::SO_RCVTIMEO, &time, 20, &ns);
    assert_sets(t, libc::SO_SNDTIMEO, &time, 21, &ns);
    assert_sets(t, SO_RCVTIMEO_NEW, &[7u64, 5], 20, &ns);
    let linger = [1u32, 30];
    let bytes: Vec<u8> = linger.iter().flat_map(|n| n.to_ne_bytes()).collect();
    assert_sets(t, libc::SO_LINGER, &linger, 13, &value(BYTES, &bytes));
    // An option without a name in the format.
    assert_sets(t, libc::SO_ZEROCOPY, &1u32, 0, &value(BYTES, &1u32.to_ne_bytes()));

    // Of other levels, at most the level has a name.
    let on = 1u32;
    for (level, option, expected) in
        [(libc::IPPROTO_TCP, libc::TCP_NODELAY, 2), (libc::IPPROTO_IP, libc::IP_RECVTTL, 0)]
    {
        let (_, event) = t.succeeds(|| syscall!(SYS_setsockopt, fd, level, option, &raw const on, 4));
        assert_option(&event, 0, fd, expected, 0);
        event.bytes("val", &value(BYTES, &on.to_ne_bytes())).u32("optlen", 4);
    }
    if crate::compat::HERE {
        let mut memory = crate::compat::LowMemory::new();
        let time = memory.put_words(&[7, 5]);
        let (_, event) = t.succeeds(|| crate::compat::syscall32(366, [fd as u32, 1, 20, time, 8, 0]));
        assert_option(&event, 0, fd, 1, 20);
        event.bytes("val", &ns).u32("optlen", 8);
    }
}

pub fn getsockopt_e(t: &mut Test) {
    let (mut on, mut len) = (1u32, 4u32);
    t.fails(libc::EBADF, || syscall!(SYS_getsockopt, NO_FD, 1, libc::SO_DEBUG, &raw mut on, &raw mut len));
    let socket = new_socket(libc::AF_UNIX, libc::SOCK_STREAM);
    let fd = socket.as_raw_fd();
    t.succeeds(|| syscall!(SYS_getsockopt, fd, 1, libc::SO_TYPE, &raw mut on, &raw mut len));
}

/// Gets an option of SOL_SOCKET into 16 bytes, and asserts that the event has its value.
#[track_caller]
fn assert_gets(t: &mut Test, fd: i32, option: i32, optname: u8, ty: u8, size: usize) -> [u8; 16] {
    let (mut output, mut len) = ([0u8; 16], 16u32);
    let (_, event) = t.succeeds(|| {
        syscall!(SYS_getsockopt, fd, libc::SOL_SOCKET, option, output.as_mut_ptr(), &raw mut len)
    });
    assert_eq!(len as usize, size);
    assert_option(&event, 0, fd, 1, optname);
    event.bytes("val", &value(ty, &output[..size])).u32("optlen", len);
    output
}

pub fn getsockopt_x(t: &mut Test) {
    let (mut number, mut len) = (0x1234_5678u32, 4u32);
    let event = t.fails(libc::EBADF, || {
        syscall!(SYS_getsockopt, NO_FD, libc::SOL_SOCKET, libc::SO_MARK, &raw mut number, &raw mut len)
    });
    assert_option(&event, -i64::from(libc::EBADF), NO_FD, 1, 36);
    event.bytes("val", &value(UINT32, &number.to_ne_bytes())).u32("optlen", 4);

    let datagrams = UdpSocket::bind(LOOPBACK).unwrap();
    let fd = datagrams.as_raw_fd();
    let event = t.fails(libc::EFAULT, || {
        syscall!(SYS_getsockopt, fd, libc::SOL_SOCKET, libc::SO_TYPE, &raw mut number, 1usize)
    });
    assert_option(&event, -i64::from(libc::EFAULT), fd, 1, 3);
    event.bytes("val", &[BYTES]).u32("optlen", 0);

    let output = assert_gets(t, fd, libc::SO_TYPE, 3, UINT32, 4);
    assert_eq!(output[..4], (libc::SOCK_DGRAM as u32).to_ne_bytes());
    let output = assert_gets(t, fd, libc::SO_COOKIE, 53, UINT64, 8);
    assert_ne!(output[..8], [0; 8]);
    assert_gets(t, fd, libc::SO_LINGER, 13, BYTES, 8);

    // A connection to a port without a listener: the error waits in the socket.
    let nobody = socket(LOOPBACK, libc::SOCK_STREAM);
    bind(&nobody, LOOPBACK);
    let addr = raw(local(&nobody));
    let client = socket(LOOPBACK, libc::SOCK_STREAM | libc::SOCK_NONBLOCK);
    let fd = client.as_raw_fd();
    let result = syscall!(SYS_connect, fd, addr.as_ptr(), addr.len());
    assert_eq!(result, -i64::from(libc::EINPROGRESS));
    wait_for(&client, libc::POLLERR);
    let (_, event) = t.succeeds(|| {
        syscall!(SYS_getsockopt, fd, libc::SOL_SOCKET, libc::SO_ERROR, &raw mut number, &raw mut len)
    });
    assert_eq!(number, libc::ECONNREFUSED as u32);
    assert_option(&event, 0, fd, 1, 4);
    event.bytes("val", &value(ERRNO, &(-i64::from(number)).to_ne_bytes())).u32("optlen", 4);
}

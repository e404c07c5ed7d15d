use std::os::{
    fd::AsRawFd,
    unix::net::{UnixDatagram, UnixStream},
};

use super::{addresses::*, messages::*};
use crate::{
    harness::{Params, Test},
    syscall,
};

/// The kernel's limit of messages in a call.
const MAX_MESSAGES: usize = 1024;

/// Returns a `struct mmsghdr` without a length.
fn unsent(header: libc::msghdr) -> libc::mmsghdr {
    libc::mmsghdr { msg_hdr: header, msg_len: 0xdead }
}

fn sendmmsg(fd: i32, messages: &mut [libc::mmsghdr]) -> i64 {
    syscall!(SYS_sendmmsg, fd, messages.as_mut_ptr(), messages.len(), 0)
}

fn recvmmsg(fd: i32, messages: &mut [libc::mmsghdr]) -> i64 {
    syscall!(SYS_recvmmsg, fd, messages.as_mut_ptr(), messages.len(), libc::MSG_DONTWAIT, 0)
}

/// Makes a call that handles this many messages, and returns their events.
#[track_caller]
fn handles(t: &mut Test, count: usize, call: impl FnOnce() -> i64) -> Vec<Params> {
    let captured = t.capture(call);
    assert_eq!(captured.ret, count as i64, "the messages handled");
    let events = captured.all();
    assert_eq!(events.len(), count, "the events");
    assert!(events.windows(2).all(|pair| pair[0].ts() <= pair[1].ts()));
    events
}

#[track_caller]
fn assert_message(event: &Params, res: i64, fd: i32, size: u32, data: &[u8]) {
    event.i64("res", res).i64("fd", fd.into()).u32("size", size).bytes("data", data);
}

// --------------------------------------------------------------- sendmmsg

pub fn sendmmsg_e(t: &mut Test) {
    t.fails(libc::EBADF, || sendmmsg(NO_FD, &mut []));
    let (_receiver, to) = datagram(LOOPBACK);
    let (sender, _) = datagram(LOOPBACK);
    let (mut addr, mut iovecs) = (raw(to), [iovec(TEXT)]);
    let mut messages = [unsent(message(&mut iovecs, &mut addr)); 2];
    let captured = t.capture(|| sendmmsg(sender.as_raw_fd(), &mut messages));
    assert_eq!(captured.ret, 2);
    captured.one();
}

pub fn sendmmsg_x(t: &mut Test) {
    let (mut iovecs, mut others) = ([iovec(&TEXT[..3]), iovec(&TEXT[3..])], [iovec(b"other")]);
    let event = t.fails(libc::EBADF, || sendmmsg(NO_FD, &mut [unsent(message(&mut iovecs, &mut []))]));
    assert_message(&event, EBADF, NO_FD, 0, b"");
    event.empty("tuple");
    let (_receiver, to) = datagram(LOOPBACK);
    let (_other, other_to) = datagram(LOOPBACK);
    let (sender, from) = datagram(LOOPBACK);
    let fd = sender.as_raw_fd();
    let event = t.fails(libc::EFAULT, || syscall!(SYS_sendmmsg, fd, 1usize, 2, 0));
    assert_message(&event, EFAULT, fd, 0, b"");
    event.empty("tuple");
    let (_, event) = t.succeeds(|| sendmmsg(fd, &mut []));
    assert_message(&event, 0, fd, 0, b"");
    event.empty("tuple");

    let (mut addr, mut other_addr) = (raw(to), raw(other_to));
    let first = unsent(message(&mut iovecs, &mut addr));
    let second = unsent(message(&mut others, &mut other_addr));
    let events = handles(t, 2, || sendmmsg(fd, &mut [first, second]));
    assert_message(&events[0], 7, fd, 7, TEXT);
    events[0].bytes("tuple", &tuple(from, to));
    assert_message(&events[1], 5, fd, 5, b"other");
    events[1].bytes("tuple", &tuple(from, other_to));
    // The second cannot be sent: the call handles only the first.
    let mut unreadable = message(&mut [], &mut []);
    unreadable.msg_iov = std::ptr::without_provenance_mut(1);
    unreadable.msg_iovlen = 1;
    let events = handles(t, 1, || sendmmsg(fd, &mut [first, unsent(unreadable), second]));
    assert_message(&events[0], 7, fd, 7, TEXT);
    events[0].bytes("tuple", &tuple(from, to));

    // The limit of a call, and one more.
    let mut messages = vec![second; MAX_MESSAGES + 1];
    for event in handles(t, MAX_MESSAGES, || sendmmsg(fd, &mut messages)) {
        assert_message(&event, 5, fd, 5, b"other");
        event.bytes("tuple", &tuple(from, other_to));
    }
    if crate::compat::HERE {
        use crate::compat::{LowMemory, socketcall, syscall32};

        let mut memory = LowMemory::new();
        let (text, addr) = (memory.put(TEXT), memory.put(&raw(to)));
        let (one, other) = (memory.put_words(&[text, 7]), memory.put_words(&[text, 2]));
        let one = [addr, 16, one, 1, 0, 0, 0, 0xdead];
        let messages = memory.put_words(&[one, [addr, 16, other, 1, 0, 0, 0, 0xdead]].concat());
        let args = [fd as u32, messages, 2, 0, 0, 0];
        let by_itself = handles(t, 2, || syscall32(345, args));
        let by_socketcall = handles(t, 2, || socketcall(&mut memory, 20, &args[..4]));
        for events in [by_itself, by_socketcall] {
            assert_message(&events[0], 7, fd, 7, TEXT);
            events[0].bytes("tuple", &tuple(from, to));
            assert_message(&events[1], 2, fd, 2, &TEXT[..2]);
            events[1].bytes("tuple", &tuple(from, to));
        }
    }
}

// --------------------------------------------------------------- recvmmsg

pub fn recvmmsg_e(t: &mut Test) {
    t.fails(libc::EBADF, || recvmmsg(NO_FD, &mut []));
    let (sender, receiver) = UnixDatagram::pair().unwrap();
    sender.send(TEXT).unwrap();
    let buffer = [b'x'; 64];
    let mut iovecs = [iovec(&buffer)];
    let mut messages = [unsent(message(&mut iovecs, &mut [])); 2];
    t.succeeds(|| recvmmsg(receiver.as_raw_fd(), &mut messages));
}

pub fn recvmmsg_x(t: &mut Test) {
    let buffers = [[b'x'; 64]; 2];
    let (mut iovecs, mut others) = ([iovec(&buffers[0][..3]), iovec(&buffers[0][3..])], [iovec(&buffers[1])]);
    let (mut addr, mut other_addr) = ([0u8; 128], [0u8; 128]);
    let event = t.fails(libc::EBADF, || recvmmsg(NO_FD, &mut [unsent(message(&mut iovecs, &mut []))]));
    assert_message(&event, EBADF, NO_FD, 0, b"");
    event.empty("tuple").empty("msgcontrol");

    let (receiver, to) = datagram(LOOPBACK);
    let (sender, from) = datagram(LOOPBACK);
    let (other, other_from) = datagram(LOOPBACK);
    let fd = receiver.as_raw_fd();
    let mut messages =
        [unsent(message(&mut iovecs, &mut addr)), unsent(message(&mut others, &mut other_addr))];
    let event = t.fails(libc::EAGAIN, || recvmmsg(fd, &mut messages));
    assert_message(&event, EAGAIN, fd, 0, b"");
    event.empty("tuple").empty("msgcontrol");
    let send = || {
        assert_eq!(sendto(sender.as_raw_fd(), &raw(to)), 7);
        assert_eq!(sendto(other.as_raw_fd(), &raw(to)), 7);
        wait_for(&receiver, libc::POLLIN);
    };
    send();
    let events = handles(t, 2, || recvmmsg(fd, &mut messages));
    for (event, from) in events.iter().zip([from, other_from]) {
        assert_message(event, 7, fd, 7, TEXT);
        event.bytes("tuple", &tuple(from, to)).empty("msgcontrol");
    }
    drop(events);
    for by_socketcall in [false, true].into_iter().filter(|_| crate::compat::HERE) {
        use crate::compat::{LowMemory, socketcall, syscall32};

        let mut memory = LowMemory::new();
        let (buffer, addr) = (memory.put(&[b'x'; 128]), memory.put(&[0; 256]));
        let (one, other) = (memory.put_words(&[buffer, 64]), memory.put_words(&[buffer + 64, 64]));
        let one = [addr, 128, one, 1, 0, 0, 0, 0xdead];
        let messages = memory.put_words(&[one, [addr + 128, 128, other, 1, 0, 0, 0, 0xdead]].concat());
        let args = [fd as u32, messages, 2, libc::MSG_DONTWAIT as u32, 0, 0];
        send();
        let events = handles(t, 2, || match by_socketcall {
            true => socketcall(&mut memory, 19, &args[..5]),
            false => syscall32(337, args),
        });
        for (event, from) in events.iter().zip([from, other_from]) {
            assert_message(event, 7, fd, 7, TEXT);
            event.bytes("tuple", &tuple(from, to)).empty("msgcontrol");
        }
    }

    let (receiver, sender) = UnixStream::pair().unwrap();
    send_descriptor(&sender, fd);
    let mut control = [0u8; 64];
    let mut header = message(&mut iovecs, &mut []);
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = control.len();
    let mut messages = [unsent(header)];
    let events = handles(t, 1, || recvmmsg(receiver.as_raw_fd(), &mut messages));
    let received = i32::from_ne_bytes(control[16..20].try_into().unwrap());
    let _received = own(received.into());
    assert_message(&events[0], 7, receiver.as_raw_fd(), 7, TEXT);
    assert_unix_tuple(&events[0], b"").both();
    events[0].bytes("msgcontrol", &control_message(received)[..messages[0].msg_hdr.msg_controllen]);
}

//! Losses that are not caused by a ring: each is counted with its cause.

use std::os::{fd::AsRawFd, unix::net::UnixDatagram};

use scap::ledger::{Cause, Losses};
use scapd::probe::Counters;

use super::{look_at, messages::*};
use crate::{harness::Test, marks::Way, scratch::own, syscall};

fn only(cause: Cause) -> Losses {
    let mut losses = Losses::default();
    losses.add(cause, 1);
    losses
}

/// The most descriptors that a message can have, and their `struct cmsghdr`.
const DESCRIPTORS: usize = 253;
const CONTROL: usize = 16 + 4 * DESCRIPTORS;

/// Sends `length` bytes with as many descriptors as a message can have.
fn send(socket: &UnixDatagram, length: usize) {
    let data = vec![b'x'; length];
    let mut pieces = [iovec(&data)];
    let mut control = CONTROL.to_ne_bytes().to_vec();
    let descriptors = [socket.as_raw_fd(); DESCRIPTORS];
    for word in [libc::SOL_SOCKET, libc::SCM_RIGHTS].iter().chain(&descriptors) {
        control.extend(word.to_ne_bytes());
    }
    let mut message = message(&mut pieces, &mut []);
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = CONTROL;
    assert_eq!(syscall!(SYS_sendmsg, socket.as_raw_fd(), &raw const message, 0), length as i64);
}

/// Receives that message, and returns the losses of its event.
fn receive(t: &mut Test, socket: &UnixDatagram, length: usize) -> Losses {
    let (mut data, mut control) = (vec![0u8; length], vec![0u8; 2 * CONTROL]);
    let mut pieces = [libc::iovec { iov_base: data.as_mut_ptr().cast(), iov_len: length }];
    let mut message = message(&mut pieces, &mut []);
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = control.len();
    let lost = t.loses_or_records(|| syscall!(SYS_recvmsg, socket.as_raw_fd(), &raw mut message, 0));
    for word in control[16..CONTROL].chunks_exact(4) {
        drop(own(i32::from_ne_bytes(word.try_into().unwrap()).into()));
    }
    assert_eq!(data, vec![b'x'; length]);
    lost
}

pub fn larger_than_an_event_may_be(t: &mut Test) {
    t.count_apart();
    t.snaplen(u32::MAX);
    let (sender, receiver) = UnixDatagram::pair().unwrap();
    // The first is the largest that fits with the rest of the event.
    for (length, lost) in [(64_000, Losses::default()), (64_495, only(Cause::TooLarge))] {
        send(&sender, length);
        assert_eq!(receive(t, &receiver, length), lost, "{length} bytes");
    }
    assert_eq!(t.counters(), Counters { seen: 2, lost_too_large: 1, ..Counters::default() });
    assert_eq!(t.lost_on_cpus(), 1);
}

pub fn no_scratch_area(t: &mut Test) {
    t.count_apart();
    let look = || look_at(c"/");
    t.succeeds(look).1.rest_does_not_matter();
    assert_eq!(t.loses_while_in_use(Way::Exit, look), only(Cause::NoScratch));
    assert_eq!(t.counters(), Counters { seen: 2, lost_no_scratch: 1, ..Counters::default() });
    assert_eq!(t.lost_on_cpus(), 1);
    // Enter events have another scratch area, which their program does not use here.
    assert_eq!(t.loses_while_in_use(Way::Enter, look).sum(), 0);
    // The area is free again.
    t.succeeds(look).1.rest_does_not_matter();
}

use std::os::fd::AsRawFd;

use crate::{
    harness::Test,
    scratch::{fd_of, own},
    syscall,
};

const BAD: i64 = -7;
const EBADF: i64 = -(libc::EBADF as i64);
const EINVAL: i64 = -(libc::EINVAL as i64);

pub fn epoll_create_e(t: &mut Test) {
    t.fails(libc::EINVAL, || syscall!(SYS_epoll_create, -5)).i32("size", -5);
    let (fd, event) = t.succeeds(|| syscall!(SYS_epoll_create, 9));
    event.i32("size", 9);
    drop(own(fd));
}

pub fn epoll_create_x(t: &mut Test) {
    t.fails(libc::EINVAL, || syscall!(SYS_epoll_create, -5)).i64("res", EINVAL).i32("size", -5);
    let (fd, event) = t.succeeds(|| syscall!(SYS_epoll_create, i32::MAX));
    event.i64("res", fd).i32("size", i32::MAX);
    drop(own(fd));
}

pub fn epoll_create1_e(t: &mut Test) {
    t.fails(libc::EINVAL, || syscall!(SYS_epoll_create1, 1)).u32("flags", 0);
    let (fd, event) = t.succeeds(|| syscall!(SYS_epoll_create1, libc::EPOLL_CLOEXEC));
    event.u32("flags", 1);
    drop(own(fd));
}

pub fn epoll_create1_x(t: &mut Test) {
    // Of invalid flags, only the named ones are recorded.
    for (flags, expected) in [(1, 0), (1 | libc::EPOLL_CLOEXEC, 1)] {
        t.fails(libc::EINVAL, || syscall!(SYS_epoll_create1, flags))
            .i64("res", EINVAL)
            .u32("flags", expected);
    }
    for (flags, expected) in [(0, 0), (libc::EPOLL_CLOEXEC, 1)] {
        let (fd, event) = t.succeeds(|| syscall!(SYS_epoll_create1, flags));
        event.i64("res", fd).u32("flags", expected);
        drop(own(fd));
    }
}

/// Returns an epoll instance and a descriptor that is ready.
fn ready() -> (std::fs::File, std::io::PipeReader) {
    let epoll = own(syscall!(SYS_epoll_create1, 0));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(writer);
    let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 0 };
    let ret = syscall!(SYS_epoll_ctl, fd_of(&epoll), libc::EPOLL_CTL_ADD, reader.as_raw_fd(), &raw mut event);
    assert_eq!(ret, 0);
    (epoll, reader)
}

fn wait(epoll: i64, maxevents: i32) -> i64 {
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; 8];
    syscall!(SYS_epoll_wait, epoll, events.as_mut_ptr(), maxevents, 0)
}

pub fn epoll_wait_e(t: &mut Test) {
    let (epoll, _reader) = ready();
    t.fails(libc::EINVAL, || wait(fd_of(&epoll), -3)).i64("maxevents", -3);
    t.succeeds(|| wait(fd_of(&epoll), 8)).1.i64("maxevents", 8);
}

pub fn epoll_wait_x(t: &mut Test) {
    let (epoll, reader) = ready();
    let event = t.fails(libc::EBADF, || wait(BAD, 5));
    event.i64("res", EBADF).i64("maxevents", 5).i64("epfd", BAD).i32("timeout", 0).empty("events");
    let event = t.fails(libc::EINVAL, || wait(fd_of(&epoll), -3));
    event.i64("res", EINVAL).i64("maxevents", -3).i64("epfd", fd_of(&epoll));
    event.i32("timeout", 0).empty("events");
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; 8];
    let event = t.succeeds(|| syscall!(SYS_epoll_wait, fd_of(&epoll), events.as_mut_ptr(), 8, -1)).1;
    event.i64("res", 1).i64("maxevents", 8).i64("epfd", fd_of(&epoll)).i32("timeout", -1);
    // Packed: 32 bits of events, 64 of data, behind the byte of the ABI.
    let (ready, data) = (events[0].events, events[0].u64);
    event.bytes("events", &[&[0][..], &ready.to_ne_bytes(), &data.to_ne_bytes()].concat());
    drop(reader);
    let event = t.succeeds(|| wait(fd_of(&epoll), 7)).1;
    event.i64("res", 0).i64("maxevents", 7).i64("epfd", fd_of(&epoll)).i32("timeout", 0).empty("events");
}

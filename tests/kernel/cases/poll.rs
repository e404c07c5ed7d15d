use std::{
    io::{PipeReader, PipeWriter, Write},
    os::fd::AsRawFd,
};

use crate::{
    harness::{Params, Test},
    syscall,
};

const EFAULT: i64 = -(libc::EFAULT as i64);
const EINVAL: i64 = -(libc::EINVAL as i64);

/// A valid descriptor that nothing opens.
const CLOSED: i32 = 999_999;

/// The number of descriptors that an event keeps.
const KEPT: usize = 64;

/// Events in the format; these three have the kernel's values.
const IN: u16 = 1;
const OUT: u16 = 4;
const RDHUP: u16 = 8;
const ERR: u16 = 16;
const HUP: u16 = 32;
const NVAL: u16 = 64;
const RDNORM: u16 = 128;
const ALL: u16 = 0x7ff;

fn pollfd(fd: &impl AsRawFd, events: i16) -> libc::pollfd {
    libc::pollfd { fd: fd.as_raw_fd(), events, revents: -1 }
}

/// Returns a readable pipe.
fn pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"x").unwrap();
    (reader, writer)
}

/// Returns an `fds` parameter.
fn list(entries: &[(i32, u16)]) -> Vec<u8> {
    let mut bytes = (entries.len() as u16).to_ne_bytes().to_vec();
    for (fd, events) in entries {
        bytes.extend(i64::from(*fd).to_ne_bytes());
        bytes.extend(events.to_ne_bytes());
    }
    bytes
}

fn poll(fds: &mut [libc::pollfd], timeout: i32) -> i64 {
    syscall!(SYS_poll, fds.as_mut_ptr(), fds.len(), timeout)
}

#[track_caller]
fn assert_polled(event: &Params, fds: &[u8], timeout: i64) {
    event.bytes("fds", fds).i64("timeout", timeout);
}

pub fn poll_e(t: &mut Test) {
    let nothing = list(&[]);
    assert_polled(&t.fails(libc::EFAULT, || syscall!(SYS_poll, 1usize, 2, 3)), &nothing, 3);
    assert_polled(&t.succeeds(|| syscall!(SYS_poll, 0, 0, 0)).1, &nothing, 0);

    let (reader, writer) = pipe();
    let mut fds = [
        pollfd(&reader, libc::POLLIN),
        pollfd(&writer, libc::POLLOUT | libc::POLLRDHUP | libc::POLLERR | libc::POLLHUP),
        pollfd(&CLOSED, 0x23ff),
        pollfd(&-1, libc::POLLNVAL),
    ];
    let asked = list(&[(fds[0].fd, IN), (fds[1].fd, OUT | RDHUP | ERR | HUP), (CLOSED, ALL), (-1, NVAL)]);
    assert_polled(&t.succeeds(|| poll(&mut fds, -1)).1, &asked, -1);

    for count in [KEPT, KEPT + 1, 1000] {
        let mut fds = vec![pollfd(&reader, libc::POLLIN); count];
        let kept = list(&vec![(reader.as_raw_fd(), IN); KEPT]);
        assert_polled(&t.succeeds(|| poll(&mut fds, 0)).1, &kept, 0);
    }
}

pub fn poll_x(t: &mut Test) {
    let event = t.fails(libc::EFAULT, || syscall!(SYS_poll, 1usize, 2, 3));
    event.i64("res", EFAULT);
    assert_polled(&event, &list(&[]), 3);
    let (_, event) = t.succeeds(|| syscall!(SYS_poll, 0, 0, 0));
    event.i64("res", 0);
    assert_polled(&event, &list(&[]), 0);

    let (reader, writer) = pipe();
    let (hung_up, _) = std::os::unix::net::UnixStream::pair().unwrap();
    let mut fds = [
        pollfd(&reader, libc::POLLIN | libc::POLLRDNORM | libc::POLLPRI),
        pollfd(&writer, libc::POLLOUT),
        pollfd(&CLOSED, libc::POLLIN),
        pollfd(&-1, libc::POLLIN),
        pollfd(&hung_up, libc::POLLRDHUP),
    ];
    let came = list(&[
        (fds[0].fd, IN | RDNORM),
        (fds[1].fd, OUT),
        (CLOSED, NVAL),
        (-1, 0),
        (fds[4].fd, RDHUP | HUP),
    ]);
    let (ret, event) = t.succeeds(|| poll(&mut fds, -1));
    assert_eq!(ret, 4);
    event.i64("res", 4);
    assert_polled(&event, &came, -1);

    let mut fds = vec![pollfd(&reader, libc::POLLIN); KEPT + 1];
    let (ret, event) = t.succeeds(|| poll(&mut fds, 5));
    event.i64("res", ret);
    assert_polled(&event, &list(&vec![(reader.as_raw_fd(), IN); KEPT]), 5);
    if crate::compat::HERE {
        let mut memory = crate::compat::LowMemory::new();
        let fds = memory.put_words(&[reader.as_raw_fd() as u32, 1]);
        let (_, event) = t.succeeds(|| crate::compat::syscall32(168, [fds, 1, -1i32 as u32, 0, 0, 0]));
        event.i64("res", 1);
        assert_polled(&event, &list(&[(reader.as_raw_fd(), IN)]), -1);
    }
}

/// Waits for events with these signals blocked.
fn ppoll(fds: &mut [libc::pollfd], time: &libc::timespec, signals: &u64) -> i64 {
    syscall!(SYS_ppoll, fds.as_mut_ptr(), fds.len(), &raw const *time, &raw const *signals, 8)
}

#[track_caller]
fn assert_ppolled(event: &Params, fds: &[u8], timeout: u64, sigmask: u32) {
    event.bytes("fds", fds).u64("timeout", timeout).u32("sigmask", sigmask);
}

/// SIGUSR1 and SIGUSR2, and a signal beyond those that the event has.
const SIGNALS: u64 = 1 << 9 | 1 << 11 | 1 << 40;
const SIGMASK: u32 = 1 << 9 | 1 << 11;

pub fn ppoll_e(t: &mut Test) {
    let invalid = libc::timespec { tv_sec: 1, tv_nsec: -1 };
    let (reader, _writer) = pipe();
    let fd = reader.as_raw_fd();
    let mut fds = [pollfd(&reader, libc::POLLIN | libc::POLLPRI)];
    let event = t.fails(libc::EINVAL, || ppoll(&mut fds, &invalid, &SIGNALS));
    assert_ppolled(&event, &list(&[(fd, 3)]), 999_999_999, SIGMASK);
    let time = libc::timespec { tv_sec: 9, tv_nsec: 5 };
    let (_, event) = t.succeeds(|| ppoll(&mut fds, &time, &SIGNALS));
    assert_ppolled(&event, &list(&[(fd, 3)]), 9_000_000_005, SIGMASK);
    // Without a time and a set.
    let (_, event) = t.succeeds(|| syscall!(SYS_ppoll, fds.as_mut_ptr(), 1, 0, 0, 0));
    assert_ppolled(&event, &list(&[(fd, 3)]), 0, 0);
}

pub fn ppoll_x(t: &mut Test) {
    let invalid = libc::timespec { tv_sec: 1, tv_nsec: -1 };
    let (reader, _writer) = pipe();
    let fd = reader.as_raw_fd();
    let mut fds = [pollfd(&reader, libc::POLLIN | libc::POLLPRI)];
    fds[0].revents = 0;
    let event = t.fails(libc::EINVAL, || ppoll(&mut fds, &invalid, &SIGNALS));
    event.i64("res", EINVAL);
    assert_ppolled(&event, &list(&[(fd, 0)]), 999_999_999, SIGMASK);
    let event = t.fails(libc::EFAULT, || syscall!(SYS_ppoll, 1usize, 1, 0, 0, 0));
    event.i64("res", EFAULT);
    assert_ppolled(&event, &list(&[]), 0, 0);
    if crate::compat::HERE {
        let mut memory = crate::compat::LowMemory::new();
        let fds = memory.put_words(&[fd as u32, 1]);
        let signals = memory.put_words(&[SIGMASK, 1 << 8]);
        // A short and a long time; the padding of the latter is ignored.
        for (number, words, ns) in
            [(309, [8, 6, 0, 0], 8_000_000_006), (414, [7, 1, 5, 0], 0x1_0000_0007 * 1_000_000_000 + 5)]
        {
            let time = memory.put_words(&words);
            // The remaining time is written back.
            let (_, event) = t.succeeds(|| crate::compat::syscall32(number, [fds, 1, time, signals, 8, 0]));
            event.i64("res", 1).bytes("fds", &list(&[(fd, IN)])).u32("sigmask", SIGMASK);
            let left = event.number("timeout");
            assert!(left <= ns && left > ns - 5_000_000_000, "timeout {left} of {ns}");
        }
    }
    let time = libc::timespec { tv_sec: 9, tv_nsec: 5 };
    let (_, event) = t.succeeds(|| ppoll(&mut fds, &time, &SIGNALS));
    event.i64("res", 1).bytes("fds", &list(&[(fd, IN)])).u32("sigmask", SIGMASK);
    let left = event.number("timeout");
    assert!((5_000_000_000..=9_000_000_005).contains(&left), "timeout {left}");
}

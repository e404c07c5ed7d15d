use super::received::{entry, text};
use crate::{
    compat::{self, LowMemory, syscall32},
    harness::{Params, Test},
    scratch::{Scratch, fd_of, name, own},
    syscall,
};

const BAD: i64 = -7;
const EBADF: i64 = -(libc::EBADF as i64);
const EFAULT: i64 = -(libc::EFAULT as i64);
const EINVAL: i64 = -(libc::EINVAL as i64);

// The format's file_flags.
const NONBLOCK: u16 = 64;
const CLOEXEC: u16 = 4096;

/// The flags that these calls accept, and their encoding in the format.
const FLAGS: &[(i32, u16)] = &[
    (0, 0),
    (libc::O_CLOEXEC, CLOEXEC),
    (libc::O_NONBLOCK, NONBLOCK),
    (libc::O_CLOEXEC | libc::O_NONBLOCK, CLOEXEC | NONBLOCK),
];

/// Flags that are refused: of an invalid number, only the named flags are recorded; of a negative one, none.
const BAD_FLAGS: &[(i32, u16)] = &[(libc::O_NONBLOCK | 0x4000_0000, NONBLOCK), (-1, 0)];

/// Makes a call that must return a descriptor, closes it, and returns both the descriptor and the event.
fn opens(t: &mut Test, call: impl FnOnce() -> i64) -> (i64, Params) {
    let (fd, event) = t.succeeds(call);
    drop(own(fd));
    (fd, event)
}

pub fn userfaultfd_e(t: &mut Test) {
    t.fails(libc::EINVAL, || syscall!(SYS_userfaultfd, -1));
    opens(t, || syscall!(SYS_userfaultfd, libc::O_CLOEXEC));
}

pub fn userfaultfd_x(t: &mut Test) {
    for (flags, expected) in BAD_FLAGS {
        t.fails(libc::EINVAL, || syscall!(SYS_userfaultfd, *flags))
            .i64("res", EINVAL)
            .u32("flags", u32::from(*expected));
    }
    for (flags, expected) in FLAGS {
        let (fd, event) = opens(t, || syscall!(SYS_userfaultfd, *flags));
        event.i64("res", fd).u32("flags", u32::from(*expected));
    }
    // The format has no name for UFFD_USER_MODE_ONLY, which kernels before 5.11 lack.
    let captured = t.capture(|| syscall!(SYS_userfaultfd, libc::O_CLOEXEC | 1));
    let ret = captured.ret;
    if ret != EINVAL {
        drop(own(ret));
    }
    captured.one().i64("res", ret).u32("flags", CLOEXEC.into());
}

// inotify_init and eventfd fail only when the process is out of descriptors, which would disturb other tests.

pub fn inotify_init_e(t: &mut Test) {
    opens(t, || syscall!(SYS_inotify_init)).1.u8("flags", 0);
}

pub fn inotify_init_x(t: &mut Test) {
    let (fd, event) = opens(t, || syscall!(SYS_inotify_init));
    event.i64("res", fd).u8("flags", 0);
}

pub fn inotify_init1_e(t: &mut Test) {
    t.fails(libc::EINVAL, || syscall!(SYS_inotify_init1, -1));
    opens(t, || syscall!(SYS_inotify_init1, libc::IN_CLOEXEC));
}

pub fn inotify_init1_x(t: &mut Test) {
    for (flags, expected) in BAD_FLAGS {
        t.fails(libc::EINVAL, || syscall!(SYS_inotify_init1, *flags))
            .i64("res", EINVAL)
            .u16("flags", *expected);
    }
    for (flags, expected) in FLAGS {
        let (fd, event) = opens(t, || syscall!(SYS_inotify_init1, *flags));
        event.i64("res", fd).u16("flags", *expected);
    }
}

pub fn eventfd_e(t: &mut Test) {
    opens(t, || syscall!(SYS_eventfd, 17)).1.u64("initval", 17).u32("flags", 0);
}

pub fn eventfd_x(t: &mut Test) {
    for initval in [0, u32::MAX] {
        let (fd, event) = opens(t, || syscall!(SYS_eventfd, initval));
        event.i64("res", fd).u64("initval", initval.into()).u32("flags", 0);
    }
}

pub fn eventfd2_e(t: &mut Test) {
    t.fails(libc::EINVAL, || syscall!(SYS_eventfd2, 17, -1)).u64("initval", 17);
    opens(t, || syscall!(SYS_eventfd2, u32::MAX, libc::EFD_CLOEXEC)).1.u64("initval", u32::MAX.into());
}

pub fn eventfd2_x(t: &mut Test) {
    for (flags, expected) in BAD_FLAGS {
        t.fails(libc::EINVAL, || syscall!(SYS_eventfd2, 17, *flags))
            .i64("res", EINVAL)
            .u16("flags", *expected)
            .u64("initval", 17);
    }
    for (flags, expected) in FLAGS {
        let (fd, event) = opens(t, || syscall!(SYS_eventfd2, u32::MAX, *flags | libc::EFD_SEMAPHORE));
        event.i64("res", fd).u16("flags", *expected).u64("initval", u32::MAX.into());
    }
}

/// SIGINT, SIGTERM, and the first signal that does not fit into an event.
const SIGNALS: u64 = 1 << 1 | 1 << 14 | 1 << 32;
const MASK: u32 = 1 << 1 | 1 << 14;

pub fn signalfd_e(t: &mut Test) {
    let mask = SIGNALS;
    t.fails(libc::EBADF, || syscall!(SYS_signalfd, 1_000_000, &raw const mask, 8))
        .i64("fd", 1_000_000)
        .u32("mask", MASK)
        .u8("flags", 0);
    let (_, event) = opens(t, || syscall!(SYS_signalfd, -1, &raw const mask, 8));
    event.i64("fd", -1).u32("mask", MASK).u8("flags", 0);
}

pub fn signalfd_x(t: &mut Test) {
    let mask = SIGNALS;
    t.fails(libc::EINVAL, || syscall!(SYS_signalfd, BAD, &raw const mask, 4))
        .i64("res", EINVAL)
        .i64("fd", BAD)
        .u32("mask", MASK)
        .u8("flags", 0);
    t.fails(libc::EFAULT, || syscall!(SYS_signalfd, -1, 0usize, 8))
        .i64("res", EFAULT)
        .i64("fd", -1)
        .u32("mask", 0)
        .u8("flags", 0);
    let (fd, event) = opens(t, || syscall!(SYS_signalfd, -1, &raw const mask, 8));
    event.i64("res", fd).i64("fd", -1).u32("mask", MASK).u8("flags", 0);
}

pub fn signalfd4_e(t: &mut Test) {
    let mask = SIGNALS;
    t.fails(libc::EINVAL, || syscall!(SYS_signalfd4, BAD, &raw const mask, 8, -1))
        .i64("fd", BAD)
        .u32("mask", MASK);
    let (_, event) = opens(t, || syscall!(SYS_signalfd4, -1, &raw const mask, 8, libc::SFD_CLOEXEC));
    event.i64("fd", -1).u32("mask", MASK);
}

pub fn signalfd4_x(t: &mut Test) {
    let mask = SIGNALS;
    for (flags, expected) in BAD_FLAGS {
        t.fails(libc::EINVAL, || syscall!(SYS_signalfd4, BAD, &raw const mask, 8, *flags))
            .i64("res", EINVAL)
            .u16("flags", *expected)
            .i64("fd", BAD)
            .u32("mask", MASK);
    }
    for (flags, expected) in FLAGS {
        let (fd, event) = opens(t, || syscall!(SYS_signalfd4, -1, &raw const mask, 8, *flags));
        event.i64("res", fd).u16("flags", *expected).i64("fd", -1).u32("mask", MASK);
    }
    // A new set for an existing descriptor, which is the result.
    let signals = own(syscall!(SYS_signalfd4, -1, &raw const mask, 8, 0));
    let (_, event) = t.succeeds(|| syscall!(SYS_signalfd4, fd_of(&signals), &raw const mask, 8, 0));
    event.i64("res", fd_of(&signals)).u16("flags", 0).i64("fd", fd_of(&signals)).u32("mask", MASK);
    if compat::HERE {
        let address = LowMemory::new().put_words(&[MASK, 1]);
        let (_, event) = t.succeeds(|| syscall32(327, [fd_of(&signals) as u32, address, 8, 0, 0, 0]));
        event.i64("res", fd_of(&signals)).u16("flags", 0).i64("fd", fd_of(&signals)).u32("mask", MASK);
    }
}

pub fn timerfd_create_e(t: &mut Test) {
    t.fails(libc::EINVAL, || syscall!(SYS_timerfd_create, 77, libc::TFD_NONBLOCK))
        .u8("clockid", 77)
        .u8("flags", 64);
    opens(t, || syscall!(SYS_timerfd_create, libc::CLOCK_BOOTTIME, 0)).1.u8("clockid", 7).u8("flags", 0);
}

pub fn timerfd_create_x(t: &mut Test) {
    for (flags, expected) in BAD_FLAGS {
        t.fails(libc::EINVAL, || syscall!(SYS_timerfd_create, 77, *flags))
            .i64("res", EINVAL)
            .u8("clockid", 77)
            .u8("flags", *expected as u8);
    }
    for (flags, expected) in FLAGS {
        let (fd, event) = opens(t, || syscall!(SYS_timerfd_create, libc::CLOCK_MONOTONIC, *flags));
        event.i64("res", fd).u8("clockid", 1).u8("flags", *expected as u8);
    }
}

pub fn memfd_create_e(t: &mut Test) {
    t.fails(libc::EFAULT, || syscall!(SYS_memfd_create, 1usize, 0));
    opens(t, || syscall!(SYS_memfd_create, c"name".as_ptr(), 0));
}

pub fn memfd_create_x(t: &mut Test) {
    let (empty, longest, longer) = (name(""), name(&"n".repeat(249)), name(&"n".repeat(250)));
    for (flags, expected) in [
        (0, 0),
        (libc::MFD_CLOEXEC, 1),
        (libc::MFD_ALLOW_SEALING, 2),
        (libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING, 3),
    ] {
        let (fd, event) = opens(t, || syscall!(SYS_memfd_create, longest.as_ptr(), flags));
        event.i64("fd", fd).text("name", &longest).u32("flags", expected);
    }
    let (fd, event) = opens(t, || syscall!(SYS_memfd_create, empty.as_ptr(), 0));
    event.i64("fd", fd).text("name", &empty).u32("flags", 0);
    t.fails(libc::EINVAL, || syscall!(SYS_memfd_create, longer.as_ptr(), 0))
        .i64("fd", EINVAL)
        .text("name", &longer)
        .u32("flags", 0);
    t.fails(libc::EINVAL, || syscall!(SYS_memfd_create, empty.as_ptr(), libc::MFD_HUGETLB | 0x100))
        .i64("fd", EINVAL)
        .text("name", &empty)
        .u32("flags", 4);
    t.fails(libc::EFAULT, || syscall!(SYS_memfd_create, 0usize, libc::MFD_CLOEXEC))
        .i64("fd", EFAULT)
        .empty("name")
        .u32("flags", 1);
}

pub fn pidfd_open_e(t: &mut Test) {
    t.fails(libc::EINVAL, || syscall!(SYS_pidfd_open, BAD, 0));
    opens(t, || syscall!(SYS_pidfd_open, std::process::id(), 0));
}

pub fn pidfd_open_x(t: &mut Test) {
    let pid = i64::from(std::process::id());
    t.fails(libc::EINVAL, || syscall!(SYS_pidfd_open, BAD, libc::O_NONBLOCK))
        .i64("fd", EINVAL)
        .i64("pid", BAD)
        .u32("flags", 1);
    // The format's value of the flag is not valid for the kernel.
    t.fails(libc::EINVAL, || syscall!(SYS_pidfd_open, pid, 1))
        .i64("fd", EINVAL)
        .i64("pid", pid)
        .u32("flags", 0);
    for (flags, expected) in [(0, 0), (libc::O_NONBLOCK, 1)] {
        let (fd, event) = opens(t, || syscall!(SYS_pidfd_open, pid, flags));
        event.i64("fd", fd).i64("pid", pid).u32("flags", expected);
    }
}

pub fn pidfd_getfd_e(t: &mut Test) {
    t.fails(libc::EBADF, || syscall!(SYS_pidfd_getfd, BAD, 0, 0));
    let process = own(syscall!(SYS_pidfd_open, std::process::id(), 0));
    opens(t, || syscall!(SYS_pidfd_getfd, fd_of(&process), fd_of(&process), 0));
}

pub fn pidfd_getfd_x(t: &mut Test) {
    t.fails(libc::EBADF, || syscall!(SYS_pidfd_getfd, BAD, -9, 0))
        .i64("fd", EBADF)
        .i64("pid_fd", BAD)
        .i64("target_fd", -9)
        .u32("flags", 0);
    let process = own(syscall!(SYS_pidfd_open, std::process::id(), 0));
    let scratch = Scratch::new();
    let target = scratch.open();
    t.fails(libc::EINVAL, || syscall!(SYS_pidfd_getfd, fd_of(&process), fd_of(&target), 0x8000_0005u32))
        .i64("fd", EINVAL)
        .i64("pid_fd", fd_of(&process))
        .i64("target_fd", fd_of(&target))
        .u32("flags", 0x8000_0005);
    let (fd, event) = t.succeeds(|| syscall!(SYS_pidfd_getfd, fd_of(&process), fd_of(&target), 0));
    let path = std::fs::read_link(format!("/proc/self/fd/{fd}")).unwrap();
    event.bytes("received", &entry(fd, 2, &text(path.to_str().unwrap())));
    drop(own(fd));
    event.i64("fd", fd).i64("pid_fd", fd_of(&process)).i64("target_fd", fd_of(&target)).u32("flags", 0);
}

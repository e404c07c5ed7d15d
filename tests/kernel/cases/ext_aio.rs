//! Asynchronous input and output, and waiting for descriptors.

use std::{fs::File, os::fd::AsRawFd, ptr::null};

use crate::{
    cases::ext_number::BAD,
    fails,
    harness::Params,
    rows,
    rows::{Row, RowTest},
    scratch::{Scratch, fd_of, own},
    succeeds, syscall,
};
use crate::{cases::ext_number::i386, compat::LowMemory};

pub const ROWS: &[RowTest] = rows![
    io_setup,
    io_destroy,
    io_submit,
    io_cancel,
    io_getevents,
    io_pgetevents,
    epoll_ctl,
    epoll_pwait,
    epoll_pwait2,
    epoll_ctl_old,
    epoll_wait_old,
    pselect6,
];

/// A context that does not exist.
const NO_CONTEXT: usize = 0x7777_0000;

/// struct iocb
#[repr(C)]
#[derive(Default, Clone, Copy)]
struct Iocb {
    data: u64,
    key: u32,
    rw_flags: u32,
    opcode: u16,
    priority: i16,
    fd: u32,
    buf: u64,
    bytes: u64,
    offset: i64,
    reserved: u64,
    flags: u32,
    resfd: u32,
}

/// A context for asynchronous operations, until it is dropped.
struct Context(usize);

impl Context {
    fn new() -> Context {
        let mut context = 0usize;
        assert_eq!(syscall!(SYS_io_setup, 4, &raw mut context), 0);
        Context(context)
    }

    /// Submits a write of 4 bytes, which ends at once.
    fn write(&self, data: u64) {
        const PWRITE: u16 = 1;
        let file = Scratch::new().open_file("file");
        let (fd, buf) = (file.as_raw_fd() as u32, b"data".as_ptr() as u64);
        let operation = Iocb { data, opcode: PWRITE, fd, buf, bytes: 4, ..Iocb::default() };
        let operations = [&raw const operation];
        assert_eq!(syscall!(SYS_io_submit, self.0, 1usize, operations.as_ptr()), 1);
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        syscall!(SYS_io_destroy, self.0);
    }
}

fn io_setup(r: &mut Row) {
    let mut context = 3usize;
    // The kernel wants a zero there.
    fails!(r, libc::EINVAL, 9, &raw mut context).u32("nr_events", 9).empty("ctx_idp");
    context = 0;
    let (_, event) = succeeds!(r, 5, &raw mut context);
    event.u32("nr_events", 5).structure("ctx_idp", &context);
    drop(Context(context));
    if crate::compat::HERE {
        let mut low = LowMemory::new();
        let address = low.put_words(&[0]);
        let event = r.call32(0, [6, address, 0, 0, 0, 0]);
        let [context]: [i32; 1] = low.words(address);
        event.u32("nr_events", 6).members("ctx_idp", &[("ctx_id", (context as u32).into())]);
        drop(Context(context as u32 as usize));
    }
}

fn io_destroy(r: &mut Row) {
    fails!(r, libc::EINVAL, NO_CONTEXT).u64("ctx_id", NO_CONTEXT as u64);
    let context = Context::new();
    let (_, event) = succeeds!(r, context.0);
    event.u64("ctx_id", context.0 as u64);
}

fn io_submit(r: &mut Row) {
    let event = fails!(r, libc::EINVAL, NO_CONTEXT, -5i64, 0x18usize);
    event.u64("ctx_id", NO_CONTEXT as u64).i64("nr", -5).u64("iocbpp", 0x18).empty("iocbs");
    let context = Context::new();
    let file = Scratch::new().open_file("file");
    let (fd, buf) = (file.as_raw_fd() as u32, b"data".as_ptr() as u64);
    let operation = Iocb { opcode: 1, fd, buf, bytes: 4, ..Iocb::default() };
    let other = Iocb { bytes: 3, offset: 1, ..operation };
    let operations = [&raw const operation, &raw const other];
    let (count, event) = succeeds!(r, context.0, 2i64, operations.as_ptr());
    assert_eq!(count, 2);
    event.u64("ctx_id", context.0 as u64).i64("nr", 2).u64("iocbpp", operations.as_ptr() as u64);
    event.structures("iocbs", &[operation, other]);
    // Up to the first one that cannot be read, and at most 16.
    let bad = [&raw const operation, std::ptr::without_provenance(8)];
    let event = fails!(r, libc::EINVAL, NO_CONTEXT, 2i64, bad.as_ptr());
    event.i64("nr", 2).structures("iocbs", &[operation]).rest_does_not_matter();
    let many = [&raw const other; 20];
    let event = fails!(r, libc::EINVAL, NO_CONTEXT, 20i64, many.as_ptr());
    event.i64("nr", 20).structures("iocbs", &[other; 16]).rest_does_not_matter();
}

fn io_cancel(r: &mut Row) {
    let operation = Iocb {
        data: 1,
        rw_flags: 2,
        opcode: 7,
        priority: -3,
        fd: 4,
        buf: 5,
        bytes: 6,
        offset: -7,
        flags: 1,
        resfd: 8,
        ..Iocb::default()
    };
    let mut result = [0u64; 4];
    // Kernels since 4.19 cancel no operation at once, so that a success cannot be had.
    let event = fails!(r, libc::EINVAL, NO_CONTEXT, &raw const operation, result.as_mut_ptr());
    event.u64("ctx_id", NO_CONTEXT as u64).empty("result").structure("iocb", &operation).members(
        "iocb",
        &[
            ("aio_data", 1),
            ("aio_rw_flags", 2),
            ("aio_lio_opcode", 7),
            ("aio_reqprio", -3),
            ("aio_fildes", 4),
            ("aio_buf", 5),
            ("aio_nbytes", 6),
            ("aio_offset", -7),
            ("aio_flags", 1),
            ("aio_resfd", 8),
        ],
    );
}

const TIMEOUT: [i64; 2] = [0, 5];

/// What io_getevents and io_pgetevents have in common, and the arguments behind them.
fn events_of_context(r: &mut Row, signals: *const u8, assert: impl Fn(&Params)) {
    let mut events = [[0u64; 4]; 3];
    let (timeout, buf) = (TIMEOUT.as_ptr(), events.as_mut_ptr());
    let event = fails!(r, libc::EINVAL, NO_CONTEXT, 2i64, 3i64, buf, timeout, signals);
    event.u64("ctx_id", NO_CONTEXT as u64).i64("min_nr", 2).i64("nr", 3).empty("events");
    event.members("timeout", &[("tv_sec", 0), ("tv_nsec", 5)]);
    assert(&event);
    let context = Context::new();
    context.write(21);
    context.write(22);
    let (count, event) = succeeds!(r, context.0, 2i64, 3i64, buf, null::<u8>(), signals);
    assert_eq!(count, 2);
    event.u64("ctx_id", context.0 as u64).i64("min_nr", 2).i64("nr", 3).empty("timeout");
    event.structures("events", &events[..2]).members("events", &[("data", 21), ("res", 4)]);
    assert(&event);
}

fn io_getevents(r: &mut Row) {
    events_of_context(r, null(), |_| ());
    if crate::compat::HERE {
        let timeout = LowMemory::new().put_words(&[0, 5]);
        let event = r.call32(-i64::from(libc::EINVAL), [NO_CONTEXT as u32, 2, -3i32 as u32, 0, timeout, 0]);
        event.u64("ctx_id", NO_CONTEXT as u64).i64("min_nr", 2).i64("nr", -3).empty("events");
        event.members("timeout", &[("tv_sec", 0), ("tv_nsec", 5)]);
    }
}

fn io_pgetevents(r: &mut Row) {
    let set = 1u64 << 11;
    let signals = [&raw const set as u64, 8];
    events_of_context(r, signals.as_ptr().cast(), |event| {
        _ = event.structure("usig", &signals).u64("signals", set);
    });
}

/// struct epoll_event
#[cfg_attr(target_arch = "x86_64", repr(C, packed))]
#[cfg_attr(not(target_arch = "x86_64"), repr(C))]
#[derive(Clone, Copy)]
struct Event {
    events: u32,
    data: u64,
}

/// An epoll descriptor that has a readable pipe; the pipe's ends.
fn ready() -> (File, [File; 2]) {
    let mut ends = [0i32; 2];
    assert_eq!(syscall!(SYS_pipe2, ends.as_mut_ptr(), 0), 0);
    assert_eq!(syscall!(SYS_write, ends[1], b"x".as_ptr(), 1), 1);
    let epoll = own(syscall!(SYS_epoll_create1, 0));
    let event = Event { events: 1, data: 0x1122_3344_5566 };
    let added = syscall!(SYS_epoll_ctl, epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, ends[0], &raw const event);
    assert_eq!(added, 0);
    (epoll, ends.map(|end| own(end.into())))
}

fn epoll_ctl(r: &mut Row) {
    let wanted = Event { events: 1 << 31 | 5, data: 0x1122_3344_5566 };
    let event = fails!(r, libc::EBADF, BAD, libc::EPOLL_CTL_MOD, BAD - 1, &raw const wanted);
    event.i64("epfd", BAD.into()).u32("op", 3).i64("fd", i64::from(BAD) - 1);
    event.members("event", &[("events", 1 << 31 | 5), ("data", 0x1122_3344_5566)]);
    let (epoll, [_from, into]) = ready();
    let (_, event) =
        succeeds!(r, epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, into.as_raw_fd(), &raw const wanted);
    event.i64("epfd", fd_of(&epoll)).u32("op", 1).i64("fd", fd_of(&into)).structure("event", &wanted);
    // To remove one, the event does not matter.
    let (_, event) =
        succeeds!(r, epoll.as_raw_fd(), libc::EPOLL_CTL_DEL, into.as_raw_fd(), &raw const wanted);
    event.i64("epfd", fd_of(&epoll)).u32("op", 2).i64("fd", fd_of(&into)).empty("event");
    if crate::compat::HERE {
        let wanted = LowMemory::new().put_words(&[5, 0x5566, 0x1122]);
        let event = r.call32(0, [epoll.as_raw_fd() as u32, 1, into.as_raw_fd() as u32, wanted, 0, 0]);
        event.i64("epfd", fd_of(&epoll)).u32("op", 1).i64("fd", fd_of(&into));
        event.members("event", &[("events", 5), ("data", 0x1122_0000_5566)]);
    }
}

/// A signal mask: SIGUSR2.
const MASK: u64 = 1 << 11;

/// epoll_pwait and epoll_pwait2: a time in ms, or a structure.
fn wait(r: &mut Row, timeout: usize, assert: impl Fn(&Params)) {
    let mut events = [Event { events: 0, data: 0 }; 3];
    let (buf, mask) = (events.as_mut_ptr(), [MASK]);
    let event = fails!(r, libc::EBADF, BAD, buf, 3, timeout, mask.as_ptr(), 8usize);
    event
        .i64("epfd", BAD.into())
        .empty("events")
        .i32("maxevents", 3)
        .u64("sigmask", MASK)
        .u64("sigsetsize", 8);
    assert(&event);
    let (epoll, _pipe) = ready();
    let (count, event) = succeeds!(r, epoll.as_raw_fd(), buf, 3, timeout, null::<u8>(), 8usize);
    assert_eq!(count, 1);
    event.i64("epfd", fd_of(&epoll)).i32("maxevents", 3).empty("sigmask").u64("sigsetsize", 8);
    event.structures("events", &events[..1]);
    event.members("events", &[("events", 1), ("data", 0x1122_3344_5566)]);
    assert(&event);
}

fn epoll_pwait(r: &mut Row) {
    wait(r, 9, |event| _ = event.i32("timeout", 9));
}

fn epoll_pwait2(r: &mut Row) {
    wait(r, TIMEOUT.as_ptr() as usize, |event| _ = event.structure("timeout", &TIMEOUT));
}

fn epoll_ctl_old(r: &mut Row) {
    // Kernels since 2.6 have the number alone.
    let wanted = Event { events: 5, data: 0x1122_3344_5566 };
    let event = fails!(r, libc::ENOSYS, BAD, libc::EPOLL_CTL_ADD, BAD - 1, &raw const wanted);
    event.i64("epfd", BAD.into()).u32("op", 1).i64("fd", i64::from(BAD) - 1).structure("event", &wanted);
}

fn epoll_wait_old(r: &mut Row) {
    let event = fails!(r, libc::ENOSYS, BAD, 0x18usize, 3, -4);
    event.i64("epfd", BAD.into()).u64("events", 0x18).i32("maxevents", 3).i32("timeout", -4);
}

/// The bytes of sets of descriptors.
fn bytes<T: Copy>(words: &[T]) -> &[u8] {
    // SAFETY: the sets are integers, of which any bytes are valid.
    unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), size_of_val(words)) }
}

fn pselect6(r: &mut Row) {
    // The process has room for descriptors 511 to 514, which are not open. The sets have whole words.
    drop(own(syscall!(SYS_fcntl, 0, libc::F_DUPFD, 514)));
    let set = |eighth, ninth| -> [u64; 9] { [0, 0, 0, 0, 0, 0, 0, eighth, ninth] };
    let sets = [set(1 << 63, 5), set(0, 6), set(0, 7)];
    let [mut read, mut write, mut except] = sets;
    let (mut timeout, mask) = (TIMEOUT, MASK);
    let signals = [&raw const mask as u64, 8];
    let (places, time) =
        ([&mut read, &mut write, &mut except].map(|set| set.as_mut_ptr()), timeout.as_mut_ptr());
    let event = fails!(r, libc::EBADF, 518, places[0], places[1], places[2], time, signals.as_ptr());
    event.i32("nfds", 518).bytes("readfds", bytes(&sets[0])).bytes("writefds", bytes(&sets[1]));
    event.bytes("exceptfds", bytes(&sets[2])).structure("timeout", &timeout).structure("sigmask", &signals);
    event.u64("signals", mask);
    let (_epoll, [from, _into]) = ready();
    let fd = fd_of(&from) as usize;
    let (mut ready, mut timeout, none) = ([0u64; 16], [5i64, 0], null::<u8>());
    ready[fd / 64] = 1 << (fd % 64);
    let (set, time) = (ready.as_mut_ptr(), timeout.as_mut_ptr());
    let (count, event) = succeeds!(r, fd as i32 + 1, set, none, none, time, none);
    assert_eq!(count, 1);
    event.i32("nfds", fd as i32 + 1).bytes("readfds", bytes(&ready[..=fd / 64]));
    event.empty("writefds").empty("exceptfds").structure("timeout", &timeout).empty("sigmask");
    event.empty("signals");
    if crate::compat::HERE {
        const TIME64: u16 = 413;
        let words: [u32; 17] =
            std::array::from_fn(|word| [1 << 31, 9].get(word.wrapping_sub(15)).copied().unwrap_or(0));
        let mut low = LowMemory::new();
        let (sets, time) = (low.put_words(&words), low.put_words(&[0; 4]));
        let set = low.put_words(&[1 << 11, 0]);
        let signals = low.put_words(&[set, 8]);
        for (number, size) in [(i386("pselect6"), 8), (TIME64, 16)] {
            let event = r.number32(number, -9, [513, sets, 0, sets, time, signals]);
            event.i32("nfds", 513).bytes("readfds", bytes(&words)).empty("writefds");
            event.bytes("exceptfds", bytes(&words)).members("timeout", &[("tv_sec", 0)]);
            event.members("sigmask", &[("sigmask", set.into()), ("sigsetsize", 8)]).u64("signals", 1 << 11);
            assert_eq!(event.length_of("timeout"), 1 + size, "with the ABI");
        }
    }
}

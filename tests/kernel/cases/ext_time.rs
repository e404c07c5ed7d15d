//! Clocks and timers.

use std::ptr;

use super::ext::{BAD_ADDRESS, zeroed};
use crate::{
    rows,
    rows::{Row, RowTest},
    syscall,
};

pub const ROWS: &[RowTest] = rows![
    time,
    gettimeofday,
    settimeofday,
    clock_gettime,
    clock_settime,
    clock_getres,
    clock_nanosleep,
    adjtimex,
    clock_adjtime,
    timer_create,
    timer_settime,
    timer_gettime,
    timer_getoverrun,
    timer_delete,
    timerfd_settime,
    timerfd_gettime,
    setitimer,
    getitimer,
    alarm,
];

/// A clock that the kernel does not have.
const NO_CLOCK: u32 = 99;

fn timespec(sec: i64, nsec: i64) -> libc::timespec {
    libc::timespec { tv_sec: sec, tv_nsec: nsec }
}

fn time(t: &mut Row) {
    t.fails(libc::EFAULT, || syscall!(SYS_time, BAD_ADDRESS)).u64("tloc", BAD_ADDRESS as u64);
    t.succeeds(|| syscall!(SYS_time, 0usize)).1.u64("tloc", 0);
}

fn gettimeofday(t: &mut Row) {
    let (mut tv, mut tz) = (zeroed::<libc::timeval>(), [1i32, 2]);
    t.fails(libc::EFAULT, || syscall!(SYS_gettimeofday, BAD_ADDRESS, &raw mut tz)).empty("tv").empty("tz");
    let (_, event) = t.succeeds(|| syscall!(SYS_gettimeofday, &raw mut tv, &raw mut tz));
    event.structure("tv", &tv).members("tv", &[("tv_sec", tv.tv_sec), ("tv_usec", tv.tv_usec)]);
    let members = [("tz_minuteswest", tz[0].into()), ("tz_dsttime", tz[1].into())];
    event.structure("tz", &tz).members("tz", &members);
}

fn settimeofday(t: &mut Row) {
    // The kernel refuses such a fraction of a second before it sets anything.
    let (tv, tz) = ([7i64, 2_000_000], [-60i32, 5]);
    let event = t.fails(libc::EINVAL, || syscall!(SYS_settimeofday, tv.as_ptr(), tz.as_ptr()));
    event.structure("tv", &tv).members("tv", &[("tv_sec", 7), ("tv_usec", 2_000_000)]);
    event.structure("tz", &tz).members("tz", &[("tz_minuteswest", -60), ("tz_dsttime", 5)]);
    let none = ptr::null::<u8>();
    t.succeeds(|| syscall!(SYS_settimeofday, none, none)).1.empty("tv").empty("tz");
}

fn clock_gettime(t: &mut Row) {
    let mut tp = timespec(1, 2);
    let mut get = |clock: u32| syscall!(SYS_clock_gettime, clock, &raw mut tp);
    t.fails(libc::EINVAL, || get(NO_CLOCK)).u32("clockid", 99).empty("tp");
    let (_, event) = t.succeeds(|| get(7));
    event.u32("clockid", 7).structure("tp", &tp);
    event.members("tp", &[("tv_sec", tp.tv_sec), ("tv_nsec", tp.tv_nsec)]);
}

fn clock_settime(t: &mut Row) {
    // Nobody may set this clock. (To set another one would change the machine.)
    let tp = timespec(3, 4);
    let event = t.fails(libc::EINVAL, || syscall!(SYS_clock_settime, libc::CLOCK_MONOTONIC, &raw const tp));
    event.u32("clockid", 1).structure("tp", &tp).members("tp", &[("tv_sec", 3), ("tv_nsec", 4)]);
}

fn clock_getres(t: &mut Row) {
    let mut tp = timespec(1, 2);
    let mut get = |clock: u32| syscall!(SYS_clock_getres, clock, &raw mut tp);
    t.fails(libc::EINVAL, || get(NO_CLOCK)).u32("clockid", 99).empty("tp");
    t.succeeds(|| get(6)).1.u32("clockid", 6).structure("tp", &tp);
}

fn clock_nanosleep(t: &mut Row) {
    let (request, mut remain) = (timespec(0, 2001), timespec(5, 6));
    let remain = &raw mut remain;
    let sleep =
        |clock: u32, flags: u32| syscall!(SYS_clock_nanosleep, clock, flags, &raw const request, remain);
    let event = t.fails(libc::EINVAL, || sleep(NO_CLOCK, 0));
    event.u32("clockid", 99).u32("flags", 0).structure("request", &request).u64("remain", remain as u64);
    // This time has passed.
    let (_, event) = t.succeeds(|| sleep(1, 1));
    event.u32("clockid", 1).u32("flags", 1).structure("request", &request).u64("remain", remain as u64);
    event.members("request", &[("tv_sec", 0), ("tv_nsec", 2001)]);
}

/// Returns the members of a timex that a test compares.
fn timex_members(buf: &libc::timex) -> [(&'static str, i64); 13] {
    [
        ("modes", buf.modes.into()),
        ("offset", buf.offset),
        ("freq", buf.freq),
        ("maxerror", buf.maxerror),
        ("esterror", buf.esterror),
        ("status", buf.status.into()),
        ("constant", buf.constant),
        ("precision", buf.precision),
        ("tolerance", buf.tolerance),
        ("time_sec", buf.time.tv_sec),
        ("time_usec", buf.time.tv_usec),
        ("tick", buf.tick),
        ("tai", buf.tai.into()),
    ]
}

/// Returns a timex that the kernel refuses: a tick of 3 µs.
fn bad_timex() -> libc::timex {
    libc::timex { modes: libc::ADJ_TICK, tick: 3, constant: 11, tai: 12, ..zeroed() }
}

fn adjtimex(t: &mut Row) {
    let mut buf = bad_timex();
    let event = t.fails(libc::EINVAL, || syscall!(SYS_adjtimex, &raw mut buf));
    event.structure("buf", &buf).members("buf", &timex_members(&buf));
    // It only reads.
    let mut buf = zeroed::<libc::timex>();
    let (_, event) = t.succeeds(|| syscall!(SYS_adjtimex, &raw mut buf));
    event.structure("buf", &buf).members("buf", &timex_members(&buf));
    assert!(buf.tick > 0);
}

fn clock_adjtime(t: &mut Row) {
    let mut buf = bad_timex();
    let event = t.fails(libc::EINVAL, || syscall!(SYS_clock_adjtime, NO_CLOCK, &raw mut buf));
    event.u32("clk_id", 99).structure("buf", &buf);
    let mut buf = zeroed::<libc::timex>();
    let (_, event) = t.succeeds(|| syscall!(SYS_clock_adjtime, 0, &raw mut buf));
    event.u32("clk_id", 0).structure("buf", &buf).members("buf", &timex_members(&buf));
}

/// A timer of the process that does nothing; deleted when dropped.
struct Timer(i32);

impl Timer {
    fn new() -> Timer {
        let (event, mut id) = (nothing(), 0);
        assert_eq!(syscall!(SYS_timer_create, 1, &raw const event, &raw mut id), 0);
        Timer(id)
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        syscall!(SYS_timer_delete, self.0);
    }
}

/// Returns a sigevent for a timer that does nothing.
fn nothing() -> libc::sigevent {
    let mut event = zeroed::<libc::sigevent>();
    event.sigev_value.sival_ptr = 0x1234_5678_9abc_usize as *mut _;
    (event.sigev_signo, event.sigev_notify, event.sigev_notify_thread_id) = (10, libc::SIGEV_NONE, 77);
    event
}

fn timer_create(t: &mut Row) {
    let (event, mut id) = (nothing(), -5);
    let mut create = |clock: u32| syscall!(SYS_timer_create, clock, &raw const event, &raw mut id);
    t.fails(libc::EINVAL, || create(NO_CLOCK)).u32("clockid", 99).structure("sevp", &event).empty("timerid");
    let (_, recorded) = t.succeeds(|| create(1));
    let _timer = Timer(id);
    recorded.u32("clockid", 1).i32("timerid", id).structure("sevp", &event);
    recorded.members(
        "sevp",
        &[
            ("sigev_value", 0x1234_5678_9abc),
            ("sigev_signo", 10),
            ("sigev_notify", 1),
            ("sigev_notify_thread_id", 77),
        ],
    );
}

/// An interval and a time: a day and more.
static FAR: libc::itimerspec = libc::itimerspec {
    it_interval: libc::timespec { tv_sec: 90_001, tv_nsec: 12 },
    it_value: libc::timespec { tv_sec: 90_003, tv_nsec: 14 },
};

fn itimerspec_members(spec: &libc::itimerspec) -> [(&'static str, i64); 4] {
    [
        ("it_interval_sec", spec.it_interval.tv_sec),
        ("it_interval_nsec", spec.it_interval.tv_nsec),
        ("it_value_sec", spec.it_value.tv_sec),
        ("it_value_nsec", spec.it_value.tv_nsec),
    ]
}

fn timer_settime(t: &mut Row) {
    let timer = Timer::new();
    let mut old = zeroed::<libc::itimerspec>();
    let set = |timer: i32, flags: i32, old: *mut libc::itimerspec| {
        syscall!(SYS_timer_settime, timer, flags, &raw const FAR, old)
    };
    let event = t.fails(libc::EINVAL, || set(-9, 1, &raw mut old));
    event.i32("timerid", -9).u32("flags", 1).structure("new_value", &FAR).empty("old_value");
    event.members("new_value", &itimerspec_members(&FAR));
    set(timer.0, 0, ptr::null_mut());
    let (_, event) = t.succeeds(|| set(timer.0, 0, &raw mut old));
    event.i32("timerid", timer.0).u32("flags", 0).structure("new_value", &FAR);
    event.structure("old_value", &old).members("old_value", &itimerspec_members(&old));
    assert_eq!(old.it_interval.tv_sec, 90_001);
}

fn timer_gettime(t: &mut Row) {
    let timer = Timer::new();
    let mut now = zeroed::<libc::itimerspec>();
    syscall!(SYS_timer_settime, timer.0, 0, &raw const FAR, 0usize);
    let mut get = |timer: i32| syscall!(SYS_timer_gettime, timer, &raw mut now);
    t.fails(libc::EINVAL, || get(-9)).i32("timerid", -9).empty("curr_value");
    let (_, event) = t.succeeds(|| get(timer.0));
    event.i32("timerid", timer.0).structure("curr_value", &now);
    assert_eq!(now.it_interval.tv_nsec, 12);
}

fn timer_getoverrun(t: &mut Row) {
    let timer = Timer::new();
    t.fails(libc::EINVAL, || syscall!(SYS_timer_getoverrun, -9)).i32("timerid", -9);
    t.succeeds(|| syscall!(SYS_timer_getoverrun, timer.0)).1.i32("timerid", timer.0);
}

fn timer_delete(t: &mut Row) {
    let timer = Timer::new();
    t.fails(libc::EINVAL, || syscall!(SYS_timer_delete, -9)).i32("timerid", -9);
    t.succeeds(|| syscall!(SYS_timer_delete, timer.0)).1.i32("timerid", timer.0);
    std::mem::forget(timer);
}

/// A timerfd; closed when dropped.
struct TimerFd(i64);

impl TimerFd {
    fn new() -> TimerFd {
        TimerFd(syscall!(SYS_timerfd_create, libc::CLOCK_MONOTONIC, 0))
    }
}

impl Drop for TimerFd {
    fn drop(&mut self) {
        syscall!(SYS_close, self.0);
    }
}

fn timerfd_settime(t: &mut Row) {
    let timer = TimerFd::new();
    let mut old = zeroed::<libc::itimerspec>();
    let mut set =
        |fd: i64, flags: i32| syscall!(SYS_timerfd_settime, fd, flags, &raw const FAR, &raw mut old);
    let event = t.fails(libc::EBADF, || set(-100, 3));
    event.i64("fd", -100).u32("flags", 3).structure("new_value", &FAR).empty("old_value");
    set(timer.0, 0);
    let (_, event) = t.succeeds(|| set(timer.0, 1));
    event.i64("fd", timer.0).u32("flags", 1).structure("new_value", &FAR).structure("old_value", &old);
    assert_eq!(old.it_interval.tv_sec, 90_001);
}

fn timerfd_gettime(t: &mut Row) {
    let timer = TimerFd::new();
    syscall!(SYS_timerfd_settime, timer.0, 0, &raw const FAR, 0usize);
    let mut now = zeroed::<libc::itimerspec>();
    let mut get = |fd: i64| syscall!(SYS_timerfd_gettime, fd, &raw mut now);
    t.fails(libc::EBADF, || get(-100)).i64("fd", -100).empty("curr_value");
    t.succeeds(|| get(timer.0)).1.i64("fd", timer.0).structure("curr_value", &now);
    assert_eq!(now.it_interval.tv_nsec, 12);
}

fn setitimer(t: &mut Row) {
    let (new, mut old) = ([90_001i64, 12, 90_003, 14], [0i64; 4]);
    let mut set = |which: u32, new: &[i64; 4]| syscall!(SYS_setitimer, which, new.as_ptr(), old.as_mut_ptr());
    let event = t.fails(libc::EINVAL, || set(9, &new));
    event.u32("which", 9).structure("new_value", &new).empty("old_value");
    let members = [
        ("it_interval_sec", 90_001),
        ("it_interval_usec", 12),
        ("it_value_sec", 90_003),
        ("it_value_usec", 14),
    ];
    event.members("new_value", &members);
    set(1, &new);
    let (_, event) = t.succeeds(|| set(1, &[0; 4]));
    event.u32("which", 1).structure("new_value", &[0i64; 4]).structure("old_value", &old);
    assert_eq!(old[0], 90_001);
}

fn getitimer(t: &mut Row) {
    let mut now = [1i64; 4];
    let mut get = |which: u32| syscall!(SYS_getitimer, which, now.as_mut_ptr());
    t.fails(libc::EINVAL, || get(9)).u32("which", 9).empty("curr_value");
    t.succeeds(|| get(2)).1.u32("which", 2).structure("curr_value", &now);
}

fn alarm(t: &mut Row) {
    t.succeeds(|| syscall!(SYS_alarm, 4321)).1.u32("seconds", 4321);
    let (left, event) = t.succeeds(|| syscall!(SYS_alarm, 0));
    event.u32("seconds", 0);
    assert!((4200..=4321).contains(&left));
}

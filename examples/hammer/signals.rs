//! Signals: a timer that interrupts the running thread, and a handler that makes a call.

use std::{
    cell::Cell,
    io, mem, ptr,
    sync::atomic::{AtomicU64, Ordering},
};

use libc::c_int;

use crate::plan::{Identity, Kind, Plan};

/// The timer's period.
const PERIOD_US: i64 = 1500;

/// The data that the handler needs of its thread.
#[derive(Debug, Default)]
pub struct Handled {
    pub thread: Identity,
    /// The system call number of lseek.
    pub number: libc::c_long,
    /// Number of calls made.
    pub calls: AtomicU64,
}

thread_local! {
    /// Null if the thread makes no calls.
    static HANDLED: Cell<*const Handled> = const { Cell::new(ptr::null()) };
}

extern "C" fn handle(_: c_int) {
    let handled = HANDLED.get();
    if handled.is_null() {
        return;
    }
    // SAFETY: `with_signals` keeps the data alive until signals are blocked. The handler does not interrupt itself
    // (it blocks all signals), and the call affects only errno, which is restored.
    unsafe {
        let errno = *libc::__errno_location();
        let n = (*handled).calls.load(Ordering::Relaxed);
        (*handled).calls.store(n + 1, Ordering::Relaxed);
        let plan = Plan::of_handler(n);
        debug_assert_eq!(plan.kind, Kind::Lseek);
        libc::syscall((*handled).number, -1, plan.offset(&(*handled).thread), libc::SEEK_SET);
        *libc::__errno_location() = errno;
    }
}

/// Installs the handler; calls restart after it if they can.
pub fn install() -> io::Result<()> {
    for signal in [libc::SIGALRM, libc::SIGUSR1] {
        // SAFETY: the structure is plain numbers; the handler is async-signal-safe.
        let result = unsafe {
            let mut action: libc::sigaction = mem::zeroed();
            action.sa_sigaction = handle as *const () as usize;
            action.sa_flags = libc::SA_RESTART;
            libc::sigfillset(&mut action.sa_mask);
            libc::sigaction(signal, &action, ptr::null_mut())
        };
        check(result)?;
    }
    Ok(())
}

/// Starts or stops the timer.
pub fn set_timer(running: bool) -> io::Result<()> {
    let period = libc::timeval { tv_sec: 0, tv_usec: if running { PERIOD_US } else { 0 } };
    let timer = libc::itimerval { it_interval: period, it_value: period };
    // SAFETY: the structure is plain numbers.
    check(unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, ptr::null_mut()) })
}

/// Blocks or unblocks the signals in this thread and in those that it starts later.
pub fn block(blocked: bool) {
    // SAFETY: the set is plain numbers, initialized before use.
    unsafe {
        let mut set: libc::sigset_t = mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGALRM);
        libc::sigaddset(&mut set, libc::SIGUSR1);
        libc::pthread_sigmask(
            if blocked { libc::SIG_BLOCK } else { libc::SIG_UNBLOCK },
            &set,
            ptr::null_mut(),
        );
    }
}

/// Runs `action` while this thread receives signals.
pub fn with_signals<T>(handled: &Handled, action: impl FnOnce() -> T) -> T {
    HANDLED.set(handled);
    block(false);
    let result = action();
    block(true);
    HANDLED.set(ptr::null());
    result
}

fn check(result: c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

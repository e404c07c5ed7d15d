//! The signals that end a recording.

use std::{
    ffi::c_int,
    io,
    mem::MaybeUninit,
    ptr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize},
    },
};

use signal_hook::{
    consts::{SIGHUP, SIGUSR1, SIGUSR2, SIGXFSZ, TERM_SIGNALS},
    flag,
};

use crate::record::Handle;

/// Sets up SIGTERM, SIGINT and SIGQUIT: the first one drains and closes, the second one exits at once. A stop requested
/// in another way does not count as the first one. Handles SIGXFSZ so that a file beyond its size limit is a write
/// error.
///
/// # Errors
/// Errors of sigaction(2).
pub fn stop(handle: &Handle) -> io::Result<()> {
    stop_at(handle, TERM_SIGNALS)?;
    ignore(SIGXFSZ)
}

/// Sets a flag at the first SIGTERM, SIGINT or SIGQUIT; the second one ends the process at once.
///
/// # Errors
/// Errors of sigaction(2).
pub fn set(stop: &Arc<AtomicBool>) -> io::Result<()> {
    for signal in TERM_SIGNALS {
        flag::register_conditional_shutdown(*signal, 128 + signal, stop.clone())?;
        flag::register(*signal, stop.clone())?;
    }
    Ok(())
}

/// Sets up the signals of a recording in the foreground. SIGHUP also ends it, and SIGUSR1 asks for a dump of what is kept in
/// memory, unless ignored at the start, as SIGHUP by nohup(1). SIGUSR2, which is a request to a service, does nothing. Returns the
/// signals that were ignored at the start and now are not, as those that a script ignores for its background processes.
///
/// # Errors
/// Errors of sigaction(2).
pub fn stop_foreground(handle: &Handle) -> io::Result<Vec<c_int>> {
    let ignored = TERM_SIGNALS.iter().copied().filter(|signal| is_ignored(*signal)).collect();
    stop(handle)?;
    if !is_ignored(SIGHUP) {
        stop_at(handle, &[SIGHUP])?;
    }
    if !is_ignored(SIGUSR1) {
        flag::register(SIGUSR1, handle.dump_flag())?;
    }
    ignore(SIGUSR2)?;
    Ok(ignored)
}

/// Sets up the signals that end a program which makes a file: the first one sets the number that is returned, the second
/// one exits at once. Signals that were ignored at the start stay ignored.
///
/// # Errors
/// Errors of sigaction(2).
pub fn note() -> io::Result<Arc<AtomicUsize>> {
    let (number, has_come) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let signals = TERM_SIGNALS.iter().copied().chain([SIGHUP]);
    for signal in signals.filter(|signal| !is_ignored(*signal)) {
        flag::register_conditional_shutdown(signal, 128 + signal, has_come.clone())?;
        flag::register(signal, has_come.clone())?;
        flag::register_usize(signal, number.clone(), signal.unsigned_abs() as usize)?;
    }
    ignore(SIGXFSZ)?;
    Ok(number)
}

fn stop_at(handle: &Handle, signals: &[c_int]) -> io::Result<()> {
    let signalled = handle.signalled_flag();
    for signal in signals {
        flag::register_conditional_shutdown(*signal, 128 + signal, signalled.clone())?;
        flag::register(*signal, signalled.clone())?;
        flag::register(*signal, handle.stop_flag())?;
    }
    Ok(())
}

/// Ignores a signal with a handler that does nothing. An executed command would inherit SIG_IGN.
fn ignore(signal: c_int) -> io::Result<()> {
    if is_ignored(signal) { Ok(()) } else { flag::register(signal, Arc::default()).map(drop) }
}

/// Returns whether a signal is ignored.
fn is_ignored(signal: c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: only queries; the kernel fills the structure if it returns 0.
    unsafe {
        libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

//! The signals that end a recording.

use std::{ffi::c_int, io, mem::MaybeUninit, ptr, sync::Arc};

use signal_hook::{
    consts::{SIGHUP, SIGUSR1, SIGUSR2, SIGXFSZ, TERM_SIGNALS},
    flag,
};

use crate::record::Handle;

/// SIGTERM, SIGINT or SIGQUIT drain and close; a second one exits at once. A stop that was asked for in another way does
/// not count as the first one. A file beyond its limit (SIGXFSZ) is an error of its write.
///
/// # Errors
/// Of sigaction(2).
pub fn stop(handle: &Handle) -> io::Result<()> {
    stop_at(handle, TERM_SIGNALS)?;
    ignore(SIGXFSZ)
}

/// The same for a recording in the foreground, which SIGHUP ends, too, unless it is ignored at the start, as by nohup(1).
/// SIGUSR1 and SIGUSR2, which ask a service for something, do nothing.
///
/// # Errors
/// Of sigaction(2).
pub fn stop_foreground(handle: &Handle) -> io::Result<()> {
    stop(handle)?;
    if !is_ignored(SIGHUP) {
        stop_at(handle, &[SIGHUP])?;
    }
    [SIGUSR1, SIGUSR2].into_iter().try_for_each(ignore)
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

/// By a handler that does nothing, as a command that is executed would inherit SIG_IGN.
fn ignore(signal: c_int) -> io::Result<()> {
    if is_ignored(signal) { Ok(()) } else { flag::register(signal, Arc::default()).map(drop) }
}

/// Whether a signal is ignored.
fn is_ignored(signal: c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: asks only; the kernel fills the structure where it returns 0.
    unsafe {
        libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

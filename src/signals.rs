//! The signals that end a recording.

use std::io;

use signal_hook::{consts::TERM_SIGNALS, flag};

use crate::record::Handle;

/// The first SIGTERM, SIGINT or SIGQUIT drains and closes, the second one exits at once.
///
/// # Errors
/// Of sigaction(2).
pub fn stop(handle: &Handle) -> io::Result<()> {
    let stop = handle.stop_flag();
    for signal in TERM_SIGNALS {
        flag::register_conditional_shutdown(*signal, 128 + signal, stop.clone())?;
        flag::register(*signal, stop.clone())?;
    }
    Ok(())
}

//! The signals that ask a service for something.

use std::{ffi::c_int, io, sync::Arc, thread};

use signal_hook::{
    consts::{SIGHUP, SIGUSR1, SIGUSR2},
    iterator::Signals,
};

use super::{notify::line, service::Service};
use crate::confine::{self, Task};

/// SIGHUP reads the configuration of a service again, SIGUSR1 begins a new file, SIGUSR2 logs how it goes.
///
/// # Errors
/// Of sigaction(2), or if there is no thread to be had.
pub(super) fn serve(service: Arc<Service>) -> io::Result<()> {
    // While nothing can be written, a rotation waits; a reload does not wait for it.
    on("scapd-rotate", &[SIGUSR1], service.clone(), |service, _| match service.rotate() {
        Ok(()) => tracing::info!("asked to rotate: a new file is written"),
        Err(error) => tracing::error!("asked to rotate: {error}"),
    })?;
    on("scapd-signals", &[SIGHUP, SIGUSR2], service, |service, signal| match signal {
        // It logs itself what comes of it.
        SIGHUP => drop(service.reload()),
        _ => log_statistics(service),
    })
}

/// Answers signals on a thread of its own, one after the other.
fn on(
    name: &str,
    signals: &[c_int],
    service: Arc<Service>,
    answer: impl Fn(&Service, c_int) + Send + 'static,
) -> io::Result<()> {
    let mut signals = Signals::new(signals)?;
    let listen = move || {
        confine::thread(service.confinement(), Task::Talking);
        signals.forever().for_each(|signal| answer(&service, signal));
    };
    thread::Builder::new().name(name.into()).spawn(listen).map(drop)
}

fn log_statistics(service: &Service) {
    let status = service.handle().status();
    tracing::info!(
        file = status.target,
        seconds = status.running.as_secs(),
        taken = status.taken,
        written = status.written,
        bytes = status.bytes,
        lost = status.losses.sum(),
        "statistics: {}",
        line(&status)
    );
}

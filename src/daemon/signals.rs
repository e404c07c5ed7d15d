//! The signals that control a service.

use std::{ffi::c_int, io, sync::Arc, thread};

use signal_hook::{
    consts::{SIGHUP, SIGUSR1, SIGUSR2},
    iterator::Signals,
};

use super::{notify::line, service::Service};
use crate::confine::{self, Task};
use scap::ledger::TriggerKind;

/// Installs the handlers: SIGHUP reloads the configuration, SIGUSR1 starts a new file, or
/// asks for a dump of what is kept in memory, SIGUSR2 logs statistics.
///
/// # Errors
/// Errors of sigaction(2), or if a thread cannot be started.
pub(super) fn serve(service: Arc<Service>) -> io::Result<()> {
    // A rotation waits while nothing can be written. Its own thread keeps a reload from waiting too.
    on("scapd-rotate", &[SIGUSR1], service.clone(), |service, _| {
        if service.keeps_window() {
            return match service.dump(TriggerKind::Signal, None, "SIGUSR1") {
                Ok(()) => {}
                Err(error) => tracing::error!("SIGUSR1: no dump: {error}"),
            };
        }
        match service.rotate() {
            Ok(()) => tracing::info!("SIGUSR1: started a new file"),
            Err(error) => tracing::error!("SIGUSR1: cannot start a new file: {error}"),
        }
    })?;
    on("scapd-signals", &[SIGHUP, SIGUSR2], service, |service, signal| match signal {
        // It logs its result itself.
        SIGHUP => drop(service.reload()),
        _ => log_statistics(service),
    })
}

/// Starts a thread that handles these signals one after the other.
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

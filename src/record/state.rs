//! The state of the machine, as it stands at the start of each file.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use anyhow::Context;

use super::{command::Held, drain::Drain, pace};
use crate::{
    output::StateSource,
    probe::Active,
    scap::{state::MachineState, write_state},
    snapshot,
};

/// How the state is taken.
#[derive(Debug, Clone)]
pub(super) struct Scan {
    /// When the machine was started, ns since the epoch; 0 before the probe knows.
    boot_time: Arc<AtomicU64>,
    /// List scapd's own descriptors too.
    include_self: bool,
}

impl Scan {
    pub(super) fn new(include_self: bool) -> Scan {
        Scan { boot_time: Arc::default(), include_self }
    }

    /// Sets when the machine was started, as event times have it.
    pub(super) fn set_boot_time(&self, boot_time: u64) {
        self.boot_time.store(boot_time, Ordering::Relaxed);
    }

    fn take(&self) -> anyhow::Result<MachineState> {
        let boot_time = Some(self.boot_time.load(Ordering::Relaxed)).filter(|time| *time > 0);
        let mut snapshot = snapshot::take(&snapshot::Options { boot_time, ..Default::default() })?;
        tracing::debug!(?snapshot.report, "state of the machine");
        if !self.include_self {
            // Nothing will refer to them: hundreds, of maps and programs.
            let own = u64::from(std::process::id());
            snapshot.state.fds.retain(|list| list.pid != own);
        }
        Ok(snapshot.state)
    }

    /// For the files that follow the first one.
    pub(super) fn source(&self) -> StateSource {
        let scan = self.clone();
        StateSource::new(move || {
            let state = scan.take().unwrap_or_else(|e| {
                tracing::warn!("a file begins without the state of the machine: {e:#}");
                MachineState::default()
            });
            bytes(&state).unwrap_or_default()
        })
    }

    /// Reads /proc on a thread of its own, while events are taken from the rings.
    pub(super) fn take_beside(
        &self,
        active: &mut Active,
        drain: &mut Drain,
        command: Option<&Held>,
    ) -> anyhow::Result<Vec<u8>> {
        let scan = self.clone();
        let scan = thread::Builder::new()
            .name("scapd-snapshot".into())
            .spawn(move || scan.take())
            .context("cannot start a thread")?;
        while !scan.is_finished() {
            if drain.step(active)? < pace::MANY {
                thread::sleep(pace::SHORTEST);
            }
        }
        let mut state =
            scan.join().map_err(|_| anyhow::anyhow!("the thread that reads /proc has panicked"))??;
        if let Some(held) = command {
            // It still holds copies of ours, which it will not have as the command.
            for list in state.fds.iter_mut().filter(|list| list.pid == u64::from(held.pid())) {
                list.fds.retain(|fd| held.keeps(fd.fd));
            }
        }
        bytes(&state)
    }
}

fn bytes(state: &MachineState) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    write_state(&mut bytes, state).context("cannot describe the state of the machine")?;
    Ok(bytes)
}

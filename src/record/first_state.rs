//! Takes the state of the machine while events are already coming: for the first file, and for a filter that needs it.

use std::thread::{self, JoinHandle};

use anyhow::Context;

use super::{
    command::HeldCommand,
    drain::Drain,
    pace,
    state::{self, Scan},
};
use crate::probe::{Active, Ids};
use scap::format::MachineState;

/// The state of the machine, while a separate thread reads it from /proc.
#[derive(Debug)]
pub(super) struct Scanning(JoinHandle<anyhow::Result<(MachineState, Option<Ids>)>>);

impl Scanning {
    pub(super) fn begin(scan: &Scan) -> anyhow::Result<Scanning> {
        let scan = scan.clone();
        let thread = thread::Builder::new().name("scapd-snapshot".into()).spawn(move || scan.take());
        thread.map(Scanning).context("cannot start a thread")
    }

    pub(super) fn is_finished(&self) -> bool {
        self.0.is_finished()
    }

    /// Returns the state, with the ids that its tasks have in events.
    pub(super) fn finish(self) -> anyhow::Result<MachineState> {
        let (state, ids) = self.join()?;
        Ok(state::translated(state, ids))
    }

    fn join(self) -> anyhow::Result<(MachineState, Option<Ids>)> {
        self.0.join().map_err(|_| anyhow::anyhow!("the thread that reads /proc panicked"))?
    }
}

/// Reads /proc on a separate thread, and meanwhile takes events from the rings.
pub(super) fn state_beside(
    scan: &Scan,
    active: &mut Active,
    drain: &mut Drain,
    command: Option<&HeldCommand>,
) -> anyhow::Result<MachineState> {
    let scanning = Scanning::begin(scan)?;
    while !scanning.is_finished() {
        if drain.step(active)? < pace::MANY {
            thread::sleep(pace::SHORTEST);
        }
    }
    let (mut state, ids) = scanning.join()?;
    if let Some(held) = command {
        // It still holds copies of the recorder's descriptors, which its exec will close.
        for list in state.fds.iter_mut().filter(|list| list.pid == u64::from(held.pid())) {
            list.fds.retain(|fd| held.keeps(fd.fd));
        }
    }
    Ok(state::translated(state, ids))
}

//! Takes the state of the machine that each file starts with.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering},
};

use anyhow::Context;

use crate::{
    output::StateSource,
    probe::{Ids, TaskIds},
    snapshot,
};
use scap::{
    format::{state::MachineState, write_state},
    redact::{Redactor, Rules},
};

/// Takes the state of the machine.
#[derive(Debug, Clone)]
pub(super) struct Scan {
    /// The machine's boot time, ns since the epoch; 0 until the probe is active.
    boot_time: Arc<AtomicU64>,
    /// Empty until the probe is active.
    tasks: Arc<OnceLock<TaskIds>>,
    /// Whether to list scapd's own descriptors.
    include_self: bool,
    /// Whether to read the environment of processes.
    env: bool,
    /// What is overwritten before the state is written.
    rules: Option<Arc<Rules>>,
}

impl Scan {
    pub(super) fn new(include_self: bool, env: bool) -> Scan {
        Scan { boot_time: Arc::default(), tasks: Arc::default(), include_self, env, rules: None }
    }

    /// Overwrites what the rules find.
    pub(super) fn redacting(self, rules: Option<Arc<Rules>>) -> Scan {
        Scan { rules, ..self }
    }

    /// Returns the rules that say what is overwritten.
    pub(super) fn rules(&self) -> Option<&Arc<Rules>> {
        self.rules.as_ref()
    }

    /// Sets the boot time that event times are based on.
    pub(super) fn set_boot_time(&self, boot_time: u64) {
        self.boot_time.store(boot_time, Ordering::Relaxed);
    }

    /// Sets the translation from ids in /proc to ids in events.
    pub(super) fn set_tasks(&self, tasks: &TaskIds) {
        self.tasks.get_or_init(|| tasks.clone());
    }

    fn ids(&self) -> anyhow::Result<Option<Ids>> {
        self.tasks.get().map(TaskIds::look).transpose().context("cannot list the tasks")
    }

    /// Reads the state from /proc, and the ids that its tasks have in events.
    pub(super) fn take(&self) -> anyhow::Result<(MachineState, Option<Ids>)> {
        let before = self.ids()?;
        let boot_time = Some(self.boot_time.load(Ordering::Relaxed)).filter(|time| *time > 0);
        let options = snapshot::SnapshotOptions { boot_time, env: self.env, ..Default::default() };
        let mut snapshot = snapshot::take(&options)?;
        tracing::debug!(?snapshot.report, "state of the machine");
        if !self.include_self {
            // Hundreds of maps and programs, which no event will refer to.
            let own = rustix::fs::readlink("/proc/self", Vec::new()).context("cannot find scapd in /proc")?;
            let own: Option<u64> = own.to_str().ok().and_then(|own| own.parse().ok());
            snapshot.state.fds.retain(|list| Some(list.pid) != own);
        }
        Ok((snapshot.state, before.zip(self.ids()?).map(|(before, after)| before.and(after))))
    }

    /// Encodes the state as it is written.
    pub(super) fn bytes(&self, state: &MachineState) -> anyhow::Result<Vec<u8>> {
        let redacted = self.rules.as_ref().map(|rules| redacted(state.clone(), rules));
        let mut bytes = Vec::new();
        let written = write_state(&mut bytes, redacted.as_ref().unwrap_or(state));
        written.context("cannot encode the state of the machine")?;
        Ok(bytes)
    }

    /// Returns the source of the state for the files after the first.
    pub(super) fn source(&self) -> StateSource {
        let scan = self.clone();
        StateSource::new(move || {
            let (state, ids) = scan.take().unwrap_or_else(|e| {
                tracing::warn!("a file starts without the state of the machine: {e:#}");
                (MachineState::default(), None)
            });
            scan.bytes(&translated(state, ids)).unwrap_or_default()
        })
    }
}

/// Returns the state with the ids that its tasks have in events.
pub(super) fn translated(mut state: MachineState, ids: Option<Ids>) -> MachineState {
    if let Some(ids) = ids {
        translate(&mut state, &ids);
    }
    state
}

/// Returns a state with what the rules find overwritten.
fn redacted(mut state: MachineState, rules: &Arc<Rules>) -> MachineState {
    let values = Redactor::new(rules.clone()).state(&mut state);
    tracing::debug!("{values} values of the state of the machine are overwritten");
    state
}

/// Replaces the tasks' ids with those that events have. Leaves out a task that has no such id: it was too short-lived.
fn translate(state: &mut MachineState, ids: &Ids) {
    let initial = |id: u64| u32::try_from(id).ok().and_then(|id| ids.initial(id)).map(u64::from);
    state.threads.retain_mut(|thread| {
        let (Some(tid), Some(pid)) = (initial(thread.tid), initial(thread.pid)) else { return false };
        (thread.tid, thread.pid) = (tid, pid);
        // /proc also shows 0 for a task outside the namespace.
        (thread.ptid, thread.sid) = (initial(thread.ptid).unwrap_or(0), initial(thread.sid).unwrap_or(0));
        true
    });
    state.fds.retain_mut(|list| initial(list.pid).map(|pid| list.pid = pid).is_some());
}

#[cfg(test)]
mod tests;

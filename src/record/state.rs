//! The state of the machine, as it stands at the start of each file.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use anyhow::Context;

use super::{command::Held, drain::Drain, pace};
use crate::{
    output::StateSource,
    probe::{Active, Ids, TaskIds},
    snapshot,
};
use scap::format::{state::MachineState, write_state};

/// How the state is taken.
#[derive(Debug, Clone)]
pub(super) struct Scan {
    /// When the machine was started, ns since the epoch; 0 before the probe knows.
    boot_time: Arc<AtomicU64>,
    /// Empty before there is a probe.
    tasks: Arc<OnceLock<TaskIds>>,
    /// List scapd's own descriptors too.
    include_self: bool,
}

impl Scan {
    pub(super) fn new(include_self: bool) -> Scan {
        Scan { boot_time: Arc::default(), tasks: Arc::default(), include_self }
    }

    /// Sets when the machine was started, as event times have it.
    pub(super) fn set_boot_time(&self, boot_time: u64) {
        self.boot_time.store(boot_time, Ordering::Relaxed);
    }

    /// Sets how ids of /proc become those of events.
    pub(super) fn set_tasks(&self, tasks: &TaskIds) {
        self.tasks.get_or_init(|| tasks.clone());
    }

    fn ids(&self) -> anyhow::Result<Option<Ids>> {
        self.tasks.get().map(TaskIds::look).transpose().context("cannot list the tasks")
    }

    /// The state as /proc has it, and the ids that events have of its tasks.
    fn take(&self) -> anyhow::Result<(MachineState, Option<Ids>)> {
        let before = self.ids()?;
        let boot_time = Some(self.boot_time.load(Ordering::Relaxed)).filter(|time| *time > 0);
        let mut snapshot = snapshot::take(&snapshot::Options { boot_time, ..Default::default() })?;
        tracing::debug!(?snapshot.report, "state of the machine");
        if !self.include_self {
            // Nothing will refer to them: hundreds, of maps and programs.
            let own = rustix::fs::readlink("/proc/self", Vec::new()).context("cannot find scapd in /proc")?;
            let own: Option<u64> = own.to_str().ok().and_then(|own| own.parse().ok());
            snapshot.state.fds.retain(|list| Some(list.pid) != own);
        }
        Ok((snapshot.state, before.zip(self.ids()?).map(|(before, after)| before.and(after))))
    }

    /// For the files that follow the first one.
    pub(super) fn source(&self) -> StateSource {
        let scan = self.clone();
        StateSource::new(move || {
            let (state, ids) = scan.take().unwrap_or_else(|e| {
                tracing::warn!("a file begins without the state of the machine: {e:#}");
                (MachineState::default(), None)
            });
            bytes(state, ids).unwrap_or_default()
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
        let (mut state, ids) =
            scan.join().map_err(|_| anyhow::anyhow!("the thread that reads /proc has panicked"))??;
        if let Some(held) = command {
            // It still holds copies of ours, which it will not have as the command.
            for list in state.fds.iter_mut().filter(|list| list.pid == u64::from(held.pid())) {
                list.fds.retain(|fd| held.keeps(fd.fd));
            }
        }
        bytes(state, ids)
    }
}

fn bytes(mut state: MachineState, ids: Option<Ids>) -> anyhow::Result<Vec<u8>> {
    if let Some(ids) = ids {
        translate(&mut state, &ids);
    }
    let mut bytes = Vec::new();
    write_state(&mut bytes, &state).context("cannot describe the state of the machine")?;
    Ok(bytes)
}

/// Gives the tasks the ids that events have of them. A task that was not there long enough to be listed is left out.
fn translate(state: &mut MachineState, ids: &Ids) {
    let initial = |id: u64| u32::try_from(id).ok().and_then(|id| ids.initial(id)).map(u64::from);
    state.threads.retain_mut(|thread| {
        let (Some(tid), Some(pid)) = (initial(thread.tid), initial(thread.pid)) else { return false };
        (thread.tid, thread.pid) = (tid, pid);
        // 0 in /proc, too, where it is outside of the namespace.
        (thread.ptid, thread.sid) = (initial(thread.ptid).unwrap_or(0), initial(thread.sid).unwrap_or(0));
        true
    });
    state.fds.retain_mut(|list| initial(list.pid).map(|pid| list.pid = pid).is_some());
}

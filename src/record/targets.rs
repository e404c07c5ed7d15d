//! `-p`: finds the tasks to follow at the start, and notices when the last of them has ended.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use procfs::process::{Process, Task, all_processes};

use crate::probe::{Control, TargetState, TaskIds};

/// How often to check whether a target is left.
const INTERVAL: Duration = Duration::from_millis(100);

/// Checks that the processes exist.
///
/// # Errors
/// Names the first process that does not exist.
pub fn check(pids: &[u32]) -> anyhow::Result<()> {
    match pids.iter().find(|pid| !is_there(**pid)) {
        Some(pid) => bail!("there is no process {pid}"),
        None => Ok(()),
    }
}

fn is_there(pid: u32) -> bool {
    i32::try_from(pid).is_ok_and(|pid| Process::new(pid).is_ok())
}

/// Checks periodically whether a target is left. The programs remove each thread that ends.
#[derive(Debug)]
pub struct Watched {
    looked: Instant,
}

impl Watched {
    pub fn new() -> Watched {
        Watched { looked: Instant::now() }
    }

    /// Returns whether the last target has ended.
    pub fn have_ended(&mut self, control: &Control<'_>) -> bool {
        if self.looked.elapsed() < INTERVAL {
            return false;
        }
        self.looked = Instant::now();
        !control.has_targets()
    }
}

/// Adds the threads of these processes and of their descendants as targets.
///
/// The probe is already attached, so a child born meanwhile is followed if its parent is a target by then. The others
/// are found by listing the tasks again until nothing new turns up: what the programs have added is not new, else a process
/// that forks all the time could go on for ever on a slow machine. A task that may have ended before it became a target
/// is removed: the programs saw its end too early to do that.
pub fn add(control: &Control<'_>, tasks: &TaskIds, pids: &[u32]) -> anyhow::Result<()> {
    let mut known = BTreeSet::new();
    if let Some(pid) = pids.iter().find(|pid| !is_there(**pid)) {
        bail!("process {pid} ended before the recording began");
    }
    loop {
        let mut new = false;
        let ids = tasks.look().context("cannot list the tasks")?;
        for pid in with_descendants(pids)? {
            for thread in threads(pid) {
                let tid = thread.tid as u32;
                if known.contains(&tid) {
                    continue;
                }
                // A thread born since the tasks were listed has no id here. The next round finds it, if it still lives.
                let Some(id) = ids.initial(tid) else {
                    new = true;
                    continue;
                };
                known.insert(tid);
                // Its parent was a target by then, so that its children are, too.
                if control.is_target(id) {
                    continue;
                }
                control.add_target(id, TargetState::Active)?;
                if ends(&thread) {
                    control.remove_target(id)?;
                } else {
                    new = true;
                }
            }
        }
        if !new {
            return Ok(());
        }
    }
}

/// Returns the id that events have for a process in /proc.
pub fn id_of(tasks: &TaskIds, pid: u32) -> anyhow::Result<u32> {
    let ids = tasks.look().context("cannot list the tasks")?;
    ids.initial(pid).with_context(|| format!("there is no process {pid}"))
}

fn with_descendants(pids: &[u32]) -> anyhow::Result<BTreeSet<u32>> {
    if pids.is_empty() {
        return Ok(BTreeSet::new());
    }
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for process in all_processes().context("cannot read /proc")?.flatten() {
        if let Ok(stat) = process.stat() {
            children.entry(stat.ppid as u32).or_default().push(stat.pid as u32);
        }
    }
    let mut found: BTreeSet<u32> = BTreeSet::new();
    let mut next = pids.to_vec();
    while let Some(pid) = next.pop() {
        if found.insert(pid) {
            next.extend(children.get(&pid).into_iter().flatten());
        }
    }
    Ok(found)
}

/// Returns the threads of a process; none if it has ended.
fn threads(pid: u32) -> Vec<Task> {
    let tasks = Process::new(pid as i32).and_then(|process| process.tasks());
    tasks.into_iter().flatten().flatten().collect()
}

/// Returns whether a thread is ending or has ended. The kernel sets the flag before the programs see the end.
fn ends(thread: &Task) -> bool {
    const PF_EXITING: u32 = 0x4;
    thread.stat().map_or(true, |stat| stat.flags & PF_EXITING != 0)
}

#[cfg(test)]
mod tests;

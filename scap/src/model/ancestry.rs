//! Changes of the threads, parents and children of processes, and what can be asked about them.

use std::sync::Arc;

use super::{
    info::{ProcessInfo, UNKNOWN},
    tasks::{Process, Tasks, Thread},
};

/// The most generations that are looked at: in a hostile capture, parents may form a circle.
const MAX_GENERATIONS: usize = 256;

impl Tasks {
    /// Sets what is known of a process, and its parent with it.
    pub(super) fn set_process_info(&mut self, pid: u64, info: Arc<ProcessInfo>) {
        let parent = info.ptid;
        if let Some(old) = self.process(pid).info.replace(info) {
            self.kin.remove_child(old.ptid, pid);
        }
        self.kin.add_child(parent, pid);
    }

    /// Sets the parent of a process.
    pub fn set_parent(&mut self, pid: u64, parent: u64) {
        let Some(info) = self.processes.get_mut(&pid).and_then(|process| process.info.as_mut()) else {
            return;
        };
        if info.ptid != parent {
            self.kin.remove_child(info.ptid, pid);
            Arc::make_mut(info).ptid = parent;
            self.kin.add_child(parent, pid);
        }
    }

    /// Handles the end of a process: a reaper, one of its threads by id, becomes the parent of its children. Without one,
    /// their parent is unknown.
    pub(super) fn bequeath(&mut self, pid: u64, info: Option<&ProcessInfo>, reaper: Option<u64>) {
        if let Some(info) = info {
            self.kin.remove_child(info.ptid, pid);
        }
        let reaper = reaper.map(|tid| self.pid(tid)).filter(|reaper| *reaper != pid);
        for child in self.kin.children(pid) {
            self.set_parent(child, reaper.unwrap_or(UNKNOWN));
        }
    }

    /// Notes that a process begins anew, with one thread: a fork or an exec. Other threads have ended.
    pub(super) fn start_process(&mut self, pid: u64, first: u64) {
        for tid in self.kin.threads(pid).into_iter().filter(|tid| *tid != first) {
            self.forget(tid);
        }
        let gaps = self.gaps;
        let process = self.process(pid);
        (process.counted, process.leader) = (Some(gaps), None);
    }

    /// Notes that the children of an earlier process of that id have lost their parent.
    pub(super) fn disown(&mut self, pid: u64) {
        for child in self.kin.children(pid) {
            self.set_parent(child, UNKNOWN);
        }
    }

    /// Keeps the command name of a main thread that ends before other threads of its process.
    pub(super) fn keep_leader(&mut self, tid: u64, thread: &Thread) {
        if let Some(process) = self.processes.get_mut(&tid)
            && thread.pid == tid
        {
            process.leader = Some(thread.comm.clone());
        }
    }

    /// Returns the process of a running thread.
    pub fn process_of(&self, tid: u64) -> Option<u64> {
        self.threads.get(&tid).filter(|t| !t.ended).map(|t| t.pid)
    }

    /// Returns the command name of a process: that of its main thread.
    pub fn process_comm(&self, pid: u64) -> Option<&[u8]> {
        let process = self.processes.get(&pid)?;
        self.comm(pid).or(process.leader.as_deref())
    }

    /// Returns what is known of a process.
    pub fn process_info(&self, pid: u64) -> Option<&ProcessInfo> {
        self.processes.get(&pid)?.info.as_deref()
    }

    /// Returns the parent of a process, the parent's parent and so on, as far as they are known to run.
    pub fn ancestors(&self, pid: u64) -> impl Iterator<Item = (u64, &ProcessInfo)> {
        let mut at = self.process_info(pid).and_then(ProcessInfo::parent);
        std::iter::from_fn(move || {
            let pid = at?;
            let info = self.process_info(pid)?;
            at = info.parent().filter(|parent| *parent != pid);
            Some((pid, info))
        })
        .take(MAX_GENERATIONS)
    }

    /// Returns the number of descriptors of a thread; `None` if some may have come and gone unseen.
    pub fn fd_count(&self, tid: u64) -> Option<u64> {
        let is_known = self.gaps == 0
            && !self.is_partial
            && self.info(tid).is_some_and(|(_, process)| process.is_complete);
        Some(self.files(tid).filter(|_| is_known)?.len() as u64)
    }

    /// Returns the number of running threads of a process, without `ending`; `None` if threads may have come and gone
    /// unseen.
    pub fn thread_count(&self, pid: u64, ending: Option<u64>) -> Option<u64> {
        let is_known = |process: &&Process| process.counted == Some(self.gaps) && !self.is_partial;
        let process = self.processes.get(&pid).filter(is_known)?;
        let ends = ending.is_some_and(|tid| self.threads.get(&tid).is_some_and(|t| t.pid == pid && !t.ended));
        Some((process.threads as u64).saturating_sub(u64::from(ends)))
    }
}

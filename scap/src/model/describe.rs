//! What is known of threads and processes besides names: from the initial state, clones and execs.

use std::sync::Arc;

use super::{
    fd_table::FdTable,
    flags::{CLONE_PARENT, CLONE_THREAD},
    info::{Memory, ProcessInfo, Text, ThreadInfo, shared},
    tasks::{Child, Context, Directories, More, Tasks, Told},
};
use crate::format::state::Thread as StateThread;

impl Tasks {
    /// Returns the ids of all running threads, in order.
    pub fn tids(&self) -> Vec<u64> {
        let mut tids: Vec<_> = self.threads.iter().filter(|(_, t)| !t.ended).map(|(tid, _)| *tid).collect();
        tids.sort_unstable();
        tids
    }

    /// Returns the ids of all processes, in order.
    pub fn pids(&self) -> Vec<u64> {
        let mut pids: Vec<_> = self.processes.keys().copied().collect();
        pids.sort_unstable();
        pids
    }

    /// Returns the ids of all processes, in order, without those that a thread was taken for before its clone was known.
    pub fn known_pids(&self) -> Vec<u64> {
        let mut pids = self.pids();
        pids.retain(|pid| self.pid(*pid) == *pid);
        pids
    }

    /// Returns the descriptors of a process that are not those of a single thread.
    pub fn files_of_process(&self, pid: u64) -> Option<&FdTable> {
        self.files.get(self.processes.get(&pid)?.context.files)
    }

    /// Returns what is known of a running thread and of its process.
    pub fn info(&self, tid: u64) -> Option<(&ThreadInfo, &ProcessInfo)> {
        let thread = self.threads.get(&tid).filter(|t| !t.ended)?;
        let own = thread.info.as_deref()?;
        let process = self.processes.get(&thread.pid)?;
        let differing = own.differing.as_deref().filter(|_| !process.is_revised);
        Some((own, differing.or(process.info.as_deref())?))
    }

    /// Returns whether all threads of a process have what is known of it.
    pub fn is_uniform(&self, pid: u64) -> bool {
        let differs = |tid: u64| {
            let info = self.threads.get(&tid).and_then(|thread| thread.info.as_ref());
            info.is_some_and(|info| info.differing.is_some())
        };
        let Some(process) = self.processes.get(&pid) else { return false };
        process.is_revised || !differs(pid) && !self.kin.threads(pid).into_iter().any(differs)
    }

    /// Changes what is known of a thread.
    pub fn change(&mut self, tid: u64, change: impl FnOnce(&mut ThreadInfo)) {
        if let Some(info) = self.threads.get_mut(&tid).and_then(|t| t.info.as_mut()) {
            change(info);
        }
    }

    /// Changes what is known of a thread's process.
    /// Not for its parent: see [`set_parent`](Tasks::set_parent).
    pub fn change_process(&mut self, tid: u64, change: impl FnOnce(&mut ProcessInfo)) {
        let pid = self.pid(tid);
        if let Some(process) = self.processes.get_mut(&pid)
            && let Some(info) = &mut process.info
        {
            process.is_revised = true;
            change(Arc::make_mut(info));
        }
    }

    pub(super) fn describe_of_state(&mut self, t: &StateThread) {
        let mut info = ThreadInfo::of_state(t);
        let process = self.process(t.pid);
        process.counted = Some(0);
        match &process.info {
            None => self.set_process_info(t.pid, Arc::new(ProcessInfo::of_state(t, None))),
            Some(known) => {
                let own = ProcessInfo::of_state(t, Some(known));
                info.differing = (own != **known).then(|| Arc::new(own));
            }
        }
        if let Some(thread) = self.threads.get_mut(&t.tid) {
            thread.info = Some(Box::new(info));
        }
    }

    /// Gives a thread directories of its own if the initial state says that they are not its process's.
    pub(super) fn own_directories(&mut self, t: &StateThread) {
        if t.tid == t.pid || self.threads.get(&t.tid).is_none_or(|thread| thread.own.is_some()) {
            return;
        }
        let shared = self.process(t.pid).context;
        if !self.threads.contains_key(&t.pid)
            && self
                .directories
                .get(shared.directory)
                .is_some_and(|of| of.cwd.is_empty() && of.root.is_empty())
        {
            // The main thread has ended, so this one tells the process's.
            *self.directories.get_mut(shared.directory) =
                Directories { cwd: (*t.cwd).into(), root: (*t.root).into() };
            return;
        }
        if !self.directories.get(shared.directory).is_some_and(|of| of.differ(&t.cwd, &t.root)) {
            return;
        }
        let directory = self.directories.add(Directories { cwd: (*t.cwd).into(), root: (*t.root).into() });
        let files = self.files.inherit(shared.files, true);
        if let Some(thread) = self.threads.get_mut(&t.tid) {
            thread.own = Some(Context { files, directory });
        }
    }

    /// Sets what is known of a new task: what its parent has, and what the event says.
    pub(super) fn describe(&mut self, child: &Child<'_>) {
        let parent = self.pid(child.parent);
        let more = &child.more;
        let (mut own, mut process) = match self.info(child.parent) {
            Some((own, process)) => (own.clone(), process.clone()),
            None => (ThreadInfo::default(), ProcessInfo::default()),
        };
        (own.vtid, own.flags, own.started) = (child.tid as i64, child.flags, more.ts);
        (own.ran, own.cpu, own.differing) = (0, None, None);
        own.uid = more.uid.unwrap_or(own.uid);
        own.gid = more.gid.unwrap_or(own.gid);
        own.memory = Memory { pfmajor: 0, pfminor: 0, ..own.memory };
        if child.flags & CLONE_THREAD == 0 || self.process(child.pid).info.is_none() {
            if child.flags & (CLONE_THREAD | CLONE_PARENT) == 0 {
                process.ptid = parent;
            }
            process.ptid = child.ptid.map_or(process.ptid, |ptid| self.pid(ptid));
            (process.vpid, process.started) = (child.pid as i64, more.ts);
            take_over(&mut process, more);
            if self.process_info(child.pid).is_some() {
                self.disown(child.pid);
            }
            self.set_process_info(child.pid, Arc::new(process));
        }
        if let Some(thread) = self.threads.get_mut(&child.tid) {
            thread.info = Some(Box::new(own));
        }
        self.describe_ids(child);
    }

    /// Sets what is known of a thread that executes a program, besides what the event says. It may have been another thread
    /// than the main thread, whose id it has now.
    pub(super) fn describe_exec(&mut self, tid: u64, pid: u64, known: Option<Box<ThreadInfo>>) {
        if self.process_info(pid).is_none() {
            self.set_process_info(pid, Arc::default());
        }
        let vtid = self.process_info(pid).map_or(-1, |info| info.vpid);
        let info = known.unwrap_or_else(|| Box::new(ThreadInfo { vtid, ..ThreadInfo::default() }));
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.info = Some(info);
        }
    }

    /// Sets the memory of a thread, and with it that of the process, which its main thread has.
    pub fn set_memory(&mut self, tid: u64, memory: Memory) {
        self.change(tid, |info| info.memory = memory);
        let pid = self.pid(tid);
        if pid != tid {
            let Memory { vmsize_kb, vmrss_kb, vmswap_kb, .. } = memory;
            self.change(pid, |info| info.memory = Memory { vmsize_kb, vmrss_kb, vmswap_kb, ..info.memory });
        }
    }

    /// Sets the ids of a thread and its process in their own pid namespace, if they are not known.
    pub fn learn_ids(&mut self, tid: u64, ids: (Option<i64>, Option<i64>)) {
        let Some((own, process)) = self.info(tid) else { return };
        let (lacks_vtid, lacks_vpid) = (own.vtid < 0, process.vpid < 0);
        if let (Some(vtid), true) = (ids.0, lacks_vtid) {
            self.change(tid, |info| info.vtid = vtid);
        }
        if let (Some(vpid), true) = (ids.1, lacks_vpid) {
            self.change_process(tid, |info| info.vpid = vpid);
        }
    }

    /// Sets what a child's own return says: its memory and its ids in its own pid namespace.
    pub(super) fn describe_ids(&mut self, child: &Child<'_>) {
        if let (Some(memory), Told::Child) = (child.more.memory, child.told) {
            self.set_memory(child.tid, memory);
        }
        if let (Some((vtid, _)), Told::Child) = (child.nested, child.told) {
            self.change(child.tid, |info| info.vtid = vtid);
        }
        if let (Some(vpid), true) = (child.more.vpid, child.told == Told::Child && child.tid == child.pid) {
            // The state may have another time of a namespace than events: parent and child have the same.
            let namespace = |tid| self.threads.get(&tid).map(|t| t.nested.map(|nested| nested.namespace));
            let is_new = namespace(child.parent).is_some_and(|own| Some(own) != namespace(child.tid));
            let start = child.nested.map_or(0, |(_, start)| start);
            let in_state = self.namespaces.start_in_state(start);
            self.change_process(child.pid, |info| {
                info.vpid = vpid;
                if start != 0 && (is_new || info.pidns_init_start_ts == 0) {
                    info.pidns_init_start_ts = in_state;
                }
            });
        }
    }
}

/// Takes over what the return of a clone or an exec says of the process.
pub(crate) fn take_over(process: &mut ProcessInfo, more: &More<'_>) {
    let put = |text: &mut Text, new: Option<&[u8]>| {
        if let Some(new) = new {
            *text = shared(Some(text), new);
        }
    };
    put(&mut process.exe, more.exe);
    put(&mut process.args, more.args);
    put(&mut process.cgroups, more.cgroups);
    process.fdlimit = more.fdlimit.unwrap_or(process.fdlimit);
}

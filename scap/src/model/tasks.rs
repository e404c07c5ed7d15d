//! Threads and processes.

mod context;

use std::{collections::hash_map::Entry, sync::Arc};

use super::{
    fd_table::{self, FdTable},
    flags::CLONE_THREAD,
    info::{Memory, ProcessInfo, Text, ThreadInfo, shared, text_memory},
    kin::Kin,
    memory::{map_memory, set_memory},
    namespaces::{Namespaces, Nested},
    pool::Pool,
};
use crate::format::{heap, state::Thread as StateThread};
use crate::hash::{HashMap, HashSet};

pub(super) use context::{Context, Directories};

/// The returns of a clone that have been seen. It returns in the parent and in the child, in either order; the second
/// return adds at most the child's ids in its own pid namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    Parent,
    Child,
    Both,
}

#[derive(Debug, Clone)]
pub(super) struct Thread {
    pub pid: u64,
    pub comm: Text,
    pub told: Told,
    /// The gap before which that was seen: the other return may be lost since.
    pub gap: u32,
    pub nested: Option<Nested>,
    /// Its own context, if it does not share its process's; rare.
    pub own: Option<Context>,
    /// It has ended, but its parent has not yet returned from the clone.
    pub ended: bool,
    /// Not kept where only names are asked for.
    pub info: Option<Box<ThreadInfo>>,
}

#[derive(Debug, Clone)]
pub(super) struct Process {
    pub threads: usize,
    pub context: Context,
    pub nested: Option<Nested>,
    pub info: Option<Arc<ProcessInfo>>,
    /// The number of gaps at which its threads were last known to be all there are.
    pub counted: Option<u32>,
    /// The command name of its main thread, if that has ended before others.
    pub leader: Option<Text>,
    /// An event has changed what belongs to the process: what the state said of single threads is obsolete.
    pub is_revised: bool,
}

/// A child, as one of the two returns of its clone describes it.
#[derive(Debug)]
pub(crate) struct Child<'a> {
    pub tid: u64,
    pub pid: u64,
    /// The thread that cloned it; 0 if unknown.
    pub parent: u64,
    /// A thread of the process's parent, where its own return says so.
    pub ptid: Option<u64>,
    pub comm: &'a [u8],
    /// The flags, with the values of the `clone_flags` table.
    pub flags: u32,
    pub told: Told,
    /// Its id in its own pid namespace, and the start time of that namespace; only in the child's return.
    pub nested: Option<(i64, u64)>,
    /// What else the event says.
    pub more: More<'a>,
}

/// What the return of a clone or an exec says of the task besides its names. `None` where the event lacks it.
#[derive(Debug, Default)]
pub(crate) struct More<'a> {
    /// The time of the event.
    pub ts: u64,
    pub exe: Option<&'a [u8]>,
    pub args: Option<&'a [u8]>,
    pub cgroups: Option<&'a [u8]>,
    pub fdlimit: Option<u64>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub memory: Option<Memory>,
    pub vpid: Option<i64>,
}

/// The tasks of a capture.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tasks {
    pub(super) threads: HashMap<u64, Thread>,
    pub(super) processes: HashMap<u64, Process>,
    pub(super) files: Pool<FdTable>,
    pub(super) directories: Pool<Directories>,
    pub(super) namespaces: Namespaces,
    pub(super) kin: Kin,
    /// Gaps so far.
    pub(super) gaps: u32,
    /// Whether the recorder left out events on purpose: the rest does not show all threads and descriptors.
    pub(super) is_partial: bool,
    /// Whether more than names is kept.
    pub(super) whole: bool,
    /// Threads in a clone whose child has not been seen.
    pub(super) cloning: HashSet<u64>,
    /// Threads in a clone whose child has been seen before the state that this comes from, and when they entered it: these
    /// enter events are no news. `None` in states of earlier versions: the next one is meant.
    pub(super) born: HashMap<u64, Option<u64>>,
}

impl Tasks {
    /// Takes over the threads of the initial state; with `whole`, all that it says of them.
    pub fn of_state(threads: &[StateThread], boot_time: u64, whole: bool) -> Tasks {
        let mut tasks = Tasks { namespaces: Namespaces::new(boot_time), whole, ..Tasks::default() };
        threads.iter().for_each(|t| tasks.add_of_state(t));
        threads.iter().for_each(|t| tasks.own_directories(t));
        // Main threads first: the others are compared with them.
        let (main, others): (Vec<_>, Vec<_>) = threads.iter().filter(|_| whole).partition(|t| t.tid == t.pid);
        main.into_iter().chain(others).for_each(|t| tasks.describe_of_state(t));
        tasks
    }

    fn add_of_state(&mut self, t: &StateThread) {
        let is_nested = t.vtid > 0 && t.vtid as u64 != t.tid;
        let nested = is_nested
            .then(|| Nested { namespace: self.namespaces.of_state(t.pidns_init_start_ts), vtid: t.vtid });
        self.add(t.tid, t.pid, &t.comm, Told::Both, nested);
        if t.tid == t.pid {
            *self.cwd_mut(t.pid) = t.cwd.as_slice().into();
            *self.root_mut(t.pid) = t.root.as_slice().into();
        }
    }

    /// Returns the control groups of all processes.
    pub fn cgroups(&self) -> impl Iterator<Item = &[u8]> {
        self.processes.values().filter_map(|process| Some(&*process.info.as_ref()?.cgroups))
    }

    /// The memory that all of this takes, in bytes.
    pub fn memory(&self) -> u64 {
        let of_thread = |thread: &Thread| {
            let differing = thread.info.as_ref().and_then(|info| info.differing.as_ref());
            text_memory(&thread.comm)
                + thread.info.as_ref().map_or(0, |_| heap(size_of::<ThreadInfo>()))
                + differing.map_or(0, |info| info.memory())
        };
        let leaders = self.processes.values().filter_map(|process| process.leader.as_ref());
        let infos = self.processes.values().filter_map(|process| process.info.as_ref());
        let directories = self.directories.iter().map(|d| text_memory(&d.cwd) + text_memory(&d.root));
        map_memory(&self.threads)
            + map_memory(&self.processes)
            + map_memory(&self.files.items)
            + map_memory(&self.directories.items)
            + set_memory(&self.cloning)
            + map_memory(&self.born)
            + self.threads.values().map(of_thread).sum::<u64>()
            + infos.map(|info| info.memory()).sum::<u64>()
            + leaders.map(text_memory).sum::<u64>()
            + directories.sum::<u64>()
            + fd_table::memory(self.files.iter())
            + self.namespaces.memory()
            + self.kin.memory()
    }

    /// Notes that events are missing: what waits for another event may wait in vain.
    pub fn gap(&mut self) {
        self.gaps += 1;
        self.cloning.clear();
        self.born.clear();
    }

    /// Returns the command name of a running thread.
    pub fn comm(&self, tid: u64) -> Option<&[u8]> {
        self.threads.get(&tid).filter(|t| !t.ended).map(|t| &t.comm[..])
    }

    /// Returns the command name of a thread that another thread refers to; it may just have ended.
    pub fn last_comm(&self, tid: u64) -> Option<&[u8]> {
        self.threads.get(&tid).map(|t| &t.comm[..])
    }

    /// Returns which returns of a thread's clone have been seen.
    pub fn told(&self, tid: u64) -> Option<Told> {
        self.threads.get(&tid).map(|thread| thread.told)
    }

    pub fn rename(&mut self, tid: u64, comm: &[u8]) {
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.comm = shared(Some(&thread.comm), comm);
        }
    }

    /// Returns the process of a thread; for an unknown thread, `tid` itself.
    pub fn pid(&self, tid: u64) -> u64 {
        self.threads.get(&tid).map_or(tid, |t| t.pid)
    }

    /// Returns the thread with the number `id` in the pid namespace of thread `tid`; `None` if unknown.
    pub fn resolve(&self, tid: u64, id: u64) -> Option<u64> {
        self.namespaces.resolve(self.threads.get(&tid)?.nested, id)
    }

    /// Returns the thread with the number `id` in the nested pid namespace of thread `tid`; `None` if either is unknown.
    pub fn resolve_nested(&self, tid: u64, id: u64) -> Option<u64> {
        self.namespaces.resolve(Some(self.threads.get(&tid)?.nested?), id)
    }

    pub(super) fn process(&mut self, pid: u64) -> &mut Process {
        self.processes.entry(pid).or_insert_with(|| {
            let context = Context {
                files: self.files.add(FdTable::default()),
                directory: self.directories.add(Directories::default()),
            };
            Process {
                threads: 0,
                context,
                nested: None,
                info: None,
                counted: None,
                leader: None,
                is_revised: false,
            }
        })
    }

    /// Notes that a thread has entered a clone at `ts`.
    pub fn begin_clone(&mut self, tid: u64, ts: u64) {
        if self.born.remove(&tid).is_none_or(|born| born.is_some_and(|entered| entered != ts)) {
            self.cloning.insert(tid);
        }
    }

    /// Notes that a thread has returned from a clone.
    pub fn end_clone(&mut self, tid: u64) {
        self.cloning.remove(&tid);
        self.born.remove(&tid);
    }

    /// Returns the command name of a thread that runs before either return of its clone: that of its parent. `None` if
    /// the possible parents have different names.
    pub fn unborn_comm(&self) -> Option<&[u8]> {
        let mut names = self.cloning.iter().map(|tid| self.comm(*tid));
        let first = names.next()?;
        names.all(|name| name == first).then_some(first)?
    }

    /// Adds a child. At the first return of its clone, it shares or copies its parent's resources.
    pub fn fork(&mut self, child: &Child<'_>) {
        self.cloning.remove(&child.parent);
        let gaps = self.gaps;
        if let Some(known) = self.threads.get_mut(&child.tid)
            && known.pid == child.pid
            && known.told != Told::Both
            && known.told != child.told
            // In a gap, a later task may have taken the id of one that waits for its other return.
            && (known.gap == gaps || known.told == Told::Child && !known.ended)
        {
            known.told = Told::Both;
            if child.told == Told::Child {
                self.set_nested(child);
                self.describe_ids(child);
            }
            return;
        }
        let is_thread = child.flags & CLONE_THREAD != 0;
        self.add(child.tid, child.pid, child.comm, child.told, None);
        if !is_thread && child.tid == child.pid {
            self.start_process(child.pid, child.tid);
        }
        self.set_nested(child);
        if self.whole {
            self.describe(child);
        }
        self.inherit(child);
    }

    /// Announces an unknown child: a clone by thread `tid` has returned its `id` in their nested namespace.
    pub fn announce(&mut self, tid: u64, id: u64) {
        if let (Some(nested), Ok(vtid)) = (self.threads.get(&tid).and_then(|t| t.nested), i64::try_from(id)) {
            self.namespaces.announce(Nested { vtid, ..nested });
        }
    }

    /// Sets the ids of an existing thread in its own pid namespace.
    fn set_nested(&mut self, child: &Child<'_>) {
        let Some((vtid, start)) = child.nested.filter(|(vtid, _)| *vtid as u64 != child.tid) else { return };
        let parent = self.threads.get(&child.parent).and_then(|t| t.nested?.namespace);
        let namespace = self.namespaces.of_child(vtid, start, parent);
        let nested = Some(Nested { namespace, vtid });
        let is_announced = self.namespaces.enter(nested, child.tid);
        if let Some(thread) = self.threads.get_mut(&child.tid) {
            thread.nested = nested;
            thread.told = if is_announced { Told::Both } else { thread.told };
        }
        if child.tid == child.pid {
            self.process(child.pid).nested = nested;
        }
    }

    /// Applies an exec, after which the thread has its process's id and shares its descriptors with nobody.
    pub fn exec(&mut self, tid: u64, pid: u64, comm: &[u8]) {
        let info = self.threads.get_mut(&tid).and_then(|t| t.info.take());
        let (told, nested) = match self.threads.get(&tid) {
            Some(thread) => (thread.told, thread.nested),
            None => (Told::Both, self.processes.get(&pid).and_then(|p| p.nested)),
        };
        let own = self.threads.get_mut(&tid).and_then(|t| t.own.take());
        self.add(tid, pid, comm, told, nested);
        self.start_process(pid, tid);
        if self.whole {
            self.describe_exec(tid, pid, info);
        }
        if let Some(own) = own {
            let of_process = std::mem::replace(&mut self.process(pid).context, own);
            self.release(of_process);
        }
        self.unshare(pid, true, false);
        self.files_mut(pid).exec();
    }

    pub(super) fn add(&mut self, tid: u64, pid: u64, comm: &[u8], told: Told, nested: Option<Nested>) {
        if self.threads.get(&tid).is_some_and(|t| t.pid != pid || t.ended) {
            self.forget(tid);
        }
        let thread = Thread {
            pid,
            comm: comm.into(),
            told,
            gap: self.gaps,
            nested,
            own: None,
            ended: false,
            info: None,
        };
        self.namespaces.enter(nested, tid);
        self.kin.add_thread(pid, tid);
        let old = self.threads.insert(tid, thread);
        let is_new = old.is_none();
        if let Some(own) = old.and_then(|old| old.own) {
            self.release(own);
        }
        let process = self.process(pid);
        process.threads += usize::from(is_new);
        if tid == pid {
            process.nested = nested;
        }
    }

    /// Ends a thread. The last thread of a process also closes its descriptors. The name stays until the parent has
    /// returned from the clone.
    ///
    /// `reaper` is the thread that inherits its children, if there is one.
    pub fn end(&mut self, tid: u64, reaper: Option<u64>) {
        self.cloning.remove(&tid);
        self.born.remove(&tid);
        let Some(thread) = self.threads.get_mut(&tid) else { return self.leave_process(tid, tid, reaper) };
        let pid = thread.pid;
        if thread.told == Told::Child && !thread.ended {
            thread.ended = true;
            let own = thread.own.take();
            own.into_iter().for_each(|own| self.release(own));
            self.leave_process(tid, pid, reaper);
            if let Some(thread) = self.threads.get(&tid).cloned() {
                self.keep_leader(tid, &thread);
            }
        } else {
            self.forget_for(tid, reaper);
        }
    }

    /// Returns whether a thread has ended and both returns of its clone have been seen.
    pub fn is_gone(&self, tid: u64) -> bool {
        self.threads.get(&tid).is_some_and(|t| t.ended && t.told == Told::Both)
    }

    pub(super) fn forget(&mut self, tid: u64) {
        self.forget_for(tid, None);
    }

    fn forget_for(&mut self, tid: u64, reaper: Option<u64>) {
        let Some(thread) = self.threads.remove(&tid) else { return };
        self.namespaces.leave(thread.nested, tid);
        thread.own.into_iter().for_each(|own| self.release(own));
        if !thread.ended {
            self.leave_process(tid, thread.pid, reaper);
        }
        self.keep_leader(tid, &thread);
    }

    fn leave_process(&mut self, tid: u64, pid: u64, reaper: Option<u64>) {
        self.kin.remove_thread(pid, tid);
        if let Entry::Occupied(mut process) = self.processes.entry(pid) {
            process.get_mut().threads = process.get().threads.saturating_sub(1);
            if process.get().threads == 0 {
                let process = process.remove();
                self.release(process.context);
                self.bequeath(pid, process.info.as_deref(), reaper);
            }
        } else {
            // It ended while the state was read, which may have its children.
            self.bequeath(pid, None, reaper);
        }
    }
}

#[cfg(test)]
mod tests;

//! Threads and processes, and the file descriptors and working directories that they share.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::Arc,
};

use super::{
    fd_table::{self, FdTable},
    memory::{map_memory, set_memory},
    namespaces::{Namespaces, Nested},
    transitions::{CLONE_FILES, CLONE_FS, CLONE_THREAD},
};
use crate::format::{heap, state::Thread as StateThread};

/// The returns of a clone that have been seen. It returns in the parent and in the child, in either order; the second
/// return adds at most the child's ids in its own pid namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    Parent,
    Child,
    Both,
}

#[derive(Debug, Clone)]
struct Thread {
    pid: u64,
    comm: Vec<u8>,
    told: Told,
    nested: Option<Nested>,
    /// Its own context, if it does not share its process's; rare.
    own: Option<Context>,
    /// It has ended, but its parent has not yet returned from the clone.
    ended: bool,
}

#[derive(Debug, Clone)]
struct Process {
    threads: usize,
    context: Context,
    nested: Option<Nested>,
}

/// The resources that tasks may share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Context {
    files: Id,
    directory: Id,
}

/// A child, as one of the two returns of its clone describes it.
#[derive(Debug)]
pub(crate) struct Child<'a> {
    pub tid: u64,
    pub pid: u64,
    /// The thread that cloned it.
    pub parent: u64,
    pub comm: &'a [u8],
    /// The flags, with the values of the `clone_flags` table.
    pub flags: u32,
    pub told: Told,
    /// Its id in its own pid namespace, and the start time of that namespace; only in the child's return.
    pub nested: Option<(i64, u64)>,
}

/// The tasks of a capture.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tasks {
    threads: HashMap<u64, Thread>,
    processes: HashMap<u64, Process>,
    files: Pool<FdTable>,
    directories: Pool<Arc<[u8]>>,
    namespaces: Namespaces,
    /// Threads in a clone whose child has not been seen.
    cloning: HashSet<u64>,
}

impl Tasks {
    pub fn of_state(threads: &[StateThread], boot_time: u64) -> Tasks {
        let mut tasks = Tasks { namespaces: Namespaces::new(boot_time), ..Tasks::default() };
        for t in threads {
            let is_nested = t.vtid > 0 && t.vtid as u64 != t.tid;
            let nested = is_nested.then(|| Nested {
                namespace: tasks.namespaces.of_state(t.pidns_init_start_ts),
                vtid: t.vtid,
            });
            tasks.add(t.tid, t.pid, &t.comm, Told::Both, nested);
            if t.tid == t.pid {
                *tasks.directory_mut(t.pid) = t.cwd.as_slice().into();
            }
        }
        tasks
    }

    /// The memory that all of this takes, in bytes.
    pub fn memory(&self) -> u64 {
        let comms: u64 = self.threads.values().map(|thread| heap(thread.comm.capacity())).sum();
        let directories: u64 = self.directories.iter().map(|path| heap(16 + path.len())).sum();
        map_memory(&self.threads)
            + map_memory(&self.processes)
            + map_memory(&self.files.items)
            + map_memory(&self.directories.items)
            + set_memory(&self.cloning)
            + comms
            + directories
            + fd_table::memory(self.files.iter())
            + self.namespaces.memory()
    }

    /// Returns the command name of a running thread.
    pub fn comm(&self, tid: u64) -> Option<&[u8]> {
        self.threads.get(&tid).filter(|t| !t.ended).map(|t| &t.comm[..])
    }

    /// Returns the command name of a thread that another thread refers to; it may just have ended.
    pub fn last_comm(&self, tid: u64) -> Option<&[u8]> {
        self.threads.get(&tid).map(|t| &t.comm[..])
    }

    pub fn rename(&mut self, tid: u64, comm: &[u8]) {
        if let Some(thread) = self.threads.get_mut(&tid) {
            thread.comm = comm.to_vec();
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

    fn context(&self, tid: u64) -> Option<Context> {
        let thread = self.threads.get(&tid);
        let of_process = || self.processes.get(&thread.map_or(tid, |t| t.pid)).map(|p| p.context);
        thread.and_then(|t| t.own).or_else(of_process)
    }

    pub fn files(&self, tid: u64) -> Option<&FdTable> {
        self.files.get(self.context(tid)?.files)
    }

    pub fn directory(&self, tid: u64) -> Option<&[u8]> {
        self.directories.get(self.context(tid)?.directory).map(|cwd| &cwd[..]).filter(|cwd| !cwd.is_empty())
    }

    /// Returns the descriptors of a thread; creates its process if unknown.
    pub fn files_mut(&mut self, tid: u64) -> &mut FdTable {
        let files = self.context_of(tid).files;
        self.files.get_mut(files)
    }

    pub fn directory_mut(&mut self, tid: u64) -> &mut Arc<[u8]> {
        let directory = self.context_of(tid).directory;
        self.directories.get_mut(directory)
    }

    fn context_of(&mut self, tid: u64) -> Context {
        match self.threads.get(&tid).and_then(|t| t.own) {
            Some(own) => own,
            None => self.process(self.pid(tid)).context,
        }
    }

    fn process(&mut self, pid: u64) -> &mut Process {
        self.processes.entry(pid).or_insert_with(|| {
            let context = Context {
                files: self.files.add(FdTable::default()),
                directory: self.directories.add(Arc::default()),
            };
            Process { threads: 0, context, nested: None }
        })
    }

    /// Notes that a thread has entered a clone.
    pub fn begin_clone(&mut self, tid: u64) {
        self.cloning.insert(tid);
    }

    /// Notes that a thread has returned from a clone.
    pub fn end_clone(&mut self, tid: u64) {
        self.cloning.remove(&tid);
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
        if let Some(known) = self.threads.get_mut(&child.tid)
            && known.pid == child.pid
            && known.told != Told::Both
            && known.told != child.told
        {
            known.told = Told::Both;
            if child.told == Told::Child {
                self.set_nested(child);
            }
            return;
        }
        self.add(child.tid, child.pid, child.comm, child.told, None);
        self.set_nested(child);
        let Some(inherited) = self.context(child.parent) else { return };
        let (shares_files, shares_directory) = (child.flags & CLONE_FILES != 0, child.flags & CLONE_FS != 0);
        let is_thread = child.flags & CLONE_THREAD != 0;
        let of_process = self.process(child.pid).context;
        if is_thread && shares_files && shares_directory && inherited == of_process {
            return;
        }
        let context = Context {
            files: self.files.inherit(inherited.files, shares_files),
            directory: self.directories.inherit(inherited.directory, shares_directory),
        };
        match self.threads.get_mut(&child.tid) {
            Some(thread) if is_thread => thread.own = Some(context),
            _ if child.pid != child.tid => self.release(context),
            _ => {
                self.process(child.pid).context = context;
                self.release(of_process);
            }
        }
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
        let (told, nested) = match self.threads.get(&tid) {
            Some(thread) => (thread.told, thread.nested),
            None => (Told::Both, self.processes.get(&pid).and_then(|p| p.nested)),
        };
        let own = self.threads.get_mut(&tid).and_then(|t| t.own.take());
        self.add(tid, pid, comm, told, nested);
        if let Some(own) = own {
            let of_process = std::mem::replace(&mut self.process(pid).context, own);
            self.release(of_process);
        }
        self.unshare(pid, true, false);
        self.files_mut(pid).exec();
    }

    /// Stops a thread from sharing its files or its directory. For a main thread, this applies to its whole process.
    pub fn unshare(&mut self, tid: u64, files: bool, directory: bool) {
        let pid = self.pid(tid);
        let threads = self.process(pid).threads;
        let mut context = self.context_of(tid);
        let is_own = self.threads.get(&tid).is_some_and(|t| t.own.is_some());
        let leaves_process = !is_own && threads > 1 && tid != pid;
        if leaves_process {
            context.files = self.files.inherit(context.files, !files);
            context.directory = self.directories.inherit(context.directory, !directory);
        } else {
            if files {
                context.files = self.files.unshare(context.files);
            }
            if directory {
                context.directory = self.directories.unshare(context.directory);
            }
        }
        match self.threads.get_mut(&tid) {
            Some(thread) if is_own || leaves_process => thread.own = Some(context),
            _ => self.process(pid).context = context,
        }
    }

    fn add(&mut self, tid: u64, pid: u64, comm: &[u8], told: Told, nested: Option<Nested>) {
        if self.threads.get(&tid).is_some_and(|t| t.pid != pid || t.ended) {
            self.forget(tid);
        }
        let thread = Thread { pid, comm: comm.to_vec(), told, nested, own: None, ended: false };
        self.namespaces.enter(nested, tid);
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
    pub fn end(&mut self, tid: u64) {
        self.cloning.remove(&tid);
        let Some(thread) = self.threads.get_mut(&tid) else { return self.leave_process(tid) };
        let pid = thread.pid;
        if thread.told == Told::Child && !thread.ended {
            thread.ended = true;
            let own = thread.own.take();
            own.into_iter().for_each(|own| self.release(own));
            self.leave_process(pid);
        } else {
            self.forget(tid);
        }
    }

    /// Returns whether a thread has ended and both returns of its clone have been seen.
    pub fn is_gone(&self, tid: u64) -> bool {
        self.threads.get(&tid).is_some_and(|t| t.ended && t.told == Told::Both)
    }

    fn forget(&mut self, tid: u64) {
        let Some(thread) = self.threads.remove(&tid) else { return };
        self.namespaces.leave(thread.nested, tid);
        thread.own.into_iter().for_each(|own| self.release(own));
        if !thread.ended {
            self.leave_process(thread.pid);
        }
    }

    fn leave_process(&mut self, pid: u64) {
        if let Entry::Occupied(mut process) = self.processes.entry(pid) {
            process.get_mut().threads = process.get().threads.saturating_sub(1);
            if process.get().threads == 0 {
                let context = process.remove().context;
                self.release(context);
            }
        }
    }

    fn release(&mut self, context: Context) {
        self.files.release(context.files);
        self.directories.release(context.directory);
    }
}

/// A key of a [`Pool`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Id(u64);

/// Shared items with their reference counts.
#[derive(Debug, Clone, Default)]
struct Pool<T> {
    items: HashMap<Id, (T, usize)>,
    next: u64,
}

impl<T: Clone + Default> Pool<T> {
    fn add(&mut self, item: T) -> Id {
        self.next += 1;
        let id = Id(self.next);
        self.items.insert(id, (item, 1));
        id
    }

    fn iter(&self) -> impl Iterator<Item = &T> {
        self.items.values().map(|(item, _)| item)
    }

    fn get(&self, id: Id) -> Option<&T> {
        self.items.get(&id).map(|(item, _)| item)
    }

    fn get_mut(&mut self, id: Id) -> &mut T {
        &mut self.items.entry(id).or_default().0
    }

    /// Returns what a child gets: the same item or a copy.
    fn inherit(&mut self, id: Id, shared: bool) -> Id {
        match self.items.get_mut(&id) {
            Some((_, users)) if shared => {
                *users += 1;
                id
            }
            Some((item, _)) => {
                let copy = item.clone();
                self.add(copy)
            }
            None => self.add(T::default()),
        }
    }

    /// Releases a shared item and returns a copy; returns the item itself if nobody else uses it.
    fn unshare(&mut self, id: Id) -> Id {
        if self.items.get(&id).is_some_and(|(_, users)| *users <= 1) {
            return id;
        }
        let own = self.inherit(id, false);
        self.release(id);
        own
    }

    fn release(&mut self, id: Id) {
        if let Entry::Occupied(mut item) = self.items.entry(id) {
            item.get_mut().1 = item.get().1.saturating_sub(1);
            if item.get().1 == 0 {
                item.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fds::{FdClass, OpenFd};

    fn child(tid: u64, pid: u64, flags: u32) -> Child<'static> {
        Child { tid, pid, parent: 1, comm: b"c", flags, told: Told::Both, nested: None }
    }

    fn parent() -> Tasks {
        let mut tasks = Tasks::default();
        tasks.add(1, 1, b"p", Told::Both, None);
        open(&mut tasks, 1, 3);
        tasks
    }

    fn open(tasks: &mut Tasks, tid: u64, fd: i64) {
        tasks.files_mut(tid).insert(fd, OpenFd::new(FdClass::File, b"/a"), false);
    }

    fn has(tasks: &Tasks, tid: u64, fd: i64) -> bool {
        tasks.files(tid).is_some_and(|files| files.get(fd).is_some())
    }

    #[test]
    fn descriptors_are_shared_or_copied() {
        let mut tasks = parent();
        tasks.fork(&child(2, 2, CLONE_FILES));
        tasks.fork(&child(3, 3, 0));
        open(&mut tasks, 2, 4);
        open(&mut tasks, 3, 5);
        assert_eq!([1, 2, 3].map(|tid| [3, 4, 5].map(|fd| has(&tasks, tid, fd))), {
            [[true, true, false], [true, true, false], [true, false, true]]
        });
        // An exec ends the sharing; the end of one process leaves the other its descriptors.
        tasks.exec(2, 2, b"x");
        open(&mut tasks, 2, 6);
        assert!(has(&tasks, 2, 3) && !has(&tasks, 1, 6));
        tasks.end(2);
        assert!(has(&tasks, 1, 4));
        [1, 3].into_iter().for_each(|tid| tasks.end(tid));
        assert!(tasks.files.items.is_empty() && tasks.directories.items.is_empty());
    }

    #[test]
    fn a_thread_may_have_descriptors_of_its_own() {
        let mut tasks = parent();
        tasks.fork(&child(2, 1, CLONE_THREAD | CLONE_FILES | CLONE_FS));
        tasks.fork(&child(3, 1, CLONE_THREAD | CLONE_FS));
        open(&mut tasks, 1, 4);
        assert!(has(&tasks, 2, 4) && !has(&tasks, 3, 4) && has(&tasks, 3, 3));
        tasks.unshare(2, true, true);
        open(&mut tasks, 2, 5);
        *tasks.directory_mut(2) = (*b"/x").into();
        assert!(has(&tasks, 2, 4) && !has(&tasks, 1, 5));
        assert_eq!((tasks.directory(1), tasks.directory(2)), (None, Some(&b"/x"[..])));
        // Its exec makes its descriptors the process's.
        tasks.exec(2, 1, b"x");
        assert!(has(&tasks, 2, 5));
        [1, 2, 3].into_iter().for_each(|tid| tasks.end(tid));
        assert!(tasks.files.items.is_empty() && tasks.directories.items.is_empty());
    }

    #[test]
    fn an_ended_child_keeps_its_name_until_its_parent_returns() {
        let mut tasks = parent();
        tasks.fork(&Child { told: Told::Child, ..child(2, 2, 0) });
        tasks.end(2);
        assert_eq!((tasks.comm(2), tasks.last_comm(2)), (None, Some(&b"c"[..])));
        assert!(!tasks.is_gone(2) && !has(&tasks, 2, 3));
        tasks.fork(&Child { told: Told::Parent, ..child(2, 2, 0) });
        assert!(tasks.is_gone(2));
        tasks.end(2);
        assert_eq!(tasks.last_comm(2), None);
        tasks.end(1);
        assert!(tasks.files.items.is_empty() && tasks.processes.is_empty());
    }
}

//! The file descriptors and working directories that threads and processes share.

use super::{Child, Tasks};
use crate::model::{
    fd_table::FdTable,
    flags::{CLONE_FILES, CLONE_FS, CLONE_THREAD},
    info::Text,
    pool::Id,
};

/// The resources that tasks may share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::model) struct Context {
    pub files: Id,
    pub directory: Id,
}

/// A working directory and the root directory; empty if unknown.
#[derive(Debug, Clone, Default)]
pub(in crate::model) struct Directories {
    pub cwd: Text,
    pub root: Text,
}

impl Directories {
    /// Returns whether a thread that the state gives these paths has directories of its own.
    pub fn differ(&self, cwd: &[u8], root: &[u8]) -> bool {
        let differs = |own: &[u8], shared: &[u8]| !own.is_empty() && own != shared;
        differs(cwd, &self.cwd) || differs(root, &self.root)
    }
}

impl Tasks {
    pub(in crate::model) fn context(&self, tid: u64) -> Option<Context> {
        let thread = self.threads.get(&tid);
        let of_process = || self.processes.get(&thread.map_or(tid, |t| t.pid)).map(|p| p.context);
        thread.and_then(|t| t.own).or_else(of_process)
    }

    pub fn files(&self, tid: u64) -> Option<&FdTable> {
        self.files.get(self.context(tid)?.files)
    }

    pub fn root(&self, tid: u64) -> Option<&[u8]> {
        self.directories
            .get(self.context(tid)?.directory)
            .map(|d| &d.root[..])
            .filter(|root| !root.is_empty())
    }

    pub fn cwd(&self, tid: u64) -> Option<&[u8]> {
        self.directories.get(self.context(tid)?.directory).map(|d| &d.cwd[..]).filter(|cwd| !cwd.is_empty())
    }

    /// Returns the descriptors of a thread; creates its process if unknown.
    pub fn files_mut(&mut self, tid: u64) -> &mut FdTable {
        let files = self.context_of(tid).files;
        self.files.get_mut(files)
    }

    pub fn cwd_mut(&mut self, tid: u64) -> &mut Text {
        let directory = self.context_of(tid).directory;
        &mut self.directories.get_mut(directory).cwd
    }

    pub fn root_mut(&mut self, tid: u64) -> &mut Text {
        let directory = self.context_of(tid).directory;
        &mut self.directories.get_mut(directory).root
    }

    fn context_of(&mut self, tid: u64) -> Context {
        match self.threads.get(&tid).and_then(|t| t.own) {
            Some(own) => own,
            None => self.process(self.pid(tid)).context,
        }
    }

    /// Shares a new child's resources with its parent, or copies them.
    pub(super) fn inherit(&mut self, child: &Child<'_>) {
        let is_thread = child.flags & CLONE_THREAD != 0;
        let Some(inherited) = self.context(child.parent) else { return };
        let (shares_files, shares_directory) = (child.flags & CLONE_FILES != 0, child.flags & CLONE_FS != 0);
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

    pub(in crate::model) fn release(&mut self, context: Context) {
        self.files.release(context.files);
        self.directories.release(context.directory);
    }
}

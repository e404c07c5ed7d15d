//! The names of threads and file descriptors at an event's time: the capture's initial state, updated by its events.

use std::collections::HashMap;

use super::{
    fds::{OpenFd, ServerPorts},
    memory::map_memory,
    paths,
    tasks::Tasks,
};
use crate::format::{EventView, MachineState, heap};

/// The `dirfd` value that stands for the working directory.
pub const AT_FDCWD: i64 = -100;
/// The limit for a joined path in bytes: a directory and a relative path of PATH_MAX (4096) each.
const MAX_PATH: usize = 2 * 4096;

/// What the last event ended. It is removed with the next event, so that the last event still shows its name.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ended {
    Fds { tid: u64, first: i64, last: i64 },
    Thread { tid: u64 },
}

/// The names of a capture's threads, descriptors, users and groups.
#[derive(Debug, Clone, Default)]
pub struct Names {
    pub(crate) tasks: Tasks,
    users: HashMap<u32, Vec<u8>>,
    groups: HashMap<u32, Vec<u8>>,
    pub(crate) ended: Option<Ended>,
}

impl Names {
    /// Creates the names from the initial state of a section.
    pub fn of_state(state: &MachineState) -> Names {
        let mut names = Names {
            users: state.users.iter().map(|u| (u.uid, u.name.clone())).collect(),
            groups: state.groups.iter().map(|g| (g.gid, g.name.clone())).collect(),
            tasks: Tasks::of_state(&state.threads, state.machine.boot_time),
            ended: None,
        };
        let listening = ServerPorts::of_state(&state.fds);
        for list in &state.fds {
            let fds = names.tasks.files_mut(list.pid);
            for fd in &list.fds {
                let (open, close_on_exec) = OpenFd::of_state(&fd.kind, &listening);
                fds.insert(fd.fd as i64, open, close_on_exec);
            }
        }
        names
    }

    /// The memory that all of this takes, in bytes, as far as it depends on the capture.
    pub fn memory(&self) -> u64 {
        let accounts = |names: &HashMap<u32, Vec<u8>>| {
            map_memory(names) + names.values().map(|name| heap(name.capacity())).sum::<u64>()
        };
        self.tasks.memory() + accounts(&self.users) + accounts(&self.groups)
    }

    /// Returns the command name of a running thread.
    pub fn comm(&self, tid: u64) -> Option<&[u8]> {
        self.tasks.comm(tid)
    }

    /// Returns the command name of a thread that another thread refers to; it may just have ended.
    pub fn last_comm(&self, tid: u64) -> Option<&[u8]> {
        self.tasks.last_comm(tid)
    }

    /// Returns the command name of the thread with the number `id` in the pid namespace of thread `tid`.
    pub fn comm_within(&self, tid: u64, id: u64) -> Option<&[u8]> {
        self.last_comm(self.tasks.resolve(tid, id)?)
    }

    /// Returns the command name of a thread that runs before either return of its clone: that of its parent. `None` if
    /// the possible parents have different names.
    pub fn unborn_comm(&self) -> Option<&[u8]> {
        self.tasks.unborn_comm()
    }

    /// Returns the process of a thread; for an unknown thread, `tid` itself.
    pub fn pid(&self, tid: u64) -> u64 {
        self.tasks.pid(tid)
    }

    /// Returns descriptor `fd` of a thread.
    pub fn fd(&self, tid: u64, fd: i64) -> Option<&OpenFd> {
        self.tasks.files(tid)?.get(fd)
    }

    /// Returns descriptor `fd` of the process that `pidfd` of thread `tid` refers to.
    pub fn fd_of_pidfd(&self, tid: u64, pidfd: i64, fd: i64) -> Option<&OpenFd> {
        self.fd(self.fd(tid, pidfd)?.process()?, fd)
    }

    /// Returns the working directory of a thread, `None` if unknown.
    pub fn cwd(&self, tid: u64) -> Option<&[u8]> {
        self.tasks.directory(tid)
    }

    /// Returns the name of a user.
    pub fn user(&self, uid: u32) -> Option<&[u8]> {
        self.users.get(&uid).map(|n| &n[..])
    }

    /// Returns the name of a group.
    pub fn group(&self, gid: u32) -> Option<&[u8]> {
        self.groups.get(&gid).map(|n| &n[..])
    }

    /// Makes a path of `event` absolute: relative to `dirfd` if given, otherwise to the working directory. Returns
    /// `None` if that directory is unknown, or if the result would reach 8192 bytes.
    pub fn absolute(&self, event: &EventView<'_>, dirfd: Option<i64>, path: &[u8]) -> Option<Vec<u8>> {
        let base = match dirfd {
            _ if path.starts_with(b"/") => b"/",
            None | Some(AT_FDCWD) => self.cwd(event.tid())?,
            Some(fd) => &self.fd(event.tid(), fd)?.name,
        };
        // A hostile capture may change directory forever, which would grow every later path.
        let is_known = base.starts_with(b"/") && base.len() + path.len() < MAX_PATH;
        is_known.then(|| paths::join(base, path))
    }
}

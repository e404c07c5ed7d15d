//! What threads and file descriptors are called at an event's time: the state that a capture starts with, kept up to
//! date by its events.

use std::collections::HashMap;

use super::{
    apply::Ended,
    fds::{OpenFd, ServerPorts},
    paths,
    tasks::Tasks,
};
use scap::format::{EventView, MachineState};

/// The directory descriptor that stands for the working directory.
pub(super) const AT_FDCWD: i64 = -100;
/// Linux writes no longer path, in bytes; a relative one may come on top.
const MAX_PATH: usize = 2 * 4096;

/// The names of a capture's threads, descriptors, users and groups.
#[derive(Debug, Clone, Default)]
pub struct Names {
    pub(super) tasks: Tasks,
    users: HashMap<u32, Vec<u8>>,
    groups: HashMap<u32, Vec<u8>>,
    pub(super) ended: Option<Ended>,
}

impl Names {
    /// The names that a section of a capture starts with.
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

    /// The command name of a thread.
    pub fn comm(&self, tid: u64) -> Option<&[u8]> {
        self.tasks.comm(tid)
    }

    /// The command name of a thread that another one names: it may just have ended.
    pub fn last_comm(&self, tid: u64) -> Option<&[u8]> {
        self.tasks.last_comm(tid)
    }

    /// The command name of the thread that thread `tid` means by `id`, a number of its pid namespace.
    pub fn comm_within(&self, tid: u64, id: u64) -> Option<&[u8]> {
        self.last_comm(self.tasks.resolve(tid, id)?)
    }

    /// The process of a thread; a thread that nothing is known of is its own.
    pub fn pid(&self, tid: u64) -> u64 {
        self.tasks.pid(tid)
    }

    /// A descriptor of a thread.
    pub fn fd(&self, tid: u64, fd: i64) -> Option<&OpenFd> {
        self.tasks.files(tid)?.get(fd)
    }

    /// A descriptor of the process that a pidfd of thread `tid` stands for.
    pub fn fd_of_pidfd(&self, tid: u64, pidfd: i64, fd: i64) -> Option<&OpenFd> {
        self.fd(self.fd(tid, pidfd)?.process()?, fd)
    }

    /// The working directory of a thread, `None` where unknown.
    pub fn cwd(&self, tid: u64) -> Option<&[u8]> {
        self.tasks.directory(tid)
    }

    /// The name of a user.
    pub fn user(&self, uid: u32) -> Option<&[u8]> {
        self.users.get(&uid).map(|n| &n[..])
    }

    /// The name of a group.
    pub fn group(&self, gid: u32) -> Option<&[u8]> {
        self.groups.get(&gid).map(|n| &n[..])
    }

    /// The path that a parameter of `event` names, made absolute: relative to the event's directory descriptor where
    /// it has one, to the working directory otherwise. `None` where that is not known, and where the path would be longer
    /// than any that Linux makes.
    pub fn absolute(&self, event: &EventView<'_>, dirfd: Option<i64>, path: &[u8]) -> Option<Vec<u8>> {
        let base = match dirfd {
            _ if path.starts_with(b"/") => b"/",
            None | Some(AT_FDCWD) => self.cwd(event.tid())?,
            Some(fd) => &self.fd(event.tid(), fd)?.name,
        };
        // A capture may change into a folder without end, and each path in it would carry all of that.
        let is_known = base.starts_with(b"/") && base.len() + path.len() < MAX_PATH;
        is_known.then(|| paths::join(base, path))
    }
}

//! The machine at an event's time, and what can be asked about it.

use super::{
    containers::Containers,
    fds::OpenFd,
    info::{CpuTime, ProcessInfo, ThreadInfo},
    pairing::{Call, Pairing},
    paths,
    requests::{Request, Requests},
    schedule::Schedule,
    tasks::Tasks,
    users::Accounts,
};
use crate::{
    container::Description,
    format::{
        EventView,
        state::{Group, Interface, MachineInfo, User},
    },
};

/// The `dirfd` value that stands for the working directory.
pub const AT_FDCWD: i64 = -100;
/// The limit for a joined path in bytes: a directory and a relative path of PATH_MAX (4096) each.
const MAX_PATH: usize = 2 * 4096;

/// What the last event ended. It is removed with the next event, so that the last event still shows its name.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ended {
    Fds {
        tid: u64,
        first: i64,
        last: i64,
    },
    /// A thread, and the one that inherits its children.
    Thread {
        tid: u64,
        reaper: Option<u64>,
    },
}

/// The recorded machine: threads, processes, descriptors, users and groups.
///
/// [`apply`](Machine::apply) takes each event of a section, in order; what is asked then is true at that event.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    pub(super) tasks: Tasks,
    pub(super) accounts: Accounts,
    pub(super) containers: Containers,
    pub(super) ended: Option<Ended>,
    pub(super) pairing: Pairing,
    /// Requests of io_uring.
    pub(super) requests: Requests<Request>,
    pub(super) request_fd: Option<i64>,
    pub(super) latency: Option<u64>,
    pub(super) changed: bool,
    pub(super) schedule: Schedule,
    pub(super) ran: Option<u64>,
    pub(super) used: Option<CpuTime>,
    pub(super) renamed: bool,
    pub(super) info: MachineInfo,
    pub(super) interfaces: Vec<Interface>,
    /// Whether enter and exit events are not paired.
    pub(super) ignores_calls: bool,
}

/// A running thread.
#[derive(Debug, Clone, Copy)]
pub struct Thread<'a> {
    /// Its id in the initial pid namespace.
    pub tid: u64,
    /// Its process.
    pub pid: u64,
    /// Its command name.
    pub comm: &'a [u8],
    /// The working directory; empty if unknown.
    pub cwd: &'a [u8],
    /// The root directory; empty if unknown.
    pub root: &'a [u8],
    /// What belongs to the thread.
    pub info: &'a ThreadInfo,
    /// What belongs to its process.
    pub process: &'a ProcessInfo,
}

impl Machine {
    /// The memory that all of this takes, in bytes, as far as it depends on the capture.
    pub fn memory(&self) -> u64 {
        let interfaces = self.interfaces.iter().map(|i| size_of::<Interface>() + i.name.capacity());
        self.tasks.memory()
            + self.accounts.memory()
            + self.containers.memory()
            + self.pairing.memory()
            + self.requests.memory()
            + self.requests.values().map(Request::memory).sum::<u64>()
            + self.schedule.memory()
            + interfaces.sum::<usize>() as u64
    }

    /// Sets whether it knows neither which calls threads are in nor how long calls took, which saves time.
    pub fn ignore_calls(&mut self, ignores: bool) {
        self.ignores_calls = ignores;
    }

    /// Returns what is known of the recorded machine itself.
    pub fn info(&self) -> &MachineInfo {
        &self.info
    }

    /// Returns the addresses of the network interfaces.
    pub fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    /// Returns a running thread; `None` if it is unknown, or if only names are kept.
    pub fn thread(&self, tid: u64) -> Option<Thread<'_>> {
        let (info, process) = self.tasks.info(tid)?;
        Some(Thread {
            tid,
            pid: self.pid(tid),
            comm: self.comm(tid)?,
            cwd: self.cwd(tid).unwrap_or_default(),
            root: self.root(tid).unwrap_or_default(),
            info,
            process,
        })
    }

    /// Returns the ids of all running threads, in order.
    pub fn threads(&self) -> Vec<u64> {
        self.tasks.tids()
    }

    /// Returns the descriptors of a thread, in the order of their numbers.
    pub fn fds(&self, tid: u64) -> Vec<(i64, &OpenFd)> {
        let mut fds: Vec<_> = self
            .tasks
            .files(tid)
            .into_iter()
            .flat_map(|files| files.iter())
            .map(|(fd, open, _)| (fd, open))
            .collect();
        fds.sort_by_key(|(fd, _)| *fd);
        fds
    }

    /// Returns whether the last event may have changed a name, or something else that later events refer to. What is known
    /// of a process's memory does not count.
    pub fn has_changed(&self) -> bool {
        self.changed
    }

    /// Returns how long the call took that the last event ended, in ns. `None` if that event ended no call, or if the
    /// capture lacks the call's enter event.
    pub fn latency(&self) -> Option<u64> {
        self.latency
    }

    /// Returns the descriptor that the request of io_uring was about whose completion was the last event. `None` if that event
    /// was none, if the capture lacks the submission, or if the request was about no descriptor.
    pub fn request_fd(&self) -> Option<i64> {
        self.request_fd
    }

    /// Returns how long the thread ran on its CPU that the last event, a switch, took off it, in ns. `None` if the capture
    /// does not show when it came there.
    pub fn ran(&self) -> Option<u64> {
        self.ran
    }

    /// Returns the CPU time of the thread between the last event, a procinfo event, and the one before of that thread.
    pub fn used(&self) -> Option<CpuTime> {
        self.used
    }

    /// Returns the process of a running thread; `None` if the thread is unknown.
    pub fn process_of(&self, tid: u64) -> Option<u64> {
        self.tasks.process_of(tid)
    }

    /// Returns whether all threads of a process have what is known of it. The initial state may tell threads apart.
    pub fn is_uniform(&self, pid: u64) -> bool {
        self.tasks.is_uniform(pid)
    }

    /// Returns what is known of a running thread, without its names; `None` as for [`thread`](Machine::thread).
    pub fn thread_info(&self, tid: u64) -> Option<&ThreadInfo> {
        self.tasks.info(tid).map(|(own, _)| own)
    }

    /// Returns what is known of the process of a thread that runs; `None` as for [`thread`](Machine::thread).
    pub fn process_info(&self, tid: u64) -> Option<&ProcessInfo> {
        self.tasks.info(tid).map(|(_, process)| process)
    }

    /// Returns a process by its id. Its main thread may have ended before others.
    pub fn process(&self, pid: u64) -> Option<&ProcessInfo> {
        self.tasks.process_info(pid)
    }

    /// Returns the command name of a process: that of its main thread.
    pub fn process_comm(&self, pid: u64) -> Option<&[u8]> {
        self.tasks.process_comm(pid)
    }

    /// Returns the ancestors of a process, the parent first, as far as they are known to run; at most 256.
    pub fn ancestors(&self, pid: u64) -> impl Iterator<Item = (u64, &ProcessInfo)> {
        self.tasks.ancestors(pid)
    }

    /// Returns the number of running threads of a process, without one that the last event ends. `None` if the capture does
    /// not show all of them, as after a gap.
    pub fn thread_count(&self, pid: u64) -> Option<u64> {
        self.tasks.thread_count(pid, self.ending())
    }

    /// Returns whether the main thread of a process runs, and is not the one that the last event ends.
    pub fn has_main_thread(&self, pid: u64) -> bool {
        self.tasks.pid(pid) == pid && self.tasks.comm(pid).is_some() && self.ending() != Some(pid)
    }

    fn ending(&self) -> Option<u64> {
        match self.ended {
            Some(Ended::Thread { tid, .. }) => Some(tid),
            _ => None,
        }
    }

    /// Returns the number of open descriptors of a thread. `None` if the capture does not show all of them, as after a gap.
    pub fn fd_count(&self, tid: u64) -> Option<u64> {
        self.tasks.fd_count(tid)
    }

    /// Returns whether the last event gave its descriptor another name, or made a descriptor with a name. A duplicate has
    /// the name of its original.
    pub fn renamed(&self) -> bool {
        self.renamed
    }

    /// Returns the call that a thread is in.
    pub fn call(&self, tid: u64) -> Option<Call> {
        self.pairing.call(tid)
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
        self.tasks.cwd(tid)
    }

    /// Returns the root directory of a thread, `None` if unknown.
    pub fn root(&self, tid: u64) -> Option<&[u8]> {
        self.tasks.root(tid)
    }

    /// Returns a user.
    pub fn user(&self, uid: u32) -> Option<&User> {
        self.accounts.user(uid)
    }

    /// Returns a group.
    pub fn group(&self, gid: u32) -> Option<&Group> {
        self.accounts.group(gid)
    }

    /// Returns what a runtime has told of a container, given the id by which readers know it.
    pub fn container(&self, short_id: &[u8]) -> Option<&Description> {
        self.containers.get(short_id)
    }

    /// Returns the container that the last event told of.
    pub fn told_container(&self) -> Option<&Description> {
        self.containers.last()
    }

    /// Returns what runtimes have told of containers, in the order of their ids. The format's state has no place for it, so
    /// a capture that begins with [the state](Machine::write_state) has it as events.
    pub fn containers(&self) -> Vec<&Description> {
        self.containers.all()
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

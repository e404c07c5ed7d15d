//! Reads the state of the running machine, which a capture has before its first event.
//!
//! [`take`] reads /proc and a few other places once, while the machine keeps running. It leaves out processes that end
//! meanwhile and leaves empty what it cannot read; the [`SnapshotReport`] counts both. A capture should start before its
//! snapshot is taken, so that its events show what changed since.

mod cgroups;
mod dir;
mod exe;
mod fds;
mod flags;
mod interfaces;
mod machine;
mod mounts;
mod processes;
mod sockets;
#[cfg(test)]
mod tests;
mod text;
mod threads;
mod unix_names;
mod users;

use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

use crate::clocks;
use dir::Dir;
use processes::Walk;
use scap::format::state::{FdList, MachineState};

/// The longest path that the format's readers accept, in bytes.
const MAX_PATH: usize = 1023;

/// Where a snapshot is taken from, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotOptions {
    /// The machine's /proc; in a container, a mount of the host's. `/proc` by default.
    pub proc_root: PathBuf,
    /// The machine's /sys, for the speed of network interfaces.
    pub sys_root: PathBuf,
    /// The machine's /etc, for users and groups.
    pub etc_root: PathBuf,
    /// The machine's boot time, ns since the epoch. If `None`, it is read from /proc, which has it in whole seconds.
    pub boot_time: Option<u64>,
    /// Whether to list open file descriptors, which is half of the work.
    pub fds: bool,
    /// Whether to read the environment of processes.
    pub env: bool,
}

impl Default for SnapshotOptions {
    fn default() -> Self {
        Self {
            proc_root: PathBuf::from("/proc"),
            sys_root: PathBuf::from("/sys"),
            etc_root: PathBuf::from("/etc"),
            boot_time: None,
            fds: true,
            env: true,
        }
    }
}

/// The result of [`take`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The state.
    pub state: MachineState,
    /// How complete it is.
    pub report: SnapshotReport,
}

/// How complete a snapshot is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SnapshotReport {
    /// Threads in it.
    pub threads: usize,
    /// Processes in it.
    pub processes: usize,
    /// Processes and threads that ended before they were read.
    pub vanished: usize,
    /// Files, links and directories that could not be read, mostly for lack of privileges.
    pub unreadable: usize,
}

impl SnapshotReport {
    /// Returns a value that may be missing, for example because the process just ended. Counts other errors.
    fn optional<T>(&mut self, result: rustix::io::Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(Errno::NOENT | Errno::SRCH) => None,
            Err(_) => {
                self.unreadable += 1;
                None
            }
        }
    }
}

/// An error of taking a snapshot.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The directory of processes cannot be read.
    #[error("cannot read {path}: is proc mounted there, and is this process allowed to read it?")]
    Proc {
        /// The directory.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
    /// `stat`, which has the CPUs and the boot time, cannot be read.
    #[error("cannot read stat in the proc directory: is proc mounted there?")]
    Stat(#[source] io::Error),
    /// `stat` has no usable boot time.
    #[error(
        "stat in the proc directory has no usable 'btime' line: is proc mounted there? Otherwise give a boot time"
    )]
    NoBootTime,
}

/// Reads the state of the machine.
///
/// Network interfaces and the host name are those of this process's namespaces.
///
/// # Errors
/// If `options.proc_root` is not a readable /proc. The report counts lesser errors.
pub fn take(options: &SnapshotOptions) -> Result<Snapshot, SnapshotError> {
    let mut report = SnapshotReport::default();
    let unreadable =
        |error: Errno| SnapshotError::Proc { path: options.proc_root.clone(), source: error.into() };
    let proc = Dir::open(&options.proc_root).map_err(unreadable)?;
    let machine = machine::collect(&proc, options.boot_time, &mut report)?;
    let interfaces = interfaces::collect(&options.sys_root, &mut report);
    let (users, groups) = users::collect(&options.etc_root, &mut report);
    let pids = proc.numbers().map_err(unreadable)?;
    // A given boot time is that of the initial time namespace; /proc shows times of this process's time namespace.
    let offset = if options.boot_time.is_some() { clocks::namespace_offset() } else { 0 };
    let boot_time = machine.boot_time.saturating_add_signed(offset.saturating_neg());
    let mut walk = Walk::new(&proc, boot_time, options.env, &mut report);
    walk.run(&pids);
    let Walk { mounts, sockets, threads, .. } = walk;
    let mut fds = Vec::new();
    if options.fds {
        let known = fds::Known { proc_root: &options.proc_root, mounts: &mounts, sockets: &sockets };
        for &pid in &pids {
            let Some(process) = report.optional(proc.dir(pid.to_string())) else { continue };
            let list = fds::collect(&known, &process, pid, &mut report);
            if !list.is_empty() {
                fds.push(FdList { pid: pid.into(), fds: list });
            }
        }
    }
    Ok(Snapshot {
        state: MachineState { machine, interfaces, users, groups, threads, fds, beyond: Vec::new() },
        report,
    })
}

//! The state of the running machine, as a capture has it before its first event.
//!
//! [`take`] reads /proc and a few other places once. The machine goes on running meanwhile: a process that ends is
//! left out, and what cannot be read stays empty; both are counted in the [`Report`]. A capture should start before
//! its snapshot is taken, so that its events tell what changed since.

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

/// The format's readers take paths of up to 1,023 bytes.
const MAX_PATH: usize = 1023;

/// Where a snapshot is taken from, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Where the machine's /proc is; in a container, a mount of the host's. The process's own by default.
    pub proc_root: PathBuf,
    /// Where its /sys is, for the speed of network interfaces.
    pub sys_root: PathBuf,
    /// Where its /etc is, for users and groups.
    pub etc_root: PathBuf,
    /// When the machine was started, in ns since the epoch. Without it, it is read from /proc, which has it in whole
    /// seconds.
    pub boot_time: Option<u64>,
    /// Whether to list open file descriptors, which is half of the work.
    pub fds: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            proc_root: PathBuf::from("/proc"),
            sys_root: PathBuf::from("/sys"),
            etc_root: PathBuf::from("/etc"),
            boot_time: None,
            fds: true,
        }
    }
}

/// What [`take`] gives back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The state.
    pub state: MachineState,
    /// How complete it is.
    pub report: Report,
}

/// How complete a snapshot is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Threads in it.
    pub threads: usize,
    /// Processes in it.
    pub processes: usize,
    /// Processes and threads that ended before they were read.
    pub vanished: usize,
    /// Files, links and directories that could not be read, mostly for want of privileges.
    pub unreadable: usize,
}

impl Report {
    /// A value that may be missing, as of a process that just ended; what cannot be read is counted.
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

/// Why no snapshot could be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The directory of processes cannot be read.
    #[error("cannot read {path}: is proc mounted there, and is this process allowed to read it?")]
    Proc {
        /// The directory.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// The file that tells CPUs and the time of the start cannot be read.
    #[error("cannot read stat in the proc directory: is proc mounted there?")]
    Stat(#[source] io::Error),
    /// That file has no usable time of the start.
    #[error(
        "stat in the proc directory has no line 'btime': is proc mounted there? Otherwise give a boot time"
    )]
    NoBootTime,
}

/// Reads the state of the machine.
///
/// Interfaces and the host's name are those of this process's own namespaces.
///
/// # Errors
/// If `options.proc_root` is not a readable /proc. Anything less is counted in the report.
pub fn take(options: &Options) -> Result<Snapshot, SnapshotError> {
    let mut report = Report::default();
    let unreadable =
        |error: Errno| SnapshotError::Proc { path: options.proc_root.clone(), source: error.into() };
    let proc = Dir::open(&options.proc_root).map_err(unreadable)?;
    let machine = machine::collect(&proc, options.boot_time, &mut report)?;
    let interfaces = interfaces::collect(&options.sys_root, &mut report);
    let (users, groups) = users::collect(&options.etc_root, &mut report);
    let pids = proc.numbers().map_err(unreadable)?;
    // A boot time that was given is that of the initial time namespace; /proc shows the times of this one.
    let offset = if options.boot_time.is_some() { clocks::namespace_offset() } else { 0 };
    let boot_time = machine.boot_time.saturating_add_signed(offset.saturating_neg());
    let mut walk = Walk::new(&proc, boot_time, &mut report);
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
    Ok(Snapshot { state: MachineState { machine, interfaces, users, groups, threads, fds }, report })
}

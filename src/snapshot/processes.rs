//! Reads all processes with their threads.

use std::collections::HashMap;

use rustix::io::{Errno, Result};

use super::cgroups::Cgroups;
use super::dir::{Dir, SMALL};
use super::exe::{self, Exe};
use super::flags::THREAD;
use super::mounts::Mounts;
use super::sockets::Sockets;
use super::text::{fields, lines, number, shortened, shortened_list, split_once};
use super::threads::{Stat, Status, parse_stat, parse_status};
use super::{MAX_PATH, SnapshotReport};
use scap::format::state::Thread;

/// The maximum size of the arguments, and of the environment, in bytes.
const MAX_LIST: usize = 4096;
/// The id of a pid namespace's first process, inside it.
const INIT: i64 = 1;

/// The walk through all processes, with the mounts and sockets found on the way.
pub(super) struct Walk<'a> {
    proc: &'a Dir,
    /// The offset of the times in /proc, ns since the epoch.
    boot_time: u64,
    /// Whether to read the environment.
    env: bool,
    report: &'a mut SnapshotReport,
    cgroups: Cgroups,
    buffer: Vec<u8>,
    pub(super) mounts: Mounts,
    pub(super) sockets: Sockets,
    pub(super) threads: Vec<Thread>,
    /// For each process, the index of its first thread and its pid namespace: empty for that of /proc, `None` if
    /// unknown.
    processes: Vec<(usize, Option<Vec<u8>>)>,
}

/// The properties that the threads of a process share.
struct Shared {
    exe: Exe,
    argv0: Vec<u8>,
    args: Vec<u8>,
    env: Vec<u8>,
    cwd: Vec<u8>,
    root: Vec<u8>,
    cgroups: Vec<u8>,
    fdlimit: u64,
    loginuid: u32,
}

impl<'a> Walk<'a> {
    pub(super) fn new(proc: &'a Dir, boot_time: u64, env: bool, report: &'a mut SnapshotReport) -> Self {
        Self {
            proc,
            boot_time,
            env,
            report,
            cgroups: Cgroups::find(proc),
            buffer: Vec::new(),
            mounts: Mounts::default(),
            sockets: Sockets::default(),
            threads: Vec::new(),
            processes: Vec::new(),
        }
    }

    /// Visits the processes with these ids.
    pub(super) fn run(&mut self, pids: &[u32]) {
        for &pid in pids {
            match self.process(pid) {
                Ok(()) => self.report.processes += 1,
                Err(Errno::NOENT | Errno::SRCH) => self.report.vanished += 1,
                Err(_) => self.report.unreadable += 1,
            }
        }
        self.report.threads = self.threads.len();
        self.fill_namespace_starts();
    }

    /// Reads a process; fails if its first thread cannot be read.
    fn process(&mut self, pid: u32) -> Result<()> {
        let process = self.proc.dir(pid.to_string())?;
        let tasks = process.dir("task")?;
        // The first thread's directory exists as long as the process.
        let (stat, status) = self.read_thread(&tasks, pid)?;
        let shared = self.shared(&process, &status);
        // The pid namespace of /proc itself needs no name, so no privilege to read one.
        let namespace = match status.pid_namespaces {
            0 | 1 => Some(Vec::new()),
            _ => self.report.optional(process.link("ns/pid")),
        };
        self.processes.push((self.threads.len(), namespace));
        self.threads.push(thread(pid, pid, stat, &status, &shared));
        for tid in self.report.optional(tasks.numbers()).unwrap_or_default() {
            if tid == pid {
                continue;
            }
            match self.read_thread(&tasks, tid) {
                Ok((stat, status)) => self.threads.push(thread(pid, tid, stat, &status, &shared)),
                Err(Errno::NOENT | Errno::SRCH) => self.report.vanished += 1,
                Err(_) => self.report.unreadable += 1,
            }
        }
        Ok(())
    }

    fn read_thread(&mut self, tasks: &Dir, tid: u32) -> Result<(Stat, Status)> {
        tasks.read_into(format!("{tid}/stat"), SMALL, &mut self.buffer)?;
        let stat = parse_stat(&self.buffer).ok_or(Errno::INVAL)?;
        // A larger limit: the list of supplementary groups may be long.
        tasks.read_into(format!("{tid}/status"), SMALL * 16, &mut self.buffer)?;
        Ok((stat, parse_status(&self.buffer)))
    }

    fn shared(&mut self, process: &Dir, status: &Status) -> Shared {
        let report = &mut *self.report;
        let cmdline = report.optional(process.read("cmdline", 2 * MAX_LIST)).unwrap_or_default();
        let (argv0, args) = split_once(&cmdline, 0).unwrap_or((&cmdline, b""));
        let env = if self.env { report.optional(process.read("environ", MAX_LIST)) } else { None };
        let env = env.unwrap_or_default();
        let cgroups = report.optional(process.read_into("cgroup", SMALL, &mut self.buffer));
        let cgroups = cgroups.map_or_else(Vec::new, |()| self.cgroups.entries(&self.buffer));
        let loginuid = report.optional(process.read("loginuid", SMALL));
        let limits = report.optional(process.read("limits", SMALL));
        let mut link = |name| shortened(report.optional(process.link(name)).unwrap_or_default(), MAX_PATH);
        let (cwd, root) = (link("cwd"), link("root"));
        // Kernel threads and zombies have no executable, and no namespaces of interest.
        let mut exe = Exe::default();
        if let Some(path) = report.optional(process.link("exe")) {
            self.mounts.learn(process, report);
            self.sockets.learn(process, report);
            exe = exe::look(self.proc, process, path, &status.credentials, &self.mounts, report);
        }
        Shared {
            exe,
            argv0: shortened(argv0.to_vec(), MAX_PATH),
            args: shortened_list(args.to_vec(), MAX_LIST),
            env: shortened_list(env, MAX_LIST),
            cwd,
            root,
            cgroups,
            fdlimit: limits.and_then(|text| parse_fdlimit(&text)).unwrap_or(u64::MAX),
            loginuid: loginuid.and_then(|text| number(fields(&text).next()?)).unwrap_or(u32::MAX),
        }
    }

    /// Sets, for all processes, the start time of their pid namespace's first process.
    ///
    /// Events have this time in ns since boot, and readers add the boot time. In the process list they expect the sum.
    fn fill_namespace_starts(&mut self) {
        let mut starts: HashMap<Vec<u8>, u64> = HashMap::new();
        for (first, namespace) in &self.processes {
            let Some(thread) = self.threads.get(*first).filter(|thread| thread.vpid == INIT) else {
                continue;
            };
            if let Some(namespace) = namespace {
                starts.insert(namespace.clone(), thread.pidns_init_start_ts);
            }
        }
        let ends = self.processes.iter().skip(1).map(|(first, _)| *first).chain([self.threads.len()]);
        for ((first, namespace), end) in self.processes.iter().zip(ends.collect::<Vec<_>>()) {
            let start = namespace.as_ref().and_then(|namespace| starts.get(namespace));
            let start = start.map_or(0, |start| start.saturating_add(self.boot_time));
            for thread in self.threads.get_mut(*first..end).unwrap_or_default() {
                thread.pidns_init_start_ts = start;
            }
        }
    }
}

/// Returns the entry of a thread. Until all processes are known, `pidns_init_start_ts` is the thread's own start time,
/// ns since boot.
fn thread(pid: u32, tid: u32, stat: Stat, status: &Status, shared: &Shared) -> Thread {
    Thread {
        tid: tid.into(),
        pid: pid.into(),
        ptid: status.ppid,
        sid: stat.sid,
        vpgid: status.vpgid.or_else(|| u64::try_from(stat.pgid).ok()).unwrap_or_default(),
        comm: stat.comm,
        exe: shared.argv0.clone(),
        exepath: shortened(shared.exe.path.clone(), MAX_PATH),
        args: shared.args.clone(),
        cwd: shared.cwd.clone(),
        fdlimit: shared.fdlimit,
        flags: if tid == pid { 0 } else { THREAD },
        uid: status.credentials.euid,
        gid: status.credentials.egid,
        vmsize_kb: status.vmsize_kb,
        vmrss_kb: status.vmrss_kb,
        vmswap_kb: status.vmswap_kb,
        pfmajor: stat.pfmajor,
        pfminor: stat.pfminor,
        env: shared.env.clone(),
        vtid: status.vtid.unwrap_or_else(|| tid.into()),
        vpid: status.vpid.unwrap_or_else(|| pid.into()),
        cgroups: shared.cgroups.clone(),
        root: shared.root.clone(),
        pidns_init_start_ts: ticks_to_ns(stat.start),
        tty: stat.tty,
        loginuid: shared.loginuid,
        exe_writable: shared.exe.writable,
        cap_inheritable: status.cap_inheritable,
        cap_permitted: status.cap_permitted,
        cap_effective: status.credentials.cap_effective,
        exe_upper_layer: shared.exe.upper_layer,
        exe_ino: shared.exe.ino,
        exe_ino_ctime: shared.exe.ctime,
        exe_ino_mtime: shared.exe.mtime,
        exe_from_memfd: shared.exe.from_memfd,
        exe_lower_layer: shared.exe.lower_layer,
        pgid: stat.pgid,
    }
}

fn ticks_to_ns(ticks: u64) -> u64 {
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    ticks.saturating_mul(1_000_000_000 / per_second)
}

/// Parses the soft limit of open files in /proc/PID/limits.
fn parse_fdlimit(text: &[u8]) -> Option<u64> {
    let line = lines(text).find_map(|line| line.strip_prefix(b"Max open files"))?;
    match fields(line).next()? {
        b"unlimited" => Some(u64::MAX),
        soft => number(soft),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_of_open_files() {
        let text = b"Limit  Soft Limit  Hard Limit  Units\nMax processes  7  8  processes\n\
            Max open files            1024                 524288               files\n";
        assert_eq!(parse_fdlimit(text), Some(1024));
        assert_eq!(parse_fdlimit(b"Max open files  unlimited unlimited files\n"), Some(u64::MAX));
        assert_eq!(parse_fdlimit(b"Max open files"), None);
    }
}

//! CPU affinity, and the CPU time of a process.

use std::{fs, io};

use procfs::process::Process;
use rustix::{
    process::Pid,
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};
use serde::{Deserialize, Serialize};

/// Restricts this thread, and the threads and children that it starts, to these CPUs.
///
/// # Errors
/// If that is not permitted, or there is no such CPU.
pub fn pin(cpus: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for cpu in cpus.iter().filter(|cpu| **cpu < CpuSet::MAX_CPU) {
        set.set(*cpu);
    }
    Ok(sched_setaffinity(None, &set)?)
}

/// Returns the CPUs that this process may run on.
///
/// # Errors
/// If the system call fails.
pub fn allowed() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect())
}

/// CPU time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CpuTime {
    /// Total, in ns, from the scheduler.
    pub total_ns: u64,
    /// User time, in clock ticks. Only the proportion to the system time is useful, best summed over several runs.
    pub user_ticks: u64,
    /// System time, in clock ticks.
    pub system_ticks: u64,
}

/// A reading of the CPU clocks of a process: its threads, without its children.
#[derive(Debug, Clone, Copy)]
pub struct CpuClock {
    total_ns: u64,
    user_ticks: u64,
    system_ticks: u64,
}

impl CpuClock {
    /// Reads the clocks of a process, which may be a zombie.
    ///
    /// # Errors
    /// If there is no such process.
    pub fn read(pid: Pid) -> anyhow::Result<CpuClock> {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // The kernel's clock number, with CPUCLOCK_SCHED; `clock_getcpuclockid` refuses zombies.
        let clock = (!pid.as_raw_nonzero().get() << 3) | 2;
        // SAFETY: `time` is valid for writes.
        if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
            return Err(io::Error::last_os_error().into());
        }
        let stat = Process::new(pid.as_raw_nonzero().get())?.stat()?;
        Ok(CpuClock {
            total_ns: time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64,
            user_ticks: stat.utime,
            system_ticks: stat.stime,
        })
    }

    /// Returns the CPU time used since an earlier reading.
    pub fn since(self, earlier: CpuClock) -> CpuTime {
        CpuTime {
            total_ns: self.total_ns.saturating_sub(earlier.total_ns),
            user_ticks: self.user_ticks.saturating_sub(earlier.user_ticks),
            system_ticks: self.system_ticks.saturating_sub(earlier.system_ticks),
        }
    }
}

/// Returns the name of the processor.
pub fn model() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let name = line.trim_start_matches([' ', '\t', ':']).trim();
    if name.is_empty() { "unknown CPU".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::{
        process::Command,
        time::{Duration, Instant},
    };

    use rustix::process::{WaitId, WaitIdOptions, getpid, waitid};

    use super::*;

    #[test]
    fn the_clock_goes_on() {
        let before = CpuClock::read(getpid()).unwrap();
        let since = Instant::now();
        while CpuClock::read(getpid()).unwrap().since(before).total_ns < 5_000_000 {
            assert!(since.elapsed() < Duration::from_secs(30), "the clock stands still");
        }
    }

    #[test]
    fn a_child_that_has_ended_has_a_clock_until_it_is_waited_for() {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"]);
        let mut child = command.spawn().unwrap();
        let pid = Pid::from_child(&child);
        waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).unwrap();
        assert!(CpuClock::read(pid).unwrap().total_ns > 0);
        child.wait().unwrap();
        assert!(CpuClock::read(pid).is_err());
    }

    #[test]
    fn what_was_used_before_does_not_count() {
        let earlier = CpuClock { total_ns: 100, user_ticks: 1, system_ticks: 2 };
        let later = CpuClock { total_ns: 1100, user_ticks: 2, system_ticks: 5 };
        assert_eq!(later.since(earlier), CpuTime { total_ns: 1000, user_ticks: 1, system_ticks: 3 });
    }
}

//! Reads the properties of the machine.

use super::dir::{Dir, LARGE, SMALL};
use super::text::{fields, lines, number};
use super::{SnapshotError, SnapshotReport};
use scap::format::state::MachineInfo;

const MAX_HOSTNAME: usize = 127;

/// Reads the machine's properties from `stat`, `meminfo` and `sys/kernel/pid_max` below `proc`.
///
/// # Errors
/// If `stat` cannot be read, or if it has no boot time and `boot_time` is `None`: then this is no /proc.
pub(super) fn collect(
    proc: &Dir,
    boot_time: Option<u64>,
    report: &mut SnapshotReport,
) -> Result<MachineInfo, SnapshotError> {
    let stat = proc.read("stat", LARGE).map_err(|error| SnapshotError::Stat(error.into()))?;
    let (num_cpus, started) = parse_stat(&stat);
    let meminfo = report.optional(proc.read("meminfo", SMALL)).unwrap_or_default();
    let pid_max = report.optional(proc.read("sys/kernel/pid_max", SMALL)).unwrap_or_default();
    let mut hostname = rustix::system::uname().nodename().to_bytes().to_vec();
    hostname.truncate(MAX_HOSTNAME);
    Ok(MachineInfo {
        num_cpus,
        memory_size: parse_memory(&meminfo).unwrap_or_default(),
        max_pid: fields(&pid_max).next().and_then(number).unwrap_or_default(),
        hostname,
        boot_time: boot_time.or(started).ok_or(SnapshotError::NoBootTime)?,
        flags: 0,
    })
}

/// Parses the number of online CPUs and the boot time, ns since the epoch.
fn parse_stat(stat: &[u8]) -> (u32, Option<u64>) {
    let mut cpus = 0;
    let mut started = None;
    for line in lines(stat) {
        let mut words = fields(line);
        let key = words.next().unwrap_or_default();
        if key == b"btime" {
            started = words.next().and_then(number::<u64>).and_then(|s| s.checked_mul(1_000_000_000));
        } else if key.strip_prefix(b"cpu").and_then(number::<u32>).is_some() {
            cpus += 1;
        }
    }
    (cpus, started)
}

/// Parses the size of the main memory; returns it in bytes.
fn parse_memory(meminfo: &[u8]) -> Option<u64> {
    let total = lines(meminfo).find_map(|line| line.strip_prefix(b"MemTotal:"))?;
    number::<u64>(fields(total).next()?)?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_tells_cpus_and_start() {
        let text = b"cpu  1 2 3\ncpu0 1 2\ncpu3 1 2\nintr 1 2 3\nbtime 1700000000\nprocesses 5\n";
        assert_eq!(parse_stat(text), (2, Some(1_700_000_000_000_000_000)));
        assert_eq!(parse_stat(b"cpu 1\nbtime x\n"), (0, None));
        assert_eq!(parse_stat(b"btime 18446744073709551615"), (0, None));
    }

    #[test]
    fn memory_is_in_bytes() {
        assert_eq!(parse_memory(b"MemTotal:  16384 kB\nMemFree: 1 kB\n"), Some(16_777_216));
        assert_eq!(parse_memory(b"MemFree: 1 kB\n"), None);
        assert_eq!(parse_memory(b"MemTotal:"), None);
    }
}

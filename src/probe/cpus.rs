//! Finds the CPUs of the machine, and those that may come.

use std::{fs, io};

use scapd_bpf::types;

/// Absent CPUs get counters as long as all counters together take no more than this many bytes.
const COUNTERS: usize = 16 << 20;

/// The CPUs of the machine when the probe is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CpuSet {
    /// One more than the highest possible CPU number.
    pub(super) possible: usize,
    /// CPUs below this number have counters. Events on other CPUs are lost, and only their number is counted.
    pub(super) counted: usize,
    /// The online CPUs. Those that come later share a ring.
    pub(super) online: Vec<usize>,
}

impl CpuSet {
    /// Reads the CPU lists in /sys.
    pub(super) fn find_out() -> io::Result<CpuSet> {
        let read = |name: &str| fs::read_to_string(format!("/sys/devices/system/cpu/{name}"));
        CpuSet::parse(&read("possible")?, &read("present")?, &read("online")?)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a CPU list in /sys is malformed"))
    }

    fn parse(possible: &str, present: &str, online: &str) -> Option<CpuSet> {
        let (possible, present, online) = (numbers(possible)?, numbers(present)?, numbers(online)?);
        let end = |numbers: &[usize]| numbers.iter().max().map(|last| last + 1);
        let room = COUNTERS / size_of::<types::sc_cpu>();
        let there = end(&present)?.max(end(&online)?);
        let possible = end(&possible)?.max(there);
        Some(CpuSet { possible, counted: there.max(possible.min(room)), online })
    }

    /// Returns whether a CPU that is not online now may come.
    pub(super) fn may_come(&self) -> bool {
        self.online.len() < self.possible
    }
}

/// Parses a list such as `0-3,8`.
fn numbers(list: &str) -> Option<Vec<usize>> {
    let mut numbers = Vec::new();
    for range in list.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        numbers.extend(first.parse::<usize>().ok()?..=last.parse().ok()?);
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpu_that_is_not_there_costs_nothing_on_a_machine_with_room_for_many() {
        let cpus = CpuSet::parse("0-511\n", "0-1\n", "0-1\n").unwrap();
        assert_eq!((cpus.possible, cpus.online.len()), (512, 2));
        assert!(cpus.counted * size_of::<types::sc_cpu>() <= COUNTERS, "{cpus:?}");
        assert!(cpus.counted >= 16 && cpus.may_come(), "{cpus:?}");
    }

    #[test]
    fn each_cpu_that_is_there_is_counted() {
        let cpus = CpuSet::parse("0-511", "0-255", "0-127").unwrap();
        assert_eq!((cpus.counted, cpus.online.len(), cpus.may_come()), (256, 128, true));
        let cpus = CpuSet::parse("0-3", "0-3", "0-3").unwrap();
        assert_eq!((cpus.possible, cpus.counted, cpus.may_come()), (4, 4, false));
    }

    #[test]
    fn numbers_may_have_holes() {
        let cpus = CpuSet::parse("0-3,8", "0-3,8", "0,2,8").unwrap();
        assert_eq!((cpus.possible, cpus.counted), (9, 9));
        assert_eq!(cpus.online, [0, 2, 8]);
        assert_eq!(CpuSet::parse("", "0", "0"), None);
    }

    #[test]
    fn this_machine_has_cpus() {
        let cpus = CpuSet::find_out().unwrap();
        assert!(!cpus.online.is_empty() && cpus.counted <= cpus.possible, "{cpus:?}");
    }
}

//! The machine's clocks, in the initial time namespace, where BPF programs read them.

use std::fs;

use rustix::time::{ClockId, Timespec, clock_gettime};

/// A reading that takes longer than this is repeated (ns).
const LONG: u64 = 20_000;
/// Maximum number of readings.
const READINGS: usize = 8;

/// The two clocks that event times come from. The tests have implementations of their own.
pub(crate) trait Clocks {
    /// Returns the boot-time clock, in ns.
    fn boot(&self) -> u64;
    /// Returns the wall clock, in ns since the epoch.
    fn wall(&self) -> u64;

    /// Reads both clocks. The thread may lose the CPU in between, so the shortest of several readings counts.
    fn read(&self) -> Reading {
        let mut best = self.read_once();
        for _ in 1..READINGS {
            if best.uncertainty <= LONG {
                break;
            }
            best = best.min(self.read_once());
        }
        best
    }

    /// Reads both clocks once.
    fn read_once(&self) -> Reading {
        let before = self.boot();
        let wall = self.wall();
        let after = self.boot();
        Reading {
            uncertainty: after.saturating_sub(before),
            boot_time: wall.saturating_sub(before.midpoint(after)),
            boot: after,
        }
    }
}

/// Both clocks at one moment. Readings order by uncertainty, the most certain first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reading {
    /// The maximum error of `boot_time` (ns).
    pub uncertainty: u64,
    /// The machine's boot time, ns since the epoch: the wall clock minus the boot-time clock.
    pub boot_time: u64,
    /// The boot-time clock at the end of the reading.
    pub boot: u64,
}

/// This machine's clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Machine {
    /// The offset that this time namespace adds to the boot-time clock (ns).
    offset: i64,
}

impl Machine {
    /// Finds out the offset of this process's time namespace.
    pub(crate) fn new() -> Machine {
        Machine { offset: namespace_offset() }
    }

    /// Returns the machine's boot time, ns since the epoch.
    pub(crate) fn boot_time(self) -> u64 {
        (1..READINGS).fold(self.read_once(), |best, _| best.min(self.read_once())).boot_time
    }
}

impl Clocks for Machine {
    fn boot(&self) -> u64 {
        nanoseconds(clock_gettime(ClockId::Boottime)).saturating_add_signed(self.offset.saturating_neg())
    }

    fn wall(&self) -> u64 {
        nanoseconds(clock_gettime(ClockId::Realtime))
    }
}

/// Returns the offset that this process's time namespace adds to the boot-time clock, in ns; 0 before Linux 5.6, which
/// has no time namespaces.
pub(crate) fn namespace_offset() -> i64 {
    let link = |name| fs::read_link(format!("/proc/self/ns/{name}")).ok();
    if link("time") != link("time_for_children") {
        // The file has the offsets for children, and before Linux 5.19 an exec did not enter their namespace.
        return 0;
    }
    fs::read_to_string("/proc/self/timens_offsets").ok().and_then(|text| boot_offset(&text)).unwrap_or(0)
}

/// Parses the line `boottime SECONDS NANOSECONDS` of `timens_offsets`. The nanoseconds are never negative.
fn boot_offset(text: &str) -> Option<i64> {
    let mut words = text.lines().find_map(|line| line.strip_prefix("boottime"))?.split_whitespace();
    let mut number = || words.next()?.parse::<i64>().ok();
    number()?.checked_mul(1_000_000_000)?.checked_add(number()?)
}

fn nanoseconds(time: Timespec) -> u64 {
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn the_offset_of_a_time_namespace() {
        let text = |boot| format!("monotonic           1         2\nboottime {boot}\n");
        assert_eq!(boot_offset(&text("       86400         0")), Some(86_400_000_000_000));
        assert_eq!(boot_offset(&text("-2  500000000")), Some(-1_500_000_000));
        assert_eq!(boot_offset(&text("x 1")), None);
        assert_eq!(boot_offset("monotonic 1 2\n"), None);
    }

    /// Clocks that return these times, in turn.
    struct Script(RefCell<Vec<u64>>);

    impl Clocks for Script {
        fn boot(&self) -> u64 {
            self.0.borrow_mut().remove(0)
        }

        fn wall(&self) -> u64 {
            self.0.borrow_mut().remove(0)
        }
    }

    #[test]
    fn the_shortest_reading_counts() {
        // The first reading is interrupted for a millisecond.
        let script = Script(RefCell::new(vec![10, 1000, 1_000_010, 1_000_020, 1_001_030, 1_000_040]));
        assert_eq!(script.read(), Reading { uncertainty: 20, boot_time: 1000, boot: 1_000_040 });
    }
}

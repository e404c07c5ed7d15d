//! How far the boot-time clock of this process's time namespace is ahead of the machine's, which is the one that BPF
//! programs read (time_namespaces(7)).

use std::fs;

/// The difference in ns; 0 in the initial time namespace, and where the kernel has none (before Linux 5.6).
///
/// /proc has it of the namespace that children will be in, which is this process's own unless it calls unshare(2).
pub fn boot_clock_ahead() -> i64 {
    fs::read_to_string("/proc/self/timens_offsets").ok().and_then(|text| parse(&text)).unwrap_or(0)
}

/// A line for each clock: its name or number, seconds, ns.
fn parse(text: &str) -> Option<i64> {
    let mut lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let boot = lines.find(|fields| matches!(fields.first(), Some(&"boottime" | &"7")))?;
    let [_, seconds, ns] = boot[..] else { return None };
    seconds.parse::<i64>().ok()?.checked_mul(1_000_000_000)?.checked_add(ns.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn the_offset_of_the_boot_clock_is_read() {
        assert_eq!(
            parse("monotonic           5         6\nboottime        86400       17\n"),
            Some(86_400_000_000_017)
        );
        assert_eq!(parse("monotonic  0 0\nboottime  -10  0\n"), Some(-10_000_000_000));
        assert_eq!(parse("monotonic 1 2\n"), None);
        assert_eq!(parse("boottime x 2\n"), None);
    }
}

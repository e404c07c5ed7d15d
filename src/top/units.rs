//! Numbers as people read them.

use std::fmt::Write;

use indicatif::{HumanBytes, HumanCount};
use scap::{summary::Unit, text::kernel_names};

const UNITS: [(u64, &str); 4] = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs"), (1, "ns")];

/// Appends a number with its unit.
pub(super) fn number(out: &mut String, value: u64, unit: Unit) {
    // Writing to a string cannot fail.
    let _ = match unit {
        Unit::Count | Unit::Share => write!(out, "{}", HumanCount(value)),
        Unit::Bytes if value == 0 => write!(out, "0"),
        Unit::Bytes => write!(out, "{}", HumanBytes(value)),
        Unit::Time => write!(out, "{}", time(value)),
        Unit::Error => write!(out, "{}", error(value)),
    };
}

/// Returns a duration in ns with three digits: `1.23 ms`.
pub(super) fn time(ns: u64) -> String {
    let (mut at, mut value) = (UNITS.len() - 1, ns as f64);
    while at > 0 && value >= 999.5 {
        at -= 1;
        value = ns as f64 / UNITS[at].0 as f64;
    }
    let digits = match value {
        _ if at == UNITS.len() - 1 => 0,
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {}", UNITS[at].1)
}

/// Returns the name of an error; its number if it has none.
pub(super) fn error(number: u64) -> String {
    let name = i64::try_from(number).ok().and_then(kernel_names::errno);
    name.map_or_else(|| number.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_three_digits() {
        for (ns, text) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.00 µs"),
            (1_234_567, "1.23 ms"),
            (9_996_000, "10.0 ms"),
            (99_960_000, "100 ms"),
            (999_499_999, "999 ms"),
            (999_500_000, "1.00 s"),
            (61_000_000_000, "61.0 s"),
            (u64::MAX, "18446744074 s"),
        ] {
            assert_eq!(time(ns), text);
        }
    }

    #[test]
    fn an_error_without_a_name_is_a_number() {
        assert_eq!((error(2), error(4000)), ("ENOENT".to_owned(), "4000".to_owned()));
    }
}

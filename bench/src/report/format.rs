//! Human-readable numbers.

/// Formats a time in ns with three digits.
pub fn time(ns: f64) -> String {
    let (value, unit) = match ns.abs() {
        ns if ns < 999.5 => (1.0, "ns"),
        ns if ns < 999.5e3 => (1e3, "µs"),
        ns if ns < 999.5e6 => (1e6, "ms"),
        _ => (1e9, "s"),
    };
    format!("{} {unit}", digits(ns / value))
}

/// Formats a number with three digits, or all digits before the decimal point.
pub fn digits(value: f64) -> String {
    let decimals = match value.abs() {
        value if value < 9.995 => 2,
        value if value < 99.95 => 1,
        _ => 0,
    };
    let text = format!("{value:.decimals$}");
    // Not "-0.00".
    if text.trim_start_matches('-').chars().all(|c| c == '0' || c == '.') {
        text.trim_start_matches('-').to_owned()
    } else {
        text
    }
}

/// Formats a count: `950`, `12.3 k`, `4.56 M`.
pub fn count(value: u64) -> String {
    let value = value as f64;
    match value {
        v if v < 10_000.0 => format!("{v}"),
        v if v < 999_500.0 => format!("{} k", digits(v / 1e3)),
        v if v < 999.5e6 => format!("{} M", digits(v / 1e6)),
        v => format!("{} G", digits(v / 1e9)),
    }
}

/// Formats a number of bytes: `950 B`, `12.3 KiB`, `4.56 MiB`.
pub fn bytes(value: u64) -> String {
    let value = value as f64;
    match value {
        v if v < 1024.0 => format!("{v} B"),
        v if v < 1024.0 * 1024.0 => format!("{} KiB", digits(v / 1024.0)),
        v if v < 1024.0 * 1024.0 * 1024.0 => format!("{} MiB", digits(v / (1024.0 * 1024.0))),
        v => format!("{} GiB", digits(v / (1024.0 * 1024.0 * 1024.0))),
    }
}

/// Formats a part of a whole: `0.2 %`.
pub fn percent(part: u64, whole: u64) -> String {
    match 100.0 * part as f64 / whole.max(1) as f64 {
        percent if percent > 0.0 && percent < 0.05 => "< 0.1 %".to_owned(),
        percent => format!("{percent:.1} %"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(time(0.0), "0.00 ns");
        assert_eq!(time(71.26), "71.3 ns");
        assert_eq!(time(999.6), "1.00 µs");
        assert_eq!(time(12_345.0), "12.3 µs");
        assert_eq!(time(3.21e6), "3.21 ms");
        assert_eq!(time(2e9), "2.00 s");
        assert_eq!(time(-15.0), "-15.0 ns");
        assert_eq!(time(-0.001), "0.00 ns");
    }

    #[test]
    fn counts_and_bytes() {
        assert_eq!(count(9_999), "9999");
        assert_eq!(count(12_345), "12.3 k");
        assert_eq!(count(4_560_000), "4.56 M");
        assert_eq!(bytes(100), "100 B");
        assert_eq!(bytes(1536), "1.50 KiB");
        assert_eq!(bytes(3 << 30), "3.00 GiB");
    }

    #[test]
    fn parts() {
        assert_eq!(percent(0, 0), "0.0 %");
        assert_eq!(percent(1, 4), "25.0 %");
        assert_eq!(percent(1, 1_000_000), "< 0.1 %");
    }
}

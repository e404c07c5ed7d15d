//! Parses times and sizes from the command line and the configuration.

use std::time::Duration;

/// Parses a time such as `10s`, `5m` or `1h30m`, or a number of seconds. It must be greater than 0.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let span = parse_span(text).filter(|d| !d.is_zero());
    span.ok_or_else(|| "not a time: use a form such as 10s, 5m or 1h30m".to_owned())
}

/// Parses a time as [`parse_duration`] does; it may be 0.
pub fn parse_span(text: &str) -> Option<Duration> {
    match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => text.parse::<jiff::SignedDuration>().ok().and_then(|d| Duration::try_from(d).ok()),
    }
}

/// Parses a number of bytes such as `65536`, `64K`, `8M` or `1G`. Units are powers of 1024.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" | "KB" | "KIB" => 10,
        "M" | "MB" | "MIB" => 20,
        "G" | "GB" | "GIB" => 30,
        unit => return Err(format!("unknown unit {unit}: use K, M or G")),
    };
    let number: u64 =
        digits.parse().map_err(|_| "not a size: use a form such as 65536, 64K or 8M".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "too large".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(parse_size("8M"), Ok(8 << 20));
        assert_eq!(parse_size("64KiB"), Ok(64 << 10));
        assert_eq!(parse_size("4096"), Ok(4096));
        assert!(parse_size("8X").is_err());
        assert!(parse_size("M").is_err());
        assert!(parse_size("99999999999G").is_err());
    }

    #[test]
    fn durations() {
        assert_eq!(parse_duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(parse_duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse_duration("0.5"), Ok(Duration::from_millis(500)));
        assert!(parse_duration("soon").is_err());
        assert!(parse_duration("0s").is_err());
        assert!(parse_duration("-3s").is_err());
    }
}

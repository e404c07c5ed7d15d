//! When a series switches to a new file.

use std::time::Duration;

use jiff::{
    SignedDuration, Timestamp, Zoned,
    civil::{DateTime, date},
    tz::TimeZone,
};
use serde::Deserialize;

/// When the next file begins: at whichever limit comes first. A file whose machine state is still being read takes all
/// events, so that none is lost: it may exceed a limit that is reached that soon.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rotation {
    /// Before a file exceeds this size in bytes. A file always has room for as many bytes of events as its machine
    /// state takes.
    pub size: Option<u64>,
    /// After this time.
    pub period: Option<Duration>,
    /// Whether the period is aligned to the clock: hourly files begin at the full hour, local time.
    pub align: bool,
    /// After this many events.
    pub events: Option<u64>,
}

impl Rotation {
    /// Returns whether there is any limit.
    pub fn is_some(&self) -> bool {
        self.size.is_some() || self.period.is_some() || self.events.is_some()
    }

    /// Returns whether a file has to end before the next block of `next` bytes. It has `bytes` bytes, `state` of them
    /// before its first event, and `events` events.
    pub(crate) fn is_full(&self, bytes: u64, state: u64, events: u64, next: u64) -> bool {
        let too_large = |limit: u64| bytes.saturating_add(next) > limit.max(state.saturating_mul(2));
        events > 0 && (self.events.is_some_and(|limit| events >= limit) || self.size.is_some_and(too_large))
    }

    /// Returns when a file has to end that began at `began`; both in ns since the epoch.
    pub(crate) fn end(&self, began: u64, zone: &TimeZone) -> Option<u64> {
        let period = u64::try_from(self.period?.as_nanos()).ok().filter(|period| *period > 0)?;
        let plain = began.checked_add(period);
        if self.align { aligned(began, period, zone).or(plain) } else { plain }
    }
}

/// Returns the next multiple of the period by the local wall clock, in ns since the epoch.
fn aligned(began: u64, period: u64, zone: &TimeZone) -> Option<u64> {
    const EPOCH: DateTime = date(1970, 1, 1).at(0, 0, 0, 0);
    let civil = zoned(began, zone)?.datetime();
    let since = civil.duration_since(EPOCH).as_nanos();
    let period = i128::from(period);
    let next = (since.div_euclid(period) + 1) * period;
    let behind = SignedDuration::from_nanos(i64::try_from(next - since).ok()?);
    let end = civil.checked_add(behind).ok()?.to_zoned(zone.clone()).ok()?;
    // When clocks are set back, the same hour comes twice.
    u64::try_from(end.timestamp().as_nanosecond()).ok().filter(|end| *end > began)
}

/// Converts a time in ns since the epoch to a time zone.
pub fn zoned(ns: u64, zone: &TimeZone) -> Option<Zoned> {
    Some(Timestamp::from_nanosecond(i128::from(ns)).ok()?.to_zoned(zone.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(began: &str, period: u64, zone: &str) -> String {
        let zone = TimeZone::get(zone).unwrap();
        let began: Timestamp = began.parse().unwrap();
        let rotation =
            Rotation { period: Some(Duration::from_secs(period)), align: true, ..Rotation::default() };
        let end = rotation.end(began.as_nanosecond() as u64, &zone).unwrap();
        Timestamp::from_nanosecond(end.into()).unwrap().to_string()
    }

    #[test]
    fn aligned_files_end_by_the_clock_of_the_place() {
        assert_eq!(ends("2026-01-31T14:22:33.5Z", 3600, "UTC"), "2026-01-31T15:00:00Z");
        assert_eq!(ends("2026-01-31T15:00:00Z", 3600, "UTC"), "2026-01-31T16:00:00Z");
        assert_eq!(ends("2026-01-31T14:22:33Z", 900, "UTC"), "2026-01-31T14:30:00Z");
        // A zone with an offset of half an hour; days from midnight to midnight.
        assert_eq!(ends("2026-01-31T14:22:33Z", 3600, "Asia/Kolkata"), "2026-01-31T14:30:00Z");
        assert_eq!(ends("2026-01-31T14:22:33Z", 86_400, "Asia/Kolkata"), "2026-01-31T18:30:00Z");
        // The repeated hour: its file ends too.
        assert_eq!(ends("2026-10-25T00:30:00Z", 3600, "Europe/Berlin"), "2026-10-25T02:00:00Z");
        assert_eq!(ends("2026-10-25T01:30:00Z", 3600, "Europe/Berlin"), "2026-10-25T02:00:00Z");
    }

    #[test]
    fn a_period_starts_with_its_file() {
        let rotation = Rotation { period: Some(Duration::from_secs(5)), ..Rotation::default() };
        assert_eq!(rotation.end(7, &TimeZone::UTC), Some(5_000_000_007));
        assert_eq!(Rotation::default().end(7, &TimeZone::UTC), None);
        assert_eq!(rotation.end(u64::MAX, &TimeZone::UTC), None);
    }

    #[test]
    fn a_file_ends_before_it_is_too_large_and_has_an_event() {
        let rotation = Rotation { size: Some(1000), events: Some(3), ..Rotation::default() };
        assert!(!rotation.is_full(5000, 100, 0, 50), "no event");
        assert!(!rotation.is_full(950, 100, 1, 50));
        assert!(rotation.is_full(951, 100, 1, 50));
        assert!(rotation.is_full(0, 0, 3, 50));
        // A machine state as large as the limit: as much again for events.
        assert!(!rotation.is_full(1950, 1000, 2, 50));
        assert!(rotation.is_full(1951, 1000, 2, 50));
    }
}

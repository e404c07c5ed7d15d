//! The part of the time that is shown.

use std::time::Duration;

use jiff::{Timestamp, ToSpan, civil, tz::TimeZone};

use crate::units::parse_span;

/// A time on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// A time in ns since the epoch.
    At(u64),
    /// So long after the first event.
    After(Duration),
    /// A local time of the day of the first event. One that is more than 12 hours before that event is on the next day.
    Clock(civil::Time),
}

/// How far behind the first event the clock shows a time that is meant for the next day.
const HALF_A_DAY: u64 = 12 * 3600 * 1_000_000_000;

impl When {
    /// Parses a time: `10s`, `+1m30s` or a number of seconds after the first event; `14:03` or `14:03:05.123` on the
    /// clock; `2026-11-27`, `2026-11-27T14:03:05`, local time unless it ends with `Z` or an offset.
    ///
    /// # Errors
    /// What forms there are.
    pub fn parse(text: &str) -> Result<When, String> {
        let ns = |time: Timestamp| u64::try_from(time.as_nanosecond()).ok().map(When::At);
        let local = |time: civil::DateTime| time.to_zoned(TimeZone::system()).ok().map(|z| z.timestamp());
        let behind = text.strip_prefix('+').unwrap_or(text);
        // 14:03:05 would be a span of 14 hours.
        let parsed = if let Some(after) = parse_span(behind).filter(|_| !text.contains(':')) {
            Some(When::After(after))
        } else if let Ok(time) = text.parse::<Timestamp>() {
            ns(time)
        } else if let Ok(time) = text.parse::<civil::DateTime>() {
            local(time).and_then(ns)
        } else if let Ok(clock) = text.parse::<civil::Time>() {
            Some(When::Clock(clock))
        } else {
            None
        };
        parsed.ok_or_else(|| {
            "not a time: use a form such as 90s or 1m30s after the first event, 14:03:05 or 2026-11-27T14:03:05".to_owned()
        })
    }

    /// Returns the time in ns since the epoch, for a capture that begins at `first`.
    fn resolve(self, first: u64, tz: &TimeZone) -> u64 {
        match self {
            When::At(ts) => ts,
            When::After(after) => first.saturating_add(u64::try_from(after.as_nanos()).unwrap_or(u64::MAX)),
            When::Clock(clock) => on_clock(clock, first, tz).unwrap_or(first),
        }
    }
}

fn on_clock(clock: civil::Time, first: u64, tz: &TimeZone) -> Option<u64> {
    let day = Timestamp::from_nanosecond(first.into()).ok()?.to_zoned(tz.clone()).date();
    let on = |day: civil::Date| {
        let time = day.to_datetime(clock).to_zoned(tz.clone()).ok()?.timestamp();
        u64::try_from(time.as_nanosecond()).ok()
    };
    let today = on(day)?;
    if today.saturating_add(HALF_A_DAY) >= first { Some(today) } else { on(day.checked_add(1.day()).ok()?) }
}

/// The part of the time that is shown: from one time up to another one, which it includes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    /// Events before are not shown.
    pub from: Option<When>,
    /// Reading ends at the first event after this.
    pub to: Option<When>,
}

impl Span {
    /// Returns the times in ns since the epoch, for a capture that begins at `first`.
    pub(super) fn resolve(self, first: u64) -> (u64, u64) {
        let tz = TimeZone::system();
        let at = |when: Option<When>, otherwise| when.map_or(otherwise, |when| when.resolve(first, &tz));
        (at(self.from, 0), at(self.to, u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2023-11-14 22:13:20 UTC.
    const FIRST: u64 = 1_700_000_000_000_000_000;
    const SECOND: u64 = 1_000_000_000;

    fn at(text: &str) -> u64 {
        When::parse(text).unwrap_or_else(|e| panic!("{text}: {e}")).resolve(FIRST, &TimeZone::UTC)
    }

    #[test]
    fn times_are_relative_on_the_clock_or_absolute() {
        assert_eq!(
            (at("10s"), at("+1m30s"), at("0.5")),
            (FIRST + 10 * SECOND, FIRST + 90 * SECOND, FIRST + SECOND / 2)
        );
        assert_eq!((at("0"), at("0s")), (FIRST, FIRST));
        assert_eq!(at("22:13:21"), FIRST + SECOND);
        assert_eq!(at("22:13"), FIRST - 20 * SECOND);
        // After midnight.
        assert_eq!(at("00:10"), FIRST + 7000 * SECOND);
        assert_eq!(at("2023-11-14T22:13:20.5Z"), FIRST + SECOND / 2);
        assert_eq!(at("2023-11-14T23:13:20+01:00"), FIRST);
        assert!(matches!(When::parse("2023-11-14T22:13:20"), Ok(When::At(_))));
        assert!(matches!(When::parse("2023-11-14 22:13"), Ok(When::At(_))));
        assert!(matches!(When::parse("2023-11-14"), Ok(When::At(_))));
        for wrong in ["soon", "", "25:00", "-5s", "2023-13-01"] {
            assert!(When::parse(wrong).unwrap_err().contains("1m30s"), "{wrong}");
        }
    }
}

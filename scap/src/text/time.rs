//! Times as text.

use std::{fmt::Write, sync::LazyLock};

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

/// The time zone of the reader's machine.
static LOCAL: LazyLock<TimeZone> = LazyLock::new(TimeZone::system);

/// Returns the time zone of the reader's machine.
pub fn local() -> &'static TimeZone {
    &LOCAL
}

/// Returns the civil time of a time in ns since the epoch.
fn civil(ts: u64, tz: &TimeZone) -> Option<DateTime> {
    Timestamp::from_nanosecond(ts.into()).ok().map(|time| tz.to_datetime(time))
}

/// Appends the time of day, with ns if `ns`.
pub fn time_of_day(out: &mut impl Write, ts: u64, tz: &TimeZone, ns: bool) {
    let Some(time) = civil(ts, tz) else { return };
    // Writing to memory cannot fail.
    let _ = write!(out, "{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second());
    if ns {
        let _ = write!(out, ".{:09}", time.subsec_nanosecond());
    }
}

/// Appends the date and a space.
pub fn date(out: &mut impl Write, ts: u64, tz: &TimeZone) {
    if let Some(time) = civil(ts, tz) {
        let _ = write!(out, "{:04}-{:02}-{:02} ", time.year(), time.month(), time.day());
    }
}

/// Returns the offset of a time zone from UTC at a time, as `+0200`.
pub(super) fn offset(ts: u64, tz: &TimeZone) -> Option<String> {
    let minutes = tz.to_offset(Timestamp::from_nanosecond(ts.into()).ok()?).seconds() / 60;
    let sign = if minutes < 0 { '-' } else { '+' };
    Some(format!("{sign}{:02}{:02}", minutes.abs() / 60, minutes.abs() % 60))
}

/// Appends date and time in UTC with ns, as `2026-01-31T12:00:00.000000001+0000`.
pub fn iso8601(out: &mut impl Write, ts: u64) {
    let Some(time) = civil(ts, &TimeZone::UTC) else { return };
    let _ = write!(out, "{:04}-{:02}-{:02}T", time.year(), time.month(), time.day());
    time_of_day(out, ts, &TimeZone::UTC, true);
    let _ = out.write_str("+0000");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let text = |write: &dyn Fn(&mut String)| {
            let mut out = String::new();
            write(&mut out);
            out
        };
        const TS: u64 = 1_534_527_348_014_632_619;
        let zone = TimeZone::fixed(jiff::tz::offset(7));
        assert_eq!(text(&|out| time_of_day(out, TS, &zone, true)), "00:35:48.014632619");
        assert_eq!(text(&|out| time_of_day(out, TS, &zone, false)), "00:35:48");
        assert_eq!(text(&|out| date(out, TS, &zone)), "2018-08-18 ");
        assert_eq!(text(&|out| iso8601(out, TS)), "2018-08-17T17:35:48.014632619+0000");
        assert_eq!(text(&|out| date(out, u64::MAX, &zone)), "2554-07-22 ");
        for (hours, shown) in [(7, "+0700"), (-3, "-0300"), (0, "+0000")] {
            assert_eq!(offset(TS, &TimeZone::fixed(jiff::tz::offset(hours))).unwrap(), shown);
        }
    }
}

//! Fields of the time of an event, and of the time that a call took.
//!
//! Where the values differ from those of sysdig, and why:
//!
//! | field | here | sysdig |
//! |-|-|-|
//! | `evt.latency` and the fields below it | the time of the call; no value for events that end no call | 0.41: always 0; 0.29: 0 for events that end no call |
//! | `evt.latency.quantized` | the logarithm | 0.29: scaled to the width of the terminal |
//! | `evt.deltatime` | since the previous event of the capture | 0.41: since the previous event that it has shown |
//! | `evt.reltime` | since the first event of the capture | 0.41: since the first one that it has not dropped |
//! | `evt.outputtime` | the time of day in filters and columns; in formats, the form that `-t` chooses | the form that `-t` chooses |

use super::{Need, Type, Value, row::Row, types::has};
use crate::{
    events::EventFlags,
    replay::Moment,
    text::{self, Raw},
};

pub(super) const ROWS: &[Row] = &[
    Row::one("evt.latency", Type::Duration, "duration of the call that the event ends", |m| {
        m.machine.latency().map(Value::Uint)
    })
    .needs(Need::Call),
    Row::one("evt.latency.s", Type::Uint, "whole seconds of evt.latency", |m| {
        m.machine.latency().map(seconds)
    })
    .needs(Need::Call),
    Row::one("evt.latency.ns", Type::Uint, "the rest of evt.latency, in ns", |m| {
        m.machine.latency().map(rest)
    })
    .digits(9)
    .needs(Need::Call),
    Row::one("evt.latency.quantized", Type::Uint, "logarithm of evt.latency to base 10, rounded down", |m| {
        let digits = m.machine.latency()?.checked_ilog10().unwrap_or(0);
        Some(Value::Uint(digits.into()))
    })
    .needs(Need::Call),
    Row::one("evt.latency.human", Type::Text, "evt.latency with a unit, as 10.30ms", |m| {
        m.machine.latency().map(|ns| Value::Text(human(ns).into_bytes().into()))
    })
    .needs(Need::Call),
    Row::one("evt.wait_latency", Type::Duration, "evt.latency of a call that makes the thread wait", |m| {
        m.machine.latency().filter(|_| has(m, EventFlags::WAITS)).map(Value::Uint)
    })
    .needs(Need::Call),
    Row::one("evt.deltatime", Type::Duration, "time since the previous event", |m| {
        Some(Value::Uint(delta(m)))
    })
    .needs(Need::Everything),
    Row::one("evt.deltatime.s", Type::Uint, "whole seconds of evt.deltatime", |m| Some(seconds(delta(m))))
        .needs(Need::Everything),
    Row::one("evt.deltatime.ns", Type::Uint, "the rest of evt.deltatime, in ns", |m| Some(rest(delta(m))))
        .digits(9)
        .needs(Need::Everything),
    Row::one("evt.outputtime", Type::Text, "time of day, local, with ns", |m| Some(time_of_day(m, true)))
        .needs(Need::Event),
    Row::one("evt.time", Type::Text, "time of day, local, with ns", |m| Some(time_of_day(m, true)))
        .needs(Need::Event),
    Row::one("evt.time.s", Type::Text, "time of day, local, in whole seconds", |m| {
        Some(time_of_day(m, false))
    })
    .needs(Need::Event),
    Row::one("evt.time.iso8601", Type::Text, "date and time in UTC with ns, as ISO 8601 has it", |m| {
        let mut out = Raw::default();
        text::iso8601(&mut out, m.event().ts());
        Some(Value::Text(out.0.into()))
    })
    .needs(Need::Event),
    Row::one("evt.datetime", Type::Text, "date and time, local, with ns", |m| Some(date_and_time(m, true)))
        .needs(Need::Event),
    Row::one("evt.datetime.s", Type::Text, "date and time, local, in whole seconds", |m| {
        Some(date_and_time(m, false))
    })
    .needs(Need::Event),
    Row::one("evt.rawtime", Type::Time, "time in ns since 1970", |m| Some(Value::Uint(m.event().ts())))
        .needs(Need::Event),
    Row::one("evt.rawtime.s", Type::Uint, "whole seconds since 1970", |m| Some(seconds(m.event().ts())))
        .needs(Need::Event),
    Row::one("evt.rawtime.ns", Type::Uint, "the rest of evt.rawtime, in ns", |m| Some(rest(m.event().ts())))
        .digits(9)
        .needs(Need::Event),
    Row::one("evt.reltime", Type::Duration, "time since the first event of the capture", |m| {
        Some(Value::Uint(relative(m)))
    })
    .digits(9)
    .needs(Need::Everything),
    Row::one("evt.reltime.s", Type::Uint, "whole seconds of evt.reltime", |m| Some(seconds(relative(m))))
        .needs(Need::Everything),
    Row::one("evt.reltime.ns", Type::Uint, "the rest of evt.reltime, in ns", |m| Some(rest(relative(m))))
        .digits(9)
        .needs(Need::Everything),
];

const US: u64 = 1_000;
const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;

fn seconds(ns: u64) -> Value<'static> {
    Value::Uint(ns / SECOND)
}

fn rest(ns: u64) -> Value<'static> {
    Value::Uint(ns % SECOND)
}

/// Returns the time since the previous event. Series are in order, and concatenated captures may not be.
fn delta(m: &Moment<'_>) -> u64 {
    m.event().ts().saturating_sub(m.previous)
}

fn relative(m: &Moment<'_>) -> u64 {
    m.event().ts().saturating_sub(m.first)
}

fn time_of_day(m: &Moment<'_>, ns: bool) -> Value<'static> {
    let mut out = Raw::default();
    text::time_of_day(&mut out, m.event().ts(), text::local(), ns);
    Value::Text(out.0.into())
}

fn date_and_time(m: &Moment<'_>, ns: bool) -> Value<'static> {
    let mut out = Raw::default();
    text::date(&mut out, m.event().ts(), text::local());
    text::time_of_day(&mut out, m.event().ts(), text::local(), ns);
    Value::Text(out.0.into())
}

/// Returns a duration with the unit that leaves one to three digits before the point, as sysdig has it.
fn human(ns: u64) -> String {
    let with = |unit: u64, name: &str| match ns / unit {
        whole @ 10.. if unit < SECOND => format!("{whole}{name}"),
        whole => format!("{whole}.{:02}{name}", ns % unit / (unit / 100)),
    };
    match ns {
        ..US => format!("{ns}ns"),
        US..MS => with(US, "us"),
        MS..SECOND => with(MS, "ms"),
        _ => match ns / SECOND {
            ..60 => with(SECOND, "s"),
            seconds @ 60..3600 => format!("{}:{}", seconds / 60, seconds % 60),
            seconds => format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60),
        },
    }
}

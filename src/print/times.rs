//! The time in a line: `scapd read -t`.

use jiff::tz::TimeZone;

use super::DependsOn;
use crate::choice::{Choice, choices};
use scap::{
    format::Keep,
    replay::Moment,
    text::{self, Out},
};

const SECOND: u64 = 1_000_000_000;

choices! {
    /// How the time of an event is shown.
    #[derive(Default)]
    pub enum TimeForm {
        #[default]
        Clock = "h": "Local time of day",
        Epoch = "a": "Seconds since the epoch",
        Relative = "r": "Seconds since the first event of the capture",
        Latency = "d": "Duration of the call, in seconds, at its exit event; 0 at other events",
        Delta = "D": "Seconds since the event printed before",
    }
}

impl TimeForm {
    /// Returns how much of the machine the form needs.
    pub(super) fn keep(self) -> Keep {
        if self.needs_calls() { Keep::All } else { Keep::Names }
    }

    /// Returns whether the form needs to know how long calls took.
    pub(super) fn needs_calls(self) -> bool {
        self == TimeForm::Latency
    }

    /// Returns what the text depends on.
    pub(super) fn depends_on(self) -> DependsOn {
        if self == TimeForm::Delta { DependsOn::Shown } else { DependsOn::Event }
    }
}

/// Writes times.
#[derive(Debug)]
pub(super) struct Times {
    form: TimeForm,
    zone: TimeZone,
    /// The time of the event that was printed last.
    last: Option<u64>,
    /// The second of the last time on the clock, and its text: formatting it takes longer than the rest of a line.
    second: Option<(u64, String)>,
}

impl Times {
    pub(super) fn new(form: TimeForm, zone: TimeZone) -> Times {
        Times { form, zone, last: None, second: None }
    }

    pub(super) fn form(&self) -> TimeForm {
        self.form
    }

    pub(super) fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// Appends the time of an event.
    pub(super) fn write(&mut self, out: &mut impl Out, moment: &Moment<'_>) {
        let ts = moment.event().ts();
        match self.form {
            TimeForm::Clock => self.clock(out, ts),
            TimeForm::Epoch => seconds(out, ts, 0),
            TimeForm::Relative => seconds(out, ts, moment.first),
            TimeForm::Latency => seconds(out, moment.machine.latency().unwrap_or(0), 0),
            TimeForm::Delta => seconds(out, ts, self.last.unwrap_or(ts)),
        }
    }

    fn clock(&mut self, out: &mut impl Out, ts: u64) {
        let second = ts / SECOND;
        let text = match &self.second {
            Some((known, text)) if *known == second => text,
            _ => {
                let mut text = String::new();
                text::time_of_day(&mut text, second * SECOND, &self.zone, false);
                &self.second.insert((second, text)).1
            }
        };
        // Writing to memory cannot fail.
        let _ = out.write_str(text);
        nanoseconds(out, ts % SECOND);
    }

    /// Takes an event that is printed.
    pub(super) fn printed(&mut self, moment: &Moment<'_>) {
        self.last = Some(moment.event().ts());
    }
}

/// Appends the seconds from one time to another, which may be earlier: captures can be concatenated out of order.
fn seconds(out: &mut impl Out, to: u64, from: u64) {
    let sign = if to < from { "-" } else { "" };
    let ns = to.abs_diff(from);
    // Writing to memory cannot fail.
    let _ = out.write_str(sign);
    out.integer(ns / SECOND);
    nanoseconds(out, ns % SECOND);
}

/// Appends a point and the nine digits of ns that are less than a second.
pub(super) fn nanoseconds(out: &mut impl Out, ns: u64) {
    let mut digits = itoa::Buffer::new();
    // With a 1 in front, there are zeros behind it.
    let digits = digits.format(SECOND + ns % SECOND).get(1..).unwrap_or_default();
    // Writing to memory cannot fail.
    let _ = out.write_char('.').and_then(|()| out.write_str(digits));
}

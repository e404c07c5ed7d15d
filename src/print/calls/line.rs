//! The parts of a line that are the same for all of them: time, process, colours.

use std::fmt::{Display, Write};

use anstyle::{AnsiColor, Style};
use jiff::{Timestamp, tz::TimeZone};

use super::quote;

/// How a line begins, and its colours.
#[derive(Debug)]
pub struct Head {
    tz: TimeZone,
    /// The second of the last line, and its time of day: converting it takes longer than the rest.
    second: Option<(u64, String)>,
    colours: bool,
}

/// A part of a line with a colour of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Time and duration.
    Time,
    /// The process.
    Process,
    /// The name of a call.
    Call,
    /// A result that is an error.
    Error,
    /// What is no call: signals, exits, losses.
    Other,
    /// That a call is unfinished, or resumed.
    Broken,
}

impl Part {
    const fn style(self) -> Style {
        match self {
            Part::Time | Part::Broken => Style::new().dimmed(),
            Part::Process => AnsiColor::Cyan.on_default(),
            Part::Call => Style::new().bold(),
            Part::Error => AnsiColor::Red.on_default(),
            Part::Other => AnsiColor::Yellow.on_default(),
        }
    }
}

impl Head {
    pub fn new(tz: TimeZone, colours: bool) -> Head {
        Head { tz, second: None, colours }
    }

    pub fn is_coloured(&self) -> bool {
        self.colours
    }

    /// Appends time and process.
    pub fn write(&mut self, out: &mut String, ts: u64, tid: u64, comm: Option<&[u8]>) {
        self.time(out, ts);
        out.push(' ');
        self.begin(out, Part::Process);
        // An event without a thread has tid -1, as in sysdig.
        let _ = write!(out, "{}", tid as i64);
        if let Some(comm) = comm {
            out.push('<');
            quote::name(out, comm);
            out.push('>');
        }
        self.end(out, Part::Process);
        out.push(' ');
    }

    /// Appends the local time of day in µs.
    pub fn time(&mut self, out: &mut String, ts: u64) {
        const SECOND: u64 = 1_000_000_000;
        self.begin(out, Part::Time);
        let second = ts / SECOND;
        let known = match &mut self.second {
            Some((known, text)) if *known == second => text,
            other => &mut other.insert((second, time_of_day(second, &self.tz))).1,
        };
        out.push_str(known);
        let mut digits = *b".000000";
        let mut rest = ts % SECOND / 1000;
        for digit in digits[1..].iter_mut().rev() {
            *digit += (rest % 10) as u8;
            rest /= 10;
        }
        out.extend(digits.map(char::from));
        self.end(out, Part::Time);
    }

    /// Appends a text with the colour of a part.
    pub fn paint(&self, out: &mut String, part: Part, text: impl Display) {
        self.begin(out, part);
        // Writing to a string cannot fail.
        let _ = write!(out, "{text}");
        self.end(out, part);
    }

    /// Starts the colour of a part.
    pub fn begin(&self, out: &mut String, part: Part) {
        if self.colours {
            let _ = write!(out, "{}", part.style().render());
        }
    }

    /// Ends the colour of a part.
    pub fn end(&self, out: &mut String, part: Part) {
        if self.colours {
            let _ = write!(out, "{}", part.style().render_reset());
        }
    }
}

fn time_of_day(second: u64, tz: &TimeZone) -> String {
    match i64::try_from(second).ok().and_then(|second| Timestamp::from_second(second).ok()) {
        Some(time) => tz.to_datetime(time).strftime("%H:%M:%S").to_string(),
        None => "--:--:--".to_owned(),
    }
}

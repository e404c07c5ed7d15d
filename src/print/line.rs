//! Formats an event as a line in sysdig's format:
//!
//! ```text
//! 12 14:03:05.123456789 1 cat (4321) > openat dirfd=-100(AT_FDCWD) name=/etc/passwd flags=1(O_RDONLY) mode=0
//! │  │                  │ │   │      │ │      └ parameters: name, value, and meaning of the value
//! │  │                  │ │   │      │ └ event
//! │  │                  │ │   │      └ > on entry, < on return
//! │  │                  │ │   └ thread
//! │  │                  │ └ its command name
//! │  │                  └ CPU
//! │  └ local time of day
//! └ number of the event in the capture
//! ```

use std::{
    fmt::Write as _,
    io::{self, Write},
};

use jiff::tz::TimeZone;

use super::{View, text};
use scap::replay::Moment;

/// Lines in sysdig's format.
#[derive(Debug)]
pub struct Lines {
    line: String,
    tz: TimeZone,
}

impl Default for Lines {
    fn default() -> Self {
        Lines { line: String::new(), tz: TimeZone::system() }
    }
}

impl View for Lines {
    fn event(&mut self, moment: &Moment<'_>, out: &mut dyn Write) -> io::Result<()> {
        self.line.clear();
        write_line(&mut self.line, moment, &self.tz);
        self.line.push('\n');
        out.write_all(self.line.as_bytes())
    }
}

/// Appends the line of an event, without a newline.
pub(super) fn write_line(out: &mut String, moment: &Moment<'_>, tz: &TimeZone) {
    let (event, names) = (moment.event(), moment.machine);
    // Writing to a string cannot fail.
    let _ = write!(out, "{} ", moment.num);
    text::time_of_day(out, event.ts(), tz, true);
    let _ = write!(out, " {} ", moment.captured.cpu);
    text::escape(out, names.comm(event.tid()).unwrap_or(b"<NA>"));
    let direction = if event.ty().is_enter() { '>' } else { '<' };
    // As in sysdig, an event without a thread has tid -1.
    let _ = write!(out, " ({}) {direction} ", event.tid() as i64);
    text::escape(out, event.name().as_bytes());
    text::arguments(out, event, names, tz, text::DataForm::Dots);
}

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

use std::io::{self, Write};

use jiff::tz::TimeZone;

use super::{
    DependsOn, View,
    colours::{COMMAND, EVENT, THREAD, painted},
    containers::Containers,
    text,
    times::{TimeForm, Times},
};
use scap::{
    fields::NO_VALUE,
    format::Keep,
    replay::Moment,
    text::{DataForm, Escaped, Out},
};

/// What lines can have otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LineStyle {
    /// How times are shown.
    pub time: TimeForm,
    /// How data is shown.
    pub data: DataForm,
    /// Whether lines have the container's name and id, and the thread's id in its own pid namespace.
    pub containers: bool,
    /// Whether command, thread and event have colours.
    pub colours: bool,
}

/// Lines in sysdig's format.
#[derive(Debug)]
pub struct Lines {
    line: Escaped,
    writer: LineWriter,
}

impl Lines {
    /// Returns a view with this style.
    pub fn new(style: LineStyle) -> Lines {
        Lines { line: Escaped::default(), writer: LineWriter::new(style, TimeZone::system()) }
    }
}

impl View for Lines {
    fn event(&mut self, moment: &Moment<'_>, out: &mut dyn Write) -> io::Result<()> {
        self.line.0.clear();
        self.writer.write(&mut self.line, moment);
        self.line.0.push(b'\n');
        out.write_all(&self.line.0)
    }

    fn keep(&self) -> Keep {
        self.writer.keep()
    }

    fn needs_calls(&self) -> bool {
        self.writer.style.time.needs_calls()
    }

    fn depends_on(&self) -> DependsOn {
        self.writer.style.time.depends_on()
    }
}

/// Writes lines without a newline.
#[derive(Debug)]
pub(super) struct LineWriter {
    style: LineStyle,
    times: Times,
    containers: Option<Containers>,
}

impl LineWriter {
    pub(super) fn new(style: LineStyle, zone: TimeZone) -> LineWriter {
        let containers = style.containers.then(Containers::new);
        LineWriter { style, times: Times::new(style.time, zone), containers }
    }

    fn keep(&self) -> Keep {
        if self.style.containers { Keep::All } else { self.style.time.keep() }
    }

    /// Appends the line of an event.
    pub(super) fn write(&mut self, out: &mut impl Out, moment: &Moment<'_>) {
        let (event, names) = (moment.event(), moment.machine);
        let colours = self.style.colours;
        // Writing to memory cannot fail.
        let _ = (|| {
            out.integer(moment.num);
            out.write_char(' ')?;
            self.times.write(out, moment);
            self.times.printed(moment);
            out.write_char(' ')?;
            out.integer(moment.captured.cpu);
            out.write_char(' ')?;
            if let Some(containers) = &self.containers {
                containers.write(out, moment)?;
            }
            painted(out, colours.then_some(COMMAND), |out| {
                out.text(names.comm(event.tid()).unwrap_or(NO_VALUE.as_bytes()));
            });
            out.write_str(" (")?;
            // As in sysdig, an event without a thread has tid -1.
            painted(out, colours.then_some(THREAD), |out| out.integer(event.tid() as i64));
            if self.containers.is_some() {
                // Captures of old recorders do not have it.
                match moment.thread().map(|thread| thread.info.vtid).filter(|vtid| *vtid > 0) {
                    Some(vtid) => write!(out, ":{vtid}")?,
                    None => write!(out, ":{NO_VALUE}")?,
                }
            }
            out.write_str(if event.ty().is_enter() { ") > " } else { ") < " })
        })();
        painted(out, colours.then_some(EVENT), |out| out.text(event.name().as_bytes()));
        text::arguments(out, event, names, self.times.zone(), self.style.data);
    }
}

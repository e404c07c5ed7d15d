//! Lines in a format of the user's: `scapd read -p`.

use std::io::{self, Write};

use jiff::tz::TimeZone;

use super::{
    DependsOn, View,
    times::{TimeForm, Times},
};
use scap::{
    fields::{Fields, Reference, Registry, Source, Value},
    format::Keep,
    formatter::Formatter,
    replay::Moment,
    text::DataForm,
};

/// The field that has the time of lines.
const OUTPUT_TIME: &str = "evt.outputtime";

/// Lines in a format.
#[derive(Debug)]
pub struct Formatted {
    format: Formatter,
    data: DataForm,
    times: Times,
    /// The index of the field, if the format has it.
    output_time: Option<usize>,
    line: String,
    time: String,
}

impl Formatted {
    /// Returns a view with this format.
    pub fn new(format: Formatter, time: TimeForm, data: DataForm) -> Formatted {
        let index = Fields.fields().iter().position(|field| field.name == OUTPUT_TIME);
        let is_asked = |index: &usize| {
            format.expressions().any(|one| one.fields().iter().any(|field| field.field == *index))
        };
        let output_time = index.filter(is_asked);
        let times = Times::new(time, TimeZone::system());
        Formatted { format, data, times, output_time, line: String::new(), time: String::new() }
    }
}

impl View for Formatted {
    fn event(&mut self, moment: &Moment<'_>, out: &mut dyn Write) -> io::Result<()> {
        self.line.clear();
        let is_printed = match self.output_time {
            None => self.format.format(moment, self.data, &mut self.line),
            Some(field) => {
                self.time.clear();
                self.times.write(&mut self.time, moment);
                let source = WithTime { moment, field, time: &self.time };
                self.format.format(&source, self.data, &mut self.line)
            }
        };
        if !is_printed {
            return Ok(());
        }
        self.times.printed(moment);
        self.line.push('\n');
        out.write_all(self.line.as_bytes())
    }

    fn keep(&self) -> Keep {
        Keep::All
    }

    fn depends_on(&self) -> DependsOn {
        if self.output_time.is_some() { self.times.form().depends_on() } else { DependsOn::Event }
    }
}

/// An event whose field for the time of lines has the time that `-t` asks for.
struct WithTime<'a, 'm> {
    moment: &'a Moment<'m>,
    field: usize,
    time: &'a str,
}

impl Source for WithTime<'_, '_> {
    fn values(&self, field: &Reference, each: &mut dyn FnMut(Value<'_>) -> bool) {
        if field.field == self.field {
            each(Value::text(self.time));
        } else {
            self.moment.values(field, each);
        }
    }
}

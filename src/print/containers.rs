//! The container of a thread, in lines: `scapd read -pc`.

use std::fmt::{self, Write};

use scap::{
    fields::{Fields, NO_VALUE},
    formatter::Formatter,
    replay::Moment,
};

/// The format that prints it.
const FORMAT: &str = "*%container.name (%container.id) ";

/// Writes the container's name and id.
#[derive(Debug)]
pub(super) struct Containers {
    /// `None` if the registry has no fields of containers.
    format: Option<Formatter>,
}

impl Containers {
    pub(super) fn new() -> Containers {
        Containers { format: Formatter::parse(FORMAT, &Fields).ok() }
    }

    pub(super) fn write(&self, out: &mut impl Write, moment: &Moment<'_>) -> fmt::Result {
        match &self.format {
            Some(format) => {
                let mut text = String::new();
                format.format(moment, Default::default(), &mut text);
                out.write_str(&text)
            }
            None => write!(out, "{NO_VALUE} ({NO_VALUE}) "),
        }
    }
}

//! The forms of output: events as lines, tables or JSON, calls, and the summary of a capture.
//!
//! A [`View`] shows the events that [`crate::read`] hands to it. [`info()`] is the command of that name, without the
//! command line.

mod calls;
mod colours;
mod columns;
mod containers;
mod formatted;
mod info;
mod json;
mod line;
mod losses;
mod table;
#[cfg(test)]
mod tests;
mod times;

use std::{
    fmt,
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use thiserror::Error;

pub use calls::Calls;
pub use colours::has_colours;
pub(crate) use columns::Row;
pub use columns::{FieldTable, TableForm};
pub use formatted::Formatted;
pub use info::{EventCount, InfoArgs, OtherNotice, ProcessCount, Summary, info};
pub use json::Writer as JsonLines;
pub(crate) use json::{bytes as json_bytes, rfc3339};
pub use line::{LineStyle, Lines};
pub use losses::LedgerSummary;
pub(crate) use table::plain_table;
pub use times::TimeForm;

use crate::escape::shown;
use scap::{
    format::{EventView, Keep, MachineState, ReadError},
    replay::{Moment, Now},
    text::{self, meaning},
};

/// How old a line becomes before the part of it that is known is shown, if the rest is still to happen.
const OVERDUE: Duration = Duration::from_millis(100);

/// Why a capture could not be printed completely.
#[derive(Debug, Error)]
pub enum PrintError {
    /// The file cannot be opened.
    #[error("cannot open {}", shown(path))]
    Open {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The capture is damaged or truncated, or the file is not a capture. Everything before the error has been printed.
    #[error("{}", shown(path))]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong with the file.
        #[source]
        source: ReadError,
    },
    /// A thread cannot be started.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    /// The output cannot be written. A broken pipe is not an error.
    #[error("cannot write the output")]
    Write(#[source] io::Error),
}

/// What a [`View`] writes for an event depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DependsOn {
    /// That event alone.
    Event,
    /// Also the events that were shown before.
    Shown,
    /// Also those that were not wanted.
    All,
}

/// A form of output: what is written for the events of a capture.
pub trait View {
    /// Writes what comes before the first event.
    ///
    /// # Errors
    /// If `out` cannot be written.
    fn begin(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    /// Writes an event.
    ///
    /// # Errors
    /// If `out` cannot be written.
    fn event(&mut self, moment: &Moment<'_>, out: &mut dyn Write) -> io::Result<()>;

    /// Takes an event that is not wanted, before or between those that are: what refers to it comes later.
    ///
    /// # Errors
    /// If `out` cannot be written.
    fn unwanted(&mut self, _moment: &Moment<'_>, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    /// Returns whether it has to be told of an event that is not wanted, or that is among those of other jobs. Such events may
    /// be passed, unless the view [depends on all](View::depends_on).
    fn follows(&self, _event: &EventView<'_>, _is_of_others: bool) -> bool {
        false
    }

    /// Takes an event that it [follows](View::follows), and that the view of another job shows if it is wanted.
    ///
    /// # Errors
    /// If it cannot be taken.
    fn of_others(&mut self, _moment: &Moment<'_>, _is_wanted: bool) -> io::Result<()> {
        Ok(())
    }

    /// Takes an event before the time that is shown.
    ///
    /// # Errors
    /// If `out` cannot be written.
    fn before(&mut self, moment: &Moment<'_>, out: &mut dyn Write) -> io::Result<()> {
        self.unwanted(moment, out)
    }

    /// Returns when the event was, in ns since the epoch, that has begun a line which later events complete, if it was not
    /// shown yet; `None` if there is no such line.
    fn waits_since(&self) -> Option<u64> {
        None
    }

    /// Writes what is known of that line: the rest of it is still to happen.
    ///
    /// # Errors
    /// If `out` cannot be written.
    fn overdue(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    /// Returns how old that line becomes before the part of it that is known is written.
    fn patience(&self) -> Duration {
        OVERDUE
    }

    /// Takes the machine where the reading of a capture ends: at its end, or behind the last event that is wanted.
    ///
    /// # Errors
    /// If `out` cannot be written.
    fn end(&mut self, _now: Now<'_>, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    /// Takes the end of a capture, whose last section began with this state.
    ///
    /// # Errors
    /// If `out` cannot be written.
    fn end_capture(&mut self, _state: &MachineState, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    /// Writes what comes behind the last event.
    ///
    /// # Errors
    /// If `out` cannot be written.
    fn finish(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    /// Returns whether a shown event counts for a limit on their number.
    fn counts(&self, _moment: &Moment<'_>) -> bool {
        true
    }

    /// Returns how much of the machine the view asks for.
    fn keep(&self) -> Keep {
        Keep::Names
    }

    /// Returns whether the view asks for [calls](scap::model::Machine::call) and how long they took.
    fn needs_calls(&self) -> bool {
        true
    }

    /// Returns whether its output does not show what the recorder lost. Then a warning says it.
    fn hides_losses(&self) -> bool {
        false
    }

    /// Returns what its output depends on. Only a view that says `All` needs to be told of all events; the output of one
    /// that says `Event` is that of several such views, each of a part of the events.
    fn depends_on(&self) -> DependsOn {
        DependsOn::All
    }
}

/// What makes views of a form that is not among those of this module.
pub trait MakeView: fmt::Debug + Send + Sync {
    /// Makes one.
    fn view(&self) -> Box<dyn View>;

    /// Starts views whose results add up, if there are such: several jobs divide the events among them.
    fn divide(&self) -> Option<Box<dyn Divided>> {
        None
    }
}

/// Views whose results add up.
pub trait Divided: Sync {
    /// Makes one of them. It shows nothing: when it is finished, its result is added to those of the others.
    fn view(&self) -> Box<dyn View>;

    /// Shows what all have come to.
    ///
    /// # Errors
    /// If `out` cannot be written, or their results are too many together.
    fn finish(self: Box<Self>, out: &mut dyn Write) -> io::Result<()>;
}

/// Opens a capture; `-` is the standard input.
pub(crate) fn open(path: &Path) -> Result<Box<dyn Read>, PrintError> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    match File::open(path) {
        Ok(file) => Ok(Box::new(file)),
        Err(source) => Err(PrintError::Open { path: path.into(), source }),
    }
}

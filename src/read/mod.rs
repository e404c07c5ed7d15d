//! Reads captures and shows their events: the command `scapd read`, without the command line.
//!
//! [`read()`] is the one driver: it goes through the captures, decides which events are [wanted](Wanted), and hands them
//! to a [`View`]. A view knows nothing of where its events come from.

mod follow;
mod inputs;
mod jobs;
mod live;
mod run;
mod slice;
mod span;
mod wanted;

use std::{
    fs::File,
    io::{self, BufWriter, Read, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize},
    },
};

use thiserror::Error;

use crate::{
    bar::Bar,
    output::OutputError,
    print::{
        Calls, Divided, FieldTable, Formatted, JsonLines, LineStyle, Lines, MakeView, PrintError, TableForm,
        TimeForm, View,
    },
};
use follow::Hurrying;
use inputs::{Input, Inputs};
use live::{Live, Waiting};
use run::{Run, Whole};
use scap::{
    formatter::{Columns, Formatter},
    summary::{TooManyGroups, TooManyProcesses},
    text::DataForm,
};

pub use follow::is_locked;
pub use inputs::is_capture_name;
pub use slice::SliceTo;
pub use span::{Span, When};
pub use wanted::Wanted;

/// The arguments of [`read()`].
#[derive(Debug)]
pub struct ReadArgs {
    /// The captures, and folders of captures; `-` is the standard input. They are read in the order of their times.
    pub files: Vec<PathBuf>,
    /// The time that is shown.
    pub span: Span,
    /// Waits for more at the end of a capture that is being written, and for new ones in a folder, until the flag is
    /// set.
    pub follow: Option<Arc<AtomicBool>>,
    /// Which events are shown.
    pub wanted: Wanted,
    /// The maximum number of events to show.
    pub limit: Option<u64>,
    /// How they are shown.
    pub form: Form,
    /// How many threads share the work; 0 for one for each CPU. What does not divide is done by one: calls, slices, times since
    /// the event before, most [other forms](MakeView::divide), and whatever is no regular file.
    pub jobs: u16,
    /// How much memory the captured machine's threads, descriptors and users may take, in bytes; by default as
    /// [`Reader::max_state`](scap::format::Reader::max_state) has it. At a section's start there are two copies of them for
    /// a moment.
    pub max_state: Option<u64>,
    /// Write them to a capture instead.
    pub slice: Option<SliceTo>,
    /// The number of a signal that has come: nothing of the slice is left then.
    pub signal: Option<Arc<AtomicUsize>>,
    /// Shows how much of the files is read, on stderr, if that is a terminal. Not where several jobs print events.
    pub progress: bool,
}

impl Default for ReadArgs {
    fn default() -> ReadArgs {
        ReadArgs {
            files: Vec::new(),
            span: Span::default(),
            follow: None,
            wanted: Wanted::default(),
            limit: None,
            form: Form::default(),
            jobs: 1,
            max_state: None,
            slice: None,
            signal: None,
            progress: false,
        }
    }
}

/// How events are shown.
#[derive(Debug, Clone)]
pub enum Form {
    /// Lines in sysdig's format.
    Lines(LineStyle),
    /// Lines in this format.
    Format(Formatter, TimeForm, DataForm),
    /// A table with these columns.
    Table(Columns, TableForm, DataForm),
    /// A JSON object a line.
    Json,
    /// Calls, one a line, in strace's form.
    Calls {
        /// Whether they have colours, for a terminal.
        colours: bool,
    },
    /// A form that the caller has, such as a summary.
    Other(Arc<dyn MakeView>),
}

impl Default for Form {
    fn default() -> Form {
        Form::Lines(LineStyle::default())
    }
}

impl Form {
    fn view(&self) -> Box<dyn View> {
        match self {
            Form::Lines(style) => Box::new(Lines::new(*style)),
            Form::Format(format, time, data) => Box::new(Formatted::new(format.clone(), *time, *data)),
            Form::Table(columns, form, data) => Box::new(FieldTable::new(columns.clone(), *form, *data)),
            Form::Json => Box::new(JsonLines::default()),
            Form::Calls { colours } => Box::new(Calls::new(*colours)),
            Form::Other(form) => form.view(),
        }
    }

    fn divide(&self) -> Option<Box<dyn Divided>> {
        if let Form::Other(form) = self { form.divide() } else { None }
    }
}

/// Shows the events of captures.
///
/// # Errors
/// If a capture cannot be opened or read to its end (after showing all complete events), or if `out` cannot be written,
/// except for a broken pipe.
pub fn read(args: &ReadArgs, out: &mut impl Write) -> Result<(), PrintError> {
    let inputs = Inputs::new(&args.files, args.follow.clone());
    let bar = match &inputs {
        Ok(inputs) if args.progress => Bar::new(inputs.size()),
        _ => Bar::hidden(),
    };
    let mut out = BufWriter::with_capacity(64 << 10, bar.writer(out));
    let shown = inputs.and_then(|inputs| show(inputs, args, &bar, &mut out));
    let flushed = out.flush();
    bar.finish();
    // Flush even after a read error: the events before it must be shown. The read error came first and wins.
    match shown.and(flushed.map_err(PrintError::Write)) {
        Err(PrintError::Write(e)) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// A signal has ended the reading. Nothing was written to the slice.
#[derive(Debug, Error)]
#[error("ended by signal {signal}: no capture was written")]
pub struct Stopped {
    /// The number of the signal.
    pub signal: usize,
}

/// Returns the error of a slice or a summary, which comes as one of a view; any other error as it is.
pub fn cause(error: PrintError) -> anyhow::Error {
    let PrintError::Write(e) = error else { return error.into() };
    e.downcast::<OutputError>()
        .map(anyhow::Error::from)
        .or_else(|e| e.downcast::<Stopped>().map(anyhow::Error::from))
        .or_else(|e| e.downcast::<TooManyGroups>().map(anyhow::Error::from))
        .or_else(|e| e.downcast::<TooManyProcesses>().map(anyhow::Error::from))
        .unwrap_or_else(|e| PrintError::Write(e).into())
}

/// Like [`read()`], but reads one capture from `input`; errors and warnings name the first of `args.files`.
///
/// # Errors
/// As for [`read()`].
pub fn read_from(input: impl Read, args: &ReadArgs, out: &mut impl Write) -> Result<(), PrintError> {
    read_as(input, Waiting::default(), args, out)
}

/// Like [`read_from`], but reads what is being recorded: shows what is known of a line whose rest is still to happen.
///
/// # Errors
/// As for [`read()`].
pub fn read_live(input: File, args: &ReadArgs, out: &mut impl Write) -> Result<(), PrintError> {
    let waiting = Waiting { live: Live::stream(&input), hurry: Arc::default() };
    read_as(Hurrying { file: input, hurry: waiting.hurry.clone() }, waiting, args, out)
}

fn read_as(
    input: impl Read,
    waiting: Waiting,
    args: &ReadArgs,
    out: &mut impl Write,
) -> Result<(), PrintError> {
    let name = args.files.first().map_or(Path::new("-"), |file| file);
    let (mut run, out) = (Run::new(args, None)?, &mut Whole(out));
    run.capture(name, input, waiting, out)?;
    let finished = run.finish(out);
    run::warn_of_losses(run.lost());
    finished
}

fn show(mut inputs: Inputs, args: &ReadArgs, bar: &Bar, out: &mut impl Write) -> Result<(), PrintError> {
    let span = inputs.first().map(|first| args.span.resolve(first));
    if let Some((from, _)) = span {
        inputs.skip_to(from);
    }
    let (shown, lost) = match jobs::count(args, &inputs) {
        1 => {
            let counted = |input: Input| Input { bytes: Box::new(bar.reader(input.bytes)), ..input };
            let mut run = Run::new(args, span)?;
            let shown = run.captures(|| Ok(inputs.next()?.map(counted)), &mut Whole(out));
            (shown, run.lost())
        }
        jobs => jobs::show(inputs, args, span, jobs, bar, out),
    };
    // Not on the line of the bar.
    bar.finish();
    run::warn_of_losses(lost);
    shown
}

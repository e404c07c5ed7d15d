//! Reads captures and shows their events: the command `scapd read`, without the command line.
//!
//! [`read()`] is the one driver: it goes through the captures, decides which events are [wanted](Wanted), and hands them
//! to a [`View`]. A view knows nothing of where its events come from.

mod follow;
mod inputs;
mod live;
mod slice;
mod span;

use std::{
    fs::File,
    io::{self, BufWriter, Read, Write},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use thiserror::Error;

use crate::{
    escape::escaped,
    output::OutputError,
    print::{
        Calls, FieldTable, Formatted, JsonLines, LineStyle, Lines, PrintError, TableForm, TimeForm, View,
    },
};
use follow::Hurrying;
use inputs::{Input, Inputs};
use live::{Live, Waiting};
use scap::{
    fields::Fields,
    filter::{Filter, Matcher},
    format::{Keep, ReadError, Reader},
    formatter::{Columns, Formatter},
    replay::{Moment, Position, Replay},
    select::{self, EventSet},
    text::DataForm,
};
use slice::SliceView;

pub use slice::SliceTo;
pub use span::{Span, When};

/// How old a line becomes before the part of it that is known is shown, if the rest is still to happen.
const OVERDUE: Duration = Duration::from_millis(100);

/// The arguments of [`read()`].
#[derive(Debug, Default)]
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
    /// How much memory the captured machine's threads, descriptors and users may take, in bytes; by default as
    /// [`Reader::max_state`] has it. At a section's start there are two copies of them for a moment.
    pub max_state: Option<u64>,
    /// Write them to a capture instead.
    pub slice: Option<SliceTo>,
    /// The number of a signal that has come: nothing of the slice is left then.
    pub signal: Option<Arc<AtomicUsize>>,
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
        }
    }
}

/// Which events are shown.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Those that match.
    pub filter: Option<Filter>,
    /// Those of these types and system calls.
    pub events: Option<EventSet>,
    /// Those of these processes and threads; empty for all.
    pub pids: Vec<u64>,
    /// Also those that were recorded only to keep names right, and internal events that are not named.
    pub all: bool,
}

impl Wanted {
    /// Returns whether an event is shown, if the filter's matcher says so too.
    fn has(&self, moment: &Moment<'_>, matcher: &mut Option<Matcher>) -> bool {
        let (event, machine) = (moment.event(), moment.machine);
        let of_process = |p: &u64| *p == machine.pid(event.tid()) || *p == event.tid();
        let is_internal = || event.info().is_some_and(select::is_internal);
        // As in sysdig, a filter does not name them.
        let is_named = || self.events.is_some();
        (self.all || moment.is_asked && (is_named() || !is_internal()))
            && (self.pids.is_empty() || self.pids.iter().any(of_process))
            && self.events.as_ref().is_none_or(|events| events.contains(event))
            && matcher.as_mut().is_none_or(|matcher| matcher.matches(event.ty(), moment))
    }

    /// Returns how much of the machine this asks for.
    fn keep(&self) -> Keep {
        if self.filter.is_some() { Keep::All } else { Keep::Names }
    }
}

/// Shows the events of captures.
///
/// # Errors
/// If a capture cannot be opened or read to its end (after showing all complete events), or if `out` cannot be written,
/// except for a broken pipe.
pub fn read(args: &ReadArgs, out: &mut impl Write) -> Result<(), PrintError> {
    let mut out = BufWriter::with_capacity(64 << 10, out);
    let inputs = Inputs::new(&args.files, args.follow.clone());
    let shown = inputs.and_then(|inputs| show(inputs, args, &mut out));
    let flushed = out.flush();
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

/// Returns the error of a slice, which comes as one of a view; any other error as it is.
pub fn cause(error: PrintError) -> anyhow::Error {
    let PrintError::Write(e) = error else { return error.into() };
    e.downcast::<OutputError>()
        .map(anyhow::Error::from)
        .or_else(|e| e.downcast::<Stopped>().map(anyhow::Error::from))
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
    let mut run = Run::new(args)?;
    if run.left > 0 {
        run.capture(name, input, waiting, out)?;
    }
    run.view.finish(out).map_err(PrintError::Write)
}

fn show(mut inputs: Inputs, args: &ReadArgs, out: &mut impl Write) -> Result<(), PrintError> {
    let mut run = Run::new(args)?;
    if let Some(first) = inputs.first() {
        let (from, _) = *run.span.insert(args.span.resolve(first));
        inputs.skip_to(from);
    }
    let mut shown = Ok(());
    while run.left > 0
        && shown.is_ok()
        && let Some(Input { path, bytes, is_growing, waiting }) = inputs.next()?
    {
        shown = match run.capture(&path, bytes, waiting, out) {
            // Its recorder has not finished the last event.
            Err(PrintError::Read { source: ReadError::Truncated { .. }, .. }) if is_growing => Ok(()),
            result => result,
        };
    }
    match shown {
        // What is before the damage has been shown.
        Ok(()) | Err(PrintError::Read { .. }) => {
            let finished = run.view.finish(out).map_err(PrintError::Write);
            shown.and(finished)
        }
        failed => failed,
    }
}

/// A run over captures.
struct Run<'a> {
    args: &'a ReadArgs,
    view: Box<dyn View>,
    matcher: Option<Matcher>,
    /// The times to show, in ns since the epoch, once the first event is known.
    span: Option<(u64, u64)>,
    /// How many more events may be shown.
    left: u64,
    position: Position,
    has_warned: bool,
    /// Something was shown since the output was flushed.
    is_unflushed: bool,
}

impl<'a> Run<'a> {
    fn new(args: &'a ReadArgs) -> Result<Run<'a>, PrintError> {
        let view: Box<dyn View> = match &args.slice {
            Some(to) => {
                let slice = SliceView::new(to, &args.files, args.wanted.all);
                Box::new(slice.map_err(|e| PrintError::Write(io::Error::other(e)))?)
            }
            None => args.form.view(),
        };
        Ok(Run {
            args,
            view,
            matcher: args.wanted.filter.as_ref().map(|filter| Matcher::new(filter, &Fields)),
            span: None,
            left: args.limit.unwrap_or(u64::MAX),
            position: Position::default(),
            has_warned: false,
            is_unflushed: false,
        })
    }

    fn capture(
        &mut self,
        path: &Path,
        input: impl Read,
        waiting: Waiting,
        out: &mut impl Write,
    ) -> Result<(), PrintError> {
        let Waiting { mut live, hurry } = waiting;
        let damaged = |source| PrintError::Read { path: path.into(), source };
        let keep = self.args.wanted.keep().max(self.view.keep());
        let reader = Reader::new(input).map_err(damaged)?;
        let mut reader = reader.keep(keep).max_state(self.args.max_state).hurry(hurry);
        let mut replay = Replay::new(&mut reader, keep, self.position);
        while let Some(moment) = replay.next().map_err(damaged)? {
            if moment.turns_back && !std::mem::replace(&mut self.has_warned, true) {
                warn_of_order(path, moment.captured.section);
            }
            self.stop().map_err(PrintError::Write)?;
            self.moment(&moment, out).map_err(PrintError::Write)?;
            if !moment.captured.more {
                let ts = moment.event().ts();
                self.pause(ts, live.as_mut(), out).map_err(PrintError::Write)?;
            }
            if self.left == 0 {
                return Ok(());
            }
        }
        self.position = replay.position();
        self.view.end_capture(reader.state(), out).map_err(PrintError::Write)
    }

    /// Shows what is known, before the next event is waited for. The last one was at this time.
    fn pause(&mut self, ts: u64, live: Option<&mut Live>, out: &mut impl Write) -> io::Result<()> {
        if std::mem::take(&mut self.is_unflushed) {
            out.flush()?;
        }
        let (Some(live), Some(since)) = (live, self.view.waits_since()) else { return Ok(()) };
        let age = Duration::from_nanos(ts.saturating_sub(since));
        if age < OVERDUE && live.has_more_within(OVERDUE - age) {
            return Ok(());
        }
        self.view.overdue(out)?;
        out.flush()
    }

    fn stop(&self) -> io::Result<()> {
        match self.args.signal.as_ref().map_or(0, |signal| signal.load(Relaxed)) {
            0 => Ok(()),
            signal => Err(io::Error::other(Stopped { signal })),
        }
    }

    fn moment(&mut self, moment: &Moment<'_>, out: &mut impl Write) -> io::Result<()> {
        let (from, to) = *self.span.get_or_insert_with(|| self.args.span.resolve(moment.first));
        let ts = moment.event().ts();
        if ts > to {
            self.left = 0;
            return Ok(());
        }
        if ts < from || !self.args.wanted.has(moment, &mut self.matcher) {
            return self.view.unwanted(moment, out);
        }
        self.view.event(moment, out)?;
        self.left -= u64::from(self.view.counts(moment));
        self.is_unflushed = true;
        Ok(())
    }
}

fn warn_of_order(path: &Path, section: u32) {
    let file = escaped(path.as_os_str().as_bytes());
    tracing::warn!(
        "{file}: its captures are concatenated out of order: section {section} begins before section {} ends",
        section - 1
    );
}

//! Prints captures: events as text or JSON lines, and a summary.
//!
//! [`read()`] and [`info()`] implement the commands of the same names, without the command line.

mod info;
mod json;
mod kernel_names;
mod line;
mod losses;
mod meaning;
mod table;
#[cfg(test)]
mod tests;
mod text;

use std::{
    fs::File,
    io::{self, BufWriter, Read, Write},
    ops::ControlFlow,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use jiff::tz::TimeZone;
use thiserror::Error;

pub use info::{EventCount, InfoArgs, OtherNotice, ProcessCount, Summary, info};
pub use losses::LedgerSummary;

use crate::escape::{escaped, shown};
use scap::{
    format::{CapturedEvent, EventView, Joiner, Keep, ReadError, Reader},
    ledger,
    model::{Interval, Machine},
    select::{self, Judge},
};

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
    /// The output cannot be written. A broken pipe is not an error.
    #[error("cannot write the output")]
    Write(#[source] io::Error),
}

/// Decides which events are printed.
pub type Filter = Box<dyn Fn(&EventView<'_>) -> bool>;

/// The arguments of [`read()`].
pub struct ReadArgs {
    /// The capture; `-` is the standard input.
    pub file: PathBuf,
    /// The maximum number of events to print.
    pub limit: Option<u64>,
    /// Whether to print one JSON object per line instead of lines in sysdig's format.
    pub json: bool,
    /// Which events to print; `None` for all. [`EventView::syscall`] returns an event's system call.
    pub filter: Option<Filter>,
    /// The processes and threads whose events are printed; empty for all.
    pub pids: Vec<u64>,
    /// Whether to also print events that were recorded only to keep names right, and internal events where no filter
    /// is set.
    pub all: bool,
    /// How much memory the captured machine's threads, descriptors and users may take, in bytes; by default as
    /// [`Reader::max_state`] has it. At a section's start there are two copies of them for a moment.
    pub max_state: Option<u64>,
}

/// An event with its number in the capture, counted from 1.
struct Numbered<'a> {
    num: u64,
    /// The recording's selection includes it.
    asked: bool,
    /// It is the first event of its section, and older than an event of the previous section.
    turns_back: bool,
    /// The memory that tables may take, in bytes.
    limit: u64,
    captured: CapturedEvent<'a>,
}

/// Prints the events of a capture.
///
/// # Errors
/// If the capture cannot be opened or read to its end (after printing all complete events), or if `out` cannot be
/// written, except for a broken pipe.
pub fn read(args: &ReadArgs, out: &mut impl Write) -> Result<(), PrintError> {
    let mut out = BufWriter::with_capacity(64 << 10, out);
    let shown = show_events(args, &mut out);
    let flushed = out.flush();
    // Flush even after a read error: the events before it must be printed. The read error came first and wins.
    match shown.and(flushed.map_err(PrintError::Write)) {
        Err(PrintError::Write(e)) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

fn show_events(args: &ReadArgs, out: &mut impl Write) -> Result<(), PrintError> {
    show_events_of(open(&args.file)?, args, out)
}

/// Like [`read()`], but reads the capture from `input`; errors and warnings name `args.file`.
///
/// # Errors
/// As for [`read()`].
pub fn show_events_of(input: impl Read, args: &ReadArgs, out: &mut impl Write) -> Result<(), PrintError> {
    let damaged = |source| PrintError::Read { path: args.file.clone(), source };
    let mut reader = Reader::new(input).map_err(damaged)?.keep(Keep::Names).max_state(args.max_state);
    let tz = TimeZone::system();
    let mut line = String::new();
    let mut left = args.limit.unwrap_or(u64::MAX);
    if left == 0 {
        return Ok(());
    }
    let (mut json, mut warned) = (json::Writer::default(), false);
    let written = for_each_event(&mut reader, |numbered, names| {
        if numbered.turns_back && !std::mem::replace(&mut warned, true) {
            let (file, section) = (escaped(args.file.as_os_str().as_bytes()), numbered.captured.section);
            tracing::warn!(
                "{file}: its captures are concatenated out of order: section {section} begins before section {} ends",
                section - 1
            );
        }
        if !(numbered.asked || args.all) || !args.wants(&numbered.captured.event, names) {
            return ControlFlow::Continue(());
        }
        line.clear();
        if args.json {
            json.write(&mut line, numbered, names);
        } else {
            line::write_line(&mut line, numbered, names, &tz);
        }
        line.push('\n');
        left -= 1;
        // Flush before blocking on a pipe for more input.
        let flush = |out: &mut dyn Write| if numbered.captured.more { Ok(()) } else { out.flush() };
        match out.write_all(line.as_bytes()).and_then(|()| flush(out)) {
            Ok(()) if left > 0 => ControlFlow::Continue(()),
            done => ControlFlow::Break(done),
        }
    });
    written.map_err(damaged)?.unwrap_or(Ok(())).map_err(PrintError::Write)
}

impl ReadArgs {
    fn wants(&self, event: &EventView<'_>, names: &Machine) -> bool {
        let of_process = |p: &u64| *p == names.pid(event.tid()) || *p == event.tid();
        let is_internal = || event.info().is_some_and(select::is_internal);
        (self.all || self.filter.is_some() || !is_internal())
            && (self.pids.is_empty() || self.pids.iter().any(of_process))
            && self.filter.as_ref().is_none_or(|filter| filter(event))
    }
}

/// Calls `f` with each event and the names at its time until `f` breaks; returns the break value.
fn for_each_event<R: Read, B>(
    reader: &mut Reader<R>,
    mut f: impl FnMut(&Numbered<'_>, &Machine) -> ControlFlow<B>,
) -> Result<Option<B>, ReadError> {
    let (mut names, mut joiner) = (Machine::default(), Joiner::default());
    let (mut num, mut section, mut last) = (0, 0, 0);
    let mut judge = Judge::default();
    let (mut interval, mut limit) = (Interval::default(), 0);
    loop {
        if interval.is_over() {
            // The machine has taken over what they need of it.
            reader.forget_state();
            let memory = names.memory() + joiner.memory();
            reader.afford(memory)?;
            limit = reader.state_limit();
            interval.restart(memory);
        }
        let Some(captured) = reader.next_event()? else { return Ok(None) };
        interval.event(captured.event.bytes().len());
        let turns_back = captured.section != section && captured.event.ts() < last;
        last = captured.event.ts().max(last);
        if captured.section != section {
            section = captured.section;
            names = Machine::of_state(captured.state, Keep::Names);
            judge = Judge::default();
            joiner = Joiner::default();
            interval.end();
        }
        let captured = CapturedEvent { event: joiner.join(captured.event), ..captured };
        num += 1;
        names.apply(&captured.event);
        if let Some(ledger::Notice::Selected(asked)) = ledger::parse(&captured.event) {
            judge = Judge::new(asked);
        }
        let asked = judge.is_asked(captured.event.ty(), || generic_code(&captured.event));
        if let ControlFlow::Break(b) = f(&Numbered { num, asked, turns_back, limit, captured }, &names) {
            return Ok(Some(b));
        }
    }
}

/// Returns the stable system call code of a generic event.
fn generic_code(event: &EventView<'_>) -> u16 {
    event.param(0).and_then(<[u8]>::first_chunk).map_or(0, |code| u16::from_ne_bytes(*code))
}

fn open(path: &Path) -> Result<Box<dyn Read>, PrintError> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    match File::open(path) {
        Ok(file) => Ok(Box::new(file)),
        Err(source) => Err(PrintError::Open { path: path.into(), source }),
    }
}

/// Returns the names of the signals in a set.
fn signals(set: u32) -> Vec<&'static str> {
    (0..32u8).filter(|bit| set & (1 << bit) != 0).filter_map(|bit| kernel_names::signal(bit + 1)).collect()
}

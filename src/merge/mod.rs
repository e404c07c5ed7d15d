//! `scapd merge`: captures of one machine as one, in time order.
//!
//! Each source is read twice: first to find out when it was recorded and whether it can be merged, then to merge it. A
//! source is opened when the result reaches its start, so a long series needs few open files.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use thiserror::Error;

use crate::{
    bar::Bar,
    escape::{escaped, shown},
    output::{Made, OutputError, OutputTotals, Target},
    read::Stopped,
};
use scap::{
    format::{Keep, MachineState, ReadError, Reader},
    merge::{self, Merge, Survey},
};

/// How many bytes are written at once: each is a gzip member of its own.
const CHUNK: usize = 1 << 20;

/// The arguments of [`merge()`].
#[derive(Debug)]
pub struct MergeArgs {
    /// The captures, in any order.
    pub files: Vec<PathBuf>,
    /// Where the result goes.
    pub target: Target,
    /// Compress with gzip.
    pub compress: bool,
    /// The number of a signal that has come: nothing of the result is left then.
    pub signal: Option<Arc<AtomicUsize>>,
}

/// Why captures could not be merged.
#[derive(Debug, Error)]
pub enum MergeError {
    /// The standard input cannot be read twice.
    #[error("a capture to merge is read twice, and the standard input cannot be: write it to a file first")]
    Pipe,
    /// A capture is given twice.
    #[error("{} is given twice", shown(path))]
    Twice {
        /// The capture.
        path: PathBuf,
    },
    /// A capture cannot be opened.
    #[error("cannot open {}", shown(path))]
    Open {
        /// The capture.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A capture is damaged, or cannot be read.
    #[error("{}{}", shown(path), remedy(source))]
    Read {
        /// The capture.
        path: PathBuf,
        /// What is wrong.
        source: ReadError,
    },
    /// They come from different machines, or from before and after a start of the machine.
    #[error(
        "{} and {} do not come from the same machine since the same start ({one_machine}; {other_machine}): process ids \
         would get the names of others. Merge the captures of each alone",
        shown(one),
        shown(other)
    )]
    OtherMachine {
        /// A capture.
        one: PathBuf,
        /// Another one.
        other: PathBuf,
        /// The machine of the first.
        one_machine: String,
        /// The machine of the other.
        other_machine: String,
    },
    /// A capture's sections are not in order.
    #[error(
        "the sections of {} are out of order: section {section} begins before the one before it ends. Merge the \
         captures that it was made from",
        shown(path)
    )]
    OutOfOrder {
        /// The capture.
        path: PathBuf,
        /// The section.
        section: u32,
    },
    /// They cover the same time, and have events of the same thread.
    #[error(
        "{} and {} cover the same time, and both have calls of thread {tid}: what is in both would happen twice, and \
         names would be wrong. Merge captures that follow each other, or have different processes (scapd read -w cuts \
         one by time or by a filter)",
        shown(one),
        shown(other)
    )]
    Overlap {
        /// A capture.
        one: PathBuf,
        /// Another one.
        other: PathBuf,
        /// The thread.
        tid: u64,
    },
    /// The result cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// A signal has ended it.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

fn remedy(source: &ReadError) -> &'static str {
    match source {
        ReadError::Truncated { .. } | ReadError::Corrupt { .. } => " (`scapd repair` makes it whole)",
        _ => "",
    }
}

/// Merges captures.
///
/// # Errors
/// Any [`MergeError`]; there is no result then.
pub fn merge(args: &MergeArgs) -> Result<OutputTotals, MergeError> {
    check_names(&args.files)?;
    let reserved = Made::reserve(args.target.clone(), args.compress, &args.files)?;
    let run = Run { signal: args.signal.as_deref(), bar: bar(&args.files) };
    let mut sources = Vec::new();
    for path in &args.files {
        let survey = run.survey(path)?;
        sources.push((path.as_path(), survey));
    }
    check_machines(&sources)?;
    sources.sort_by_key(|(_, survey)| survey.starts());
    let surveys: Vec<_> = sources.iter().map(|(_, survey)| survey.clone()).collect();
    if let Some(merge::Conflict { sources: (one, other), tid }) = merge::conflict(&surveys) {
        let path = |i: usize| sources.get(i).map(|(path, _)| path.to_path_buf()).unwrap_or_default();
        return Err(MergeError::Overlap { one: path(one), other: path(other), tid });
    }
    drop(surveys);
    let result = run.write(sources, Made::open(reserved)?);
    run.bar.finish();
    result
}

fn check_names(files: &[PathBuf]) -> Result<(), MergeError> {
    for (i, path) in files.iter().enumerate() {
        if path.as_os_str() == "-" {
            return Err(MergeError::Pipe);
        }
        let is_same = |other: &PathBuf| {
            let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
            real(other) == real(path)
        };
        if files.iter().take(i).any(is_same) {
            return Err(MergeError::Twice { path: path.clone() });
        }
    }
    Ok(())
}

fn check_machines(sources: &[(&Path, Survey)]) -> Result<(), MergeError> {
    let Some(((one, first), rest)) = sources.split_first() else { return Ok(()) };
    for (path, survey) in sources {
        if let Some(section) = survey.early_section() {
            return Err(MergeError::OutOfOrder { path: path.to_path_buf(), section });
        }
    }
    let name = |survey: &Survey| {
        let boot = jiff::Timestamp::from_nanosecond(survey.boot_time.into());
        let boot = boot.map_or_else(|_| survey.boot_time.to_string(), |time| format!("{time:.0}"));
        format!("{}, started {boot}", escaped(&survey.hostname))
    };
    match rest.iter().find(|(_, other)| !is_same_machine(first, other)) {
        None => Ok(()),
        Some((other, survey)) => Err(MergeError::OtherMachine {
            one: one.to_path_buf(),
            other: other.to_path_buf(),
            one_machine: name(first),
            other_machine: name(survey),
        }),
    }
}

/// The kernel computes the time of its start from two clocks, so it may differ between captures after a step of one.
fn is_same_machine(one: &Survey, other: &Survey) -> bool {
    const STEP: u64 = 2_000_000_000;
    one.hostname == other.hostname && one.boot_time.abs_diff(other.boot_time) <= STEP
}

/// A bar for captures of which every byte is read twice.
fn bar(files: &[PathBuf]) -> Bar {
    let size = |path: &PathBuf| path.metadata().map_or(0, |found| found.len());
    Bar::new(Some(2 * files.iter().map(size).sum::<u64>()))
}

/// A capture, of which the bar counts what is read.
type Input = Box<dyn Read>;

struct Run<'a> {
    signal: Option<&'a AtomicUsize>,
    bar: Bar,
}

impl Run<'_> {
    fn open(&self, path: &Path, keep: Keep) -> Result<Reader<Input>, MergeError> {
        let file = File::open(path).map_err(|source| MergeError::Open { path: path.into(), source })?;
        let input: Input = Box::new(self.bar.reader(file));
        let reader = Reader::new(input).map_err(|source| MergeError::Read { path: path.into(), source })?;
        Ok(reader.keep(keep))
    }

    fn survey(&self, path: &Path) -> Result<Survey, MergeError> {
        self.stop()?;
        let mut reader = self.open(path, Keep::Machine)?;
        Survey::of(&mut reader).map_err(|source| MergeError::Read { path: path.into(), source })
    }

    fn stop(&self) -> Result<(), MergeError> {
        match self.signal.map_or(0, |signal| signal.load(Relaxed)) {
            0 => Ok(()),
            signal => Err(Stopped { signal }.into()),
        }
    }

    fn write(&self, sources: Vec<(&Path, Survey)>, mut made: Made) -> Result<OutputTotals, MergeError> {
        let paths: Vec<&Path> =
            sources.iter().filter(|(_, survey)| survey.starts().is_some()).map(|(path, _)| *path).collect();
        let failed = |(index, source): merge::SourceError| {
            let path = paths.get(index).copied().unwrap_or(Path::new("")).to_owned();
            MergeError::Read { path, source }
        };
        let empty = sources.first().map(|(path, _)| *path);
        let mut waiting: VecDeque<(u64, &Path, Survey)> =
            sources.into_iter().filter_map(|(path, survey)| Some((survey.starts()?, path, survey))).collect();
        let (mut merge, mut written) = (Merge::default(), 0);
        loop {
            self.stop()?;
            let next = merge.next_time();
            let is_next = |(starts, ..): &(u64, &Path, Survey)| next.is_none_or(|next| *starts <= next);
            if waiting.front().is_some_and(is_next)
                && let Some((_, path, survey)) = waiting.pop_front()
            {
                merge.add(self.open(path, Keep::All)?, survey).map_err(failed)?;
                continue;
            }
            if next.is_none() {
                break;
            }
            merge.step().map_err(failed)?;
            if merge.out.len() >= CHUNK {
                made.write(&merge.out, merge.events - written)?;
                written = merge.events;
                merge.out.clear();
            }
        }
        let state = match empty {
            Some(path) if merge.events == 0 => self.state(path)?,
            _ => MachineState::default(),
        };
        merge.finish(&state);
        made.write(&merge.out, merge.events - written)?;
        Ok(made.finish()?)
    }

    /// Returns the state that a capture starts with.
    fn state(&self, path: &Path) -> Result<MachineState, MergeError> {
        let mut reader = self.open(path, Keep::All)?;
        reader.next_event().map_err(|source| MergeError::Read { path: path.into(), source })?;
        Ok(reader.state().clone())
    }
}

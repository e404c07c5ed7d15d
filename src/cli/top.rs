//! The options of `scapd top` and its kin.

use std::{ffi::OsString, sync::Arc, time::Duration};

use clap::Args;

use super::{
    choice::choice,
    form::below,
    read::{divide, filter_of, jobs, usage},
    source::{Source, SourceArgs},
};
use crate::{
    choice::Choice,
    read::{Form, ReadArgs, Span, When},
    top::{OutputForm, Part, SlowForm, StateForm, TopForm, TopKind, TreeForm, WaitingForm},
    units::{parse_duration, parse_size},
};
use scap::summary::{Column, Keys};

/// The rows of a table by default: a screen.
const ROWS: usize = 25;

use Column::{
    Accepts, Bytes, Calls, Connect, Connects, Created, Deleted, Error, Errors, In, Max, Mean, Opened, Out,
    P50, P99, Pending, PendingTime, Renamed, Share, Total,
};

/// `scapd top`.
#[derive(Debug, Args)]
#[command(override_usage = "scapd top [OPTIONS] [FILE]... [FILTER] [-p PID | -- COMMAND]")]
pub struct TopArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Group calls by these: call, process, thread, exe, command, user, cgroup, container, image, pod, namespace, file, folder,
    /// device, connection, peer, port, error, signal, and fields of filters [default: call; with --waiting, process]
    #[arg(long, value_name = "KEY,...", value_parser = parse_keys)]
    by: Option<Keys>,
    /// Show what threads spent their time on: running, waiting for a CPU (with switch events in the capture), and in calls that
    /// wait for the disk, the network, ... The shares of a row add up to 100 %
    #[arg(long, conflicts_with_all = ["sort", "columns", "every"])]
    waiting: bool,
    #[command(flatten)]
    table: TableArgs,
    #[command(flatten)]
    jobs: JobsArgs,
}

/// `scapd files`.
#[derive(Debug, Args)]
pub struct TopFilesArgs {
    #[command(flatten)]
    groups: GroupsArgs,
    #[command(flatten)]
    jobs: JobsArgs,
}

/// How many threads share the work.
#[derive(Debug, Args)]
#[group(skip)]
struct JobsArgs {
    /// Share the work on captures among this many threads; 0: one for each CPU. The output is the same. Every thread keeps the
    /// state of the machine and groups of its own, and unpacks compressed captures. That pays if filters or keys ask for
    /// files, processes and the like. One thread is used where the type of an event decides all, for --waiting, --every, the
    /// column connect, --follow, and pipes
    #[arg(short, long, value_name = "JOBS", default_value_t = 1, value_parser = jobs())]
    jobs: u16,
}

/// `scapd errors` and `scapd net`, and most of `scapd files`.
#[derive(Debug, Args)]
pub struct GroupsArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Group by these, as scapd top does
    #[arg(long, value_name = "KEY,...", value_parser = parse_keys)]
    by: Option<Keys>,
    #[command(flatten)]
    table: TableArgs,
}

/// `scapd slow`.
#[derive(Debug, Args)]
#[command(override_usage = "scapd slow [OPTIONS] [FILE]... [FILTER] [-p PID | -- COMMAND]")]
pub struct SlowArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Show this many calls
    #[arg(short = 'n', long = "count", value_name = "CALLS", default_value_t = ROWS)]
    count: usize,
    /// Also show calls that wait on purpose: for a time, for one of several descriptors, for children
    #[arg(long)]
    waits: bool,
    /// Print a JSON object for each call
    #[arg(long)]
    json: bool,
}

/// `scapd tree`.
#[derive(Debug, Args)]
#[command(override_usage = "scapd tree [OPTIONS] [FILE]... [FILTER] [-p PID | -- COMMAND]")]
pub struct TreeArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Print a JSON object for each process
    #[arg(long)]
    json: bool,
}

/// `scapd state`.
#[derive(Debug, Args)]
#[command(override_usage = "scapd state [OPTIONS] <FILE>... [FILTER]")]
pub struct StateArgs {
    /// Captures, and folders of captures; - for stdin. What follows and is no file is a filter for processes and descriptors
    #[arg(required = true, value_name = "FILE")]
    words: Vec<OsString>,
    /// The time: 90s or 1m30s after the first event, 14:03:05, 2026-11-27T14:03:05 [default: the end of the captures]
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    at: Option<When>,
    /// Show these parts
    #[arg(long, value_name = "PART,...", value_delimiter = ',', value_parser = choice::<Part>())]
    #[arg(default_values = Part::ALL.iter().map(|part| part.name()), hide_default_value = true)]
    show: Vec<Part>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
    /// Limit the memory for the capture's threads, descriptors and users [default: 1G]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    max_state: Option<u64>,
}

/// How a table is shown.
#[derive(Debug, Args)]
#[group(skip)]
struct TableArgs {
    /// Sort by these columns, the largest first
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',', value_parser = parse_column)]
    sort: Vec<Column>,
    /// Show these columns: calls, errors, error (the most frequent), total, mean, p50, p99, max, in, out, bytes, share, pending
    /// (calls that have not ended), so-far (their time), opened, created, deleted, renamed, connects, accepts, connect (the
    /// median time to connect)
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',', value_parser = parse_column)]
    columns: Vec<Column>,
    /// Show this many groups; 0 for all
    #[arg(short = 'n', long = "count", value_name = "ROWS", default_value_t = ROWS)]
    count: usize,
    /// Print a JSON object, with all columns (docs/JSON.md)
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print comma-separated values, with times in ns
    #[arg(long)]
    csv: bool,
    /// Show the calls of each interval of this length: 5s, 1m
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    every: Option<Duration>,
}

/// A command that shows groups of calls.
#[derive(Debug, Clone, Copy)]
struct Preset {
    name: &'static str,
    by: &'static str,
    columns: &'static [Column],
    sort: &'static [Column],
    kind: TopKind,
}

const TOP: Preset = Preset {
    name: "top",
    by: "call",
    columns: &[Share, Total, Calls, Errors, Error, Mean, P50, P99, Max, In, Out, Pending, PendingTime],
    // Without enter events, there are no times to sort by.
    sort: &[Total, Calls],
    kind: TopKind::All,
};
const SIGNALS: Preset = Preset { columns: &[Share, Calls], sort: &[Calls], ..TOP };
/// `scapd errors`.
const ERRORS: Preset = Preset {
    name: "errors",
    by: "call,error,proc.name",
    columns: &[Calls, Total],
    sort: &[Calls],
    kind: TopKind::Failed,
};
/// `scapd files`.
const FILES: Preset = Preset {
    name: "files",
    by: "file,proc.name",
    columns: &[In, Out, Opened, Created, Deleted, Renamed, Calls, Errors, Error, Total, Pending],
    sort: &[Bytes, Calls],
    kind: TopKind::Some,
};
/// `scapd net`.
const NET: Preset = Preset {
    name: "net",
    by: "proc.name,peer,port",
    columns: &[In, Out, Connects, Accepts, Connect, Calls, Errors, Error, Total, Pending, PendingTime],
    sort: &[Bytes, Calls],
    kind: TopKind::Some,
};

impl TopArgs {
    /// Returns what to go through.
    ///
    /// # Errors
    /// If the filter is wrong, or a file does not exist.
    pub fn resolve(self) -> Result<Source, clap::Error> {
        if self.waiting {
            let keys = keys(self.by, "process", "top")?;
            let form = WaitingForm { keys, rows: self.table.rows(), form: self.table.output() };
            return self.source.resolve("top", Form::Other(Arc::new(form)));
        }
        let keys = keys(self.by, TOP.by, TOP.name)?;
        let preset = if keys.counts_signals() { SIGNALS } else { TOP };
        let source = self.source.resolve("top", self.table.form(keys, &preset))?;
        Ok(source.with_jobs(self.jobs.jobs))
    }
}

impl TopFilesArgs {
    /// Returns what to go through.
    ///
    /// # Errors
    /// If the filter is wrong, or a file does not exist.
    pub fn files(self) -> Result<Source, clap::Error> {
        Ok(self.groups.resolve(&FILES)?.with_jobs(self.jobs.jobs))
    }
}

impl GroupsArgs {
    /// Returns what to go through for `scapd errors`.
    ///
    /// # Errors
    /// If the filter is wrong, or a file does not exist.
    pub fn errors(self) -> Result<Source, clap::Error> {
        self.resolve(&ERRORS)
    }

    /// The same for `scapd net`.
    ///
    /// # Errors
    /// As for [`errors`](GroupsArgs::errors).
    pub fn net(self) -> Result<Source, clap::Error> {
        self.resolve(&NET)
    }

    fn resolve(self, preset: &Preset) -> Result<Source, clap::Error> {
        let keys = keys(self.by, preset.by, preset.name)?;
        self.source.resolve(preset.name, self.table.form(keys, preset))
    }
}

impl SlowArgs {
    /// Returns what to go through.
    ///
    /// # Errors
    /// If the filter is wrong, or a file does not exist.
    pub fn resolve(self) -> Result<Source, clap::Error> {
        let form = if self.json { OutputForm::Json } else { OutputForm::Text };
        let form = SlowForm { rows: self.count, with_waits: self.waits, form };
        self.source.resolve("slow", Form::Other(Arc::new(form)))
    }
}

impl TreeArgs {
    /// Returns what to go through.
    ///
    /// # Errors
    /// If the filter is wrong, or a file does not exist.
    pub fn resolve(self) -> Result<Source, clap::Error> {
        let form = if self.json { OutputForm::Json } else { OutputForm::Text };
        self.source.resolve("tree", Form::Other(Arc::new(TreeForm { form })))
    }
}

impl StateArgs {
    /// Returns what to read.
    ///
    /// # Errors
    /// If the filter is wrong, or a file does not exist.
    pub fn resolve(self) -> Result<ReadArgs, clap::Error> {
        let (files, words) = divide(self.words);
        let filter = match words.as_str() {
            "" => None,
            words => Some(filter_of(words).map_err(|mistake| usage("state", mistake))?),
        };
        let form = if self.json { OutputForm::Json } else { OutputForm::Text };
        Ok(ReadArgs {
            files,
            span: Span { from: None, to: self.at },
            form: Form::Other(Arc::new(StateForm { form, parts: self.show, filter })),
            max_state: self.max_state,
            progress: true,
            ..ReadArgs::default()
        })
    }
}

impl TableArgs {
    fn rows(&self) -> Option<usize> {
        (self.count > 0).then_some(self.count)
    }

    fn output(&self) -> OutputForm {
        OutputForm::of(self.json, self.csv)
    }

    /// Returns the form, with the columns and the order of a command unless others are given.
    fn form(self, keys: Keys, preset: &Preset) -> Form {
        let (rows, form) = (self.rows(), self.output());
        let given = |given: Vec<Column>, own: &[Column]| if given.is_empty() { own.to_vec() } else { given };
        Form::Other(Arc::new(TopForm {
            keys,
            columns: given(self.columns, preset.columns),
            sort: given(self.sort, preset.sort),
            rows,
            form,
            every: self.every,
            kind: preset.kind,
        }))
    }
}

/// Returns the keys that are given, or those of a command.
fn keys(given: Option<Keys>, own: &str, subcommand: &str) -> Result<Keys, clap::Error> {
    given.map_or_else(|| parse_keys(own).map_err(|why| usage(subcommand, why)), Ok)
}

pub(super) fn parse_keys(text: &str) -> Result<Keys, String> {
    Keys::parse(text).map_err(below)
}

pub(super) fn parse_column(name: &str) -> Result<Column, String> {
    Column::of(name).ok_or_else(|| {
        let names: Vec<_> = Column::ALL.iter().map(|column| column.name()).collect();
        format!("there is no such column: there are {}", names.join(", "))
    })
}

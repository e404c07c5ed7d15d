//! Where the events of a summary come from: captures, or what happens now.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;

use super::{
    choice::choice,
    read::{filter_of, usage},
};
use crate::{
    choice::Choice,
    probe::{Attach, ProbeOptions},
    read::{Form, ReadArgs, Span, Wanted, When},
    record, trace,
    units::parse_size,
};
use scap::{
    events::Schema,
    select::{self, EventSet, SyscallSet, TracepointSet},
};

const LIVE: &str = "Live";

/// Where the events of a summary come from.
#[derive(Debug, Args)]
#[group(skip)]
pub struct SourceArgs {
    /// Captures, and folders of captures; - for stdin. Several are read in the order of their times. What follows and is no
    /// file is a filter: a call counts if its exit event matches. Without a capture, what happens now is recorded, until ^C
    #[arg(value_name = "FILE")]
    words: Vec<OsString>,
    /// Count only what matches this filter; for one that has the name of a file
    #[arg(short = 'f', long, value_name = "FILTER")]
    filter: Option<String>,
    /// Leave out the events before a time: 90s or 1m30s after the first event, 14:03:05, 2026-11-27T14:03:05
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    from: Option<When>,
    /// Stop at the first event after a time
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    to: Option<When>,
    /// Wait for more at the end of a capture that is being written, until ^C
    #[arg(long)]
    follow: bool,
    /// Count only these system calls and other events, as in `scapd read`; live, record only these
    #[arg(long, value_name = "LIST")]
    syscalls: Option<String>,
    /// Also count events that were recorded only to keep names right
    #[arg(long)]
    all: bool,
    /// Limit the memory for the capture's threads, descriptors and users, and that for the groups [default: 1G]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    max_state: Option<u64>,
    /// Record these processes and their descendants
    #[arg(short = 'p', long = "pid", value_name = "PID", value_delimiter = ',', help_heading = LIVE)]
    pids: Vec<u32>,
    /// How to attach the BPF programs
    #[arg(long, value_name = "HOW", default_value = Attach::default().name(), value_parser = choice::<Attach>())]
    #[arg(help_heading = LIVE)]
    attach: Attach,
    /// Write to this file [default: stderr with a COMMAND, otherwise stdout]
    #[arg(short = 'o', long = "output", value_name = "FILE", help_heading = LIVE)]
    output: Option<PathBuf>,
    /// Command to run and record, including its descendants
    #[arg(last = true, value_name = "COMMAND", id = "run", conflicts_with = "pids", help_heading = LIVE)]
    run: Vec<OsString>,
}

/// Captures to read, or what to record.
#[derive(Debug)]
pub enum Source {
    /// Captures.
    Read(Box<ReadArgs>),
    /// What happens now.
    Live(Box<trace::TraceArgs>),
}

impl Source {
    /// Has so many threads read the captures; see [`ReadArgs::jobs`].
    #[must_use]
    pub(super) fn with_jobs(mut self, jobs: u16) -> Source {
        if let Source::Read(args) = &mut self {
            args.jobs = jobs;
        }
        self
    }
}

impl SourceArgs {
    /// Returns what to go through for the subcommand of this name, and `form` as its form.
    ///
    /// # Errors
    /// If the filter or a list is wrong, or a file does not exist.
    pub(super) fn resolve(self, subcommand: &str, form: Form) -> Result<Source, clap::Error> {
        let is_file = |word: &OsString| word == "-" || Path::new(word).exists();
        let is_live = !self.run.is_empty() || !self.pids.is_empty();
        let files = if is_live { 0 } else { self.words.iter().take_while(|word| is_file(word)).count() };
        let words: Vec<_> = self.words.iter().skip(files).map(|word| word.to_string_lossy()).collect();
        let words = words.join(" ");
        let wrong = |message| Err(usage(subcommand, message));
        if self.filter.is_some() && !words.is_empty() {
            return wrong(format!("a filter both as --filter and as arguments ({words})"));
        }
        let text = self.filter.clone().or_else(|| (!words.is_empty()).then_some(words));
        let filter = text.map(|text| filter_of(&text).map_err(|mistake| usage(subcommand, mistake)));
        let wanted = Wanted { filter: filter.transpose()?, all: self.all, ..Wanted::default() };
        if files == 0 {
            if self.follow || self.from.is_some() || self.to.is_some() {
                return wrong("--follow, --from and --to need a capture: there is no such file".into());
            }
            return self.live(subcommand, wanted, form).map(|live| Source::Live(Box::new(live)));
        }
        if self.output.is_some() {
            return wrong("--output is for live summaries: of captures, stdout has the output".into());
        }
        let parse = |list: &str| select::parse_events(list);
        let events: Option<EventSet> = listed(self.syscalls.as_deref(), subcommand, parse)?;
        Ok(Source::Read(Box::new(ReadArgs {
            files: self.words.into_iter().take(files).map(PathBuf::from).collect(),
            span: Span { from: self.from, to: self.to },
            follow: self.follow.then(Arc::default),
            wanted: Wanted { events, ..wanted },
            form,
            max_state: self.max_state,
            progress: !self.follow,
            ..ReadArgs::default()
        })))
    }

    fn live(self, subcommand: &str, wanted: Wanted, form: Form) -> Result<trace::TraceArgs, clap::Error> {
        let parse = |list: &str| select::parse(list);
        let syscalls: Option<SyscallSet> = listed(self.syscalls.as_deref(), subcommand, parse)?;
        let tracepoints = if syscalls.is_none() { TracepointSet::default() } else { TracepointSet::none() };
        // Nobody sees the data.
        let probe = ProbeOptions {
            attach: self.attach,
            snaplen: 0,
            tracepoints,
            schema: Schema::default(),
            ..ProbeOptions::default()
        };
        Ok(trace::TraceArgs {
            recording: record::Config {
                syscalls: syscalls.filter(|set| *set != SyscallSet::all()),
                probe,
                pids: self.pids,
                command: self.run,
                quiet: true,
                ..record::Config::default()
            },
            showing: ReadArgs { wanted, form, max_state: self.max_state, ..ReadArgs::default() },
            output: self.output,
        })
    }
}

/// Parses a list of calls or events.
fn listed<T, E: ToString>(
    list: Option<&str>,
    subcommand: &str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<Option<T>, clap::Error> {
    let parsed = list
        .map(|list| parse(list).map_err(|why| usage(subcommand, format!("--syscalls: {}", why.to_string()))));
    parsed.transpose()
}

//! The options of `scapd trace`.

use std::{ffi::OsString, io, path::PathBuf};

use clap::Args;

use super::{
    choice::choice,
    read::{filter_of, usage},
};
use crate::{
    choice::Choice,
    print,
    probe::{Attach, ProbeOptions},
    read::{Form, ReadArgs, Wanted},
    record, trace,
};
use scap::{
    events::Schema,
    select::{self, SyscallSet, TracepointSet},
};

/// `scapd trace`.
#[derive(Debug, Args)]
#[command(override_usage = "scapd trace [OPTIONS] [FILTER] [-p PID | -- COMMAND]")]
pub struct TraceArgs {
    /// Show only the events that match, in the language of sysdig and Falco: proc.name = cat and evt.latency > 1ms
    #[arg(value_name = "FILTER")]
    words: Vec<String>,
    /// Record only these system calls: names, !name to exclude, %class, /regex, ?name to ignore an unknown name; see
    /// `scapd list syscalls`
    #[arg(long, value_name = "LIST", value_parser = select::parse)]
    syscalls: Option<SyscallSet>,
    /// Trace these processes and their descendants
    #[arg(short = 'p', long = "pid", value_name = "PID", value_delimiter = ',')]
    pids: Vec<u32>,
    /// Write to this file [default: stderr with a COMMAND, otherwise stdout]
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    output: Option<PathBuf>,
    /// Stop after this many lines
    #[arg(short = 'n', long = "count", value_name = "LINES")]
    count: Option<u64>,
    /// Show up to this many bytes of the data that a call reads or writes
    #[arg(short = 's', long, value_name = "BYTES", default_value_t = 80, value_parser = clap::value_parser!(u32).range(0..=65_535))]
    snaplen: u32,
    /// Leave out what the format has no field for, as `scapd record --no-extensions`
    #[arg(long)]
    no_extensions: bool,
    /// Show a line for each event, in sysdig's format
    #[arg(long, conflicts_with = "json")]
    events: bool,
    /// Show a JSON object for each event
    #[arg(long)]
    json: bool,
    /// How to attach the BPF programs
    #[arg(long, value_name = "HOW", default_value = Attach::default().name(), value_parser = choice::<Attach>())]
    attach: Attach,
    /// Command to run and trace, including its descendants
    #[arg(last = true, value_name = "COMMAND", id = "run", conflicts_with = "pids")]
    run: Vec<OsString>,
}

impl TraceArgs {
    /// Returns what to record, and how to show it.
    ///
    /// # Errors
    /// If the filter is wrong.
    pub fn resolve(self) -> Result<trace::TraceArgs, clap::Error> {
        let text = self.words.join(" ");
        let filter = match text.is_empty() {
            true => None,
            false => Some(filter_of(&text).map_err(|mistake| usage("trace", mistake))?),
        };
        let form = match (self.json, self.events, &self.output) {
            (true, _, _) => Form::Json,
            (_, true, _) => Form::default(),
            (_, _, Some(_)) => Form::Calls { colours: false },
            (_, _, None) if self.run.is_empty() => Form::Calls { colours: print::has_colours(&io::stdout()) },
            (_, _, None) => Form::Calls { colours: print::has_colours(&io::stderr()) },
        };
        let usual = if self.syscalls.is_none() { TracepointSet::default() } else { TracepointSet::none() };
        let probe = ProbeOptions {
            attach: self.attach,
            snaplen: self.snaplen,
            extensions: !self.no_extensions,
            tracepoints: usual,
            schema: Schema::default(),
            ..ProbeOptions::default()
        };
        Ok(trace::TraceArgs {
            recording: record::Config {
                syscalls: self.syscalls.filter(|set| *set != SyscallSet::all()),
                probe,
                pids: self.pids,
                command: self.run,
                quiet: true,
                ..record::Config::default()
            },
            showing: ReadArgs {
                wanted: Wanted { filter, ..Wanted::default() },
                limit: self.count,
                form,
                ..ReadArgs::default()
            },
            output: self.output,
        })
    }
}

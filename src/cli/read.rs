//! The options of `scapd read`.

use std::path::PathBuf;

use clap::Args;

use crate::{read, units::parse_size};
use scap::{
    fields::Fields,
    filter::{Filter, FilterError},
    select::{self, EventSet},
};

/// `scapd read`.
#[derive(Debug, Args)]
pub struct ReadArgs {
    /// Capture to read, plain or compressed (gzip, xz, zstd, bzip2, lz4); - for stdin
    pub file: PathBuf,
    /// Print only the events that match, in the language of sysdig and Falco: "proc.name = cat and evt.latency > 1ms"
    #[arg(value_parser = parse_filter)]
    pub filter: Option<Filter>,
    /// Stop after this many events
    #[arg(short = 'n', long = "count", value_name = "EVENTS")]
    pub count: Option<u64>,
    /// Print one JSON object per line, in the format that docs/JSON.md describes
    #[arg(long)]
    pub json: bool,
    /// Print only these events: names of system calls and of other events (procexit, switch, ...), !name to exclude,
    /// %class, /regex, ?name to ignore an unknown name
    #[arg(long, value_name = "LIST", value_parser = select::parse_events)]
    pub syscalls: Option<EventSet>,
    /// Print only the events of these processes
    #[arg(long = "pid", value_name = "PID", value_delimiter = ',')]
    pub pids: Vec<u64>,
    /// Also print events that were recorded only to keep names right, and internal events (procinfo, drop, ...)
    #[arg(long)]
    pub all: bool,
    /// Limit the memory for the capture's threads, descriptors and users [default: 1G; of a compressed file, 64M plus 32
    /// bytes for each byte of the file, up to 1G]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub max_state: Option<u64>,
}

impl From<ReadArgs> for read::ReadArgs {
    fn from(args: ReadArgs) -> read::ReadArgs {
        let wanted =
            read::Wanted { filter: args.filter, events: args.syscalls, pids: args.pids, all: args.all };
        read::ReadArgs {
            files: vec![args.file],
            wanted,
            limit: args.count,
            form: if args.json { read::Form::Json } else { read::Form::Lines },
            max_state: args.max_state,
        }
    }
}

fn parse_filter(text: &str) -> Result<Filter, FilterError> {
    Filter::parse(text, &Fields)
}

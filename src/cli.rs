//! The command line, as it is typed.

mod daemon;
mod files;
mod record;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{bench, print, probe::Attach, repair};
use scap::select::{self, EventSet};

pub use daemon::{CONFIG, CtlArgs, CtlRequest, DaemonArgs, SOCKET, ServeArgs};
pub use files::FilesArgs;
pub use record::RecordArgs;

/// Records what a Linux machine does, system call by system call, into .scap capture files that sysdig, Falco,
/// Stratoshark and Wireshark open.
#[derive(Debug, Parser)]
#[command(name = "scapd", version, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Say more: -v what is done, -vv also what libbpf says
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Record system calls into a file
    Record(Box<RecordArgs>),
    /// Record as a service, as a configuration file says
    Daemon(DaemonArgs),
    /// Ask something of the service
    Ctl(CtlArgs),
    /// Print the events of a capture, one a line
    Read(ReadArgs),
    /// Say what is in a capture
    Info(InfoArgs),
    /// Say whether a capture is whole, and whether anything was lost
    Verify(VerifyArgs),
    /// Make a capture whole that was cut off or damaged: keep everything up to its last whole event
    Repair(RepairArgs),
    /// List what can be recorded
    List(ListArgs),
    /// Say whether this machine can record, and what is missing
    Check(CheckArgs),
    /// Measure what recording costs on this machine
    Bench(BenchArgs),
    /// Write the manual pages, or the shells' completions, into a directory
    #[command(hide = true)]
    Generate(GenerateArgs),
}

/// `scapd read`.
#[derive(Debug, Args)]
pub struct ReadArgs {
    /// The capture, plain or compressed (gzip, xz, zstd, bzip2, lz4); - for stdin
    pub file: PathBuf,
    /// Stop after this many events
    #[arg(short = 'n', long = "count", value_name = "EVENTS")]
    pub count: Option<u64>,
    /// One JSON object a line: its form is in docs/JSON.md
    #[arg(long)]
    pub json: bool,
    /// Print these events only: names of calls and of other events (procexit, switch, ...), !name, %class, /regex, ?name
    #[arg(long, value_name = "LIST", value_parser = select::parse_events)]
    pub syscalls: Option<EventSet>,
    /// Print events of these processes only
    #[arg(short = 'p', long = "pid", value_name = "PID", value_delimiter = ',')]
    pub pids: Vec<u64>,
    /// Print the events, too, that were recorded only to keep names right, and internal ones (procinfo, drop, ...)
    #[arg(long)]
    pub all: bool,
}

/// `scapd info`.
#[derive(Debug, Args)]
pub struct InfoArgs {
    /// The capture, plain or compressed (gzip, xz, zstd, bzip2, lz4); - for stdin
    pub file: PathBuf,
    /// As a JSON object
    #[arg(long)]
    pub json: bool,
    /// How many event types and processes to show
    #[arg(long, value_name = "N", default_value_t = 15)]
    pub top: usize,
    /// Count the events too that were recorded only to keep names right
    #[arg(long)]
    pub all: bool,
}

/// `scapd list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// What to list
    pub what: Listed,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// What `scapd list` lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Listed {
    /// The system calls, how they are recorded, and the classes that --syscalls takes
    Syscalls,
    /// The event types
    Events,
    /// How many calls of each class are recorded by programs of their own, and how many as generic events
    Coverage,
}

/// `scapd check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// How to attach to the kernel
    #[arg(long, value_name = "HOW", default_value = "auto", value_parser = ["auto", "btf", "tracepoint"])]
    attach: String,
}

impl CheckArgs {
    /// The way to attach.
    pub fn attach(&self) -> Attach {
        attach(&self.attach)
    }
}

/// `scapd verify`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 complete, or complete as a sample; 7 events were lost (or the capture does not say), 6 damaged, or it contradicts itself; \
    of several captures, that of the worst"
)]
pub struct VerifyArgs {
    /// The captures, plain or compressed (gzip, xz, zstd, bzip2, lz4); - for stdin
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// As JSON, an object for each
    #[arg(long)]
    pub json: bool,
}

/// `scapd repair`.
#[derive(Debug, Args)]
#[command(
    after_help = "The repaired capture takes the place of the damaged one. A .partial, which a recorder left that \
    did not end as it should, also loses that part of its name. A notice inside says what was left out: see scapd verify.\n\n\
    Exit codes: 0 repaired (or whole as it was), 6 nothing can be saved, 5 the repaired capture cannot be written"
)]
pub struct RepairArgs {
    /// The capture, plain or gzip
    pub file: PathBuf,
    /// Write the repaired capture to this file, and leave the damaged one as it is
    #[arg(short, long = "output", value_name = "OUT", conflicts_with = "keep")]
    pub out: Option<PathBuf>,
    /// Keep the damaged capture too, as FILE.damaged
    #[arg(short, long)]
    pub keep: bool,
}

/// `scapd generate`.
#[derive(Debug, Args)]
pub struct GenerateArgs {
    /// What to write
    pub what: Generated,
    /// Where to; made if it is not there
    pub dir: PathBuf,
}

/// What `scapd generate` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Generated {
    /// A manual page for each command
    Man,
    /// For bash, zsh and fish
    Completions,
}

/// `scapd bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// What to measure
    #[command(subcommand)]
    pub what: Measured,
}

/// What is measured.
#[derive(Debug, Subcommand)]
pub enum Measured {
    /// The programs, against bare ones that do only what cannot be saved
    Kernel(KernelBenchArgs),
}

/// `scapd bench kernel`.
#[derive(Debug, Args)]
pub struct KernelBenchArgs {
    /// Turns of each contender; they alternate
    #[arg(long, default_value_t = 201)]
    rounds: u32,
    /// Calls of a turn
    #[arg(long, default_value_t = 1000)]
    calls: u32,
    /// How to attach to the kernel
    #[arg(long, value_name = "HOW", default_value = "auto", value_parser = ["auto", "btf", "tracepoint"])]
    attach: String,
}

impl From<KernelBenchArgs> for bench::KernelArgs {
    fn from(args: KernelBenchArgs) -> bench::KernelArgs {
        bench::KernelArgs { rounds: args.rounds, calls: args.calls, attach: attach(&args.attach) }
    }
}

/// clap has checked the name.
fn attach(name: &str) -> Attach {
    name.parse().unwrap_or_default()
}

impl From<ReadArgs> for print::ReadArgs {
    fn from(args: ReadArgs) -> print::ReadArgs {
        let filter = args.syscalls.map(|set| -> print::Filter { Box::new(move |event| set.contains(event)) });
        print::ReadArgs {
            file: args.file,
            limit: args.count,
            json: args.json,
            filter,
            pids: args.pids,
            all: args.all,
        }
    }
}

impl From<RepairArgs> for repair::Place {
    fn from(args: RepairArgs) -> repair::Place {
        match args.out {
            Some(out) => repair::Place::Elsewhere(out),
            None if args.keep => repair::Place::InsteadOfKept,
            None => repair::Place::Instead,
        }
    }
}

impl From<InfoArgs> for print::InfoArgs {
    fn from(args: InfoArgs) -> print::InfoArgs {
        print::InfoArgs { file: args.file, json: args.json, top: args.top, all: args.all }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }
}

//! The command line as typed.

mod choice;
mod daemon;
mod diff;
mod export;
mod files;
mod flight;
mod form;
mod keys;
mod merge;
mod read;
mod record;
mod redact;
mod report;
mod ship;
mod source;
mod top;
mod trace;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{bench, choice::Choice, print, probe::Attach, repair, units::parse_size};
use choice::choice;

pub use daemon::{CtlArgs, CtlRequest, DaemonArgs, ServeArgs};
pub use diff::DiffArgs;
pub use export::ExportArgs;
pub use files::FilesArgs;
pub use keys::keys;
pub use merge::MergeArgs;
pub use read::ReadArgs;
pub use record::RecordArgs;
pub use report::ReportArgs;
pub use ship::ShipArgs;
pub use source::Source;
pub use top::{GroupsArgs, SlowArgs, StateArgs, TopArgs, TopFilesArgs, TreeArgs};
pub use trace::TraceArgs;

/// Records what a Linux machine does, system call by system call, into .scap capture files that sysdig, Falco,
/// Stratoshark and Wireshark can open.
#[derive(Debug, Parser)]
#[command(name = "scapd", version, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    /// The subcommand.
    #[command(subcommand)]
    pub command: Command,
    /// Log more: -v for debug messages, -vv for libbpf's messages too
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,
}

/// A subcommand of `scapd`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Record system calls to a file
    Record(Box<RecordArgs>),
    /// Record as a service, controlled by a configuration file
    Daemon(DaemonArgs),
    /// Query or control the running service
    Ctl(CtlArgs),
    /// Print the events of a capture, one per line
    Read(Box<ReadArgs>),
    /// Show system calls as they happen, as strace does
    Trace(Box<TraceArgs>),
    /// Show where the time went: system calls by call, process, file, user, ...
    Top(Box<TopArgs>),
    /// Show the slowest system calls, and what they were about
    Slow(Box<SlowArgs>),
    /// Show which system calls failed, how often, and an example of each
    #[command(override_usage = "scapd errors [OPTIONS] [FILE]... [FILTER] [-p PID | -- COMMAND]")]
    Errors(Box<GroupsArgs>),
    /// Show who read, wrote, created, deleted and renamed which files
    #[command(override_usage = "scapd files [OPTIONS] [FILE]... [FILTER] [-p PID | -- COMMAND]")]
    Files(Box<TopFilesArgs>),
    /// Show who talked to whom over the network: bytes, connections, the time to connect, failures
    #[command(override_usage = "scapd net [OPTIONS] [FILE]... [FILTER] [-p PID | -- COMMAND]")]
    Net(Box<GroupsArgs>),
    /// Show the processes as a tree: what they executed, how long they lived, and how they ended
    Tree(Box<TreeArgs>),
    /// Show the processes, descriptors and sockets at a time, as ps, lsof and netstat do
    State(Box<StateArgs>),
    /// Show what changed from one run to another: calls, programs, errors, files, peers
    Diff(Box<DiffArgs>),
    /// Export captures for other programs: Parquet, CSV, JSON, flame graphs, Perfetto
    Export(Box<ExportArgs>),
    /// Write a page about captures, to open in a browser: what was recorded and lost, what took the time, who touched what
    Report(Box<ReportArgs>),
    /// Bring closed captures to object storage: S3, Google Cloud Storage, Azure, or a folder
    Ship(Box<ShipArgs>),
    /// Merge captures of one machine into one, in time order
    Merge(MergeArgs),
    /// Summarize a capture
    Info(InfoArgs),
    /// Check that a capture is complete, and report lost events
    Verify(VerifyArgs),
    /// Repair a truncated or damaged capture: keep everything up to its last intact event
    Repair(RepairArgs),
    /// List what can be recorded, and the fields of filters
    List(ListArgs),
    /// Check whether this machine can record, and report what is missing
    Check(CheckArgs),
    /// Measure the cost of recording on this machine
    Bench(BenchArgs),
    /// Write the man pages or the shell completions to a directory
    #[command(hide = true)]
    Generate(GenerateArgs),
}

/// `scapd info`.
#[derive(Debug, Args)]
pub struct InfoArgs {
    /// Capture to read, plain or compressed (gzip, xz, zstd, bzip2, lz4); - for stdin
    pub file: PathBuf,
    /// Print a JSON object
    #[arg(long)]
    pub json: bool,
    /// Number of event types and of processes to show
    #[arg(long, value_name = "N", default_value_t = 15)]
    pub top: usize,
    /// Also count events that were recorded only to keep names right
    #[arg(long)]
    pub all: bool,
    /// Limit the memory for the capture's threads and processes [default: 1G; of a compressed file, 64M plus 32 bytes for
    /// each byte of the file, up to 1G]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub max_state: Option<u64>,
}

/// `scapd list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// What to list
    pub what: Listed,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What `scapd list` lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Listed {
    /// System calls, how scapd records them, and their classes for --syscalls
    Syscalls,
    /// Event types
    Events,
    /// Fields of filters: name, type, explanation. `[N]` and `[NAME]` are arguments; those with `?` may be left out. Then
    /// fields of sysdig and Falco that do not exist here, with the reason
    Fields,
    /// For each class, how many calls have a BPF program of their own and how many are recorded as generic events
    Coverage,
}

/// `scapd check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// How to attach the BPF programs
    #[arg(long, value_name = "HOW", default_value = Attach::default().name(), value_parser = choice::<Attach>())]
    attach: Attach,
}

impl CheckArgs {
    /// Returns how to attach.
    pub fn attach(&self) -> Attach {
        self.attach
    }
}

/// `scapd verify`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 complete, also as a sample; 7 events were lost, or the final balance is missing; 8 no \
    ledger, so losses are unknown; 6 damaged, inconsistent or not a capture. With more than one capture, the worst \
    result decides."
)]
pub struct VerifyArgs {
    /// Captures to check, plain or compressed (gzip, xz, zstd, bzip2, lz4); - for stdin
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Print a JSON object for each capture
    #[arg(long)]
    pub json: bool,
}

/// `scapd repair`.
#[derive(Debug, Args)]
#[command(
    after_help = "The repaired capture replaces the damaged one. A FILE.partial, left behind by a recorder that was \
    killed, becomes FILE. A notice in the repaired capture records what is missing; `scapd verify` shows it.\n\n\
    Exit codes: 0 repaired, or already intact; 6 nothing can be saved; 5 the repaired capture cannot be written."
)]
pub struct RepairArgs {
    /// Capture to repair, plain or gzip
    pub file: PathBuf,
    /// Write the repaired capture to this file and leave the damaged one untouched
    #[arg(short, long = "output", value_name = "OUT", conflicts_with = "keep")]
    pub out: Option<PathBuf>,
    /// Keep the damaged capture as FILE.damaged
    #[arg(short, long)]
    pub keep: bool,
}

/// `scapd generate`.
#[derive(Debug, Args)]
pub struct GenerateArgs {
    /// What to write
    pub what: Generated,
    /// Target directory; created if missing
    pub dir: PathBuf,
}

/// What `scapd generate` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Generated {
    /// A man page for each command
    Man,
    /// Completions for bash, zsh and fish
    Completions,
}

/// `scapd bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// What to measure
    #[command(subcommand)]
    pub what: Measured,
}

/// What `scapd bench` measures.
#[derive(Debug, Subcommand)]
pub enum Measured {
    /// Compare scapd's BPF programs with minimal ones that do only the unavoidable work
    Kernel(KernelBenchArgs),
}

/// `scapd bench kernel`.
#[derive(Debug, Args)]
pub struct KernelBenchArgs {
    /// Rounds for each contender; contenders alternate
    #[arg(long, default_value_t = 201)]
    rounds: u32,
    /// System calls per round
    #[arg(long, default_value_t = 1000)]
    calls: u32,
    /// How to attach the BPF programs
    #[arg(long, value_name = "HOW", default_value = Attach::default().name(), value_parser = choice::<Attach>())]
    attach: Attach,
}

impl From<KernelBenchArgs> for bench::KernelArgs {
    fn from(args: KernelBenchArgs) -> bench::KernelArgs {
        bench::KernelArgs { rounds: args.rounds, calls: args.calls, attach: args.attach }
    }
}

impl From<RepairArgs> for repair::RepairPlace {
    fn from(args: RepairArgs) -> repair::RepairPlace {
        match args.out {
            Some(out) => repair::RepairPlace::Elsewhere(out),
            None if args.keep => repair::RepairPlace::InsteadOfKept,
            None => repair::RepairPlace::Instead,
        }
    }
}

impl From<InfoArgs> for print::InfoArgs {
    fn from(args: InfoArgs) -> print::InfoArgs {
        print::InfoArgs {
            file: args.file,
            json: args.json,
            top: args.top,
            all: args.all,
            max_state: args.max_state,
        }
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

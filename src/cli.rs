//! The command line, as it is typed.

mod daemon;
mod files;

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{
    bench,
    confine::Confinement,
    events::Schema,
    output::Series,
    print,
    probe::{Attach, Directions, DynamicSnaplen, Options, Ports, SampleRatio},
    record, repair,
    select::{self, EventSet, SyscallSet, TracepointSet},
    units::{parse_duration, parse_size},
};

pub use daemon::{CONFIG, CtlArgs, CtlRequest, DaemonArgs, SOCKET, ServeArgs};
pub use files::FilesArgs;

/// The most that an event keeps of a call's data, in bytes: the length of a parameter has 16 bits.
const MAX_SNAPLEN: u32 = 65_535;

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

/// `scapd record`.
#[derive(Debug, Args)]
pub struct RecordArgs {
    /// Write to this file, - for stdout [default: a name with host and time]. It is FILE.partial until it is whole, and then
    /// replaces FILE. With an option on several files, the name
    /// may have the time in it, as scapd-%Y%m%d-%H%M%S.scap; one without gets a number: x-000001.scap
    #[arg(short = 'w', long = "write", value_name = "FILE", help_heading = "Files")]
    write: Option<PathBuf>,
    /// The files.
    #[command(flatten)]
    files: FilesArgs,
    /// Record these calls: names, !name, %class, /regex, ?name; see `scapd list syscalls`. The returns of calls that say
    /// what processes, directories and descriptors are called are recorded besides: see --only
    #[arg(long, value_name = "LIST", value_parser = select::parse)]
    syscalls: Option<SyscallSet>,
    /// Record nothing besides --syscalls and --events: names in the capture may then be wrong
    #[arg(long)]
    only: bool,
    /// Which events of a call to record
    #[arg(long, value_name = "LIST", value_enum, value_delimiter = ',', default_value = "enter,exit")]
    events: Vec<Direction>,
    /// Tracepoints to record besides the calls [default: sched_process_exit, none with --syscalls and --only]
    #[arg(long, value_name = "LIST", value_parser = select::parse_tracepoints)]
    tracepoints: Option<TracepointSet>,
    /// Record these processes and their descendants
    #[arg(short = 'p', long = "pid", value_name = "PID", value_delimiter = ',')]
    pids: Vec<u32>,
    /// The version of Falco's libs whose event schema to follow: 0.23, 0.25 or latest. Readers abort on events of a
    /// later schema than theirs (sysdig 0.41 has 0.23); an earlier one lacks parameters: see `Limits` in the README
    #[arg(long, value_name = "VERSION", default_value_t = Schema::default())]
    schema: Schema,
    /// Keep up to this many bytes of the data that a call moves
    #[arg(short = 's', long, value_name = "BYTES", default_value_t = 80,
          value_parser = clap::value_parser!(u32).range(0..=i64::from(MAX_SNAPLEN)))]
    snaplen: u32,
    /// Keep more of HTTP, of database queries, DNS and statsd: up to 2000 bytes (DNS: 512)
    #[arg(long)]
    dynamic_snaplen: bool,
    /// Keep up to 16000 bytes of traffic through these ports, as 5000-5010; implies
    /// --dynamic-snaplen
    #[arg(long, value_name = "PORTS")]
    full_capture_ports: Option<Ports>,
    /// The port of statsd, 0 for none; implies --dynamic-snaplen [default: 8125]
    #[arg(long, value_name = "PORT")]
    statsd_port: Option<u16>,
    /// Leave out the exit events of calls that failed; their enter events stay (see --events)
    #[arg(long)]
    drop_failed: bool,
    /// Record the first 1/N of each second: 1, 2, 4 to 128; calls that say which processes and descriptors there are in
    /// full, frequent ones of little use (stat, futex, poll, ...) not at all. The entry and the return of a call are kept
    /// or left out together
    #[arg(long, value_name = "N")]
    sample: Option<SampleRatio>,
    /// Stop after this many events, not counting those that keep names right
    #[arg(short = 'n', long = "count", value_name = "EVENTS")]
    count: Option<u64>,
    /// Stop after this time, as 10s, 5m, 1h30m
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    duration: Option<Duration>,
    /// Write what was seen, written and lost to this file, as JSON
    #[arg(long, value_name = "FILE")]
    stats_file: Option<PathBuf>,
    /// What to do if events were lost: say so, or also end with exit code 7
    #[arg(long, value_name = "WHAT", value_enum, default_value = "warn")]
    on_loss: OnLoss,
    /// Take no more events than this in a second (to test losses)
    #[arg(long, value_name = "EVENTS", hide = true)]
    test_rate: Option<u64>,
    /// Compress the file with gzip
    #[arg(short = 'z', long, help_heading = "Files")]
    gzip: bool,
    /// Memory for the events of each CPU that is online, a power of two, as 8M
    #[arg(long, value_name = "SIZE", default_value = "8M", value_parser = parse_size)]
    buffer_size: u64,
    /// Memory for the events of all CPUs together: beyond it, CPUs share buffers
    #[arg(long, value_name = "SIZE", default_value = "512M", value_parser = parse_size)]
    buffer_total: u64,
    /// How to attach to the kernel
    #[arg(long, value_name = "HOW", default_value = "auto", value_parser = ["auto", "btf", "tracepoint"])]
    attach: String,
    /// With a command: record everything else meanwhile, too
    #[arg(short = 'a', long, requires = "run")]
    all: bool,
    /// Record scapd's own calls, too
    #[arg(long)]
    include_self: bool,
    /// What scapd gives up once it records, so that a mistake in it does less harm; what it executes is not confined
    #[arg(long, value_name = "HOW", value_enum, default_value = "auto")]
    confine: Confinement,
    /// No progress, no summary
    #[arg(short = 'q', long)]
    quiet: bool,
    /// How it can be asked while it runs.
    #[command(flatten)]
    pub serve: ServeArgs,
    /// A command to run and to record, with its descendants
    #[arg(last = true, value_name = "COMMAND", id = "run")]
    run: Vec<OsString>,
}

impl RecordArgs {
    /// The dynamic snaplen: each of its options asks for it.
    fn dynamic_snaplen(&self) -> Option<DynamicSnaplen> {
        let wanted = self.dynamic_snaplen || self.full_capture_ports.is_some() || self.statsd_port.is_some();
        wanted.then(|| DynamicSnaplen {
            full_capture: self.full_capture_ports,
            statsd_port: self.statsd_port.unwrap_or(DynamicSnaplen::STATSD_PORT),
        })
    }
}

/// The value of `--on-loss`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OnLoss {
    Warn,
    Fail,
}

/// The value of `--events`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Direction {
    Enter,
    Exit,
}

/// `scapd read`.
#[derive(Debug, Args)]
pub struct ReadArgs {
    /// The capture, plain or gzip; - for stdin
    pub file: PathBuf,
    /// Stop after this many events
    #[arg(short = 'n', long = "count", value_name = "EVENTS")]
    pub count: Option<u64>,
    /// One JSON object a line
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
    /// The capture, plain or gzip; - for stdin
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
    /// The captures, plain or gzip; - for stdin
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

impl From<RecordArgs> for record::Config {
    fn from(args: RecordArgs) -> record::Config {
        let directions = Directions {
            enter: args.events.contains(&Direction::Enter),
            exit: args.events.contains(&Direction::Exit),
        };
        // With some calls, the ends of processes are recorded to keep names right, and need not be asked for.
        let dynamic_snaplen = args.dynamic_snaplen();
        let syscalls = args.syscalls.filter(|set| *set != SyscallSet::all());
        let usual = if syscalls.is_none() { TracepointSet::default() } else { TracepointSet::none() };
        record::Config {
            write: args.write,
            files: args.files.series().map(|series| Series { confine: args.confine, ..series }),
            confine: args.confine,
            compress: args.gzip,
            syscalls,
            only: args.only,
            self_test: false,
            selectable: false,
            probe: Options {
                attach: attach(&args.attach),
                ring_size: args.buffer_size,
                ring_budget: args.buffer_total,
                snaplen: args.snaplen,
                dynamic_snaplen,
                drop_failed: args.drop_failed,
                sampling: args.sample,
                directions,
                tracepoints: args.tracepoints.unwrap_or(usual),
                schema: args.schema,
                ..Options::default()
            },
            pids: args.pids,
            command: args.run,
            all: args.all,
            include_self: args.include_self,
            limit: args.count,
            duration: args.duration,
            rate: args.test_rate,
            stats: args.stats_file,
            fail_on_loss: args.on_loss == OnLoss::Fail,
            quiet: args.quiet,
        }
    }
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

    #[test]
    fn sizes() {
        assert_eq!(parse_size("8M"), Ok(8 << 20));
        assert_eq!(parse_size("64KiB"), Ok(64 << 10));
        assert_eq!(parse_size("4096"), Ok(4096));
        assert!(parse_size("8X").is_err());
        assert!(parse_size("M").is_err());
        assert!(parse_size("99999999999G").is_err());
    }

    #[test]
    fn durations() {
        assert_eq!(parse_duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(parse_duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse_duration("0.5"), Ok(Duration::from_millis(500)));
        assert!(parse_duration("soon").is_err());
        assert!(parse_duration("0s").is_err());
        assert!(parse_duration("-3s").is_err());
    }

    #[test]
    fn each_option_of_the_dynamic_snaplen_asks_for_it() {
        let dynamic = |args: &[&str]| {
            let cli =
                Cli::try_parse_from(["scapd", "record"].iter().chain(args)).map_err(|e| e.to_string())?;
            let Command::Record(args) = cli.command else { panic!("not record") };
            Ok::<_, String>(record::Config::from(*args).probe.dynamic_snaplen)
        };
        assert_eq!(dynamic(&[]), Ok(None));
        assert_eq!(dynamic(&["--dynamic-snaplen"]), Ok(Some(DynamicSnaplen::default())));
        let statsd = DynamicSnaplen { statsd_port: 9, ..DynamicSnaplen::default() };
        assert_eq!(dynamic(&["--statsd-port", "9"]), Ok(Some(statsd)));
        let full = DynamicSnaplen { full_capture: Ports::new(5, 7).ok(), ..DynamicSnaplen::default() };
        assert_eq!(dynamic(&["--full-capture-ports", "5-7"]), Ok(Some(full)));
        assert!(dynamic(&["--full-capture-ports", "7-5"]).unwrap_err().contains("not a range of ports"));
        assert!(dynamic(&["--sample", "3"]).unwrap_err().contains("128"));
    }

    #[test]
    fn a_schema_has_a_version() {
        let schema = |args: &[&str]| {
            let cli =
                Cli::try_parse_from(["scapd", "record"].iter().chain(args)).map_err(|e| e.to_string())?;
            let Command::Record(args) = cli.command else { panic!("not record") };
            Ok::<_, String>(record::Config::from(*args).probe.schema)
        };
        assert_eq!(schema(&[]), Ok(Schema::V0_23));
        assert_eq!(schema(&["--schema", "0.23"]), Ok(Schema::V0_23));
        assert_eq!(schema(&["--schema", "0.25"]), Ok(Schema::V0_25));
        assert_eq!(schema(&["--schema", "latest"]), Ok(Schema::V0_25));
        assert!(schema(&["--schema", "0.24"]).unwrap_err().contains("write 0.23, 0.25 or latest"));
    }

    #[test]
    fn all_calls_are_what_is_recorded_anyway() {
        let config = |args: &[&str]| {
            let cli = Cli::parse_from([&["scapd", "record"], args].concat());
            let Command::Record(args) = cli.command else { panic!("not record") };
            let config = record::Config::from(*args);
            (config.syscalls, config.probe.tracepoints)
        };
        assert_eq!(config(&["--syscalls", "all"]), config(&[]));
        assert_eq!(config(&["--syscalls", "all,!read"]).0, Some(select::parse("!read").unwrap()));
    }

    #[test]
    fn a_command_stands_behind_two_dashes() {
        let cli = Cli::parse_from(["scapd", "record", "-w", "x", "--events", "exit", "--", "ls", "-l"]);
        let Command::Record(args) = cli.command else { panic!("not record") };
        let config = record::Config::from(*args);
        assert_eq!(config.command, ["ls", "-l"]);
        assert!(config.probe.directions.exit && !config.probe.directions.enter);
    }
}

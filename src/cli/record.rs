//! `scapd record` as it is typed.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};

use super::{FilesArgs, ServeArgs, attach};
use crate::{
    confine::Confinement,
    output::Series,
    probe::{Directions, DynamicSnaplen, Options, Ports, SampleRatio},
    record,
    units::{parse_duration, parse_size},
};
use scap::{
    events::Schema,
    select::{self, SyscallSet, TracepointSet},
};

/// The most that an event keeps of a call's data, in bytes: the length of a parameter has 16 bits.
const MAX_SNAPLEN: u32 = 65_535;

/// `scapd record`.
#[derive(Debug, Args)]
pub struct RecordArgs {
    /// Write to this file, - for stdout [default: a name with host and time]. It is FILE.partial until it is whole, and
    /// then replaces FILE. With an option on several files, the name may have the time in it, as
    /// scapd-%Y%m%d-%H%M%S.scap; one without gets a number: x-000001.scap
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    /// The configuration that a command line means.
    fn config_of(args: &[&str]) -> Result<record::Config, String> {
        let cli = Cli::try_parse_from(["scapd", "record"].iter().chain(args)).map_err(|e| e.to_string())?;
        let Command::Record(args) = cli.command else { panic!("not record") };
        Ok(record::Config::from(*args))
    }

    #[test]
    fn each_option_of_the_dynamic_snaplen_asks_for_it() {
        let dynamic = |args: &[&str]| Ok::<_, String>(config_of(args)?.probe.dynamic_snaplen);
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
        let schema = |args: &[&str]| Ok::<_, String>(config_of(args)?.probe.schema);
        assert_eq!(schema(&[]), Ok(Schema::V0_23));
        assert_eq!(schema(&["--schema", "0.23"]), Ok(Schema::V0_23));
        assert_eq!(schema(&["--schema", "0.25"]), Ok(Schema::V0_25));
        assert_eq!(schema(&["--schema", "latest"]), Ok(Schema::V0_25));
        assert!(schema(&["--schema", "0.24"]).unwrap_err().contains("write 0.23, 0.25 or latest"));
    }

    #[test]
    fn all_calls_are_what_is_recorded_anyway() {
        let config = |args: &[&str]| {
            let config = config_of(args).unwrap();
            (config.syscalls, config.probe.tracepoints)
        };
        assert_eq!(config(&["--syscalls", "all"]), config(&[]));
        assert_eq!(config(&["--syscalls", "all,!read"]).0, Some(select::parse("!read").unwrap()));
    }

    #[test]
    fn a_command_stands_behind_two_dashes() {
        let config = config_of(&["-w", "x", "--events", "exit", "--", "ls", "-l"]).unwrap();
        assert_eq!(config.command, ["ls", "-l"]);
        assert!(config.probe.directions.exit && !config.probe.directions.enter);
    }
}

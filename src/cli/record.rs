//! The command line of `scapd record`.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};

use super::{
    FilesArgs, ServeArgs,
    choice::choice,
    files::FILES,
    flight::FlightArgs,
    read::{filter_of, usage},
    redact::Redaction,
};
use crate::{
    choice::Choice,
    confine::Confinement,
    containers::Socket,
    daemon::config::Wanted,
    output::Series,
    probe::{Attach, Directions, DynamicSnaplen, Ports, ProbeOptions, SampleRatio},
    record,
    units::{parse_duration, parse_size},
};
use scap::{
    events::Schema,
    filter::Filter,
    select::{self, SyscallSet, Tracepoint, TracepointSet},
};

/// The maximum snaplen in bytes: the length of a parameter is a 16-bit field.
const MAX_SNAPLEN: u32 = 65_535;

/// The value of `--filter`; an empty one is no filter.
#[derive(Debug, Clone)]
struct FilterValue(Option<Filter>);

fn filter_value(text: &str) -> Result<FilterValue, String> {
    let filter = (!text.trim().is_empty()).then(|| filter_of(text)).transpose()?;
    Ok(FilterValue(filter))
}

/// `scapd record`.
#[derive(Debug, Args)]
#[command(override_usage = "scapd record [OPTIONS] [FILTER] [-- COMMAND]")]
pub struct RecordArgs {
    /// Record only the events that match, in the language of `scapd read`: proc.name = cat and evt.latency > 1ms. Programs whose
    /// events cannot match are not loaded; the recorder decides the rest, and counts what it leaves out
    #[arg(value_name = "FILTER")]
    words: Vec<String>,
    /// The same as an option
    #[arg(short = 'f', long, value_name = "FILTER", value_parser = filter_value)]
    filter: Option<FilterValue>,
    /// Print where each part of the filter is decided and what is recorded for that, and record nothing
    #[arg(long)]
    explain: bool,
    /// With --explain: print JSON
    #[arg(long, requires = "explain")]
    json: bool,
    /// What the recording is written to.
    #[command(flatten)]
    output: OutputArgs,
    /// What is kept in memory, and when it is written.
    #[command(flatten)]
    flight: FlightArgs,
    /// Record only these system calls: names, !name to exclude, %class, /regex, ?name to ignore an unknown name; see
    /// `scapd list syscalls`. The exits of calls that change the names of processes, directories and file descriptors
    /// are recorded too; --only leaves them out
    #[arg(long, value_name = "LIST", value_parser = select::parse)]
    syscalls: Option<SyscallSet>,
    /// Record only what --syscalls and --events select; names in the capture may then be wrong
    #[arg(long)]
    only: bool,
    /// Which events to record for each call
    #[arg(long, value_name = "LIST", value_enum, value_delimiter = ',', default_value = "enter,exit")]
    events: Vec<Direction>,
    /// Tracepoints to record in addition to system calls [default: sched_process_exit,io_uring; with --no-extensions,
    /// sched_process_exit; with --syscalls, that is recorded only to keep names right, and with --only not at all]
    #[arg(long, value_name = "LIST", value_parser = select::parse_tracepoints)]
    tracepoints: Option<TracepointSet>,
    /// Record only these processes and their descendants
    #[arg(short = 'p', long = "pid", value_name = "PID", value_delimiter = ',')]
    pids: Vec<u32>,
    /// Event schema to write, by version of Falco's libs: 0.23, 0.25 or latest. Readers abort on events of a newer
    /// schema than their own (sysdig 0.41 has 0.23); an older schema lacks some parameters, see `Limits` in the README
    #[arg(long, value_name = "VERSION", default_value_t = Schema::default())]
    schema: Schema,
    /// Keep up to this many bytes of the data that a call reads or writes
    #[arg(short = 's', long, value_name = "BYTES", default_value_t = 80,
          value_parser = clap::value_parser!(u32).range(0..=i64::from(MAX_SNAPLEN)))]
    snaplen: u32,
    /// Keep up to this many bytes of a program's arguments, and as many of its environment. What exceeds 4096 bytes is in
    /// the extension of the event, which other readers skip
    #[arg(long, value_name = "BYTES", default_value_t = ProbeOptions::ARGS_LIMIT,
          value_parser = clap::value_parser!(u32).range(0..=65_536))]
    args_limit: u32,
    /// Leave out the environment of programs, which may have secrets
    #[arg(long)]
    no_env: bool,
    /// Leave out the data that calls move: what they read, write, send and receive, byte for byte. Sizes stay
    #[arg(long, conflicts_with_all = ["dynamic_snaplen", "full_capture_ports", "statsd_port"])]
    no_data: bool,
    /// Keep more data of HTTP, database queries, DNS and statsd: up to 2000 bytes (DNS: 512)
    #[arg(long)]
    dynamic_snaplen: bool,
    /// Keep up to 16000 bytes of data sent or received on these ports, e.g. 5000-5010; implies
    /// --dynamic-snaplen
    #[arg(long, value_name = "PORTS")]
    full_capture_ports: Option<Ports>,
    /// Port of statsd, 0 for none; implies --dynamic-snaplen [default: 8125]
    #[arg(long, value_name = "PORT")]
    statsd_port: Option<u16>,
    /// Leave out what the format has no field for: the arguments and results of calls that it knows by name alone, and further
    /// parameters of other events
    #[arg(long)]
    no_extensions: bool,
    /// Do not ask container runtimes for the names of containers
    #[arg(long)]
    no_containers: bool,
    /// Ask the container runtime at this socket instead of the usual ones; may be repeated. It speaks Docker's API
    /// (docker:PATH, podman:PATH) or that of Kubernetes (cri:PATH); a path that has docker, podman, containerd or crio in it
    /// says so itself
    #[arg(long, value_name = "[API:]PATH", conflicts_with = "no_containers")]
    container_socket: Vec<Socket>,
    /// Drop the exit events of failed calls; their enter events stay (see --events)
    #[arg(long)]
    drop_failed: bool,
    /// Record only the first 1/N of each second: 1, 2, 4 to 128. Calls that change processes and file descriptors
    /// (clone, execve, open, close, ...) are always recorded, frequent calls of little use (stat, futex, poll, ...)
    /// never. The enter and exit events of a call are kept or dropped together
    #[arg(long, value_name = "N")]
    sample: Option<SampleRatio>,
    /// Stop after this many events, not counting events that only keep names right
    #[arg(short = 'n', long = "count", value_name = "EVENTS")]
    count: Option<u64>,
    /// Stop after this time, e.g. 10s, 5m, 1h30m
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    duration: Option<Duration>,
    /// Write the counts of events seen, written and lost to this file, as JSON
    #[arg(long, value_name = "FILE")]
    stats_file: Option<PathBuf>,
    /// What to do if events were lost: warn, or also exit with code 7
    #[arg(long, value_name = "WHAT", value_enum, default_value = "warn")]
    on_loss: OnLoss,
    /// Process at most this many events per second (to test losses)
    #[arg(long, value_name = "EVENTS", hide = true)]
    test_rate: Option<u64>,
    /// Ring buffer size for each online CPU, a power of two, e.g. 8M
    #[arg(long, value_name = "SIZE", default_value = "8M", value_parser = parse_size)]
    buffer_size: u64,
    /// Limit on the total size of the ring buffers; CPUs share buffers to stay below it
    #[arg(long, value_name = "SIZE", default_value = "512M", value_parser = parse_size)]
    buffer_total: u64,
    /// How to attach the BPF programs
    #[arg(long, value_name = "HOW", default_value = Attach::default().name(), value_parser = choice::<Attach>())]
    attach: Attach,
    /// Record all processes: with a command, everything else too while it runs; without one, this is the default
    #[arg(short = 'a', long, conflicts_with = "pids")]
    all: bool,
    /// Also record scapd's own calls
    #[arg(long)]
    include_self: bool,
    /// Privileges to drop once scapd records, to limit the damage of a bug; programs that it runs are not confined
    #[arg(long, value_name = "HOW", value_parser = choice::<Confinement>(),
          default_value = Confinement::Auto.name())]
    confine: Confinement,
    /// Print no progress and no summary
    #[arg(short = 'q', long)]
    quiet: bool,
    /// What is overwritten.
    #[command(flatten)]
    redaction: Redaction,
    /// The control socket and the metrics.
    #[command(flatten)]
    serve: ServeArgs,
    /// Command to run and record, including its descendants
    #[arg(last = true, value_name = "COMMAND", id = "run")]
    run: Vec<OsString>,
}

impl RecordArgs {
    /// Takes the words of the command line as the filter.
    ///
    /// # Errors
    /// If the filter is wrong, or there are two.
    pub fn resolve(&mut self) -> Result<(), clap::Error> {
        if self.words.is_empty() {
            return Ok(());
        }
        let words = std::mem::take(&mut self.words).join(" ");
        if self.filter.is_some() {
            return Err(usage("record", format!("a filter both as --filter and as arguments ({words})")));
        }
        self.filter = Some(filter_value(&words).map_err(|mistake| usage("record", mistake))?);
        Ok(())
    }

    /// Returns whether to explain the filter instead of recording, and whether as JSON.
    pub fn explains(&self) -> Option<bool> {
        self.explain.then_some(self.json)
    }

    /// Returns the dynamic snaplen, which any of its options turns on.
    fn dynamic_snaplen(&self) -> Option<DynamicSnaplen> {
        let wanted = self.dynamic_snaplen || self.full_capture_ports.is_some() || self.statsd_port.is_some();
        wanted.then(|| DynamicSnaplen {
            full_capture: self.full_capture_ports,
            statsd_port: self.statsd_port.unwrap_or(DynamicSnaplen::STATSD_PORT),
        })
    }
}

/// The file, or the files, that a recording is written to.
#[derive(Debug, Args)]
pub(super) struct OutputArgs {
    /// Write to this file, - for stdout [default: a name with host and time]. The recording goes to FILE.partial, which
    /// replaces FILE at the end. With any rotate or keep option, the name may contain time fields, as in
    /// scapd-%Y%m%d-%H%M%S.scap; a name without them gets a number: x-000001.scap
    #[arg(short = 'w', long = "write", value_name = "FILE", help_heading = FILES)]
    write: Option<PathBuf>,
    /// How the recording is split into files.
    #[command(flatten)]
    files: FilesArgs,
    /// Compress the file with gzip
    #[arg(short = 'z', long, help_heading = FILES)]
    gzip: bool,
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

impl From<RecordArgs> for Wanted {
    fn from(args: RecordArgs) -> Wanted {
        Wanted { serving: args.serve.clone().into(), recording: args.into() }
    }
}

impl From<RecordArgs> for record::Config {
    fn from(args: RecordArgs) -> record::Config {
        let directions = Directions {
            enter: args.events.contains(&Direction::Enter),
            exit: args.events.contains(&Direction::Exit),
        };
        // With --syscalls, process exits are recorded as companions and need not be selected.
        let dynamic_snaplen = args.dynamic_snaplen();
        let syscalls = args.syscalls.filter(|set| *set != SyscallSet::all());
        let mut usual = if syscalls.is_none() { TracepointSet::default() } else { TracepointSet::none() };
        if args.no_extensions {
            // Nothing of what the format has no events for.
            usual.remove(Tracepoint::IoUring);
        }
        record::Config {
            write: args.output.write,
            flight: args.flight.flight(),
            files: args.output.files.series().map(|series| Series { confine: args.confine, ..series }),
            confine: args.confine,
            compress: args.output.gzip,
            syscalls,
            filter: args.filter.and_then(|FilterValue(filter)| filter),
            redact: args.redaction.0,
            only: args.only,
            self_test: false,
            selectable: false,
            probe: ProbeOptions {
                attach: args.attach,
                ring_size: args.buffer_size,
                ring_budget: args.buffer_total,
                args_limit: args.args_limit,
                env: !args.no_env,
                data: !args.no_data,
                snaplen: args.snaplen,
                dynamic_snaplen,
                extensions: !args.no_extensions,
                drop_failed: args.drop_failed,
                sampling: args.sample,
                directions,
                tracepoints: args.tracepoints.unwrap_or(usual),
                schema: args.schema,
                ..ProbeOptions::default()
            },
            pids: args.pids,
            command: args.run,
            command_ignores: Vec::new(),
            all: args.all,
            containers: (!args.no_containers).then_some(args.container_socket),
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

    /// Returns the configuration for a command line.
    fn config_of(args: &[&str]) -> Result<record::Config, String> {
        let cli = Cli::try_parse_from(["scapd", "record"].iter().chain(args)).map_err(|e| e.to_string())?;
        let Command::Record(args) = cli.command else { panic!("not record") };
        Ok(record::Config::from(*args))
    }

    #[test]
    fn extensions_are_recorded_unless_they_are_left_out() {
        let extensions = |args: &[&str]| Ok::<_, String>(config_of(args)?.probe.extensions);
        assert_eq!(extensions(&[]), Ok(true));
        assert_eq!(extensions(&["--no-extensions"]), Ok(false));
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
        assert!(schema(&["--schema", "0.24"]).unwrap_err().contains("use 0.23, 0.25 or latest"));
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
    fn requests_of_io_uring_are_no_events_of_the_format() {
        let has_requests =
            |args: &[&str]| config_of(args).unwrap().probe.tracepoints.contains(Tracepoint::IoUring);
        assert!(has_requests(&[]));
        assert!(!has_requests(&["--no-extensions"]));
        assert!(!has_requests(&["--syscalls", "openat"]));
        assert!(has_requests(&["--no-extensions", "--tracepoints", "io_uring"]));
    }

    #[test]
    fn a_command_stands_behind_two_dashes() {
        let config = config_of(&["-w", "x", "--events", "exit", "--", "ls", "-l"]).unwrap();
        assert_eq!(config.command, ["ls", "-l"]);
        assert!(config.probe.directions.exit && !config.probe.directions.enter);
    }

    #[test]
    fn all_processes_need_no_command() {
        assert!(config_of(&["-a"]).unwrap().all);
        assert!(config_of(&["-a", "--", "ls"]).unwrap().all);
        assert!(config_of(&["-a", "-p", "1"]).unwrap_err().contains("cannot be used with"));
    }
}

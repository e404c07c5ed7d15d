//! Records events from the probe into a capture file until told to stop.

mod audience;
mod clock;
mod command;
mod drain;
mod explain;
mod first_state;
mod handle;
mod ledger;
mod pace;
mod progress;
mod redaction;
mod rotor;
mod self_test;
mod settings;
mod sieve;
mod state;
mod stats;
mod status;
mod summary;
mod targets;
mod wanted;

use std::{
    io,
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;

use crate::{
    confine::{self, Confinement, Task},
    containers::{Lookup, Socket},
    escape::shown,
    flight::{Flight, Report, ReservedFlight},
    limits::OpenFiles,
    output::{
        Destination, Pattern, Reserved, ReservedFiles, Series, Target, WriterThread, default_name,
        default_pattern,
    },
    probe::{Active, Opened, ProbeOptions, TargetState},
};
use audience::Audience;
pub use command::CommandError;
use command::{HeldCommand, Stdout};
use drain::{Drain, Limits};
pub use explain::explain;
use first_state::{Scanning, state_beside};
pub(crate) use handle::PATIENCE;
pub use handle::{Handle, RequestError, Requests, requests};
use ledger::LossLedger;
use pace::Pace;
use progress::ProgressLine;
use scap::{
    filter::Filter,
    redact::Rules,
    select::{self, SyscallSet},
};
use self_test::SelfTest;
pub use settings::LiveSettings;
use state::Scan;
use status::Watch;
pub use status::{CpuStatus, Observer, RingStatus, Status};
pub use summary::Summary;
use wanted::Wanted;

/// Buffers between the rings and the disk: their number, and the size of each in bytes.
const BUFFERS: (usize, usize) = (16, 1 << 20);
/// The age at which a buffer goes to a file, full or not.
const FLUSH: Duration = Duration::from_millis(250);
/// The age at which a buffer goes to stdout or to a pipe, full or not.
const FLUSH_LIVE: Duration = Duration::from_millis(5);
/// How long to wait for programs that still run after the gate is closed.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);
/// How long to wait for the self-test's event to reach the file.
const SELF_TEST_LIMIT: Duration = Duration::from_secs(30);
/// Maximum number of tasks followed at once.
const TARGETS: u32 = 1 << 16;

/// What to record, how, and where to. The default records everything into a file named after host and time.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// The file; `None` for a name made of host and time. `-` is stdout.
    pub write: Option<PathBuf>,
    /// Write a series of files. `write` is then the pattern of their names.
    pub files: Option<Series>,
    /// Keep the last events in memory, and write captures of them only when something happens: then `files` says how these are
    /// kept, but not when they end.
    pub flight: Option<Flight>,
    /// Compress with gzip.
    pub compress: bool,
    /// The calls; `None` for all, including those that the tables do not know.
    pub syscalls: Option<SyscallSet>,
    /// Record only the events that match, of those that the rest of the configuration asks for.
    pub filter: Option<Filter>,
    /// Record only these. Otherwise the recording also has the returns of calls that change what their events refer to
    /// (processes, working directories, descriptors): see
    /// [`Selection::companions`](scap::select::Selection::companions).
    pub only: bool,
    /// What is overwritten before it is written.
    pub redact: Option<Arc<Rules>>,
    /// Make a recorded system call, and report [started](Observer::started) only when its event is in the file.
    pub self_test: bool,
    /// Load what any call takes, so that `syscalls` can be [changed](Handle::change) to others.
    pub selectable: bool,
    /// The probe's options. The recording sets `targets` and `unknown_calls` itself, and adds the end of threads to
    /// `tracepoints` where names need it.
    pub probe: ProbeOptions,
    /// Processes to record, with their descendants.
    pub pids: Vec<u32>,
    /// A command to run and record, with its descendants.
    pub command: Vec<std::ffi::OsString>,
    /// The numbers of signals that the command ignores, besides those that this process does.
    pub command_ignores: Vec<std::ffi::c_int>,
    /// Record all processes, not only the command.
    pub all: bool,
    /// The sockets of container runtimes to ask for the containers of processes, none for the usual ones; `None` not to ask.
    pub containers: Option<Vec<Socket>>,
    /// Also record scapd's own calls.
    pub include_self: bool,
    /// Stop after this many requested events.
    pub limit: Option<u64>,
    /// Stop after this time.
    pub duration: Option<Duration>,
    /// Take at most this many events per second, for tests of losses.
    pub rate: Option<u64>,
    /// Write the balance to this file, as JSON.
    pub stats: Option<PathBuf>,
    /// The rights that the calling thread, and the threads it starts, give up when the recording begins.
    pub confine: Confinement,
    /// Treat a loss as a failure.
    pub fail_on_loss: bool,
    /// Show no progress and no summary.
    pub quiet: bool,
}

/// How a recording ended.
#[derive(Debug)]
pub struct RecordOutcome {
    /// What was recorded.
    pub summary: Summary,
    /// The command's exit status, if it has ended.
    pub command: Option<ExitStatus>,
    /// Why the command did not run. The capture is complete even then.
    pub failure: Option<anyhow::Error>,
    /// The result of writing the balance to [`Config::stats`].
    pub stats: Result<(), StatsError>,
}

/// Records until the command or the processes end, a limit is reached, or a stop is requested.
///
/// # Errors
/// Errors of the probe, the snapshot or the output. The file is then valid up to its last whole block.
pub fn run(
    config: &Config,
    requests: Requests,
    observer: &mut dyn Observer,
) -> anyhow::Result<RecordOutcome> {
    let started = Instant::now();
    command::check(&config.command)?;
    targets::check(&config.pids)?;
    let limit = OpenFiles::raise();
    let targeted = !config.pids.is_empty() || (!config.command.is_empty() && !config.all);
    let wanted = Wanted::new(config);
    let test = config.self_test.then(self_test::call).transpose()?;
    let (selection, options) = wanted.to_load(config, if targeted { TARGETS } else { 0 }, test);
    let scan = Scan::new(config.include_self, config.probe.env).redacting(config.redact.clone());
    if let Some(path) = &config.stats {
        stats::check(path).map_err(|source| StatsError { path: path.clone(), source })?;
    }
    let reserved = reserve_output(config, &scan)?;

    let attached = Opened::new(&options)?.load_events(&selection)?.attach()?;
    for refused in attached.probe().refused() {
        tracing::warn!("this kernel refuses {}: its events are {}", refused.program, refused.consequence());
        tracing::debug!("{}", refused.log);
    }
    let without = attached.probe().without_function();
    if !without.is_empty() {
        let calls = without.join(", ");
        tracing::warn!("not recorded, as this kernel has no functions for them, or hides them: {calls}");
    }
    tracing::debug!("{} event programs loaded", attached.probe().programs());
    wanted.select(attached.probe())?;
    observer.loaded();
    let control = attached.probe().control();
    let tasks = attached.probe().tasks();
    let (own, _) = tasks.own().context("cannot determine the id of this process")?;
    let left_out = (!config.include_self).then_some(own);
    control.skip_process(left_out);
    // The probe is already attached, so children born from here on are followed.
    targets::add(&control, tasks, &config.pids)?;
    let mut command =
        HeldCommand::spawn(&config.command, command_stdout(config), limit, &config.command_ignores)?;
    if let (Some(held), true) = (&command, targeted) {
        control.add_target(targets::id_of(tasks, held.pid())?, TargetState::AtExec)?;
    }
    // As late as possible: a start that fails before this changes no existing file.
    let (mut flight, mut pressure) = (None, None);
    let output = match reserved {
        Reservation::Single(reserved) => {
            let waiting = Instant::now();
            let is_over = || config.duration.is_some_and(|limit| waiting.elapsed() >= limit);
            reserved.open(&|| requests.stopped() || is_over())?.into()
        }
        Reservation::Series(reserved) => Destination::from(reserved.begin()?),
        Reservation::Flight(reserved) => {
            pressure = Some(reserved.watch(config.confine)?);
            let (window, report) = reserved.begin()?;
            flight = Some(report);
            Destination::Sink(window)
        }
    };
    let target = output.target();
    let lookup = config.containers.as_ref().map(|sockets| Lookup::start(sockets, config.confine)).transpose();
    let lookup = lookup.context("cannot start the thread that asks container runtimes")?;
    // Everything is loaded by now. The command is already forked and keeps the rights that scapd was started with.
    let in_force = confine::thread(config.confine, Task::Recording);
    tracing::info!("the recording: {in_force}");
    let began = attached.probe().now();
    let mut active = attached.start();
    let self_test = match config.self_test {
        true => Some(SelfTest::begin(active.probe(), &wanted, left_out, targeted)?),
        false => None,
    };
    tracing::debug!("recording {} ms after the start", started.elapsed().as_millis());

    scan.set_boot_time(active.probe().boot_time());
    scan.set_tasks(active.probe().tasks());
    let rotation = config.files.as_ref().filter(|_| flight.is_none()).map(|files| files.rotation);
    let flush = match target {
        // A live reader wants events soon. Compressed output keeps large chunks: small ones compress badly.
        ref target if !config.compress && is_live(target) => FLUSH_LIVE,
        _ => FLUSH,
    };
    let (events, rate, compressed) = (config.limit, config.rate, config.compress);
    let target = target.to_string();
    let limits = Limits { events, rate, rotation, compressed, flush, beside: flight.is_some() };
    let writer = WriterThread::spawn(output, BUFFERS.0, BUFFERS.1)?;
    let mut drain = Drain::new(writer, &target, limits, active.probe(), scan.clone())?;
    drain.say_what_is_asked(wanted.asked(), began);
    drain.filter_by(wanted.sieve());
    drain.look_for(self_test);
    drain.name_containers(lookup);
    let gate_opened = Instant::now();
    let mut audience = Audience {
        requests,
        observer,
        watch: Watch::new(flight.clone()),
        rotating: Vec::new(),
        wanted,
        scanning: None,
        filters_early: false,
        pressure,
        after: config.flight.as_ref().map(|flight| flight.after),
    };
    let ended = record_events(config, &scan, &mut active, &mut drain, &mut command, &mut audience);
    let ended = ended.and_then(|ended| audience.end_scan(&mut drain).map(|()| ended));
    let duration = gate_opened.elapsed();
    active.close_gate();
    let status = audience.publish(&active, &drain);
    audience.observer.closing(&status);
    let result = ended.and_then(|ended| {
        finish(&scan, &mut active, &mut drain)?;
        Ok((ended, drain.close()?))
    });
    audience.publish(&active, &drain);
    drain.container_tally().log();
    let verdict = match &result {
        Ok(_) => drain.verdict(active.probe()),
        Err(_) => drain.verdict_of_output(active.probe()),
    };
    let summary = Summary {
        variants: config.syscalls.as_ref().map(select::variants).unwrap_or_default(),
        flight: flight.as_ref().map(Report::status),
        ..Summary::new(&target, duration, &drain, verdict, active.probe())
    };
    let stats = write_stats(config, &summary, drain.ledger(), &active);
    match result {
        Ok((ended, written)) => {
            let summary = Summary { written, ..summary };
            Ok(RecordOutcome { summary, command: ended.status, failure: ended.failure, stats })
        }
        Err(error) => {
            // Return the first error; only log this one.
            if let Err(stats) = stats {
                tracing::warn!("{:#}", anyhow::Error::from(stats));
            }
            // "Nothing lost" would be wrong: the file may be gone.
            if drain.events() > 0 && !summary.verdict.is_complete() {
                tracing::warn!("{}", summary.balance());
            }
            Err(error)
        }
    }
}

/// How the command ended, if there is one.
#[derive(Debug, Default)]
struct Ended {
    /// The command's exit status, if it has ended.
    status: Option<ExitStatus>,
    /// Why the command did not run.
    failure: Option<anyhow::Error>,
}

/// Returns whether somebody may read the events as they are written.
fn is_live(target: &Target) -> bool {
    let is_pipe = |path: &Path| {
        rustix::fs::stat(path).is_ok_and(|found| rustix::fs::FileType::from_raw_mode(found.st_mode).is_fifo())
    };
    match target {
        Target::Stdout => true,
        Target::File(path) => is_pipe(path),
    }
}

/// Returns where the command's standard output goes: to stderr if the capture goes to stdout.
fn command_stdout(config: &Config) -> Stdout {
    let (Some(path), false) = (&config.write, config.command.is_empty()) else { return Stdout::Inherited };
    let same = |file: rustix::fs::Stat| {
        rustix::fs::fstat(io::stdout()).is_ok_and(|stdout| {
            (stdout.st_dev, stdout.st_ino, stdout.st_rdev) == (file.st_dev, file.st_ino, file.st_rdev)
        })
    };
    let shared = match Target::from_arg(path) {
        Target::Stdout => true,
        // /dev/stdout, or the file that stdout is redirected to.
        Target::File(path) => rustix::fs::stat(path.as_path()).is_ok_and(same),
    };
    if !shared {
        return Stdout::Inherited;
    }
    tracing::warn!("the capture goes to stdout: the command's own output goes to stderr instead");
    Stdout::Stderr
}

/// Writes the state of the machine, then records until the command or the processes end, a limit is reached, or a stop
/// is requested.
fn record_events(
    config: &Config,
    scan: &Scan,
    active: &mut Active,
    drain: &mut Drain,
    command: &mut Option<HeldCommand>,
    audience: &mut Audience<'_>,
) -> anyhow::Result<Ended> {
    let state = state_beside(scan, active, drain, command.as_ref())?;
    drain.start(&state, &scan.bytes(&state)?)?;
    drop(state);
    let ready = await_self_test(active, drain, audience)?;
    audience.filter_early(active, drain);
    let status = audience.publish(active, drain);
    if ready {
        audience.observer.started(&status);
    }
    let gate_opened = Instant::now();
    if let Some(Err(failure)) = command.as_mut().map(HeldCommand::release) {
        return Ok(Ended { failure: Some(failure), ..Ended::default() });
    }
    let mut watched = (!config.pids.is_empty() && command.is_none()).then(targets::Watched::new);
    let mut progress = ProgressLine::new(config.quiet, drain.target());
    let mut pace = Pace::new();
    while !audience.requests.stopped() {
        let took = drain.step(active)?;
        if let Some(ended) = command.as_mut().map(HeldCommand::try_wait).transpose()?.flatten() {
            progress.clear();
            return Ok(Ended { status: Some(ended), ..Ended::default() });
        }
        if let Some(watched) = &mut watched
            && watched.have_ended(&active.probe().control())
        {
            break;
        }
        if config.duration.is_some_and(|limit| gate_opened.elapsed() >= limit) || drain.is_full() {
            break;
        }
        progress.show(active, drain);
        audience.serve(active, drain, scan)?;
        pace.rest(active, took)?;
    }
    progress.clear();
    Ok(Ended::default())
}

/// Records until the self-test's event is in the file; returns false if a stop is requested first. If nothing can be
/// written now, as on a full disk, it is enough that the event has come out of the rings: the recording starts anyway.
fn await_self_test(active: &mut Active, drain: &mut Drain, audience: &Audience<'_>) -> anyhow::Result<bool> {
    let deadline = Instant::now() + SELF_TEST_LIMIT;
    while !audience.requests.stopped() {
        let waiting = drain.progress().is_waiting();
        let Some(test) = drain.expected() else { return Ok(true) };
        if waiting && test.was_taken() {
            tracing::warn!("the self-test's event is not in a file yet: nothing can be written now");
            return Ok(true);
        }
        if Instant::now() >= deadline {
            anyhow::bail!(
                "the self-test failed: scapd made a system call, but its event did not reach the file: {}",
                test.whereabouts()
            );
        }
        if drain.step(active)? < pace::MANY {
            thread::sleep(pace::SHORTEST);
        }
    }
    Ok(false)
}

/// An error of writing the balance to [`Config::stats`].
#[derive(Debug, thiserror::Error)]
#[error("cannot write the balance to {}", shown(path))]
pub struct StatsError {
    path: PathBuf,
    source: io::Error,
}

fn write_stats(
    config: &Config,
    summary: &Summary,
    ledger: &LossLedger,
    active: &Active,
) -> Result<(), StatsError> {
    let Some(path) = &config.stats else { return Ok(()) };
    stats::write(path, summary, ledger, active.probe())
        .map_err(|source| StatsError { path: path.clone(), source })
}

/// An output that is not open yet.
enum Reservation {
    Single(Reserved),
    Series(Box<ReservedFiles>),
    Flight(Box<ReservedFlight>),
}

fn reserve_output(config: &Config, scan: &Scan) -> anyhow::Result<Reservation> {
    let host = || rustix::system::uname().nodename().to_bytes().to_vec();
    let now = jiff::Zoned::now();
    let path_of_many = || config.write.clone().unwrap_or_else(|| default_pattern(&host(), config.compress));
    if let Some(flight) = &config.flight {
        if let Some(longer) = flight.longer.as_ref().filter(|longer| longer.time <= flight.time) {
            anyhow::bail!(
                "--keep keeps everything for {:?}: --keep-longer takes a longer time than {:?}",
                flight.time,
                longer.time
            );
        }
        if flight.is_packed && flight.bytes < Flight::LEAST_PACKED {
            anyhow::bail!("--keep-packed takes a --keep of at least {}M", Flight::LEAST_PACKED >> 20);
        }
        let (pattern, series) = (Pattern::parse(&path_of_many())?, config.files.clone().unwrap_or_default());
        let reserved = ReservedFlight::new(flight.clone(), pattern, &series, config.compress)?;
        return Ok(Reservation::Flight(Box::new(reserved)));
    }
    let Some(series) = &config.files else {
        let target = match &config.write {
            Some(path) => Target::from_arg(path),
            None => Target::File(default_name(&host(), &now, config.compress)),
        };
        return Ok(Reservation::Single(Reserved::new(target, config.compress)?));
    };
    let pattern = Pattern::parse(&path_of_many())?;
    let now = u64::try_from(now.timestamp().as_nanosecond()).unwrap_or(0);
    let reserved = ReservedFiles::new(pattern, series, config.compress, now, scan.source())?;
    Ok(Reservation::Series(Box::new(reserved)))
}

/// Takes the events left in the rings after the gate is closed, and writes them and the verdict.
fn finish(scan: &Scan, active: &mut Active, drain: &mut Drain) -> anyhow::Result<()> {
    drain.at_full_speed();
    let deadline = Instant::now() + DRAIN_LIMIT;
    while !drain.is_full() && Instant::now() < deadline {
        let took = drain.step(active)? > 0;
        while drain.needs_state() {
            // The filter changed just before the end.
            drain.begin_filter(&Scanning::begin(scan)?.finish()?)?;
        }
        if active.is_drained() && !took {
            break;
        }
        if !took {
            thread::sleep(Duration::from_micros(100));
        }
    }
    Ok(drain.end(active.probe())?)
}

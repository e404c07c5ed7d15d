//! Recording: from the probe into a capture file, until told to stop.

mod command;
mod drain;
mod progress;
mod summary;
mod targets;

use std::{
    path::PathBuf,
    process::ExitStatus,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;

use crate::{
    events::{SYSCALLS, Syscall},
    output::{Output, Target, WriterThread, default_name},
    probe::{Active, Opened, Options, TargetState},
    scap::write_state,
    select::SyscallSet,
    snapshot,
};
use command::Held;
use drain::Drain;
use progress::Progress;
pub use summary::Summary;

/// Buffers between the rings and the disk: how many, and bytes of each.
const BUFFERS: (usize, usize) = (16, 1 << 20);
/// How long to sleep when there is nothing to do.
const IDLE: Duration = Duration::from_millis(3);
/// How long to wait for programs that still run after the gate was closed.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);
/// Tasks that can be followed at once.
const TARGETS: u32 = 1 << 16;

/// What to record, how, and where to.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file; `None`: a name with host and time. `-` is stdout.
    pub write: Option<PathBuf>,
    /// Compress with gzip.
    pub compress: bool,
    /// The calls; `None`: all of them, those that the tables do not know included.
    pub syscalls: Option<SyscallSet>,
    /// The probe's options; its `targets` and `unknown_calls` are set here.
    pub probe: Options,
    /// Processes to record, with their descendants.
    pub pids: Vec<u32>,
    /// A command to run and to record, with its descendants.
    pub command: Vec<std::ffi::OsString>,
    /// Record everything, though there is a command.
    pub all: bool,
    /// Record scapd's own calls too.
    pub include_self: bool,
    /// Stop after so many events.
    pub limit: Option<u64>,
    /// Stop after this time.
    pub duration: Option<Duration>,
    /// Say nothing unless something fails.
    pub quiet: bool,
}

/// How a recording ended.
#[derive(Debug)]
pub struct Outcome {
    /// What was recorded.
    pub summary: Summary,
    /// How the command ended, if there was one, and it did.
    pub command: Option<ExitStatus>,
}

/// Records until the command ends, the limit or the time is reached, or `stop` is set.
///
/// # Errors
/// Of the probe, the snapshot, or the output. The file is complete up to the last whole block.
pub fn run(config: &Config, stop: &Arc<AtomicBool>) -> anyhow::Result<Outcome> {
    let started = Instant::now();
    let targeted = !config.pids.is_empty() || (!config.command.is_empty() && !config.all);
    let options = Options {
        targets: if targeted { TARGETS } else { 0 },
        unknown_calls: config.syscalls.is_none(),
        ..config.probe.clone()
    };
    let calls = wanted_calls(config.syscalls);
    let output = create_output(config)?;
    let target = output.target().to_string();

    let attached = Opened::new(&options)?.load(&calls)?.attach()?;
    for refused in attached.probe().refused() {
        tracing::warn!("this kernel refuses {}: its events are recorded as generic ones", refused.program);
    }
    tracing::debug!("{} programs of events loaded", attached.probe().programs());
    let control = attached.probe().control()?;
    if !config.include_self {
        control.skip_process(Some(std::process::id()));
    }
    // Attached first: children born from here on are followed.
    targets::add(&control, &config.pids)?;
    let mut command = Held::spawn(&config.command)?;
    if let (Some(held), true) = (&command, targeted) {
        control.add_target(held.pid(), TargetState::AtExec)?;
    }
    let mut active = attached.start()?;
    tracing::debug!("recording {} ms after the start", started.elapsed().as_millis());

    let mut drain = Drain::new(WriterThread::spawn(output, BUFFERS.0, BUFFERS.1)?, config.limit)?;
    let state = take_state(&mut active, &mut drain, config.include_self, command.as_ref())?;
    drain.start(&state)?;
    let gate_opened = Instant::now();
    if let Some(held) = &mut command {
        held.release()?;
    }

    let mut progress = Progress::new(config.quiet, &target);
    let mut ended = None;
    while !stop.load(Ordering::Relaxed) {
        let took = drain.step(&mut active)?;
        if let Some(held) = &mut command {
            ended = held.try_wait()?;
        }
        let over = config.duration.is_some_and(|limit| gate_opened.elapsed() >= limit);
        if ended.is_some() || over || drain.is_full() {
            break;
        }
        progress.show(&active, &drain);
        if !took {
            thread::sleep(IDLE);
        }
    }
    let recorded = gate_opened.elapsed();
    active.close_gate()?;
    finish(&mut active, &mut drain)?;
    progress.clear();
    let (counts, written) = drain.finish()?;
    let summary = Summary::new(&target, recorded, counts, written, active.probe());
    Ok(Outcome { summary, command: ended })
}

fn wanted_calls(selected: Option<SyscallSet>) -> Vec<&'static Syscall> {
    match selected {
        Some(set) => set.iter().collect(),
        None => SYSCALLS.iter().collect(),
    }
}

fn create_output(config: &Config) -> anyhow::Result<Output> {
    let target = match &config.write {
        Some(path) => Target::from_arg(path),
        None => {
            let host = rustix::system::uname().nodename().to_bytes().to_vec();
            Target::File(default_name(&host, &jiff::Zoned::now(), config.compress))
        }
    };
    Ok(Output::create(target, config.compress)?)
}

/// Reads /proc on a thread of its own, while events are taken from the rings.
fn take_state(
    active: &mut Active,
    drain: &mut Drain,
    include_self: bool,
    command: Option<&Held>,
) -> anyhow::Result<Vec<u8>> {
    let boot_time = Some(active.probe().boot_time());
    let scan = thread::Builder::new()
        .name("scapd-snapshot".into())
        .spawn(move || snapshot::take(&snapshot::Options { boot_time, ..Default::default() }))
        .context("cannot start a thread")?;
    while !scan.is_finished() {
        if !drain.step(active)? {
            thread::sleep(IDLE);
        }
    }
    let mut snapshot =
        scan.join().map_err(|_| anyhow::anyhow!("the thread that reads /proc has panicked"))??;
    tracing::debug!(?snapshot.report, "state of the machine");
    if !include_self {
        // Nothing will refer to them, and sysdig 0.29 refuses a file that lists a descriptor of a BPF object.
        let own = u64::from(std::process::id());
        snapshot.state.fds.retain(|list| list.pid != own);
    }
    if let Some(held) = command {
        // It still holds copies of ours, which it will not have as the command.
        for list in snapshot.state.fds.iter_mut().filter(|list| list.pid == u64::from(held.pid())) {
            list.fds.retain(|fd| held.keeps(fd.fd));
        }
    }
    let mut bytes = Vec::new();
    write_state(&mut bytes, &snapshot.state).context("cannot describe the state of the machine")?;
    Ok(bytes)
}

/// Takes what is left in the rings after the gate was closed.
fn finish(active: &mut Active, drain: &mut Drain) -> anyhow::Result<()> {
    let deadline = Instant::now() + DRAIN_LIMIT;
    while !drain.is_full() && Instant::now() < deadline {
        let took = drain.step(active)?;
        if active.is_drained() && !took {
            break;
        }
        if !took {
            thread::sleep(Duration::from_micros(100));
        }
    }
    Ok(())
}

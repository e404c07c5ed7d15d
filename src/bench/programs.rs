//! Measures the programs of some calls with the kernel's own statistics (`bpf_stats`).
//!
//! The kernel sums up the time of each of the two dispatchers, including the event's program that it tail-calls. Each
//! call therefore has a turn of its own. The times include the kernel's own clock reads.

use std::io::{Read, Write};

use anyhow::Context;
use comfy_table::{CellAlignment, Table, presets};
use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags, StatxFlags, access, openat};

use super::{RING, stats::Spread};
use crate::probe::{Active, Attach, Opened, ProbeOptions, ProgramRuns, RunStatistics};
use scap::events::Syscall;

/// The number of turns of a call that count, and the maximum number of turns.
const ROUNDS: usize = 21;
const LONGEST: usize = 1000;

/// A call that can be repeated without side effects: its name, what its events record, and a function that makes it.
type Sample = (&'static str, &'static str, fn(&mut Files));

/// The files and the buffer that the calls use.
struct Files {
    zero: std::fs::File,
    null: std::fs::File,
    data: [u8; 64],
}

const SAMPLES: [Sample; 16] = [
    ("getegid", "a number", |_| {
        let _ = rustix::process::getegid();
    }),
    ("getppid", "as a generic event", |_| {
        let _ = rustix::process::getppid();
    }),
    ("fchdir", "a descriptor", |files| {
        let _ = rustix::process::fchdir(&files.null);
    }),
    ("fsync", "a descriptor, as a generic event", |files| {
        let _ = rustix::fs::fsync(&files.null);
    }),
    ("newfstatat", "a path, a directory descriptor, flags; a structure", |_| {
        let _ = rustix::fs::statat(CWD, c"/", AtFlags::empty());
    }),
    ("statx", "the same, as a generic event", |_| {
        let _ = rustix::fs::statx(CWD, c"/", AtFlags::empty(), StatxFlags::ALL);
    }),
    ("newfstatat", "the same of a missing path: no structure", |_| {
        let _ = rustix::fs::statat(CWD, c"/no/such/file", AtFlags::empty());
    }),
    ("statx", "the same, as a generic event", |_| {
        let _ = rustix::fs::statx(CWD, c"/no/such/file", AtFlags::empty(), StatxFlags::ALL);
    }),
    ("symlinkat", "two paths and a directory descriptor", |_| {
        // There is a file of this name: the call fails.
        let _ = rustix::fs::symlinkat(c"/no/such/file", CWD, c"/");
    }),
    ("access", "a path", |_| {
        let _ = access(c"/no/such/file", Access::EXISTS);
    }),
    ("openat", "a path and a directory descriptor", |_| {
        let _ = openat(CWD, c"/no/such/file", OFlags::RDONLY, Mode::empty());
    }),
    // What open adds, too: it would need a close for each call, which is another run of the dispatchers.
    ("chdir", "a path, and the same resolved: two names", |_| {
        let _ = rustix::process::chdir(c"/proc/self");
    }),
    ("read", "64 bytes of data", |files| {
        let _ = files.zero.read(&mut files.data);
    }),
    ("write", "64 bytes of data", |files| {
        let _ = files.null.write(&files.data);
    }),
    ("ppoll", "a list of two descriptors", |files| {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let mut fds = [PollFd::new(&files.zero, PollFlags::IN), PollFd::new(&files.null, PollFlags::OUT)];
        let _ = poll(&mut fds, Some(&Timespec::default()));
    }),
    ("socket", "flags", |_| {
        // The family does not have this protocol: the call fails.
        use rustix::net::{AddressFamily, SocketType, ipproto, socket};
        let _ = socket(AddressFamily::UNIX, SocketType::STREAM, Some(ipproto::TCP));
    }),
];

/// Runs the measurements and writes a table: the time in ns of the programs of some calls, for each event.
///
/// # Errors
/// If the kernel does not count, if the probe fails, or if `out` cannot be written.
pub(super) fn programs(attach: Attach, calls: u32, out: &mut impl Write) -> anyhow::Result<()> {
    let _statistics =
        RunStatistics::enable().context("cannot enable the kernel's statistics of BPF programs")?;
    let open = |path, options: &mut std::fs::OpenOptions| options.open(path).context(path);
    let mut files = Files {
        zero: open("/dev/zero", std::fs::OpenOptions::new().read(true))?,
        null: open("/dev/null", std::fs::OpenOptions::new().write(true))?,
        data: [0; 64],
    };
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header([
        "call",
        "records",
        "enter",
        "exit",
        "exit without extensions",
    ]);
    for column in 2..5 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for (name, moves, call) in SAMPLES {
        let times = measure(name, attach, calls, || (0..calls).for_each(|_| call(&mut files)))?;
        let times = times.map(|time| format!("{time:.0}"));
        table.add_row([name.to_owned(), moves.to_owned()].into_iter().chain(times));
    }
    writeln!(
        out,
        "\nns per call in its programs, as counted by the kernel (bpf_stats): medians of {ROUNDS} rounds"
    )?;
    writeln!(out, "{table}")?;
    Ok(())
}

/// Returns the times in ns of a run of the enter dispatcher, of the exit dispatcher, and of that without extensions. The
/// turns with and without extensions alternate.
fn measure(name: &str, attach: Attach, calls: u32, mut turn: impl FnMut()) -> anyhow::Result<[f64; 3]> {
    let options = ProbeOptions { attach, ring_size: RING, targets: 1, ..ProbeOptions::default() };
    let selected: Vec<_> = Syscall::by_name(name).into_iter().collect();
    let mut active = Opened::new(&options)?.load(&selected)?.attach()?.start();
    let own = rustix::thread::gettid().as_raw_nonzero().get() as u32;
    active.probe().control().add_target(own, crate::probe::TargetState::Active)?;
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for round in 0..LONGEST {
        let [enter, exit] = run(&mut active, true, calls, &mut turn)?;
        let [_, plain] = run(&mut active, false, calls, &mut turn)?;
        // The first round warms up.
        if let (1.., Some(enter), Some(exit), Some(plain)) = (round, enter, exit, plain) {
            for (times, time) in times.iter_mut().zip([enter, exit, plain]) {
                times.push(time);
            }
        }
        if times[0].len() == ROUNDS {
            return Ok(times.map(|times| Spread::of(times).median));
        }
    }
    anyhow::bail!("other processes make too many calls to measure {name}; try again on an idle machine")
}

/// Makes the calls of a turn; returns the mean time in ns of a run of each dispatcher.
fn run(
    active: &mut Active,
    extensions: bool,
    calls: u32,
    turn: &mut impl FnMut(),
) -> anyhow::Result<[Option<f64>; 2]> {
    active.probe().control().set_extensions(extensions);
    let before = active.probe().runs();
    turn();
    let after = active.probe().runs();
    drain(active)?;
    Ok(["dispatch_enter", "dispatch_exit"].map(|name| mean(name, calls, &before, &after)))
}

fn drain(active: &mut Active) -> anyhow::Result<()> {
    while !active.is_drained() || active.next_event().is_some() {
        active.next_event();
    }
    let lost = active.probe().totals().lost();
    anyhow::ensure!(lost == 0, "{lost} events were lost; use fewer calls per round (--calls)");
    Ok(())
}

/// Returns the mean time of a run in ns. It includes runs for calls of other tasks, which end early: `None` if there
/// were many.
fn mean(name: &str, calls: u32, before: &[ProgramRuns], after: &[ProgramRuns]) -> Option<f64> {
    let of = |runs: &[ProgramRuns]| runs.iter().find(|runs| runs.name == name).map(|r| (r.runs, r.time));
    let ((runs, time), (runs_after, time_after)) = (of(before)?, of(after)?);
    let runs = runs_after - runs;
    (runs <= u64::from(calls) * 21 / 20).then(|| (time_after - time) as f64 / runs as f64)
}

//! `scapd bench kernel`: where the nanoseconds of an event go, in the kernel.
//!
//! One thread, pinned to a CPU, makes the same system call over and over, with other programs attached in each turn: none,
//! bare ones ([`Floor`]), scapd's. The turns alternate, so that what disturbs the machine meets all of them. The rings are
//! drained after each turn, by the same thread: what is measured is the programs, not the recorder. A turn is short, so
//! that most of them are not disturbed; the first one of each is thrown away.

use std::{
    io::{self, Write},
    time::Instant,
};

use anyhow::Context;
use comfy_table::{CellAlignment, Table, presets};
use rustix::{
    fs::{Access, access},
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};

use super::stats::Spread;
use crate::probe::{Attach, Directions, Floor, Loaded, Opened, Options, Step};
use scap::events::Syscall;

/// Bytes of the ring: an event of access takes 96, an enter event 56.
pub(super) const RING: u64 = 8 << 20;

/// What to measure.
#[derive(Debug, Clone)]
pub struct KernelArgs {
    /// Turns of each contender.
    pub rounds: u32,
    /// Calls of a turn: both events of all of them must fit into a ring.
    pub calls: u32,
    /// How to attach.
    pub attach: Attach,
}

/// What is attached in a turn.
enum Attachment {
    None,
    Floor { enter: Option<Step>, exit: Option<Step> },
    Scapd(Option<Box<Loaded>>),
}

struct Contender {
    name: &'static str,
    attachment: Attachment,
    /// The contender that this one is compared with: what it costs is the floor.
    floor: Option<usize>,
    /// ns of a call, one number for each turn.
    times: Vec<f64>,
}

/// Measures, and writes a table: the time of a call of access on a path that is not there, what that is more than without
/// any program, and the ratio to the bare programs. Then another one: what the kernel counts for the programs of some
/// calls.
///
/// # Errors
/// Of the probe, or of `out`.
pub fn kernel(args: &KernelArgs, out: &mut impl Write) -> anyhow::Result<()> {
    anyhow::ensure!(
        u64::from(args.calls) * (96 + 56) <= RING,
        "{} calls a round do not fit into a ring of {RING} bytes: at most {}",
        args.calls,
        RING / (96 + 56)
    );
    pin()?;
    let (mut contenders, style) = contenders(args.attach)?;
    let mut floor = Floor::load(style)?;
    for round in 0..=args.rounds {
        for contender in &mut contenders {
            let time = contender.attachment.turn(args.calls, style, &mut floor)?;
            // The first round warms up.
            if round > 0 {
                contender.times.push(time);
            }
        }
    }
    report(&contenders, args, style, out)?;
    out.flush()?;
    super::programs::programs(style, args.calls, out)
}

/// To the first CPU that this thread may run on.
fn pin() -> anyhow::Result<()> {
    let allowed = sched_getaffinity(None).context("cannot ask for this thread's CPUs")?;
    let first = (0..CpuSet::MAX_CPU).find(|cpu| allowed.is_set(*cpu)).unwrap_or(0);
    let mut one = CpuSet::new();
    one.set(first);
    sched_setaffinity(None, &one).context("cannot pin this thread to a CPU")
}

fn contenders(attach: Attach) -> anyhow::Result<(Vec<Contender>, Attach)> {
    let both = Directions { enter: true, exit: true };
    let exit = Directions { enter: false, exit: true };
    let scapd = |call: &str, directions| -> anyhow::Result<Loaded> {
        let options = Options { attach, directions, ring_size: RING, ..Options::default() };
        let calls: Vec<_> = Syscall::by_name(call).into_iter().collect();
        Ok(Opened::new(&options)?.load(&calls)?)
    };
    let access_exit = scapd("access", exit)?;
    let style = access_exit.attach_style();
    let bare = |enter, exit| Attachment::Floor { enter, exit };
    let programs = |loaded| Attachment::Scapd(Some(Box::new(loaded)));
    let empty = Some(Step::Empty);
    let rows = [
        ("nothing attached", Attachment::None, None),
        ("bare exit: empty", bare(None, empty), None),
        ("bare exit: and the clock", bare(None, Some(Step::Clock)), None),
        ("bare exit: and the path", bare(None, Some(Step::Path)), None),
        ("bare exit: and a record", bare(None, Some(Step::Reserve)), None),
        ("bare both: empty", bare(empty, empty), None),
        ("bare both: all of it", bare(Some(Step::Reserve), Some(Step::Reserve)), None),
        ("scapd: access, exit", programs(access_exit), Some(4)),
        ("scapd: access, both", programs(scapd("access", both)?), Some(6)),
        ("scapd: another call, exit", programs(scapd("quotactl", exit)?), Some(1)),
        ("scapd: another call, both", programs(scapd("quotactl", both)?), Some(5)),
    ];
    let contenders =
        rows.map(|(name, attachment, floor)| Contender { name, attachment, floor, times: Vec::new() });
    Ok((contenders.into(), style))
}

impl Attachment {
    /// ns of a call.
    fn turn(&mut self, calls: u32, style: Attach, floor: &mut Floor) -> anyhow::Result<f64> {
        match self {
            Attachment::None => Ok(make_calls(calls)),
            Attachment::Floor { enter, exit } => {
                let links = floor.attach(style, *enter, *exit)?;
                let time = make_calls(calls);
                drop(links);
                floor.release();
                Ok(time)
            }
            Attachment::Scapd(loaded) => {
                let probe = loaded.take().context("a turn has failed before")?;
                let mut active = probe.attach()?.start();
                let time = make_calls(calls);
                active.close_gate();
                while !active.is_drained() || active.next_event().is_some() {
                    active.next_event();
                }
                *loaded = Some(Box::new(active.stop().detach()));
                Ok(time)
            }
        }
    }
}

fn make_calls(calls: u32) -> f64 {
    let call = || access(c"/no/such/file", Access::EXISTS);
    for _ in 0..calls / 10 {
        let _ = call();
    }
    let start = Instant::now();
    for _ in 0..calls {
        let _ = call();
    }
    start.elapsed().as_nanos() as f64 / f64::from(calls)
}

fn report(
    contenders: &[Contender],
    args: &KernelArgs,
    style: Attach,
    out: &mut impl Write,
) -> io::Result<()> {
    let spreads: Vec<_> = contenders.iter().map(|c| Spread::of(c.times.clone())).collect();
    // Of each round with its neighbours: what slows the machine down for a while slows all of them.
    let added = |contender: &Contender| -> Vec<f64> {
        contender.times.iter().zip(&contenders[0].times).map(|(time, none)| time - none).collect()
    };
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header([
        "attached",
        "ns a call",
        "quartiles",
        "added",
        "of the floor",
    ]);
    for column in 1..5 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for (contender, spread) in contenders.iter().zip(&spreads) {
        let more = added(contender);
        let ratio = contender.floor.map(|floor| {
            let ratios = more.iter().zip(added(&contenders[floor])).map(|(more, floor)| more / floor);
            format!("{:.2}", Spread::of(ratios.collect()).median)
        });
        table.add_row([
            contender.name.to_owned(),
            format!("{:.0}", spread.median),
            format!("{:.0} to {:.0}", spread.low, spread.high),
            format!("{:.0}", Spread::of(more).median),
            ratio.unwrap_or_default(),
        ]);
    }
    writeln!(
        out,
        "access of a missing path, {} rounds of {} calls, attached by {}: medians",
        args.rounds,
        args.calls,
        style.name()
    )?;
    writeln!(out, "{table}")
}

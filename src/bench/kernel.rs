//! `scapd bench kernel`: measures the kernel time of an event.
//!
//! One thread, pinned to a CPU, repeats the same system call. Each turn attaches other programs: none, bare ones
//! ([`Floor`]), scapd's. The turns alternate, so that disturbances of the machine affect all of them alike. The same
//! thread drains the rings after each turn, so the times are those of the programs, not of the recorder. Turns are
//! short, so that most are undisturbed; the first one of each contender is discarded.

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

use super::{RING, stats::Spread};
use crate::{
    choice::Choice,
    probe::{Attach, Directions, Floor, KernelFilter, Loaded, Opened, ProbeOptions, Step},
};
use scap::{
    events::Syscall,
    fields::Fields,
    filter::{Filter, Places, Verdict},
};

/// The arguments of [`kernel()`].
#[derive(Debug, Clone)]
pub struct KernelArgs {
    /// The number of turns of each contender.
    pub rounds: u32,
    /// The number of calls in a turn; both events of each must fit into a ring.
    pub calls: u32,
    /// How to attach the programs.
    pub attach: Attach,
}

/// The programs attached in a turn.
enum Attachment {
    None,
    Floor {
        enter: Option<Step>,
        exit: Option<Step>,
    },
    Scapd(Option<Box<Loaded>>),
    /// scapd with a filter that refuses this process: also as the recorder tells the kernel, if the filter takes that.
    Refused(Option<Box<Loaded>>),
}

struct Contender {
    name: &'static str,
    attachment: Attachment,
    /// The contender whose cost is the floor for this one.
    floor: Option<usize>,
    /// The time of a call in ns, one for each turn.
    times: Vec<f64>,
}

/// Runs the measurements and writes two tables. The first has the time of an access of a missing path, the time added
/// by the programs, and its ratio to that of the bare programs. The second has the time that the kernel counts for the
/// programs of some calls.
///
/// # Errors
/// If the arguments are bad, if the probe fails, or if `out` cannot be written.
pub fn kernel(args: &KernelArgs, out: &mut impl Write) -> anyhow::Result<()> {
    anyhow::ensure!(
        u64::from(args.calls) * (96 + 56) <= RING,
        "the events of {} calls per round do not fit into a ring of {RING} bytes; use at most {} calls",
        args.calls,
        RING / (96 + 56)
    );
    anyhow::ensure!(
        args.attach != Attach::Function,
        "the bare programs are for the syscall tracepoints: use --attach btf or --attach tracepoint"
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

/// Pins this thread to the first CPU that it may run on.
fn pin() -> anyhow::Result<()> {
    let allowed = sched_getaffinity(None).context("cannot get this thread's CPU affinity")?;
    let first = (0..CpuSet::MAX_CPU).find(|cpu| allowed.is_set(*cpu)).unwrap_or(0);
    let mut one = CpuSet::new();
    one.set(first);
    sched_setaffinity(None, &one).context("cannot pin this thread to a CPU")
}

fn contenders(attach: Attach) -> anyhow::Result<(Vec<Contender>, Attach)> {
    let both = Directions { enter: true, exit: true };
    let exit = Directions { enter: false, exit: true };
    let scapd = |call: &str, directions| -> anyhow::Result<Loaded> {
        let options = ProbeOptions { attach, directions, ring_size: RING, ..ProbeOptions::default() };
        let calls: Vec<_> = Syscall::by_name(call).into_iter().collect();
        Ok(Opened::new(&options)?.load(&calls)?)
    };
    let refused = |text: &str| -> anyhow::Result<Attachment> {
        let loaded = scapd("access", exit)?;
        let places = Places::of(&Filter::parse(text, &Fields)?);
        let (clauses, arguments) = (places.early().to_vec(), places.arguments().clone());
        loaded.control().set_filter(&KernelFilter { clauses, arguments, ..KernelFilter::default() });
        Ok(Attachment::Refused(Some(Box::new(loaded))))
    };
    let access_exit = scapd("access", exit)?;
    let style = access_exit.attach_style();
    let bare = |enter, exit| Attachment::Floor { enter, exit };
    let programs = |loaded| Attachment::Scapd(Some(Box::new(loaded)));
    let many: Vec<_> = (0..5000).map(|number| format!("/srv/{number}")).collect();
    let many = format!("evt.arg.name pmatch ({})", many.join(", "));
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
        ("scapd: another name, exit", refused("proc.name = nobody")?, None),
        ("scapd: another parent, exit", refused("proc.ppid = 0")?, None),
        ("scapd: other ancestors, exit", refused("proc.apid < 1")?, None),
        ("scapd: another program, exit", refused("proc.exepath = /no/such/file")?, None),
        ("scapd: another path, exit", refused("evt.arg.name startswith /etc/")?, Some(3)),
        ("scapd: none of 5,000 paths, exit", refused(&many)?, Some(3)),
    ];
    let contenders =
        rows.map(|(name, attachment, floor)| Contender { name, attachment, floor, times: Vec::new() });
    Ok((contenders.into(), style))
}

impl Attachment {
    /// Runs a turn; returns the time of a call in ns.
    fn turn(&mut self, calls: u32, style: Attach, floor: &mut Floor) -> anyhow::Result<f64> {
        let is_refused = matches!(self, Attachment::Refused(_));
        match self {
            Attachment::None => Ok(make_calls(calls)),
            Attachment::Floor { enter, exit } => {
                let links = floor.attach(style, *enter, *exit)?;
                let time = make_calls(calls);
                drop(links);
                floor.release();
                Ok(time)
            }
            Attachment::Scapd(loaded) | Attachment::Refused(loaded) => {
                let probe = loaded.take().context("an earlier turn failed")?;
                let mut active = probe.attach()?.start();
                if is_refused {
                    // The programs have to see the process first.
                    make_calls(1);
                    active.probe().control().set_verdict(&of_this_process(active.probe())?);
                }
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

/// Returns that the first test of the filter is false of this process.
fn of_this_process(probe: &Loaded) -> anyhow::Result<Verdict> {
    let tasks = probe.tasks();
    let session = rustix::process::getsid(None).context("cannot get this process's session")?;
    let session = tasks.look()?.initial(session.as_raw_pid().cast_unsigned()).unwrap_or_default();
    Ok(Verdict { pid: tasks.own()?.0, session, at: u64::MAX, fails: 1 })
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
    // Compare the turns of the same round: a temporary slowdown of the machine affects all of them.
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

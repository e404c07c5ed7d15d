//! Compares the calls made with the events captured, lost by cause, and skipped by the kernel.

use std::time::Duration;

use anyhow::ensure;
use scap::events::EventType;
use scapd::probe::{Attach, Counters, Loaded};

use crate::{
    plan::{CALLS, Call},
    verify::{Captured, Verifier},
    worker::Made,
};

/// Further expectations.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    /// The kernel skipped runs.
    pub skips: bool,
    /// Nothing was lost.
    pub all: bool,
}

/// One direction of a call: its enter or its exit events.
struct Way {
    name: String,
    made: u64,
    /// Restarts that were captured.
    restarts: u64,
    /// Maximum number of restarts that were not captured.
    unseen_restarts: u64,
    counters: Counters,
    captured: u64,
}

impl Way {
    /// Returns the number of calls for which no program ran.
    fn missing(&self) -> u64 {
        (self.made + self.restarts).saturating_sub(self.counters.seen)
    }

    fn check(&self) -> anyhow::Result<()> {
        let Way { name, made, restarts, counters, captured, .. } = self;
        let most = made + restarts + self.unseen_restarts;
        ensure!(counters.seen <= most, "{name}: {} seen of {most} calls", counters.seen);
        ensure!(
            *captured == counters.written(),
            "{name}: {captured} events received, but {} written",
            counters.written()
        );
        Ok(())
    }
}

/// Prints the progress.
pub fn progress(elapsed: Duration, probe: &Loaded, verifier: &Verifier) {
    let captured: u64 = verifier.captured.iter().map(|c| c.enter + c.exit).sum();
    let (totals, found) = (probe.totals(), &verifier.findings);
    println!(
        "after {:>4} s: {captured} call events, {} tracepoint events; {} lost, {} runs skipped; {} malformed, {} mixed \
         up, {} out of order",
        elapsed.as_secs(),
        found.tracepoints,
        totals.sum().lost(),
        totals.skipped,
        found.malformed,
        found.mixed_up,
        found.disorder
    );
}

/// Prints the results, and fails if anything is wrong.
pub fn report(
    wanted: Wanted,
    probe: &Loaded,
    calls: &[Option<Call>],
    made: &[Made],
    verifier: &Verifier,
) -> anyhow::Result<()> {
    let totals = probe.totals();
    let counters = |ty: EventType| {
        totals.events.iter().find(|(of, _)| *of == ty).map_or_else(Counters::default, |(_, c)| *c)
    };
    let mut ways = Vec::new();
    for (index, call) in calls.iter().enumerate() {
        let Some(call) = call else { continue };
        let made = made.iter().map(|made| made.calls[index]).sum();
        let Captured { enter, exit, restarts } = verifier.captured[index];
        let (entries, exits) = (counters(call.enter), counters(call.exit));
        // A call that never restarts has none.
        let unseen_restarts = if restarts > 0 { exits.lost() + totals.skipped } else { 0 };
        for (way, counters, captured) in [("enter", entries, enter), ("exit", exits, exit)] {
            let name = format!("{} {way}", CALLS[index]);
            ways.push(Way { name, made, restarts, unseen_restarts, counters, captured });
        }
    }
    println!("{:<16} {:>12} {:>12} {:>10} {:>10}", "", "called", "captured", "lost", "skipped");
    for way in &ways {
        let called = way.made + way.restarts;
        let (lost, missing) = (way.counters.lost(), way.missing());
        println!("{:<16} {called:>12} {:>12} {lost:>10} {missing:>10}", way.name, way.captured);
    }
    let losses = totals.losses();
    println!("lost by cause:{}", if losses.sum() == 0 { " nothing".into() } else { losses.to_string() });
    complain(wanted, probe, &ways, made, verifier)
}

fn complain(
    wanted: Wanted,
    probe: &Loaded,
    ways: &[Way],
    made: &[Made],
    verifier: &Verifier,
) -> anyhow::Result<()> {
    let (totals, found) = (probe.totals(), &verifier.findings);
    let called: u64 = made.iter().flat_map(|made| made.calls).sum();
    let signals: u64 = made.iter().map(|made| made.handler).sum();
    let missing: u64 = ways.iter().map(Way::missing).sum();
    let lost: u64 = ways.iter().map(|way| way.counters.lost()).sum();
    let restarts: u64 = ways.iter().map(|way| way.restarts).sum::<u64>() / 2;
    println!(
        "{called} calls, {signals} signals handled, {} waits interrupted, {restarts} restarted, {} paths not read on \
         entry, {} tracepoint events",
        found.interrupted, found.paths_not_read, found.tracepoints
    );
    println!(
        "{} malformed, {} mixed up, {} out of order, {} marked late, {} unpaired, {} calls without an event",
        found.malformed, found.mixed_up, found.disorder, found.late, found.unpaired, found.absent
    );
    for told in &found.told {
        println!("{told}");
    }
    ensure!(found.malformed == 0, "malformed events");
    ensure!(found.mixed_up == 0, "events differ from what their threads did");
    ensure!(found.disorder == 0, "events out of order");
    for way in ways {
        way.check()?;
    }
    ensure!(called > 0 && signals > 0 && found.paths_not_read > 0, "no stress");
    let of_tracepoints: u64 =
        totals.sum().written() - ways.iter().map(|way| way.counters.written()).sum::<u64>();
    ensure!(
        of_tracepoints == found.tracepoints,
        "{of_tracepoints} tracepoint events written, but not all received"
    );
    ensure!(missing <= totals.skipped, "{missing} events missing, more than runs skipped");
    ensure!(
        found.unpaired <= lost + missing + 2 * found.late,
        "{} events without their pair, more than losses explain",
        found.unpaired
    );
    ensure!(found.absent == 0 || lost + missing > 0, "{} calls have no event", found.absent);
    if probe.attach_style() == Attach::Tracepoint {
        ensure!(missing == 0, "{missing} events missing: attached by tracepoint, the kernel skips none");
    }
    ensure!(!wanted.skips || missing > 0, "--expect-skips: the kernel skipped no run");
    ensure!(!wanted.all || lost + missing == 0, "--expect-all: {lost} events lost, {missing} skipped");
    println!("ok: every call is captured or accounted for, every event is what its thread did");
    Ok(())
}

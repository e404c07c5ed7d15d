//! Tests with real probes of this process. They need root.

use std::time::{Duration, Instant};

use rustix::thread::{CpuSet as Affinity, gettid, sched_setaffinity};

use super::{Active, Opened, ProbeError, ProbeOptions, RingLayout, TargetState};
use scap::{
    events::Syscall,
    ledger::Cause,
    select::{Tracepoint, TracepointSet},
};

const LIMIT: Duration = Duration::from_secs(10);

fn options() -> ProbeOptions {
    ProbeOptions { targets: 8, tracepoints: TracepointSet::none(), ..ProbeOptions::default() }
}

/// Starts a probe of this thread's getppid.
fn probe(opened: Opened) -> Active {
    let calls: Vec<_> = Syscall::by_name("getppid").into_iter().collect();
    let active = opened.load(&calls).unwrap().attach().unwrap().start();
    let tid = gettid().as_raw_nonzero().get().unsigned_abs();
    active.probe().control().add_target(tid, TargetState::Active).unwrap();
    active
}

fn on_cpu(cpu: usize) {
    let mut only = Affinity::new();
    only.set(cpu);
    sched_setaffinity(None, &only).unwrap();
}

#[test]
fn waits_through_a_pause_for_the_next_event() {
    let mut probe = probe(Opened::new(&options()).unwrap());
    let started = Instant::now();
    assert!(probe.next_within(Duration::from_millis(300)).is_none(), "nobody called");
    assert!(started.elapsed() >= Duration::from_millis(300));
    let _ = rustix::process::getppid();
    assert!(probe.next_event().is_some() || probe.next_within(LIMIT).is_some());
    assert!(started.elapsed() < LIMIT);
}

#[test]
fn the_gate_closes_and_opens_in_a_phase_and_between() {
    let mut probe = probe(Opened::new(&options()).unwrap());
    let pair = |probe: &mut Active| {
        let _ = rustix::process::getppid();
        let events = std::iter::from_fn(|| probe.next_within(Duration::from_millis(200)).map(|_| ()));
        events.take(3).count()
    };
    assert_eq!(pair(&mut probe), 2);
    probe.close_gate();
    assert_eq!(pair(&mut probe), 0);
    probe.open_gate();
    assert_eq!(pair(&mut probe), 2);
    let mut probe = probe.stop().start();
    assert_eq!(pair(&mut probe), 2);
}

#[test]
fn a_tracepoint_that_was_not_loaded_cannot_be_recorded() {
    let switches: TracepointSet = [Tracepoint::SchedSwitch].into_iter().collect();
    let opened = Opened::new(&ProbeOptions { tracepoints: switches, ..options() }).unwrap();
    let probe = probe(opened);
    let control = probe.probe().control();
    control.set_tracepoints(TracepointSet::none()).unwrap();
    control.set_tracepoints(switches).unwrap();
    let error = control.set_tracepoints([Tracepoint::SignalDeliver].into_iter().collect()).unwrap_err();
    assert!(matches!(&error, ProbeError::NotLoaded(name) if name == "signal_deliver"), "{error}");
}

#[test]
fn options_and_lists_have_one_default_of_the_tracepoints() {
    assert_eq!(ProbeOptions::default().tracepoints, TracepointSet::default());
}

/// Acts as if the CPU had come after the probe was loaded, on a machine with more possible CPUs than counters.
#[test]
fn an_event_of_a_cpu_without_counters_is_lost_and_counted() {
    let mut opened = Opened::new(&options()).unwrap();
    let last = opened.cpus.online.iter().copied().max().unwrap();
    assert!(last > 0, "this test needs two CPUs");
    opened.cpus.counted = last;
    let mut probe = probe(opened);
    on_cpu(last);
    let _ = rustix::process::getppid();
    probe.close_gate();
    assert_eq!(probe.next_event(), None);
    let totals = probe.probe().totals();
    // sched_setaffinity is not recorded.
    assert_eq!(totals.losses().of(Cause::NoCpu), 2);
    assert_eq!(totals.lost(), 2);
    assert_eq!(probe.probe().lost().last(), Some(2), "the ledger looks at this");
}

/// Acts as if the CPU had been offline when the probe was opened.
#[test]
fn an_event_of_a_cpu_that_came_later_is_in_the_ring_of_such_cpus() {
    let mut opened = Opened::new(&options()).unwrap();
    let last = opened.cpus.online.pop().unwrap();
    let online = opened.cpus.online.len();
    assert!(online > 0, "this test needs two CPUs");
    opened.layout = RingLayout::new(1 << 20, 16 << 20, online, opened.cpus.may_come()).unwrap();
    let mut probe = probe(opened);
    on_cpu(last);
    let _ = rustix::process::getppid();
    let used: Vec<_> = probe.probe().rings().map(|(used, _)| used > 0).collect();
    // The last one is the reserve.
    assert_eq!(used.iter().rposition(|used| *used), Some(online), "{used:?}");
    assert_eq!(probe.next_within(LIMIT).map(|event| event.cpu), Some(last as u16));
    assert_eq!(probe.probe().totals().lost(), 0);
}

#[test]
fn the_rings_are_those_of_cpus_that_are_there() {
    let opened = Opened::new(&options()).unwrap();
    let (online, spare) = (opened.cpus.online.len(), usize::from(opened.cpus.may_come()));
    let probe = probe(opened);
    // One more: the reserve.
    assert_eq!(probe.probe().rings().count(), online + spare + 1);
}

#[test]
fn an_event_is_lost_with_its_extension_and_counted_once() {
    const CALLS: u64 = 1000;
    let opened = Opened::new(&ProbeOptions { ring_size: 4096, ..options() }).unwrap();
    let calls: Vec<_> = Syscall::by_name("fsync").into_iter().collect();
    let mut probe = opened.load(&calls).unwrap().attach().unwrap().start();
    let tid = gettid().as_raw_nonzero().get().unsigned_abs();
    probe.probe().control().add_target(tid, TargetState::Active).unwrap();
    on_cpu(0);
    let null = std::fs::File::open("/dev/null").unwrap();
    (0..CALLS).for_each(|_| {
        let _ = rustix::fs::fsync(&null);
    });
    probe.close_gate();
    let mut taken = 0;
    while !probe.is_drained() {
        if let Some(event) = probe.next_event() {
            assert_eq!(event.parts().count(), 2, "the event is without its extension");
            taken += 1;
        }
    }
    let totals = probe.probe().totals();
    let lost = totals.losses().of(Cause::RingFull);
    assert!(taken > 0 && lost > 0, "{taken} taken, {lost} lost");
    assert_eq!((totals.sum().seen, totals.lost()), (2 * CALLS, lost));
    assert_eq!(taken + lost, 2 * CALLS);
}

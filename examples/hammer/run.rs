//! One run: threads, recorder, and what came out.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle, sleep},
    time::{Duration, Instant},
};

use anyhow::ensure;
use scap::select::parse_tracepoints;
use scapd::probe::{Active, Attach, Opened, Options, TargetState};

use crate::{
    plan::{CALLS, Call, Identity, Mix},
    report::{self, Wanted},
    signals,
    verify::Verifier,
    worker::{Made, Shared, Worker},
};

/// Recorded besides the calls: their programs run in the middle of those of calls.
const TRACEPOINTS: &str = "sched_switch,signal_deliver,page_fault_user,page_fault_kernel";
/// How often it is said how far things are.
const TELL: Duration = Duration::from_secs(60);
/// How long to wait for threads to end, and for the last events.
const PATIENCE: Duration = Duration::from_secs(60);
/// Threads that a path has digits for.
const MOST_THREADS: u64 = 999;

/// What to do.
#[derive(Debug, Clone)]
pub struct Config {
    pub threads: u64,
    /// Calls of each thread, at most.
    pub calls: u64,
    /// For how long calls are made, at most.
    pub seconds: u64,
    /// Calls of all threads in a second, at most.
    pub rate: Option<u64>,
    pub attach: Attach,
    /// Bytes of each CPU's ring.
    pub ring_size: u64,
    pub wanted: Wanted,
}

/// Runs the threads, records them, checks the events, and prints what came out.
///
/// # Errors
/// If anything is not as it must be.
pub fn run(config: &Config) -> anyhow::Result<()> {
    ensure!(
        (1..=MOST_THREADS).contains(&config.threads),
        "1 to {MOST_THREADS} threads, not {}",
        config.threads
    );
    let calls: [_; CALLS.len()] = std::array::from_fn(Call::of);
    let options = Options {
        attach: config.attach,
        ring_size: config.ring_size,
        targets: 4096,
        tracepoints: parse_tracepoints(TRACEPOINTS)?,
        ..Options::default()
    };
    // Memory cannot be read in the moment in which the kernel moves its page into a huge one.
    rustix::thread::disable_transparent_huge_pages(true)?;
    let selected: Vec<_> = calls.iter().flatten().map(|call| call.syscall).collect();
    let mut probe = Opened::new(&options)?.load(&selected)?.attach()?.start();
    // arm64 has no tracepoints of page faults.
    let mut refused = probe.probe().refused().iter().map(|refused| refused.program.as_str());
    let refused = refused.find(|program| !TRACEPOINTS.contains(program));
    ensure!(refused.is_none(), "the kernel refuses {refused:?}");
    println!("attached by {}", probe.probe().attach_style().name());

    signals::block(true);
    signals::install()?;
    let shared = Arc::new(shared(config, calls));
    let (threads, identities) = start_threads(&shared)?;
    // Of this thread alone: the recorder is to keep up.
    let _ = rustix::process::setpriority_process(None, -20);
    wait_for_threads(&shared, 1)?;
    for thread in &identities {
        probe.probe().control().add_target(thread.tid, TargetState::Active)?;
    }
    let mut verifier = Verifier::new(shared.mix.clone(), identities, &calls);
    signals::set_timer(true)?;
    shared.go.store(true, Ordering::Release);
    record(config, &shared, &mut probe, &mut verifier)?;
    signals::set_timer(false)?;
    shared.release.store(true, Ordering::Release);
    let made = threads
        .into_iter()
        .map(|thread| thread.join().map_err(|_| anyhow::anyhow!("a thread has panicked"))?)
        .collect::<anyhow::Result<Vec<Made>>>()?;
    verifier.end(made.iter().map(|made| [made.main, made.handler]));
    report::report(config.wanted, probe.probe(), &calls, &made, &verifier)
}

fn shared(config: &Config, calls: [Option<Call>; CALLS.len()]) -> Shared {
    Shared {
        mix: Mix::new(),
        calls,
        cpus: thread::available_parallelism().map_or(1, usize::from),
        tids: (0..config.threads).map(|_| AtomicU32::default()).collect(),
        limit: config.calls,
        rate: config.rate.map(|rate| rate as f64 / config.threads as f64),
        go: AtomicBool::new(false),
        stop: AtomicBool::new(false),
        waiting: AtomicUsize::new(0),
        release: AtomicBool::new(false),
    }
}

type Threads = Vec<JoinHandle<anyhow::Result<Made>>>;

/// Starts the threads, which then wait.
fn start_threads(shared: &Arc<Shared>) -> anyhow::Result<(Threads, Vec<Identity>)> {
    let (tell, told) = mpsc::channel();
    let threads = (0..shared.tids.len())
        .map(|index| {
            let (shared, tell) = (shared.clone(), tell.clone());
            thread::spawn(move || {
                let mut worker = Worker::new(index)?;
                shared.tids[index].store(worker.thread.tid, Ordering::Release);
                tell.send(worker.thread)?;
                worker.work(&shared)
            })
        })
        .collect();
    drop(tell);
    let mut identities: Vec<_> = told.iter().take(shared.tids.len()).collect();
    ensure!(
        identities.len() == shared.tids.len(),
        "not every thread could start: is the limit of open files too low?"
    );
    identities.sort_by_key(|thread| thread.index);
    Ok((threads, identities))
}

/// Until all threads wait for the nth time.
fn wait_for_threads(shared: &Shared, nth: usize) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !all_wait(shared, nth) {
        ensure!(Instant::now() < deadline, "threads do not come to wait");
        sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn all_wait(shared: &Shared, nth: usize) -> bool {
    shared.waiting.load(Ordering::Acquire) >= nth * shared.tids.len()
}

/// Checks events until the threads are done, and none is left.
fn record(
    config: &Config,
    shared: &Shared,
    probe: &mut Active,
    verifier: &mut Verifier,
) -> anyhow::Result<()> {
    let start = Instant::now();
    let end = start + Duration::from_secs(config.seconds);
    let mut told = start;
    while !all_wait(shared, 2) {
        if take(probe, verifier) == 0 {
            sleep(Duration::from_millis(1));
        }
        let now = Instant::now();
        shared.stop.store(now >= end, Ordering::Release);
        ensure!(now < end + PATIENCE, "threads do not end");
        if now - told >= TELL {
            told = now;
            report::progress(now - start, probe.probe(), verifier);
        }
    }
    probe.close_gate();
    let deadline = Instant::now() + PATIENCE;
    while !probe.is_drained() {
        ensure!(Instant::now() < deadline, "events stay in the rings");
        take(probe, verifier);
    }
    Ok(())
}

/// Checks the events that are there, up to a number that leaves time for the clock: how many.
fn take(probe: &mut Active, verifier: &mut Verifier) -> usize {
    const AT_ONCE: usize = 4096;
    for took in 0..AT_ONCE {
        let Some(event) = probe.next_event() else { return took };
        verifier.take(&event);
    }
    AT_ONCE
}

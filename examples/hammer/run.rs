//! One run: threads, recorder, results.

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
use scapd::{
    choice::Choice,
    probe::{Active, Attach, Opened, ProbeOptions, TargetState},
};

use crate::{
    plan::{CALLS, Call, Identity, Mix},
    report::{self, Wanted},
    signals,
    verify::Verifier,
    worker::{Made, Shared, Worker},
};

/// Recorded besides the calls: their programs interrupt those of calls.
const TRACEPOINTS: &str = "sched_switch,signal_deliver,page_fault_user,page_fault_kernel";
/// Interval of the progress lines.
const TELL: Duration = Duration::from_secs(60);
/// Maximum wait for threads to end and for the last events.
const PATIENCE: Duration = Duration::from_secs(60);
/// Maximum number of threads: a path has three digits for one.
const MOST_THREADS: u64 = 999;

/// The settings of a run.
#[derive(Debug, Clone)]
pub struct Config {
    pub threads: u64,
    /// Maximum number of calls per thread.
    pub calls: u64,
    /// Maximum duration of the load, in seconds.
    pub seconds: u64,
    /// Maximum number of calls per second, of all threads together.
    pub rate: Option<u64>,
    pub attach: Attach,
    /// Size of each CPU's ring in bytes.
    pub ring_size: u64,
    pub wanted: Wanted,
}

/// Runs the threads, records them, checks the events and prints the results.
///
/// # Errors
/// If a check fails.
pub fn run(config: &Config) -> anyhow::Result<()> {
    ensure!(
        (1..=MOST_THREADS).contains(&config.threads),
        "--threads must be 1 to {MOST_THREADS}, not {}",
        config.threads
    );
    let calls: [_; CALLS.len()] = std::array::from_fn(Call::of);
    let options = ProbeOptions {
        attach: config.attach,
        ring_size: config.ring_size,
        targets: 4096,
        tracepoints: parse_tracepoints(TRACEPOINTS)?,
        ..ProbeOptions::default()
    };
    // Memory is unreadable for a moment while the kernel moves its page into a huge one.
    rustix::thread::disable_transparent_huge_pages(true)?;
    let selected: Vec<_> = calls.iter().flatten().map(|call| call.syscall).collect();
    let mut probe = Opened::new(&options)?.load(&selected)?.attach()?.start();
    // arm64 has no page-fault tracepoints.
    let mut refused = probe.probe().refused().iter().map(|refused| refused.program.as_str());
    let refused = refused.find(|program| !TRACEPOINTS.contains(program));
    ensure!(refused.is_none(), "the kernel refuses {refused:?}");
    println!("attached by {}", probe.probe().attach_style().name());

    signals::block(true);
    signals::install()?;
    let shared = Arc::new(shared(config, calls));
    let (threads, identities) = start_threads(&shared)?;
    // Only this thread, so that the recorder keeps up.
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
        .map(|thread| thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?)
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

/// Starts the threads, which then wait for `go`.
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
        "not every thread started: raise the limit of open files (ulimit -n)"
    );
    identities.sort_by_key(|thread| thread.index);
    Ok((threads, identities))
}

/// Waits until all threads wait for the nth time.
fn wait_for_threads(shared: &Shared, nth: usize) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !all_wait(shared, nth) {
        ensure!(Instant::now() < deadline, "the threads did not start to wait in time");
        sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn all_wait(shared: &Shared, nth: usize) -> bool {
    shared.waiting.load(Ordering::Acquire) >= nth * shared.tids.len()
}

/// Checks events until the threads are done and the rings empty.
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
        ensure!(now < end + PATIENCE, "the threads did not end in time");
        if now - told >= TELL {
            told = now;
            report::progress(now - start, probe.probe(), verifier);
        }
    }
    probe.close_gate();
    let deadline = Instant::now() + PATIENCE;
    while !probe.is_drained() {
        ensure!(Instant::now() < deadline, "the rings do not drain");
        take(probe, verifier);
    }
    Ok(())
}

/// Checks the available events, up to a limit so that the caller can look at the clock. Returns how many.
fn take(probe: &mut Active, verifier: &mut Verifier) -> usize {
    const AT_ONCE: usize = 4096;
    for took in 0..AT_ONCE {
        let Some(event) = probe.next_event() else { return took };
        verifier.take(&event);
    }
    AT_ONCE
}

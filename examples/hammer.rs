//! Threads that do nothing but system calls, recorded at the same time: is every call captured or accounted for, and
//! is every event what its thread did?
//!
//! Run as root: `hammer [--threads N] [--calls N] [--attach HOW] [--ring-size BYTES] [--expect-skips]`

use std::{
    collections::HashMap,
    ffi::CString,
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use clap::Parser;
use rustix::{
    process::chdir,
    thread::{disable_transparent_huge_pages, gettid},
};
use scapd::{
    events::{Syscall, event_by_program},
    probe::{Active, Attach, Opened, Options, TargetState},
    scap::{EventView, Value},
};

#[derive(Parser)]
struct Arguments {
    #[arg(long, default_value_t = 6)]
    threads: usize,
    /// Calls of each thread
    #[arg(long, default_value_t = 50_000)]
    calls: u64,
    #[arg(long, default_value = "auto")]
    attach: String,
    #[arg(long, default_value_t = 8 << 20)]
    ring_size: u64,
    /// Programs must be seen to be skipped by the kernel: a test that this test tests something
    #[arg(long)]
    expect_skips: bool,
}

/// What was captured.
#[derive(Default)]
struct Captured {
    enter: u64,
    exit: u64,
    malformed: u64,
    /// What the first malformed event was.
    example: Option<String>,
    out_of_order: u64,
    last: u64,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    // A path cannot be read in the moment in which the kernel moves its page into a huge one.
    disable_transparent_huge_pages(true)?;
    // It exists on every architecture, and has a path.
    let call = Syscall::by_name("chdir").context("no chdir in the table")?;
    let options = Options {
        attach: arguments.attach.parse::<Attach>().map_err(anyhow::Error::msg)?,
        ring_size: arguments.ring_size,
        targets: 1024,
        ..Options::default()
    };
    let mut probe = Opened::new(&options)?.load(&[call])?.attach()?.start()?;

    let ready = Arc::new(Barrier::new(arguments.threads + 1));
    let go = Arc::new(AtomicBool::new(false));
    let (tell, told) = std::sync::mpsc::channel();
    let threads: Vec<_> = (0..arguments.threads)
        .map(|_| {
            let (ready, go, tell, calls) = (ready.clone(), go.clone(), tell.clone(), arguments.calls);
            thread::spawn(move || hammer(&ready, &go, &tell, calls))
        })
        .collect();
    let mut paths = HashMap::new();
    for _ in 0..arguments.threads {
        let (tid, path): (u32, CString) = told.recv()?;
        probe.probe().control()?.add_target(tid, TargetState::Active)?;
        paths.insert(u64::from(tid), path);
    }
    ready.wait();
    go.store(true, Ordering::Release);

    let mut captured = Captured::default();
    while threads.iter().any(|thread| !thread.is_finished()) {
        if !take(&mut probe, &paths, &mut captured)? {
            thread::sleep(Duration::from_millis(1));
        }
    }
    probe.close_gate()?;
    let deadline = Instant::now() + Duration::from_secs(10);
    while !probe.is_drained() && Instant::now() < deadline {
        take(&mut probe, &paths, &mut captured)?;
    }
    report(&arguments, &probe, &captured)
}

/// One thread: a path of its own, that tells events of threads apart, and long enough to take a while to be read.
fn hammer(ready: &Barrier, go: &AtomicBool, tell: &std::sync::mpsc::Sender<(u32, CString)>, calls: u64) {
    let tid = gettid().as_raw_nonzero().get() as u32;
    let path = format!("/{tid}/{}", "x".repeat(100 + tid as usize % 100));
    let path = CString::new(path).unwrap_or_default();
    let _ = tell.send((tid, path.clone()));
    ready.wait();
    while !go.load(Ordering::Acquire) {
        std::hint::spin_loop();
    }
    for _ in 0..calls {
        let _ = chdir(&path);
    }
}

fn take(probe: &mut Active, paths: &HashMap<u64, CString>, captured: &mut Captured) -> anyhow::Result<bool> {
    let mut took = false;
    while let Some(event) = probe.next_event() {
        took = true;
        let Ok(event) = EventView::parse(event.bytes, false) else {
            captured.malformed += 1;
            continue;
        };
        captured.out_of_order += u64::from(event.ts() < captured.last);
        captured.last = event.ts();
        if event.ty().is_enter() {
            captured.enter += 1;
            continue;
        }
        captured.exit += 1;
        let own = paths.get(&event.tid()).map(|path| path.as_bytes());
        match event.value("path") {
            Some(Ok(name)) if own.is_some_and(|own| name.value == Value::Text(own)) => {}
            other => {
                captured.malformed += 1;
                captured.example.get_or_insert_with(|| format!("thread {}: {other:?}", event.tid()));
            }
        }
    }
    Ok(took)
}

fn report(arguments: &Arguments, probe: &Active, captured: &Captured) -> anyhow::Result<()> {
    let called = arguments.threads as u64 * arguments.calls;
    let totals = probe.probe().totals();
    let of = |program: &str| {
        let event = event_by_program(program);
        totals
            .events
            .iter()
            .find(|(ty, _)| event.is_some_and(|e| e.ty == *ty))
            .map(|(_, c)| *c)
            .unwrap_or_default()
    };
    println!("attached by {}", probe.probe().attach_style().name());
    println!("{called} calls, {} runs skipped by the kernel", totals.skipped);
    for (way, program, taken) in [("enter", "chdir_e", captured.enter), ("exit", "chdir_x", captured.exit)] {
        let counters = of(program);
        println!(
            "{way}: {} seen, {} written, {} lost with the ring full, {} for want of scratch; {taken} taken",
            counters.seen,
            counters.written(),
            counters.lost_ring_full,
            counters.lost_no_scratch
        );
        ensure!(taken == counters.written(), "{way}: not every event that was written was taken");
        let missing = called - counters.seen;
        if arguments.expect_skips {
            ensure!(missing > 0, "{way}: no run was skipped");
            ensure!(missing <= totals.skipped, "{way}: {missing} calls are missing, and not accounted for");
        } else {
            ensure!(missing == 0, "{way}: {missing} calls are missing");
        }
    }
    println!("{} malformed, {} out of order", captured.malformed, captured.out_of_order);
    let example = captured.example.as_deref().unwrap_or("no parameters");
    ensure!(captured.malformed == 0, "events that are not what their threads did; the first: {example}");
    ensure!(captured.out_of_order == 0 || probe.probe().stalled() > 0, "events out of order");
    Ok(())
}

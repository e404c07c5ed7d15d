//! Runs the hammer (examples/hammer) for a few seconds on this kernel: threads that move between CPUs and interrupt
//! each other, recorded with large and with small rings. Every event is what its thread did, events come in time order
//! or are marked as late, the enter and exit events of each thread alternate, and the ledger matches the calls. Needs
//! root.

#![allow(clippy::unwrap_used)]

#[path = "../examples/hammer/memory.rs"]
mod memory;
#[path = "../examples/hammer/plan.rs"]
mod plan;
#[path = "../examples/hammer/report.rs"]
mod report;
#[path = "../examples/hammer/run.rs"]
mod run;
#[path = "../examples/hammer/signals.rs"]
mod signals;
#[path = "../examples/hammer/verify.rs"]
mod verify;
#[path = "../examples/hammer/worker.rs"]
mod worker;

use report::Wanted;
use run::{Config, run};
use scapd::probe::Attach;

/// The runs take turns: they share the timer that sends signals, and each keeps all CPUs busy.
#[test]
fn every_event_is_what_its_thread_did() {
    let config = |attach, ring_size| Config {
        threads: 8,
        calls: plan::MOST_CALLS.min(20_000),
        seconds: 20,
        rate: None,
        attach,
        ring_size,
        wanted: Wanted::default(),
    };
    for (attach, ring_size) in
        [(Attach::Btf, 16 << 20), (Attach::Tracepoint, 1 << 20), (Attach::Btf, 1 << 16)]
    {
        run(&config(attach, ring_size)).unwrap();
    }
}

//! Threads that make only system calls while a recorder runs. Checks that every call is captured or accounted for,
//! and that every event is what its thread did.
//!
//! The calls have long paths, some of them in pages that are not present; paths, descriptors, numbers and data
//! encode the thread and the number of its call. Threads interrupt each other by signals and move between CPUs.
//! `plan.rs` defines a thread's nth call, `worker.rs` makes it, `verify.rs` checks its events, `report.rs` checks
//! the counts.
//!
//! Run as root; `hammer --help` lists the arguments.

mod memory;
mod plan;
mod report;
mod run;
mod signals;
mod verify;
mod worker;

use clap::Parser;
use scapd::probe::Attach;

#[derive(Parser)]
struct Arguments {
    #[arg(long, default_value_t = 16)]
    threads: u64,
    /// Maximum number of calls per thread
    #[arg(long, default_value_t = plan::MOST_CALLS)]
    calls: u64,
    /// Maximum duration of the load
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Maximum number of calls per second, of all threads together
    #[arg(long)]
    rate: Option<u64>,
    #[arg(long, default_value = "auto")]
    attach: String,
    /// Size of each CPU's ring in bytes
    #[arg(long, default_value_t = 8 << 20)]
    ring_size: u64,
    /// Fail unless the kernel skipped program runs: shows that this test detects skips
    #[arg(long)]
    expect_skips: bool,
    /// Fail if an event is lost
    #[arg(long)]
    expect_all: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    run::run(&run::Config {
        threads: arguments.threads,
        calls: arguments.calls,
        seconds: arguments.seconds,
        rate: arguments.rate,
        attach: arguments.attach.parse::<Attach>().map_err(anyhow::Error::msg)?,
        ring_size: arguments.ring_size,
        wanted: report::Wanted { skips: arguments.expect_skips, all: arguments.expect_all },
    })
}

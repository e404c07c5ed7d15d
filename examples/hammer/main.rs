//! Threads that do nothing but system calls, recorded at the same time: is every call captured or accounted for, and
//! is every event what its thread did?
//!
//! The calls have long paths, some of them in pages that are not there, descriptors, numbers and data that tell what
//! thread made them and as its how-manieth call; threads interrupt each other by signals, and move from CPU to CPU.
//! `plan.rs` says what a thread does as its nth call, `worker.rs` does it, `verify.rs` checks the events against it,
//! `report.rs` the numbers.
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
    /// Calls of each thread, at most
    #[arg(long, default_value_t = plan::MOST_CALLS)]
    calls: u64,
    /// For how long calls are made, at most
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Calls of all threads in a second, at most
    #[arg(long)]
    rate: Option<u64>,
    #[arg(long, default_value = "auto")]
    attach: String,
    /// Bytes of each CPU's ring
    #[arg(long, default_value_t = 8 << 20)]
    ring_size: u64,
    /// Programs must be seen to be skipped by the kernel: a test that this test tests something
    #[arg(long)]
    expect_skips: bool,
    /// No event may be lost
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

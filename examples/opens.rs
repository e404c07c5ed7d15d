//! Prints the files opened on this machine for three seconds: the library in a few lines.
//!
//! Run as root: `cargo build --example opens && sudo target/debug/examples/opens`

use std::time::{Duration, Instant};

use scap::{
    events::Syscall,
    format::{EventView, Value},
    select::TracepointSet,
};
use scapd::probe::{Directions, Opened, ProbeOptions};

fn main() -> anyhow::Result<()> {
    let calls: Vec<_> = ["open", "openat", "openat2"].into_iter().filter_map(Syscall::by_name).collect();
    let options = ProbeOptions {
        directions: Directions { enter: false, exit: true },
        tracepoints: TracepointSet::none(),
        ..ProbeOptions::default()
    };
    let mut probe = Opened::new(&options)?.load(&calls)?.attach()?.start();

    let end = Instant::now() + Duration::from_secs(3);
    while Instant::now() < end {
        let Some(event) = probe.next_within(end.saturating_duration_since(Instant::now())) else { break };
        let event = EventView::parse(event.bytes, false)?;
        if let Some(Ok(Value::Text(path))) = event.value("name").map(|name| name.map(|n| n.value)) {
            println!("{:>8}  {}", event.tid(), String::from_utf8_lossy(path));
        }
    }
    let lost = probe.probe().totals().lost();
    eprintln!("{lost} events lost");
    Ok(())
}

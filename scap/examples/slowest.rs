//! Prints the calls that took longest: `cargo run --example slowest -- FILE [COUNT]`.

use std::{cmp::Reverse, collections::BinaryHeap, env, error::Error, fs::File, io::BufReader};

use scap::{
    format::{Joiner, Keep, Reader},
    model::Machine,
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let path = args.next().ok_or("usage: slowest FILE [COUNT]")?;
    let count: usize = args.next().map_or(Ok(10), |count| count.parse())?;
    let mut reader = Reader::new(BufReader::new(File::open(path)?))?;
    let (mut machine, mut joiner, mut section) = (Machine::default(), Joiner::default(), 0);
    let mut slowest = BinaryHeap::new();
    while let Some(captured) = reader.next_event()? {
        if captured.section != section {
            section = captured.section;
            (machine, joiner) = (Machine::of_state(captured.state, Keep::Names), Joiner::default());
        }
        let event = joiner.join(captured.event);
        machine.apply(&event);
        if let (Some(ns), Some(row)) = (machine.latency(), event.info()) {
            let comm = machine.comm(event.tid()).unwrap_or(b"<NA>").escape_ascii().to_string();
            slowest.push(Reverse((ns, event.tid(), comm, row.name)));
            if slowest.len() > count {
                slowest.pop();
            }
        }
    }
    for Reverse((ns, tid, comm, name)) in slowest.into_sorted_vec() {
        println!("{:>12.6} s  {comm} ({tid})  {name}", ns as f64 / 1e9);
    }
    Ok(())
}

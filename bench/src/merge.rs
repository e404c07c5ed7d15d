//! The cost of the merge for an event, by the number of rings. It measures only the merge, over simulated rings in
//! memory.
//!
//! The events of all epochs are made beforehand, so their memory has been touched. In each epoch the rings get their
//! next events, and the merge returns them. Consecutive time stamps are in random rings.

use std::{
    cell::Cell,
    fmt::Write,
    hint::black_box,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::ensure;
use comfy_table::{CellAlignment, Table, presets::ASCII_MARKDOWN};
use scapd::ring::merge::{Merge, ProgramProgress, Record, Ring, SLACK};

use crate::{machine::Machine, report::time, stats::Quartiles};

/// The measured numbers of rings.
const RINGS: [usize; 4] = [2, 8, 64, 512];
/// The size of a record: the CPU (u16), then the event, which starts with its time stamp (u64).
const RECORD: usize = 74;
/// The position of the time stamp in a record.
const TIME_STAMP: std::ops::Range<usize> = 2..10;
/// The duration of an epoch, in ns.
const EPOCH: u64 = 1_000_000;

/// Which rings have events.
#[derive(Debug, Clone, Copy)]
enum Load {
    /// All rings, in each epoch.
    All,
    /// Only the first ring; the others are idle.
    One,
}

impl Load {
    /// Returns the number of events of a ring in an epoch.
    fn events(self, ring: usize) -> u64 {
        match (self, ring) {
            (Load::All, _) => 64,
            (Load::One, 0) => 1024,
            (Load::One, _) => 0,
        }
    }
}

/// The current epoch, shared by the rings and the merge's clock.
#[derive(Debug, Clone, Default)]
struct Epoch(Rc<Cell<u64>>);

/// A ring; a position is the number of a record.
#[derive(Debug)]
struct Simulated {
    records: Vec<u8>,
    in_epoch: u64,
    epoch: Epoch,
    consumed: u64,
}

impl Ring for Simulated {
    fn producer_pos(&self) -> u64 {
        self.in_epoch * self.epoch.0.get()
    }

    fn consumer_pos(&self) -> u64 {
        self.consumed
    }

    fn record(&self, pos: u64) -> Record<'_> {
        let begin = pos as usize * RECORD;
        match self.records.get(begin..begin + RECORD) {
            Some(payload) => Record::Committed { payload, next: pos + 1 },
            None => Record::Busy,
        }
    }

    fn release(&mut self, pos: u64) {
        self.consumed = pos;
    }
}

/// Programs that never run, on as many CPUs as there are rings.
struct Programs {
    epoch: Epoch,
    cpus: usize,
}

impl ProgramProgress for Programs {
    fn now(&self) -> u64 {
        (self.epoch.0.get() + 1) * EPOCH + SLACK
    }

    /// Returns zero: no program is slow here.
    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }

    fn cpus(&self) -> usize {
        self.cpus
    }

    fn is_idle(&self, _cpu: usize) -> bool {
        true
    }
}

/// Returns a ring with the records of all epochs.
fn simulate(ring: usize, load: Load, epochs: u64, epoch: &Epoch) -> Simulated {
    let in_epoch = load.events(ring);
    let mut records = vec![0; (in_epoch * epochs) as usize * RECORD];
    // Not zero, and different for each ring.
    let mut random = (ring as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for (number, record) in records.chunks_exact_mut(RECORD).enumerate() {
        let number = number as u64;
        // Each event has its own part of the epoch, so the ring is in order for any random number.
        let part = EPOCH / in_epoch.max(1);
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let ts = EPOCH * (number / in_epoch + 1) + part * (number % in_epoch) + random % part;
        record[TIME_STAMP].copy_from_slice(&ts.to_ne_bytes());
    }
    Simulated { records, in_epoch, epoch: epoch.clone(), consumed: 0 }
}

/// ns for an event.
fn measure(rings: usize, load: Load, events: u64) -> anyhow::Result<f64> {
    let in_epoch: u64 = (0..rings).map(|ring| load.events(ring)).sum();
    let epochs = events.div_ceil(in_epoch);
    let epoch = Epoch::default();
    let programs = Programs { epoch: epoch.clone(), cpus: rings };
    let simulated = (0..rings).map(|ring| simulate(ring, load, epochs, &epoch)).collect();
    let mut merge = Merge::new(simulated);
    let (mut taken, mut elapsed) = (0, Duration::ZERO);
    for number in 1..=epochs {
        epoch.0.set(number);
        let begin = Instant::now();
        while let Some(event) = merge.next(&programs) {
            black_box(event);
            taken += 1;
        }
        elapsed += begin.elapsed();
    }
    ensure!(taken == in_epoch * epochs, "{taken} of {} events came out of the merge", in_epoch * epochs);
    Ok(elapsed.as_nanos() as f64 / taken as f64)
}

/// Measures all numbers of rings in turn, and returns a table in Markdown.
///
/// # Errors
/// If the merge does not return all events.
pub fn run(rounds: usize, events: u64) -> anyhow::Result<String> {
    let mut cases: Vec<_> = RINGS
        .iter()
        .flat_map(|rings| [Load::All, Load::One].map(|load| (*rings, load, Vec::new())))
        .collect();
    for round in 0..=rounds {
        for (rings, load, samples) in &mut cases {
            let ns = measure(*rings, *load, events)?;
            // The first round warms up.
            if round > 0 {
                samples.push(ns);
            }
        }
    }
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(["rings", "all busy", "quartiles", "one busy, the others idle", "quartiles"]);
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for of_rings in cases.chunks_exact(2) {
        let mut row = vec![of_rings[0].0.to_string()];
        for (_, _, samples) in of_rings {
            let times = Quartiles::of(samples.iter().copied());
            row.extend(
                times
                    .map(|t| [time(t.median), format!("{} … {}", time(t.q1), time(t.q3))])
                    .into_iter()
                    .flatten(),
            );
        }
        table.add_row(row);
    }
    let machine = Machine::this();
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write!(
        text,
        "{}, {}, Linux {}. Time of the merge for an event of {} bytes: median and quartiles of {rounds} rounds of {events} \
         events, in which the numbers of rings take turns, after a discarded first round. If all rings are busy, each \
         gets {} events in an epoch; a single busy ring gets {}.\n\n{table}\n",
        jiff::Timestamp::now().strftime("%Y-%m-%d"),
        machine.cpu,
        machine.kernel,
        RECORD - TIME_STAMP.start,
        Load::All.events(0),
        Load::One.events(0),
    );
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simulated_rings_are_in_order_and_interleave() {
        let epoch = Epoch::default();
        let rings: Vec<_> = (0..8).map(|ring| simulate(ring, Load::All, 3, &epoch)).collect();
        let stamps = |ring: &Simulated| -> Vec<u64> {
            let records = ring.records.chunks_exact(RECORD);
            records.map(|r| u64::from_ne_bytes(r[TIME_STAMP].try_into().unwrap())).collect()
        };
        let mut all = Vec::new();
        for (index, ring) in rings.iter().enumerate() {
            let stamps = stamps(ring);
            assert_eq!(stamps.len(), 3 * 64);
            assert!(stamps.is_sorted());
            all.extend(stamps.into_iter().map(|ts| (ts, index)));
        }
        all.sort_unstable();
        let changes = all.windows(2).filter(|pair| pair[0].1 != pair[1].1).count();
        assert!(changes > all.len() / 2, "{changes} changes of ring");
    }

    #[test]
    fn events_come_out_in_order() {
        let epoch = Epoch::default();
        let rings = (0..4).map(|ring| simulate(ring, Load::All, 2, &epoch)).collect();
        let programs = Programs { epoch: epoch.clone(), cpus: 4 };
        let mut merge = Merge::new(rings);
        let mut stamps = Vec::new();
        for number in 1..=2 {
            epoch.0.set(number);
            while let Some(event) = merge.next(&programs) {
                stamps.push(u64::from_ne_bytes(event.bytes[..8].try_into().unwrap()));
            }
        }
        assert_eq!(stamps.len(), 2 * 4 * 64);
        assert!(stamps.is_sorted());
    }

    #[test]
    fn every_case_gives_all_events_out() {
        for load in [Load::All, Load::One] {
            assert!(measure(8, load, 5000).unwrap() > 0.0);
        }
    }
}

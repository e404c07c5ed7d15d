//! Loads the BPF programs, attaches them, switches them on, and takes their events.
//!
//! A probe goes through phases, and each phase is a type: [`Opened`] → [`Loaded`] → [`Attached`] ⇄ [`Active`]. The
//! methods of a type are the operations possible in its phase.
//!
//! ```no_run
//! use std::time::Duration;
//! use scap::events::Syscall;
//! use scapd::probe::{Opened, ProbeOptions};
//!
//! let calls: Vec<_> = Syscall::by_name("openat").into_iter().collect();
//! let mut probe = Opened::new(&ProbeOptions::default())?.load(&calls)?.attach()?.start();
//! // Until no event comes for a second.
//! while let Some(event) = probe.next_within(Duration::from_secs(1)) {
//!     println!("{} bytes from CPU {}", event.bytes.len(), event.cpu);
//! }
//! # Ok::<(), scapd::probe::ProbeError>(())
//! ```

mod alarm;
mod attach;
mod calls;
mod control;
mod counters;
mod cpus;
mod error;
mod families;
mod floor;
mod functions;
mod heads;
mod io_uring;
mod load;
mod messages;
mod object;
mod parts;
mod phases;
mod programs;
mod raw;
mod refused;
mod rings;
mod routes;
mod rules;
mod settings;
mod sieve;
mod slots;
mod style;
mod tasks;
#[cfg(test)]
mod tests;
mod texts;
mod tracefs;

pub use attach::{Evidence, Preemption};
pub use control::{Control, Directions, TargetState};
pub use counters::{
    COUNTED, Counters, CpuLosses, ProbeTotals, ProgramCost, ProgramRuns, RunStatistics, counted,
};
pub use error::ProbeError;
pub use floor::{Floor, Step};
pub use load::calls_without_function;
pub use phases::{Active, Attached, Loaded, Opened, ProbeOptions};
pub use raw::RawEvent;
pub use refused::Refused;
pub use rings::RingLayout;
pub use rules::{DynamicSnaplen, Ports, RuleError, SampleRatio};
pub use sieve::KernelFilter;
pub use style::Attach;
pub use tasks::{Ids, TaskIds, id_in_proc};

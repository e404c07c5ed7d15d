//! `scapd bench`: measures what recording costs on this machine.

mod kernel;
mod programs;
mod stats;

pub use kernel::{KernelArgs, kernel};

/// The size of the ring in bytes. An exit event of access takes 96, an enter event 56.
const RING: u64 = 8 << 20;

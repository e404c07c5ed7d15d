//! `scapd bench`: measures what recording costs on this machine.

mod kernel;
mod programs;
mod stats;

pub use kernel::{KernelArgs, kernel};

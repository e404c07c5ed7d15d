//! `scapd bench`: what recording costs on this machine.

mod kernel;
mod stats;

pub use kernel::{KernelArgs, kernel};

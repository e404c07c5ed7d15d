//! From the kernel's rings to one stream in time order.
//!
//! [`buffer`] maps a BPF ring buffer, so that records are looked at in place; [`merge`] puts the records of all rings
//! in the order of their time stamps.

pub mod buffer;
pub mod merge;

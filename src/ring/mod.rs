//! Merges the kernel's rings into one stream in time order.
//!
//! `buffer` maps a BPF ring buffer, so that records are read in place. [`merge`] returns the records of all rings in
//! the order of their time stamps.
//!
//! `buffer` is private: only a position between the consumer's and the producer's may be read, and only the merge knows
//! at which positions records begin.
//!
//! ```compile_fail,E0603
//! use scapd::ring::buffer::RingBuffer;
//! ```

pub(crate) mod buffer;
pub mod merge;

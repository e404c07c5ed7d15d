//! From the kernel's rings to one stream in time order.
//!
//! `buffer` maps a BPF ring buffer, so that records are looked at in place; [`merge`] puts the records of all rings in the
//! order of their time stamps.
//!
//! `buffer` is private: only a position between the consumer's and the producer's may be looked at, and the merge knows
//! which ones have a record.
//!
//! ```compile_fail,E0603
//! use scapd::ring::buffer::RingBuffer;
//! ```

pub(crate) mod buffer;
pub mod merge;

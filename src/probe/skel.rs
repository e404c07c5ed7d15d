//! The generated skeleton of bpf/scapd.bpf.c.

#![allow(
    clippy::undocumented_unsafe_blocks,
    clippy::unwrap_used,
    clippy::expect_used,
    unsafe_op_in_unsafe_fn
)]

include!(concat!(env!("OUT_DIR"), "/scapd.skel.rs"));

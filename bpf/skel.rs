//! The generated skeleton of scapd.bpf.c.
//!
//! A crate of its own, so that it can be compiled without optimization (see `[profile.release]`): the compiler works for
//! minutes on the generated functions, of which each has a step for each of hundreds of programs, and which run once.

#![allow(missing_docs, clippy::all, unsafe_op_in_unsafe_fn)]

include!(concat!(env!("OUT_DIR"), "/scapd.skel.rs"));

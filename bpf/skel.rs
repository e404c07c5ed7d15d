//! The generated skeleton of scapd.bpf.c.
//!
//! A separate crate, so that only changes of BPF programs recompile it. `Skel::attach` returns an error: see
//! build.rs.

#![allow(missing_docs, clippy::all, unsafe_op_in_unsafe_fn)]

include!(concat!(env!("OUT_DIR"), "/scapd.skel.rs"));

#[cfg(test)]
mod tests {
    /// Otherwise a release build of any dependent crate takes minutes.
    #[test]
    fn the_function_that_attaches_all_programs_is_left_out() {
        assert!(!include_str!(concat!(env!("OUT_DIR"), "/scapd.skel.rs")).contains("self.links ="));
    }
}

//! The generated skeleton of scapd.bpf.c.
//!
//! A crate of its own, so that it is only compiled when a BPF program changes. `Skel::attach` returns an error: see build.rs.

#![allow(missing_docs, clippy::all, unsafe_op_in_unsafe_fn)]

include!(concat!(env!("OUT_DIR"), "/scapd.skel.rs"));

#[cfg(test)]
mod tests {
    /// Without this, a release build of whatever depends on this crate takes minutes.
    #[test]
    fn the_function_that_attaches_all_programs_is_left_out() {
        assert!(!include_str!(concat!(env!("OUT_DIR"), "/scapd.skel.rs")).contains("self.links ="));
    }
}

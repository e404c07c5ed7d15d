//! See src/lib.rs.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| scapd_fuzz::formatter(input));

//! How much work the programs are for the kernel's verifier.

use std::{collections::HashSet, fs};

use libbpf_rs::query::ProgInfoIter;
use scap::events::SYSCALLS;

use crate::harness::{Test, not_testable};

/// The verifier follows at most a million instructions of a program. Kernels differ in how many they need: a quarter of that must
/// do on each. A recording starts the sooner, the fewer they are.
const MOST: u32 = 250_000;

pub fn has_room(t: &mut Test) {
    t.count_apart();
    t.select(&SYSCALLS.iter().map(|call| call.name).collect::<Vec<_>>());
    t.change(|_| ());
    let own = own_programs();
    let mut programs: Vec<_> = ProgInfoIter::default().filter(|program| own.contains(&program.id)).collect();
    programs.sort_by_key(|program| u32::MAX - program.verified_insns);
    assert!(programs.len() > 200, "{} programs are loaded", programs.len());
    if programs[0].verified_insns == 0 {
        not_testable("this kernel does not tell how many instructions the verifier has followed");
    }
    let largest: Vec<_> = programs
        .iter()
        .take_while(|program| program.verified_insns > MOST)
        .map(|program| (&program.name, program.verified_insns))
        .collect();
    assert!(largest.is_empty(), "instructions that the verifier follows: {largest:?}");
}

/// Returns the ids of the programs that this process has loaded.
fn own_programs() -> HashSet<u32> {
    let files = fs::read_dir("/proc/self/fdinfo").unwrap().flatten();
    files
        .filter_map(|file| fs::read_to_string(file.path()).ok())
        .filter_map(|text| text.lines().find_map(|line| line.strip_prefix("prog_id:")?.trim().parse().ok()))
        .collect()
}

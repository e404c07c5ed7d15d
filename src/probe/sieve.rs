//! The part of a filter that the programs decide: `struct sc_sieve` of include/capture.h.

use std::sync::atomic::Ordering;

use scapd_bpf::types::{self, sc_subject, sc_test};

use super::{
    Control,
    settings::{ProgramSettings, array_len},
    slots::wanted_slots,
};
use scap::{
    filter::early::{Clause, Condition, MAX_TESTS, Subject, Test},
    select::Selection,
};

const TESTS: usize = array_len(|sieve: &types::sc_sieve| &sieve.tests);
const _: () = assert!(TESTS >= MAX_TESTS);

/// What the programs decide of a filter. The default takes all events.
#[derive(Debug, Clone, Default)]
pub struct KernelFilter {
    /// An event is left out if all tests of one of them are false.
    pub clauses: Vec<Clause>,
    /// The events that are recorded nevertheless; returns only if they change what a reader knows of the machine.
    pub kept: Selection,
}

impl Control<'_> {
    /// Changes what the programs decide of a filter. They take at least what both filters take while it changes.
    pub fn set_filter(&self, filter: &KernelFilter) {
        let change = self.settings.sieve().load(Ordering::Acquire);
        if change == 0 && filter.clauses.is_empty() {
            return;
        }
        // 0 stands for no filter so far.
        let next = change.wrapping_add(1).max(1);
        self.settings.store_sieve(next as usize & 1, &encode(filter));
        self.settings.sieve().store(next, Ordering::Release);
    }
}

fn encode(filter: &KernelFilter) -> types::sc_sieve {
    let none = sc_test { value: [0; 2], mask: [0; 2], subject: sc_subject::SC_OF_TID, negated: 0, ends: 0 };
    let mut sieve =
        types::sc_sieve { count: 0, timed: 0, tests: [none; TESTS], keeps: [0; ProgramSettings::SLOTS] };
    let is_timed = |test: &Test| test.subject == Subject::Latency;
    sieve.timed = u32::from(filter.clauses.iter().flatten().any(is_timed));
    for clause in &filter.clauses {
        let tests = clause.iter().map(encode_test);
        // A clause without tests is false.
        let never = clause.is_empty().then_some(sc_test { value: [1, 0], ..none });
        for test in tests.chain(never) {
            if let Some(place) = sieve.tests.get_mut(sieve.count as usize) {
                *place = test;
                sieve.count += 1;
            }
        }
        if let Some(last) = sieve.tests[..sieve.count as usize].last_mut() {
            last.ends = 1;
        }
    }
    for (slot, events) in wanted_slots(&filter.kept) {
        sieve.keeps[slot] = events.bits();
    }
    sieve
}

fn encode_test(test: &Test) -> sc_test {
    let subject = match test.subject {
        Subject::Tid => sc_subject::SC_OF_TID,
        Subject::Pid => sc_subject::SC_OF_PID,
        Subject::Name => sc_subject::SC_OF_NAME,
        Subject::Uid => sc_subject::SC_OF_UID,
        Subject::Gid => sc_subject::SC_OF_GID,
        Subject::Result => sc_subject::SC_OF_RESULT,
        Subject::Latency => sc_subject::SC_OF_LATENCY,
    };
    let (value, mask) = match test.condition {
        Condition::Within(low, high) => ([low as u64, high as u64], [0; 2]),
        Condition::Starts(name, len) => {
            let counts = std::array::from_fn(|place| if place < len { u8::MAX } else { 0 });
            (words(name), words(counts))
        }
    };
    sc_test { value, mask, subject, negated: test.negated.into(), ends: 0 }
}

/// Returns bytes as the two words that they are in memory.
fn words(bytes: [u8; 16]) -> [u64; 2] {
    let whole = u128::from_le_bytes(bytes);
    [whole as u64, (whole >> 64) as u64]
}

#[cfg(test)]
mod tests {
    use super::*;
    use scap::{
        fields::Fields,
        filter::{Filter, Places},
    };

    fn sieve(text: &str) -> types::sc_sieve {
        let places = Places::of(&Filter::parse(text, &Fields).unwrap());
        encode(&KernelFilter { clauses: places.early().to_vec(), kept: places.kept(true) })
    }

    #[test]
    fn tests_are_in_order_and_the_last_of_a_clause_ends_it() {
        let sieve = sieve("proc.name in (cat, dd) and proc.pid != 7");
        let tests = &sieve.tests[..sieve.count as usize];
        let seen: Vec<_> = tests.iter().map(|t| (t.subject.0, t.negated, t.ends)).collect();
        let (pid, name) = (sc_subject::SC_OF_PID.0, sc_subject::SC_OF_NAME.0);
        assert_eq!(seen, [(pid, 1, 1), (name, 0, 0), (name, 0, 1)]);
        assert_eq!(tests[0].value, [7, 7]);
        assert_eq!(
            (tests[1].value, tests[1].mask),
            (words(*b"cat\0\0\0\0\0\0\0\0\0\0\0\0\0"), [0xffff_ffff, 0])
        );
    }

    #[test]
    fn a_clause_without_tests_is_one_that_is_false() {
        let sieve = sieve("proc.name = a-name-that-is-too-long");
        let test = sieve.tests[0];
        assert!(sieve.count == 1 && test.value[0] > test.value[1] && test.ends == 1 && test.negated == 0);
    }

    #[test]
    fn what_changes_the_state_is_kept() {
        let bits = |text: &str, call: &str| {
            let call = scap::events::Syscall::by_name(call).unwrap();
            sieve(text).keeps[super::super::slots::slots(call).next().unwrap()]
        };
        let (enter, exit) = (types::sc_wanted::SC_WANT_ENTER.0, types::sc_wanted::SC_WANT_EXIT.0);
        assert_eq!(bits("proc.name = x", "execve"), enter | exit);
        assert_eq!(bits("proc.name = x", "close"), exit);
        assert_eq!(bits("proc.name = x", "setpgid"), exit);
        assert_eq!(bits("proc.name = x", "getppid"), 0);
    }
}

//! The part of a filter that the programs decide: `struct sc_sieve` of include/capture.h.

use std::{mem::offset_of, sync::atomic::Ordering};

use libbpf_rs::{MapCore, MapFlags};
use scapd_bpf::types::{self, sc_ancestor, sc_end, sc_fact, sc_numbers, sc_test};

use super::{
    Control,
    settings::{ProgramSettings, array_len},
    slots::{slots, wanted_slots},
    texts,
};
use scap::{
    filter::{
        Verdict,
        arguments::Arguments,
        early::{Clause, Condition, MAX_ANCESTORS, MAX_ENDS, MAX_TESTS, Subject, Test},
        ends::{self, End},
    },
    select::Selection,
};

const TESTS: usize = array_len(|sieve: &types::sc_sieve| &sieve.tests);
const CLAUSES: usize = array_len(|sieve: &types::sc_sieve| &sieve.clauses);
const ANCESTORS: usize = array_len(|sieve: &types::sc_sieve| &sieve.ancestors);
const ENDS: usize = array_len(|sieve: &types::sc_sieve| &sieve.ends);
// A test of a result is two.
const _: () = assert!(TESTS >= 2 * MAX_TESTS && TESTS <= 64 && ANCESTORS >= MAX_ANCESTORS);
const _: () = assert!(ENDS >= MAX_ENDS);

/// No number.
const NONE: sc_numbers = sc_numbers { tid: 0, pid: 0, uid: 0, gid: 0, result: 0, low_result: 0, elapsed: 0 };

/// All bits of a number.
const ALL: u64 = u64::MAX;

/// A test that is false: no number is within its bounds.
const NEVER: sc_test = sc_test {
    least: 1,
    most: 0,
    numbers: NONE,
    name: [0; 2],
    counts: [0; 2],
    negated: 0,
    facts: sc_fact(0),
    lasts: 0,
};

/// What the programs decide of a filter. The default takes all events.
#[derive(Debug, Clone, Default)]
pub struct KernelFilter {
    /// An event is left out if all tests of one of them are false.
    pub clauses: Vec<Clause>,
    /// The events that are recorded nevertheless; returns only if they change what a reader knows of the machine.
    pub kept: Selection,
    /// What the arguments of calls decide.
    pub arguments: Arguments,
}

impl Control<'_> {
    /// Changes what the programs decide of a filter. They take at least what both filters take while it changes.
    pub fn set_filter(&self, filter: &KernelFilter) {
        let change = self.settings.sieve().load(Ordering::Acquire);
        if change == 0 && filter.clauses.is_empty() && filter.arguments.is_empty() {
            return;
        }
        // 0 stands for no filter so far.
        let next = change.wrapping_add(1).max(1);
        let mut sieve = encode(filter);
        if texts::write(self.texts, next as u8 & 1, &filter.arguments).is_ok() {
            texts::encode(&mut sieve, &filter.arguments);
        }
        self.settings.store_sieve(next as usize & 1, &sieve);
        self.settings.sieve().store(next, Ordering::Release);
    }

    /// Tells the programs which tests of the filter that they have now are false of a process. They leave out what it does
    /// for these as long as it is what it was at the verdict's time.
    pub fn set_verdict(&self, verdict: &Verdict) {
        let key = verdict.pid.to_ne_bytes();
        let Ok(Some(known)) = self.verdicts.lookup(&key, MapFlags::ANY) else { return };
        let Some(known) = judged(&known, verdict, self.settings.sieve().load(Ordering::Acquire)) else {
            return;
        };
        // If it fails, the programs have forgotten the process: then the recorder goes on to decide.
        let _ = self.verdicts.update(&key, &known, MapFlags::EXIST);
    }
}

/// The bytes of `struct sc_verdict`.
const VERDICT: usize = size_of::<types::sc_verdict>();

/// Returns what the programs know of a process with a verdict added; `None` if that is nothing new, or of an earlier time. A
/// program notes a change of the process before the first event after it, so an entry that is older than an event is of what
/// the process was at that event.
fn judged(known: &[u8], verdict: &Verdict, change: u32) -> Option<[u8; VERDICT]> {
    let mut known: [u8; VERDICT] = known.try_into().ok()?;
    let word = |at: usize| known.get(at..).and_then(<[u8]>::first_chunk).copied().map(u64::from_ne_bytes);
    let half = |at: usize| known.get(at..).and_then(<[u8]>::first_chunk).copied().map(u32::from_ne_bytes);
    let fails = offset_of!(types::sc_verdict, fails);
    let is_of_now = word(offset_of!(types::sc_verdict, seen))? <= verdict.at
        && half(offset_of!(types::sc_verdict, session))? == verdict.session
        && half(offset_of!(types::sc_verdict, change))? == change;
    if !is_of_now || word(fails)? == verdict.fails {
        return None;
    }
    known[fails..fails + size_of::<u64>()].copy_from_slice(&verdict.fails.to_ne_bytes());
    Some(known)
}

fn encode(filter: &KernelFilter) -> types::sc_sieve {
    let nobody = sc_ancestor { pid: 0, pids: 0, generation: 0, generations: 0, negated: 0 };
    let nowhere = sc_end { address: [0; 2], counts: [0; 2], port: 0, ports: 0 };
    let has =
        |subjects: &[Subject]| filter.clauses.iter().flatten().any(|test| subjects.contains(&test.subject));
    let mut sieve = types::sc_sieve {
        count: 0,
        clauses_count: 0,
        timed: has(&[Subject::Latency]).into(),
        has_names: has(&[Subject::Name]).into(),
        has_owners: has(&[Subject::Uid, Subject::Gid]).into(),
        has_verdicts: has(&[Subject::Process]).into(),
        tests: [NEVER; TESTS],
        clauses: [0; CLAUSES],
        has_ancestors: 0,
        ancestors: [nobody; ANCESTORS],
        has_ends: 0,
        ends: [nowhere; ENDS],
        none: 0,
        all: u64::MAX,
        keeps: [0; ProgramSettings::SLOTS],
        of_descriptor: [0; ProgramSettings::SLOTS],
        argued: [0; texts::ARGUED],
        compared: [[0; ProgramSettings::SLOTS]; 2],
        arguments: [[texts::NOTHING; texts::OF_CALL]; texts::GROUPS],
    };
    let mut ancestors = (0..).zip(&mut sieve.ancestors);
    let mut ends = (0..).zip(&mut sieve.ends);
    // A clause that is left away leaves more to the recorder.
    for (clause, bits) in filter.clauses.iter().zip(&mut sieve.clauses) {
        for test in clause {
            let mut encoded = encode_test(test);
            if let (Some(found), [encoded, ..]) = (ancestor(test), &mut encoded[..])
                && let Some((place, ancestor)) = ancestors.next()
            {
                *ancestor = found;
                encoded.facts.0 = sc_fact::SC_FACT_ANCESTOR.0 << place;
                sieve.has_ancestors = 1;
            }
            if let (Condition::End(end), [encoded, ..]) = (test.condition, &mut encoded[..])
                && let Some((place, free)) = ends.next()
            {
                *free = encode_end(end);
                encoded.facts.0 = sc_fact::SC_FACT_END.0 << place;
                sieve.has_ends = 1;
            }
            for test in encoded {
                if let Some(place) = sieve.tests.get_mut(usize::from(sieve.count)) {
                    *place = test;
                    *bits |= 1 << sieve.count;
                    sieve.count += 1;
                }
            }
        }
        sieve.clauses_count += 1;
    }
    for slot in ends::calls().flat_map(slots) {
        sieve.of_descriptor[slot] = 1;
    }
    for (slot, events) in wanted_slots(&filter.kept) {
        sieve.keeps[slot] = events.bits();
    }
    sieve
}

/// Returns a test of the parent or of ancestors. Ids are below 2^31; what starts the first processes is a parent, but no ancestor.
fn ancestor(test: &Test) -> Option<sc_ancestor> {
    let Condition::Within(low, high) = test.condition else { return None };
    let (least, generation, generations) = match test.subject {
        Subject::Parent => (0, 1, 1),
        Subject::Ancestor(0) => (1, 1, u32::MAX),
        Subject::Ancestor(generation) => (1, generation, 1),
        _ => return None,
    };
    let most = i64::from(i32::MAX);
    let (pid, last) = (low.clamp(least, most + 1), high.clamp(-1, most));
    let pids = u32::try_from(last + 1 - pid).unwrap_or_default();
    Some(sc_ancestor { pid: pid as u32, pids, generation, generations, negated: -i64::from(test.negated) })
}

fn encode_end(end: End) -> sc_end {
    let (low, high) = end.ports;
    let counts = u128::MAX.checked_shl(128 - u32::from(end.prefix)).unwrap_or(0);
    sc_end {
        address: words(end.address.octets()),
        counts: words(counts.to_be_bytes()),
        port: low.into(),
        ports: u32::from(high) + 1 - u32::from(low),
    }
}

/// Returns the tests of which one is true where this one is.
fn encode_test(test: &Test) -> Vec<sc_test> {
    let negated = test.negated.into();
    match test.condition {
        Condition::Within(least, most) => {
            let (numbers, facts) = numbers(test.subject);
            if numbers.is_empty() {
                return vec![NEVER];
            }
            let test = |numbers| sc_test { least, most, numbers, negated, facts, ..NEVER };
            numbers.into_iter().map(test).collect()
        }
        Condition::End(_) => vec![NEVER],
        Condition::Lasts(bit) => vec![sc_test { lasts: bit, ..NEVER }],
        Condition::Starts(name, len) => {
            let counts = std::array::from_fn(|place| if place < len { u8::MAX } else { 0 });
            // Any number will do.
            vec![sc_test { least: 0, name: words(name), counts: words(counts), negated, ..NEVER }]
        }
    }
}

/// Returns the numbers of which a test is about one or the other, and the facts that make it true; none if it is about a fact.
fn numbers(subject: Subject) -> (Vec<sc_numbers>, sc_fact) {
    let (entry, owner) = (sc_fact::SC_FACT_ENTRY, sc_fact::SC_FACT_OPEN_OWNER);
    match subject {
        Subject::Tid => (vec![sc_numbers { tid: ALL, ..NONE }], sc_fact(0)),
        Subject::Pid => (vec![sc_numbers { pid: ALL, ..NONE }], sc_fact(0)),
        Subject::Uid => (vec![sc_numbers { uid: ALL, ..NONE }], owner),
        Subject::Gid => (vec![sc_numbers { gid: ALL, ..NONE }], owner),
        // Readers have all of it, or its low half.
        Subject::Result => {
            (vec![sc_numbers { result: ALL, ..NONE }, sc_numbers { low_result: ALL, ..NONE }], entry)
        }
        Subject::Latency => (vec![sc_numbers { elapsed: ALL, ..NONE }], entry),
        Subject::Name | Subject::Process | Subject::Parent | Subject::Ancestor(_) | Subject::End => {
            (vec![], sc_fact(0))
        }
    }
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
        encode(&KernelFilter {
            clauses: places.early().to_vec(),
            kept: places.kept(true),
            ..Default::default()
        })
    }

    #[test]
    fn a_clause_has_the_bits_of_its_tests() {
        let sieve = sieve("proc.name in (cat, dd) and proc.pid != 7 and evt.rawres = -2");
        assert_eq!((sieve.count, sieve.clauses_count, sieve.has_names, sieve.has_owners), (5, 3, 1, 0));
        assert_eq!(sieve.clauses[..3], [0b1, 0b110, 0b11000]);
        let [pid, result, low, name, _] = &sieve.tests[..5] else { panic!() };
        assert_eq!((pid.least, pid.most, pid.negated), (7, 7, 1));
        assert_eq!((pid.numbers.pid, pid.numbers.tid, name.numbers.pid), (ALL, 0, 0));
        assert_eq!((name.least, name.most, name.negated), (0, 0, 0));
        assert_eq!((name.name, name.counts), (words(*b"cat\0\0\0\0\0\0\0\0\0\0\0\0\0"), [0xffff_ffff, 0]));
        for (test, numbers) in [(result, (ALL, 0)), (low, (0, ALL))] {
            assert_eq!((test.least, test.most, test.facts), (-2, -2, sc_fact::SC_FACT_ENTRY));
            assert_eq!((test.numbers.result, test.numbers.low_result), numbers);
        }
    }

    #[test]
    fn a_verdict_is_of_what_the_process_was_at_its_time() {
        let verdict = Verdict { pid: 1, session: 7, at: 100, fails: 4 };
        let known = |seen: u64, session: u32, change: u32, fails: u64| {
            let known = types::sc_verdict { started: 1, execs: 2, seen, session, change, fails };
            // SAFETY: plain numbers without padding.
            unsafe { std::mem::transmute::<types::sc_verdict, [u8; VERDICT]>(known) }
        };
        assert_eq!(judged(&known(100, 7, 3, 0), &verdict, 3), Some(known(100, 7, 3, 4)));
        for (what, known) in [
            ("seen later", known(101, 7, 3, 0)),
            ("in a new session", known(100, 8, 3, 0)),
            ("under another filter", known(100, 7, 4, 0)),
            ("nothing new", known(100, 7, 3, 4)),
        ] {
            assert_eq!(judged(&known, &verdict, 3), None, "{what}");
        }
    }

    #[test]
    fn a_clause_without_tests_is_false() {
        let sieve = sieve("proc.name = a-name-that-is-too-long");
        assert_eq!((sieve.count, sieve.clauses_count, sieve.clauses[0]), (0, 1, 0));
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

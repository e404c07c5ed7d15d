//! What the programs decide of a filter by the arguments of calls: the map `texts`, and the tests in `struct sc_sieve`.

use std::collections::HashMap;

use libbpf_rs::{MapCore, MapFlags, MapMut};
use scapd_bpf::types::{self, sc_argument, sc_argument_is as Is};

use super::{counters::counted, settings::array_len, slots::slots};
use scap::{
    events::EventType,
    filter::arguments::{
        ArgumentClause, ArgumentTest, Arguments, MAX_GROUPS, MAX_LEN, MAX_OF_CALL, MAX_SETS,
    },
};

/// The number of event types with counters, rounded up.
pub(super) const ARGUED: usize = array_len(|sieve: &types::sc_sieve| &sieve.argued);
/// The number of groups of tests.
pub(super) const GROUPS: usize = array_len(|sieve: &types::sc_sieve| &sieve.arguments);
/// The most tests of a group.
pub(super) const OF_CALL: usize = array_len(|sieve: &types::sc_sieve| &sieve.arguments[0]);
/// No test.
pub(super) const NOTHING: sc_argument = sc_argument { param: 0, bit: 0, is: Is(0), unused: 0 };

/// The bytes of `struct sc_text`.
const KEY: usize = size_of::<types::sc_text>();
const _: () = {
    assert!(MAX_GROUPS <= GROUPS && MAX_OF_CALL <= OF_CALL && MAX_SETS < 32);
    assert!(MAX_LEN == array_len(|text: &types::sc_text| &text.text));
};

/// Writes the texts of a filter, as those of one of the two sieves, instead of those that it had.
pub(super) fn write(map: &MapMut<'static>, sieve: u8, arguments: &Arguments) -> libbpf_rs::Result<()> {
    let is_of_sieve = |key: &Vec<u8>| key.get(size_of::<u32>()).is_some_and(|space| space & 1 == sieve);
    // All at once: to go from a key that has been deleted begins anew.
    let old: Vec<_> = map.keys().filter(is_of_sieve).collect();
    old.iter().try_for_each(|key| map.delete(key))?;
    let mut texts = arguments.texts().into_iter();
    texts.try_for_each(|((reversed, text), bits)| {
        map.update(&key(sieve, reversed, text), &bits.to_ne_bytes(), MapFlags::ANY)
    })
}

/// Returns the key of a text: `struct sc_text`.
fn key(sieve: u8, reversed: bool, text: &[u8]) -> [u8; KEY] {
    let mut key = [0; KEY];
    let (bits, rest) = key.split_at_mut(size_of::<u32>());
    bits.copy_from_slice(&(8 * (1 + text.len() as u32)).to_ne_bytes());
    rest[0] = sieve | u8::from(reversed) << 1;
    rest[1..=text.len()].copy_from_slice(text);
    key
}

/// Fills in the tests of a filter.
pub(super) fn encode(sieve: &mut types::sc_sieve, arguments: &Arguments) {
    let mut known: HashMap<&[ArgumentClause], u8> = HashMap::new();
    for (call, is_enter, clauses) in &arguments.calls {
        let next = known.len();
        let group = *known.entry(clauses).or_insert_with(|| {
            if let Some(group) = sieve.arguments.get_mut(next) {
                fill_group(group, clauses);
            }
            next as u8 + 1
        });
        for slot in slots(call) {
            sieve.compared[usize::from(!is_enter)][slot] = group;
        }
        let own = if *is_enter { call.enter() } else { call.exit() };
        // Without a program of its own, it has a generic event.
        let generic = EventType(u16::from(!is_enter));
        for ty in [own.map_or(generic, |row| row.ty), generic] {
            if let Some(place) = counted(ty) {
                sieve.argued[place] = 1;
            }
        }
    }
}

fn fill_group(group: &mut [sc_argument; OF_CALL], clauses: &[ArgumentClause]) {
    let mut places = group.iter_mut();
    let count: usize = clauses.iter().map(Vec::len).sum();
    let mut left = count;
    for (clause, test) in clauses.iter().flat_map(|clause| clause.iter().map(move |test| (clause, test))) {
        left -= 1;
        let Some(place) = places.next() else { return };
        *place = encode_test(test);
        if clause.last().is_some_and(|last| std::ptr::eq(last, test)) {
            place.is.0 |= Is::SC_ARGUMENT_ENDS.0;
        }
        if left == 0 {
            place.is.0 |= Is::SC_ARGUMENT_LAST.0;
        }
    }
}

fn encode_test(test: &ArgumentTest) -> sc_argument {
    let is = [
        (test.of_extension, Is::SC_ARGUMENT_OF_EXTENSION),
        (test.is_path, Is::SC_ARGUMENT_PATH),
        (test.only_done, Is::SC_ARGUMENT_DONE),
        (test.if_absent, Is::SC_ARGUMENT_IF_ABSENT),
        (test.reversed, Is::SC_ARGUMENT_REVERSED),
        (test.negated, Is::SC_ARGUMENT_NEGATED),
    ];
    let is = is.iter().filter(|(is, _)| *is).fold(0, |all, (_, bit)| all | bit.0);
    sc_argument { param: test.param as u8, bit: test.set as u8, is: Is(is), unused: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use scap::{
        events::Syscall,
        fields::Fields,
        filter::{Filter, Places},
    };

    /// Returns the tests of the returns of a call.
    fn returns(text: &str, call: &str) -> Vec<(u8, u8, u8)> {
        let places = Places::of(&Filter::parse(text, &Fields).unwrap());
        // SAFETY: plain numbers, for which 0 is valid.
        let mut sieve: types::sc_sieve = unsafe { std::mem::zeroed() };
        encode(&mut sieve, places.arguments());
        let slot = slots(Syscall::by_name(call).unwrap()).next().unwrap();
        let Some(group) = usize::from(sieve.compared[1][slot]).checked_sub(1) else { return Vec::new() };
        let group = &sieve.arguments[group];
        let last = group.iter().position(|test| test.is.0 & Is::SC_ARGUMENT_LAST.0 != 0).unwrap();
        group[..=last].iter().map(|test| (test.param, test.bit, test.is.0)).collect()
    }

    #[test]
    fn the_last_test_of_a_clause_and_of_a_group_is_marked() {
        let [path, reversed, ends, last] =
            [Is::SC_ARGUMENT_PATH, Is::SC_ARGUMENT_REVERSED, Is::SC_ARGUMENT_ENDS, Is::SC_ARGUMENT_LAST]
                .map(|is| is.0);
        let filter = "evt.arg.name startswith /a and (evt.arg.name = /b or evt.arg.name endswith .c)";
        let param = Syscall::by_name("openat").unwrap().exit().unwrap().param("name").unwrap() as u8;
        assert_eq!(
            returns(filter, "openat"),
            [(param, 0, path | ends), (param, 1, path), (param, 2, path | reversed | ends | last)]
        );
        assert_eq!(returns(filter, "getppid"), []);
    }

    #[test]
    fn a_key_has_its_length_in_bits_and_its_space() {
        let key = key(1, true, b"cba");
        assert_eq!(key[..8], [&32u32.to_ne_bytes()[..], b"\x03cba"].concat());
        assert!(key[8..].iter().all(|byte| *byte == 0));
    }
}

//! The slots by which calls are selected and routed: see `enum sc_slot` in include/capture.h.

use std::{
    collections::{BTreeMap, BTreeSet},
    iter,
};

use scapd_bpf::types::{self, sc_slot as Slot, sc_wanted as Wanted};

use super::settings::array_len;
use scap::{
    events::{Arch, CompatTwin, SYSCALLS, SocketCall, Syscall},
    select::{NameRule, Selection, SyscallSet, name_rule},
};

/// The events of a slot that are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SlotEvents {
    /// The call that the slot stands for.
    pub call: &'static Syscall,
    /// Its entry.
    pub enter: bool,
    /// Its return.
    pub exit: bool,
    /// Its return, if that changes a name.
    pub for_names: bool,
}

impl SlotEvents {
    pub(super) fn bits(self) -> u8 {
        let bit = |wanted: bool, bit: Wanted| if wanted { bit.0 } else { 0 };
        bit(self.enter, Wanted::SC_WANT_ENTER)
            | bit(self.exit || self.for_names, Wanted::SC_WANT_EXIT)
            | bit(self.for_names && !self.exit, Wanted::SC_FOR_NAMES)
    }
}

/// Returns the slots of a call: see `SC_SLOT_UNKNOWN` in include/capture.h.
pub(super) fn slots(call: &Syscall) -> impl Iterator<Item = usize> + '_ {
    let native = call.number(Arch::NATIVE).map(usize::from);
    let compat = (Arch::NATIVE == Arch::X86_64)
        .then(|| call.number(Arch::I386))
        .flatten()
        .filter(|number| CompatTwin::of(*number).is_none())
        .map(|number| usize::from(number) + NR_MAX);
    let socketcall = (Arch::NATIVE == Arch::X86_64 && native.is_none())
        .then(|| SocketCall::of(call))
        .flatten()
        .map(|row| SLOT_UNKNOWN + usize::from(row.number));
    native.into_iter().chain(compat).chain(socketcall)
}

/// Returns the slots to record, each with its events.
pub(super) fn wanted_slots(selection: &Selection) -> BTreeMap<usize, SlotEvents> {
    let mut wanted = BTreeMap::new();
    let mut want = |call: &'static Syscall, event: fn(&mut SlotEvents) -> &mut bool| {
        for slot in slots(call) {
            let none = SlotEvents { call, enter: false, exit: false, for_names: false };
            *event(wanted.entry(slot).or_insert(none)) = true;
        }
    };
    let kin = |calls: SyscallSet| calls.iter().flat_map(|call| iter::once(call).chain(call.compat_only()));
    kin(selection.enter).for_each(|call| want(call, |events| &mut events.enter));
    for call in kin(selection.exit) {
        want(call, |events| &mut events.exit);
        if let Some(call) = returns_as(call) {
            want(call, |events| &mut events.exit);
        }
    }
    kin(selection.for_names.calls).for_each(|call| want(call, |events| &mut events.for_names));
    wanted
}

/// Returns the call as which a successful call returns, if it is another one: on x86-64, an execveat returns as an
/// execve.
fn returns_as(call: &Syscall) -> Option<&'static Syscall> {
    (Arch::NATIVE == Arch::X86_64 && call.name == "execveat").then(|| Syscall::by_name("execve")).flatten()
}

/// Returns the slots that belong to no call of the tables: unused numbers, and the slot of all numbers beyond.
pub(super) fn unknown_slots() -> impl Iterator<Item = usize> {
    let known: BTreeSet<usize> = SYSCALLS.iter().flat_map(slots).collect();
    (0..=SLOT_UNKNOWN).filter(move |slot| !known.contains(slot))
}

/// System call numbers are below this.
pub(super) const NR_MAX: usize = array_len(|routes: &types::sc_routes| &routes.compat_slot);
/// The slot of all numbers that no table has.
pub(super) const SLOT_UNKNOWN: usize = Slot::SC_SLOT_UNKNOWN.0 as usize;

/// The number of slots that belong to no call.
pub(super) const RULE_SLOTS: usize = 5;

/// Returns the slots that belong to no call.
pub(super) fn rule_slots() -> impl Iterator<Item = usize> {
    let all: [Slot; RULE_SLOTS] = [
        Slot::SC_SLOT_DISPATCH,
        Slot::SC_SLOT_SIFT,
        Slot::SC_SLOT_RULES,
        Slot::SC_SLOT_DROP_E,
        Slot::SC_SLOT_DROP_X,
    ];
    all.into_iter().map(|slot| slot.0 as usize)
}

/// Returns the number of `socketcall`, which only 32-bit tasks have.
pub(super) fn socketcall() -> Option<usize> {
    Syscall::by_name("socketcall").and_then(|call| call.number(Arch::I386)).map(usize::from)
}

/// Fills the tables that route calls: see `struct sc_routes`.
pub(super) fn fill_routes(routes: &mut types::sc_routes) {
    for (number, slot) in routes.compat_slot.iter_mut().enumerate() {
        *slot = compat_slot(number) as u16;
    }
    routes.socketcall_slot.fill(socketcall().map_or(SLOT_UNKNOWN, compat_slot) as u16);
    for (number, slot) in socketcall_slots() {
        routes.socketcall_slot[number] = slot as u16;
    }
    for call in SYSCALLS {
        let names = name_rule(call).map_or(0, names_bits);
        for slot in slots(call) {
            routes.code[slot] = call.code;
            routes.names[slot].0 = names;
        }
    }
}

/// Returns the bits of `sc_routes.names` for a rule.
fn names_bits(rule: NameRule) -> u8 {
    type Bits = types::sc_names;
    match rule {
        NameRule::Success => 0,
        NameRule::Descriptor => Bits::SC_NAMES_DESCRIPTOR.0,
        NameRule::Fcntl => Bits::SC_NAMES_DESCRIPTOR.0 | Bits::SC_NAMES_FCNTL.0,
        NameRule::Prctl => Bits::SC_NAMES_PRCTL.0,
        NameRule::Address => Bits::SC_NAMES_ADDRESS.0,
        NameRule::Message => Bits::SC_NAMES_MESSAGE.0,
    }
}

/// Returns the slots whose programs are called directly (see `sc_constants.direct`): the most frequent of the wanted
/// calls.
pub(super) fn direct_slots(calls: SyscallSet) -> impl Iterator<Item = u32> {
    const OFTEN: [&str; 8] =
        ["read", "write", "futex", "close", "openat", "recvfrom", "sendto", "epoll_wait"];
    let rank = |call: &Syscall| OFTEN.iter().position(|name| *name == call.name).unwrap_or(OFTEN.len());
    let mut ranked: Vec<_> = calls.iter().collect();
    ranked.sort_by_key(|call| rank(call));
    let native = ranked.into_iter().filter_map(|call| call.number(Arch::NATIVE));
    native.map(u32::from).chain(std::iter::repeat(u32::MAX))
}

/// Returns the slot of a 32-bit call. On arm64 these have other numbers than the 64-bit ones, and no table here.
pub(super) fn compat_slot(number: usize) -> usize {
    if Arch::NATIVE != Arch::X86_64 {
        return SLOT_UNKNOWN;
    }
    let twin = CompatTwin::of(number as u16).and_then(|call| call.number(Arch::NATIVE));
    twin.map_or(number + NR_MAX, usize::from)
}

/// Returns each call that 32-bit tasks make through `socketcall`: its number there, and its slot.
pub(super) fn socketcall_slots() -> impl Iterator<Item = (usize, usize)> {
    SocketCall::ALL.iter().filter_map(|row| Some((row.number.into(), slots(row.call()?).next()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str) -> &'static Syscall {
        Syscall::by_name(name).unwrap()
    }

    fn set(names: &[&str]) -> SyscallSet {
        names.iter().map(|name| call(name)).collect()
    }

    #[test]
    fn all_selected_calls_are_all_calls_of_the_tables() {
        let known: SyscallSet = SYSCALLS.iter().collect();
        let known = Selection { enter: known, exit: known, ..Selection::default() };
        assert_eq!(wanted_slots(&Selection::all()), wanted_slots(&known));
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn a_call_brings_that_of_32_bit_programs_with_it() {
        let wanted = wanted_slots(&Selection { exit: set(&["wait4"]), ..Selection::default() });
        let calls: Vec<_> = wanted.values().map(|events| events.call.name).collect();
        assert_eq!(calls, ["wait4", "waitpid"]);
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn each_call_has_its_own_directions() {
        let for_names = scap::select::Companions { calls: set(&["execve", "close"]), ..Default::default() };
        let selection =
            Selection { enter: set(&["read"]), exit: set(&["read", "write", "execveat"]), for_names };
        let wanted = wanted_slots(&selection);
        let bits = |name| wanted[&usize::from(call(name).number(Arch::NATIVE).unwrap())].bits();
        let (enter, exit) = (Wanted::SC_WANT_ENTER.0, Wanted::SC_WANT_EXIT.0);
        assert_eq!(bits("read"), enter | exit);
        assert_eq!(bits("write"), exit);
        assert_eq!(bits("close"), exit | Wanted::SC_FOR_NAMES.0);
        assert_eq!(bits("execve"), exit, "the return of an execveat, which was asked for");
    }

    #[test]
    fn the_programs_have_a_slot_for_each_call() {
        let all = SYSCALLS.iter().flat_map(slots).max().unwrap();
        let first = rule_slots().min().unwrap();
        assert!(all < first && SLOT_UNKNOWN < first, "{all} {first}");
        assert_eq!(rule_slots().max(), Some(super::super::settings::ProgramSettings::SLOTS - 1));
        assert!(
            SYSCALLS.iter().filter_map(|call| call.number(Arch::NATIVE)).all(|n| usize::from(n) < NR_MAX)
        );
        assert_eq!(socketcall(), Some(102));
    }
}

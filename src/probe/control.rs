//! What can be changed while a capture runs: the settings that the programs read, and the tasks that are followed.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use libbpf_rs::{MapCore, MapFlags};

use scapd_bpf::types;

use super::ProbeError;
use crate::{
    events::{Arch, CompatTwin, SYSCALLS, SocketCall, Syscall},
    select::{Tracepoint, TracepointSet},
};

/// Where a followed task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetState {
    /// Its events are recorded.
    Active = 1,
    /// They are recorded from its next `execve` on.
    AtExec = 2,
}

/// Which events of a call are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Directions {
    /// Its entry.
    pub enter: bool,
    /// Its return.
    pub exit: bool,
}

impl Directions {
    pub(super) const NONE: Directions = Directions { enter: false, exit: false };
}

/// The slots of a call: see `SC_SLOT_UNKNOWN` in include/capture.h.
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

/// The slots that are to be recorded for these calls, each with the call that it stands for.
pub(super) fn wanted_slots(
    calls: &[&'static Syscall],
    directions: Directions,
) -> BTreeMap<usize, (&'static Syscall, Directions)> {
    let returns_as = calls.iter().filter_map(|call| returns_as(call)).flat_map(|call| {
        slots(call).map(move |slot| (slot, (call, Directions { enter: false, ..directions })))
    });
    let asked_for = calls.iter().flat_map(|call| iter::once(*call).chain(call.compat_only()));
    let own = asked_for.flat_map(|call| slots(call).map(move |slot| (slot, (call, directions))));
    // In this order: what was asked for itself replaces what comes along.
    returns_as.chain(own).collect()
}

/// On x86-64 the kernel makes a successful execveat return as an execve.
fn returns_as(call: &Syscall) -> Option<&'static Syscall> {
    (Arch::NATIVE == Arch::X86_64 && call.name == "execveat").then(|| Syscall::by_name("execve")).flatten()
}

/// The slots that no call of the tables has: numbers in between, and the one of all numbers beyond.
pub(super) fn unknown_slots() -> impl Iterator<Item = usize> {
    let known: BTreeSet<usize> = SYSCALLS.iter().flat_map(slots).collect();
    (0..=SLOT_UNKNOWN).filter(move |slot| !known.contains(slot))
}

pub(super) const NR_MAX: usize = 512;
const SLOT_UNKNOWN: usize = 2 * NR_MAX;

/// The number of socketcall in the i386 table.
const NR_SOCKETCALL: usize = 102;

/// Fills the tables that route calls: see `struct sc_routes`.
pub(super) fn fill_routes(routes: &mut types::sc_routes) {
    for (number, slot) in routes.compat_slot.iter_mut().enumerate() {
        *slot = compat_slot(number) as u16;
    }
    routes.socketcall_slot.fill(compat_slot(NR_SOCKETCALL) as u16);
    for (number, slot) in socketcall_slots() {
        routes.socketcall_slot[number] = slot as u16;
    }
    for call in SYSCALLS {
        for slot in slots(call) {
            routes.code[slot] = call.code;
        }
    }
}

/// The slots whose programs are called directly (see `sc_constants.direct`): of the wanted calls, those that programs
/// make most often.
pub(super) fn direct_slots(calls: &[&'static Syscall]) -> impl Iterator<Item = u32> {
    const OFTEN: [&str; 8] =
        ["read", "write", "futex", "close", "openat", "recvfrom", "sendto", "epoll_wait"];
    let rank = |call: &Syscall| OFTEN.iter().position(|name| *name == call.name).unwrap_or(OFTEN.len());
    let mut ranked: Vec<_> = calls.to_vec();
    ranked.sort_by_key(|call| rank(call));
    let native = ranked.into_iter().filter_map(|call| call.number(Arch::NATIVE));
    native.map(u32::from).chain(std::iter::repeat(u32::MAX))
}

/// The slot of a 32-bit call on x86-64.
fn compat_slot(number: usize) -> usize {
    let twin = CompatTwin::of(number as u16).and_then(|call| call.number(Arch::NATIVE));
    twin.map_or(number + NR_MAX, usize::from)
}

/// The slot of each call that 32-bit callers make by socketcall, by the number that it has there.
fn socketcall_slots() -> impl Iterator<Item = (usize, usize)> {
    SocketCall::ALL.iter().filter_map(|row| Some((row.number.into(), slots(row.call()?).next()?)))
}

fn tracepoint_bit(tracepoint: Tracepoint) -> types::sc_tracepoint {
    type Bit = types::sc_tracepoint;
    match tracepoint {
        Tracepoint::SchedProcessExit => Bit::SC_TP_PROCESS_EXIT,
        Tracepoint::SchedProcessExec => Bit::SC_TP_PROCESS_EXEC,
        Tracepoint::SchedProcessFork => Bit::SC_TP_PROCESS_FORK,
        Tracepoint::SchedSwitch => Bit::SC_TP_SCHED_SWITCH,
        Tracepoint::SignalDeliver => Bit::SC_TP_SIGNAL_DELIVER,
        Tracepoint::PageFaultUser => Bit::SC_TP_PAGE_FAULT_USER,
        Tracepoint::PageFaultKernel => Bit::SC_TP_PAGE_FAULT_KERNEL,
    }
}

/// The settings of a loaded probe.
#[derive(Debug)]
pub struct Control<'a> {
    pub(super) settings: &'a types::sc_settings,
    pub(super) targets: &'a libbpf_rs::MapMut<'static>,
}

macro_rules! atomic {
    ($name:ident, $atomic:ty, $int:ty) => {
        fn $name(value: &$int) -> &$atomic {
            // SAFETY: the same size and alignment; the memory is a BPF map's, which the programs read meanwhile, and
            // all of our accesses go through atomics.
            unsafe { <$atomic>::from_ptr(std::ptr::from_ref(value).cast_mut()) }
        }
    };
}
atomic!(atomic_u8, AtomicU8, u8);
atomic!(atomic_u32, AtomicU32, u32);
atomic!(atomic_u64, AtomicU64, u64);

impl Control<'_> {
    pub(super) fn set_active(&self, active: bool) {
        atomic_u32(&self.settings.active).store(active.into(), Ordering::Release);
        self.route_numbers();
    }

    fn is_active(&self) -> bool {
        atomic_u32(&self.settings.active).load(Ordering::Acquire) != 0
    }

    /// Works out what is wanted by number from what is wanted by slot.
    fn route_numbers(&self) {
        let bits = |slot: usize| atomic_u8(&self.settings.wanted[slot]).load(Ordering::Acquire);
        for (number, wanted) in self.settings.wanted_number.iter().enumerate() {
            let either = match number {
                _ if !self.is_active() => 0,
                NR_MAX => bits(SLOT_UNKNOWN),
                NR_SOCKETCALL => socketcall_slots()
                    .fold(bits(number) | bits(compat_slot(number)), |either, (_, slot)| either | bits(slot)),
                _ => bits(number) | bits(compat_slot(number)),
            };
            atomic_u8(wanted).store(either, Ordering::Release);
        }
    }

    pub(super) fn set_boot_time(&self, boot_time: u64) {
        atomic_u64(&self.settings.boot_time).store(boot_time, Ordering::Release);
    }

    /// How many bytes of data an event keeps at most.
    pub fn set_snaplen(&self, bytes: u32) {
        atomic_u32(&self.settings.snaplen).store(bytes, Ordering::Release);
    }

    /// A process whose events are left out, if any.
    pub fn skip_process(&self, pid: Option<u32>) {
        atomic_u32(&self.settings.skip_tgid).store(pid.unwrap_or(u32::MAX), Ordering::Release);
    }

    /// Whether the recorder takes no events now, as the disk is behind: a full ring is then counted as that.
    pub fn set_backlog(&self, waiting: bool) {
        atomic_u32(&self.settings.backlog).store(waiting.into(), Ordering::Release);
    }

    /// Whether only targets are recorded, and not every task.
    pub fn set_targets_only(&self, only: bool) {
        atomic_u32(&self.settings.targets_only).store(only.into(), Ordering::Release);
    }

    /// Which tracepoints are recorded, of those whose programs were loaded.
    pub fn set_tracepoints(&self, tracepoints: TracepointSet) {
        let bits = tracepoints.iter().fold(0, |bits, tracepoint| bits | tracepoint_bit(tracepoint).0);
        atomic_u32(&self.settings.tracepoints.0).store(bits, Ordering::Release);
    }

    /// Records these slots in these directions; others stay as they are.
    pub(super) fn want(&self, slots: impl IntoIterator<Item = (usize, Directions)>) {
        for (slot, directions) in slots {
            let bits = u8::from(directions.enter) | u8::from(directions.exit) << 1;
            atomic_u8(&self.settings.wanted[slot]).store(bits, Ordering::Release);
        }
        self.route_numbers();
    }

    /// Records a task (a thread id) and the children that it will have.
    pub fn add_target(&self, tid: u32, state: TargetState) -> Result<(), ProbeError> {
        self.targets.update(&tid.to_ne_bytes(), &(state as u32).to_ne_bytes(), MapFlags::ANY).map_err(|e| {
            let reason = if matches!(e.kind(), libbpf_rs::ErrorKind::Other) {
                format!("{e}: the limit of targets is reached")
            } else {
                e.to_string()
            };
            ProbeError::Target { tid, reason }
        })
    }

    /// Records a task no longer.
    pub fn remove_target(&self, tid: u32) -> Result<(), ProbeError> {
        match self.targets.delete(&tid.to_ne_bytes()) {
            Err(e) if !matches!(e.kind(), libbpf_rs::ErrorKind::NotFound) => {
                Err(ProbeError::Target { tid, reason: e.to_string() })
            }
            _ => Ok(()),
        }
    }

    /// Whether a task is recorded.
    pub fn is_target(&self, tid: u32) -> bool {
        matches!(self.targets.lookup(&tid.to_ne_bytes(), MapFlags::ANY), Ok(Some(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::select::SyscallSet;

    #[test]
    fn all_selected_calls_are_all_calls_of_the_tables() {
        let both = Directions { enter: true, exit: true };
        let selected: Vec<_> = SyscallSet::all().iter().collect();
        let known: Vec<_> = SYSCALLS.iter().collect();
        let slots =
            |calls: &[&'static Syscall]| -> Vec<_> { wanted_slots(calls, both).into_iter().collect() };
        assert_eq!(slots(&selected), slots(&known));
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn a_call_brings_that_of_32_bit_programs_with_it() {
        let both = Directions { enter: true, exit: true };
        let wanted = wanted_slots(&[Syscall::by_name("wait4").unwrap()], both);
        let calls: Vec<_> = wanted.values().map(|(call, _)| call.name).collect();
        assert_eq!(calls, ["wait4", "waitpid"]);
    }
}

//! What can be changed while a capture runs: the settings that the programs read, and the tasks that are followed.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use libbpf_rs::{MapCore, MapFlags, libbpf_sys};

use scapd_bpf::types::{self, sc_tracepoint as TracepointBits, sc_wanted as Wanted};

use super::{
    DynamicSnaplen, ProbeError, SampleRatio,
    rules::{SAMPLING, sampling_bits},
};
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

/// The slots that are not of calls, the last ones: `SC_SLOT_RULES`, `SC_SLOT_DROP_E`, `SC_SLOT_DROP_X`.
pub(super) fn rule_slots() -> impl Iterator<Item = usize> {
    4 * NR_MAX - 3..4 * NR_MAX
}

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

/// Whether sampling leaves the events of a tracepoint out: those that no reader builds its state from.
fn is_left_out(tracepoint: Tracepoint) -> bool {
    match tracepoint {
        Tracepoint::SchedProcessExit | Tracepoint::SchedProcessExec | Tracepoint::SchedProcessFork => false,
        Tracepoint::SchedSwitch
        | Tracepoint::SignalDeliver
        | Tracepoint::PageFaultUser
        | Tracepoint::PageFaultKernel => true,
    }
}

fn tracepoint_bit(tracepoint: Tracepoint) -> TracepointBits {
    type Bit = TracepointBits;
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
        let directions = Wanted::SC_WANT_ENTER.0 | Wanted::SC_WANT_EXIT.0;
        let bits = |slot: usize| self.wanted(slot).load(Ordering::Acquire) & directions;
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

    /// How many bytes of data an event keeps at most. More than 64,495 are never kept: an event has room for no more.
    pub fn set_snaplen(&self, bytes: u32) {
        atomic_u32(&self.settings.snaplen).store(bytes, Ordering::Release);
    }

    /// Of which traffic more is kept than the snaplen; `None`: of none.
    pub fn set_dynamic_snaplen(&self, dynamic: Option<DynamicSnaplen>) {
        let settings = self.settings;
        if let Some(DynamicSnaplen { full_capture, statsd_port }) = dynamic {
            let ports = full_capture.map_or(0, |ports| ports.to_word());
            atomic_u32(&settings.full_capture_ports).store(ports, Ordering::Release);
            atomic_u32(&settings.statsd_port).store(statsd_port.into(), Ordering::Release);
        }
        atomic_u32(&settings.dynamic_snaplen).store(dynamic.is_some().into(), Ordering::Release);
    }

    /// Whether the returns of calls that failed are left out. Their entries are recorded: that a call will fail is not
    /// known by then. EINPROGRESS is no failure.
    pub fn set_drop_failed(&self, drop: bool) {
        let bit = Wanted::SC_DROP_FAILED.0;
        self.set_rules(bit, |_| if drop { bit } else { 0 });
    }

    /// Records a part of each second, its first; `None`: all of it. `drop` events mark where a part that is left out
    /// begins, and where it ends.
    pub fn set_sampling(&self, ratio: Option<SampleRatio>) {
        let ratio_now = &self.settings.sample_ratio;
        atomic_u32(ratio_now).store(ratio.map_or(0, SampleRatio::get), Ordering::Release);
        if ratio.is_some() {
            let bits = sampling_bits(self.settings.wanted.len());
            self.set_rules(SAMPLING, |slot| bits[slot]);
        } else {
            // Whoever looked at the clock still does: the end of a part that was left out gets its mark.
            self.set_rules(SAMPLING & !Wanted::SC_SAMPLE_BY_CLOCK.0, |_| 0);
        }
        self.store_tracepoints(|before| before);
    }

    /// What is recorded while sampling; `None` if everything is.
    pub fn sampling(&self) -> Option<SampleRatio> {
        atomic_u32(&self.settings.sample_ratio).load(Ordering::Acquire).try_into().ok()
    }

    /// Sets the rules of `mask` for each slot; others stay as they are.
    fn set_rules(&self, mask: u8, bits: impl Fn(usize) -> u8) {
        for slot in 0..self.settings.wanted.len() {
            self.update_wanted(slot, mask, bits(slot));
        }
    }

    fn update_wanted(&self, slot: usize, mask: u8, bits: u8) {
        let update = |before| Some(before & !mask | bits);
        // It cannot fail: there is always a new value.
        let _ = self.wanted(slot).fetch_update(Ordering::AcqRel, Ordering::Acquire, update);
    }

    fn wanted(&self, slot: usize) -> &AtomicU8 {
        atomic_u8(&self.settings.wanted[slot].0)
    }

    /// A process whose events are left out, if any.
    pub fn skip_process(&self, pid: Option<u32>) {
        atomic_u32(&self.settings.skip_tgid).store(pid.unwrap_or(u32::MAX), Ordering::Release);
    }

    /// Whether the recorder takes no events now, as the disk is behind: a full ring is then counted as that.
    pub fn set_backlog(&self, waiting: bool) {
        atomic_u32(&self.settings.backlog).store(waiting.into(), Ordering::Release);
    }

    /// Whether an event wakes whoever waits for one ([`Active::wait`](super::Active::wait)). A program that runs at this
    /// moment may not know yet: look at the rings once more, some milliseconds later, before waiting.
    pub fn set_wakeup(&self, wakeup: bool) {
        let flags = if wakeup { libbpf_sys::BPF_RB_FORCE_WAKEUP } else { libbpf_sys::BPF_RB_NO_WAKEUP };
        atomic_u32(&self.settings.submit_flags).store(flags, Ordering::Release);
    }

    /// Whether only targets are recorded, and not every task.
    pub fn set_targets_only(&self, only: bool) {
        atomic_u32(&self.settings.targets_only).store(only.into(), Ordering::Release);
    }

    /// Which tracepoints are recorded, of those whose programs were loaded.
    pub fn set_tracepoints(&self, tracepoints: TracepointSet) {
        let bits = tracepoints.iter().fold(0, |bits, tracepoint| bits | tracepoint_bit(tracepoint).0);
        self.store_tracepoints(|_| bits);
    }

    /// Stores which tracepoints are recorded, and which of them sampling leaves out.
    fn store_tracepoints(&self, recorded: impl Fn(u32) -> u32) {
        let sampling = self.sampling().is_some();
        let left_out = Tracepoint::ALL.iter().filter(|tracepoint| sampling && is_left_out(**tracepoint));
        let left_out = left_out.fold(0, |bits, tracepoint| bits | tracepoint_bit(*tracepoint).0 << 8);
        let update = |before| Some(recorded(before & !TracepointBits::SC_TP_LEFT_OUT.0) | left_out);
        let tracepoints = atomic_u32(&self.settings.tracepoints.0);
        // It cannot fail: there is always a new value.
        let _ = tracepoints.fetch_update(Ordering::AcqRel, Ordering::Acquire, update);
    }

    /// Records these slots in these directions; others stay as they are.
    pub(super) fn want(&self, slots: impl IntoIterator<Item = (usize, Directions)>) {
        for (slot, directions) in slots {
            let bit = |wanted: bool, bit: Wanted| if wanted { bit.0 } else { 0 };
            let bits =
                bit(directions.enter, Wanted::SC_WANT_ENTER) | bit(directions.exit, Wanted::SC_WANT_EXIT);
            self.update_wanted(slot, Wanted::SC_WANT_ENTER.0 | Wanted::SC_WANT_EXIT.0, bits);
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

    /// Whether there is any target.
    pub fn has_targets(&self) -> bool {
        self.targets.keys().next().is_some()
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

//! What can change while a capture runs: the settings that the programs read, and the tasks that are followed.

use std::sync::atomic::{AtomicU8, Ordering};

use libbpf_rs::{MapCore, MapFlags, libbpf_sys};

use scapd_bpf::types::{sc_tracepoint as TracepointBits, sc_wanted as Wanted};

use super::{
    DynamicSnaplen, ProbeError, SampleRatio,
    rules::{SAMPLING, sampling_bits},
    settings::ProgramSettings,
    slots::{NR_MAX, SLOT_UNKNOWN, SlotEvents, compat_slot, socketcall, socketcall_slots, unknown_slots},
};
use scap::{
    events::Syscall,
    select::{Selection, SyscallSet, Tracepoint, TracepointSet},
};

/// The state of a followed task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetState {
    /// Its events are recorded.
    Active = 1,
    /// Its events are recorded from its next `execve` on.
    AtExec = 2,
}

/// The events of a call that are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Directions {
    /// Its entry.
    pub enter: bool,
    /// Its return.
    pub exit: bool,
}

impl Directions {
    /// Returns the selection of these events of the calls.
    pub(super) fn of(self, calls: &[&'static Syscall]) -> Selection {
        let calls: SyscallSet = calls.iter().copied().collect();
        let of = |wanted: bool| if wanted { calls } else { SyscallSet::none() };
        Selection { enter: of(self.enter), exit: of(self.exit), ..Selection::default() }
    }
}

/// Returns whether sampling leaves the tracepoint's events out. It keeps those from which readers build their state.
fn is_left_out(tracepoint: Tracepoint) -> bool {
    match tracepoint {
        Tracepoint::SchedProcessExit | Tracepoint::SchedProcessExec | Tracepoint::SchedProcessFork => false,
        Tracepoint::SchedSwitch
        | Tracepoint::SignalDeliver
        | Tracepoint::PageFaultUser
        | Tracepoint::PageFaultKernel
        | Tracepoint::IoUring => true,
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
        Tracepoint::IoUring => Bit::SC_TP_IO_URING,
    }
}

/// The settings of a loaded probe that can change at any time.
#[derive(Debug)]
pub struct Control<'a> {
    pub(super) settings: &'a ProgramSettings,
    pub(super) targets: &'a libbpf_rs::MapMut<'static>,
    /// The tracepoints that were named when the probe was loaded.
    pub(super) tracepoints: TracepointSet,
    pub(super) sampled_calls: &'a libbpf_rs::MapMut<'static>,
    pub(super) verdicts: &'a libbpf_rs::MapMut<'static>,
    pub(super) texts: &'a libbpf_rs::MapMut<'static>,
}

impl Control<'_> {
    pub(super) fn set_active(&self, active: bool) {
        self.settings.active().store(active.into(), Ordering::Release);
        self.route_numbers();
    }

    fn is_active(&self) -> bool {
        self.settings.active().load(Ordering::Acquire) != 0
    }

    /// Derives the settings by number from the settings by slot.
    fn route_numbers(&self) {
        let directions = Wanted::SC_WANT_ENTER.0 | Wanted::SC_WANT_EXIT.0;
        let bits = |slot: usize| self.wanted(slot).load(Ordering::Acquire) & directions;
        for number in 0..ProgramSettings::NUMBERS {
            let either = match number {
                _ if !self.is_active() => 0,
                NR_MAX => bits(SLOT_UNKNOWN),
                _ if Some(number) == socketcall() => socketcall_slots()
                    .fold(bits(number) | bits(compat_slot(number)), |either, (_, slot)| either | bits(slot)),
                _ => bits(number) | bits(compat_slot(number)),
            };
            self.settings.wanted_number(number).store(either, Ordering::Release);
        }
    }

    pub(super) fn set_boot_time(&self, boot_time: u64) {
        self.settings.boot_time().store(boot_time, Ordering::Release);
    }

    /// Sets the maximum number of data bytes that an event keeps. An event has room for no more than 64,495.
    pub fn set_snaplen(&self, bytes: u32) {
        self.settings.snaplen().store(bytes, Ordering::Release);
    }

    /// Sets the traffic of which more than the snaplen is kept; `None` for none.
    pub fn set_dynamic_snaplen(&self, dynamic: Option<DynamicSnaplen>) {
        let settings = self.settings;
        if let Some(DynamicSnaplen { full_capture, statsd_port }) = dynamic {
            let ports = full_capture.map_or(0, |ports| ports.to_word());
            settings.full_capture_ports().store(ports, Ordering::Release);
            settings.statsd_port().store(statsd_port.into(), Ordering::Release);
        }
        settings.dynamic_snaplen().store(dynamic.is_some().into(), Ordering::Release);
    }

    /// Sets whether events have their extension: parameters that the format has no field for.
    pub fn set_extensions(&self, recorded: bool) {
        self.settings.extensions().store(recorded.into(), Ordering::Release);
    }

    /// Sets whether the returns of failed calls are left out. Their entries are recorded, because the result is not
    /// known by then. EINPROGRESS is no failure.
    pub fn set_drop_failed(&self, drop: bool) {
        let bit = Wanted::SC_DROP_FAILED.0;
        self.set_rules(bit, |_| if drop { bit } else { 0 });
    }

    /// Records only the first part of each second; `None` for all of it. If the entry and the return of a call are both
    /// selected, both are kept or both are left out. `drop` events mark the start and the end of each part that is left
    /// out.
    pub fn set_sampling(&self, ratio: Option<SampleRatio>) {
        if ratio.is_some() && self.sampling().is_none() {
            self.forget_sampled_calls();
        }
        let ratio_now = self.settings.sample_ratio();
        ratio_now.store(ratio.map_or(0, SampleRatio::get), Ordering::Release);
        if ratio.is_some() {
            let bits = sampling_bits(ProgramSettings::SLOTS);
            self.set_rules(SAMPLING, |slot| bits[slot]);
        } else {
            // Calls sampled by the clock still check it, so that the end of the last left-out part is marked.
            self.set_rules(SAMPLING & !Wanted::SC_SAMPLE_BY_CLOCK.0, |_| 0);
        }
        self.store_tracepoints(|before| before);
    }

    /// Deletes what an earlier sampling left: calls that had not returned when it ended.
    fn forget_sampled_calls(&self) {
        for tid in self.sampled_calls.keys() {
            // It may have been deleted already.
            let _ = self.sampled_calls.delete(&tid);
        }
    }

    /// Returns the sample ratio; `None` without sampling.
    pub fn sampling(&self) -> Option<SampleRatio> {
        self.settings.sample_ratio().load(Ordering::Acquire).try_into().ok()
    }

    /// Sets the rules of `mask` for each slot. Other rules do not change.
    fn set_rules(&self, mask: u8, bits: impl Fn(usize) -> u8) {
        for slot in 0..ProgramSettings::SLOTS {
            self.update_wanted(slot, mask, bits(slot));
        }
    }

    fn update_wanted(&self, slot: usize, mask: u8, bits: u8) {
        let update = |before| Some(before & !mask | bits);
        // This cannot fail: `update` always returns a value.
        let _ = self.wanted(slot).fetch_update(Ordering::AcqRel, Ordering::Acquire, update);
    }

    fn wanted(&self, slot: usize) -> &AtomicU8 {
        self.settings.wanted(slot)
    }

    /// Sets the process whose events are left out, if any.
    pub fn skip_process(&self, pid: Option<u32>) {
        self.settings.skip_tgid().store(pid.unwrap_or(u32::MAX), Ordering::Release);
    }

    /// Sets whether the recorder is waiting for the disk. Losses in a full ring then count as backlog.
    pub fn set_backlog(&self, waiting: bool) {
        self.settings.backlog().store(waiting.into(), Ordering::Release);
    }

    /// Sets whether an event wakes a caller of [`Active::wait`](super::Active::wait). A program that is running may
    /// miss the change: poll the rings once more, some milliseconds later, before waiting.
    pub fn set_wakeup(&self, wakeup: bool) {
        let flags = if wakeup { libbpf_sys::BPF_RB_FORCE_WAKEUP } else { libbpf_sys::BPF_RB_NO_WAKEUP };
        self.settings.submit_flags().store(flags, Ordering::Release);
    }

    /// Sets whether only targets are recorded, not every task.
    pub fn set_targets_only(&self, only: bool) {
        self.settings.targets_only().store(only.into(), Ordering::Release);
    }

    /// Records only these tracepoints from now on.
    ///
    /// # Errors
    /// [`ProbeError::NotLoaded`] for a tracepoint that was not named when the probe was loaded
    /// ([`ProbeOptions::tracepoints`](super::ProbeOptions::tracepoints)). Nothing changes then.
    pub fn set_tracepoints(&self, tracepoints: TracepointSet) -> Result<(), ProbeError> {
        if let Some(missing) = tracepoints.iter().find(|tracepoint| !self.tracepoints.contains(*tracepoint)) {
            return Err(ProbeError::NotLoaded(missing.name().into()));
        }
        let bits = tracepoints.iter().fold(0, |bits, tracepoint| bits | tracepoint_bit(tracepoint).0);
        self.store_tracepoints(|_| bits);
        Ok(())
    }

    /// Stores which tracepoints are recorded, and which of them sampling leaves out.
    fn store_tracepoints(&self, recorded: impl Fn(u32) -> u32) {
        let sampling = self.sampling().is_some();
        let left_out = Tracepoint::ALL.iter().filter(|tracepoint| sampling && is_left_out(**tracepoint));
        let left_out = left_out.fold(0, |bits, tracepoint| bits | tracepoint_bit(*tracepoint).0 << 8);
        let update = |before| Some(recorded(before & !TracepointBits::SC_TP_LEFT_OUT.0) | left_out);
        let tracepoints = self.settings.tracepoints();
        // This cannot fail: `update` always returns a value.
        let _ = tracepoints.fetch_update(Ordering::AcqRel, Ordering::Acquire, update);
    }

    /// Records these events of these slots, `None` for no events. Other slots do not change.
    pub(super) fn want(&self, slots: impl IntoIterator<Item = (usize, Option<SlotEvents>)>) {
        let mask = Wanted::SC_WANT_ENTER.0 | Wanted::SC_WANT_EXIT.0 | Wanted::SC_FOR_NAMES.0;
        for (slot, events) in slots {
            self.update_wanted(slot, mask, events.map_or(0, SlotEvents::bits));
        }
        self.route_numbers();
    }

    /// Records calls that the tables do not know in these directions; `None` for not at all.
    pub(super) fn want_unknown(&self, directions: Option<Directions>) {
        let mask = Wanted::SC_WANT_ENTER.0 | Wanted::SC_WANT_EXIT.0;
        let bit = |wanted: bool, bit: Wanted| if wanted { bit.0 } else { 0 };
        let bits = directions.map_or(0, |directions| {
            bit(directions.enter, Wanted::SC_WANT_ENTER) | bit(directions.exit, Wanted::SC_WANT_EXIT)
        });
        unknown_slots().for_each(|slot| self.update_wanted(slot, mask, bits));
        self.route_numbers();
    }

    /// Sets whether, among the events that keep names right, only those about directories are recorded.
    pub(super) fn set_directories_only(&self, only: bool) {
        self.settings.directories_only().store(only.into(), Ordering::Release);
    }

    /// Records a task (a thread id) and its future children.
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

    /// Stops recording a task.
    pub fn remove_target(&self, tid: u32) -> Result<(), ProbeError> {
        match self.targets.delete(&tid.to_ne_bytes()) {
            Err(e) if !matches!(e.kind(), libbpf_rs::ErrorKind::NotFound) => {
                Err(ProbeError::Target { tid, reason: e.to_string() })
            }
            _ => Ok(()),
        }
    }

    /// Returns whether any target is left.
    pub fn has_targets(&self) -> bool {
        self.targets.keys().next().is_some()
    }

    /// Returns whether a task is a target.
    pub fn is_target(&self, tid: u32) -> bool {
        matches!(self.targets.lookup(&tid.to_ne_bytes(), MapFlags::ANY), Ok(Some(_)))
    }
}

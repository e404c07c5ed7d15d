//! The counters that the programs keep for each CPU, in shared memory (`struct sc_cpu`).

use std::{
    io,
    mem::offset_of,
    ops::Range,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    time::Duration,
};

use libbpf_rs::libbpf_sys;
use rustix::{
    mm::ProtFlags,
    time::{ClockId, clock_gettime},
};
use scapd_bpf::types;

use super::{
    programs::{PRIVATE, PRIVATE_EVENTS},
    settings::array_len,
};
use crate::{
    clocks::{Clocks, Machine},
    ring::{buffer::Mapping, merge::ProgramProgress},
};
use scap::{
    events::{EVENTS, EventType},
    ledger::{Cause, LeftOut, Losses},
};

/// The counters of one event type. Events that were seen and not lost went into a ring.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Events that a program began to record.
    pub seen: u64,
    /// Events for which the ring had no room.
    pub lost_ring_full: u64,
    /// Events for which the ring had no room because the recorder was waiting for the disk.
    pub lost_backlog: u64,
    /// Events larger than an event block may be.
    pub lost_too_large: u64,
    /// Events for which the scratch area was in use.
    pub lost_no_scratch: u64,
}

impl Counters {
    /// Returns the number of events that were seen but lost.
    pub fn lost(&self) -> u64 {
        self.lost_ring_full + self.lost_backlog + self.lost_too_large + self.lost_no_scratch
    }

    /// Returns the losses by cause.
    pub fn losses(&self) -> Losses {
        let mut losses = Losses::default();
        losses.add(Cause::RingFull, self.lost_ring_full);
        losses.add(Cause::Backlog, self.lost_backlog);
        losses.add(Cause::TooLarge, self.lost_too_large);
        losses.add(Cause::NoScratch, self.lost_no_scratch);
        losses
    }

    /// Returns the number of events that went into a ring.
    pub fn written(&self) -> u64 {
        self.seen.saturating_sub(self.lost())
    }

    fn add(&mut self, other: Counters) {
        self.seen += other.seen;
        self.lost_ring_full += other.lost_ring_full;
        self.lost_backlog += other.lost_backlog;
        self.lost_too_large += other.lost_too_large;
        self.lost_no_scratch += other.lost_no_scratch;
    }
}

/// Losses that belong to no event type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuLosses {
    /// Events for which there was no program to call.
    pub no_program: u64,
    /// Children that are not followed because the targets were full.
    pub targets_full: u64,
    /// Events on CPUs without counters, which came after the probe was loaded.
    pub no_cpu: u64,
}

/// The counters of all CPUs together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProbeTotals {
    /// The counters of each event type that was seen.
    pub events: Vec<(EventType, Counters)>,
    /// Losses that belong to no type.
    pub losses: CpuLosses,
    /// Events left out on purpose.
    pub left_out: LeftOut,
    /// Program runs that the kernel skipped because another task's run was in progress on the CPU.
    pub skipped: u64,
}

impl ProbeTotals {
    /// Returns the sum over all event types.
    pub fn sum(&self) -> Counters {
        let mut sum = Counters::default();
        for (_, counters) in &self.events {
            sum.add(*counters);
        }
        sum
    }

    /// Returns all losses, by cause.
    pub fn losses(&self) -> Losses {
        let mut losses = self.sum().losses();
        losses.add(Cause::NoProgram, self.losses.no_program);
        losses.add(Cause::NoCpu, self.losses.no_cpu);
        losses.add(Cause::Skipped, self.skipped);
        losses
    }

    /// Returns the number of losses of all causes.
    pub fn lost(&self) -> u64 {
        self.losses().sum()
    }
}

/// The number of event types with counters.
pub const COUNTED: usize = array_len(|cpu: &types::sc_cpu| &cpu.events);
const _: () = assert!(COUNTED == EVENTS.len() + PRIVATE_EVENTS);

/// Returns the place of an event type among the counters (`SC_COUNTER` of include/extensions_dimensions.h); `None` for a type
/// that is not counted, such as that of an extension.
#[inline]
pub fn counted(ty: EventType) -> Option<usize> {
    match ty.0.checked_sub(PRIVATE) {
        None => Some(ty.0.into()).filter(|place| *place < EVENTS.len()),
        Some(private) => Some(EVENTS.len() + usize::from(private)).filter(|place| *place < COUNTED),
    }
}

/// Returns the event types that programs record.
fn recorded() -> impl Iterator<Item = EventType> {
    let of_the_format = EVENTS.iter().filter(|event| event.program.is_some()).map(|event| event.ty);
    of_the_format.chain((PRIVATE..).take(PRIVATE_EVENTS).map(EventType))
}

/// The mapped counters.
#[derive(Debug)]
pub(super) struct Cpus {
    memory: Mapping,
    cpus: usize,
    boot_time: u64,
    clocks: Machine,
}

const WAYS: usize = array_len(|cpu: &types::sc_cpu| &cpu.running);
const STRIDE: usize = size_of::<types::sc_cpu>().next_multiple_of(8);

impl Cpus {
    pub(super) fn map(fd: impl AsFd, cpus: usize, boot_time: u64) -> io::Result<Cpus> {
        let len = (STRIDE * cpus).next_multiple_of(rustix::param::page_size());
        let memory = Mapping::new(&fd, len, ProtFlags::READ, 0)?;
        Ok(Cpus { memory, cpus, boot_time, clocks: Machine::new() })
    }

    pub(super) fn set_boot_time(&mut self, boot_time: u64) {
        self.boot_time = boot_time;
    }

    pub(super) fn boot_time(&self) -> u64 {
        self.boot_time
    }

    fn read(&self, cpu: usize, offset: usize) -> u64 {
        self.memory.word(cpu * STRIDE + offset).load(std::sync::atomic::Ordering::Acquire)
    }

    fn counters(&self, cpu: usize, place: usize) -> Counters {
        let base = offset_of!(types::sc_cpu, events) + place * size_of::<types::sc_counters>();
        let field = |offset| self.read(cpu, base + offset);
        // Read the losses first: programs count an event as seen before they count it as lost.
        Counters {
            lost_ring_full: field(offset_of!(types::sc_counters, lost_ring_full)),
            lost_backlog: field(offset_of!(types::sc_counters, lost_backlog)),
            lost_too_large: field(offset_of!(types::sc_counters, lost_too_large)),
            lost_no_scratch: field(offset_of!(types::sc_counters, lost_no_scratch)),
            seen: field(offset_of!(types::sc_counters, seen)),
        }
    }

    /// Returns the sums over some CPUs, without skipped runs.
    pub(super) fn totals(&self, cpus: Range<usize>) -> ProbeTotals {
        let mut totals = ProbeTotals::default();
        for (ty, place) in recorded().filter_map(|ty| Some((ty, counted(ty)?))) {
            let mut sum = Counters::default();
            for cpu in cpus.clone() {
                sum.add(self.counters(cpu, place));
            }
            if sum.seen != 0 {
                totals.events.push((ty, sum));
            }
        }
        let losses = offset_of!(types::sc_cpu, losses);
        let left_out = offset_of!(types::sc_cpu, left_out);
        for cpu in cpus {
            totals.losses.no_program += self.read(cpu, losses + offset_of!(types::sc_cpu_losses, no_program));
            totals.losses.targets_full +=
                self.read(cpu, losses + offset_of!(types::sc_cpu_losses, targets_full));
            totals.left_out.add(LeftOut {
                failed: self.read(cpu, left_out + offset_of!(types::sc_left_out, failed)),
                sampled: self.read(cpu, left_out + offset_of!(types::sc_left_out, sampled)),
                sieved: self.read(cpu, left_out + offset_of!(types::sc_left_out, sieved)),
                ..LeftOut::default()
            });
        }
        totals
    }

    /// Returns the number of losses of each CPU, without skipped runs.
    pub(super) fn lost(&self) -> impl Iterator<Item = u64> {
        (0..self.cpus).map(|cpu| self.read(cpu, offset_of!(types::sc_cpu, lost)))
    }
}

/// What verifying a program cost, and its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProgramCost {
    /// The program.
    pub name: &'static str,
    /// Instructions that the verifier processed; 0 before Linux 5.16, which does not report it.
    pub verified: u32,
    /// Size of the machine code in bytes.
    pub machine_code: u32,
    /// When it was loaded, ns since boot.
    pub loaded_at: u64,
}

/// The kernel's count of an attached program's runs, and their time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramRuns {
    /// The program: a dispatcher, or one on a tracepoint of its own.
    pub name: String,
    /// Runs since it was loaded.
    pub runs: u64,
    /// Their total time in ns, including the programs that it called.
    pub time: u64,
}

pub(super) fn runs(name: String, program: BorrowedFd<'_>) -> Option<ProgramRuns> {
    let info = info(program)?;
    Some(ProgramRuns { name, runs: info.run_cnt, time: info.run_time_ns })
}

/// Makes the kernel count runs and time of all BPF programs while this value lives. That slows each of them a little.
#[derive(Debug)]
pub struct RunStatistics(#[expect(dead_code, reason = "closed when dropped")] OwnedFd);

impl RunStatistics {
    /// Turns the counting on (Linux 5.8).
    ///
    /// # Errors
    /// Errors of the kernel, which requires CAP_SYS_ADMIN.
    pub fn enable() -> io::Result<RunStatistics> {
        // SAFETY: takes a number, and returns a new descriptor or an error.
        let fd = unsafe { libbpf_sys::bpf_enable_stats(libbpf_sys::BPF_STATS_RUN_TIME) };
        if fd < 0 {
            return Err(io::Error::from_raw_os_error(-fd));
        }
        // SAFETY: the descriptor is new and has no other owner.
        Ok(RunStatistics(unsafe { OwnedFd::from_raw_fd(fd) }))
    }
}

pub(super) fn cost(name: &'static str, program: BorrowedFd<'_>) -> Option<ProgramCost> {
    let info = info(program)?;
    Some(ProgramCost {
        name,
        verified: info.verified_insns,
        machine_code: info.jited_prog_len,
        loaded_at: info.load_time,
    })
}

/// Returns how often the kernel skipped a program because another run of it was in progress on the CPU
/// (`recursion_misses` of the program's info, since 5.12); 0 if the kernel does not report it.
pub(super) fn skipped_runs(program: BorrowedFd<'_>) -> u64 {
    info(program).map_or(0, |info| info.recursion_misses)
}

fn info(program: BorrowedFd<'_>) -> Option<libbpf_sys::bpf_prog_info> {
    let mut info = libbpf_sys::bpf_prog_info::default();
    let mut len = size_of_val(&info) as u32;
    // SAFETY: the structure is plain numbers, `len` is its size, and the kernel writes no more than that.
    let result = unsafe { libbpf_sys::bpf_prog_get_info_by_fd(program.as_raw_fd(), &mut info, &mut len) };
    (result == 0).then_some(info)
}

impl ProgramProgress for Cpus {
    fn now(&self) -> u64 {
        self.boot_time + self.clocks.boot()
    }

    /// Returns the time without suspends, during which no program runs.
    fn elapsed(&self) -> Duration {
        let now = clock_gettime(ClockId::Monotonic);
        Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
    }

    fn cpus(&self) -> usize {
        self.cpus
    }

    fn is_idle(&self, cpu: usize) -> bool {
        let running = offset_of!(types::sc_cpu, running);
        (0..WAYS).all(|way| self.read(cpu, running + way * size_of::<u64>()) == 0)
    }
}

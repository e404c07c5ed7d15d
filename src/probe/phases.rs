//! The phases of a probe.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

use libbpf_rs::{Link, ProgramMut};
use scapd_bpf::ScapdSkel;

use super::{
    Attach, Control, DynamicSnaplen, Preemption, ProbeError, ProbeTotals, ProgramCost, ProgramRuns, RawEvent,
    Refused, RingLayout, SampleRatio,
    alarm::Alarm,
    attach,
    control::Directions,
    counters::{self, Cpus},
    cpus::CpuSet,
    families::Families,
    heads::Head,
    io_uring::IoUring,
    parts::Further,
    programs,
    settings::ProgramSettings,
    slots,
    tasks::TaskIds,
};
use crate::{
    kernel,
    ring::{
        buffer::RingBuffer,
        merge::{Merge, ProgramProgress},
    },
};
use scap::{
    events::{EVENTS, Event, EventType, Schema, Syscall},
    select::{Selection, Tracepoint, TracepointSet},
};

/// The first sleep between two polls of the rings. It doubles while they stay empty, up to [`LONGEST_PAUSE`].
const SHORTEST_PAUSE: Duration = Duration::from_micros(500);
const LONGEST_PAUSE: Duration = Duration::from_millis(8);

/// The options of a probe. Those that [`Control`] has no setter for are fixed when the probe is opened.
#[derive(Debug, Clone)]
pub struct ProbeOptions {
    /// How the syscall programs are attached.
    pub attach: Attach,
    /// Size in bytes of each online CPU's ring, and of the one ring for all other CPUs: a power of two.
    pub ring_size: u64,
    /// Maximum size of all rings together, in bytes. If the rings would take more, CPUs share rings.
    pub ring_budget: u64,
    /// Size in bytes of the ring that all CPUs share for events that build a reader's state (processes, descriptors),
    /// used when their own ring is full: a power of two.
    pub reserve_size: u64,
    /// Maximum number of bytes that the extension of an exec event keeps of the arguments, and of the environment. With more
    /// than the default, what the arguments leave of 64 KiB limits the environment.
    pub args_limit: u32,
    /// Whether events keep the environment of programs.
    pub env: bool,
    /// Whether events keep the data that calls move; if not, the snaplen has no effect.
    pub data: bool,
    /// Maximum number of data bytes that an event keeps. Can be changed later, like the next four: see [`Control`].
    pub snaplen: u32,
    /// Traffic of which more data is kept.
    pub dynamic_snaplen: Option<DynamicSnaplen>,
    /// Record the extensions of events: parameters that the format has no field for.
    pub extensions: bool,
    /// Leave out the returns of calls that failed.
    pub drop_failed: bool,
    /// Record only a part of each second.
    pub sampling: Option<SampleRatio>,
    /// Which events are recorded of the calls given to [`Opened::load`] and [`Loaded::select`].
    pub directions: Directions,
    /// Maximum number of tasks followed at once; 0 to record every task.
    pub targets: u32,
    /// Tracepoints to record; by default the ends of threads and io_uring.
    pub tracepoints: TracepointSet,
    /// Also record calls that the tables do not know, as generic events with code 0.
    pub unknown_calls: bool,
    /// Whether [`Control::set_filter`] has an effect. The programs load faster without.
    pub filters: bool,
    /// The version of the event table that events follow.
    pub schema: Schema,
    /// The machine's boot time, ns since the epoch. An event's time is this plus the boot-time clock. `None` computes
    /// it from the current clocks. A recording ([`record`](crate::record)) follows the wall clock from there on.
    pub boot_time: Option<u64>,
}

impl ProbeOptions {
    /// The default of [`args_limit`](ProbeOptions::args_limit): an event with its extension has at most 64 KiB, so both the
    /// arguments and the environment fit with it.
    pub const ARGS_LIMIT: u32 = 24 << 10;
}

impl Default for ProbeOptions {
    fn default() -> ProbeOptions {
        ProbeOptions {
            attach: Attach::Auto,
            ring_size: 8 << 20,
            ring_budget: 512 << 20,
            reserve_size: 4 << 20,
            args_limit: ProbeOptions::ARGS_LIMIT,
            env: true,
            data: true,
            snaplen: 80,
            dynamic_snaplen: None,
            extensions: true,
            drop_failed: false,
            sampling: None,
            directions: Directions { enter: true, exit: true },
            targets: 0,
            filters: true,
            tracepoints: TracepointSet::default(),
            unknown_calls: false,
            schema: Schema::default(),
            boot_time: None,
        }
    }
}

/// The first phase: the kernel and the options are checked, nothing is loaded.
#[derive(Debug)]
pub struct Opened {
    pub(super) options: ProbeOptions,
    pub(super) layout: RingLayout,
    pub(super) cpus: CpuSet,
    /// Its tracepoints, if they are to be recorded.
    pub(super) io_uring: Option<IoUring>,
}

/// The second phase: the programs are in the kernel.
pub struct Loaded {
    // The skeleton unmaps the settings' memory, so they come before it and are dropped first.
    pub(super) settings: ProgramSettings,
    pub(super) skel: ScapdSkel<'static>,
    pub(super) further: Further,
    pub(super) merge: Merge<RingBuffer>,
    pub(super) alarm: Alarm,
    pub(super) cpus: Cpus,
    pub(super) layout: RingLayout,
    pub(super) attach: Attach,
    pub(super) preemption: Preemption,
    pub(super) directions: Directions,
    pub(super) loaded: Selection,
    pub(super) tracepoints: TracepointSet,
    pub(super) has_io_uring: bool,
    pub(super) unknown_calls: bool,
    pub(super) tasks: TaskIds,
    pub(super) refused: Vec<Refused>,
    pub(super) without_function: Vec<&'static str>,
    pub(super) families: Families,
}

/// The third phase: the programs run at every system call and return at once, because the gate is closed.
pub struct Attached {
    probe: Loaded,
    // Dropping the links detaches the programs.
    _links: Vec<Link>,
    _heads: Vec<OwnedFd>,
}

/// The last phase: events are recorded.
pub struct Active {
    probe: Attached,
}

impl Opened {
    /// Checks the options and the kernel, and counts the CPUs.
    pub fn new(options: &ProbeOptions) -> Result<Opened, ProbeError> {
        let version = kernel::version();
        if version < (5, 8) {
            let release = rustix::system::uname().release().to_string_lossy().into_owned();
            return Err(ProbeError::KernelTooOld { release });
        }
        if !Path::new("/sys/kernel/btf/vmlinux").exists() {
            return Err(ProbeError::NoBtf);
        }
        let cpus = CpuSet::find_out().map_err(|e| ProbeError::failed("count the CPUs", e))?;
        let layout =
            RingLayout::new(options.ring_size, options.ring_budget, cpus.online.len(), cpus.may_come())?;
        RingLayout::new(options.reserve_size, 0, 1, false)?;
        let io_uring = options.tracepoints.contains(Tracepoint::IoUring).then(IoUring::find_out).flatten();
        Ok(Opened { options: options.clone(), layout, cpus, io_uring })
    }
}

impl Loaded {
    /// Attaches the programs. The gate stays closed.
    pub fn attach(self) -> Result<Attached, ProbeError> {
        let mut links = Vec::new();
        let progs = &self.skel.progs;
        for (program, tracepoint) in
            [(&progs.dispatch_exit, "sys_exit"), (&progs.dispatch_enter, "sys_enter")]
        {
            if !program.autoload() {
                continue;
            }
            links.push(attach::attach(program, self.attach, tracepoint)?);
        }
        for program in programs::on_tracepoints(progs) {
            links.push(program.attach_trace().map_err(|e| {
                ProbeError::libbpf(format!("attach {}", program.name().to_string_lossy()), e)
            })?);
        }
        let heads = self.families.heads.iter().map(Head::attach).collect::<Result<_, _>>()?;
        Ok(Attached { probe: self, _links: links, _heads: heads })
    }

    /// Returns the translation from ids in /proc to ids in events.
    pub fn tasks(&self) -> &TaskIds {
        &self.tasks
    }

    /// Returns whether requests of io_uring are recorded: they were asked for, and this kernel has tracepoints for them that
    /// scapd knows.
    pub fn has_io_uring(&self) -> bool {
        self.has_io_uring
    }

    /// Returns the programs that the kernel refused.
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }

    /// Returns the calls that are not recorded because the kernel has no function for them, or hides it:
    /// [`Attach::Function`].
    pub fn without_function(&self) -> &[&'static str] {
        &self.without_function
    }

    /// Returns the number of event programs that were loaded.
    pub fn programs(&self) -> usize {
        let loaded = |event: &&Event| self.program(event.ty).is_some();
        EVENTS.iter().filter(loaded).count()
    }

    /// Returns the loaded program of an event.
    fn program(&self, event: EventType) -> Option<BorrowedFd<'_>> {
        programs::descriptor(&self.skel.progs, event).or_else(|| self.further.get(&event).map(AsFd::as_fd))
    }

    /// Returns what verifying each event program cost, in load order.
    pub fn costs(&self) -> Vec<ProgramCost> {
        let cost = |event: &Event| {
            let program = self.program(event.ty)?;
            counters::cost(event.program?, program)
        };
        let mut costs: Vec<_> = EVENTS.iter().filter_map(cost).collect();
        costs.sort_by_key(|cost| cost.loaded_at);
        costs
    }

    /// Returns how the syscall programs are attached.
    pub fn attach_style(&self) -> Attach {
        self.attach
    }

    /// Returns whether syscall programs attached by `tp_btf` can be preempted.
    pub fn preemption(&self) -> Preemption {
        self.preemption
    }

    /// Returns how the memory for events is divided.
    pub fn layout(&self) -> RingLayout {
        self.layout
    }

    /// Returns access to the settings that can change at any time.
    pub fn control(&self) -> Control<'_> {
        Control {
            settings: &self.settings,
            targets: &self.skel.maps.targets,
            tracepoints: self.tracepoints,
            sampled_calls: &self.skel.maps.sampled_calls,
            verdicts: &self.skel.maps.verdicts,
            texts: &self.skel.maps.texts,
        }
    }

    /// Sets the machine's boot time, ns since the epoch. An event's time is this plus the boot-time clock.
    pub fn set_boot_time(&mut self, boot_time: u64) {
        self.control().set_boot_time(boot_time);
        self.cpus.set_boot_time(boot_time);
    }

    /// Records only these calls from now on, in the [directions](ProbeOptions::directions) of the options.
    ///
    /// # Errors
    /// [`ProbeError::NotLoaded`] for a call that was not named when the probe was loaded. Nothing changes then.
    pub fn select(&self, calls: &[&'static Syscall]) -> Result<(), ProbeError> {
        self.select_events(&self.directions.of(calls))
    }

    /// Records only these events from now on, and leaves calls that the tables do not know as they are.
    ///
    /// # Errors
    /// [`ProbeError::NotLoaded`] for a call whose event was not named when the probe was loaded. Nothing changes then.
    pub fn select_events(&self, selection: &Selection) -> Result<(), ProbeError> {
        if let Some(call) = self.loaded.missing(selection) {
            return Err(ProbeError::NotLoaded(call.name.into()));
        }
        let control = self.control();
        control.set_directories_only(selection.for_names.directories_only);
        let wanted = slots::wanted_slots(selection);
        let loaded = slots::wanted_slots(&self.loaded);
        control.want(loaded.keys().map(|slot| (*slot, wanted.get(slot).copied())));
        Ok(())
    }

    /// Sets whether calls that the tables do not know are recorded from now on.
    ///
    /// # Errors
    /// [`ProbeError::NotLoaded`] if the probe was loaded without [`ProbeOptions::unknown_calls`].
    pub fn select_unknown(&self, wanted: bool) -> Result<(), ProbeError> {
        if !self.unknown_calls {
            return if wanted { Err(ProbeError::NotLoaded("unknown calls".into())) } else { Ok(()) };
        }
        self.control().want_unknown(wanted.then_some(self.directions));
        Ok(())
    }

    /// Returns the used bytes and the size of each ring; the last one is the reserve.
    pub fn rings(&self) -> impl Iterator<Item = (u64, u64)> {
        let used = |ring: &RingBuffer| ring.producer_pos().saturating_sub(ring.consumer_pos());
        self.merge.rings().map(move |ring| (used(ring), ring.size()))
    }

    /// Returns the sample ratio; `None` without sampling.
    pub fn sampling(&self) -> Option<SampleRatio> {
        self.control().sampling()
    }

    /// Returns the boot time that event times are based on, ns since the epoch.
    pub fn boot_time(&self) -> u64 {
        self.cpus.boot_time()
    }

    /// Returns the number of epochs that the merge gave up because a program did not end. The order of events around
    /// them is not guaranteed.
    pub fn stalled(&self) -> u64 {
        self.merge.stalled()
    }

    /// Returns the map of the counters, `cpus` in bpf/maps.h. For tests that change the values which programs read.
    #[doc(hidden)]
    pub fn counters_map(&self) -> BorrowedFd<'_> {
        self.skel.maps.cpus.as_fd()
    }

    /// Returns the counters of all CPUs together.
    pub fn totals(&self) -> ProbeTotals {
        let heads = self.families.heads.iter().map(|head| head.program.as_fd());
        let attached = programs::attached(&self.skel.progs).map(AsFd::as_fd).chain(heads);
        let skipped = attached.map(counters::skipped_runs).sum();
        let mut totals = ProbeTotals { skipped, ..self.cpus.totals(0..self.cpus()) };
        totals.losses.no_cpu = self.settings.lost_elsewhere().load(Ordering::Acquire);
        totals
    }

    /// Returns how often and how long the attached programs have run: 0 unless the kernel counts it ([`RunStatistics`],
    /// or the sysctl kernel.bpf_stats_enabled).
    ///
    /// [`RunStatistics`]: super::RunStatistics
    pub fn runs(&self) -> Vec<ProgramRuns> {
        let runs = |p: &ProgramMut<'_>| counters::runs(p.name().to_string_lossy().into_owned(), p.as_fd());
        let heads = self.families.heads.iter();
        let heads = heads.filter_map(|head| counters::runs(head.function.clone(), head.program.as_fd()));
        programs::attached(&self.skel.progs).filter_map(runs).chain(heads).collect()
    }

    /// Returns the counters of one CPU, without skipped runs: the kernel does not say on which CPU it skipped a run.
    pub fn totals_of(&self, cpu: usize) -> ProbeTotals {
        self.cpus.totals(cpu..cpu + 1)
    }

    /// Returns the number of events that each CPU has lost so far, without skipped runs. The last number is for the
    /// CPUs without counters, which came later. Cheap enough to call often.
    pub fn lost(&self) -> impl Iterator<Item = u64> {
        self.cpus.lost().chain([self.settings.lost_elsewhere().load(Ordering::Acquire)])
    }

    /// Returns the number of CPUs that have counters: those present, and on most machines all that may come.
    pub fn cpus(&self) -> usize {
        self.cpus.cpus()
    }

    /// Returns the current time on the scale of event times, ns since the epoch.
    pub fn now(&self) -> u64 {
        self.cpus.now()
    }
}

impl Attached {
    /// Detaches the programs. System calls then run at full speed.
    pub fn detach(self) -> Loaded {
        self.probe
    }

    /// Opens the gate. Events are recorded from here on.
    pub fn start(self) -> Active {
        self.probe.control().set_active(true);
        Active { probe: self }
    }

    /// Returns the loaded probe.
    pub fn probe(&self) -> &Loaded {
        &self.probe
    }
}

impl Active {
    /// Returns the next event in time order; `None` if none comes within this time. To also wait for something else,
    /// call this with a fraction of a second in a loop.
    pub fn next_within(&mut self, limit: Duration) -> Option<RawEvent<'_>> {
        let deadline = Instant::now().checked_add(limit);
        let mut pause = SHORTEST_PAUSE;
        loop {
            let probe = &mut self.probe.probe;
            if probe.merge.is_ready(&probe.cpus) {
                return self.next_event();
            }
            let left =
                deadline.map_or(LONGEST_PAUSE, |deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return None;
            }
            thread::sleep(pause.min(left));
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Returns the next event in time order; `None` if none is ready, as in any pause of the machine. Does not block.
    pub fn next_event(&mut self) -> Option<RawEvent<'_>> {
        let probe = &mut self.probe.probe;
        let merged = probe.merge.next(&probe.cpus)?;
        Some(RawEvent::of_record(merged.cpu, merged.late, merged.bytes))
    }

    /// Waits until a ring has an event; returns false on a timeout or a signal. Programs must wake the recorder
    /// ([`Control::set_wakeup`]).
    pub fn wait(&self, limit: Duration) -> Result<bool, ProbeError> {
        self.probe.probe.alarm.wait(limit).map_err(|e| ProbeError::failed("wait for an event", e))
    }

    /// Closes the gate. Events in the rings stay there and come out after the next [`start`](Attached::start). To take
    /// them now, [close the gate](Self::close_gate) and drain the rings first.
    pub fn stop(self) -> Attached {
        self.close_gate();
        self.probe
    }

    /// Returns whether every recorded event has been taken. Call it after closing the gate.
    pub fn is_drained(&self) -> bool {
        self.probe.probe.merge.is_drained()
    }

    /// Closes the gate without leaving the phase, so that the rings can be drained.
    pub fn close_gate(&self) {
        self.probe.probe.control().set_active(false);
    }

    /// Opens the gate again.
    pub fn open_gate(&self) {
        self.probe.probe.control().set_active(true);
    }

    /// Returns the loaded probe.
    pub fn probe(&self) -> &Loaded {
        &self.probe.probe
    }
}

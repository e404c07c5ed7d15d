//! The phases of a probe.

use std::{
    os::fd::{AsFd, BorrowedFd},
    path::Path,
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

use libbpf_rs::{Link, ProgramMut};
use scapd_bpf::ScapdSkel;

use super::{
    Attach, Control, DynamicSnaplen, Preemption, ProbeError, ProgramCost, ProgramRuns, RawEvent, RingLayout,
    SampleRatio, Totals,
    alarm::Alarm,
    attach,
    control::{self, Directions},
    counters::{self, Cpus},
    cpus::CpuSet,
    programs,
    settings::Settings,
    tasks::TaskIds,
};
use crate::ring::{
    buffer::RingBuffer,
    merge::{Merge, Progress},
};
use scap::{
    events::{EVENTS, Event, Schema, Syscall},
    select::{Selection, TracepointSet},
};

/// How long to sleep between two looks at the rings: longer and longer while there is nothing.
const SHORTEST_PAUSE: Duration = Duration::from_micros(500);
const LONGEST_PAUSE: Duration = Duration::from_millis(8);

/// What is fixed when a probe is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// How the syscall programs are attached.
    pub attach: Attach,
    /// Bytes of the ring of each CPU that is online, and of one for all others: a power of two.
    pub ring_size: u64,
    /// Bytes of all rings together: beyond it, CPUs share rings.
    pub ring_budget: u64,
    /// Bytes of the ring that all CPUs share for events that build a reader's state (processes, descriptors), when their
    /// own ring is full: a power of two.
    pub reserve_size: u64,
    /// Bytes of data that an event keeps at most; may be changed later, as the next three: see [`Control`].
    pub snaplen: u32,
    /// Traffic of which more is kept.
    pub dynamic_snaplen: Option<DynamicSnaplen>,
    /// Leave out the returns of calls that failed.
    pub drop_failed: bool,
    /// Record a part of each second.
    pub sampling: Option<SampleRatio>,
    /// Which events of a call are recorded, of those that are given to [`Opened::load`] and [`Loaded::select`].
    pub directions: Directions,
    /// How many tasks can be followed at once; 0 if every task is to be recorded.
    pub targets: u32,
    /// Tracepoints to record; the ends of threads by default.
    pub tracepoints: TracepointSet,
    /// Record calls that the tables do not know, too: as generic events with code 0.
    pub unknown_calls: bool,
    /// Which version of the event table events follow.
    pub schema: Schema,
    /// When the machine was started, in ns since the epoch: event times are this plus the boot-time clock. `None`:
    /// worked out from the clocks of this moment. A recording ([`record`](crate::record)) follows the wall clock from there
    /// on.
    pub boot_time: Option<u64>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            attach: Attach::Auto,
            ring_size: 8 << 20,
            ring_budget: 512 << 20,
            reserve_size: 4 << 20,
            snaplen: 80,
            dynamic_snaplen: None,
            drop_failed: false,
            sampling: None,
            directions: Directions { enter: true, exit: true },
            targets: 0,
            tracepoints: TracepointSet::default(),
            unknown_calls: false,
            schema: Schema::default(),
            boot_time: None,
        }
    }
}

/// A program that the kernel refused: its event is recorded as a generic one, or not at all for a tracepoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The program.
    pub program: String,
    /// What the verifier said.
    pub log: String,
}

/// The object is open: sizes and programs can still be chosen.
#[derive(Debug)]
pub struct Opened {
    pub(super) options: Options,
    pub(super) layout: RingLayout,
    pub(super) cpus: CpuSet,
}

/// The programs are in the kernel.
pub struct Loaded {
    // The settings lie in memory that the skeleton unmaps: they stand before it, and are dropped first.
    pub(super) settings: Settings,
    pub(super) skel: ScapdSkel<'static>,
    pub(super) merge: Merge<RingBuffer>,
    pub(super) alarm: Alarm,
    pub(super) cpus: Cpus,
    pub(super) layout: RingLayout,
    pub(super) attach: Attach,
    pub(super) preemption: Preemption,
    pub(super) directions: Directions,
    pub(super) loaded: Selection,
    pub(super) tracepoints: TracepointSet,
    pub(super) unknown_calls: bool,
    pub(super) tasks: TaskIds,
    pub(super) refused: Vec<Refused>,
}

/// The programs run at every system call, and leave at once: the gate is closed.
pub struct Attached {
    probe: Loaded,
    // Dropped with the phase: the programs are detached.
    _links: Vec<Link>,
}

/// Events are recorded.
pub struct Active {
    probe: Attached,
}

impl Opened {
    /// Checks the options and the kernel.
    pub fn new(options: &Options) -> Result<Opened, ProbeError> {
        let version = attach::kernel_version();
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
        Ok(Opened { options: options.clone(), layout, cpus })
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
        Ok(Attached { probe: self, _links: links })
    }

    /// Which ids the tasks of /proc have in events.
    pub fn tasks(&self) -> &TaskIds {
        &self.tasks
    }

    /// Programs that the kernel refused.
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }

    /// How many programs of events were loaded.
    pub fn programs(&self) -> usize {
        let loaded = |event: &&Event| programs::descriptor(&self.skel.progs, event.ty).is_some();
        EVENTS.iter().filter(loaded).count()
    }

    /// What the verifier had to do for each program of an event, in the order in which they were loaded.
    pub fn costs(&self) -> Vec<ProgramCost> {
        let cost = |event: &Event| {
            let program = programs::descriptor(&self.skel.progs, event.ty)?;
            counters::cost(event.program?, program)
        };
        let mut costs: Vec<_> = EVENTS.iter().filter_map(cost).collect();
        costs.sort_by_key(|cost| cost.loaded_at);
        costs
    }

    /// The way to attach that was chosen.
    pub fn attach_style(&self) -> Attach {
        self.attach
    }

    /// Whether syscall programs could be preempted if they were attached by `tp_btf`.
    pub fn preemption(&self) -> Preemption {
        self.preemption
    }

    /// How the memory for events is divided.
    pub fn layout(&self) -> RingLayout {
        self.layout
    }

    /// What can be changed at any time.
    pub fn control(&self) -> Control<'_> {
        Control {
            settings: &self.settings,
            targets: &self.skel.maps.targets,
            tracepoints: self.tracepoints,
            sampled_calls: &self.skel.maps.sampled_calls,
        }
    }

    /// Sets when the machine was started, in ns since the epoch: event times are this plus the boot-time clock.
    pub fn set_boot_time(&mut self, boot_time: u64) {
        self.control().set_boot_time(boot_time);
        self.cpus.set_boot_time(boot_time);
    }

    /// Records these calls, and no others, from now on, in the directions of the [options](Options::directions).
    ///
    /// # Errors
    /// [`ProbeError::NotLoaded`] for a call that was not named when the probe was loaded; nothing changes then.
    pub fn select(&self, calls: &[&'static Syscall]) -> Result<(), ProbeError> {
        self.select_events(&self.directions.of(calls))
    }

    /// Records these events, and no others of calls that the tables know, from now on.
    ///
    /// # Errors
    /// [`ProbeError::NotLoaded`] for a call of which this event was not named when the probe was loaded; nothing changes
    /// then.
    pub fn select_events(&self, selection: &Selection) -> Result<(), ProbeError> {
        if let Some(call) = self.loaded.missing(selection) {
            return Err(ProbeError::NotLoaded(call.name.into()));
        }
        let control = self.control();
        control.set_directories_only(selection.for_names.directories_only);
        let wanted = control::wanted_slots(selection);
        let loaded = control::wanted_slots(&self.loaded);
        control.want(loaded.keys().map(|slot| (*slot, wanted.get(slot).copied())));
        Ok(())
    }

    /// Whether calls that the tables do not know are recorded from now on.
    ///
    /// # Errors
    /// [`ProbeError::NotLoaded`] if the probe was loaded without [`Options::unknown_calls`].
    pub fn select_unknown(&self, wanted: bool) -> Result<(), ProbeError> {
        if !self.unknown_calls {
            return if wanted { Err(ProbeError::NotLoaded("unknown calls".into())) } else { Ok(()) };
        }
        self.control().want_unknown(wanted.then_some(self.directions));
        Ok(())
    }

    /// Bytes that wait in each ring, and bytes that it has; the last one is the one in reserve.
    pub fn rings(&self) -> impl Iterator<Item = (u64, u64)> {
        let used = |ring: &RingBuffer| ring.producer_pos().saturating_sub(ring.consumer_pos());
        self.merge.rings().map(move |ring| (used(ring), ring.size()))
    }

    /// What is recorded while sampling; `None` if everything is.
    pub fn sampling(&self) -> Option<SampleRatio> {
        self.control().sampling()
    }

    /// When the machine was started, in ns since the epoch, as event times have it.
    pub fn boot_time(&self) -> u64 {
        self.cpus.boot_time()
    }

    /// Epochs of the merge that were given up, as a program did not end: the order is not promised around them.
    pub fn stalled(&self) -> u64 {
        self.merge.stalled()
    }

    /// The map of the counters, `cpus` in bpf/maps.h: for tests, which change what programs find in it.
    #[doc(hidden)]
    pub fn counters_map(&self) -> BorrowedFd<'_> {
        self.skel.maps.cpus.as_fd()
    }

    /// The counters of all CPUs.
    pub fn totals(&self) -> Totals {
        let skipped = programs::attached(&self.skel.progs).map(|p| counters::skipped_runs(p.as_fd())).sum();
        let mut totals = Totals { skipped, ..self.cpus.totals(0..self.cpus()) };
        totals.losses.no_cpu = self.settings.lost_elsewhere().load(Ordering::Acquire);
        totals
    }

    /// How often the attached programs have run, and how long: 0, unless the kernel counts it ([`RunStatistics`], or
    /// the sysctl kernel.bpf_stats_enabled).
    ///
    /// [`RunStatistics`]: super::RunStatistics
    pub fn runs(&self) -> Vec<ProgramRuns> {
        let runs = |p: &ProgramMut<'_>| counters::runs(p.name().to_string_lossy().into_owned(), p.as_fd());
        programs::attached(&self.skel.progs).filter_map(runs).collect()
    }

    /// The counters of one CPU. The kernel does not say on which CPU it skipped a run.
    pub fn totals_of(&self, cpu: usize) -> Totals {
        self.cpus.totals(cpu..cpu + 1)
    }

    /// What each CPU has lost so far, skipped runs excepted: cheap to look at often. The last number is what was lost on
    /// CPUs that came later and have no counters.
    pub fn lost(&self) -> impl Iterator<Item = u64> {
        self.cpus.lost().chain([self.settings.lost_elsewhere().load(Ordering::Acquire)])
    }

    /// The CPUs that have counters: those that are there, and on most machines all that may come.
    pub fn cpus(&self) -> usize {
        self.cpus.cpus()
    }

    /// The time, as event times have it: ns since the epoch.
    pub fn now(&self) -> u64 {
        self.cpus.now()
    }
}

impl Attached {
    /// Detaches the programs: system calls run as if there were none.
    pub fn detach(self) -> Loaded {
        self.probe
    }

    /// Opens the gate: from here on events are recorded.
    pub fn start(self) -> Active {
        self.probe.control().set_active(true);
        Active { probe: self }
    }

    /// The probe.
    pub fn probe(&self) -> &Loaded {
        &self.probe
    }
}

impl Active {
    /// The next event in time order; `None` if none comes within this time. To record until something else happens, ask
    /// for a part of a second at a time.
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

    /// The next event in time order; `None` if there is none to be had now, as in any pause of the machine. Does not
    /// block.
    pub fn next_event(&mut self) -> Option<RawEvent<'_>> {
        let probe = &mut self.probe.probe;
        let merged = probe.merge.next(&probe.cpus)?;
        Some(RawEvent { cpu: merged.cpu, bytes: merged.bytes, late: merged.late })
    }

    /// Waits until there is something in a ring, if programs wake the recorder ([`Control::set_wakeup`]); false if the
    /// time is over before, or a signal came.
    pub fn wait(&self, limit: Duration) -> Result<bool, ProbeError> {
        self.probe.probe.alarm.wait(limit).map_err(|e| ProbeError::failed("wait for an event", e))
    }

    /// Closes the gate. What is in the rings stays there, and comes out after the next [`start`](Attached::start): to have
    /// it now, [close the gate](Self::close_gate) and drain them before.
    pub fn stop(self) -> Attached {
        self.close_gate();
        self.probe
    }

    /// Whether every event that was recorded so far has been taken. Ask after the gate was closed.
    pub fn is_drained(&self) -> bool {
        self.probe.probe.merge.is_drained()
    }

    /// Closes the gate without leaving the phase, so that what is in the rings can be drained.
    pub fn close_gate(&self) {
        self.probe.probe.control().set_active(false);
    }

    /// Opens it again.
    pub fn open_gate(&self) {
        self.probe.probe.control().set_active(true);
    }

    /// The probe.
    pub fn probe(&self) -> &Loaded {
        &self.probe.probe
    }
}

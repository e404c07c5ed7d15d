//! The phases of a probe.

use std::{
    collections::BTreeSet,
    mem::MaybeUninit,
    os::fd::{AsFd, AsRawFd},
    path::Path,
};

use libbpf_rs::{
    Link, MapCore, MapFlags, MapHandle, OpenObject, OpenProgramMut, ProgramAttachType, ProgramType,
    skel::{OpenSkel, SkelBuilder},
};

use super::{
    Attach, Control, Preemption, ProbeError, RawEvent, RingLayout, Totals, attach,
    control::{self, Directions},
    counters::{self, Cpus},
    messages,
    programs::{self, Want},
    rings,
    skel::{OpenScapdProgs, OpenScapdSkel, ScapdSkel, ScapdSkelBuilder},
};
use crate::{
    events::{EVENTS, Event, EventType, Source, Syscall},
    ring::{buffer::RingBuffer, merge::Merge},
    select::TracepointSet,
};

/// The number of the generic pair's events.
const GENERIC: (EventType, EventType) = (EventType(0), EventType(1));

/// Without these there is no capture.
const ESSENTIAL: [&str; 4] = ["dispatch_enter", "dispatch_exit", "generic_e", "generic_x"];

/// What is fixed when a probe is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// How the syscall programs are attached.
    pub attach: Attach,
    /// Bytes of each CPU's ring: a power of two.
    pub ring_size: u64,
    /// Bytes of all rings together: beyond it, CPUs share rings.
    pub ring_budget: u64,
    /// Bytes of data that an event keeps at most; may be changed later.
    pub snaplen: u32,
    /// Which events of a call are recorded.
    pub directions: Directions,
    /// How many tasks can be followed at once; 0 if every task is to be recorded.
    pub targets: u32,
    /// Tracepoints to record.
    pub tracepoints: TracepointSet,
    /// Record calls that the tables do not know, too: as generic events with code 0.
    pub unknown_calls: bool,
    /// When the machine was started, in ns since the epoch: event times are this plus the boot-time clock. `None`:
    /// worked out from the clocks of this moment.
    pub boot_time: Option<u64>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            attach: Attach::Auto,
            ring_size: 8 << 20,
            ring_budget: 512 << 20,
            snaplen: 80,
            directions: Directions { enter: true, exit: true },
            targets: 0,
            tracepoints: TracepointSet::none(),
            unknown_calls: false,
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
    options: Options,
    layout: RingLayout,
    cpus: usize,
}

/// The programs are in the kernel.
pub struct Loaded {
    skel: ScapdSkel<'static>,
    merge: Merge<RingBuffer>,
    cpus: Cpus,
    layout: RingLayout,
    attach: Attach,
    preemption: Preemption,
    directions: Directions,
    loaded: Vec<&'static Syscall>,
    refused: Vec<Refused>,
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
        let cpus = libbpf_rs::num_possible_cpus().map_err(|e| ProbeError::libbpf("count the CPUs", e))?;
        let layout = RingLayout::new(options.ring_size, options.ring_budget, cpus)?;
        Ok(Opened { options: options.clone(), layout, cpus })
    }

    /// Loads the programs that these calls need, and no others.
    ///
    /// A program that the kernel refuses is left out, and reported by [`Loaded::refused`].
    pub fn load(self, calls: &[&'static Syscall]) -> Result<Loaded, ProbeError> {
        let preemption = Preemption::find_out()?;
        let attach = self.choose_attach(preemption)?;
        let mut refused: Vec<Refused> = Vec::new();
        loop {
            let skip: BTreeSet<&str> = refused.iter().map(|r| r.program.as_str()).collect();
            let (open, _template) = self.open(attach, preemption, calls, &skip)?;
            let (result, said) = messages::collect(|| open.load());
            match result {
                Ok(skel) => return self.loaded(skel, attach, preemption, calls, refused),
                Err(error) => match messages::refused_program(&said) {
                    Some(program) if ESSENTIAL.contains(&program) || skip.contains(program) => {
                        return Err(ProbeError::Refused { program: program.into(), log: said });
                    }
                    Some(program) => refused.push(Refused { program: program.into(), log: said.clone() }),
                    None => return Err(ProbeError::libbpf("load the BPF programs", error)),
                },
            }
        }
    }

    fn choose_attach(&self, preemption: Preemption) -> Result<Attach, ProbeError> {
        let chosen = match (self.options.attach, preemption) {
            (Attach::Auto, Preemption::On) => Attach::Tracepoint,
            (Attach::Auto, Preemption::Off) => Attach::Btf,
            (chosen, _) => chosen,
        };
        if chosen == Attach::Tracepoint {
            attach::check_tracepoint()?;
        }
        Ok(chosen)
    }

    fn open(
        &self,
        attach: Attach,
        preemption: Preemption,
        calls: &[&'static Syscall],
        skip: &BTreeSet<&str>,
    ) -> Result<(OpenScapdSkel<'static>, MapHandle), ProbeError> {
        // The skeleton borrows this storage for as long as it lives, and a probe owns its skeleton: two words for
        // each probe ever opened are given away so that no type here has to refer to itself.
        let storage: &'static mut MaybeUninit<OpenObject> = Box::leak(Box::new(MaybeUninit::uninit()));
        let (open, _) = messages::collect(|| ScapdSkelBuilder::default().open(storage));
        let mut open = open.map_err(|e| ProbeError::libbpf("open the BPF object", e))?;
        let template = self.set_sizes(&mut open)?;
        let Some(rodata) = open.maps.rodata_data.as_deref_mut() else {
            return Err(ProbeError::failed("open the BPF object", "it has no constants"));
        };
        rodata.sc_constants.attach = u32::from(attach == Attach::Tracepoint);
        rodata.sc_constants.preemptible = u32::from(attach == Attach::Btf && preemption == Preemption::On);
        rodata.sc_constants.page_kib = (rustix::param::page_size() / 1024) as u32;
        control::fill_routes(&mut rodata.sc_routes);
        let events = self.wanted_events(calls, skip);
        self.choose_programs(&mut open.progs, attach, &events, skip);
        Ok((open, template))
    }

    /// Returns the ring that describes the others to the kernel: it must live until the object is loaded.
    fn set_sizes(&self, open: &mut OpenScapdSkel<'static>) -> Result<MapHandle, ProbeError> {
        let cpus = self.cpus as u32;
        let sized = |e| ProbeError::libbpf("set the size of a map", e);
        open.maps.cpus.set_max_entries(cpus).map_err(sized)?;
        open.maps.rings.set_max_entries(cpus).map_err(sized)?;
        open.maps.scratch.set_max_entries(cpus * 3).map_err(sized)?;
        open.maps.targets.set_max_entries(self.options.targets.max(1)).map_err(sized)?;
        let inner = rings::create(self.layout.ring_size).map_err(|e| {
            ProbeError::libbpf(format!("create a ring of {} bytes", self.layout.ring_size), e)
        })?;
        open.maps
            .rings
            .set_inner_map_fd(inner.as_fd())
            .map_err(|e| ProbeError::libbpf("describe the rings", e))?;
        Ok(inner)
    }

    /// The events that these calls are recorded as.
    fn wanted_events(&self, calls: &[&'static Syscall], skip: &BTreeSet<&str>) -> BTreeSet<EventType> {
        let mut events = BTreeSet::new();
        for call in calls {
            let (enter, exit) = routes(call, |program| !skip.contains(program));
            events.extend(self.options.directions.enter.then_some(enter));
            events.extend(self.options.directions.exit.then_some(exit));
        }
        if self.options.unknown_calls {
            events.extend(self.options.directions.enter.then_some(GENERIC.0));
            events.extend(self.options.directions.exit.then_some(GENERIC.1));
        }
        events
    }

    fn choose_programs(
        &self,
        programs: &mut OpenScapdProgs<'static>,
        attach: Attach,
        events: &BTreeSet<EventType>,
        skip: &BTreeSet<&str>,
    ) {
        let set_up = |program: &mut OpenProgramMut<'_>, wanted: bool, syscall: bool| {
            program.set_autoload(wanted && !skip.contains(program.name().to_string_lossy().as_ref()));
            if syscall && attach == Attach::Tracepoint {
                program.set_prog_type(ProgramType::Tracepoint);
                // The value 0: no attach type.
                program.set_attach_type(ProgramAttachType::CgroupInetIngress);
            }
        };
        programs::for_each_open(programs, |event, program| {
            let syscall = EVENTS[usize::from(event.0)].source == Source::Syscall;
            set_up(program, syscall && events.contains(&event), syscall);
        });
        programs::for_each_helper(programs, |program| program.set_autoload(false));
        let directions = self.options.directions;
        set_up(&mut programs.dispatch_enter, directions.enter, true);
        set_up(&mut programs.dispatch_exit, directions.exit, true);
        let follow = self.options.targets > 0;
        let tracepoints = self.options.tracepoints;
        programs::for_each_tracepoint(programs, |want, program| {
            let wanted = match want {
                Want::Follow => follow,
                Want::FollowAnd(tracepoint) => follow || tracepoints.contains(tracepoint),
                Want::Tracepoint(tracepoint) => tracepoints.contains(tracepoint),
                #[cfg(target_arch = "aarch64")]
                Want::Exit(tracepoint, program) => {
                    tracepoints.contains(tracepoint)
                        || event_by_program(program).is_some_and(|event| events.contains(&event.ty))
                }
            };
            set_up(program, wanted, false);
        });
    }

    fn loaded(
        &self,
        skel: ScapdSkel<'static>,
        attach: Attach,
        preemption: Preemption,
        calls: &[&'static Syscall],
        refused: Vec<Refused>,
    ) -> Result<Loaded, ProbeError> {
        let boot_time =
            self.options.boot_time.unwrap_or_else(|| counters::wall_clock() - counters::boot_clock());
        let (_fds, rings) = rings::set_up(&skel.maps.rings, self.layout, self.cpus)?;
        let cpus = Cpus::map(skel.maps.cpus.as_fd(), self.cpus, boot_time)
            .map_err(|e| ProbeError::failed("map the counters into memory", e))?;
        let slots = self.routed_slots(&skel, calls);
        fill_program_arrays(&skel, &slots, self.options.directions)?;
        let mut loaded = Loaded {
            skel,
            merge: Merge::new(rings),
            cpus,
            layout: self.layout,
            attach,
            preemption,
            directions: self.options.directions,
            loaded: calls.to_vec(),
            refused,
        };
        loaded.set_boot_time(boot_time)?;
        let control = loaded.control()?;
        control.set_snaplen(self.options.snaplen);
        control.set_targets_only(self.options.targets > 0);
        control.set_tracepoints(self.options.tracepoints);
        for (slot, _) in slots {
            control.want(slot, self.options.directions);
        }
        Ok(loaded)
    }

    /// The slots to record, each with the events of its call.
    fn routed_slots(
        &self,
        skel: &ScapdSkel<'static>,
        calls: &[&'static Syscall],
    ) -> Vec<(usize, (EventType, EventType))> {
        let is_loaded = |program: &str| {
            crate::events::event_by_program(program)
                .is_some_and(|event| programs::descriptor(&skel.progs, event.ty).is_some())
        };
        let known = calls.iter().flat_map(|call| {
            let events = routes(call, is_loaded);
            control::slots(call).map(move |slot| (slot, events))
        });
        let unknown = self.options.unknown_calls.then(control::unknown_slots).into_iter().flatten();
        known.chain(unknown.map(|slot| (slot, GENERIC))).collect()
    }
}

/// The events that a call's entry and return are recorded as: its own where the program is to be had, else the generic
/// ones.
fn routes(call: &Syscall, available: impl Fn(&str) -> bool) -> (EventType, EventType) {
    let own = |event: Option<&'static Event>, generic| match event {
        Some(event) if event.program.is_some_and(&available) => event.ty,
        _ => generic,
    };
    (own(call.enter(), GENERIC.0), own(call.exit(), GENERIC.1))
}

fn fill_program_arrays(
    skel: &ScapdSkel<'static>,
    slots: &[(usize, (EventType, EventType))],
    directions: Directions,
) -> Result<(), ProbeError> {
    for (slot, (enter, exit)) in slots {
        for (wanted, array, event) in [
            (directions.enter, &skel.maps.enter_programs, *enter),
            (directions.exit, &skel.maps.exit_programs, *exit),
        ] {
            let Some(program) = programs::descriptor(&skel.progs, event).filter(|_| wanted) else { continue };
            array
                .update(&(*slot as u32).to_ne_bytes(), &program.as_raw_fd().to_ne_bytes(), MapFlags::ANY)
                .map_err(|e| ProbeError::libbpf("route a call to its program", e))?;
        }
    }
    Ok(())
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
            let link = match self.attach {
                Attach::Tracepoint => {
                    program.attach_tracepoint(libbpf_rs::TracepointCategory::RawSyscalls, tracepoint)
                }
                _ => program.attach_trace(),
            };
            links.push(link.map_err(|e| ProbeError::libbpf(format!("attach to {tracepoint}"), e))?);
        }
        for program in programs::on_tracepoints(progs) {
            links.push(program.attach_trace().map_err(|e| {
                ProbeError::libbpf(format!("attach {}", program.name().to_string_lossy()), e)
            })?);
        }
        Ok(Attached { probe: self, _links: links })
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
    pub fn control(&self) -> Result<Control<'_>, ProbeError> {
        match self.skel.maps.bss_data.as_deref() {
            Some(bss) => Ok(Control { settings: &bss.sc_settings, targets: &self.skel.maps.targets }),
            None => Err(ProbeError::failed("reach the settings", "the BPF object has none")),
        }
    }

    /// Sets when the machine was started, in ns since the epoch: event times are this plus the boot-time clock.
    pub fn set_boot_time(&mut self, boot_time: u64) -> Result<(), ProbeError> {
        self.control()?.set_boot_time(boot_time);
        self.cpus.set_boot_time(boot_time);
        Ok(())
    }

    /// Records these calls, and no others, from now on.
    ///
    /// # Errors
    /// [`ProbeError::NotLoaded`] for a call that was not named when the probe was loaded; nothing changes then.
    pub fn select(&self, calls: &[&'static Syscall]) -> Result<(), ProbeError> {
        if let Some(call) = calls.iter().find(|call| !self.loaded.contains(call)) {
            return Err(ProbeError::NotLoaded(call.name.into()));
        }
        let control = self.control()?;
        for call in &self.loaded {
            let wanted = calls.contains(call);
            for slot in control::slots(call) {
                control.want(
                    slot,
                    Directions {
                        enter: wanted && self.directions.enter,
                        exit: wanted && self.directions.exit,
                    },
                );
            }
        }
        Ok(())
    }

    /// When the machine was started, in ns since the epoch, as event times have it.
    pub fn boot_time(&self) -> u64 {
        self.cpus.boot_time()
    }

    /// Epochs of the merge that were given up, as a program did not end: the order is not promised around them.
    pub fn stalled(&self) -> u64 {
        self.merge.stalled()
    }

    /// The counters of all CPUs.
    pub fn totals(&self) -> Totals {
        let progs = &self.skel.progs;
        let dispatch = [&progs.dispatch_enter, &progs.dispatch_exit].into_iter().filter(|p| p.autoload());
        let attached = dispatch.chain(programs::on_tracepoints(progs));
        let skipped = attached.map(|p| counters::skipped_runs(p.as_fd())).sum();
        Totals { skipped, ..self.cpus.totals() }
    }
}

impl Attached {
    /// Opens the gate: from here on events are recorded.
    pub fn start(self) -> Result<Active, ProbeError> {
        self.probe.control()?.set_active(true);
        Ok(Active { probe: self })
    }

    /// The probe.
    pub fn probe(&self) -> &Loaded {
        &self.probe
    }
}

impl Active {
    /// The next event in time order; `None` if there is none to be had now. Does not block.
    pub fn next_event(&mut self) -> Option<RawEvent<'_>> {
        let probe = &mut self.probe.probe;
        let merged = probe.merge.next(&probe.cpus)?;
        Some(RawEvent { cpu: merged.ring as u16, bytes: merged.bytes })
    }

    /// Closes the gate. Events that are still in the rings can be drained before.
    pub fn stop(self) -> Result<Attached, ProbeError> {
        self.probe.probe.control()?.set_active(false);
        Ok(self.probe)
    }

    /// Whether every event that was recorded so far has been taken. Ask after the gate was closed.
    pub fn is_drained(&self) -> bool {
        self.probe.probe.merge.is_drained()
    }

    /// Closes the gate without leaving the phase, so that what is in the rings can be drained.
    pub fn close_gate(&self) -> Result<(), ProbeError> {
        self.probe.probe.control()?.set_active(false);
        Ok(())
    }

    /// The probe.
    pub fn probe(&self) -> &Loaded {
        &self.probe.probe
    }
}

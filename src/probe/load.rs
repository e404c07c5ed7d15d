//! Loads the programs into the kernel.

use std::{
    collections::BTreeSet,
    mem::MaybeUninit,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
};

use libbpf_rs::{
    MapCore, MapFlags, MapHandle, OpenObject, OpenProgramMut,
    skel::{OpenSkel, SkelBuilder},
};
use scapd_bpf::{OpenScapdProgs, OpenScapdSkel, ScapdSkel, ScapdSkelBuilder, types};

use super::{
    Attach, Loaded, Opened, Preemption, ProbeError, Refused,
    alarm::Alarm,
    attach, calls,
    control::Directions,
    counters::Cpus,
    error::is_out_of_descriptors,
    messages,
    object::set_style,
    programs::{self, Want},
    rings,
    settings::ProgramSettings,
    slots,
    tasks::TaskIds,
};
use crate::{clocks::Machine, kernel, limits, ring::merge::Merge};
use scap::{
    events::{Arch, Event, EventType, Schema, Syscall, event_by_program},
    select::Selection,
};

/// The generic events: on a call's entry, and on its return.
const GENERIC: (EventType, EventType) = (EventType(0), EventType(1));

/// The programs that every capture needs.
const ESSENTIAL: [&str; 4] = ["dispatch_enter", "dispatch_exit", "generic_e", "generic_x"];

impl Opened {
    /// Loads only the programs that these calls need, for the [directions](super::ProbeOptions::directions) of the options.
    ///
    /// Leaves out a program that the kernel refuses: see [`Loaded::refused`].
    pub fn load(self, calls: &[&'static Syscall]) -> Result<Loaded, ProbeError> {
        let selection = self.options.directions.of(calls);
        self.load_events(&selection)
    }

    /// Loads only the programs that these events need. Unlike [`load`](Self::load), each call may have its own
    /// directions: all returns, say, and the entries of some calls.
    pub fn load_events(self, selection: &Selection) -> Result<Loaded, ProbeError> {
        let tasks = TaskIds::find_out()?;
        let preemption = Preemption::find_out(&tasks)?;
        let attach = self.choose_attach(preemption)?;
        let mut refused: Vec<Refused> = Vec::new();
        loop {
            let skip: BTreeSet<&str> = refused.iter().map(|r| r.program.as_str()).collect();
            let (open, _template) = self.open(attach, preemption, selection, &skip)?;
            let (result, said) = messages::collect(|| open.load());
            match result {
                Ok(skel) => {
                    let mut loaded = self.loaded(skel, attach, preemption, selection, tasks)?;
                    loaded.refused = refused;
                    return Ok(loaded);
                }
                Err(error)
                    if messages::out_of_descriptors(&said)
                        || is_out_of_descriptors(&error)
                        || limits::open_files() < limits::FEWEST =>
                {
                    let limit = limits::open_files();
                    return Err(ProbeError::OpenFiles { what: "load the BPF programs".into(), limit });
                }
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
            (Attach::Auto, Preemption { possible: true, .. }) => Attach::Tracepoint,
            (Attach::Auto, _) => Attach::Btf,
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
        selection: &Selection,
        skip: &BTreeSet<&str>,
    ) -> Result<(OpenScapdSkel<'static>, MapHandle), ProbeError> {
        // A probe owns its skeleton, which borrows this storage. Leaking two words for each probe avoids a
        // self-referential type.
        let storage: &'static mut MaybeUninit<OpenObject> = Box::leak(Box::new(MaybeUninit::uninit()));
        let (open, _) = messages::collect(|| ScapdSkelBuilder::default().open(storage));
        let mut open = open.map_err(|e| ProbeError::libbpf("open the BPF object", e))?;
        open.maps.floor_ring.set_autocreate(false).map_err(|e| ProbeError::libbpf("leave out a map", e))?;
        let template = self.set_sizes(&mut open)?;
        let Some(rodata) = open.maps.rodata_data.as_deref_mut() else {
            return Err(ProbeError::failed("open the BPF object", "it has no constants"));
        };
        rodata.sc_constants.attach = u32::from(attach == Attach::Tracepoint);
        rodata.sc_constants.preemptible = u32::from(attach == Attach::Btf && preemption.possible);
        rodata.sc_constants.tracepoints_preemptible = u32::from(preemption.possible);
        rodata.sc_constants.page_kib = (rustix::param::page_size() / 1024) as u32;
        rodata.sc_constants.schema = schema_number(self.options.schema);
        if let Some(io_uring) = self.io_uring {
            io_uring.fill(&mut rodata.sc_constants);
        }
        rodata.sc_constants.args_limit = self.options.args_limit;
        rodata.sc_constants.filters = u32::from(self.options.filters);
        rodata.sc_constants.arguments = u32::from(self.compares_arguments());
        rodata.sc_constants.no_env = u32::from(!self.options.env);
        rodata.sc_constants.no_data = u32::from(!self.options.data);
        for (place, slot) in rodata
            .sc_constants
            .direct
            .iter_mut()
            .zip(slots::direct_slots(selection.enter.union(&selection.exit)))
        {
            place.0 = slot;
        }
        slots::fill_routes(&mut rodata.sc_routes);
        calls::fill(&mut rodata.sc_calls);
        let routes = self.routes(selection, |program| !skip.contains(program));
        self.choose_programs(&mut open.progs, attach, &routes, skip);
        Ok((open, template))
    }

    /// Sets the sizes of the maps. Returns the ring that describes the others to the kernel; it must live until the
    /// object is loaded.
    fn set_sizes(&self, open: &mut OpenScapdSkel<'static>) -> Result<MapHandle, ProbeError> {
        let sized = |e| ProbeError::libbpf("set the size of a map", e);
        open.maps.cpus.set_max_entries(self.cpus.counted as u32).map_err(sized)?;
        open.maps.rings.set_max_entries(self.cpus.possible as u32).map_err(sized)?;
        open.maps.reserve.set_max_entries(self.options.reserve_size as u32).map_err(sized)?;
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

    /// Returns whether the programs compare arguments, if a filter has tests of them: programs that have functions call
    /// another one for that, which takes Linux 5.10, and on arm64 6.0.
    fn compares_arguments(&self) -> bool {
        let first = if Arch::NATIVE == Arch::X86_64 { (5, 10) } else { (6, 0) };
        self.options.filters && kernel::version() >= first
    }

    fn choose_programs(
        &self,
        programs: &mut OpenScapdProgs<'static>,
        attach: Attach,
        routes: &[Route],
        skip: &BTreeSet<&str>,
    ) {
        let events: BTreeSet<_> =
            routes.iter().flat_map(|route| [route.enter, route.exit]).flatten().collect();
        let enters = routes.iter().any(|route| route.enter.is_some());
        let exits = routes.iter().any(|route| route.exit.is_some());
        let set_up = |program: &mut OpenProgramMut<'_>, wanted: bool, syscall: bool| {
            program.set_autoload(wanted && !skip.contains(program.name().to_string_lossy().as_ref()));
            if syscall {
                set_style(program, attach);
            }
        };
        programs::for_each_open(programs, &mut |event, syscall, program| {
            set_up(program, syscall && events.contains(&event), syscall);
        });
        programs::for_each_helper(programs, &mut |program| program.set_autoload(false));
        set_up(&mut programs.dispatch_enter, enters, true);
        set_up(&mut programs.dispatch_exit, exits, true);
        // Always loaded: a setting that needs them can be made at any time.
        let OpenScapdProgs { rules_enter, drop_e_on_enter, drop_x_on_enter, .. } = programs;
        for program in [rules_enter, drop_e_on_enter, drop_x_on_enter] {
            set_up(program, enters, true);
        }
        let OpenScapdProgs { rules_exit, drop_e, drop_x, .. } = programs;
        for program in [rules_exit, drop_e, drop_x] {
            set_up(program, exits, true);
        }
        let compares = self.compares_arguments();
        set_up(&mut programs.sift_enter, enters && compares, true);
        set_up(&mut programs.sift_exit, exits && compares, true);
        let follow = self.options.targets > 0;
        let tracepoints = self.options.tracepoints;
        programs::for_each_tracepoint(programs, &mut |want, program| {
            let wanted = match want {
                Want::Follow => follow,
                Want::FollowAnd(tracepoint) => follow || tracepoints.contains(tracepoint),
                Want::Tracepoint(tracepoint) => tracepoints.contains(tracepoint),
                Want::IoUring(hook) => self.io_uring.is_some_and(|io_uring| io_uring.has(hook)),
                #[cfg(target_arch = "x86_64")]
                Want::With(program) => {
                    event_by_program(program).is_some_and(|event| events.contains(&event.ty))
                }
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
        mut skel: ScapdSkel<'static>,
        attach: Attach,
        preemption: Preemption,
        selection: &Selection,
        tasks: TaskIds,
    ) -> Result<Loaded, ProbeError> {
        let boot_time = self.options.boot_time.unwrap_or_else(|| Machine::new().boot_time());
        let alarm = Alarm::new().map_err(|e| ProbeError::failed("create an epoll instance", e))?;
        let mut all_rings = rings::set_up(&skel.maps.rings, self.layout, &self.cpus, &alarm)?;
        rings::watch(skel.maps.reserve.as_fd(), &alarm)?;
        all_rings.push(rings::map(skel.maps.reserve.as_fd(), self.options.reserve_size as u32)?);
        let cpus = Cpus::map(skel.maps.cpus.as_fd(), self.cpus.counted, boot_time)
            .map_err(|e| ProbeError::failed("map the counters into memory", e))?;
        let routes = self.loaded_routes(&skel, selection);
        fill_program_arrays(&skel, &routes)?;
        let Some(bss) = skel.maps.bss_data.take() else {
            return Err(ProbeError::failed("find the settings", "the BPF object has none"));
        };
        let mut loaded = Loaded {
            settings: ProgramSettings::new(bss),
            skel,
            merge: Merge::new(all_rings),
            alarm,
            cpus,
            layout: self.layout,
            attach,
            preemption,
            directions: self.options.directions,
            loaded: *selection,
            tracepoints: self.options.tracepoints,
            has_io_uring: self.io_uring.is_some(),
            unknown_calls: self.options.unknown_calls,
            tasks,
            refused: Vec::new(),
        };
        loaded.set_boot_time(boot_time);
        let control = loaded.control();
        control.skip_process(None);
        control.set_wakeup(false);
        control.set_snaplen(self.options.snaplen);
        control.set_dynamic_snaplen(self.options.dynamic_snaplen);
        control.set_extensions(self.options.extensions);
        control.set_drop_failed(self.options.drop_failed);
        control.set_sampling(self.options.sampling);
        control.set_targets_only(self.options.targets > 0);
        control.set_tracepoints(self.options.tracepoints)?;
        loaded.select_events(selection)?;
        loaded.select_unknown(self.options.unknown_calls)?;
        Ok(loaded)
    }

    fn loaded_routes(&self, skel: &ScapdSkel<'static>, selection: &Selection) -> Vec<Route> {
        self.routes(selection, |program| {
            event_by_program(program)
                .is_some_and(|event| programs::descriptor(&skel.progs, event.ty).is_some())
        })
    }

    /// Returns the routes of these calls: to their own programs if available, else to the generic ones. Events that
    /// only keep names right have no generic route: a generic event names nothing.
    fn routes(&self, selection: &Selection, available: impl Fn(&str) -> bool) -> Vec<Route> {
        let own = |event: Option<&'static Event>| {
            event.filter(|event| event.program.is_some_and(&available)).map(|event| event.ty)
        };
        let known = slots::wanted_slots(selection).into_iter().map(|(slot, events)| {
            let (enter, exit) = (|| own(events.call.enter()), || own(events.call.exit()));
            Route {
                slot,
                enter: events.enter.then(|| enter().unwrap_or(GENERIC.0)),
                exit: match events.exit {
                    true => Some(exit().unwrap_or(GENERIC.1)),
                    false if events.for_names => exit(),
                    false => None,
                },
            }
        });
        let unknown = self.options.unknown_calls.then(slots::unknown_slots).into_iter().flatten();
        let Directions { enter, exit } = self.options.directions;
        let (enter, exit) = (enter.then_some(GENERIC.0), exit.then_some(GENERIC.1));
        known.chain(unknown.map(|slot| Route { slot, enter, exit })).collect()
    }
}

/// Returns the programs' number of a schema.
fn schema_number(schema: Schema) -> types::sc_schema {
    match schema {
        Schema::V0_23 => types::sc_schema::SC_SCHEMA_0_23,
        Schema::V0_25 => types::sc_schema::SC_SCHEMA_0_25,
    }
}

/// The events that a slot is recorded as.
struct Route {
    slot: usize,
    /// The event of its entry, if recorded.
    enter: Option<EventType>,
    /// The event of its return, if recorded.
    exit: Option<EventType>,
}

fn fill_program_arrays(skel: &ScapdSkel<'static>, routes: &[Route]) -> Result<(), ProbeError> {
    let (on_enter, on_exit) = (&skel.maps.enter_programs, &skel.maps.exit_programs);
    for route in routes {
        for (array, event) in [(on_enter, route.enter), (on_exit, route.exit)] {
            let program = event.and_then(|event| programs::descriptor(&skel.progs, event));
            set_program(array, route.slot, program)?;
        }
    }
    for (array, is_enter) in [(on_enter, true), (on_exit, false)] {
        for (slot, program) in slots::rule_slots().zip(programs::of_rules(&skel.progs, is_enter)) {
            set_program(array, slot, program)?;
        }
    }
    Ok(())
}

/// Routes a slot to a program, if one is given.
fn set_program(array: &impl MapCore, slot: usize, program: Option<BorrowedFd<'_>>) -> Result<(), ProbeError> {
    let Some(program) = program else { return Ok(()) };
    array
        .update(&(slot as u32).to_ne_bytes(), &program.as_raw_fd().to_ne_bytes(), MapFlags::ANY)
        .map_err(|e| ProbeError::libbpf("route a call to its program", e))
}

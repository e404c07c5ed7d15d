//! Loads the programs into the kernel.

use std::{collections::BTreeSet, mem::MaybeUninit, os::fd::AsFd};

use libbpf_rs::{
    MapHandle, OpenObject, OpenProgramMut,
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
    families::{self, Families, Family},
    functions::{Functions, Targets},
    heads, messages,
    object::{Style, set_style, style_number},
    parts::{self, Failure, Further, Part},
    programs::{self, Want},
    rings,
    routes::{self, Route},
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
const ESSENTIAL: [&str; 6] =
    ["dispatch_enter", "dispatch_exit", "head_enter", "head_exit", "generic_e", "generic_x"];

/// The programs that were loaded: those of the object, and those beside it.
type Programs = (ScapdSkel<'static>, Further, Families);

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
        let targets = (attach == Attach::Function).then(|| targets(selection)).transpose()?;
        let mut refused: Vec<Refused> = Vec::new();
        loop {
            let skip: BTreeSet<&str> = refused.iter().map(|r| r.program.as_str()).collect();
            let routes = self.routes(selection, |program| !skip.contains(program));
            let (open, _template) = self.open(attach, preemption, selection)?;
            let loaded = match &targets {
                Some(targets) => self.load_families(open, targets, &routes, &skip),
                None => self.load_parts(open, attach, &routes, &skip),
            };
            match loaded {
                Ok(programs) => {
                    let mut loaded = self.loaded(programs, attach, preemption, selection, tasks)?;
                    loaded.refused.extend(refused);
                    loaded.without_function = targets.map(|targets| targets.without).unwrap_or_default();
                    return Ok(loaded);
                }
                Err((error, said))
                    if messages::out_of_descriptors(&said)
                        || is_out_of_descriptors(&error)
                        || limits::open_files() < limits::FEWEST =>
                {
                    let limit = limits::open_files();
                    return Err(ProbeError::OpenFiles { what: "load the BPF programs".into(), limit });
                }
                Err((error, said)) => match messages::refused_program(&said) {
                    Some(program) if ESSENTIAL.contains(&program) || skip.contains(program) => {
                        return Err(ProbeError::Refused { program: program.into(), log: said });
                    }
                    Some(program) => refused.push(Refused { program: program.into(), log: said.clone() }),
                    None => return Err(ProbeError::libbpf("load the BPF programs", error)),
                },
            }
        }
    }

    /// Loads the programs of calls in parts, each by a thread.
    fn load_parts(
        &self,
        mut open: OpenScapdSkel<'static>,
        attach: Attach,
        routes: &[Route],
        skip: &BTreeSet<&str>,
    ) -> Result<Programs, Failure> {
        let parts = Part::all(routes::events(routes).len());
        let style = Style { attach, function: None };
        let choose = |open: &mut OpenScapdSkel<'_>, part| {
            self.choose_programs(&mut open.progs, style, routes, skip, part);
        };
        choose(&mut open, parts[0]);
        self.choose_tracepoints(&mut open.progs, attach, routes, skip);
        let (skel, further) = parts::load(open, &parts[1..], &choose)?;
        Ok((skel, further, Families::default()))
    }

    /// Loads the programs of calls for their functions.
    fn load_families(
        &self,
        mut open: OpenScapdSkel<'static>,
        targets: &Targets,
        routes: &[Route],
        skip: &BTreeSet<&str>,
    ) -> Result<Programs, Failure> {
        let none = Style { attach: Attach::Function, function: None };
        self.choose_programs(&mut open.progs, none, &[], skip, Part::only());
        self.choose_tracepoints(&mut open.progs, Attach::Function, routes, skip);
        let (skel, said) = messages::collect(|| open.load());
        let skel = skel.map_err(|error| (error, said))?;
        let mut families = families::load(&skel, &Family::all(targets, routes), &|open, family| {
            let style = Style { function: family.function(), ..none };
            self.choose_programs(&mut open.progs, style, &family.routes, skip, Part::only());
        })?;
        let further = std::mem::take(&mut families.programs);
        Ok((skel, further, families))
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
        rodata.sc_constants.attach = style_number(attach);
        rodata.sc_constants.preemptible = u32::from(is_preemptible(attach, preemption));
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
        programs: &mut OpenScapdProgs<'_>,
        style: Style<'_>,
        routes: &[Route],
        skip: &BTreeSet<&str>,
        part: Part,
    ) {
        let events = routes::events(routes);
        let enters = routes.iter().any(|route| route.enter.is_some());
        let exits = routes.iter().any(|route| route.exit.is_some());
        let set_up = |program: &mut OpenProgramMut<'_>, wanted: bool| {
            program.set_autoload(wanted && !skip.contains(program.name().to_string_lossy().as_ref()));
            if program.autoload() {
                set_style(program, style);
            }
        };
        let mut sizes = Vec::new();
        programs::for_each_open(programs, &mut |event, syscall, program| {
            sizes.extend((syscall && events.contains(&event)).then(|| program.insn_cnt()));
        });
        let mut chosen = part.choose(&sizes).into_iter();
        programs::for_each_open(programs, &mut |event, syscall, program| {
            let wanted = syscall && events.contains(&event) && chosen.next().unwrap_or_default();
            set_up(program, wanted);
        });
        programs::for_each_helper(programs, &mut |program| program.set_autoload(false));
        if !part.is_first() {
            return;
        }
        set_up(&mut programs.dispatch_enter, enters);
        set_up(&mut programs.dispatch_exit, exits);
        let by_function = style.attach == Attach::Function;
        set_up(&mut programs.head_enter, enters && by_function);
        set_up(&mut programs.head_exit, exits && by_function);
        // Always loaded: a setting that needs them can be made at any time.
        let OpenScapdProgs { rules_enter, drop_e_on_enter, drop_x_on_enter, .. } = programs;
        for program in [rules_enter, drop_e_on_enter, drop_x_on_enter] {
            set_up(program, enters);
        }
        let OpenScapdProgs { rules_exit, drop_e, drop_x, .. } = programs;
        for program in [rules_exit, drop_e, drop_x] {
            set_up(program, exits);
        }
        let compares = self.compares_arguments();
        set_up(&mut programs.sift_enter, enters && compares);
        set_up(&mut programs.sift_exit, exits && compares);
    }

    fn choose_tracepoints(
        &self,
        programs: &mut OpenScapdProgs<'_>,
        attach: Attach,
        routes: &[Route],
        skip: &BTreeSet<&str>,
    ) {
        let events = routes::events(routes);
        let records =
            |program: &str| event_by_program(program).is_some_and(|event| events.contains(&event.ty));
        let follow = self.options.targets > 0;
        let tracepoints = self.options.tracepoints;
        programs::for_each_tracepoint(programs, &mut |want, program| {
            let wanted = match want {
                Want::Follow => follow,
                Want::FollowAnd(tracepoint) => follow || tracepoints.contains(tracepoint),
                Want::Tracepoint(tracepoint) => tracepoints.contains(tracepoint),
                Want::IoUring(hook) => self.io_uring.is_some_and(|io_uring| io_uring.has(hook)),
                #[cfg(target_arch = "x86_64")]
                Want::With(program) => records(program),
                #[cfg(target_arch = "x86_64")]
                Want::ByFunction(all) => {
                    attach == Attach::Function && all.iter().any(|program| records(program))
                }
                #[cfg(target_arch = "aarch64")]
                Want::Exit(tracepoint, program) => tracepoints.contains(tracepoint) || records(program),
            };
            program.set_autoload(wanted && !skip.contains(program.name().to_string_lossy().as_ref()));
        });
    }

    fn loaded(
        &self,
        (mut skel, further, families): Programs,
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
        let program =
            |event| programs::descriptor(&skel.progs, event).or_else(|| further.get(&event).map(AsFd::as_fd));
        let routes = self.routes(selection, |name| {
            event_by_program(name).is_some_and(|event| program(event.ty).is_some())
        });
        if attach != Attach::Function {
            let (on_enter, on_exit) = (&skel.maps.enter_programs, &skel.maps.exit_programs);
            routes::fill(on_enter, on_exit, &routes, &program, programs::helpers(&skel.progs))
                .map_err(|e| ProbeError::libbpf("route a call to its program", e))?;
        }
        let Some(bss) = skel.maps.bss_data.take() else {
            return Err(ProbeError::failed("find the settings", "the BPF object has none"));
        };
        let mut loaded = Loaded {
            settings: ProgramSettings::new(bss),
            skel,
            further,
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
            refused: families.refused.clone(),
            without_function: Vec::new(),
            families,
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

/// Returns the functions of a selection's calls, if this kernel takes programs on functions.
fn targets(selection: &Selection) -> Result<Targets, ProbeError> {
    let functions = Functions::find_out()?;
    heads::check(&functions)?;
    Ok(Targets::of(&functions, selection))
}

/// Returns the calls that [`Attach::Function`] does not record on this kernel, as it has no functions for them, or hides them.
///
/// # Errors
/// [`ProbeError::AttachUnavailable`], with the reason, if this kernel takes no programs on functions.
pub fn calls_without_function() -> Result<Vec<&'static str>, ProbeError> {
    Ok(targets(&Selection::all())?.without)
}

/// Returns whether another task can preempt a program of a call.
fn is_preemptible(attach: Attach, preemption: Preemption) -> bool {
    match attach {
        Attach::Btf => preemption.possible,
        // Where kernel code is never preempted, this costs a little, and no more.
        Attach::Function => heads::can_be_preempted(),
        Attach::Auto | Attach::Tracepoint => false,
    }
}

/// Returns the programs' number of a schema.
fn schema_number(schema: Schema) -> types::sc_schema {
    match schema {
        Schema::V0_23 => types::sc_schema::SC_SCHEMA_0_23,
        Schema::V0_25 => types::sc_schema::SC_SCHEMA_0_25,
    }
}

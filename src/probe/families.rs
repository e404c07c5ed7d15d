//! Loads the programs of calls for the kernel's functions ([`Attach::Function`](super::Attach::Function)).
//!
//! A program array takes only programs for functions of one prototype, and the functions of calls have two: the name of their
//! argument is that of the definition, or that of a stand-in for kernels without the call. So the programs of calls are
//! loaded once for each prototype that the selection needs, with arrays of their own, and all other maps in common.

use std::{os::fd::AsFd, sync::Arc, thread};

use libbpf_rs::{MapCore, MapHandle, MapType, libbpf_sys};
use scapd_bpf::{OpenScapdSkel, ScapdSkel};

use super::{
    Refused,
    functions::{Target, Targets},
    heads::{Head, Instructions},
    messages,
    parts::{self, Failure, Further, Maps},
    programs,
    routes::{self, Route},
    settings::ProgramSettings,
};

/// The programs of calls for the kernel's functions.
#[derive(Default)]
pub(super) struct Families {
    /// One program of each event.
    pub programs: Further,
    pub heads: Vec<Head>,
    /// The kernel empties a program array when its last descriptor is closed.
    arrays: Vec<MapHandle>,
    /// The functions that have no head.
    pub refused: Vec<Refused>,
}

/// A family to load: its functions, and the routes that lead through them.
pub(super) struct Family<'a> {
    pub targets: &'a [Target],
    pub routes: Vec<Route>,
}

impl Family<'_> {
    /// Returns the families of a selection.
    pub(super) fn all<'a>(targets: &'a Targets, routes: &[Route]) -> Vec<Family<'a>> {
        let family = |(prototype, functions): (&u32, &'a Vec<Target>)| Family {
            targets: functions,
            routes: routes.iter().copied().filter(|route| targets.reach(*prototype, route.slot)).collect(),
        };
        targets.families.iter().map(family).collect()
    }

    /// Returns a function of its prototype.
    pub(super) fn function(&self) -> Option<&str> {
        self.targets.first().map(|target| target.function.leader.as_str())
    }
}

/// Loads families beside a loaded object, which has the maps. `choose` chooses the programs of a family.
pub(super) fn load(
    skel: &ScapdSkel<'static>,
    families: &[Family<'_>],
    choose: &(dyn Fn(&mut OpenScapdSkel<'_>, &Family<'_>) + Sync),
) -> Result<Families, Failure> {
    let maps = parts::maps(skel).map_err(|error| (error, String::new()))?;
    let loaded: Vec<_> = thread::scope(|scope| {
        let load = |family| {
            let maps = maps.clone();
            scope.spawn(move || load_one(family, &maps, choose))
        };
        let threads: Vec<_> = families.iter().map(load).collect();
        threads.into_iter().map(|thread| thread.join()).collect()
    });
    let mut all = Families::default();
    for family in loaded {
        let family = family.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        all.programs.extend(family.programs);
        all.heads.extend(family.heads);
        all.arrays.extend(family.arrays);
        all.refused.extend(family.refused);
    }
    Ok(all)
}

fn load_one(
    family: &Family<'_>,
    maps: &Maps,
    choose: &(dyn Fn(&mut OpenScapdSkel<'_>, &Family<'_>) + Sync),
) -> Result<Families, Failure> {
    let (loaded, said) = messages::collect(|| {
        let (on_enter, on_exit) = (program_array("enter_programs")?, program_array("exit_programs")?);
        let mut maps = maps.clone();
        for (name, fd) in &mut maps {
            if let Some(array) = [&on_enter, &on_exit].into_iter().find(|array| array.name() == name.as_str())
            {
                *fd = Some(Arc::new(array.as_fd().try_clone_to_owned()?));
            }
        }
        let take = |open: &mut OpenScapdSkel<'_>| {
            let programs = parts::loaded_programs(open)?;
            let helpers = programs::helpers_of_heads(&open.progs)?;
            routes::fill(
                &on_enter,
                &on_exit,
                &family.routes,
                &|event| programs.get(&event).map(AsFd::as_fd),
                helpers.each_ref().map(|all| all.each_ref().map(|fd| fd.as_ref().map(AsFd::as_fd))),
            )?;
            let instructions = Instructions {
                enter: open.progs.head_enter.insns().to_vec(),
                exit: open.progs.head_exit.insns().to_vec(),
            };
            let (heads, refused) = instructions.load(family.targets);
            Ok(Families { programs, heads, arrays: vec![on_enter, on_exit], refused })
        };
        let loaded = parts::load_with_maps(|open| choose(open, family), || Some(maps), take)?;
        Ok(loaded.unwrap_or_default())
    });
    loaded.map_err(|error| (error, said))
}

fn program_array(name: &str) -> libbpf_rs::Result<MapHandle> {
    let options = libbpf_sys::bpf_map_create_opts {
        sz: size_of::<libbpf_sys::bpf_map_create_opts>() as _,
        ..Default::default()
    };
    let (key, value) = (size_of::<u32>() as u32, size_of::<u32>() as u32);
    MapHandle::create(MapType::ProgArray, Some(name), key, value, ProgramSettings::SLOTS as u32, &options)
}

//! Loads the programs of calls on several CPUs: the kernel verifies one after the other of an object, and that takes most of the
//! time that a recording needs to start.
//!
//! Each part is an object of its own, opened by a thread. The first one makes the maps; the others use these. A program of a
//! further part runs only if a program array has it, so all that is left of such a part are the descriptors of its programs.

use std::{
    cmp::Reverse,
    collections::HashMap,
    ffi::CStr,
    iter,
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    ptr::{self, NonNull},
    sync::{Arc, mpsc},
    thread,
};

use libbpf_rs::{
    AsRawLibbpf, OpenObject, libbpf_sys,
    skel::{OpenSkel, Skel, SkelBuilder},
};
use scapd_bpf::{OpenScapdSkel, ScapdSkel, ScapdSkelBuilder};

use super::{messages, programs};
use scap::events::EventType;

/// The most parts. Each one has to read and relocate the object again.
const MOST: usize = 4;
/// The fewest programs of a part: fewer take less time than to open the object.
const FEWEST: usize = 24;

/// The programs of one part of several.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub index: usize,
    of: usize,
}

impl Part {
    /// Returns the parts in which to load so many programs, the first of which makes the maps.
    pub fn all(programs: usize) -> Vec<Part> {
        let cpus = thread::available_parallelism().map_or(1, usize::from);
        let of = cpus.min(MOST).min(programs / FEWEST).max(1);
        (0..of).map(|index| Part { index, of }).collect()
    }

    /// Returns the only part.
    pub const fn only() -> Part {
        Part { index: 0, of: 1 }
    }

    /// Returns which of the programs with these numbers of instructions belong to it: all parts have about as many.
    pub fn choose(self, sizes: &[usize]) -> Vec<bool> {
        let mut largest: Vec<_> = (0..sizes.len()).collect();
        largest.sort_by_key(|number| Reverse(sizes[*number]));
        let (mut sums, mut chosen) = (vec![0; self.of], vec![false; sizes.len()]);
        for number in largest {
            let least = (0..self.of).min_by_key(|part| sums[*part]).unwrap_or_default();
            sums[least] += sizes[number];
            chosen[number] = least == self.index;
        }
        chosen
    }

    /// Returns whether it is the one that makes the maps, and has all other programs.
    pub fn is_first(self) -> bool {
        self.index == 0
    }
}

/// The programs of calls that are not in the object.
pub(super) type Further = HashMap<EventType, OwnedFd>;

/// Why loading failed, and what libbpf said about it.
pub(super) type Failure = (libbpf_rs::Error, String);

/// Loads an object, whose programs are those of the first part, and beside it those of the others; `choose` chooses the
/// programs of a part.
pub(super) fn load(
    first: OpenScapdSkel<'static>,
    others: &[Part],
    choose: &(dyn Fn(&mut OpenScapdSkel<'_>, Part) + Sync),
) -> Result<(ScapdSkel<'static>, Further), Failure> {
    thread::scope(|scope| {
        let (mut waiting, mut threads) = (Vec::new(), Vec::new());
        for part in others {
            let (give, maps) = mpsc::channel();
            waiting.push(give);
            threads.push(scope.spawn(move || load_further(*part, &maps, choose)));
        }
        let (first, said) = messages::collect(|| {
            let mut first = first;
            if !waiting.is_empty() {
                let maps = prepare(&mut first)?;
                // One that does not take them says so itself.
                waiting.drain(..).for_each(|give| drop(give.send(maps.clone())));
            }
            first.load()
        });
        drop(waiting);
        let further: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
        let first = first.map_err(|error| (error, said))?;
        let mut all = Further::new();
        for programs in further {
            all.extend(programs.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok((first, all))
    })
}

/// The maps of an object by name, in its order; `None` for one that is not made.
pub(super) type Maps = Vec<(String, Option<Arc<OwnedFd>>)>;

/// Makes the maps of an object and relocates its programs. Returns the maps.
fn prepare(open: &mut OpenScapdSkel<'static>) -> libbpf_rs::Result<Maps> {
    // SAFETY: the object is open, and not loaded.
    check(unsafe { libbpf_sys::bpf_object__prepare(open.open_object().as_libbpf_object().as_ptr()) })?;
    open.open_object_mut().maps_mut().map(|map| map_of(map.as_libbpf_object())).collect()
}

/// Returns the maps of a loaded object.
pub(super) fn maps(skel: &ScapdSkel<'static>) -> libbpf_rs::Result<Maps> {
    let object = skel.object().as_libbpf_object().as_ptr();
    let next = |map: *mut libbpf_sys::bpf_map| {
        // SAFETY: the object lives, and the map is one of its own, or null for the first.
        NonNull::new(unsafe { libbpf_sys::bpf_object__next_map(object, map) })
    };
    let all = iter::successors(next(ptr::null_mut()), |map| next(map.as_ptr()));
    all.map(map_of).collect()
}

/// Returns a map of an object that is prepared or loaded.
fn map_of(map: NonNull<libbpf_sys::bpf_map>) -> libbpf_rs::Result<(String, Option<Arc<OwnedFd>>)> {
    // SAFETY: the map belongs to an object that lives, and its name ends with a NUL.
    let name = unsafe { CStr::from_ptr(libbpf_sys::bpf_map__name(map.as_ptr())) };
    let name = name.to_string_lossy().into_owned();
    // Without it, its descriptor is one that libbpf holds its place with, which is not a map's.
    // SAFETY: as above.
    if !unsafe { libbpf_sys::bpf_map__autocreate(map.as_ptr()) } {
        return Ok((name, None));
    }
    // SAFETY: as above.
    let fd = unsafe { libbpf_sys::bpf_map__fd(map.as_ptr()) };
    if fd < 0 {
        return Err(std::io::Error::from_raw_os_error(-fd).into());
    }
    // SAFETY: the object keeps the descriptor open.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    Ok((name, Some(Arc::new(fd.try_clone_to_owned()?))))
}

/// Loads the programs of a part that uses the maps of another one.
fn load_further(
    part: Part,
    maps: &mpsc::Receiver<Maps>,
    choose: &(dyn Fn(&mut OpenScapdSkel<'_>, Part) + Sync),
) -> Result<Further, Failure> {
    let (loaded, said) = messages::collect(|| {
        // Without them, the first part has failed, and says why.
        let loaded = load_with_maps(|open| choose(open, part), || maps.recv().ok(), loaded_programs)?;
        Ok(loaded.unwrap_or_default())
    });
    loaded.map_err(|error| (error, said))
}

/// Loads an object with these maps, unless there are none, and takes what is wanted of it.
pub(super) fn load_with_maps<T>(
    choose: impl FnOnce(&mut OpenScapdSkel<'_>),
    maps: impl FnOnce() -> Option<Maps>,
    take: impl FnOnce(&mut OpenScapdSkel<'_>) -> libbpf_rs::Result<T>,
) -> libbpf_rs::Result<Option<T>> {
    let mut storage: MaybeUninit<OpenObject> = MaybeUninit::uninit();
    let mut open = ScapdSkelBuilder::default().open(&mut storage)?;
    choose(&mut open);
    let Some(maps) = maps() else { return Ok(None) };
    for (mut map, (_, fd)) in open.open_object_mut().maps_mut().zip(&maps) {
        match fd {
            Some(fd) => map.reuse_fd(fd.as_fd())?,
            None => map.set_autocreate(false)?,
        }
    }
    // Not as a skeleton: that knows maps by the names that they had before.
    // SAFETY: the object is open, and not loaded.
    check(unsafe { libbpf_sys::bpf_object__load(open.open_object().as_libbpf_object().as_ptr()) })?;
    take(&mut open).map(Some)
}

/// Returns the programs of a loaded object that record events.
pub(super) fn loaded_programs(open: &mut OpenScapdSkel<'_>) -> libbpf_rs::Result<Further> {
    let mut all = Ok(Further::new());
    programs::for_each_open(&mut open.progs, &mut |event, _, program| {
        if let Ok(further) = &mut all {
            match programs::loaded(program) {
                Ok(Some(fd)) => drop(further.insert(event, fd)),
                Ok(None) => {}
                Err(error) => all = Err(error),
            }
        }
    });
    all
}

/// Returns the error of libbpf's result, if it is one.
fn check(result: i32) -> libbpf_rs::Result<()> {
    if result == 0 { Ok(()) } else { Err(libbpf_rs::Error::from_raw_os_error(-result)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_program_belongs_to_one_part() {
        assert_eq!(Part::all(FEWEST).len(), 1, "few programs");
        let parts = Part::all(1000);
        assert!(parts[0].is_first() && parts.len() <= MOST);
        let sizes = [5, 90, 6, 7, 50, 50, 3, 40];
        let parts = [0, 1, 2].map(|index| Part { index, of: 3 }.choose(&sizes));
        for number in 0..sizes.len() {
            assert_eq!(parts.iter().filter(|part| part[number]).count(), 1);
        }
        let sum = |part: &Vec<bool>| -> usize {
            sizes.iter().zip(part).map(|(size, has)| size * usize::from(*has)).sum()
        };
        assert!(parts.iter().all(|part| (70..=100).contains(&sum(part))), "{:?}", parts.each_ref().map(sum));
    }
}

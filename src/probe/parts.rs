//! Loads the programs of calls on several CPUs: the kernel verifies one after the other of an object, and that takes most of the
//! time that a recording needs to start.
//!
//! Each part is an object of its own, opened by a thread. The first one makes the maps; the others use these. A program of a
//! further part runs only if a program array has it, so all that is left of such a part are the descriptors of its programs.

use std::{
    cmp::Reverse,
    collections::HashMap,
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{Arc, mpsc},
    thread,
};

use libbpf_rs::{
    AsRawLibbpf, OpenObject, libbpf_sys,
    skel::{OpenSkel, SkelBuilder},
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
                let maps = Arc::new(prepare(&mut first)?);
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

/// The maps of an object, in its order; `None` for one that is not made.
type Maps = Vec<Option<OwnedFd>>;

/// Makes the maps of an object and relocates its programs. Returns the maps.
fn prepare(open: &mut OpenScapdSkel<'static>) -> libbpf_rs::Result<Maps> {
    // SAFETY: the object is open, and not loaded.
    check(unsafe { libbpf_sys::bpf_object__prepare(open.open_object().as_libbpf_object().as_ptr()) })?;
    let maps = open.open_object_mut().maps_mut().map(|map| {
        // Its descriptor would be one that libbpf holds its place with, which is not a map's.
        if !map.autocreate() {
            return Ok(None);
        }
        // SAFETY: the map belongs to the open object.
        let fd = unsafe { libbpf_sys::bpf_map__fd(map.as_libbpf_object().as_ptr()) };
        if fd < 0 {
            return Err(std::io::Error::from_raw_os_error(-fd));
        }
        // SAFETY: the object keeps the descriptor open.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        Ok(Some(fd.try_clone_to_owned()?))
    });
    maps.collect::<std::io::Result<_>>().map_err(libbpf_rs::Error::from)
}

/// Loads the programs of a part that uses the maps of another one.
fn load_further(
    part: Part,
    maps: &mpsc::Receiver<Arc<Maps>>,
    choose: &(dyn Fn(&mut OpenScapdSkel<'_>, Part) + Sync),
) -> Result<Further, Failure> {
    let (loaded, said) = messages::collect(|| {
        let mut storage: MaybeUninit<OpenObject> = MaybeUninit::uninit();
        let mut open = ScapdSkelBuilder::default().open(&mut storage)?;
        choose(&mut open, part);
        // Without them, the first part has failed, and says why.
        let Ok(maps) = maps.recv() else { return Ok(Further::new()) };
        for (mut map, fd) in open.open_object_mut().maps_mut().zip(&*maps) {
            match fd {
                Some(fd) => map.reuse_fd(fd.as_fd())?,
                None => map.set_autocreate(false)?,
            }
        }
        // Not as a skeleton: that knows maps by the names that they had before.
        // SAFETY: the object is open, and not loaded.
        check(unsafe { libbpf_sys::bpf_object__load(open.open_object().as_libbpf_object().as_ptr()) })?;
        loaded_programs(&mut open)
    });
    loaded.map_err(|error| (error, said))
}

/// Returns the programs of a loaded object that record events.
fn loaded_programs(open: &mut OpenScapdSkel<'_>) -> libbpf_rs::Result<Further> {
    let mut all = Ok(Further::new());
    programs::for_each_open(&mut open.progs, &mut |event, _, program| {
        if let Ok(further) = &mut all
            && program.autoload()
        {
            // SAFETY: the program belongs to the object, which keeps the descriptor open.
            let fd = unsafe {
                BorrowedFd::borrow_raw(libbpf_sys::bpf_program__fd(program.as_libbpf_object().as_ptr()))
            };
            match fd.try_clone_to_owned() {
                Ok(fd) => drop(further.insert(event, fd)),
                Err(error) => all = Err(error.into()),
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

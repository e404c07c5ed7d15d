//! Translates the task ids in /proc to those in events, which are of the initial pid namespace.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    sync::Arc,
};

use libbpf_rs::{libbpf_sys, skel::OpenSkel};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::{ProbeError, error::has_errno, messages, object::open_bare};

/// The inode of the initial pid namespace: the same on every kernel (`PROC_PID_INIT_INO`).
const INITIAL: u64 = 0xeffffffc;

/// Translates the ids in /proc, which the user sees, to those in events.
#[derive(Debug, Clone)]
pub struct TaskIds {
    /// The task iterator of bpf/tasks.c; `None` if /proc already has the ids of the initial namespace.
    iterator: Option<Arc<OwnedFd>>,
}

impl TaskIds {
    /// Finds out which pid namespaces this process and /proc belong to.
    ///
    /// # Errors
    /// [`ProbeError::PidNamespace`] if /proc belongs to neither this process's namespace nor the initial one. If ids
    /// have to be translated, the errors of [`Opened::load`](super::Opened::load).
    pub(super) fn find_out() -> Result<TaskIds, ProbeError> {
        let own = fs::metadata("/proc/self/ns/pid").map_err(|_| {
            ProbeError::PidNamespace(
                "does not show this process; mount the proc of its pid namespace there (mount -t proc proc /proc)",
            )
        })?;
        // This process is in the initial namespace, and only the /proc of that namespace shows it.
        if own.ino() == INITIAL {
            return Ok(TaskIds { iterator: None });
        }
        let (iterator, levels) = iterator()?;
        match levels_shown() {
            Some(1) => Ok(TaskIds { iterator: Some(Arc::new(iterator)) }),
            Some(shown) if shown == levels => Ok(TaskIds { iterator: None }),
            _ => Err(ProbeError::PidNamespace(
                "belongs to a pid namespace between this process's and the initial one; mount the proc of this \
                 process's own namespace there (mount -t proc proc /proc)",
            )),
        }
    }

    /// Returns whether ids have to be translated: neither this process nor /proc is in the initial pid namespace.
    pub fn are_translated(&self) -> bool {
        self.iterator.is_some()
    }

    /// Returns the process id and the thread id that this thread has in events.
    ///
    /// # Errors
    /// If /proc does not show this process, and the errors of [`look`](Self::look).
    pub fn own(&self) -> io::Result<(u32, u32)> {
        let ((pid, tid), ids) = (own_ids()?, self.look()?);
        ids.initial(pid).zip(ids.initial(tid)).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Returns the ids of the tasks that exist now.
    ///
    /// # Errors
    /// Errors of the kernel, if ids have to be translated.
    pub fn look(&self) -> io::Result<Ids> {
        let Some(link) = &self.iterator else { return Ok(Ids { initial: None }) };
        Ok(Ids { initial: Some(parse(&run(link)?)) })
    }
}

/// The ids of tasks at some moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ids {
    /// The ids in events, by the ids in /proc; `None` if they are the same.
    initial: Option<BTreeMap<u32, u32>>,
}

impl Ids {
    /// Returns the id in events of the task or the session that has this id in /proc; `None` if there is none.
    pub fn initial(&self, id: u32) -> Option<u32> {
        match &self.initial {
            Some(ids) => ids.get(&id).copied(),
            None => Some(id),
        }
    }

    /// Merges these ids with later ones. Leaves out an id that another task has got meanwhile.
    pub fn and(self, later: Ids) -> Ids {
        let (Some(mut ids), Some(later)) = (self.initial, later.initial) else {
            return Ids { initial: None };
        };
        for (own, initial) in later {
            if ids.insert(own, initial).is_some_and(|before| before != initial) {
                ids.remove(&own);
            }
        }
        Ids { initial: Some(ids) }
    }
}

/// Parses the records of bpf/tasks.c: two `struct sc_translated` for each task.
fn parse(bytes: &[u8]) -> BTreeMap<u32, u32> {
    let (words, _) = bytes.as_chunks::<4>();
    let (pairs, _) = words.as_chunks::<2>();
    let pairs = pairs.iter().map(|pair| pair.map(u32::from_ne_bytes));
    pairs.filter(|[own, initial]| *own > 0 && *initial > 0).map(|[own, initial]| (own, initial)).collect()
}

/// Returns the number of pid namespaces from that of /proc down to this process's: its ids in `NSpid`.
fn levels_shown() -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    Some(status.lines().find_map(|line| line.strip_prefix("NSpid:"))?.split_whitespace().count())
}

/// Runs the task iterator; returns what it wrote.
fn run(link: &OwnedFd) -> io::Result<Vec<u8>> {
    // SAFETY: takes the descriptor of a link, and returns a new descriptor or an error.
    let fd = unsafe { libbpf_sys::bpf_iter_create(link.as_raw_fd()) };
    if fd < 0 {
        return Err(io::Error::from_raw_os_error(-fd));
    }
    let mut bytes = Vec::new();
    // SAFETY: the descriptor is new and has no other owner.
    unsafe { File::from_raw_fd(fd) }.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Loads the task iterator; returns its link and the number of pid namespaces in which this process has an id. The link
/// keeps the program, so the object can be dropped.
fn iterator() -> Result<(OwnedFd, usize), ProbeError> {
    let load = || -> libbpf_rs::Result<_> {
        let mut storage = MaybeUninit::uninit();
        let (mut open, _inner) = open_bare(&mut storage)?;
        open.progs.list_tasks.set_autoload(true);
        let skel = open.load()?;
        let link = skel.progs.list_tasks.attach()?;
        let link = link.as_fd().try_clone_to_owned()?;
        run(&link)?;
        let level = skel.maps.bss_data.as_deref().map_or(0, |bss| bss.sc_pidns_level);
        Ok((link, level as usize + 1))
    };
    let (link, _) = messages::collect(load);
    link.map_err(|e| {
        // libbpf's errno for a function that is not in the kernel's BTF.
        let remedy = if has_errno(&e, libc::ESRCH) {
            " (the kernel's BTF has no task iterator: run scapd in the initial pid namespace)"
        } else {
            ""
        };
        ProbeError::libbpf(format!("load the program that translates process ids{remedy}"), e)
    })
}

/// Returns the process id and the thread id that this thread has in /proc.
///
/// # Errors
/// If /proc does not show this process.
fn own_ids() -> io::Result<(u32, u32)> {
    // The link is PID/task/TID.
    let link = fs::read_link("/proc/thread-self")?;
    let mut ids = link.iter().map(|part| part.to_str().and_then(|part| part.parse().ok()));
    match (ids.next(), ids.nth(1)) {
        (Some(Some(pid)), Some(Some(tid))) => Ok((pid, tid)),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Returns the id in /proc of a process of this namespace, such as a child.
///
/// # Errors
/// If there is no such process, or /proc does not show it.
pub fn id_in_proc(pid: u32) -> io::Result<u32> {
    let handle = Pid::from_raw(pid.cast_signed()).ok_or(io::ErrorKind::InvalidInput)?;
    let handle = pidfd_open(handle, PidfdFlags::empty())?;
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", handle.as_raw_fd()))?;
    let shown =
        info.lines().find_map(|line| line.strip_prefix("Pid:")).and_then(|pid| pid.trim().parse().ok());
    shown.ok_or_else(|| io::ErrorKind::NotFound.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(pairs: &[(u32, u32)]) -> Ids {
        Ids { initial: Some(pairs.iter().copied().collect()) }
    }

    #[test]
    fn records_are_pairs_of_which_either_may_be_missing() {
        let bytes: Vec<u8> =
            [1u32, 500, 1, 500, 7, 507, 0, 450].iter().flat_map(|n| n.to_ne_bytes()).collect();
        assert_eq!(Ids { initial: Some(parse(&bytes)) }, ids(&[(1, 500), (7, 507)]));
    }

    #[test]
    fn an_id_that_became_another_tasks_is_left_out() {
        let both = ids(&[(1, 500), (7, 507)]).and(ids(&[(1, 500), (7, 600), (8, 601)]));
        assert_eq!(both, ids(&[(1, 500), (8, 601)]));
        assert_eq!((both.initial(8), both.initial(7)), (Some(601), None));
        let same = Ids { initial: None };
        assert_eq!(same.clone().and(same).initial(7), Some(7));
    }

    #[test]
    fn this_process_has_its_ids() {
        let own = (std::process::id(), rustix::thread::gettid().as_raw_nonzero().get() as u32);
        assert_eq!(own_ids().unwrap(), own);
        assert_eq!(id_in_proc(own.0).unwrap(), own.0);
    }

    /// Runs the program on tasks whose ids are the same in both namespaces. Needs root.
    #[test]
    fn the_iterator_lists_the_tasks_that_there_are() {
        let (link, levels) = iterator().unwrap();
        assert_eq!(levels, levels_shown().unwrap());
        let tasks = TaskIds { iterator: Some(Arc::new(link)) };
        let (pid, tid) = own_ids().unwrap();
        let parent = std::os::unix::process::parent_id();
        let ids = tasks.look().unwrap();
        for id in [pid, tid, parent] {
            assert_eq!(ids.initial(id), Some(id));
        }
        assert_eq!(ids.initial(u32::MAX), None);
    }
}

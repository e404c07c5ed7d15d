//! Ids of tasks: those of /proc, and those of events, which are of the initial pid namespace.

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

use super::{ProbeError, load::open_bare, messages};

/// The inode of the initial pid namespace: the same on every kernel (`PROC_PID_INIT_INO`).
const INITIAL: u64 = 0xeffffffc;

/// Translates the ids that /proc has, and so the user, into those that events have.
#[derive(Debug, Clone)]
pub struct TaskIds {
    /// The task iterator of bpf/tasks.c; `None` where /proc has the initial namespace's ids itself.
    iterator: Option<Arc<OwnedFd>>,
}

impl TaskIds {
    /// Looks which pid namespace this process and /proc are of.
    ///
    /// # Errors
    /// [`ProbeError::PidNamespace`] if /proc is of a namespace that is neither this process's nor the initial one.
    /// Where ids have to be translated, as for [`Opened::load`](super::Opened::load).
    pub(super) fn find_out() -> Result<TaskIds, ProbeError> {
        let own = fs::metadata("/proc/self/ns/pid").map_err(|_| {
            ProbeError::PidNamespace(
                "it does not show this process: mount the proc of its pid namespace there",
            )
        })?;
        // A /proc that shows a process of the initial namespace is of that one.
        if own.ino() == INITIAL {
            return Ok(TaskIds { iterator: None });
        }
        let (iterator, levels) = iterator()?;
        match levels_shown() {
            Some(1) => Ok(TaskIds { iterator: Some(Arc::new(iterator)) }),
            Some(shown) if shown == levels => Ok(TaskIds { iterator: None }),
            _ => Err(ProbeError::PidNamespace(
                "it is of a pid namespace between this process's and the initial one: mount the proc of this process's \
                 own there (mount -t proc proc /proc)",
            )),
        }
    }

    /// Whether ids have to be translated: this process is in another pid namespace than the initial one, and so is /proc.
    pub fn are_translated(&self) -> bool {
        self.iterator.is_some()
    }

    /// The process id and the thread id of this thread, as events have them.
    ///
    /// # Errors
    /// If /proc does not show this process, or as for [`look`](Self::look).
    pub fn own(&self) -> io::Result<(u32, u32)> {
        let ((pid, tid), ids) = (own_ids()?, self.look()?);
        ids.initial(pid).zip(ids.initial(tid)).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// The ids of the tasks that there are now.
    ///
    /// # Errors
    /// Of the kernel, where ids have to be translated.
    pub fn look(&self) -> io::Result<Ids> {
        let Some(link) = &self.iterator else { return Ok(Ids { initial: None }) };
        Ok(Ids { initial: Some(parse(&run(link)?)) })
    }
}

/// The ids of tasks at some moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ids {
    /// By those of /proc; `None`: they are the same.
    initial: Option<BTreeMap<u32, u32>>,
}

impl Ids {
    /// The id that events have of the task, or the session, that has this id in /proc; `None` if there is none.
    pub fn initial(&self, id: u32) -> Option<u32> {
        match &self.initial {
            Some(ids) => ids.get(&id).copied(),
            None => Some(id),
        }
    }

    /// These and later ones. What has become the id of another task meanwhile is left out.
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

/// The records of bpf/tasks.c: two `struct sc_translated` for each task.
fn parse(bytes: &[u8]) -> BTreeMap<u32, u32> {
    let (words, _) = bytes.as_chunks::<4>();
    let (pairs, _) = words.as_chunks::<2>();
    let pairs = pairs.iter().map(|pair| pair.map(u32::from_ne_bytes));
    pairs.filter(|[own, initial]| *own > 0 && *initial > 0).map(|[own, initial]| (own, initial)).collect()
}

/// In how many namespaces /proc shows this process: from its own down to the process's.
fn levels_shown() -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    Some(status.lines().find_map(|line| line.strip_prefix("NSpid:"))?.split_whitespace().count())
}

/// What the task iterator writes now.
fn run(link: &OwnedFd) -> io::Result<Vec<u8>> {
    // SAFETY: takes the descriptor of a link, and returns a new descriptor or an error.
    let fd = unsafe { libbpf_sys::bpf_iter_create(link.as_raw_fd()) };
    if fd < 0 {
        return Err(io::Error::from_raw_os_error(-fd));
    }
    let mut bytes = Vec::new();
    // SAFETY: the descriptor is new, and nobody else's.
    unsafe { File::from_raw_fd(fd) }.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Loads the task iterator: its link, which keeps the program, so that the object is not needed any more; and in how many
/// pid namespaces this process has an id.
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
    link.map_err(|e| ProbeError::libbpf("load the program that translates process ids", e))
}

/// The process id and the thread id of this thread, as /proc has them.
///
/// # Errors
/// If /proc does not show this process.
fn own_ids() -> io::Result<(u32, u32)> {
    // PID/task/TID
    let link = fs::read_link("/proc/thread-self")?;
    let mut ids = link.iter().map(|part| part.to_str().and_then(|part| part.parse().ok()));
    match (ids.next(), ids.nth(1)) {
        (Some(Some(pid)), Some(Some(tid))) => Ok((pid, tid)),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// The id that /proc has of a process of this namespace, as of a child.
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

    /// The program, on tasks whose ids are the same in both namespaces. Needs root.
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

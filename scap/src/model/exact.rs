//! What a written state says beyond the lists of the format, so that a machine that is read back continues exactly: the
//! return of a clone that is still to come, who shares with whom, and descriptors that the format cannot express.
//!
//! The entries stand in a block of their own, which other readers skip. An entry starts with its kind:
//!
//! ```text
//! TASK  tid pid (u64 each), stage (u8), owner of the descriptors, owner of the directories (u64 each), comm, cwd, root
//! CLONE tid (u64): it has entered a clone, and its child has not been seen
//! BORN  tid, time (u64 each): it has entered a clone then, in ns since the epoch, and its child has been seen
//! FD    owner (u64), number (i64), close-on-exec (u8), class, subclass (u8 each), flags, dev (u32 each), ino (u64), name,
//!       kind of the detail (u8), detail
//! ```
//!
//! A text has its length (u16) first. An owner is a process, or a thread with a table of its own.

use std::{collections::HashMap, net::IpAddr};

use super::{
    fds::{Ends, FdClass, FdDetail, OpenFd, Role},
    pool::Id,
    tasks::{Context, Directories, Tasks, Told},
};
use crate::format::{
    Fields,
    state::{L4Proto, NamedFd},
};

const TASK: u8 = 1;
const FD: u8 = 2;
const CLONE: u8 = 3;
const BORN: u8 = 4;

/// The longest path in the format's lists, in bytes.
const MAX_PATH: usize = 1023;

/// What is still to come of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing.
    Whole,
    /// The child's return of its clone.
    ParentTold,
    /// The parent's return of its clone.
    ChildTold,
    /// It has ended, and the parent's return of its clone is to come.
    Ended,
    /// There is no such thread: what is said is that of a process.
    None,
}

const STAGES: [Stage; 5] = [Stage::Whole, Stage::ParentTold, Stage::ChildTold, Stage::Ended, Stage::None];

/// Who the shared items belong to: the first process that has one, or else the first thread.
#[derive(Debug, Default)]
pub(super) struct Owners {
    files: HashMap<Id, u64>,
    directories: HashMap<Id, u64>,
}

impl Owners {
    pub fn of(tasks: &Tasks) -> Owners {
        let mut owners = Owners::default();
        let of_process = tasks.known_pids().into_iter();
        let of_process = of_process.filter_map(|pid| Some((pid, tasks.processes.get(&pid)?.context)));
        let of_thread = tasks.tids().into_iter().filter_map(|t| Some((t, tasks.threads.get(&t)?.own?)));
        for (tid, context) in of_process.chain(of_thread) {
            owners.files.entry(context.files).or_insert(tid);
            owners.directories.entry(context.directory).or_insert(tid);
        }
        owners
    }

    fn of_context(&self, context: Context, tid: u64) -> (u64, u64) {
        let of = |map: &HashMap<Id, u64>, id| map.get(&id).copied().unwrap_or(tid);
        (of(&self.files, context.files), of(&self.directories, context.directory))
    }

    /// Returns whether a thread has a table of descriptors that is its own, and not its process's or another thread's.
    pub fn has_own_files(&self, tasks: &Tasks, tid: u64) -> bool {
        let own = tasks.threads.get(&tid).and_then(|thread| thread.own);
        own.is_some_and(|own| self.of_context(own, tid).0 == tid)
    }
}

/// An entry about a task.
struct Task<'a> {
    tid: u64,
    pid: u64,
    stage: Stage,
    /// The owners of its descriptors and its directories.
    owners: (u64, u64),
    comm: &'a [u8],
    cwd: &'a [u8],
    root: &'a [u8],
}

/// Returns the entries about tasks of which the lists do not tell all.
pub(super) fn tasks(tasks: &Tasks, owners: &Owners, is_wanted: impl Fn(u64) -> bool) -> Vec<Vec<u8>> {
    let known = tasks.threads.keys().chain(tasks.processes.keys()).copied();
    let mut tids: Vec<u64> = known.filter(|tid| is_wanted(*tid)).collect();
    tids.sort_unstable();
    tids.dedup();
    let mut cloning: Vec<u64> = tasks.cloning.iter().copied().filter(|tid| is_wanted(*tid)).collect();
    cloning.sort_unstable();
    let cloning = cloning.iter().map(|tid| [&[CLONE][..], &tid.to_ne_bytes()].concat());
    let entries = tids.into_iter().filter_map(|tid| task(tasks, owners, tid)).map(|task| task.encode());
    entries.chain(cloning).collect()
}

fn task<'a>(tasks: &'a Tasks, owners: &Owners, tid: u64) -> Option<Task<'a>> {
    let thread = tasks.threads.get(&tid);
    let stage = match thread {
        None => Stage::None,
        Some(thread) => match thread.told {
            Told::Child if thread.ended => Stage::Ended,
            Told::Child => Stage::ChildTold,
            Told::Parent if thread.gap == tasks.gaps => Stage::ParentTold,
            // After a gap, the return that is missing counts as lost.
            Told::Parent | Told::Both => Stage::Whole,
        },
    };
    let pid = thread.map_or(tid, |thread| thread.pid);
    let comm = thread.map_or(&[][..], |thread| &thread.comm);
    if stage == Stage::Ended {
        return Some(Task { tid, pid, stage, owners: (tid, tid), comm, cwd: &[], root: &[] });
    }
    let of_process = tasks.processes.get(&pid).map(|process| process.context);
    let own = thread.and_then(|thread| thread.own);
    let context = own.or(of_process)?;
    let directories = tasks.directories.get(context.directory)?;
    let (cwd, root) = (&directories.cwd[..], &directories.root[..]);
    let is_long = cwd.len().max(root.len()) > MAX_PATH;
    let owned = owners.of_context(context, tid);
    let is_told = match own {
        // The lists have directories of a thread's own where they differ from its process's.
        Some(own) => of_process.is_some_and(|shared| {
            let directories = tasks.directories.get(shared.directory);
            own.files == shared.files && owned.1 == tid && directories.is_some_and(|of| of.differ(cwd, root))
        }),
        None if tid == pid => {
            let has_threads = tasks.processes.get(&pid).is_some_and(|process| process.threads > 0);
            let is_listed = stage != Stage::None || has_threads && cwd.is_empty() && root.is_empty();
            owned == (tid, tid) && is_listed
        }
        None => true,
    };
    let is_needed = !is_told || is_long && (own.is_some() || tid == pid);
    let is_needed = is_needed || !matches!(stage, Stage::Whole | Stage::None);
    is_needed.then_some(Task { tid, pid, stage, owners: owned, comm, cwd, root })
}

impl Task<'_> {
    fn encode(&self) -> Vec<u8> {
        let mut out = vec![TASK];
        [self.tid, self.pid].iter().for_each(|id| out.extend(id.to_ne_bytes()));
        out.push(STAGES.iter().position(|stage| *stage == self.stage).unwrap_or_default() as u8);
        [self.owners.0, self.owners.1].iter().for_each(|id| out.extend(id.to_ne_bytes()));
        [self.comm, self.cwd, self.root].iter().for_each(|text| put_text(&mut out, text));
        out
    }

    fn decode<'a>(f: &mut Fields<'a>) -> Option<Task<'a>> {
        let (tid, pid, stage) = (f.u64()?, f.u64()?, *STAGES.get(usize::from(f.u8()?))?);
        let owners = (f.u64()?, f.u64()?);
        Some(Task { tid, pid, stage, owners, comm: f.text()?, cwd: f.text()?, root: f.text()? })
    }

    /// Returns whether it has items that its process does not have. A main thread has its process's.
    fn is_apart(&self) -> bool {
        self.tid != self.pid && self.owners != (self.pid, self.pid)
    }

    fn restore(&self, tasks: &mut Tasks) {
        match self.stage {
            Stage::Ended => {
                tasks.add(self.tid, self.pid, self.comm, Told::Child, None);
                return tasks.end(self.tid, None);
            }
            Stage::None => {}
            stage => {
                let Some(thread) = tasks.threads.get_mut(&self.tid) else { return };
                thread.told = match stage {
                    Stage::ParentTold => Told::Parent,
                    Stage::ChildTold => Told::Child,
                    _ => Told::Both,
                };
            }
        }
        if self.is_apart() {
            let directories = Directories { cwd: self.cwd.into(), root: self.root.into() };
            let (files, directory) =
                (tasks.files.add(Default::default()), tasks.directories.add(directories));
            let Some(thread) = tasks.threads.get_mut(&self.tid) else { return };
            if let Some(old) = thread.own.replace(Context { files, directory }) {
                tasks.release(old);
            }
        } else if self.tid == self.pid {
            *tasks.cwd_mut(self.tid) = self.cwd.into();
            *tasks.root_mut(self.tid) = self.root.into();
        }
    }

    /// Shares the items of other owners.
    fn share(&self, tasks: &mut Tasks) {
        if self.stage == Stage::Ended || self.tid != self.pid && !self.is_apart() {
            return;
        }
        let of = |owner: u64| if owner == self.tid { None } else { tasks.context(owner) };
        let (files, directory) = (of(self.owners.0), of(self.owners.1));
        let Some(old) = tasks.context(self.tid) else { return };
        let context = Context {
            files: tasks.files.inherit(files.map_or(old.files, |of| of.files), true),
            directory: tasks.directories.inherit(directory.map_or(old.directory, |of| of.directory), true),
        };
        match tasks.threads.get_mut(&self.tid) {
            Some(thread) if self.is_apart() => thread.own = Some(context),
            _ => tasks.process(self.pid).context = context,
        }
        tasks.release(old);
    }
}

/// Restores what the entries say of tasks. The lists of threads are there, those of descriptors are not.
pub(super) fn restore_tasks(tasks: &mut Tasks, entries: &[Vec<u8>]) {
    let of_kind = |entry: &'_ Vec<u8>| entry.first() == Some(&TASK);
    let known = || {
        let entries = entries.iter().filter(|entry| of_kind(entry));
        entries.filter_map(|entry| Task::decode(&mut Fields::new(entry.get(1..)?)))
    };
    known().for_each(|task| task.restore(tasks));
    known().for_each(|task| task.share(tasks));
    for entry in entries.iter().filter(|entry| entry.first() == Some(&CLONE)) {
        let tid = Fields::new(entry.get(1..).unwrap_or_default()).u64();
        tasks.cloning.extend(tid);
    }
    for entry in entries.iter().filter(|entry| entry.first() == Some(&BORN)) {
        let fields = &mut Fields::new(entry.get(1..).unwrap_or_default());
        tasks.born.extend(fields.u64().map(|tid| (tid, fields.u64())));
    }
}

/// Returns the entry of a thread that has entered a clone at `ts`; `None` if its child has not been seen.
pub(super) fn born(tasks: &Tasks, tid: u64, ts: u64) -> Option<Vec<u8>> {
    (!tasks.cloning.contains(&tid)).then(|| [&[BORN][..], &tid.to_ne_bytes(), &ts.to_ne_bytes()].concat())
}

/// Returns the entry of a descriptor of `owner`.
pub(super) fn fd(owner: u64, fd: i64, open: &OpenFd, close_on_exec: bool) -> Vec<u8> {
    let (class, subclass) = match open.class {
        FdClass::File => (0, 0),
        FdClass::Ipv4(l4) => (1, l4 as u8),
        FdClass::Ipv6(l4) => (2, l4 as u8),
        FdClass::Unix => (3, 0),
        FdClass::Named(kind) => (4, kind as u8),
    };
    let mut out = vec![FD];
    out.extend(owner.to_ne_bytes());
    out.extend(fd.to_ne_bytes());
    out.extend([u8::from(close_on_exec), class, subclass]);
    out.extend(open.flags.to_ne_bytes());
    out.extend(open.dev.to_ne_bytes());
    out.extend(open.ino.to_ne_bytes());
    put_text(&mut out, &open.name);
    match open.detail {
        FdDetail::None => out.push(0),
        FdDetail::Socket(role, ends) => {
            out.extend([1, role_number(Some(role))]);
            put_ends(&mut out, ends);
        }
        FdDetail::Bound(role, local) => {
            out.extend([2, role_number(role)]);
            put_end(&mut out, local);
        }
        FdDetail::Process(pid) => {
            out.push(3);
            out.extend(pid.to_ne_bytes());
        }
    }
    out
}

/// Restores the descriptors that have entries.
pub(super) fn restore_fds(tasks: &mut Tasks, entries: &[Vec<u8>]) {
    for entry in entries.iter().filter(|entry| entry.first() == Some(&FD)) {
        let fields = &mut Fields::new(entry.get(1..).unwrap_or_default());
        if let Some((owner, fd, open, close_on_exec)) = decode_fd(fields) {
            tasks.files_mut(owner).insert(fd, open, close_on_exec);
        }
    }
}

fn decode_fd(f: &mut Fields<'_>) -> Option<(u64, i64, OpenFd, bool)> {
    let (owner, fd, close_on_exec) = (f.u64()?, f.i64()?, f.u8()? != 0);
    let class = match (f.u8()?, f.u8()?) {
        (0, _) => FdClass::File,
        (1, l4) => FdClass::Ipv4(L4Proto::from_number(l4)?),
        (2, l4) => FdClass::Ipv6(L4Proto::from_number(l4)?),
        (3, _) => FdClass::Unix,
        (4, kind) => FdClass::Named(NamedFd::from_number(kind)?),
        _ => return None,
    };
    let (flags, dev, ino) = (f.u32()?, f.u32()?, f.u64()?);
    let open = OpenFd { flags, dev, ino, ..OpenFd::new(class, f.text()?) };
    let detail = match f.u8()? {
        0 => FdDetail::None,
        1 => FdDetail::Socket(role(f.u8()?)?, ends(f)?),
        2 => FdDetail::Bound(role(f.u8()?), end(f)?),
        3 => FdDetail::Process(f.u64()?),
        _ => return None,
    };
    Some((owner, fd, OpenFd { detail, ..open }, close_on_exec))
}

const fn role_number(role: Option<Role>) -> u8 {
    match role {
        None => 0,
        Some(Role::Client) => 1,
        Some(Role::Server) => 2,
    }
}

const fn role(number: u8) -> Option<Role> {
    match number {
        1 => Some(Role::Client),
        2 => Some(Role::Server),
        _ => None,
    }
}

fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    let text = text.get(..usize::from(u16::MAX)).unwrap_or(text);
    out.extend((text.len() as u16).to_ne_bytes());
    out.extend_from_slice(text);
}

fn put_ends(out: &mut Vec<u8>, ends: Option<Ends>) {
    match ends {
        None => out.push(0),
        Some(Ends::Inet(client, server)) => {
            out.push(1);
            put_end(out, client);
            put_end(out, server);
        }
        Some(Ends::Unix(client, server)) => {
            out.push(2);
            [client, server].iter().for_each(|socket| out.extend(socket.to_ne_bytes()));
        }
    }
}

fn ends(f: &mut Fields<'_>) -> Option<Option<Ends>> {
    Some(match f.u8()? {
        0 => None,
        1 => Some(Ends::Inet(end(f)?, end(f)?)),
        2 => Some(Ends::Unix(f.u64()?, f.u64()?)),
        _ => return None,
    })
}

fn put_end(out: &mut Vec<u8>, (ip, port): (IpAddr, u16)) {
    match ip {
        IpAddr::V4(ip) => {
            out.push(4);
            out.extend(ip.octets());
        }
        IpAddr::V6(ip) => {
            out.push(6);
            out.extend(ip.octets());
        }
    }
    out.extend(port.to_ne_bytes());
}

fn end(f: &mut Fields<'_>) -> Option<(IpAddr, u16)> {
    let ip = match f.u8()? {
        4 => IpAddr::from(f.array::<4>()?),
        6 => IpAddr::from(f.array::<16>()?),
        _ => return None,
    };
    Some((ip, f.u16()?))
}

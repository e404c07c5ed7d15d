//! What threads and file descriptors are called at an event's time: the state that a capture starts with, kept up to
//! date by its events.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use super::{
    fd_table::FdTable,
    fds::{FdClass, O_CLOEXEC, OpenFd, named_fd, socket_class},
    paths, text,
};
use crate::{
    events::{Event, EventFlags, Source, flag_table},
    scap::{
        EventView, MachineState, Value,
        state::{L4Proto, NamedFd},
    },
};

/// The directory descriptor that stands for the working directory.
pub(super) const AT_FDCWD: i64 = -100;
const EINPROGRESS: i64 = 115;
/// Linux writes no longer path, in bytes; a relative one may come on top.
const MAX_PATH: usize = 2 * 4096;
/// `socket`'s type is the kernel's own: its close-on-exec bit.
const SOCK_CLOEXEC: u64 = 0o2000000;

/// The value of a flag, from its table.
pub(super) const fn flag(table: &'static str, name: &'static str) -> u32 {
    let rows = flag_table(table);
    let mut i = 0;
    while !crate::events::same(rows[i].name, name) {
        i += 1;
    }
    rows[i].value
}
const O_DIRECTORY: u32 = flag("file_flags", "O_DIRECTORY");
const CLONE_THREAD: u32 = flag("clone_flags", "CLONE_THREAD");
const PR_SET_NAME: u32 = flag("prctl_options", "PR_SET_NAME");
const F_DUPFD: u32 = flag("fcntl_commands", "F_DUPFD");
const F_DUPFD_CLOEXEC: u32 = flag("fcntl_commands", "F_DUPFD_CLOEXEC");
const F_SETFD: u32 = flag("fcntl_commands", "F_SETFD");
const CLOSE_RANGE_CLOEXEC: u32 = flag("close_range_flags", "CLOSE_RANGE_CLOEXEC");

#[derive(Debug, Clone, Default)]
struct Process {
    threads: usize,
    cwd: Arc<[u8]>,
    fds: FdTable,
}

#[derive(Debug, Clone)]
struct Thread {
    pid: u64,
    comm: Vec<u8>,
    told: Told,
}

/// Who told of a new thread: a clone returns twice, in any order, and the second one brings nothing new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Parent,
    Child,
    Both,
}

/// What the last event ended: it still had its name while it was shown.
#[derive(Debug, Clone, Copy)]
enum Ended {
    Fds { pid: u64, first: i64, last: i64 },
    Thread { tid: u64 },
}

/// The names of a capture's threads, descriptors, users and groups.
#[derive(Debug, Clone, Default)]
pub struct Names {
    threads: HashMap<u64, Thread>,
    processes: HashMap<u64, Process>,
    users: HashMap<u32, Vec<u8>>,
    groups: HashMap<u32, Vec<u8>>,
    /// The enter event that each thread is in. Exit events of old lack the enter's parameters.
    entered: HashMap<u64, Vec<u8>>,
    ended: Option<Ended>,
}

impl Names {
    /// The names that a section of a capture starts with.
    pub fn of_state(state: &MachineState) -> Names {
        let mut names = Names {
            users: state.users.iter().map(|u| (u.uid, u.name.clone())).collect(),
            groups: state.groups.iter().map(|g| (g.gid, g.name.clone())).collect(),
            ..Names::default()
        };
        for t in &state.threads {
            names.add_thread(t.tid, t.pid, &t.comm, Told::Both);
            if t.tid == t.pid {
                names.process(t.pid).cwd = t.cwd.as_slice().into();
            }
        }
        for list in &state.fds {
            let fds = &mut names.process(list.pid).fds;
            for fd in &list.fds {
                let (open, close_on_exec) = OpenFd::of_state(&fd.kind);
                fds.insert(fd.fd as i64, open, close_on_exec);
            }
        }
        names
    }

    /// The command name of a thread.
    pub fn comm(&self, tid: u64) -> Option<&[u8]> {
        self.threads.get(&tid).map(|t| &t.comm[..])
    }

    /// The process of a thread; a thread that nothing is known of is its own.
    pub fn pid(&self, tid: u64) -> u64 {
        self.threads.get(&tid).map_or(tid, |t| t.pid)
    }

    /// A descriptor of a thread.
    pub fn fd(&self, tid: u64, fd: i64) -> Option<&OpenFd> {
        self.processes.get(&self.pid(tid))?.fds.get(fd)
    }

    /// The working directory of a thread, `None` where unknown.
    pub fn cwd(&self, tid: u64) -> Option<&[u8]> {
        self.processes.get(&self.pid(tid)).map(|p| &p.cwd[..]).filter(|cwd| !cwd.is_empty())
    }

    /// The name of a user.
    pub fn user(&self, uid: u32) -> Option<&[u8]> {
        self.users.get(&uid).map(|n| &n[..])
    }

    /// The name of a group.
    pub fn group(&self, gid: u32) -> Option<&[u8]> {
        self.groups.get(&gid).map(|n| &n[..])
    }

    /// The path that a parameter of `event` names, made absolute: relative to the event's directory descriptor where
    /// it has one, to the working directory otherwise. `None` where that is not known, and where the path would be longer
    /// than any that Linux makes.
    pub fn absolute(&self, event: &EventView<'_>, dirfd: Option<i64>, path: &[u8]) -> Option<Vec<u8>> {
        let base = match dirfd {
            _ if path.starts_with(b"/") => b"/",
            None | Some(AT_FDCWD) => self.cwd(event.tid())?,
            Some(fd) => &self.fd(event.tid(), fd)?.name,
        };
        // A capture may change into a folder without end, and each path in it would carry all of that.
        let is_known = base.starts_with(b"/") && base.len() + path.len() < MAX_PATH;
        is_known.then(|| paths::join(base, path))
    }

    /// Takes over what an event says. To be called with each event, before its names are asked for.
    pub fn apply(&mut self, event: &EventView<'_>) {
        self.end();
        let Some(row) = event.info().filter(|row| row.flags.contains(EventFlags::MODIFIES_STATE)) else {
            return;
        };
        if row.source == Source::Syscall && row.ty.is_enter() {
            if event.nparams() > 0 {
                self.entered.insert(event.tid(), event.bytes().to_vec());
            }
            return;
        }
        let entered = self.entered.remove(&event.tid());
        let enter = entered
            .as_deref()
            .and_then(|bytes| EventView::parse(bytes, false).ok())
            .filter(|enter| enter.ty() == row.ty.pair());
        self.apply_exit(row, &Args { exit: *event, enter });
    }

    /// Forgets what the event before has ended.
    fn end(&mut self) {
        match self.ended.take() {
            Some(Ended::Fds { pid, first, last }) => {
                self.process(pid).fds.close(first..=last);
            }
            Some(Ended::Thread { tid }) => self.remove_thread(tid),
            None => {}
        }
    }

    fn apply_exit(&mut self, row: &Event, args: &Args<'_>) {
        let tid = args.exit.tid();
        match row.name {
            "open" | "creat" | "openat" | "openat2" => self.opened(tid, args),
            "close" if args.int("res") == Some(0) => {
                if let Some(fd) = args.int("fd") {
                    self.ended = Some(Ended::Fds { pid: self.pid(tid), first: fd, last: fd });
                }
            }
            "close_range" if args.int("res") == Some(0) => self.range_closed(tid, args),
            "dup" | "dup2" | "dup3" => {
                let old = args.int("oldfd").or_else(|| args.int("fd"));
                self.duplicated(tid, old, args.int("res"), args.has_flag("flags", O_CLOEXEC));
            }
            "fcntl" => self.fcntl(tid, args),
            "pipe" | "pipe2" if args.int("res") == Some(0) => {
                let name = args.uint("ino").map_or(Vec::new(), |ino| format!("pipe:[{ino}]").into());
                for fd in ["fd1", "fd2"] {
                    self.open(
                        tid,
                        args.int(fd),
                        FdClass::Named(NamedFd::Fifo),
                        &name,
                        args.has_flag("flags", O_CLOEXEC),
                    );
                }
            }
            "socket" => {
                let cloexec = args.uint("type").is_some_and(|ty| ty & SOCK_CLOEXEC != 0);
                let class = socket_class(args.flags("domain"), args.uint("type"), args.uint("proto"));
                self.open(tid, args.int("fd"), class, b"", cloexec);
            }
            "socketpair" if args.int("res") == Some(0) => {
                let cloexec = args.uint("type").is_some_and(|ty| ty & SOCK_CLOEXEC != 0);
                for fd in ["fd1", "fd2"] {
                    self.open(tid, args.int(fd), FdClass::Unix, b"", cloexec);
                }
            }
            "bind" if args.int("res").is_some_and(|res| res >= 0) => {
                if let Some(Value::SockAddr(address)) = args.get("addr") {
                    let class = FdClass::of_address(&address);
                    self.name_socket(tid, args.int("fd"), class, text::sockaddr(&address), true);
                }
            }
            "connect" if args.int("res").is_some_and(|res| res >= 0 || res == -EINPROGRESS) => {
                self.has_tuple(tid, args, true);
            }
            "accept" | "accept4" => self.accepted(tid, args),
            "sendto" | "recvfrom" | "sendmsg" | "recvmsg" => self.has_tuple(tid, args, false),
            "chdir" if args.int("res") == Some(0) => {
                if let Some(path) = args.text("path").and_then(|p| self.absolute(&args.exit, None, p)) {
                    self.process_of(tid).cwd = path.into();
                }
            }
            "fchdir" if args.int("res") == Some(0) => {
                let name = args.int("fd").and_then(|fd| self.fd(tid, fd)).map(|fd| fd.name.clone());
                if let Some(name) = name.filter(|n| n.starts_with(b"/")) {
                    self.process_of(tid).cwd = name;
                }
            }
            "clone" | "clone3" | "fork" | "vfork" => self.cloned(tid, args),
            "execve" | "execveat" if args.int("res") == Some(0) => self.executed(tid, args),
            "prctl" if args.int("res") == Some(0) && args.flags("option") == Some(PR_SET_NAME) => {
                if let (Some(comm), Some(thread)) = (args.text("arg2_str"), self.threads.get_mut(&tid)) {
                    thread.comm = comm.to_vec();
                }
            }
            "procexit" => self.ended = Some(Ended::Thread { tid }),
            name => {
                if let Some(kind) = named_fd(name) {
                    let fd = args.int("fd").filter(|_| row.params.first().is_some_and(|p| p.name == "fd"));
                    let cloexec = args.has_flag("flags", O_CLOEXEC);
                    let label = args.text("name").unwrap_or_default();
                    self.open(tid, fd.or_else(|| args.int("res")), FdClass::Named(kind), label, cloexec);
                }
            }
        }
    }

    fn opened(&mut self, tid: u64, args: &Args<'_>) {
        let Some(name) = args.text("name") else { return };
        let path = self.absolute(&args.exit, args.int("dirfd"), name).unwrap_or_else(|| name.to_vec());
        let directory = args.has_flag("flags", O_DIRECTORY);
        let class = if directory { FdClass::Named(NamedFd::Directory) } else { FdClass::File };
        self.open(tid, args.int("fd"), class, &path, args.has_flag("flags", O_CLOEXEC));
    }

    fn range_closed(&mut self, tid: u64, args: &Args<'_>) {
        let (Some(first), Some(last)) = (args.uint("first"), args.uint("last")) else { return };
        let (first, last, pid) = (first as i64, last as i64, self.pid(tid));
        if args.has_flag("flags", CLOSE_RANGE_CLOEXEC) {
            self.process(pid).fds.range_set_close_on_exec(first..=last);
        } else {
            self.ended = Some(Ended::Fds { pid, first, last });
        }
    }

    fn duplicated(&mut self, tid: u64, old: Option<i64>, new: Option<i64>, cloexec: bool) {
        let copy = old.and_then(|old| self.fd(tid, old)).cloned();
        let (Some(copy), Some(new)) = (copy, new.filter(|fd| *fd >= 0)) else { return };
        if old != Some(new) {
            self.process_of(tid).fds.insert(new, copy, cloexec);
        }
    }

    fn fcntl(&mut self, tid: u64, args: &Args<'_>) {
        match (args.flags("cmd"), args.int("fd")) {
            (Some(cmd), fd) if cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC => {
                self.duplicated(tid, fd, args.int("res"), cmd == F_DUPFD_CLOEXEC);
            }
            (Some(F_SETFD), Some(fd)) if args.int("res") == Some(0) => {
                if let Some(arg) = args.uint("arg") {
                    self.process_of(tid).fds.set_close_on_exec(fd, arg & 1 != 0);
                }
            }
            _ => {}
        }
    }

    fn accepted(&mut self, tid: u64, args: &Args<'_>) {
        let class = match args.get("tuple") {
            Some(Value::SockTuple(tuple)) => FdClass::of_tuple(&tuple, L4Proto::Tcp),
            _ => FdClass::Named(NamedFd::Unsupported),
        };
        // The flags are the kernel's: SOCK_CLOEXEC.
        let cloexec = args.uint("flags").is_some_and(|f| f & SOCK_CLOEXEC != 0);
        self.open(tid, args.int("fd"), class, b"", cloexec);
        self.has_tuple(tid, args, true);
    }

    /// Names a socket by its tuple; `anew` even if it has a name.
    fn has_tuple(&mut self, tid: u64, args: &Args<'_>, anew: bool) {
        if let Some(Value::SockTuple(tuple)) = args.get("tuple") {
            let class = FdClass::of_tuple(&tuple, L4Proto::Unknown);
            self.name_socket(tid, args.int("fd"), class, text::socktuple(&tuple), anew);
        }
    }

    /// A descriptor that was not known, or was known as something else, is a socket from now on.
    fn name_socket(&mut self, tid: u64, fd: Option<i64>, class: FdClass, name: String, anew: bool) {
        let Some(fd) = fd.filter(|fd| *fd >= 0) else { return };
        let name = name.into_bytes().into();
        let fds = &mut self.process_of(tid).fds;
        match fds.get_mut(fd).filter(|open| open.class.is_socket()) {
            Some(open) if anew || open.name.is_empty() => open.name = name,
            Some(_) => {}
            None => fds.insert(fd, OpenFd { class, name }, false),
        }
    }

    fn open(&mut self, tid: u64, fd: Option<i64>, class: FdClass, name: &[u8], close_on_exec: bool) {
        if let Some(fd) = fd.filter(|fd| *fd >= 0) {
            self.process_of(tid).fds.insert(fd, OpenFd { class, name: name.into() }, close_on_exec);
        }
    }

    /// Either side of a clone: the parent's return names the child, the child's return is the child itself.
    fn cloned(&mut self, tid: u64, args: &Args<'_>) {
        let threaded = args.has_flag("flags", CLONE_THREAD);
        let (child, pid, parent, told) = match args.int("res") {
            Some(0) => {
                let pid = args.int("pid").map_or(tid, |pid| pid as u64);
                (tid, pid, args.int("ptid").map_or(0, |p| self.pid(p as u64)), Told::Child)
            }
            // In a pid namespace the parent sees another number than the one that the child's events carry.
            Some(res) if res > 0 && args.int("vtid").is_none_or(|vtid| vtid as u64 == tid) => {
                let parent = self.pid(tid);
                (res as u64, if threaded { parent } else { res as u64 }, parent, Told::Parent)
            }
            _ => return,
        };
        if let Some(known) = self.threads.get_mut(&child)
            && known.pid == pid
            && known.told != Told::Both
            && known.told != told
        {
            known.told = Told::Both;
            return;
        }
        self.add_thread(child, pid, args.comm(), told);
        if threaded || pid != child {
            return;
        }
        if let Some(inherited) = self.processes.get(&parent).cloned() {
            let process = self.process(pid);
            process.fds = inherited.fds;
            process.cwd = inherited.cwd;
        }
    }

    fn executed(&mut self, tid: u64, args: &Args<'_>) {
        let pid = args.int("pid").map_or(tid, |pid| pid as u64);
        let told = self.threads.get(&tid).map_or(Told::Both, |t| t.told);
        self.add_thread(tid, pid, args.comm(), told);
        let process = self.process(pid);
        process.fds.exec();
        if let Some(cwd) = args.text("cwd").filter(|cwd| cwd.starts_with(b"/")) {
            process.cwd = cwd.into();
        }
    }

    fn add_thread(&mut self, tid: u64, pid: u64, comm: &[u8], told: Told) {
        if self.threads.get(&tid).is_some_and(|t| t.pid != pid) {
            self.remove_thread(tid);
        }
        if self.threads.insert(tid, Thread { pid, comm: comm.to_vec(), told }).is_none() {
            self.process(pid).threads += 1;
        }
    }

    /// The last thread of a process takes its descriptors along.
    fn remove_thread(&mut self, tid: u64) {
        self.entered.remove(&tid);
        let pid = self.threads.remove(&tid).map_or(tid, |t| t.pid);
        if let Entry::Occupied(mut process) = self.processes.entry(pid) {
            process.get_mut().threads = process.get().threads.saturating_sub(1);
            if process.get().threads == 0 {
                process.remove();
            }
        }
    }

    fn process(&mut self, pid: u64) -> &mut Process {
        self.processes.entry(pid).or_default()
    }

    fn process_of(&mut self, tid: u64) -> &mut Process {
        self.process(self.pid(tid))
    }
}

/// The parameters of an exit event, and of its enter event where the exit event lacks one.
struct Args<'a> {
    exit: EventView<'a>,
    enter: Option<EventView<'a>>,
}

impl<'a> Args<'a> {
    fn get(&self, name: &str) -> Option<Value<'a>> {
        let of =
            |event: &EventView<'a>| event.value(name)?.ok().map(|d| d.value).filter(|v| *v != Value::Absent);
        of(&self.exit).or_else(|| self.enter.as_ref().and_then(of))
    }

    fn int(&self, name: &str) -> Option<i64> {
        match self.get(name)? {
            Value::Fd(v) | Value::Errno(v) | Value::Pid(v) | Value::Int(v) => Some(v),
            _ => None,
        }
    }

    fn uint(&self, name: &str) -> Option<u64> {
        match self.get(name)? {
            Value::Uint(v) => Some(v),
            Value::Int(v) => Some(v as u64),
            _ => None,
        }
    }

    fn text(&self, name: &str) -> Option<&'a [u8]> {
        match self.get(name)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The command name that a clone or an exec gives, or the program's, where it is too old to give one.
    fn comm(&self) -> &'a [u8] {
        self.text("comm").or_else(|| self.text("exe").map(paths::file_name)).unwrap_or_default()
    }

    fn flags(&self, name: &str) -> Option<u32> {
        match self.get(name)? {
            Value::Flags(v) | Value::Enum(v) => Some(v),
            _ => None,
        }
    }

    fn has_flag(&self, name: &str, flag: u32) -> bool {
        self.flags(name).is_some_and(|flags| flags & flag != 0)
    }
}

//! Updates the names from events: carries out the transitions.

use super::{
    control::{self, Control},
    endpoints,
    fds::{Direction, Ends, FdClass, FdDetail, O_CLOEXEC, OpenFd, Role, socket_class},
    names::{Ended, Names},
    paths,
    tasks::{Child, Told},
    transitions::{self, Transition, flag, takes_effect, transition},
};
use crate::format::{
    EventView, SockAddr, Value,
    state::{L4Proto, NamedFd},
};

const EBADF: i64 = 9;
const EINPROGRESS: i64 = 115;
/// The close-on-exec bit of `socket`'s type, which has the kernel's encoding.
const SOCK_CLOEXEC: u64 = 0o2000000;
const FD_CLOEXEC: u64 = 1;
const MFD_CLOEXEC: u32 = flag("memfd_create_flags", "MFD_CLOEXEC");

impl Names {
    /// Updates the names from an event. Call it with each event, before looking up the event's names.
    /// [Join](crate::format::Joiner) the events of old captures first.
    pub fn apply(&mut self, event: &EventView<'_>) {
        match self.ended.take() {
            Some(Ended::Fds { tid, first, last }) => self.tasks.files_mut(tid).close(first..=last),
            Some(Ended::Thread { tid }) => self.tasks.end(tid),
            None => {}
        }
        let Some(row) = event.info() else { return };
        match transition(row) {
            Some(transition) if takes_effect(row) => {
                Apply { names: self, tid: event.tid(), args: Args(event) }.apply(transition);
            }
            Some(Transition::Clone) => self.tasks.begin_clone(event.tid()),
            _ => {}
        }
    }
}

/// An event, and the names that it changes.
struct Apply<'a> {
    names: &'a mut Names,
    tid: u64,
    args: Args<'a>,
}

impl Apply<'_> {
    fn apply(mut self, transition: Transition) {
        match transition {
            Transition::Open => self.opened(),
            Transition::Close => self.closed(),
            Transition::CloseRange if self.succeeded() => self.range_closed(),
            Transition::Duplicate => {
                let cloexec = self.args.has_flag("flags", O_CLOEXEC);
                self.duplicated(self.args.int("oldfd"), cloexec);
            }
            Transition::Fcntl => self.fcntl(),
            Transition::Pipe if self.succeeded() => self.pipe(),
            Transition::Socket => {
                let args = &self.args;
                let class = socket_class(args.flags("domain"), args.uint("type"), args.uint("proto"));
                let cloexec = self.has_sock_cloexec("type") || self.args.has_flag("flags", O_CLOEXEC);
                self.open("fd", OpenFd::new(class, b""), cloexec);
            }
            Transition::SocketPair if self.succeeded() => {
                for fd in ["fd1", "fd2"] {
                    self.open(fd, OpenFd::new(FdClass::Unix, b""), self.has_sock_cloexec("type"));
                }
            }
            Transition::Bind if self.succeeded() => self.bound(),
            Transition::Connect => self.connected(),
            Transition::Accept => self.accepted(),
            Transition::Send => self.transferred(Direction::Out),
            Transition::Receive => {
                self.transferred(Direction::In);
                self.received_fds();
            }
            Transition::ChangeDirectory if self.succeeded() => {
                let path =
                    self.args.text("path").and_then(|path| self.names.absolute(self.args.0, None, path));
                self.directory_changed(path.map(Into::into));
            }
            Transition::ChangeDirectoryFd if self.succeeded() => {
                let fd = self.args.int("fd").and_then(|fd| self.names.fd(self.tid, fd));
                self.directory_changed(fd.map(|fd| fd.name.clone()).filter(|name| name.starts_with(b"/")));
            }
            Transition::Clone => self.cloned(),
            Transition::Exec if self.succeeded() => self.executed(),
            Transition::Exit => self.names.ended = Some(Ended::Thread { tid: self.tid }),
            Transition::Unshare if self.succeeded() => {
                let flags = self.args.flags("flags").unwrap_or_default();
                let fs = transitions::CLONE_FS | transitions::NEW_MOUNTS;
                self.names.tasks.unshare(self.tid, flags & transitions::CLONE_FILES != 0, flags & fs != 0);
            }
            Transition::Prctl if self.succeeded() => {
                if let (Some(transitions::PR_SET_NAME), Some(comm)) =
                    (self.args.flags("option"), self.args.text("arg2_str"))
                {
                    self.names.tasks.rename(self.tid, comm);
                }
            }
            Transition::PidfdOpen => self.pidfd_opened(),
            Transition::PidfdGetfd => self.pidfd_got(),
            Transition::Bpf if self.args.flags("cmd").is_some_and(transitions::bpf_creates) => {
                // The kernel always sets close-on-exec.
                self.open("fd", OpenFd::new(FdClass::Named(NamedFd::Bpf), b""), true);
            }
            Transition::Create(kind) => self.created(kind),
            _ => {}
        }
    }

    fn succeeded(&self) -> bool {
        self.args.int("res").is_some_and(|res| res >= 0)
    }

    fn has_sock_cloexec(&self, param: &str) -> bool {
        self.args.uint(param).is_some_and(|flags| flags & SOCK_CLOEXEC != 0)
    }

    fn open(&mut self, param: &str, open: OpenFd, close_on_exec: bool) {
        if let Some(fd) = self.args.int(param).filter(|fd| *fd >= 0) {
            self.names.tasks.files_mut(self.tid).insert(fd, open, close_on_exec);
        }
    }

    fn opened(&mut self) {
        let args = &self.args;
        let Some(name) = args.text("name").or_else(|| args.text("path")) else { return };
        let mut path = self.names.absolute(args.0, args.int("dirfd"), name).unwrap_or_else(|| name.to_vec());
        let class = if args.has_flag("flags", transitions::O_TMPFILE) {
            // An unnamed file in that directory: the kernel names it after its inode.
            if let Some(ino) = args.uint("ino") {
                path = paths::join(&path, format!("#{ino} (deleted)").as_bytes());
            }
            FdClass::File
        } else if args.has_flag("flags", transitions::O_DIRECTORY) {
            FdClass::Named(NamedFd::Directory)
        } else {
            FdClass::File
        };
        let cloexec = args.has_flag("flags", O_CLOEXEC);
        self.open("fd", OpenFd::new(class, &path), cloexec);
    }

    /// Linux closes the descriptor even if the call fails, except with EBADF.
    fn closed(&mut self) {
        if let (Some(res), Some(fd)) = (self.args.int("res"), self.args.int("fd")) {
            if res == -EBADF {
                self.names.tasks.files_mut(self.tid).close(fd..=fd);
            } else {
                self.names.ended = Some(Ended::Fds { tid: self.tid, first: fd, last: fd });
            }
        }
    }

    fn range_closed(&mut self) {
        let (Some(first), Some(last)) = (self.args.uint("first"), self.args.uint("last")) else { return };
        let (first, last) = (first as i64, last as i64);
        if self.args.has_flag("flags", transitions::CLOSE_RANGE_UNSHARE) {
            self.names.tasks.unshare(self.tid, true, false);
        }
        if self.args.has_flag("flags", transitions::CLOSE_RANGE_CLOEXEC) {
            self.names.tasks.files_mut(self.tid).range_set_close_on_exec(first..=last);
        } else {
            self.names.ended = Some(Ended::Fds { tid: self.tid, first, last });
        }
    }

    fn duplicated(&mut self, old: Option<i64>, cloexec: bool) {
        let copy = old.and_then(|old| self.names.fd(self.tid, old)).cloned();
        match (copy, self.args.int("res").filter(|fd| *fd >= 0)) {
            (_, new) if old == new => {}
            (Some(copy), _) => self.open("res", copy, cloexec),
            (None, Some(new)) => self.names.tasks.files_mut(self.tid).close(new..=new),
            (None, None) => {}
        }
    }

    fn fcntl(&mut self) {
        let args = &self.args;
        let (Some(cmd), Some(fd), Some(res)) = (args.flags("cmd"), args.int("fd"), args.int("res")) else {
            return;
        };
        let close_on_exec = match cmd {
            cmd if transitions::fcntl_duplicates(cmd) => {
                return self.duplicated(Some(fd), cmd == transitions::F_DUPFD_CLOEXEC);
            }
            transitions::F_SETFD if res == 0 => args.uint("arg"),
            transitions::F_GETFD if res >= 0 => Some(res as u64),
            _ => None,
        };
        if let Some(flags) = close_on_exec {
            self.names.tasks.files_mut(self.tid).set_close_on_exec(fd, flags & FD_CLOEXEC != 0);
        }
    }

    fn pipe(&mut self) {
        let name = self.args.uint("ino").map_or(String::new(), |ino| format!("pipe:[{ino}]"));
        let open = OpenFd::new(FdClass::Named(NamedFd::Fifo), name.as_bytes());
        let cloexec = self.args.has_flag("flags", O_CLOEXEC);
        self.open("fd1", open.clone(), cloexec);
        self.open("fd2", open, cloexec);
    }

    fn created(&mut self, kind: NamedFd) {
        // Where a row has both `res` and `fd`, as signalfd's, `fd` is an argument.
        let param =
            if self.args.0.info().is_some_and(|row| row.param("res").is_some()) { "res" } else { "fd" };
        let cloexec = match kind {
            NamedFd::Memfd => self.args.has_flag("flags", MFD_CLOEXEC),
            // The kernel always sets close-on-exec.
            NamedFd::IoUring => true,
            _ => self.args.has_flag("flags", O_CLOEXEC),
        };
        let name = self.args.text("name").unwrap_or_default();
        // As in the initial state.
        let label = if kind == NamedFd::Memfd { [b"memfd:", name].concat() } else { name.to_vec() };
        self.open(param, OpenFd::new(FdClass::Named(kind), &label), cloexec);
    }

    fn bound(&mut self) {
        let Some(Value::SockAddr(address)) = self.args.get("addr") else { return };
        if matches!(address, SockAddr::Other(..)) {
            return;
        }
        self.socket(FdClass::of_address(&address), |open| {
            open.name = endpoints::sockaddr(&address).into();
            // A socket bound to a port is a server.
            let is_server = matches!(address, SockAddr::Inet(_, port) if port > 0);
            open.detail = if is_server { FdDetail::Socket(Role::Server, None) } else { FdDetail::None };
        });
    }

    fn connected(&mut self) {
        if self.args.int("res").is_some_and(|res| res >= 0 || res == -EINPROGRESS)
            && let Some(Value::SockTuple(tuple)) = self.args.get("tuple")
        {
            let class = FdClass::of_tuple(&tuple, L4Proto::Unknown);
            self.socket(class, |open| open.set_ends(Role::Client, &tuple));
        }
    }

    fn accepted(&mut self) {
        let mut open = OpenFd::new(FdClass::Named(NamedFd::Unsupported), b"");
        if let Some(Value::SockTuple(tuple)) = self.args.get("tuple") {
            open.class = FdClass::of_tuple(&tuple, L4Proto::Tcp);
            open.set_ends(Role::Server, &tuple);
        }
        self.open("fd", open, self.has_sock_cloexec("flags"));
    }

    /// Changes the socket that the event is about. A descriptor that was not known, or was known as something else, is one
    /// from now on.
    fn socket(&mut self, class: FdClass, change: impl FnOnce(&mut OpenFd)) {
        let Some(fd) = self.args.int("fd").filter(|fd| *fd >= 0) else { return };
        let fds = self.names.tasks.files_mut(self.tid);
        if !fds.get(fd).is_some_and(|open| open.class.is_socket()) {
            fds.insert(fd, OpenFd::new(class, b""), false);
        }
        fds.change(fd, |open| {
            open.class = open.class.with_family_of(class);
            change(open);
        });
    }

    /// Handles a transfer. A socket without a name gets one; the name of a datagram socket follows its peer.
    fn transferred(&mut self, direction: Direction) {
        let Some(Value::SockTuple(tuple)) = self.args.get("tuple") else { return };
        if self.succeeded()
            && let Some(ends) = Ends::of_tuple(&tuple)
        {
            let class = FdClass::of_tuple(&tuple, L4Proto::Unknown);
            self.socket(class, |open| open.follow(direction, ends, &tuple));
        }
    }

    /// Handles descriptors received with a message. The event does not say what they refer to, so this only forgets
    /// what had their numbers.
    fn received_fds(&mut self) {
        let Some(Value::Bytes(control)) = self.args.get("msgcontrol").filter(|_| self.succeeded()) else {
            return;
        };
        for message in control::messages(control) {
            match message {
                Control::Fds(fds) => fds.for_each(|fd| self.names.tasks.files_mut(self.tid).close(fd..=fd)),
                Control::Pidfd(fd) => {
                    let open = OpenFd::new(FdClass::Named(NamedFd::Pidfd), b"");
                    self.names.tasks.files_mut(self.tid).insert(fd, open, false);
                }
            }
        }
    }

    fn pidfd_opened(&mut self) {
        let Some(id) = self.args.int("pid").and_then(|pid| u64::try_from(pid).ok()) else { return };
        // strace's format; no file can have such an absolute path.
        let mut open = OpenFd::new(FdClass::Named(NamedFd::Pidfd), format!("pid:{id}").as_bytes());
        if let Some(tid) = self.names.tasks.resolve(self.tid, id) {
            open.detail = FdDetail::Process(tid);
        }
        self.open("fd", open, true);
    }

    fn pidfd_got(&mut self) {
        let (Some(pidfd), Some(target)) = (self.args.int("pid_fd"), self.args.int("target_fd")) else {
            return;
        };
        match (self.names.fd_of_pidfd(self.tid, pidfd, target).cloned(), self.args.int("fd")) {
            (Some(copy), _) => self.open("fd", copy, true),
            (None, Some(fd)) => self.names.tasks.files_mut(self.tid).close(fd..=fd),
            (None, None) => {}
        }
    }

    fn directory_changed(&mut self, path: Option<std::sync::Arc<[u8]>>) {
        if let Some(path) = path {
            *self.names.tasks.directory_mut(self.tid) = path;
        }
    }

    /// Handles either return of a clone: the parent's names the child, the child's comes from the child itself.
    fn cloned(&mut self) {
        self.names.tasks.end_clone(self.tid);
        let (args, tid) = (&self.args, self.tid);
        let flags = args.flags("flags").unwrap_or_default();
        let id = |name| args.int(name).and_then(|id| u64::try_from(id).ok());
        let child = match args.int("res") {
            Some(0) => Child {
                tid,
                pid: id("pid").unwrap_or(tid),
                parent: id("ptid").unwrap_or_default(),
                told: Told::Child,
                comm: args.comm(),
                flags,
                nested: args
                    .int("vtid")
                    .filter(|vtid| *vtid > 0)
                    .map(|vtid| (vtid, args.uint("pidns_init_start_ts").unwrap_or_default())),
            },
            Some(res) if res > 0 => {
                // In a nested pid namespace, the result differs from the child's tid in events.
                let is_nested = args.int("vtid").is_some_and(|vtid| vtid as u64 != tid);
                let parent_knows = self.names.tasks.resolve(tid, res as u64).filter(|_| is_nested);
                let Some(child) = parent_knows.or((!is_nested).then_some(res as u64)) else {
                    return self.names.tasks.announce(tid, res as u64);
                };
                let is_thread = flags & transitions::CLONE_THREAD != 0;
                let pid = if is_thread { self.names.pid(tid) } else { child };
                let comm = args.comm();
                Child { tid: child, pid, parent: tid, told: Told::Parent, comm, flags, nested: None }
            }
            _ => return,
        };
        self.names.tasks.fork(&child);
        if self.names.tasks.is_gone(child.tid) {
            self.names.ended = Some(Ended::Thread { tid: child.tid });
        }
    }

    fn executed(&mut self) {
        let pid = self.args.int("pid").map_or(self.tid, |pid| pid as u64);
        self.names.tasks.exec(self.tid, pid, self.args.comm());
        let cwd = self.args.text("cwd").filter(|cwd| cwd.starts_with(b"/"));
        self.directory_changed(cwd.map(Into::into));
    }
}

/// The parameters of an event.
struct Args<'a>(&'a EventView<'a>);

impl<'a> Args<'a> {
    fn get(&self, name: &str) -> Option<Value<'a>> {
        self.0.value(name)?.ok().map(|d| d.value).filter(|v| *v != Value::Absent)
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

    /// Returns the command name of a clone or exec event; if the row is too old to have it, the program's file name.
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

//! Descriptors that calls make, change and close.

use super::Apply;
use crate::{
    format::{
        SockAddr, Value, family,
        state::{L4Proto, NamedFd},
    },
    model::{
        control::{self, Control},
        endpoints,
        fds::{Direction, Ends, FdClass, FdDetail, O_CLOEXEC, OpenFd, Role, socket_class},
        flags::{self, flag},
        machine::Ended,
        paths,
    },
};

const EBADF: i64 = 9;
const EINPROGRESS: i64 = 115;
/// The close-on-exec bit of `socket`'s type, which has the kernel's encoding.
const SOCK_CLOEXEC: u64 = 0o2000000;
const FD_CLOEXEC: u64 = 1;
const MFD_CLOEXEC: u32 = flag("memfd_create_flags", "MFD_CLOEXEC");

impl Apply<'_> {
    pub(super) fn open(&mut self, param: &str, open: OpenFd, close_on_exec: bool) {
        self.machine.renamed |= !open.name.is_empty();
        self.insert(param, open, close_on_exec);
    }

    fn insert(&mut self, param: &str, open: OpenFd, close_on_exec: bool) {
        if let Some(fd) = self.args.int(param).filter(|fd| *fd >= 0) {
            self.insert_fd(fd, open, close_on_exec);
        }
    }

    pub(super) fn insert_fd(&mut self, fd: i64, open: OpenFd, close_on_exec: bool) {
        let open = OpenFd { opened: self.args.event.ts(), ..open };
        self.machine.tasks.files_mut(self.tid).insert(fd, open, close_on_exec);
    }

    pub(super) fn opened(&mut self) {
        let args = &self.args;
        let Some(name) = args.text("name").or_else(|| args.text("path")) else { return };
        let mut path =
            self.machine.absolute(args.event, args.int("dirfd"), name).unwrap_or_else(|| name.to_vec());
        // Generic events have the flags as the kernel has them.
        let is_generic = self.row.ty.is_generic();
        let class = if is_generic {
            FdClass::File
        } else if args.has_flag("flags", flags::O_TMPFILE) {
            // An unnamed file in that directory: the kernel names it after its inode.
            if let Some(ino) = args.uint("ino") {
                path = paths::join(&path, format!("#{ino} (deleted)").as_bytes());
            }
            FdClass::File
        } else if args.has_flag("flags", flags::O_DIRECTORY) {
            FdClass::Named(NamedFd::Directory)
        } else {
            FdClass::File
        };
        let cloexec = args.has_cloexec();
        let mut open = OpenFd {
            flags: args.flags("flags").filter(|_| !is_generic).unwrap_or_default(),
            dev: args.uint("dev").and_then(|dev| u32::try_from(dev).ok()).unwrap_or_default(),
            ino: args.uint("ino").unwrap_or_default(),
            ..OpenFd::new(class, &path)
        };
        if self.machine.tasks.whole {
            open.set_given(name);
        }
        self.open(if is_generic { "res" } else { "fd" }, open, cloexec);
    }

    /// Names a descriptor as its link in /proc does.
    pub(super) fn anonymous_made(&mut self) {
        const UNSUPPORTED: FdClass = FdClass::Named(NamedFd::Unsupported);
        const KINDS: [(&str, FdClass, &str); 8] = [
            ("fsopen", UNSUPPORTED, "anon_inode:[fscontext]"),
            ("fspick", UNSUPPORTED, "anon_inode:[fscontext]"),
            // The root of a mount that is mounted nowhere.
            ("fsmount", FdClass::Named(NamedFd::Directory), "/"),
            ("fanotify_init", UNSUPPORTED, "anon_inode:[fanotify]"),
            ("landlock_create_ruleset", UNSUPPORTED, "anon_inode:[landlock-ruleset]"),
            ("memfd_secret", UNSUPPORTED, "/secretmem (deleted)"),
            ("perf_event_open", UNSUPPORTED, "anon_inode:[perf_event]"),
            // In the root of the file system of queues; the C library removes the slash.
            ("mq_open", FdClass::File, "/"),
        ];
        let call = self.row.name;
        let found = KINDS.iter().find(|(name, ..)| *name == call);
        let (class, link) = found.map_or((UNSUPPORTED, ""), |(_, class, link)| (*class, *link));
        let mut name = link.as_bytes().to_vec();
        if call == "mq_open" {
            name.extend_from_slice(self.args.text("name").unwrap_or_default());
        }
        // The kernel always sets close-on-exec for a ruleset and for a queue.
        let cloexec = ["landlock_create_ruleset", "mq_open"].contains(&call) || self.args.has_cloexec();
        self.open("res", OpenFd::new(class, &name), cloexec);
    }

    /// Linux closes the descriptor even if the call fails, except with EBADF.
    pub(super) fn closed(&mut self) {
        if let (Some(res), Some(fd)) = (self.args.int("res"), self.args.int("fd")) {
            if res == -EBADF {
                self.machine.tasks.files_mut(self.tid).close(fd..=fd);
            } else {
                self.machine.ended = Some(Ended::Fds { tid: self.tid, first: fd, last: fd });
            }
        }
    }

    pub(super) fn range_closed(&mut self) {
        let (Some(first), Some(last)) = (self.args.uint("first"), self.args.uint("last")) else { return };
        let (first, last) = (first as i64, last as i64);
        if self.args.has_flag("flags", flags::CLOSE_RANGE_UNSHARE) {
            self.machine.tasks.unshare(self.tid, true, false);
        }
        if self.args.has_flag("flags", flags::CLOSE_RANGE_CLOEXEC) {
            self.machine.tasks.files_mut(self.tid).range_set_close_on_exec(first..=last);
        } else {
            self.machine.ended = Some(Ended::Fds { tid: self.tid, first, last });
        }
    }

    pub(super) fn duplicated(&mut self, old: Option<i64>, cloexec: bool) {
        let copy = old.and_then(|old| self.machine.fd(self.tid, old)).cloned();
        match (copy, self.args.int("res").filter(|fd| *fd >= 0)) {
            (_, new) if old == new => {}
            (Some(copy), _) => self.insert("res", copy, cloexec),
            (None, Some(new)) => self.machine.tasks.files_mut(self.tid).close(new..=new),
            (None, None) => {}
        }
    }

    pub(super) fn fcntl(&mut self) -> bool {
        let args = &self.args;
        let (Some(cmd), Some(fd), Some(res)) = (args.flags("cmd"), args.int("fd"), args.int("res")) else {
            return false;
        };
        let close_on_exec = match cmd {
            cmd if flags::fcntl_duplicates(cmd) => {
                self.duplicated(Some(fd), cmd == flags::F_DUPFD_CLOEXEC);
                return res >= 0;
            }
            flags::F_SETFD if res == 0 => args.uint("arg"),
            flags::F_GETFD if res >= 0 => Some(res as u64),
            _ => None,
        };
        if let Some(flags) = close_on_exec {
            self.machine.tasks.files_mut(self.tid).set_close_on_exec(fd, flags & FD_CLOEXEC != 0);
        }
        close_on_exec.is_some()
    }

    pub(super) fn pipe(&mut self) {
        let name = self.args.uint("ino").map_or(String::new(), |ino| format!("pipe:[{ino}]"));
        let ino = self.args.uint("ino").unwrap_or_default();
        let open = OpenFd { ino, ..OpenFd::new(FdClass::Named(NamedFd::Fifo), name.as_bytes()) };
        let cloexec = self.args.has_flag("flags", O_CLOEXEC);
        self.open("fd1", open.clone(), cloexec);
        self.open("fd2", open, cloexec);
    }

    pub(super) fn created(&mut self, kind: NamedFd) {
        // Where a row has both `res` and `fd`, as signalfd's, `fd` is an argument.
        let param = if self.row.param("res").is_some() { "res" } else { "fd" };
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

    pub(super) fn socket_made(&mut self) {
        let args = &self.args;
        let class = socket_class(args.flags("domain"), args.uint("type"), args.uint("proto"));
        let cloexec = self.has_sock_cloexec("type") || self.args.has_flag("flags", O_CLOEXEC);
        self.open("fd", OpenFd::new(class, b""), cloexec);
    }

    pub(super) fn socket_pair(&mut self) {
        for fd in ["fd1", "fd2"] {
            self.open(fd, OpenFd::new(FdClass::Unix, b""), self.has_sock_cloexec("type"));
        }
    }

    fn has_sock_cloexec(&self, param: &str) -> bool {
        self.args.uint(param).is_some_and(|flags| flags & SOCK_CLOEXEC != 0)
    }

    pub(super) fn bpf(&mut self) -> bool {
        let is_new = self.args.flags("cmd").is_some_and(flags::bpf_creates);
        if is_new {
            // The kernel always sets close-on-exec.
            self.open("fd", OpenFd::new(FdClass::Named(NamedFd::Bpf), b""), true);
        }
        is_new
    }

    pub(super) fn bound(&mut self) {
        let Some(Value::SockAddr(address)) = self.args.get("addr") else { return };
        if matches!(address, SockAddr::Other(..)) {
            return;
        }
        self.socket(FdClass::of_address(&address), |open| {
            open.name = endpoints::sockaddr(&address).into();
            open.detail = FdDetail::of_bound(&address);
            open.stored = None;
        });
    }

    pub(super) fn connected(&mut self) -> bool {
        if self.args.int("res").is_some_and(|res| res >= 0 || res == -EINPROGRESS)
            && let Some(Value::SockTuple(tuple)) = self.args.get("tuple")
        {
            let class = FdClass::of_tuple(&tuple, L4Proto::Unknown);
            return self.socket(class, |open| open.set_ends(Role::Client, &tuple));
        }
        false
    }

    pub(super) fn accepted(&mut self) {
        let mut open = OpenFd::new(FdClass::Named(NamedFd::Unsupported), b"");
        if let Some(Value::SockTuple(tuple)) = self.args.get("tuple") {
            open.class = FdClass::of_tuple(&tuple, L4Proto::Tcp);
            open.set_ends(Role::Server, &tuple);
        }
        self.open("fd", open, self.has_sock_cloexec("flags"));
    }

    /// Changes the socket that the event is about. A descriptor that was not known, or was known as something else, is one
    /// from now on. Returns whether that made a difference.
    pub(super) fn socket(&mut self, class: FdClass, change: impl FnOnce(&mut OpenFd)) -> bool {
        let Some(fd) = self.args.int("fd").filter(|fd| *fd >= 0) else { return false };
        self.socket_at(fd, class, change)
    }

    /// The same for the socket at a descriptor.
    pub(super) fn socket_at(&mut self, fd: i64, class: FdClass, change: impl FnOnce(&mut OpenFd)) -> bool {
        let fds = self.machine.tasks.files_mut(self.tid);
        let before = fds.get(fd).cloned();
        if !fds.get(fd).is_some_and(|open| open.class.is_socket()) {
            fds.insert(fd, OpenFd::new(class, b""), false);
        }
        let renamed = &mut self.machine.renamed;
        fds.change(fd, |open| {
            let before = open.name.clone();
            open.class = open.class.with_family_of(class);
            change(open);
            *renamed = before != open.name;
        });
        fds.get(fd) != before.as_ref()
    }

    /// Handles a transfer. A socket without a name gets one; the name of a datagram socket follows its peer.
    pub(super) fn transferred(&mut self, direction: Direction) -> bool {
        let Some(fd) = self.args.int("fd").filter(|fd| *fd >= 0) else { return false };
        let known = self.machine.fd(self.tid, fd).filter(|open| open.class.is_socket());
        // The two ways out are for most transfers: what others do costs several times as much.
        if known.is_some_and(OpenFd::is_ipv4_connection) && self.args.family("tuple") == Some(family::INET) {
            return false;
        }
        let Some(Value::SockTuple(tuple)) = self.args.get("tuple") else { return false };
        let Some(ends) = Ends::of_tuple(&tuple) else { return false };
        let class = FdClass::of_tuple(&tuple, L4Proto::Unknown);
        let has_class = |open: &OpenFd| open.class.with_family_of(class) == open.class;
        if known.is_some_and(|open| has_class(open) && open.follows(direction, ends).is_none()) {
            return false;
        }
        self.socket_at(fd, class, |open| open.follow(direction, ends, &tuple))
    }

    /// Handles descriptors received with a message. Without its extension, the event does not say what they refer to, so this
    /// forgets what had their numbers.
    pub(super) fn received_fds(&mut self) -> bool {
        let Some(Value::Bytes(control)) = self.args.get("msgcontrol") else { return false };
        let mut are_there = false;
        for message in control::messages(control) {
            are_there = true;
            match message {
                Control::Fds(fds) => fds.for_each(|fd| self.machine.tasks.files_mut(self.tid).close(fd..=fd)),
                Control::Pidfd(fd) => {
                    let open = OpenFd::new(FdClass::Named(NamedFd::Pidfd), b"");
                    self.machine.tasks.files_mut(self.tid).insert(fd, open, false);
                }
            }
        }
        self.described(false);
        are_there
    }

    /// Takes over the descriptors that the extension describes.
    fn described(&mut self, close_on_exec: bool) {
        let Some(Value::Received(entries)) = self.args.get("received") else { return };
        for fd in entries.iter() {
            let Ok(number) = i64::try_from(fd.fd) else { continue };
            let open = OpenFd { opened: self.args.event.ts(), ..OpenFd::described(&fd) };
            self.machine.tasks.files_mut(self.tid).insert(number, open, close_on_exec);
        }
    }

    pub(super) fn pidfd_opened(&mut self) {
        let Some(id) = self.args.int("pid").and_then(|pid| u64::try_from(pid).ok()) else { return };
        // strace's format; no file can have such an absolute path.
        let mut open = OpenFd::new(FdClass::Named(NamedFd::Pidfd), format!("pid:{id}").as_bytes());
        if let Some(tid) = self.machine.tasks.resolve(self.tid, id) {
            open.detail = FdDetail::Process(tid);
        }
        self.open("fd", open, true);
    }

    pub(super) fn pidfd_got(&mut self) {
        let (Some(pidfd), Some(target)) = (self.args.int("pid_fd"), self.args.int("target_fd")) else {
            return;
        };
        match (self.machine.fd_of_pidfd(self.tid, pidfd, target).cloned(), self.args.int("fd")) {
            (Some(copy), _) => self.insert("fd", copy, true),
            (None, Some(fd)) => {
                self.machine.tasks.files_mut(self.tid).close(fd..=fd);
                self.described(true);
            }
            (None, None) => {}
        }
    }
}

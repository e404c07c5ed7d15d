//! What requests of io_uring do, at their completion.

use super::Apply;
use crate::{
    events::{IO_URING_OPS, flag_table, same},
    format::{
        SockAddr, Value,
        state::{L4Proto, NamedFd},
    },
    model::{
        endpoints,
        fds::{FdClass, FdDetail, O_CLOEXEC, OpenFd, Role, socket_class},
        flags::{O_DIRECTORY, O_TMPFILE, flag},
        machine::Ended,
        paths,
        requests::{BoundEnd, Request, RequestKey},
    },
};

const EBADF: i64 = 9;
const EINPROGRESS: i64 = 115;
/// The close-on-exec bit of a socket's type and of accept's flags.
const SOCK_CLOEXEC: u64 = 0o2000000;
const NO_CLOEXEC: u32 = flag("io_uring_install_flags", "IORING_FIXED_FD_NO_CLOEXEC");

const ACCEPT: u32 = op("ACCEPT");
const BIND: u32 = op("BIND");
const CLOSE: u32 = op("CLOSE");
const CONNECT: u32 = op("CONNECT");
const INSTALL: u32 = op("FIXED_FD_INSTALL");
const OPENAT: u32 = op("OPENAT");
const OPENAT2: u32 = op("OPENAT2");
const PIPE: u32 = op("PIPE");
const SOCKET: u32 = op("SOCKET");

/// Returns the number of an operation.
const fn op(name: &str) -> u32 {
    let mut i = 0;
    while !same(IO_URING_OPS[i].name, name) {
        i += 1;
    }
    IO_URING_OPS[i].number as u32
}

impl Apply<'_> {
    /// Handles a submission. It changes nothing yet.
    pub(super) fn io_uring_submitted(&mut self) {
        let Some(key) = RequestKey::of(self.args.event) else { return };
        let request = self.request();
        self.machine.requests.submit(key, request);
    }

    fn request(&self) -> Request {
        let args = &self.args;
        let socket = args.flags("domain").map(|domain| {
            let socket_type = args.uint("type");
            let cloexec = socket_type.is_some_and(|flags| flags & SOCK_CLOEXEC != 0);
            (socket_class(Some(domain), socket_type, args.uint("proto")), cloexec)
        });
        Request {
            submitted: args.event.ts(),
            opcode: args.flags("opcode").unwrap_or_default(),
            fd: args.int("fd"),
            has_slot: args.int("slot").is_some(),
            path: self.absolute_of_request().unwrap_or_default(),
            flags: args.flags("op_flags").unwrap_or_default(),
            socket,
            bound: self.bound_end(),
        }
    }

    fn absolute_of_request(&self) -> Option<Vec<u8>> {
        let name = self.args.text("name").filter(|name| !name.is_empty())?;
        let absolute = self.machine.absolute(self.args.event, self.args.int("fd"), name);
        Some(absolute.unwrap_or_else(|| name.to_vec()))
    }

    fn bound_end(&self) -> Option<BoundEnd> {
        let Value::SockAddr(address) = self.args.get("sockaddr")? else { return None };
        if self.args.flags("opcode") != Some(BIND) || matches!(address, SockAddr::Other(..)) {
            return None;
        }
        let (class, detail) = (FdClass::of_address(&address), FdDetail::of_bound(&address));
        Some(BoundEnd { class, name: endpoints::sockaddr(&address), detail })
    }

    /// Handles a completion. Returns whether it may have changed what other events refer to.
    pub(super) fn io_uring_completed(&mut self) -> bool {
        let Some(key) = RequestKey::of(self.args.event) else { return false };
        let request = self.machine.requests.get(key).cloned();
        self.machine.requests.complete(key);
        self.machine.request_fd = request.as_ref().and_then(|request| request.fd.filter(|fd| *fd >= 0));
        self.machine.latency =
            request.as_ref().map(|request| self.args.event.ts().saturating_sub(request.submitted));
        let (Some(opcode), Some(res)) = (
            request.as_ref().map(|request| request.opcode).or(self.args.flags("opcode")),
            self.args.int("res"),
        ) else {
            return false;
        };
        let has_slot = request.as_ref().is_some_and(|request| request.has_slot);
        // Older kernels do not say the descriptor.
        let made =
            || self.args.int("fd").or(Some(res).filter(|fd| *fd >= 0 && request.is_some() && !has_slot));
        match opcode {
            CLOSE => {
                let fd = self.args.int("fd").or(request.and_then(|request| request.fd));
                return !has_slot && self.closed_by_request(fd, res);
            }
            CONNECT => return self.connected_by_request(request.and_then(|request| request.fd), res),
            BIND if res == 0 => return request.is_some_and(|request| self.bound_by_request(request)),
            PIPE if res == 0 => return self.piped_by_request(),
            _ => {}
        }
        let Some(fd) = made() else { return false };
        let Some((open, cloexec)) = self.made_by_request(opcode, request.as_ref()) else { return false };
        self.insert_fd(fd, open, cloexec);
        true
    }

    /// Returns what a request has opened, and whether it is closed on exec; `None` if it makes no descriptor.
    fn made_by_request(&self, opcode: u32, request: Option<&Request>) -> Option<(OpenFd, bool)> {
        let flags = request.map_or(0, |request| request.flags);
        Some(match opcode {
            OPENAT | OPENAT2 => {
                let flags = file_flags(flags);
                (self.file_of_request(request, flags), flags & O_CLOEXEC != 0)
            }
            ACCEPT => {
                let mut open = OpenFd::new(FdClass::Named(NamedFd::Unsupported), b"");
                if let Some(Value::SockTuple(tuple)) = self.args.get("tuple") {
                    open.class = FdClass::of_tuple(&tuple, L4Proto::Tcp);
                    open.set_ends(Role::Server, &tuple);
                }
                (open, u64::from(flags) & SOCK_CLOEXEC != 0)
            }
            SOCKET => {
                let (class, cloexec) = request.and_then(|request| request.socket)?;
                (OpenFd::new(class, b""), cloexec)
            }
            INSTALL => (self.file_of_request(None, 0), flags & NO_CLOEXEC == 0),
            _ => return None,
        })
    }

    /// Returns the file that a request has opened: by the kernel's path, or that of the request.
    fn file_of_request(&self, request: Option<&Request>, flags: u32) -> OpenFd {
        let path = self.args.text("file").or(request.map(|request| &request.path[..])).unwrap_or_default();
        let ino = self.args.uint("ino").unwrap_or_default();
        let class = if flags & O_DIRECTORY != 0 && flags & O_TMPFILE == 0 {
            FdClass::Named(NamedFd::Directory)
        } else {
            FdClass::File
        };
        let unnamed = request.filter(|_| flags & O_TMPFILE != 0 && ino != 0);
        let path = match unnamed {
            // The kernel names it after its inode.
            Some(request) => paths::join(&request.path, format!("#{ino} (deleted)").as_bytes()),
            None => path.to_vec(),
        };
        let dev = self.args.uint("dev").and_then(|dev| u32::try_from(dev).ok()).unwrap_or_default();
        OpenFd { flags, dev, ino, ..OpenFd::new(class, &path) }
    }

    /// Linux closes the descriptor even if the request fails, except with EBADF.
    fn closed_by_request(&mut self, fd: Option<i64>, res: i64) -> bool {
        let Some(fd) = fd else { return false };
        if res == -EBADF {
            self.machine.tasks.files_mut(self.tid).close(fd..=fd);
        } else {
            self.machine.ended = Some(Ended::Fds { tid: self.tid, first: fd, last: fd });
        }
        true
    }

    fn connected_by_request(&mut self, fd: Option<i64>, res: i64) -> bool {
        let (Some(fd), Some(Value::SockTuple(tuple))) = (fd, self.args.get("tuple")) else { return false };
        let class = FdClass::of_tuple(&tuple, L4Proto::Unknown);
        (res >= 0 || res == -EINPROGRESS)
            && self.socket_at(fd, class, |open| open.set_ends(Role::Client, &tuple))
    }

    fn bound_by_request(&mut self, request: Request) -> bool {
        let (Some(fd), Some(end)) = (request.fd, request.bound) else { return false };
        self.socket_at(fd, end.class, |open| {
            open.name = end.name.into();
            open.detail = end.detail;
            open.stored = None;
        })
    }

    fn piped_by_request(&mut self) -> bool {
        let ends = [self.args.int("fd"), self.args.int("fd2")];
        for fd in ends.into_iter().flatten() {
            self.insert_fd(fd, OpenFd::new(FdClass::Named(NamedFd::Fifo), b""), false);
        }
        ends != [None, None]
    }
}

/// Converts flags of open to those of the format.
fn file_flags(flags: u32) -> u32 {
    const ACCESS: u32 = 3;
    let named = flag_table("open_flags").iter().filter(|row| {
        let value = row.value as u32;
        if value <= ACCESS { flags & ACCESS == value } else { flags & value == value }
    });
    named
        .filter_map(|row| flag_table("file_flags").iter().find(|own| own.name == row.name))
        .fold(0, |flags, own| flags | own.value as u32)
}

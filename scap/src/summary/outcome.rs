//! What an event says of calls: that one begins, or what came of it.

use crate::{
    events::{Category, Effect, Event, EventFlags, IO_URING_OPS, Source},
    fields::types::{self, ByType, result},
    format::{EventView, Value},
    model::flag,
    replay::Moment,
};

/// What an event is to a summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The start of a call.
    Enter,
    /// The end of a call.
    Exit,
    /// The end of a request of io_uring, which is no call of its thread.
    Request,
    /// One of several ends of a call: `sendmmsg` and `recvmmsg` have one for each message.
    Message,
    /// A signal reaches a thread.
    Signal,
    /// A thread ends.
    End,
    /// Nothing.
    Other,
}

/// What a call does to files and connections, if it succeeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Act {
    /// Opens a file.
    Open,
    /// Creates a file, a directory or a link.
    Create,
    /// Deletes a file or a directory.
    Delete,
    /// Renames a file or a directory.
    Rename,
    /// Connects to a peer, also if that is still under way when the call returns.
    Connect,
    /// Accepts a connection.
    Accept,
}

/// The number of kinds of [`Act`].
pub(super) const ACTS: usize = 6;

/// The bytes that a call returns the number of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bytes {
    None,
    Read,
    Written,
    /// Read from one descriptor, and written to another.
    Moved,
    /// As the operation of io_uring says.
    OfRequest,
}

/// What the events of a row are.
struct RowKind {
    kind: Kind,
    /// It may also be the return of a clone in the child.
    is_clone: bool,
    bytes: Bytes,
    act: Option<Act>,
    /// The parameter with the flags with which it opens a file.
    flags: Option<usize>,
    /// The parameter with the result of a request.
    request_result: Option<usize>,
}

static KINDS: ByType<RowKind> = ByType::new(|| types::rows(RowKind::new));

/// The calls that change directories.
const CHANGES: &[(Act, &str)] = &[
    (Act::Create, "mkdir mkdirat mknod mknodat symlink symlinkat link linkat"),
    (Act::Delete, "unlink unlinkat rmdir"),
    (Act::Rename, "rename renameat renameat2"),
];

pub(super) const O_F_CREATED: u32 = flag("file_flags", "O_F_CREATED");
const EINPROGRESS: i64 = -115;

impl RowKind {
    fn new(row: &'static Event) -> RowKind {
        let (effect, is_enter) = (row.effect(), row.ty.is_enter());
        let is_call = row.source == Source::Syscall;
        let kind = match effect {
            Some(Effect::IoUringComplete) => Kind::Request,
            Some(Effect::Exit) => Kind::End,
            _ if is_call && is_enter => Kind::Enter,
            _ if is_call && matches!(row.name, "sendmmsg" | "recvmmsg") => Kind::Message,
            _ if is_call => Kind::Exit,
            _ if row.name == "signaldeliver" => Kind::Signal,
            _ => Kind::Other,
        };
        let has = |flag| row.flags.contains(flag);
        let bytes = match row.category {
            _ if !is_call && effect == Some(Effect::IoUringComplete) => Bytes::OfRequest,
            _ if !is_call || is_enter => Bytes::None,
            _ if ["sendfile", "copy_file_range", "splice", "tee"].contains(&row.name) => Bytes::Moved,
            _ if has(EventFlags::WRITES_TO_FD) => Bytes::Written,
            _ if has(EventFlags::READS_FROM_FD) => Bytes::Read,
            Category::IoWrite => Bytes::Written,
            Category::IoRead => Bytes::Read,
            _ if row.name == "vmsplice" => Bytes::Written,
            _ => Bytes::None,
        };
        let name = row.syscall().map_or(row.name, |call| call.name);
        let is_named = |names: &str| names.split(' ').any(|known| known == name);
        let act = match effect {
            _ if !is_call || is_enter => None,
            Some(Effect::Open) => Some(Act::Open),
            Some(Effect::Connect) => Some(Act::Connect),
            Some(Effect::Accept) => Some(Act::Accept),
            _ => CHANGES.iter().find(|(_, names)| is_named(names)).map(|(act, _)| *act),
        };
        let flags = row.param("flags").filter(|_| act == Some(Act::Open));
        let is_request = effect == Some(Effect::IoUringComplete);
        let request_result = row.param("res").filter(|_| is_request);
        let is_clone = effect == Some(Effect::Clone) && !is_enter;
        RowKind { kind, is_clone, bytes, act, flags, request_result }
    }
}

/// What came of a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What it returned: below 0, the negative number of the error.
    pub result: Option<i64>,
    /// How long it took, in ns; `None` if the capture lacks its start.
    pub latency: Option<u64>,
    /// The bytes that it read.
    pub read: u64,
    /// The bytes that it wrote.
    pub written: u64,
    /// How many of these it read from another descriptor, and are not among those in `read`.
    pub moved: u64,
    /// What it did to a file or a connection.
    pub act: Option<Act>,
    /// It has also created the file that it opened.
    pub has_created: bool,
}

impl Outcome {
    /// Returns what came of the call that an event ends; `None` if it ends none. The return of a clone in the child is no
    /// end, and a request of io_uring ends with its completion.
    pub fn of(moment: &Moment<'_>) -> Option<Outcome> {
        matches!(kind(moment), Kind::Exit | Kind::Request | Kind::Message).then(|| Outcome::at(moment))
    }

    /// Returns what came of the call that an event ends, which is known to end one.
    pub(super) fn at(moment: &Moment<'_>) -> Outcome {
        let Some(row) = KINDS.of(moment) else { return Outcome::default() };
        let result = match row.request_result.map(|index| moment.event().param_value(index)) {
            Some(Some(Value::Errno(result))) => Some(result),
            _ => result(moment),
        };
        let outcome = Outcome { result, latency: moment.machine.latency(), ..Outcome::default() };
        let bytes = result.and_then(|result| u64::try_from(result).ok()).unwrap_or(0);
        let (read, written) = match row.bytes {
            Bytes::None => (0, 0),
            Bytes::Read => (bytes, 0),
            Bytes::Written | Bytes::Moved => (0, bytes),
            Bytes::OfRequest => of_request(moment.event(), bytes),
        };
        let is_done = |act: &Act| match act {
            Act::Connect => matches!(result, Some(0 | EINPROGRESS)),
            _ => result.is_some_and(|result| result >= 0),
        };
        let act = row.act.filter(is_done);
        let flags = row.flags.filter(|_| act.is_some()).and_then(|flags| moment.event().param_value(flags));
        let has_created = matches!(flags, Some(Value::Flags(flags)) if flags & O_F_CREATED != 0);
        let moved = if row.bytes == Bytes::Moved { bytes } else { 0 };
        Outcome { read, written, moved, act, has_created, ..outcome }
    }

    /// Returns the number of the error that it failed with.
    pub fn error(&self) -> Option<i64> {
        self.result.filter(|result| *result < 0).and_then(i64::checked_neg)
    }
}

/// Returns what an event is.
#[inline]
pub(super) fn kind(moment: &Moment<'_>) -> Kind {
    match KINDS.of(moment) {
        Some(row) if row.is_clone && result(moment) == Some(0) => Kind::Other,
        Some(row) => row.kind,
        None => Kind::Other,
    }
}

/// Returns whether an event is one of several ends of a call.
#[inline]
pub(super) fn is_message(event: &EventView<'_>) -> bool {
    KINDS.of_event(event).is_some_and(|row| row.kind == Kind::Message)
}

/// Returns the bytes that a request of io_uring read and wrote.
fn of_request(event: &EventView<'_>, bytes: u64) -> (u64, u64) {
    let Some(Ok(Value::Enum(number))) = event.value("opcode").map(|decoded| decoded.map(|d| d.value)) else {
        return (0, 0);
    };
    let op = usize::try_from(number).ok().and_then(|number| IO_URING_OPS.get(number));
    match op.map(|op| op.name) {
        Some(name) if name.starts_with("READ") || name.starts_with("RECV") => (bytes, 0),
        Some(name) if ["WRITE", "SEND", "SPLICE", "TEE"].iter().any(|of| name.starts_with(of)) => (0, bytes),
        _ => (0, 0),
    }
}

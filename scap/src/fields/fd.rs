//! Fields of the descriptor that an event refers to: of an exit event that made one, the new one.
//!
//! The values are those of sysdig 0.41, with these exceptions:
//!
//! | field | here | in sysdig | reason |
//! |-|-|-|-|
//! | `fd.name` of a pipe, memfd, pidfd | `pipe:[7]`, `memfd:a`, `pid:7` | one made while recording: nothing, `a`, `/proc/7` | the same name whenever it was made |
//! | `fd.name` of a unix socket | that of `connect` and `accept` | changes with transfers | it says which socket listens |
//! | `fd.name`, `fd.cip` and their like of a datagram socket without an address | `0.0.0.0` | the address of an interface | the capture does not say which |
//! | `fd.directory` without a descriptor | none | `/` | it is in no directory |
//! | `fd.type`, `fd.l4proto`, if unknown | none | the text `<NA>` | the text stands for a missing value |
//! | `fd.typechar` of an unknown family, of a failed `open` | `X`, `f` | `o` | `X` and `f` are those of other calls |
//! | `fd.types` | the process's | also descriptors that `execve` closed | they are closed |
//! | `fd.cproto` and its like | the service's name | the port (with -R, the name); an empty text for a listening or a unix socket | that is what a filter compares with |
//! | `fd.ip`, `fd.port`, `fd.proto`, `fd.net` without an address | none | a new socket has `0.0.0.0` and port 0; `exists` is true for every descriptor | it has no address |
//! | `fd.lip`, `fd.is_server` and their like | an address is local if an interface has it; if none has either, the role decides | of IPv6, also an address of an interface's network; without interface, the server's end is local | the address of a neighbour, or of a container |
//! | all of these for a socket of the initial state | known | of IPv6 unknown; nor is the address of a listening socket | the capture has them |
//! | `fd.connected` | true if the peer is known | true after a transfer | the same, except for sockets of the initial state and unix sockets |
//! | `fdlist.cips` and its like | without unconnected sockets | `0.0.0.0`, port 0 | they have no address |
use std::{borrow::Cow, collections::HashSet};

use super::{
    Argument, Key, Type, Value,
    row::{Each, Row},
    subject::{Subject, open, subject},
};
use crate::{
    format::state::NamedFd,
    model::{Ends, FdClass, OpenFd, flag},
    replay::Moment,
};

pub(super) const ROWS: &[Row] = &[
    Row::one("fd.num", Type::Int, "number of the descriptor; -1 if the call made none", |m| {
        Some(Value::Int(subject(m)?.fd))
    }),
    Row::one(
        "fd.type",
        Type::Text,
        "kind of the descriptor, such as file, directory, ipv4, unix, pipe or event",
        |m| kind(open(m)?).map(Value::text),
    ),
    Row::one("fd.typechar", Type::Text, "the same as a letter: f d 4 6 u p e s l i t n b r m P", |m| {
        Some(Value::Text(Cow::Owned(vec![subject(m)?.letter() as u8])))
    }),
    Row::one(
        "fd.name",
        Type::Text,
        "absolute path of a file, both ends of a socket, name of anything else",
        |m| subject(m)?.name().map(Value::Text),
    )
    .cost(3),
    Row::one("fd.directory", Type::Text, "directory of a file, or the directory itself", |m| {
        directory(&subject(m)?).map(Value::Text)
    }),
    Row::one("fd.filename", Type::Text, "name of a file without its directory", |m| {
        let open = open(m).filter(|open| open.class == FdClass::File)?;
        Some(Value::text(file_name(&open.name)))
    }),
    Row::one("fd.sockfamily", Type::Text, "family of a socket: ip or unix", |m| match open(m)?.class {
        FdClass::Ipv4(_) | FdClass::Ipv6(_) => Some(Value::text("ip")),
        FdClass::Unix => Some(Value::text("unix")),
        _ => None,
    }),
    Row::one(
        "fd.uid",
        Type::Text,
        "the thread's id and the descriptor's number, one behind the other",
        |m| Some(owned(format!("{}{}", m.event().tid(), subject(m)?.fd))),
    ),
    Row::one(
        "fd.containername",
        Type::Text,
        "a container's id, which is empty here, a colon, and fd.name",
        |m| Some(contained(&subject(m)?.name()?)),
    ),
    Row::one("fd.containerdirectory", Type::Text, "the same with fd.directory", |m| {
        Some(contained(&directory(&subject(m)?)?))
    }),
    Row::one("fd.connected", Type::Bool, "whether the socket has a peer", |m| {
        Some(Value::Bool(is_connected(open(m)?)))
    }),
    Row::one(
        "fd.name_changed",
        Type::Bool,
        "whether the event changes fd.name, as a datagram of another peer does",
        |m| open(m).map(|_| Value::Bool(m.machine.renamed())),
    ),
    Row::one("fd.dev", Type::Int, "device that the file is on, as stat(2) encodes it; 0 if unknown", |m| {
        Some(Value::Int(open(m)?.dev.into()))
    })
    .hex(),
    Row::one("fd.dev.major", Type::Int, "major number of fd.dev", |m| {
        Some(Value::Int((open(m)?.dev >> 8 & 0xfff).into()))
    }),
    Row::one("fd.dev.minor", Type::Int, "minor number of fd.dev", |m| {
        let dev = open(m)?.dev;
        Some(Value::Int((dev & 0xff | dev >> 12 & 0xfff00).into()))
    }),
    Row::one("fd.ino", Type::Int, "inode of the file; 0 if unknown", |m| {
        Some(Value::Int(open(m)?.ino as i64))
    }),
    Row::one("fd.nameraw", Type::Text, "path of a file as the call was given it; empty if unknown", |m| {
        Some(Value::Text(without_doubled_slashes(subject(m)?.given()?)))
    }),
    Row::many(
        "fd.types",
        Type::Text,
        Argument::OptionalIndex,
        "kinds of all descriptors of the process, or of one",
        types,
    )
    .list()
    .cost(100),
    Row::one("fd.is_upper_layer", Type::Bool, "whether the file is in the upper layer of an overlay", |m| {
        Some(Value::Bool(open(m)?.flags & FD_UPPER_LAYER != 0))
    }),
    Row::one("fd.is_lower_layer", Type::Bool, "whether the file is in a lower layer of an overlay", |m| {
        Some(Value::Bool(open(m)?.flags & FD_LOWER_LAYER != 0))
    }),
];

const FD_UPPER_LAYER: u32 = flag("file_flags", "FD_UPPER_LAYER");
const FD_LOWER_LAYER: u32 = flag("file_flags", "FD_LOWER_LAYER");

fn owned<'a>(text: impl Into<Vec<u8>>) -> Value<'a> {
    Value::Text(Cow::Owned(text.into()))
}

fn contained<'a>(name: &[u8]) -> Value<'a> {
    owned([b":", name].concat())
}

/// Returns the name of what a descriptor refers to; `None` if that is not known.
fn kind(open: &OpenFd) -> Option<&'static str> {
    (open.class != FdClass::Named(NamedFd::Unsupported)).then(|| open.class.word())
}

fn directory<'a>(subject: &Subject<'a>) -> Option<Cow<'a, [u8]>> {
    match subject.open.map(|open| open.class) {
        Some(FdClass::Named(NamedFd::Directory)) => subject.name(),
        Some(FdClass::File) => subject.name().map(parent),
        None if subject.is_missing_file() => subject.name().map(parent),
        _ => None,
    }
}

/// Returns the directory of a path. A path that ends with a slash is its own.
fn parent(path: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    match path.iter().rposition(|byte| *byte == b'/') {
        None | Some(0) => Cow::Borrowed(b"/"),
        Some(slash) if slash + 1 == path.len() => path,
        Some(slash) => match path {
            Cow::Borrowed(path) => Cow::Borrowed(&path[..slash]),
            Cow::Owned(mut path) => {
                path.truncate(slash);
                Cow::Owned(path)
            }
        },
    }
}

fn file_name(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) if slash + 1 < path.len() => &path[slash + 1..],
        _ => path,
    }
}

fn without_doubled_slashes(path: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    if !path.windows(2).any(|pair| pair == b"//") {
        return path;
    }
    let mut path = path.into_owned();
    path.dedup_by(|a, b| *a == b'/' && *b == b'/');
    Cow::Owned(path)
}

fn is_connected(open: &OpenFd) -> bool {
    match open.ends() {
        Some(Ends::Inet(..)) => true,
        // A datagram's tuple has the end that is known.
        Some(Ends::Unix(client, server)) => client != 0 && server != 0,
        None => false,
    }
}

fn types(m: &Moment<'_>, argument: Option<&Key>, each: Each<'_>) {
    let tid = m.event().tid();
    if subject(m).is_none() {
        return;
    }
    if let Some(Key::Index(fd)) = argument {
        if let Some(kind) = m.machine.fd(tid, (*fd).into()).and_then(kind) {
            each(Value::text(kind));
        }
        return;
    }
    let mut seen = HashSet::new();
    let kinds = m.machine.fds(tid).into_iter().filter_map(|(_, open)| kind(open));
    for kind in kinds {
        if seen.insert(kind) && !each(Value::text(kind)) {
            return;
        }
    }
}

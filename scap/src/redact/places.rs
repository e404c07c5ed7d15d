//! Where an event has texts: by the types of its parameters.

use std::sync::LazyLock;

use crate::{
    events::{EVENTS, EXTENSIONS, Effect, Event, EventType, ParamInfo, event},
    format::{EventView, SockAddr, SockTuple, Structure, Value, decode},
};

/// A part of an event.
#[derive(Debug, Clone, Copy)]
pub(super) enum Texts<'a> {
    /// Data: anything.
    Data(&'a [u8]),
    /// One text, or several that each end with a NUL.
    List(&'a [u8]),
}

impl<'a> Texts<'a> {
    pub(super) fn bytes(self) -> &'a [u8] {
        match self {
            Texts::Data(bytes) | Texts::List(bytes) => bytes,
        }
    }
}

/// Whether events of a type may have texts, by the type's number.
static HAVE_TEXTS: LazyLock<Vec<bool>> = LazyLock::new(|| {
    let rows = || EVENTS.iter().chain(EXTENSIONS.iter().map(|row| &row.own));
    let last = rows().map(|row| usize::from(row.ty.0)).max().unwrap_or(0);
    let mut types = vec![false; last + 1];
    rows().for_each(|row| types[usize::from(row.ty.0)] = row.params.iter().any(may_have_texts));
    types
});

/// Returns whether events of a type may have texts.
#[inline]
pub(super) fn has_texts(ty: EventType) -> bool {
    HAVE_TEXTS.get(usize::from(ty.0)).is_some_and(|has| *has)
}

/// What has a fixed size is a number.
fn may_have_texts(info: &ParamInfo) -> bool {
    info.ty.size().is_none()
}

/// Calls `each` with the texts of an event, without those of its extension.
pub(super) fn texts<'a>(view: &EventView<'a>, mut each: impl FnMut(Texts<'a>)) {
    let Some(row) = event(view.ty()) else { return };
    let has_lists = lists(row);
    for (info, bytes) in row.params.iter().zip(view.params()) {
        if may_have_texts(info)
            && let Ok(decoded) = decode(info, bytes)
        {
            visit(decoded.value, has_lists, &mut each);
        }
    }
}

/// Returns whether the bytes of a row are lists: the arguments and the environment of a program.
fn lists(row: &Event) -> bool {
    matches!(row.effect(), Some(Effect::Exec | Effect::Clone))
}

fn visit<'a>(value: Value<'a>, has_lists: bool, each: &mut impl FnMut(Texts<'a>)) {
    match value {
        Value::Text(text) | Value::Texts(text) => each(Texts::List(text)),
        Value::Bytes(bytes) if has_lists => each(Texts::List(bytes)),
        Value::Bytes(bytes) => each(Texts::Data(bytes)),
        Value::SockAddr(SockAddr::Unix(path)) => each(Texts::List(path)),
        Value::SockTuple(SockTuple::Unix { path, .. }) => each(Texts::List(path)),
        Value::SockAddr(SockAddr::Other(_, bytes)) | Value::SockTuple(SockTuple::Other(_, bytes)) => {
            each(Texts::Data(bytes));
        }
        Value::Struct(structure) => members(&structure, each),
        Value::Structs(structures) => structures.iter().for_each(|structure| members(&structure, each)),
        Value::Dirents(entries) => entries.iter().for_each(|entry| each(Texts::List(entry.name))),
        Value::Received(received) => received.names().for_each(|name| each(Texts::List(name))),
        Value::SockAddr(SockAddr::Inet(..))
        | Value::SockTuple(SockTuple::Inet { .. })
        | Value::Absent
        | Value::Int(_)
        | Value::Uint(_)
        | Value::Errno(_)
        | Value::Fd(_)
        | Value::Pid(_)
        | Value::Syscall(_)
        | Value::Signal(_)
        | Value::Port(_)
        | Value::L4Proto(_)
        | Value::SockFamily(_)
        | Value::Bool(_)
        | Value::Flags(_)
        | Value::Enum(_)
        | Value::Mode(_)
        | Value::Uid(_)
        | Value::Gid(_)
        | Value::SigSet(_)
        | Value::Double(_)
        | Value::RelTime(_)
        | Value::AbsTime(_)
        | Value::Ip(_)
        | Value::FdList(_)
        | Value::Flags64(_)
        | Value::SigSet64(_)
        | Value::BitSet(_) => {}
    }
}

fn members<'a>(structure: &Structure<'a>, each: &mut impl FnMut(Texts<'a>)) {
    for decoded in structure.members().filter_map(|(_, decoded)| decoded.ok()) {
        visit(decoded.value, false, each);
    }
}

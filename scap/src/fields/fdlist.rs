//! Fields of the descriptors that `poll` and `ppoll` wait for. Each has one text, with commas between the descriptors. As
//! in sysdig, a descriptor without a name is `<NA>`, and one without an address or a port is left out.

use std::{borrow::Cow, sync::LazyLock};

use super::{
    Type, Value,
    ends::{End, bound, ends},
    row::Row,
};
use crate::{
    events::{Event, ParamType, rows},
    format::FdEntries,
    model::OpenFd,
    replay::Moment,
};

pub(super) const ROWS: &[Row] = &[
    Row::one("fdlist.nums", Type::Text, "numbers of the descriptors that poll or ppoll waits for", |m| {
        joined(m, |fd, _| Some(fd.to_string().into_bytes().into()))
    }),
    Row::one("fdlist.names", Type::Text, "their names", |m| {
        joined(m, |_, open| match open {
            Some(open) if !open.name.is_empty() => Some(Cow::Borrowed(&open.name)),
            _ => Some(Cow::Borrowed(b"<NA>")),
        })
    }),
    Row::one("fdlist.cips", Type::Text, "addresses of the clients", |m| {
        joined(m, |_, open| client(open?).map(|(ip, _)| ip.to_string().into_bytes().into()))
    }),
    Row::one("fdlist.sips", Type::Text, "addresses of the servers", |m| {
        joined(m, |_, open| server(open?).map(|(ip, _)| ip.to_string().into_bytes().into()))
    }),
    Row::one("fdlist.cports", Type::Text, "ports of the clients", |m| {
        joined(m, |_, open| client(open?).map(|(_, port)| port.to_string().into_bytes().into()))
    }),
    Row::one("fdlist.sports", Type::Text, "ports of the servers", |m| {
        joined(m, |_, open| server(open?).map(|(_, port)| port.to_string().into_bytes().into()))
    }),
];

/// The parameters with the descriptors that calls wait for, by event type.
static LISTS: LazyLock<Vec<Option<usize>>> = LazyLock::new(|| {
    let list = |row: &Event| row.params.iter().position(|param| param.ty == ParamType::FDLIST);
    rows().map(list).collect()
});

/// Returns what `text` returns for each descriptor, with commas between; `None` if that is nothing.
fn joined<'a>(
    m: &'a Moment<'a>,
    text: impl Fn(i64, Option<&'a OpenFd>) -> Option<Cow<'a, [u8]>>,
) -> Option<Value<'a>> {
    let event = m.event();
    let list = (*LISTS.get(event.row()?)?)?;
    // The number of descriptors stands before them.
    let entries = FdEntries::new(event.param(list)?.get(2..)?)?;
    let texts = entries.iter().filter_map(|(fd, _)| text(fd, m.machine.fd(event.tid(), fd)));
    let texts: Vec<_> = texts.collect();
    (!texts.is_empty()).then(|| Value::Text(Cow::Owned(texts.join(&b','))))
}

fn client(open: &OpenFd) -> Option<End> {
    ends(open).map(|(client, _)| client)
}

fn server(open: &OpenFd) -> Option<End> {
    ends(open).map(|(_, server)| server).or_else(|| bound(open))
}

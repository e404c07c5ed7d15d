//! Formats an event as a JSON object on one line. docs/JSON.md describes the format.
//!
//! The row of the event table alone determines the type of each member, so programs need not inspect it. This module
//! writes the text directly: building a tree of values took three times as long as the line format.

mod atoms;

use std::{fmt::Write, io, mem, net::IpAddr, sync::LazyLock};

use atoms::invalid;
pub(crate) use atoms::{bytes, rfc3339};
pub(super) use atoms::{double, ns, quoted, signed, string, unsigned};

use super::{
    DependsOn, View,
    meaning::{Meaning, meaning, shown},
    text,
    times::nanoseconds,
};
pub(super) use crate::json::VERSION;
use scap::{
    events::{Detail, Event, FlagTable, ParamInfo, ParamType, flag_table, rows},
    format::{Decoded, Dirent, EventView, FdEntries, SockAddr, SockTuple, Structure, Value, state::Fd},
    model::{Machine, OpenFd},
    replay::Moment,
};

/// JSON objects, one a line, in the format that docs/JSON.md describes.
#[derive(Debug, Default)]
pub struct Writer {
    line: String,
    /// The second of the last event, and its date and time: formatting them takes as long as everything else.
    second: Option<(u64, String)>,
}

/// What the objects say of the events of each row; those of some have names of their own.
static KINDS: LazyLock<Vec<String>> =
    LazyLock::new(|| rows().map(|row| kind(row.ty.is_enter(), row.common_name(), Some(row))).collect());

/// Returns the members of an event's object that say what it is.
fn kind(is_enter: bool, name: &str, row: Option<&Event>) -> String {
    let mut out = format!(",\"dir\":\"{}\",\"type\":", if is_enter { '>' } else { '<' });
    string(&mut out, name.as_bytes());
    // Writing to a string cannot fail.
    let _ = match row {
        Some(row) => write!(out, ",\"category\":\"{:?}\"", row.category),
        None => write!(out, ",\"category\":null"),
    };
    out
}

impl View for Writer {
    fn event(&mut self, moment: &Moment<'_>, out: &mut dyn io::Write) -> io::Result<()> {
        let mut line = mem::take(&mut self.line);
        line.clear();
        self.write(&mut line, moment);
        line.push('\n');
        self.line = line;
        out.write_all(self.line.as_bytes())
    }

    fn needs_calls(&self) -> bool {
        false
    }

    fn depends_on(&self) -> DependsOn {
        DependsOn::Event
    }
}

impl Writer {
    /// Appends the object of an event.
    fn write(&mut self, out: &mut String, moment: &Moment<'_>) {
        let (event, names) = (moment.event(), moment.machine);
        out.push_str("{\"v\":");
        unsigned(out, VERSION);
        out.push_str(",\"num\":");
        unsigned(out, moment.num);
        out.push_str(",\"ts\":");
        quoted(out, event.ts());
        out.push_str(",\"time\":\"");
        self.time(out, event.ts());
        out.push_str("\",\"cpu\":");
        unsigned(out, moment.captured.cpu.into());
        out.push_str(",\"tid\":");
        // As in sysdig, an event without a thread has tid -1.
        signed(out, event.tid() as i64);
        out.push_str(",\"pid\":");
        signed(out, names.pid(event.tid()) as i64);
        out.push_str(",\"proc\":");
        match names.comm(event.tid()) {
            Some(comm) => string(out, comm),
            None => out.push_str("null"),
        }
        match event.row().and_then(|row| KINDS.get(row)) {
            Some(kind) if event.is_named_by_row() => out.push_str(kind),
            _ => out.push_str(&kind(event.ty().is_enter(), &event.name(), event.info())),
        }
        out.push_str(",\"args\":{");
        let mut comma = "";
        for ((info, decoded), raw) in event.values().zip(event.params()) {
            for part in [comma, "\"", info.name, "\":"] {
                out.push_str(part);
            }
            comma = ",";
            match decoded {
                Ok(decoded) => parameter(out, names, event, info, decoded),
                Err(_) => invalid(out, raw),
            }
        }
        out.push_str("}}");
    }

    pub(super) fn time(&mut self, out: &mut String, ts: u64) {
        const SECOND: u64 = 1_000_000_000;
        let second = ts / SECOND;
        let text = match &mut self.second {
            Some((known, text)) if *known == second => text,
            other => {
                let text = rfc3339(second * SECOND).unwrap_or_default();
                let whole = text.split('.').next().unwrap_or_default().to_owned();
                &mut other.insert((second, whole)).1
            }
        };
        out.push_str(text);
        nanoseconds(out, ts % SECOND);
        out.push('Z');
    }
}

fn parameter(
    out: &mut String,
    names: &Machine,
    event: &EventView<'_>,
    info: &'static ParamInfo,
    decoded: Decoded<'_>,
) {
    if decoded.value == Value::Absent {
        return out.push_str(if is_list(info) { "[]" } else { "null" });
    }
    let decoded = shown(event, info, decoded);
    let is_dynamic = matches!(info.detail, Detail::Dyn(_));
    if is_dynamic {
        for part in ["{\"type\":\"", &decoded.ty.name(), "\",\"value\":"] {
            out.push_str(part);
        }
    }
    value(out, names, event, info, &decoded);
    if is_dynamic {
        out.push('}');
    }
}

/// Returns whether a parameter is a list of texts; the table declares some of them as data.
fn is_list(info: &ParamInfo) -> bool {
    match info.ty {
        ParamType::CHARBUFARRAY | ParamType::STRUCTS | ParamType::DIRENTS | ParamType::BITSET => true,
        ParamType::BYTEBUF => matches!(info.name, "args" | "env" | "cgroups"),
        _ => false,
    }
}

fn value(out: &mut String, names: &Machine, event: &EventView<'_>, info: &ParamInfo, decoded: &Decoded<'_>) {
    let named = |out: &mut String, write: &dyn Fn(&mut String)| {
        out.push_str("{\"value\":");
        write(out);
        meant(out, meaning(names, event, info, decoded));
        out.push('}');
    };
    match decoded.value {
        Value::Absent => out.push_str("null"),
        Value::Int(_) | Value::Uint(_) | Value::Flags64(_) if matches!(info.detail, Detail::Flags(_)) => {
            listed(out, names, event, info, decoded);
        }
        Value::Int(v) => signed(out, v),
        Value::Uint(v) if info.name == "nativeID" => named(out, &|out| unsigned(out, v)),
        Value::Uint(v) => unsigned(out, v),
        Value::Port(v) => unsigned(out, v.into()),
        Value::L4Proto(v) | Value::SockFamily(v) => unsigned(out, v.into()),
        Value::Errno(v) | Value::Fd(v) | Value::Pid(v) => named(out, &|out| signed(out, v)),
        Value::Syscall(v) => named(out, &|out| unsigned(out, v.into())),
        Value::Signal(v) => named(out, &|out| unsigned(out, v.into())),
        Value::Uid(v) | Value::Gid(v) => named(out, &|out| unsigned(out, v.into())),
        Value::RelTime(v) => named(out, &|out| unsigned(out, v)),
        Value::AbsTime(v) => quoted(out, v),
        Value::Flags(v) | Value::Enum(v) | Value::Mode(v) => {
            let names = match meaning(names, event, info, decoded) {
                Meaning::Flags(names) => names,
                _ => Vec::new(),
            };
            flags(out, v.into(), &names);
        }
        Value::Flags64(v) => flags(out, v, &[]),
        Value::SigSet(v) => flags(out, v.into(), &text::kernel_names::signals(v)),
        Value::SigSet64(v) => flags(out, v, &text::kernel_names::signals_of_64(v)),
        Value::Bool(v) => out.push_str(if v { "true" } else { "false" }),
        Value::Double(v) => double(out, v),
        Value::Ip(v) => ip(out, v),
        Value::Text(v) if matches!(decoded.ty, ParamType::FSPATH | ParamType::FSRELPATH) => {
            named(out, &|out| string(out, v));
        }
        Value::Bytes(v) if is_list(info) => list(out, v),
        Value::Text(v) | Value::Bytes(v) => string(out, v),
        Value::Texts(v) => list(out, v),
        Value::SockAddr(v) => sockaddr(out, &v),
        Value::SockTuple(v) => socktuple(out, &v),
        Value::FdList(v) => fd_list(out, &v),
        Value::Struct(v) => structure(out, names, event, &v),
        Value::Structs(v) => array(out, v.iter(), |out, v| structure(out, names, event, &v)),
        Value::BitSet(v) => array(out, v.iter(), |out, number| unsigned(out, number as u64)),
        Value::Dirents(v) => array(out, v.iter(), dirent),
        Value::Received(v) => array(out, v.iter(), received),
    }
}

/// Appends an integer that has names in a table.
fn listed(out: &mut String, names: &Machine, event: &EventView<'_>, info: &ParamInfo, decoded: &Decoded<'_>) {
    let names = match meaning(names, event, info, decoded) {
        Meaning::Flags(names) => names,
        _ => Vec::new(),
    };
    match decoded.value {
        Value::Int(v) => names_of(out, &names, |out| signed(out, v)),
        Value::Uint(v) | Value::Flags64(v) => flags(out, v, &names),
        _ => {}
    }
}

/// Appends the members that a structure has.
fn structure(out: &mut String, names: &Machine, event: &EventView<'_>, structure: &Structure<'_>) {
    let mut before = "{\"";
    for (info, decoded) in structure.members() {
        for part in [before, info.name, "\":"] {
            out.push_str(part);
        }
        before = ",\"";
        match decoded {
            Ok(decoded) => parameter(out, names, event, info, decoded),
            Err(_) => out.push_str("null"),
        }
    }
    out.push_str(if before == "{\"" { "{}" } else { "}" });
}

fn dirent(out: &mut String, entry: Dirent<'_>) {
    out.push_str("{\"ino\":");
    unsigned(out, entry.ino);
    out.push_str(",\"type\":");
    unsigned(out, entry.ty.into());
    out.push_str(",\"name\":");
    string(out, entry.name);
    out.push('}');
}

/// Appends a descriptor that an event describes.
fn received(out: &mut String, fd: Fd) {
    out.push_str("{\"value\":");
    unsigned(out, fd.fd);
    out.push_str(",\"ino\":");
    unsigned(out, fd.ino);
    meant(out, Meaning::Fd(&OpenFd::described(&fd)));
    out.push('}');
}

/// Appends the meaning of a value as further members of its object.
fn meant(out: &mut String, meaning: Meaning<'_>) {
    let mut member = |key: &str, text: &[u8]| {
        for part in [",\"", key, "\":"] {
            out.push_str(part);
        }
        string(out, text);
    };
    match meaning {
        // Flags have an object of their own.
        Meaning::None | Meaning::Flags(_) => {}
        Meaning::Name(name) => member("name", &name),
        Meaning::Fd(fd) => {
            member("name", &fd.name);
            member("kind", fd.class.word().as_bytes());
            if let Some(protocol) = fd.class.protocol_word() {
                member("protocol", protocol.as_bytes());
            }
        }
    }
}

fn flags(out: &mut String, value: u64, names: &[&str]) {
    names_of(out, names, |out| unsigned(out, value));
}

fn names_of(out: &mut String, names: &[&str], value: impl FnOnce(&mut String)) {
    out.push_str("{\"value\":");
    value(out);
    out.push_str(",\"names\":");
    array(out, names, |out, name| string(out, name.as_bytes()));
    out.push('}');
}

fn array<T>(out: &mut String, items: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut String, T)) {
    out.push('[');
    for (i, item) in items.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        write(out, item);
    }
    out.push(']');
}

fn list(out: &mut String, texts: &[u8]) {
    let texts = texts.strip_suffix(b"\0").unwrap_or(texts);
    array(out, texts.split(|&b| b == 0), string);
}

/// Appends an IP address, which needs no escaping.
pub(super) fn ip(out: &mut String, address: IpAddr) {
    let _ = write!(out, "\"{address}\"");
}

fn end(out: &mut String, key: &str, (address, port): (IpAddr, u16)) {
    for part in [",\"", key, "\":{\"ip\":"] {
        out.push_str(part);
    }
    ip(out, address.to_canonical());
    out.push_str(",\"port\":");
    unsigned(out, port.into());
    out.push('}');
}

fn family(out: &mut String, name: &str) {
    for part in ["{\"family\":\"", name, "\""] {
        out.push_str(part);
    }
}

fn family_of(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "AF_INET" } else { "AF_INET6" }
}

fn other_family(out: &mut String, number: u8, data: &[u8]) {
    const FAMILIES: FlagTable = flag_table("socket_families");
    // If there are two names, the common one comes last: AF_UNIX, AF_NETLINK.
    match text::enum_names(FAMILIES, number.into()).last() {
        Some(name) => family(out, name),
        None => family(out, &number.to_string()),
    }
    out.push_str(",\"data\":");
    string(out, data);
}

fn sockaddr(out: &mut String, address: &SockAddr<'_>) {
    match *address {
        SockAddr::Inet(address, port) => {
            family(out, family_of(address));
            out.push_str(",\"ip\":");
            ip(out, address.to_canonical());
            out.push_str(",\"port\":");
            unsigned(out, port.into());
        }
        SockAddr::Unix(path) => {
            family(out, "AF_UNIX");
            out.push_str(",\"path\":");
            string(out, path);
        }
        SockAddr::Other(number, data) => other_family(out, number, data),
    }
    out.push('}');
}

fn socktuple(out: &mut String, tuple: &SockTuple<'_>) {
    match *tuple {
        SockTuple::Inet { source, destination } => {
            family(out, family_of(source.0));
            end(out, "source", source);
            end(out, "destination", destination);
        }
        SockTuple::Unix { source, destination, path } => {
            family(out, "AF_UNIX");
            // Kernel addresses, in hexadecimal as in lines.
            let _ = write!(
                out,
                ",\"source\":{{\"socket\":\"{source:x}\"}},\"destination\":{{\"socket\":\"{destination:x}\"}},\"path\":"
            );
            string(out, path);
        }
        SockTuple::Other(number, data) => other_family(out, number, data),
    }
    out.push('}');
}

fn fd_list(out: &mut String, entries: &FdEntries<'_>) {
    const POLL_FLAGS: FlagTable = flag_table("poll_flags");
    array(out, entries.iter(), |out, (fd, events)| {
        out.push_str("{\"fd\":");
        signed(out, fd);
        out.push_str(",\"events\":");
        flags(out, events.into(), &text::flag_names(POLL_FLAGS, events.into()));
        out.push('}');
    });
}

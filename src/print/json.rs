//! An event as a JSON object.
//!
//! ```json
//! {"num":12,"ts":1700000000123456789,"time":"2023-11-14T22:13:20.123456789Z","cpu":1,"tid":4321,"pid":4321,
//!  "proc":"cat","dir":">","type":"openat","category":"File",
//!  "args":{"dirfd":{"value":-100,"name":"AT_FDCWD"},"name":"/etc/passwd",
//!          "flags":{"value":1,"names":["O_RDONLY"]},"mode":0}}
//! ```
//!
//! Numbers are numbers, in ns where they are times; no value is `null`. A value that stands for something becomes an
//! object with `value` and `name`, with flags `value` and `names`, with a descriptor `value`, `name` and `kind`. Texts
//! and data are strings; where they are no UTF-8 they are `{"hex":"…"}` instead, so nothing is lost. A value that does
//! not fit its type is `{"invalid":"<hex>"}`.

use std::{borrow::Cow, fmt::Write, net::IpAddr};

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::{Value as Json, json};

use super::{
    Numbered,
    meaning::{Meaning, event_name, meaning, shown},
    names::Names,
    text,
};
use crate::{
    events::flag_table,
    scap::{EventView, FdEntries, SockAddr, SockTuple, Value},
};

/// An event as an object, its members in this order.
#[derive(Serialize)]
pub(super) struct Object<'a> {
    num: u64,
    ts: u64,
    time: Option<String>,
    cpu: u16,
    tid: i64,
    pid: i64,
    proc: Option<Json>,
    dir: &'static str,
    r#type: Cow<'a, str>,
    category: Option<Category>,
    args: Args<'a>,
}

impl<'a> Object<'a> {
    pub(super) fn new(numbered: &Numbered<'a>, names: &'a Names) -> Object<'a> {
        let captured = &numbered.captured;
        let event = captured.event;
        Object {
            num: numbered.num,
            ts: event.ts(),
            time: rfc3339(event.ts()),
            cpu: captured.cpu,
            tid: event.tid() as i64,
            pid: names.pid(event.tid()) as i64,
            proc: names.comm(event.tid()).map(bytes),
            dir: if event.ty().is_enter() { ">" } else { "<" },
            r#type: event_name(&event),
            category: event.info().map(|row| Category(row.category)),
            args: Args { event, names },
        }
    }
}

struct Category(crate::events::Category);

impl Serialize for Category {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:?}", self.0))
    }
}

struct Args<'a> {
    event: EventView<'a>,
    names: &'a Names,
}

impl Serialize for Args<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.event.values().zip(self.event.params()).map(|((info, decoded), raw)| {
            let json = match decoded {
                Ok(decoded) => {
                    let decoded = shown(&self.event, info, decoded);
                    with_meaning(value(&decoded.value), meaning(self.names, &self.event, info, &decoded))
                }
                Err(_) => json!({ "invalid": hex(raw) }),
            };
            (info.name, json)
        }))
    }
}

/// Appends JSON for a terminal: serde_json leaves characters of more than a byte as they are.
pub(crate) fn escape(out: &mut String, json: &str) {
    for c in json.chars() {
        // Those below the space are escaped, or spaces between the values.
        if c >= '\x7f' && text::is_obeyed(c) {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
}

/// A time in UTC, with ns.
pub(super) fn rfc3339(ts: u64) -> Option<String> {
    Timestamp::from_nanosecond(ts.into()).ok().map(|t| format!("{t:.9}"))
}

/// Text, or the object that stands for bytes that are none.
pub(super) fn bytes(bytes: &[u8]) -> Json {
    match str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => json!({ "hex": hex(bytes) }),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn with_meaning(value: Json, meaning: Meaning<'_>) -> Json {
    match meaning {
        Meaning::None => value,
        Meaning::Name(name) => json!({ "value": value, "name": bytes(&name) }),
        Meaning::Flags(names) => json!({ "value": value, "names": names }),
        Meaning::Fd(fd) => json!({ "value": value, "name": bytes(&fd.name), "kind": fd.class.word() }),
    }
}

fn value(value: &Value<'_>) -> Json {
    match value {
        Value::Absent => Json::Null,
        Value::Int(v) | Value::Errno(v) | Value::Fd(v) | Value::Pid(v) => json!(v),
        Value::Uint(v) | Value::RelTime(v) | Value::AbsTime(v) => json!(v),
        Value::Syscall(v) | Value::Port(v) => json!(v),
        Value::Signal(v) | Value::L4Proto(v) | Value::SockFamily(v) => json!(v),
        Value::Bool(v) => json!(v),
        Value::Flags(v) | Value::Enum(v) | Value::Mode(v) | Value::Uid(v) | Value::Gid(v) => json!(v),
        Value::SigSet(v) => json!({ "value": v, "names": super::signals(*v) }),
        Value::Double(v) => json!(v),
        Value::Ip(v) => json!(v),
        Value::Text(v) | Value::Bytes(v) => bytes(v),
        Value::Texts(v) => {
            let texts = v.strip_suffix(b"\0").unwrap_or(v);
            Json::Array(texts.split(|&b| b == 0).map(bytes).collect())
        }
        Value::SockAddr(v) => sockaddr(v),
        Value::SockTuple(v) => socktuple(v),
        Value::FdList(v) => fd_list(v),
    }
}

fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "AF_INET" } else { "AF_INET6" }
}

fn sockaddr(address: &SockAddr<'_>) -> Json {
    match *address {
        SockAddr::Inet(ip, port) => json!({ "family": family(ip), "ip": ip.to_canonical(), "port": port }),
        SockAddr::Unix(path) => json!({ "family": "AF_UNIX", "path": bytes(path) }),
        SockAddr::Other(family, raw) => json!({ "family": family, "hex": hex(raw) }),
    }
}

fn socktuple(tuple: &SockTuple<'_>) -> Json {
    match *tuple {
        SockTuple::Inet { source, destination } => json!({
            "family": family(source.0),
            "source": { "ip": source.0.to_canonical(), "port": source.1 },
            "destination": { "ip": destination.0.to_canonical(), "port": destination.1 },
        }),
        SockTuple::Unix { source, destination, path } => {
            json!({ "family": "AF_UNIX", "source": source, "destination": destination, "path": bytes(path) })
        }
        SockTuple::Other(family, raw) => json!({ "family": family, "hex": hex(raw) }),
    }
}

fn fd_list(list: &FdEntries<'_>) -> Json {
    const POLL_FLAGS: crate::events::FlagTable = flag_table("poll_flags");
    let entry = |(fd, flags): (i64, u16)| json!({ "fd": fd, "events": { "value": flags, "names": text::flag_names(POLL_FLAGS, flags.into()) } });
    Json::Array(list.iter().map(entry).collect())
}

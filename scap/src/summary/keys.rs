//! What calls are grouped by: fields, and names for the usual ones.

use std::{fmt::Write, net::IpAddr};

use crate::{
    events::Effect,
    fields::{Fields, NumberForm, Reference, Registry, Type, Value, show},
    filter::{Expression, Filter, FilterError},
    format::{Keep, SockAddr, Value as Parameter},
    replay::Moment,
    text::DataForm,
};

/// A name for the fields that people group by.
#[derive(Debug, Clone, Copy)]
pub struct NamedKey {
    /// The name.
    pub name: &'static str,
    /// A line of explanation, without a period at its end.
    pub about: &'static str,
    /// It is about signals, not calls.
    counts_signals: bool,
    columns: &'static [NamedColumn],
}

/// A column: its title, and its fields, of which the first that has a value counts. A field with a filter has one only at
/// events that match. [`ADDRESS`] and [`PORT`] are no fields.
type NamedColumn = (&'static str, &'static [(&'static str, &'static str)]);

const PROCESS: NamedColumn = ("process", &[("proc.name", "")]);
/// Files that were not opened are known by the path that the call was given.
const FILE: &[(&str, &str)] = &[
    ("fd.name", "fd.typechar in (f, d)"),
    ("fs.path.name", ""),
    ("fs.path.source", ""),
    ("evt.abspath", ""),
];
/// The address and the port that a call connects to, or tries to.
const ADDRESS: &str = "@address";
const PORT: &str = "@port";
const IS_SOCKET: &str = "fd.type in (ipv4, ipv6, unix)";

const fn calls(name: &'static str, about: &'static str, columns: &'static [NamedColumn]) -> NamedKey {
    NamedKey { name, about, counts_signals: false, columns }
}

/// All names.
pub static NAMED_KEYS: &[NamedKey] = &[
    // Requests of io_uring are counted as what completes them.
    calls("call", "system call", &[("call", &[("syscall.type", ""), ("evt.type", "")])]),
    calls("process", "process: its name and its id", &[PROCESS, ("pid", &[("proc.pid", "")])]),
    calls("thread", "thread: the name of its process and its id", &[PROCESS, ("tid", &[("thread.tid", "")])]),
    calls("exe", "path of the program", &[("exe", &[("proc.exepath", "")])]),
    calls("command", "command line", &[("command", &[("proc.cmdline", "")])]),
    calls("user", "user: name, or number without one", &[("user", &[("user.name", ""), ("user.uid", "")])]),
    calls(
        "cgroup",
        "control group, which stands for the container or the service",
        &[("cgroup", &[("thread.cgroup.memory", ""), ("thread.cgroup.cpu", ""), ("thread.cgroup.pids", "")])],
    ),
    calls(
        "container",
        "container: the first 12 characters of its id; host for a process in none",
        &[("container", &[("container.id", "")])],
    ),
    calls("image", "image of the container", &[("image", &[("container.image", "")])]),
    calls(
        "pod",
        "Kubernetes pod: its name, or its uid",
        &[("pod", &[("k8s.pod.name", ""), ("k8s.pod.uid", "")])],
    ),
    calls("namespace", "namespace of that pod", &[("namespace", &[("k8s.ns.name", "")])]),
    calls("file", "path of the file or directory that the call is about", &[("file", FILE)]),
    calls(
        "folder",
        "directory of the file that the call is about",
        &[("folder", &[("fd.directory", "fd.typechar in (f, d)")])],
    ),
    calls(
        "device",
        "device number of the file system that the file is on, in hexadecimal",
        &[("device", &[("fd.dev", "fd.typechar in (f, d) and fd.dev > 0")])],
    ),
    calls("connection", "both ends of the socket", &[("connection", &[("fd.name", IS_SOCKET)])]),
    calls("peer", "address of the other machine", &[("peer", &[("fd.rip", ""), (ADDRESS, "")])]),
    calls("port", "port of the server", &[("port", &[("fd.sport", "fd.sport > 0"), (PORT, "")])]),
    calls("error", "error that the call failed with", &[("error", &[("evt.res", "evt.failed = true")])]),
    NamedKey {
        name: "signal",
        about: "signal: counts signals that threads receive, not calls",
        counts_signals: true,
        columns: &[("signal", &[("evt.arg.sig", "evt.type = signaldeliver")])],
    },
];

/// What calls are grouped by. There is at least one column.
#[derive(Debug, Clone)]
pub struct Keys {
    columns: Vec<Column>,
    counts_signals: bool,
    is_of_type: bool,
}

/// A column of keys.
#[derive(Debug, Clone)]
struct Column {
    title: String,
    fields: Vec<(Get, Option<Filter>)>,
    ty: Type,
    number: NumberForm,
}

/// Where a value comes from.
#[derive(Debug, Clone)]
enum Get {
    Field(Expression),
    /// The end that a call connects to.
    Target(fn((IpAddr, u16)) -> Value<'static>),
}

/// A value of a key.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyValue<'a> {
    /// The value.
    pub value: Value<'a>,
    /// Its type.
    pub ty: Type,
    number: NumberForm,
}

impl KeyValue<'_> {
    /// Appends the text, escaped for a terminal.
    pub fn show(&self, out: &mut String) {
        show(out, &self.value, self.ty, self.number, DataForm::Dots);
    }

    /// Returns the texts of all keys of a group, to compare and to sort groups by.
    pub(super) fn text(keys: &[KeyValue<'_>]) -> String {
        let mut text = String::new();
        for key in keys {
            key.show(&mut text);
            text.push('\0');
        }
        text
    }
}

impl Keys {
    /// Parses a list of names and fields with commas between: `call`, `process,file`, `proc.pname,fd.sport`.
    ///
    /// # Errors
    /// The first mistake, with its place.
    pub fn parse(text: &str) -> Result<Keys, FilterError> {
        let mut keys = Keys { columns: Vec::new(), counts_signals: false, is_of_type: false };
        let mut at = 0;
        loop {
            at += text[at..].len() - text[at..].trim_start().len();
            let word = text[at..].split([',', ' ']).next().unwrap_or_default();
            match NAMED_KEYS.iter().find(|named| named.name == word) {
                Some(named) => {
                    keys.add(named)?;
                    at += word.len();
                }
                None => {
                    let start = at;
                    let field = Expression::parse_at(text, &mut at, &Fields).map_err(|mistake| {
                        if at == start { unknown(text, at, word, mistake) } else { mistake }
                    })?;
                    let title = text[start..at].to_owned();
                    keys.columns.push(Column::of(title, vec![(Get::Field(field), None)]));
                }
            }
            at += text[at..].len() - text[at..].trim_start().len();
            match text[at..].chars().next() {
                None => break,
                Some(',') => at += 1,
                Some(c) => {
                    let span = at..at + c.len_utf8();
                    return Err(FilterError::new(text, span, "expected a comma and a further key"));
                }
            }
        }
        let is_of_type = |field: &Reference| Fields.is_of_type(field.field);
        let all_are = keys.references().all(is_of_type);
        Ok(Keys { is_of_type: all_are, ..keys })
    }

    fn add(&mut self, named: &NamedKey) -> Result<(), FilterError> {
        self.counts_signals |= named.counts_signals;
        for (title, fields) in named.columns {
            let field = |(field, only): &(&str, &str)| {
                let get = match *field {
                    ADDRESS => Get::Target(|end| Value::Ip(end.0)),
                    PORT => Get::Target(|end| Value::Uint(end.1.into())),
                    field => Get::Field(Expression::parse_at(field, &mut 0, &Fields)?),
                };
                let only = if only.is_empty() { None } else { Some(Filter::parse(only, &Fields)?) };
                Ok((get, only))
            };
            let fields = fields.iter().map(field).collect::<Result<Vec<_>, FilterError>>()?;
            self.columns.push(Column::of((*title).to_owned(), fields));
        }
        Ok(())
    }

    fn references(&self) -> impl Iterator<Item = &Reference> {
        let fields = self.columns.iter().flat_map(|column| &column.fields);
        fields.flat_map(|(get, only)| {
            let own = match get {
                Get::Field(field) => field.fields(),
                Get::Target(_) => Vec::new(),
            };
            own.into_iter().chain(only.iter().flat_map(Filter::fields))
        })
    }

    /// Returns the titles of the columns.
    pub fn titles(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.title.as_str())
    }

    /// Returns whether signals are counted, not calls.
    pub fn counts_signals(&self) -> bool {
        self.counts_signals
    }

    /// Returns how much of the machine they need.
    pub fn keep(&self) -> Keep {
        if self.is_of_type { Keep::Names } else { Keep::All }
    }

    /// Returns whether the type of an event alone determines its keys; or its name, where events of a type
    /// [have their own](crate::format::is_named_by_type).
    pub(super) fn is_of_type(&self) -> bool {
        self.is_of_type
    }

    /// Gives the values at an event to `take`, in the order of the keys, if it has all of them. Returns whether it has. `scratch`
    /// is memory for that.
    pub fn at(&self, scratch: &mut Vec<u8>, moment: &Moment<'_>, take: impl FnMut(KeyValue<'_>)) -> bool {
        let has_all = self.write(scratch, moment);
        if has_all {
            self.read(scratch).for_each(take);
        }
        has_all
    }

    /// Writes the values at an event, for [`read`](Keys::read). Returns whether it has all of them.
    pub(super) fn write(&self, out: &mut Vec<u8>, moment: &Moment<'_>) -> bool {
        out.clear();
        self.columns.iter().all(|column| column.write(out, moment))
    }

    /// Reads values back.
    pub(super) fn read<'a>(&'a self, mut bytes: &'a [u8]) -> impl Iterator<Item = KeyValue<'a>> {
        self.columns.iter().map_while(move |column| {
            let value = pop(&mut bytes)?;
            // The fields of a column may differ in their types.
            let ty = match &value {
                Value::Text(_) if column.ty != Type::Bytes => Type::Text,
                Value::Uint(_) if column.ty == Type::Text => Type::Uint,
                _ => column.ty,
            };
            Some(KeyValue { value, ty, number: column.number })
        })
    }
}

impl Column {
    fn of(title: String, fields: Vec<(Get, Option<Filter>)>) -> Column {
        let (ty, number) = match fields.first() {
            Some((Get::Field(field), _)) => (field.ty(), field.number_form()),
            _ => (Type::Text, NumberForm::default()),
        };
        Column { title, fields, ty, number }
    }

    fn write(&self, out: &mut Vec<u8>, moment: &Moment<'_>) -> bool {
        let start = out.len();
        for (get, only) in &self.fields {
            if only.as_ref().is_some_and(|only| !only.matches(moment)) {
                continue;
            }
            match get {
                Get::Field(field) if field.has_several() => self.write_all(out, field, moment),
                Get::Field(field) => field.values(moment, &mut |value| {
                    push(out, &value);
                    false
                }),
                Get::Target(value) => target(moment).into_iter().for_each(|end| push(out, &value(end))),
            }
            if out.len() > start {
                return true;
            }
        }
        false
    }

    /// Writes all values of a field as one key.
    fn write_all(&self, out: &mut Vec<u8>, field: &Expression, moment: &Moment<'_>) {
        let mut all = String::new();
        field.values(moment, &mut |value| {
            all.push_str(if all.is_empty() { "" } else { ";" });
            show(&mut all, &value, self.ty, self.number, DataForm::Dots);
            true
        });
        if !all.is_empty() {
            push(out, &Value::text(&all));
        }
    }
}

/// Returns the end that the call of an event connects to, or tries to.
fn target(moment: &Moment<'_>) -> Option<(IpAddr, u16)> {
    let event = moment.event();
    if event.info()?.effect() != Some(Effect::Connect) {
        return None;
    }
    match event.value("addr")?.ok()?.value {
        Parameter::SockAddr(SockAddr::Inet(ip, port)) => Some((ip, port)),
        _ => None,
    }
}

const TEXT: u8 = 0;
const INT: u8 = 1;
const UINT: u8 = 2;
const BOOL: u8 = 3;
const DOUBLE: u8 = 4;
const IPV4: u8 = 5;
const IPV6: u8 = 6;

/// Longer texts are cut: nobody tells them apart.
const MAX_TEXT: usize = 16 << 10;

fn push(out: &mut Vec<u8>, value: &Value<'_>) {
    let mut put = |tag: u8, bytes: &[u8]| {
        out.push(tag);
        out.extend_from_slice(bytes);
    };
    match value {
        Value::Text(text) => {
            let text = &text[..text.len().min(MAX_TEXT)];
            put(TEXT, &(text.len() as u32).to_ne_bytes());
            out.extend_from_slice(text);
        }
        Value::Int(v) => put(INT, &v.to_ne_bytes()),
        Value::Uint(v) => put(UINT, &v.to_ne_bytes()),
        Value::Bool(v) => put(BOOL, &[u8::from(*v)]),
        Value::Double(v) => put(DOUBLE, &v.to_ne_bytes()),
        Value::Ip(ip) => match ip.to_canonical() {
            IpAddr::V4(ip) => put(IPV4, &ip.octets()),
            IpAddr::V6(ip) => put(IPV6, &ip.octets()),
        },
    }
}

fn pop<'a>(bytes: &mut &'a [u8]) -> Option<Value<'a>> {
    let (tag, rest) = bytes.split_first()?;
    *bytes = rest;
    match *tag {
        TEXT => {
            let (len, rest) = bytes.split_first_chunk()?;
            let (text, rest) = rest.split_at_checked(u32::from_ne_bytes(*len) as usize)?;
            *bytes = rest;
            Some(Value::text(text))
        }
        INT => fixed(bytes).map(|v| Value::Int(i64::from_ne_bytes(v))),
        UINT => fixed(bytes).map(|v| Value::Uint(u64::from_ne_bytes(v))),
        BOOL => fixed(bytes).map(|[v]| Value::Bool(v != 0)),
        DOUBLE => fixed(bytes).map(|v| Value::Double(f64::from_ne_bytes(v))),
        IPV4 => fixed(bytes).map(|v: [u8; 4]| Value::Ip(v.into())),
        IPV6 => fixed(bytes).map(|v: [u8; 16]| Value::Ip(v.into())),
        _ => None,
    }
}

fn fixed<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}

/// Returns the mistake of a word that is neither a name nor a field.
fn unknown(text: &str, at: usize, word: &str, mistake: FilterError) -> FilterError {
    if word.contains('.') || word.is_empty() {
        return mistake;
    }
    let mut names = String::new();
    for named in NAMED_KEYS {
        // Writing to a string cannot fail.
        let _ = write!(names, "{}{}", if names.is_empty() { "" } else { ", " }, named.name);
    }
    let message = format!("no such key; there are {names}, and all fields (scapd list fields)");
    FilterError::new(text, at..at + word.len(), &message)
}

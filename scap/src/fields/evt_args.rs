//! Fields of the arguments of an event.
//!
//! `evt.arg` has the text that a line shows: the meaning of a value if there is one (`O_RDONLY|O_CLOEXEC`, `ENOENT`,
//! `<f>/etc/hosts`), otherwise the value. `evt.rawarg` has the value itself.
//!
//! Where the values differ from those of sysdig 0.41, and why:
//!
//! | field | here | sysdig 0.41 |
//! |-|-|-|
//! | `evt.args` and `evt.arg` of arguments that an old recorder did not know | not there, no value | `<NA>` or `NULL`, so that `exists` is true |
//! | `evt.arg` of the address that `mmap` returns | hexadecimal, as 0.29 has it | decimal |
//! | `evt.arg` of `fd=-1` that is no result | `-1` | `EPERM` |
//! | `evt.arg` of the result of an `fcntl` that duplicates nothing | a number | the descriptor of that number |
//! | `evt.arg.data` in a filter | as long as in the capture | cut |
//! | `evt.rawarg` of flags and modes, as printed | decimal | hexadecimal or octal, as the table of events says |
//! | `evt.rawarg` of data | can be compared | an error |
//! | `evt.rawarg` of a name that is text in some events and a number in others | text in all of them | of the type that the first event of the table has |
//! | `evt.rawarg` of addresses | text, as `127.0.0.1:80` | the bytes of the event |
//! | `evt.rawarg[0]` | the value as text | an error |

use std::{borrow::Cow, collections::BTreeMap, sync::LazyLock};

use super::{
    Argument, Key, Type, Value,
    fs::TextParam,
    row::Row,
    types::{self, ByType},
};
use crate::{
    events::{Detail, EVENTS, EXTENSIONS, Event, Member, ParamInfo, ParamType},
    format::{Decoded, Value as Parameter, decode},
    replay::Moment,
    text::{self, DataForm, Raw},
};

pub(super) const ROWS: &[Row] = &[
    Row::one("evt.args", Type::Text, "all arguments with their names, as lines show them", |m| Some(all(m)))
        .cost(8),
    Row::one("evt.info", Type::Text, "the same as evt.args", |m| Some(all(m))).cost(8),
    Row::keyed(
        "evt.arg",
        Type::Text,
        Argument::Key,
        "an argument as lines show it, by name or from 0: evt.arg.flags, evt.arg[0]; evt.arg.statxbuf.stx_size: a member of a structure",
        |m, key| {
            let (info, bytes) = argument(m, key?)?;
            Some(Value::Text(text::argument(m.event(), m.machine, info, bytes, text::local())))
        },
    )
    .names(argument_names)
    .of_type_at(is_not_of)
    .cost(4),
    Row::keyed(
        "evt.rawarg",
        Type::Text,
        Argument::Key,
        "the value of an argument, by name: evt.rawarg.size",
        |m, key| {
            let (info, bytes) = argument(m, key?)?;
            let index = m.event().info()?.params.iter().position(|param| std::ptr::eq(param, info));
            let ty = match (key?, index) {
                (Key::Index(_), _) => Type::Text,
                (Key::Name(_), Some(index)) => *TYPES.of(m)?.get(index)?,
                (Key::Name(member), None) => *BY_NAME.get(&**member)?,
            };
            value(m, info, bytes, ty)
        },
    )
    .names(argument_names)
    .of_type_at(is_not_of)
    .types(|key| match key {
        Some(Key::Name(name)) => BY_NAME.get(&**name).copied().unwrap_or(Type::Text),
        _ => Type::Text,
    })
    .cost(2),
];

fn all<'a>(m: &'a Moment<'a>) -> Value<'a> {
    let mut out = Raw::default();
    // The arguments of a generic event, without an extension, say only what its name says already.
    if !m.event().ty().is_generic() || m.event().identity() > 0 {
        text::arguments(&mut out, m.event(), m.machine, text::local(), DataForm::Dots);
    }
    let Raw(mut bytes) = out;
    if !bytes.is_empty() {
        bytes.remove(0);
    }
    Value::Text(bytes.into())
}

/// Returns an argument of an event, or a member of a structure: `statxbuf.stx_size`. A row has few of them, and most names
/// differ in length: comparing them is faster than any table.
fn argument<'a>(m: &'a Moment<'a>, key: &Key) -> Option<(&'static ParamInfo, &'a [u8])> {
    let row = m.event().info()?;
    let index = match key {
        Key::Index(index) => usize::try_from(*index).ok()?,
        Key::Name(name) => match row.param(name) {
            Some(index) => index,
            None => {
                let (param, member) = name.split_once('.')?;
                let Parameter::Struct(structure) = m.event().param_value(row.param(param)?)? else {
                    return None;
                };
                return structure.member(member);
            }
        },
    };
    Some((row.params.get(index)?, m.event().param(index)?))
}

/// Returns the parameter of which one of these fields has the text, at all events of a row.
pub(super) fn text_param(field: &str, key: Option<&Key>, row: &Event) -> Option<TextParam> {
    let Some(Key::Name(name)) = key else { return None };
    let index = row.param(name)?;
    let is_path = match row.params.get(index)?.ty {
        ParamType::CHARBUF => false,
        // Shown as an absolute path.
        ParamType::FSPATH | ParamType::FSRELPATH => field == "evt.arg",
        _ => return None,
    };
    Some(TextParam { index, is_path, only_done: false })
}

/// Returns whether events of a row have no such argument.
fn is_not_of(row: &Event, key: Option<&Key>) -> bool {
    match key {
        Some(Key::Name(name)) => row.param(name.split('.').next().unwrap_or(name)).is_none(),
        Some(Key::Index(index)) => usize::try_from(*index).map_or(true, |index| index >= row.params.len()),
        None => false,
    }
}

fn argument_names() -> Vec<&'static str> {
    BY_NAME.keys().copied().collect()
}

/// The type of the values of the arguments of each name, and of the members of structures, as `statxbuf.stx_size`.
static BY_NAME: LazyLock<BTreeMap<&'static str, Type>> = LazyLock::new(|| {
    let add = |types: &mut BTreeMap<_, _>, name: &'static str, ty: ParamType| {
        let ty = own_type(ty);
        types.entry(name).and_modify(|known| *known = common(*known, ty)).or_insert(ty);
    };
    let (mut known, mut types) = (BTreeMap::new(), BTreeMap::new());
    EVENTS.iter().flat_map(|row| row.params).for_each(|param| add(&mut known, param.name, param.ty));
    for param in EXTENSIONS.iter().flat_map(|row| row.own.params) {
        add(&mut types, param.name, param.ty);
        let layouts = match param.detail {
            Detail::Layout(table) if param.ty == ParamType::STRUCT => table,
            _ => &[],
        };
        for member in layouts.iter().flat_map(|layout| layout.members) {
            add(&mut types, member_name(param, member), member.info.ty);
        }
    }
    // A name that the format has keeps its type.
    types.extend(known);
    types
});

/// The same of each parameter of each row.
static TYPES: ByType<Vec<Type>> =
    ByType::new(|| types::rows(|row| row.params.iter().map(|param| BY_NAME[param.name]).collect::<Vec<_>>()));

/// Returns the name of a member's field. It is kept for as long as the program runs, as those of parameters are.
fn member_name(param: &ParamInfo, member: &Member) -> &'static str {
    String::leak(format!("{}.{}", param.name, member.info.name))
}

fn own_type(ty: ParamType) -> Type {
    use ParamType::*;
    match ty {
        ERRNO | FD | FD32 | PID | PID32 => Type::Int,
        BOOL => Type::Bool,
        DOUBLE => Type::Double,
        RELTIME => Type::Duration,
        ABSTIME => Type::Time,
        PORT => Type::Port,
        IPV4ADDR | IPV6ADDR | IPADDR => Type::Ip,
        BYTEBUF | IOVEC => Type::Bytes,
        _ if ty.is_signed() => Type::Int,
        _ if ty.size().is_some() => Type::Uint,
        _ => Type::Text,
    }
}

/// Returns the type that has the values of both.
fn common(a: Type, b: Type) -> Type {
    let is_number = |ty| matches!(ty, Type::Int | Type::Uint | Type::Duration | Type::Time | Type::Port);
    match (a, b) {
        _ if a == b => a,
        (Type::Text, Type::Bytes) | (Type::Bytes, Type::Text) => Type::Bytes,
        _ if !is_number(a) || !is_number(b) => Type::Text,
        (Type::Int, _) | (_, Type::Int) => Type::Int,
        _ => Type::Uint,
    }
}

/// Returns a value as one of that type.
fn value<'a>(m: &'a Moment<'a>, info: &'static ParamInfo, bytes: &'a [u8], ty: Type) -> Option<Value<'a>> {
    let decoded = decode(info, bytes).ok()?;
    if decoded.value == Parameter::Absent {
        return None;
    }
    Some(match (ty, decoded.value) {
        (
            Type::Text | Type::Bytes,
            Parameter::Text(text) | Parameter::Bytes(text) | Parameter::Texts(text),
        ) => Value::text(text),
        (Type::Text | Type::Bytes, _) => {
            let mut out = Raw::default();
            text::value(&mut out, m.event(), m.machine, &decoded, text::local(), DataForm::Dots);
            Value::Text(Cow::Owned(out.0))
        }
        (Type::Bool, Parameter::Bool(is)) => Value::Bool(is),
        (Type::Double, Parameter::Double(number)) => Value::Double(number),
        (Type::Ip, Parameter::Ip(ip)) => Value::Ip(ip),
        (Type::Int, _) => Value::Int(signed(&decoded)?),
        _ => Value::Uint(unsigned(&decoded)?),
    })
}

fn signed(decoded: &Decoded<'_>) -> Option<i64> {
    match decoded.value {
        Parameter::Int(v) | Parameter::Errno(v) | Parameter::Fd(v) | Parameter::Pid(v) => Some(v),
        _ => unsigned(decoded).map(|v| i64::try_from(v).unwrap_or(i64::MAX)),
    }
}

fn unsigned(decoded: &Decoded<'_>) -> Option<u64> {
    Some(match decoded.value {
        Parameter::Uint(v) | Parameter::RelTime(v) | Parameter::AbsTime(v) => v,
        Parameter::Flags64(v) | Parameter::SigSet64(v) => v,
        Parameter::Syscall(v) | Parameter::Port(v) => v.into(),
        Parameter::Signal(v) | Parameter::L4Proto(v) | Parameter::SockFamily(v) => v.into(),
        Parameter::Flags(v) | Parameter::Enum(v) | Parameter::Mode(v) => v.into(),
        Parameter::Uid(v) | Parameter::Gid(v) | Parameter::SigSet(v) => v.into(),
        _ => return None,
    })
}

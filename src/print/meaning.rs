//! What a number stands for, for both the line and the JSON form.

use std::borrow::Cow;

use super::{
    fds::OpenFd,
    kernel_names,
    names::{AT_FDCWD, Names},
    text,
};
use crate::{
    events::{Arch, Detail, Event, ParamInfo, ParamType, Syscall},
    scap::{Decoded, EventView, Value},
};

/// What a value stands for, beyond itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning<'a> {
    /// Nothing, or nothing that is known.
    None,
    /// A name.
    Name(Cow<'a, [u8]>),
    /// The names of the flags that it sets.
    Flags(Vec<&'static str>),
    /// A descriptor that is open.
    Fd(&'a OpenFd),
}

/// What the value of a parameter stands for at the event's time.
pub(super) fn meaning<'a>(
    names: &'a Names,
    event: &EventView<'_>,
    info: &ParamInfo,
    decoded: &Decoded<'_>,
) -> Meaning<'a> {
    let known = |name: Option<&'a [u8]>| name.map_or(Meaning::None, |n| Meaning::Name(n.into()));
    let fixed =
        |name: Option<&'static str>| name.map_or(Meaning::None, |n| Meaning::Name(n.as_bytes().into()));
    let errno = |v: i64| fixed(v.checked_neg().and_then(kernel_names::errno));
    match decoded.value {
        Value::Errno(v) => errno(v),
        Value::Fd(AT_FDCWD) => fixed(Some("AT_FDCWD")),
        Value::Fd(v) if v < 0 => errno(v),
        Value::Fd(v) => names.fd(event.tid(), v).map_or(Meaning::None, Meaning::Fd),
        // An argument below 0 names everyone, or a group of processes.
        Value::Pid(v) if v < 0 && info.name == "res" => errno(v),
        Value::Pid(v) if v < 0 => Meaning::None,
        Value::Pid(v) => known(names.comm(v as u64)),
        Value::Syscall(code) => fixed(Syscall::by_code(code).map(|s| s.name)),
        Value::Signal(v) => fixed(kernel_names::signal(v)),
        Value::Flags(v) | Value::Mode(v) => match info.detail {
            Detail::Flags(table) => flags(text::flag_names(table, v)),
            _ => Meaning::None,
        },
        Value::Enum(v) => match info.detail {
            Detail::Flags(table) => flags(text::enum_names(table, v)),
            _ => Meaning::None,
        },
        Value::Uid(u32::MAX) | Value::Gid(u32::MAX) => fixed(Some("<NONE>")),
        Value::Uid(v) => known(names.user(v)),
        Value::Gid(v) => known(names.group(v)),
        Value::RelTime(v) if v != u64::MAX => {
            Meaning::Name(format!("{}s", v as f64 / 1e9).into_bytes().into())
        }
        Value::Text(path) if !path.is_empty() && !path.starts_with(b"/") => {
            absolute(names, event, info, path)
        }
        _ => Meaning::None,
    }
}

fn flags(names: Vec<&'static str>) -> Meaning<'static> {
    if names.is_empty() { Meaning::None } else { Meaning::Flags(names) }
}

/// The absolute form of a relative path.
fn absolute(names: &Names, event: &EventView<'_>, info: &ParamInfo, path: &[u8]) -> Meaning<'static> {
    let int = |index| match event.info()?.params.get(index).zip(event.param(index)) {
        Some((info, bytes)) => match crate::scap::decode(info, bytes).ok()?.value {
            Value::Fd(fd) => Some(fd),
            _ => None,
        },
        None => None,
    };
    let base = match (info.ty, info.detail) {
        (ParamType::FSPATH, _) => None,
        (ParamType::FSRELPATH, Detail::DirFd(index)) => int(usize::from(index)),
        // Enter events have the descriptor too, but do not say so.
        (ParamType::FSRELPATH, _) => event.info().and_then(|row| row.param("dirfd")).and_then(int),
        _ => return Meaning::None,
    };
    if info.ty == ParamType::FSRELPATH && base.is_none() {
        return Meaning::None;
    }
    names.absolute(event, base, path).map_or(Meaning::None, |path| Meaning::Name(path.into()))
}

/// The system call of an event, where it is one's.
pub fn syscall(event: &EventView<'_>) -> Option<&'static Syscall> {
    let row = event.info()?;
    if is_generic(row) {
        let code = match event.value("ID")?.ok()?.value {
            Value::Syscall(code) => Syscall::by_code(code),
            _ => None,
        };
        // A call that was unknown when the capture was made is found by its number.
        return code.or_else(|| match event.value("nativeID")?.ok()?.value {
            Value::Uint(number) => Syscall::by_number(Arch::NATIVE, number as u16),
            _ => None,
        });
    }
    let stem = row.program.and_then(|p| p.strip_suffix("_e").or_else(|| p.strip_suffix("_x")));
    stem.and_then(Syscall::by_name).or_else(|| Syscall::by_name(row.name))
}

fn is_generic(row: &Event) -> bool {
    row.ty.0 <= 1
}

/// An event's name: that of its row, of a generic event its system call's, of an asynchronous one its own.
pub fn event_name<'a>(event: &EventView<'a>) -> Cow<'a, str> {
    let Some(row) = event.info() else { return format!("unknown({})", event.ty()).into() };
    match row.name {
        "asyncevent" => match event.value("name") {
            Some(Ok(Decoded { value: Value::Text(name), .. })) => String::from_utf8_lossy(name),
            _ => row.name.into(),
        },
        _ if is_generic(row) => syscall(event).map_or(row.name, |s| s.name).into(),
        _ => row.common_name().into(),
    }
}

//! The meaning of values, for all forms of output.

use std::borrow::Cow;

use super::{kernel_names, values};
use crate::{
    events::{
        Detail, Effect, Event, FlagTable, ForeignCall, ParamInfo, ParamType, PrintFormat, Source, Syscall,
        io_uring_op,
    },
    format::{Decoded, EventView, Value},
    model::{AT_FDCWD, Machine, OpenFd, bpf_creates, fcntl_duplicates, flag},
};

/// The meaning of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning<'a> {
    /// None, or unknown.
    None,
    /// A name.
    Name(Cow<'a, [u8]>),
    /// The names of the set flags.
    Flags(Vec<&'static str>),
    /// An open descriptor.
    Fd(&'a OpenFd),
}

/// Returns the meaning of a parameter's value at the event's time.
pub fn meaning<'a>(
    names: &'a Machine,
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
        Value::Fd(v) if v < 0 && is_result(event, info) => errno(v),
        Value::Fd(AT_FDCWD) if is_directory(event, info) => fixed(Some("AT_FDCWD")),
        Value::Fd(v) => fd(names, event, info, v).map_or(Meaning::None, Meaning::Fd),
        Value::Pid(v) if v < 0 && is_result(event, info) => errno(v),
        // 0 and negative ids name the caller, all processes, or a process group.
        Value::Pid(v) if v <= 0 => Meaning::None,
        Value::Pid(v) => known(comm(names, event, info, v as u64)),
        Value::Uint(v) if info.name == "nativeID" => match u16::try_from(v).ok().and_then(ForeignCall::of) {
            Some(call) => Meaning::Name(call.to_string().into_bytes().into()),
            None => Meaning::None,
        },
        Value::Syscall(code) => fixed(Syscall::by_code(code).map(|s| s.name)),
        Value::Signal(v) => fixed(kernel_names::signal(v)),
        Value::Flags(v) | Value::Mode(v) => match info.detail {
            Detail::Flags(table) => flags(values::flag_names(table, v.into())),
            Detail::ByOpcode(index) => by_opcode(event, index, v),
            _ => Meaning::None,
        },
        Value::Enum(v) => match info.detail {
            Detail::Flags(table) => flags(values::enum_names(table, v.into())),
            _ => Meaning::None,
        },
        Value::Flags64(v) => match info.detail {
            Detail::Flags(table) => flags(values::flag_names(table, v)),
            _ => Meaning::None,
        },
        Value::Int(_) | Value::Uint(_) => match info.detail {
            Detail::Flags(table) => listed(table, decoded),
            _ => Meaning::None,
        },
        Value::Uid(u32::MAX) | Value::Gid(u32::MAX) => fixed(Some("<NONE>")),
        Value::Uid(v) => known(names.user(v).map(|user| &user.name[..])),
        Value::Gid(v) => known(names.group(v).map(|group| &group.name[..])),
        Value::RelTime(v) if v != u64::MAX => {
            Meaning::Name(format!("{}s", v as f64 / 1e9).into_bytes().into())
        }
        Value::Text(path) if !path.is_empty() && !path.starts_with(b"/") => {
            absolute(names, event, info, path)
        }
        _ => Meaning::None,
    }
}

/// Returns the names of an integer in its table: in hexadecimal, it is a set of flags, otherwise one of several values.
fn listed(table: FlagTable, decoded: &Decoded<'_>) -> Meaning<'static> {
    let bits = match decoded.value {
        Value::Int(v) => v as u64,
        Value::Uint(v) => v,
        _ => return Meaning::None,
    };
    let value = match decoded.ty.size() {
        Some(size) if size < size_of::<u64>() => bits & ((1 << (8 * size)) - 1),
        _ => bits,
    };
    flags(match decoded.format {
        PrintFormat::HEX => values::flag_names(table, value),
        _ => values::enum_names(table, value),
    })
}

/// Returns whether a parameter is the result of the call.
fn is_result(event: &EventView<'_>, info: &ParamInfo) -> bool {
    let is_result = |row: &Event| match row.result() {
        Some(index) => row.params.get(index).is_some_and(|result| result.name == info.name),
        None => row.params.first().is_some_and(|first| first.name == info.name),
    };
    !event.ty().is_enter() && event.info().is_some_and(is_result)
}

/// Returns whether a descriptor parameter names the directory that a path is relative to.
fn is_directory(event: &EventView<'_>, info: &ParamInfo) -> bool {
    let is_request = || event.info().is_some_and(|row| row.effect() == Some(Effect::IoUringSubmit));
    info.name.contains("dir") || info.name == "mountfd" || is_request()
}

/// Returns the names of the flags of a request's operation, which is in the parameter at `index`.
fn by_opcode(event: &EventView<'_>, index: u8, value: u32) -> Meaning<'static> {
    let op = event.param(index.into()).and_then(|opcode| io_uring_op(*opcode.first()?));
    match op.and_then(|op| Some((op.flags?, op.is_enum))) {
        Some((table, true)) => flags(values::enum_names(table, value.into())),
        Some((table, false)) => flags(values::flag_names(table, value.into())),
        None => Meaning::None,
    }
}

/// Returns what a descriptor refers to; `None` if the number is not a descriptor.
fn fd<'a>(names: &'a Machine, event: &EventView<'_>, info: &ParamInfo, fd: i64) -> Option<&'a OpenFd> {
    const MAP_ANONYMOUS: u32 = flag("mmap_flags", "MAP_ANONYMOUS");
    let row = event.info()?;
    if !is_special_fd(row, info) {
        return names.fd(event.tid(), fd);
    }
    let command = || match event.value("cmd")?.ok()?.value {
        Value::Enum(command) => Some(command),
        _ => None,
    };
    let flags = || match event.value("flags")?.ok()?.value {
        Value::Flags(flags) => Some(flags),
        _ => None,
    };
    let is_anothers = match (row.effect(), info.name) {
        (Some(Effect::PidfdGetfd), "target_fd") => {
            let pidfd = event.value("pid_fd")?.ok()?.value;
            return if let Value::Fd(pidfd) = pidfd {
                names.fd_of_pidfd(event.tid(), pidfd, fd)
            } else {
                None
            };
        }
        (Some(Effect::Fcntl), "res") => !command().is_some_and(fcntl_duplicates),
        (Some(Effect::Bpf), "fd") => !command().is_some_and(bpf_creates),
        // The kernel ignores the descriptor of an anonymous mapping.
        _ => flags().is_some_and(|flags| flags & MAP_ANONYMOUS != 0),
    };
    if is_anothers { None } else { names.fd(event.tid(), fd) }
}

/// Returns whether it depends on other parameters what a descriptor refers to.
pub(super) fn is_special_fd(row: &Event, info: &ParamInfo) -> bool {
    match row.effect() {
        Some(Effect::PidfdGetfd) => info.name == "target_fd",
        Some(Effect::Fcntl) => info.name == "res",
        Some(Effect::Bpf) => info.name == "fd",
        _ => row.name.starts_with("mmap"),
    }
}

/// Returns the command name of a process. Ids that the kernel reports are those of the initial pid namespace; ids that
/// a call takes or returns are those of the caller's.
fn comm<'a>(names: &'a Machine, event: &EventView<'_>, info: &ParamInfo, id: u64) -> Option<&'a [u8]> {
    let row = event.info()?;
    let of_kernel = match (row.source, row.effect()) {
        // The sender of a signal has its id in the receiver's namespace.
        (Source::Tracepoint, _) => info.name != "spid",
        (Source::Iter, _) | (_, Some(Effect::Clone | Effect::Exec)) => {
            info.name != "res" && !info.name.starts_with('v')
        }
        _ => false,
    };
    if of_kernel {
        // A new thread may run before either return of its clone.
        let unborn = || names.unborn_comm().filter(|_| row.name == "switch");
        return names.last_comm(id).or_else(unborn);
    }
    let is_child = row.effect() == Some(Effect::Clone) && info.name == "res";
    // Until the child's own return, it has its parent's name.
    names.comm_within(event.tid(), id).or_else(|| names.comm(event.tid()).filter(|_| is_child))
}

/// Returns the value to show: makes numbers signed that the table declares unsigned but the call takes as signed.
pub fn shown<'a>(event: &EventView<'_>, info: &ParamInfo, decoded: Decoded<'a>) -> Decoded<'a> {
    match decoded.value {
        Value::Uint(_) if event.info().is_some_and(|row| is_signed(row, info)) => signed(decoded),
        _ => decoded,
    }
}

/// Returns whether the table declares a parameter of this row unsigned that the call takes as signed.
pub(super) fn is_signed(row: &Event, info: &ParamInfo) -> bool {
    match info.name {
        "offset" | "pos" | "offin" | "offout" => true,
        // Old recorders stored it as a sign-extended int.
        "val" => row.name == "futex",
        _ => false,
    }
}

/// Returns an unsigned value as a signed one.
pub(super) fn signed(decoded: Decoded<'_>) -> Decoded<'_> {
    match decoded.value {
        Value::Uint(v) => Decoded { ty: ParamType::INT64, value: Value::Int(v as i64), ..decoded },
        _ => decoded,
    }
}

fn flags(names: Vec<&'static str>) -> Meaning<'static> {
    if names.is_empty() { Meaning::None } else { Meaning::Flags(names) }
}

/// Returns the absolute form of a relative path.
fn absolute(names: &Machine, event: &EventView<'_>, info: &ParamInfo, path: &[u8]) -> Meaning<'static> {
    let int = |index| match event.info()?.params.get(index).zip(event.param(index)) {
        Some((info, bytes)) => match crate::format::decode(info, bytes).ok()?.value {
            Value::Fd(fd) => Some(fd),
            _ => None,
        },
        None => None,
    };
    let base = match (info.ty, info.detail) {
        (ParamType::FSPATH | ParamType::FSRELPATH, Detail::DirFd(index)) => int(usize::from(index)),
        (ParamType::FSPATH, _) => None,
        // Enter events have the descriptor too, but their rows do not refer to it.
        (ParamType::FSRELPATH, _) => event.info().and_then(|row| row.param("dirfd")).and_then(int),
        _ => return Meaning::None,
    };
    let is_relative = info.ty == ParamType::FSRELPATH || matches!(info.detail, Detail::DirFd(_));
    if is_relative && base.is_none() {
        return Meaning::None;
    }
    names.absolute(event, base, path).map_or(Meaning::None, |path| Meaning::Name(path.into()))
}

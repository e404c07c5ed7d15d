//! Arguments that only some calls have. Each form has a name, which the rows of `table.rs` use.

use super::{
    args::Args,
    flags,
    kernel::{self, OPEN_FLAGS},
    params::number,
    quote, tasks,
};
use scap::{
    events::{Detail, FlagTable, flag_table},
    format::Value,
    model::flag,
};

/// Appends an argument, given the index of its parameter.
pub type Form = fn(&mut Args<'_, '_>, usize);

/// Every form.
pub const FORMS: &[(&str, Form)] = &[
    ("pointer", pointer),
    ("octal", octal),
    ("number", |a, at| with(a, at, |a, v| a.format(format_args!("{v}")))),
    ("hex", |a, at| with(a, at, |a, v| a.hexadecimal(v as u64))),
    ("u32", |a, at| with(a, at, |a, v| a.format(format_args!("{}", v as u32)))),
    ("id", |a, at| with(a, at, |a, v| a.format(format_args!("{}", v as u32 as i32)))),
    ("creating", creating),
    ("open", opening),
    ("data", |a, at| {
        let data = a.params.at(at).map_or(Value::Absent, |(_, d)| d.value);
        a.data(data);
    }),
    ("message", message),
    ("type", socket_type),
    ("protocol", protocol),
    ("pair", pair),
    ("answer", answer),
    ("option", option),
    ("polled", polled),
    ("count", count),
    ("mask", |a, at| with(a, at, |a, v| a.signals(v as u32))),
    ("poll-mask", |a, at| with(a, at, |a, v| if v == 0 { a.unknown() } else { a.signals(v as u32) })),
    ("clock", |a, at| with(a, at, |a, v| named(a, kernel::CLOCKS, v))),
    ("limit", |a, _| tasks::limit(a, "cur", "max", None)),
    ("new-limit", |a, _| tasks::limit(a, "newcur", "newmax", Some(("oldcur", "oldmax")))),
    ("old-limit", |a, _| tasks::limit(a, "oldcur", "oldmax", Some(("newcur", "newmax")))),
    ("fcntl", fcntl),
    ("futex", futex),
    ("futex-rest", futex_rest),
    ("semaphores", semaphores),
    ("key", |a, at| {
        with(a, at, |a, v| if v == 0 { a.text("IPC_PRIVATE") } else { a.hexadecimal(v as u32 as u64) })
    }),
    // The recorder has the flags alone.
    ("permissions", |a, at| {
        with(a, at, |a, v| {
            if v != 0 {
                a.param(at);
                a.text("|");
            }
            a.unknown();
        });
    }),
    ("capabilities", tasks::capabilities),
    ("how", how),
    ("clone", tasks::clone),
    ("clone3", tasks::clone3),
    ("argv", tasks::argv),
    ("env", tasks::env),
    // The exit event has other flags under the name: those of the new program.
    ("of-enter", |a, at| if a.params.row().ty.is_enter() { a.param(at) } else { a.unknown() }),
    ("node", node),
    ("device", device),
    ("prctl", tasks::prctl),
    ("request", |a, at| with(a, at, |a, v| named_or_hex(a, kernel::REQUESTS, v))),
    // The enter event has a number without names, and with a sign.
    ("bpf", |a, at| {
        const COMMANDS: FlagTable = flag_table("bpf_commands");
        with(a, at, |a, v| flags::enumerated(a.out, COMMANDS, u64::from(v as u32)));
    }),
    ("operation", |a, at| with(a, at, |a, v| named(a, kernel::SECCOMP, v))),
    ("fs-value", fs_value),
    ("uring", uring),
    ("quota", quota),
    ("eventfd", eventfd),
    ("IN", |a, at| prefixed(a, at, "IN_")),
    ("SFD", |a, at| prefixed(a, at, "SFD_")),
    ("SOCK", |a, at| {
        const FLAGS: FlagTable = flag_table("file_flags");
        with(a, at, |a, v| flags::flags(a.out, FLAGS, u64::from(v as u32), Some("SOCK_")));
    }),
];

/// Appends a number with `write`, or `...` if there is none.
fn with(a: &mut Args<'_, '_>, at: usize, write: impl FnOnce(&mut Args<'_, '_>, i64)) {
    match a.params.at(at).and_then(|(_, d)| number(d.value)) {
        Some(v) => write(a, v),
        None => a.unknown(),
    }
}

fn pointer(a: &mut Args<'_, '_>, at: usize) {
    with(a, at, |a, v| if v == 0 { a.text("NULL") } else { a.hexadecimal(v as u64) });
}

fn octal(a: &mut Args<'_, '_>, at: usize) {
    with(a, at, |a, v| a.octal(v as u64));
}

fn named(a: &mut Args<'_, '_>, names: &[(i64, &str)], v: i64) {
    match names.iter().find(|(value, _)| *value == v) {
        Some((_, name)) => a.text(name),
        None => a.format(format_args!("{v}")),
    }
}

fn named_or_hex(a: &mut Args<'_, '_>, names: &[(i64, &str)], v: i64) {
    match names.iter().find(|(value, _)| *value == v) {
        Some((_, name)) => a.text(name),
        None => a.hexadecimal(v as u64),
    }
}

/// The flags of open: those of the caller, or as far as the format has bits for them.
fn opening(a: &mut Args<'_, '_>, at: usize) {
    const FLAGS: FlagTable = flag_table("open_flags");
    match a.params.number("raw_flags") {
        Some(v) => flags::open(a.out, FLAGS, v as u64),
        None => a.param(at),
    }
}

/// The mode of a new file: the call takes it only where it may create one.
fn creating(a: &mut Args<'_, '_>, at: usize) {
    const CREATES: u32 = flag("file_flags", "O_CREAT") | flag("file_flags", "O_TMPFILE");
    if matches!(a.params.named("flags"), Value::Flags(flags) if flags & CREATES != 0) {
        octal(a, at);
    }
}

fn message(a: &mut Args<'_, '_>, at: usize) {
    let data = a.params.at(at).map_or(Value::Absent, |(_, d)| d.value);
    if data == Value::Absent && a.params.result().is_none_or(|res| res < 0) {
        return a.unknown();
    }
    a.text("{msg_iov=");
    a.data(data);
    a.text(", ...}");
}

fn socket_type(a: &mut Args<'_, '_>, at: usize) {
    with(a, at, |a, v| {
        named(a, kernel::SOCKET_TYPES, v & 0xf);
        let flags = v & !0xf;
        for (bit, name) in [(0x8_0000, "|SOCK_CLOEXEC"), (0x800, "|SOCK_NONBLOCK")] {
            a.text(if flags & bit != 0 { name } else { "" });
        }
        if flags & !0x8_0800 != 0 {
            a.format(format_args!("|{:#x}", flags & !0x8_0800));
        }
    });
}

fn protocol(a: &mut Args<'_, '_>, at: usize) {
    const AF_INET: i64 = flag("socket_families", "AF_INET") as i64;
    const AF_INET6: i64 = flag("socket_families", "AF_INET6") as i64;
    const AF_NETLINK: i64 = flag("socket_families", "AF_NETLINK") as i64;
    let names = match a.params.number("domain") {
        Some(AF_INET | AF_INET6) => kernel::IP_PROTOCOLS,
        Some(AF_NETLINK) => kernel::NETLINK_PROTOCOLS,
        _ => &[],
    };
    with(a, at, |a, v| named(a, names, v));
}

/// Two descriptors that the call makes.
fn pair(a: &mut Args<'_, '_>, _: usize) {
    let (Some(one), Some(other), Some(0)) =
        (a.params.number("fd1"), a.params.number("fd2"), a.params.result())
    else {
        return a.unknown();
    };
    a.text("[");
    a.own_descriptor(one);
    a.text(", ");
    a.own_descriptor(other);
    a.text("]");
}

/// A value that the call returns through a pointer.
fn answer(a: &mut Args<'_, '_>, at: usize) {
    if a.params.result().is_none_or(|res| res < 0) {
        return a.unknown();
    }
    a.text("[");
    a.param(at);
    a.text("]");
}

fn option(a: &mut Args<'_, '_>, at: usize) {
    let Some((_, decoded)) = a.params.at(at) else { return a.unknown() };
    match decoded.value {
        Value::Absent => a.unknown(),
        Value::Bytes(bytes) => quote::quoted(a.out, bytes),
        Value::RelTime(ns) => a.time(ns, "tv_usec", 1000),
        Value::Errno(v) if v < 0 => match scap::text::kernel_names::errno(-v) {
            Some(name) => a.format(format_args!("[{name}]")),
            None => a.format(format_args!("[{}]", -v)),
        },
        // An int: the format has it without its sign.
        Value::Uint(v) if decoded.ty.size() == Some(4) => a.format(format_args!("[{}]", v as u32 as i32)),
        value => match number(value) {
            Some(v) => a.format(format_args!("[{v}]")),
            None => a.unknown(),
        },
    }
}

/// The descriptors to wait for. Enter events have the events to wait for, exit events those that have happened.
fn polled(a: &mut Args<'_, '_>, at: usize) {
    match a.params.at(at).map(|(_, d)| d.value) {
        Some(Value::FdList(list)) if list.iter().next().is_none() => a.text("NULL"),
        Some(Value::FdList(list)) => {
            let events = a.params.event.ty().is_enter().then_some("events");
            a.polled(&list, events, false);
        }
        _ => a.unknown(),
    }
}

fn count(a: &mut Args<'_, '_>, at: usize) {
    match a.params.at(at).map(|(_, d)| d.value) {
        Some(Value::FdList(list)) => {
            // The recorder keeps so many entries.
            let count = list.iter().count();
            if count < 64 { a.format(format_args!("{count}")) } else { a.unknown() }
        }
        _ => a.unknown(),
    }
}

fn fcntl(a: &mut Args<'_, '_>, at: usize) {
    const F: fn(&str) -> i64 =
        |name| flag_table("fcntl_commands").iter().find(|f| f.name == name).map_or(-1, |f| f.value as i64);
    const WITHOUT: [&str; 6] = ["F_GETFD", "F_GETFL", "F_GETOWN", "F_GETSIG", "F_GETLEASE", "F_GETPIPE_SZ"];
    let command = a.params.number("cmd").unwrap_or(-1);
    if WITHOUT.iter().any(|name| F(name) == command) {
        return;
    }
    with(a, at, |a, v| match v {
        v if command == F("F_SETFD") => a.text(if v & 1 != 0 { "FD_CLOEXEC" } else { "0" }),
        v if command == F("F_SETFL") => open_flags(a, v as u64),
        v if command == F("F_DUPFD") || command == F("F_DUPFD_CLOEXEC") || command == F("F_SETPIPE_SZ") => {
            a.format(format_args!("{}", v as i32));
        }
        v => a.hexadecimal(v as u64),
    });
}

/// The kernel's own flags of an open file.
pub fn open_flags(a: &mut Args<'_, '_>, v: u64) {
    a.text(match v & 3 {
        0 => "O_RDONLY",
        1 => "O_WRONLY",
        2 => "O_RDWR",
        _ => "O_ACCMODE",
    });
    let mut left = v & !3;
    for (bits, name) in OPEN_FLAGS {
        if left & bits == *bits {
            left &= !bits;
            a.format(format_args!("|{name}"));
        }
    }
    if left != 0 {
        a.format(format_args!("|{left:#x}"));
    }
}

fn futex(a: &mut Args<'_, '_>, at: usize) {
    const PRIVATE: u32 = flag("futex_operations", "FUTEX_PRIVATE_FLAG");
    const REALTIME: u32 = flag("futex_operations", "FUTEX_CLOCK_REALTIME");
    let Some((info, decoded)) = a.params.at(at) else { return a.unknown() };
    let (Value::Flags(v), Detail::Flags(table)) = (decoded.value, info.detail) else { return a.unknown() };
    let operation = v & !(PRIVATE | REALTIME);
    flags::enumerated(a.out, table, u64::from(operation));
    // This one has no name with the flag.
    let private =
        if operation == flag("futex_operations", "FUTEX_FD") { "|FUTEX_PRIVATE_FLAG" } else { "_PRIVATE" };
    a.text(if v & PRIVATE != 0 { private } else { "" });
    a.text(if v & REALTIME != 0 { "|FUTEX_CLOCK_REALTIME" } else { "" });
}

/// What follows the first three arguments; these operations have no more.
fn futex_rest(a: &mut Args<'_, '_>, _: usize) {
    const SHORT: [u32; 3] = [
        flag("futex_operations", "FUTEX_WAKE"),
        flag("futex_operations", "FUTEX_UNLOCK_PI"),
        flag("futex_operations", "FUTEX_TRYLOCK_PI"),
    ];
    if !matches!(a.params.named("op"), Value::Flags(op) if SHORT.contains(&(op & 127))) {
        a.unknown();
    }
}

fn semaphores(a: &mut Args<'_, '_>, _: usize) {
    const MEMBERS: [[&str; 3]; 2] =
        [["sem_num_0", "sem_op_0", "sem_flg_0"], ["sem_num_1", "sem_op_1", "sem_flg_1"]];
    let Some(count @ 1..) = a.params.number("nsops") else { return a.unknown() };
    a.text("[");
    let mut comma = "";
    for [number, operation, flags] in MEMBERS.iter().take(count.min(2) as usize) {
        let (Some(number), Some(operation)) = (a.params.number(number), a.params.number(operation)) else {
            break;
        };
        a.format(format_args!("{comma}{{sem_num={number}, sem_op={operation}, sem_flg="));
        if let Some(at) = a.params.row().param(flags) {
            a.param(at);
        }
        a.text("}");
        comma = ", ";
    }
    a.text(if count > 2 { ", ...]" } else { "]" });
}

/// Appends `name=` and a parameter.
fn member(a: &mut Args<'_, '_>, before: &str, name: &str) {
    a.format(format_args!("{before}{name}="));
    match a.params.row().param(name) {
        Some(at) => a.param(at),
        None => a.unknown(),
    }
}

fn how(a: &mut Args<'_, '_>, _: usize) {
    a.text("{flags=");
    match a.params.row().param("flags") {
        Some(at) => opening(a, at),
        None => a.unknown(),
    }
    let before = a.out.len();
    a.text(", mode=");
    let start = a.out.len();
    if let Some(at) = a.params.row().param("mode") {
        creating(a, at);
    }
    if a.out.len() == start {
        a.out.truncate(before);
    }
    member(a, ", ", "resolve");
    a.text("}");
}

/// The bits of a mode that are the type of the file.
const S_IFMT: i64 = 0o170_000;

fn node(a: &mut Args<'_, '_>, at: usize) {
    with(a, at, |a, v| {
        named_or_hex(a, kernel::FILE_TYPES, v & S_IFMT);
        a.text("|");
        a.octal((v & !S_IFMT) as u64);
    });
}

fn device(a: &mut Args<'_, '_>, at: usize) {
    let kind = a.params.number("mode").unwrap_or_default() & S_IFMT;
    if matches!(kind, 0o020_000 | 0o060_000) {
        with(a, at, |a, v| {
            let (major, minor) = (v >> 8 & 0xfff, v & 0xff | v >> 12 & 0xf_ff00);
            a.format(format_args!("makedev({major:#x}, {minor:#x})"));
        });
    }
}

fn fs_value(a: &mut Args<'_, '_>, _: usize) {
    match (a.params.named("value_charbuf"), a.params.named("value_bytebuf")) {
        (Value::Text(text), _) => quote::quoted(a.out, text),
        (_, Value::Bytes(bytes)) => quote::quoted(a.out, bytes),
        _ => a.unknown(),
    }
}

fn uring(a: &mut Args<'_, '_>, _: usize) {
    member(a, "{", "flags");
    for name in ["sq_thread_cpu", "sq_thread_idle", "sq_entries", "cq_entries", "features"] {
        member(a, ", ", name);
    }
    a.text(", ...}");
}

fn quota(a: &mut Args<'_, '_>, at: usize) {
    a.text("QCMD(");
    a.param(at);
    a.text(", ");
    match a.params.row().param("type") {
        Some(at) => a.param(at),
        None => a.unknown(),
    }
    a.text(")");
}

fn eventfd(a: &mut Args<'_, '_>, at: usize) {
    const CLOEXEC: i64 = flag("file_flags", "O_CLOEXEC") as i64;
    const NONBLOCK: i64 = flag("file_flags", "O_NONBLOCK") as i64;
    with(a, at, |a, v| {
        a.text(match (v & CLOEXEC != 0, v & NONBLOCK != 0) {
            (true, true) => "EFD_CLOEXEC|EFD_NONBLOCK",
            (true, false) => "EFD_CLOEXEC",
            (false, true) => "EFD_NONBLOCK",
            (false, false) => "0",
        });
    });
}

fn prefixed(a: &mut Args<'_, '_>, at: usize, prefix: &str) {
    let Some((info, decoded)) = a.params.at(at) else { return a.unknown() };
    match (decoded.value, info.detail) {
        (Value::Flags(v), Detail::Flags(table)) => flags::flags(a.out, table, v.into(), Some(prefix)),
        _ => a.unknown(),
    }
}

//! Fields of the event itself.
//!
//! Where the values differ from those of sysdig 0.41, and why:
//!
//! | field | here | sysdig 0.41 |
//! |-|-|-|
//! | `evt.num` | counts all events of a capture, also those of scapd's own (from type 0xa000); an extension has no number | does not count the enter events that it drops, nor types that it does not know |
//! | all, at enter events | have values | drops most enter events |
//! | `evt.type.is` | 1 for all events of that name | 1 for the first type of that name in the table, often one of old recorders |
//! | `evt.res`, `evt.failed` and their like, of events without arguments | no value | success |
//! | `evt.res` of an error that the kernel has a name for | the name | sometimes the number (`clone3`) |
//! | `evt.category` of generic events | that of the call, if the capture has its arguments, otherwise `other` | `other`; 0.29 knows more of them |
//! | `evt.hostname` | that of the recorded machine | empty |

use std::borrow::Cow;

use super::{
    Argument, Key, Need, Type, Value,
    row::Row,
    subject::open,
    types::{self, ByType, FdKind, category, has, result},
};
use crate::{
    events::{self, Category, Effect, Event, EventFlags, SYSCALLS, Source},
    replay::Moment,
    text::kernel_names,
};

pub(super) const ROWS: &[Row] = &[
    Row::one("evt.num", Type::Uint, "number of the event in the capture, from 1", |m| {
        Some(Value::Uint(m.num))
    })
    .needs(Need::Everything),
    Row::one("evt.dir", Type::Text, "> for an enter event, < for an exit event", |m| {
        Some(Value::text(if m.event().ty().is_enter() { ">" } else { "<" }))
    })
    .of_type(),
    Row::one("evt.type", Type::Text, "name of the event, as openat", |m| Some(text(m.event().name())))
        .of_type(),
    Row::keyed(
        "evt.type.is",
        Type::Uint,
        Argument::Key,
        "1 if the event has the name or number given, as evt.type.is.openat, otherwise 0",
        |m, key| {
            Some(count(match key? {
                Key::Index(number) => u32::from(m.event().ty().0) == *number,
                Key::Name(name) => m.event().name() == **name,
            }))
        },
    )
    .names(event_names)
    .of_type(),
    Row::one("syscall.type", Type::Text, "name of the system call; no value for other events", |m| {
        IS_CALL.of(m)?.then(|| text(m.event().name()))
    })
    .of_type(),
    Row::one("evt.category", Type::Text, "subject of the event, as file, net, memory or process", |m| {
        Some(Value::text(category_name(m)))
    })
    .of_type_at(|row, _| !matches!(row.category, Category::IoRead | Category::IoWrite | Category::IoOther)),
    Row::one("evt.cpu", Type::Int, "number of the CPU", |m| Some(Value::Int(m.captured.cpu.into())))
        .needs(Need::Event),
    Row::one("evt.source", Type::Text, "source of the event: always syscall", |_| {
        Some(Value::text("syscall"))
    })
    .of_type(),
    Row::one("evt.is_async", Type::Bool, "whether the recorder made the event, not the kernel", |m| {
        Some(Value::Bool(*IS_ASYNC.of(m)?))
    })
    .of_type(),
    Row::one("evt.asynctype", Type::Text, "name of an event that the recorder made", |m| {
        IS_ASYNC.of(m)?.then(|| text(m.event().name()))
    })
    .of_type(),
    Row::one("evt.hostname", Type::Text, "host name of the recorded machine", |m| {
        Some(&m.machine.info().hostname).filter(|name| !name.is_empty()).map(Value::text)
    }),
    Row::one("evt.res", Type::Text, "SUCCESS, or the name of the error that the call failed with", |m| {
        let result = result(m)?;
        let error = || kernel_names::errno(result.checked_neg()?);
        Some(match result {
            0.. => Value::text("SUCCESS"),
            _ => error().map_or_else(|| text(result.to_string().into()), Value::text),
        })
    })
    .of_type_at(has_no_result)
    .needs(Need::Event),
    Row::one("evt.rawres", Type::Int, "what the call returned, as a number", |m| result(m).map(Value::Int))
        .of_type_at(has_no_result)
        .needs(Need::Event),
    Row::one("evt.failed", Type::Bool, "whether the call failed; no value if the event has no result", |m| {
        failed(m).map(Value::Bool)
    })
    .of_type_at(has_no_result)
    .needs(Need::Event),
    Row::one("evt.is_wait", Type::Bool, "whether the call makes the thread wait, as poll", |m| {
        Some(Value::Bool(has(m, EventFlags::WAITS)))
    })
    .of_type(),
    Row::one("evt.count", Type::Uint, "1, to be added up", |_| Some(count(true))).of_type(),
    Row::one("evt.count.error", Type::Uint, "1 if the call failed, 0 if it did not", |m| {
        failed(m).map(count)
    })
    .of_type_at(has_no_result)
    .needs(Need::Event),
    Row::one("evt.count.error.file", Type::Uint, "the same, of calls on files and directories", |m| {
        (subject(m) == Subject::File).then(|| failed(m).map(count)).flatten()
    }),
    Row::one("evt.count.error.net", Type::Uint, "the same, of calls on sockets", |m| {
        (subject(m) == Subject::Net).then(|| failed(m).map(count)).flatten()
    }),
    Row::one("evt.count.error.memory", Type::Uint, "the same, of calls that manage memory", |m| {
        (category(m) == Category::Memory).then(|| failed(m).map(count)).flatten()
    }),
    Row::one("evt.count.error.other", Type::Uint, "the same, of all other calls", |m| {
        (subject(m) == Subject::Other).then(|| failed(m).map(count)).flatten()
    }),
    Row::one("evt.count.exit", Type::Uint, "1 for an exit event", |m| {
        (!m.event().ty().is_enter()).then(|| count(true))
    })
    .of_type(),
    Row::one("evt.count.procinfo", Type::Uint, "1 for a procinfo event of a main thread, otherwise 0", |m| {
        let is_main = || m.machine.pid(m.event().tid()) == m.event().tid();
        Some(count(*IS_PROCINFO.of(m)? && is_main()))
    }),
    Row::one("evt.count.threadinfo", Type::Uint, "1 for a procinfo event, otherwise 0", |m| {
        Some(count(*IS_PROCINFO.of(m)?))
    })
    .of_type(),
];

static IS_CALL: ByType<bool> = ByType::new(|| types::rows(|row| row.source == Source::Syscall));
static IS_ASYNC: ByType<bool> = ByType::new(|| types::rows(|row| row.source == Source::Metaevent));
static IS_PROCINFO: ByType<bool> = ByType::new(|| types::rows(|row| row.name == "procinfo"));

/// What a call without a descriptor is about, for the counters of errors: that of a call that would have created one.
static CREATES: ByType<Subject> = ByType::new(|| {
    types::rows(|row| match row.effect() {
        Some(Effect::Open) if !row.ty.is_enter() => Subject::File,
        Some(Effect::Accept | Effect::Connect) if !row.ty.is_enter() => Subject::Net,
        _ if row.category == Category::Memory => Subject::Memory,
        _ => Subject::Other,
    })
});

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    File,
    Net,
    Memory,
    Other,
}

fn subject(m: &Moment<'_>) -> Subject {
    match open(m).map(FdKind::of) {
        Some(FdKind::File | FdKind::Directory) => Subject::File,
        Some(FdKind::Inet | FdKind::Unix) => Subject::Net,
        Some(_) => Subject::Other,
        None => CREATES.of(m).copied().unwrap_or(Subject::Other),
    }
}

/// Returns whether events of a row have no result: entries have none, whatever extends them.
fn has_no_result(row: &Event, _: Option<&Key>) -> bool {
    row.ty.is_enter() && row.result().is_none()
}

fn failed(m: &Moment<'_>) -> Option<bool> {
    result(m).map(|result| result < 0)
}

fn count(is_counted: bool) -> Value<'static> {
    Value::Uint(is_counted.into())
}

fn text(text: Cow<'_, str>) -> Value<'_> {
    Value::Text(match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    })
}

/// Returns all names of events and system calls.
fn event_names() -> Vec<&'static str> {
    events::types().map(|row| row.common_name()).chain(SYSCALLS.iter().map(|call| call.name)).collect()
}

/// Returns the subject. That of a transfer is what its descriptor refers to.
fn category_name(m: &Moment<'_>) -> &'static str {
    match category(m) {
        Category::Unknown => "unknown",
        Category::Other => "other",
        Category::File => "file",
        Category::Net => "net",
        Category::Ipc => "IPC",
        Category::Memory => "memory",
        Category::Process => "process",
        Category::Sleep => "sleep",
        Category::System => "system",
        Category::Signal => "signal",
        Category::User => "user",
        Category::Time => "time",
        Category::Wait => "wait",
        Category::Scheduler => "scheduler",
        Category::Internal => "internal",
        Category::IoRead | Category::IoWrite | Category::IoOther => match open(m).map(FdKind::of) {
            Some(FdKind::File | FdKind::Directory) => "file",
            Some(FdKind::Inet) => "net",
            Some(FdKind::Unix | FdKind::Ipc) => "ipc",
            Some(FdKind::Other) | None => "unknown",
        },
    }
}

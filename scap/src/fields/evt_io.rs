//! Fields of transfers and of opened files.
//!
//! Where the values differ from those of sysdig 0.41, and why:
//!
//! | field | here | sysdig 0.41 |
//! |-|-|-|
//! | `evt.buffer` without data | no value | prints NULL and what it printed before |
//! | `evt.buflen` in a filter | works | often ends with an error |

use super::{
    Key, Need, Type, Value,
    row::Row,
    subject::open,
    types::{self, ByType, FdKind, category, has, result},
};
use crate::{
    events::{Category, Event, EventFlags, ParamType},
    format::Value as Parameter,
    model::flag,
    replay::Moment,
};

pub(super) const ROWS: &[Row] = &[
    Row::one(
        "evt.buffer",
        Type::Bytes,
        "data that the call transferred, as far as they were recorded",
        |m| {
            let bytes = m.event().param((*DATA.of(m)?)?)?;
            (!bytes.is_empty()).then(|| Value::text(bytes))
        },
    )
    .needs(Need::Event),
    Row::one("evt.buflen", Type::Uint, "number of bytes that a call on a descriptor transferred", |m| {
        length(m, None, |_| true)
    }),
    Row::one("evt.buflen.in", Type::Uint, "the same, of calls that read", |m| {
        length(m, Some(Category::IoRead), |_| true)
    }),
    Row::one("evt.buflen.out", Type::Uint, "the same, of calls that write", |m| {
        length(m, Some(Category::IoWrite), |_| true)
    }),
    Row::one("evt.buflen.file", Type::Uint, "number of bytes transferred from or to a file", |m| {
        length(m, None, is_file)
    }),
    Row::one("evt.buflen.file.in", Type::Uint, "number of bytes read from a file", |m| {
        length(m, Some(Category::IoRead), is_file)
    }),
    Row::one("evt.buflen.file.out", Type::Uint, "number of bytes written to a file", |m| {
        length(m, Some(Category::IoWrite), is_file)
    }),
    Row::one("evt.buflen.net", Type::Uint, "number of bytes transferred from or to a socket of IP", |m| {
        length(m, None, is_net)
    }),
    Row::one("evt.buflen.net.in", Type::Uint, "number of bytes received from a socket of IP", |m| {
        length(m, Some(Category::IoRead), is_net)
    }),
    Row::one("evt.buflen.net.out", Type::Uint, "number of bytes sent to a socket of IP", |m| {
        length(m, Some(Category::IoWrite), is_net)
    }),
    Row::one("evt.is_io", Type::Bool, "whether the call reads from or writes to a descriptor", |m| {
        Some(Value::Bool(has(m, EventFlags::READS_FROM_FD) || has(m, EventFlags::WRITES_TO_FD)))
    })
    .of_type(),
    Row::one("evt.is_io_read", Type::Bool, "whether the call reads from a descriptor", |m| {
        Some(Value::Bool(has(m, EventFlags::READS_FROM_FD)))
    })
    .of_type(),
    Row::one("evt.is_io_write", Type::Bool, "whether the call writes to a descriptor", |m| {
        Some(Value::Bool(has(m, EventFlags::WRITES_TO_FD)))
    })
    .of_type(),
    Row::one(
        "evt.io_dir",
        Type::Text,
        "read or write; no value for calls that transfer nothing",
        |m| match () {
            () if has(m, EventFlags::WRITES_TO_FD) => Some(Value::text("write")),
            () if has(m, EventFlags::READS_FROM_FD) => Some(Value::text("read")),
            () => None,
        },
    )
    .of_type(),
    Row::one("evt.is_syslog", Type::Bool, "whether the call writes to /dev/log", |m| {
        let is_log = || open(m).is_some_and(|fd| memchr::memmem::find(&fd.name, b"/dev/log").is_some());
        Some(Value::Bool(has(m, EventFlags::WRITES_TO_FD) && is_log()))
    }),
    Row::one("evt.is_open_read", Type::Bool, "whether the call opens a file for reading", |m| {
        opens(m, |open| open.flags & O_RDONLY != 0)
    })
    .of_type_at(opens_nothing)
    .needs(Need::Event),
    Row::one("evt.is_open_write", Type::Bool, "whether the call opens a file for writing", |m| {
        opens(m, |open| open.flags & O_WRONLY != 0)
    })
    .of_type_at(opens_nothing)
    .needs(Need::Event),
    Row::one("evt.is_open_exec", Type::Bool, "whether the call creates a file that can be executed", |m| {
        opens(m, |open| (open.is_creat || open.flags & (O_CREAT | O_TMPFILE) != 0) && open.mode & 0o111 != 0)
    })
    .of_type_at(opens_nothing)
    .needs(Need::Event),
    Row::one("evt.is_open_create", Type::Bool, "whether the call creates a file", |m| {
        let is_done = |open: &Open| open.flags & O_TMPFILE != 0 && result(m).is_some_and(|fd| fd >= 0);
        opens(m, |open| open.flags & O_F_CREATED != 0 || is_done(open))
    })
    .of_type_at(opens_nothing)
    .needs(Need::Event),
];

const O_RDONLY: u32 = flag("file_flags", "O_RDONLY");
const O_WRONLY: u32 = flag("file_flags", "O_WRONLY");
const O_CREAT: u32 = flag("file_flags", "O_CREAT");
const O_TMPFILE: u32 = flag("file_flags", "O_TMPFILE");
const O_F_CREATED: u32 = flag("file_flags", "O_F_CREATED");

/// The parameter with the data.
static DATA: ByType<Option<usize>> = ByType::new(|| {
    types::rows(|row| row.param("data").filter(|index| row.params[*index].ty == ParamType::BYTEBUF))
});

fn is_file(kind: FdKind) -> bool {
    kind == FdKind::File
}

fn is_net(kind: FdKind) -> bool {
    kind == FdKind::Inet
}

/// Returns what a call on a descriptor returned; of calls of that category alone, if given.
fn length(m: &Moment<'_>, only: Option<Category>, is_wanted: fn(FdKind) -> bool) -> Option<Value<'static>> {
    let is_wanted_call = match (category(m), only) {
        (category, Some(only)) => category == only,
        (category, None) => matches!(category, Category::IoRead | Category::IoWrite | Category::IoOther),
    };
    if !is_wanted_call || !is_wanted(FdKind::of(open(m)?)) {
        return None;
    }
    u64::try_from(result(m)?).ok().map(Value::Uint)
}

/// Returns whether no event of a row opens a file.
fn opens_nothing(row: &Event, _: Option<&Key>) -> bool {
    row.ty.is_enter() || !matches!(row.name, "open" | "openat" | "openat2" | "open_by_handle_at" | "creat")
}

/// The parameters of a call that opens files.
struct OpenRow {
    is_creat: bool,
    flags: Option<usize>,
    mode: Option<usize>,
}

static OPENS: ByType<Option<OpenRow>> = ByType::new(|| {
    types::rows(|row: &Event| {
        let of = |name| row.param(name);
        (!opens_nothing(row, None)).then(|| OpenRow {
            is_creat: row.name == "creat",
            flags: of("flags"),
            mode: of("mode"),
        })
    })
});

/// What a call opens a file with.
struct Open {
    is_creat: bool,
    flags: u32,
    mode: u32,
}

fn opens(m: &Moment<'_>, is: impl FnOnce(&Open) -> bool) -> Option<Value<'static>> {
    let Some(row) = OPENS.of(m).and_then(Option::as_ref) else { return Some(Value::Bool(false)) };
    let bits = |index: Option<usize>| match index.and_then(|index| m.event().param_value(index)) {
        Some(Parameter::Flags(bits) | Parameter::Mode(bits)) => bits,
        Some(Parameter::Uint(bits)) => bits as u32,
        _ => 0,
    };
    let open = Open { is_creat: row.is_creat, flags: bits(row.flags), mode: bits(row.mode) };
    Some(Value::Bool(is(&open)))
}

//! The table of events.

use jiff::tz::TimeZone;

use super::{
    columns::{Cells, Column, Type, count},
    tables,
};
use scap::{
    fields::{Fields, Value, show},
    filter::{Expression, FilterError},
    format::Value as Parameter,
    replay::Moment,
    summary::{Keys, Outcome},
    text::{self, DataForm},
};

/// How a column gets its cells.
#[derive(Clone, Copy)]
enum Get {
    /// From the event itself.
    Own(fn(&mut Row<'_>, &mut dyn Cells)),
    /// A field of filters.
    Field(&'static str),
    /// A key of `scapd top`.
    Key(&'static str),
}
use Get::{Field, Key, Own};

/// The columns, and how they get their cells.
const ROWS: [(Column, Get); 31] = [
    own("num", Type::Int, "number of the event, as `scapd read` counts", |row, out| {
        out.int(count(row.moment.num))
    }),
    own("time", Type::Time, "when it was recorded; of a call that ends, its end", |row, out| {
        out.time(Some(row.moment.event().ts()));
    }),
    own("cpu", Type::Int, "CPU", |row, out| out.int(Some(row.moment.captured.cpu.into()))),
    // As in sysdig, an event without a thread has tid -1.
    own("tid", Type::Int, "thread", |row, out| out.int(Some(row.moment.event().tid() as i64))),
    own("pid", Type::Int, "process", |row, out| {
        out.int(Some(row.moment.machine.pid(row.moment.event().tid()) as i64));
    }),
    of("process", Type::Text, "name of the process", Field("proc.name")),
    of("exe", Type::Text, "path of the program", Field("proc.exepath")),
    of("uid", Type::Int, "user", Field("user.uid")),
    of("user", Type::Text, "name of the user; the number, if it has none", Key("user")),
    of("cgroup", Type::Text, "control group, which stands for the service or the container", Key("cgroup")),
    of(
        "container",
        Type::Text,
        "id of the container; `host` for a process in none",
        Field("container.full_id"),
    ),
    of("container_name", Type::Text, "name of the container", Field("container.name")),
    of("image", Type::Text, "image of the container", Field("container.image")),
    of("pod", Type::Text, "uid of the Kubernetes pod that the container is in", Field("k8s.pod.uid")),
    of("pod_name", Type::Text, "name of that pod", Field("k8s.pod.name")),
    of("namespace", Type::Text, "namespace of that pod", Field("k8s.ns.name")),
    of("call", Type::Text, "system call; type of another event", Key("call")),
    of("category", Type::Text, "category of the event, such as file or net", Field("evt.category")),
    of("dir", Type::Text, "`>`: the start of a call; `<`: its end, or another event", Field("evt.dir")),
    own("ends_call", Type::Bool, "whether a call ends that `scapd top` counts", |row, out| {
        out.bool(Some(row.ended.is_some_and(|(_, counts)| counts)));
    }),
    own(
        "result",
        Type::Int,
        "what the call returned: below 0, the negative number of the error",
        |row, out| {
            out.int(row.outcome().and_then(|outcome| outcome.result));
        },
    ),
    own("error", Type::Text, "name of the error that it failed with", |row, out| {
        tables::error(row.outcome().and_then(|outcome| outcome.error()), out);
    }),
    own("duration_ns", Type::Int, "how long the call took, in ns, if its start was recorded", |row, out| {
        let ended = row.ended.filter(|(_, counts)| *counts);
        out.int(ended.and_then(|(outcome, _)| outcome.latency).and_then(count));
    }),
    of("fd", Type::Int, "descriptor that the event is about", Field("fd.num")),
    of("fd_type", Type::Text, "kind of the descriptor, such as file, ipv4 or pipe", Field("fd.type")),
    of("path", Type::Text, "path of the file or directory that the call is about", Key("file")),
    of("peer", Type::Text, "address of the other machine", Key("peer")),
    of("port", Type::Int, "port of the server", Key("port")),
    own("in_bytes", Type::Int, "bytes that the call read", |row, out| {
        out.int(row.outcome().and_then(|outcome| count(outcome.read + outcome.moved)));
    }),
    own("out_bytes", Type::Int, "bytes that the call wrote", |row, out| {
        out.int(row.outcome().and_then(|outcome| count(outcome.written)));
    }),
    own(
        "args",
        Type::Map,
        "arguments by their names, as `evt.arg` has them; without those that have no value",
        arguments,
    ),
];

const fn of(name: &'static str, ty: Type, about: &'static str, get: Get) -> (Column, Get) {
    (Column::new(name, ty, about), get)
}

const fn own(
    name: &'static str,
    ty: Type,
    about: &'static str,
    get: fn(&mut Row<'_>, &mut dyn Cells),
) -> (Column, Get) {
    of(name, ty, about, Own(get))
}

/// An event.
struct Row<'a> {
    moment: &'a Moment<'a>,
    /// What came of the call that it ends, and whether that counts.
    ended: Option<(Outcome, bool)>,
    text: &'a mut String,
}

impl Row<'_> {
    fn outcome(&self) -> Option<Outcome> {
        self.ended.map(|(outcome, _)| outcome)
    }
}

/// How a column gets its cells, ready to use.
enum Ready {
    Own(fn(&mut Row<'_>, &mut dyn Cells)),
    Field(Expression),
    Key(Keys),
}

/// Makes the rows of events.
pub(super) struct EventRows {
    columns: Vec<(Column, Ready)>,
    text: String,
    key: Vec<u8>,
}

impl EventRows {
    /// Looks up the fields.
    ///
    /// # Errors
    /// If there is no such field.
    pub fn new() -> Result<EventRows, FilterError> {
        let ready = |(column, get): &(Column, Get)| {
            let ready = match *get {
                Own(get) => Ready::Own(get),
                Field(field) => Ready::Field(Expression::parse_at(field, &mut 0, &Fields)?),
                Key(key) => Ready::Key(Keys::parse(key)?),
            };
            Ok((*column, ready))
        };
        let columns = ROWS.iter().map(ready).collect::<Result<_, FilterError>>()?;
        Ok(EventRows { columns, text: String::new(), key: Vec::new() })
    }

    /// Returns the columns.
    pub fn columns() -> Vec<Column> {
        ROWS.iter().map(|(column, _)| *column).collect()
    }

    /// Gives the cells of an event to `out`. It ends that call, if any, as [`Ends`](scap::summary::Ends) says.
    pub fn write(&mut self, moment: &Moment<'_>, ended: Option<(Outcome, bool)>, out: &mut dyn Cells) {
        let EventRows { columns, text, key } = self;
        for (column, get) in columns {
            text.clear();
            match get {
                Ready::Own(get) => get(&mut Row { moment, ended, text }, out),
                Ready::Field(field) => {
                    let mut has_value = false;
                    field.values(moment, &mut |value| {
                        has_value = true;
                        cell(
                            column.ty,
                            &value,
                            text,
                            |text| show(text, &value, field.ty(), field.number_form(), DataForm::Dots),
                            out,
                        );
                        false
                    });
                    if !has_value {
                        missing(column.ty, out);
                    }
                }
                Ready::Key(keys) => {
                    let found = keys.at(key, moment, |found| {
                        cell(column.ty, &found.value, text, |text| found.show(text), out);
                    });
                    if !found {
                        missing(column.ty, out);
                    }
                }
            }
        }
    }
}

/// Gives a value to `out`; an empty text, or a negative number of a descriptor, is none.
fn cell(ty: Type, value: &Value<'_>, text: &mut String, show: impl FnOnce(&mut String), out: &mut dyn Cells) {
    match (ty, value) {
        (Type::Int, Value::Int(number)) => out.int(Some(*number).filter(|number| *number >= 0)),
        (Type::Int, Value::Uint(number)) => out.int(count(*number)),
        (Type::Text, _) => {
            show(text);
            out.text(Some(text.as_str()).filter(|text| !text.is_empty()));
        }
        _ => missing(ty, out),
    }
}

fn missing(ty: Type, out: &mut dyn Cells) {
    match ty {
        Type::Int => out.int(None),
        Type::Bool => out.bool(None),
        Type::Text => out.text(None),
        Type::Time => out.time(None),
        Type::Map => out.end_map(),
    }
}

fn arguments(row: &mut Row<'_>, out: &mut dyn Cells) {
    let (event, machine) = (row.moment.event(), row.moment.machine);
    for ((info, decoded), raw) in event.values().zip(event.params()) {
        if decoded.is_ok_and(|decoded| decoded.value == Parameter::Absent) {
            continue;
        }
        row.text.clear();
        text::escape(row.text, &text::argument(event, machine, info, raw, &TimeZone::UTC));
        out.entry(info.name, row.text);
    }
    out.end_map();
}

//! The tables of processes, of connections, and of what the ledger says.

use super::columns::{Cells, Column, Type, count};
use scap::{
    fields::Value,
    format::Value as Parameter,
    ledger::{self, Losses, Notice},
    replay::Moment,
    summary::{Column as Number, Exit, Group, KeyValue, Process},
    text::{escape, kernel_names},
};

/// The columns of the table of processes.
pub(super) const PROCESSES: [Column; 20] = [
    Column::new("pid", Type::Int, "process"),
    Column::new("parent", Type::Int, "its parent, when it was first seen, if the capture has events of it"),
    Column::new("process", Type::Text, "its name"),
    Column::new("command", Type::Text, "its command line, with blanks between the words"),
    Column::new("exe", Type::Text, "path of the program that it executed last, if that was recorded"),
    Column::new("programs", Type::Int, "how many programs it executed"),
    Column::new("uid", Type::Int, "its user"),
    Column::new("user", Type::Text, "name of the user"),
    Column::new("cwd", Type::Text, "its working directory, at its end"),
    Column::new("first", Type::Time, "its first event"),
    Column::new("started", Type::Time, "when it was cloned, if that was recorded"),
    Column::new("ended", Type::Time, "when it ended, if it did"),
    Column::new("exit_status", Type::Int, "its exit status, if it ended with one"),
    Column::new("exit_signal", Type::Int, "the signal that ended it, if one did"),
    Column::new("life_ns", Type::Int, "how long it lived, in ns, if both was recorded"),
    Column::new("is_wanted", Type::Bool, "whether any of its events matches the filter"),
    Column::new("calls", Type::Int, "calls that ended, of those that match"),
    Column::new("errors", Type::Int, "how many of them failed"),
    Column::new("in_bytes", Type::Int, "bytes that they read"),
    Column::new("out_bytes", Type::Int, "bytes that they wrote"),
];

/// Gives the cells of a process to `out`. Its parent is one of `all`.
pub(super) fn process(process: &Process, all: &[Process], out: &mut dyn Cells) {
    let parent = process.parent.and_then(|parent| all.get(parent));
    out.int(Some(process.pid as i64));
    out.int(parent.map(|parent| parent.pid as i64));
    text(&process.comm, out);
    let words = process.command.strip_suffix(b"\0").unwrap_or(&process.command);
    text(&words.iter().map(|byte| if *byte == 0 { b' ' } else { *byte }).collect::<Vec<_>>(), out);
    text(process.programs.last().map_or(&[], Vec::as_slice), out);
    out.int(count(process.programs.len() as u64));
    out.int(process.uid.map(i64::from));
    text(&process.user, out);
    text(&process.cwd, out);
    out.time(Some(process.first));
    out.time(process.started);
    out.time(process.ended.map(|(ts, _)| ts));
    let (status, signal) = match process.ended {
        Some((_, Exit::Status(status))) => (Some(status.into()), None),
        Some((_, Exit::Signal(signal))) => (None, Some(signal.into())),
        Some((_, Exit::Unknown)) | None => (None, None),
    };
    out.int(status);
    out.int(signal);
    let life = process.started.zip(process.ended).map(|(from, (to, _))| to.saturating_sub(from));
    out.int(life.and_then(count));
    out.bool(Some(process.is_wanted));
    for number in [process.calls, process.errors, process.read, process.written] {
        out.int(count(number));
    }
}

/// What connections are told apart by, as keys of `scapd top`.
pub(super) const CONNECTION_KEYS: &str = "process,connection,peer,port";

/// The columns of the table of connections: those keys, then [`CONNECTION_NUMBERS`].
pub(super) const CONNECTIONS: [Column; 14] = [
    Column::new("process", Type::Text, "name of the process"),
    Column::new("pid", Type::Int, "process"),
    Column::new("connection", Type::Text, "both ends, `CLIENT->SERVER`, as far as they are known"),
    Column::new("peer", Type::Text, "address of the other machine"),
    Column::new("port", Type::Int, "port of the server"),
    Column::new("calls", Type::Int, "calls that ended"),
    Column::new("errors", Type::Int, "how many of them failed, or learned that connecting failed"),
    Column::new("error", Type::Text, "the most frequent error"),
    Column::new("total_ns", Type::Int, "how long the calls took together, in ns"),
    Column::new("in_bytes", Type::Int, "bytes that they read"),
    Column::new("out_bytes", Type::Int, "bytes that they wrote"),
    Column::new("connects", Type::Int, "how often the process connected"),
    Column::new("accepts", Type::Int, "how often the process accepted the connection"),
    Column::new("connect_ns", Type::Int, "median of the time to connect, in ns, if it was recorded"),
];

const CONNECTION_NUMBERS: [Number; 9] = [
    Number::Calls,
    Number::Errors,
    Number::Error,
    Number::Total,
    Number::In,
    Number::Out,
    Number::Connects,
    Number::Accepts,
    Number::Connect,
];

/// Gives the cells of a connection to `out`.
pub(super) fn connection(group: &Group<'_>, out: &mut dyn Cells) {
    for (key, column) in group.keys.iter().zip(&CONNECTIONS) {
        self::key(key, column.ty, out);
    }
    for number in CONNECTION_NUMBERS {
        let value = number.value(group.totals);
        match number {
            Number::Error => error(value.and_then(count), out),
            _ => out.int(value.and_then(count)),
        }
    }
}

fn key(key: &KeyValue<'_>, ty: Type, out: &mut dyn Cells) {
    match (ty, &key.value) {
        (Type::Int, Value::Int(number)) => out.int(Some(*number)),
        (Type::Int, Value::Uint(number)) => out.int(count(*number)),
        (Type::Int, _) => out.int(None),
        _ => {
            let mut shown = String::new();
            key.show(&mut shown);
            out.text(Some(shown.as_str()).filter(|shown| !shown.is_empty()));
        }
    }
}

/// Gives the name of an error to `out`, given by its number; the number, if it has none.
pub(super) fn error(number: Option<i64>, out: &mut dyn Cells) {
    match number.map(|number| (number, kernel_names::errno(number))) {
        Some((_, Some(name))) => out.text(Some(name)),
        Some((number, None)) => out.text(Some(&number.to_string())),
        None => out.text(None),
    }
}

/// The columns of the table of what the ledger says.
pub(super) const LEDGER: [Column; 9] = [
    Column::new("num", Type::Int, "number of the event"),
    Column::new("time", Type::Time, "where it stands in the capture"),
    Column::new(
        "id",
        Type::Text,
        "kind: `scapd.gap` a period with losses, `scapd.verdict` the balance at a capture's end, others; `scapd.export` where \
         a capture could not be read on",
    ),
    Column::new("text", Type::Text, "what it says, as `scapd read --all` prints it"),
    Column::new("lost_from", Type::Time, "when the period with losses began"),
    Column::new("lost_to", Type::Time, "when it ended"),
    Column::new("lost", Type::Int, "events that were lost"),
    Column::new("causes", Type::Map, "how many, by cause"),
    Column::new("written", Type::Int, "events that the capture has"),
];

/// Returns whether an event is a notice.
pub(super) fn is_notice(moment: &Moment<'_>) -> bool {
    moment.event().ty() == ledger::NOTIFICATION
}

/// Gives the cells of a notice to `out`.
pub(super) fn notice(moment: &Moment<'_>, out: &mut dyn Cells) {
    let event = moment.event();
    out.int(count(moment.num));
    out.time(Some(event.ts()));
    for name in ["id", "desc"] {
        match event.value(name).map(|value| value.map(|decoded| decoded.value)) {
            Some(Ok(Parameter::Text(value))) => text(value, out),
            _ => out.text(None),
        }
    }
    let (lost, span, written) = match ledger::parse(event) {
        Some(Notice::Gap(gap)) => (Some(gap.losses), Some((gap.from, gap.to)), None),
        Some(Notice::Verdict(verdict)) => (Some(verdict.losses), None, count(verdict.written)),
        _ => (None, None, None),
    };
    out.time(span.map(|(from, _)| from));
    out.time(span.map(|(_, to)| to));
    out.int(lost.and_then(|lost| count(lost.sum())));
    for (cause, number) in lost.iter().flat_map(Losses::iter) {
        out.entry(cause.key(), &number.to_string());
    }
    out.end_map();
    out.int(written);
}

/// Gives the cells of the place to `out` where a capture could not be read on: behind that event, for that reason.
pub(super) fn cut(num: u64, ts: u64, why: &str, out: &mut dyn Cells) {
    out.int(count(num));
    out.time(Some(ts));
    out.text(Some("scapd.export"));
    text(why.as_bytes(), out);
    out.time(None);
    out.time(None);
    out.int(None);
    out.end_map();
    out.int(None);
}

/// Gives text of a capture to `out`; none if it is empty.
fn text(bytes: &[u8], out: &mut dyn Cells) {
    let mut shown = String::new();
    escape(&mut shown, bytes);
    out.text(Some(shown.as_str()).filter(|shown| !shown.is_empty()));
}

//! Requests of io_uring: a line for each, at its completion, in the form of a call of the operation's name.

use std::io::{self, Write};

use super::{Calls, args::Args, forms::FORMS, line::Part, params::Params, result};
use scap::{
    events::{IoUringOp, io_uring_op},
    format::{EventView, Value},
    model::{RequestKey, Requests},
    replay::Moment,
};

/// The flags with which an open takes a mode: O_CREAT, and O_TMPFILE without O_DIRECTORY.
const TAKES_MODE: i64 = 0x40 | 0x40_0000;

/// A request that is not complete.
#[derive(Debug)]
pub struct Begun {
    /// Its operation and arguments, as they were when it was submitted.
    text: String,
    makes_fd: bool,
}

/// The requests that are not complete.
pub type Begins = Requests<Begun>;

impl Calls {
    /// Notes a submission. Its line is written at the completion.
    pub(super) fn submitted(&mut self, moment: &Moment<'_>) {
        let event = moment.event();
        let (Some(key), Some(params)) = (RequestKey::of(event), Params::of(event)) else { return };
        let op = operation(event);
        let mut text = name(event, op);
        text.push('(');
        list(&mut Args { out: &mut text, params: &params, machine: moment.machine }, op);
        text.push(')');
        let makes_fd = op.is_some_and(|op| op.makes_fd) && params.number("slot").is_none();
        self.requests.submit(key, Begun { text, makes_fd });
    }

    /// Writes the line of a completion.
    pub(super) fn completed(
        &mut self,
        moment: &Moment<'_>,
        is_wanted: bool,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let event = moment.event();
        let (Some(key), Some(params)) = (RequestKey::of(event), Params::of(event)) else { return Ok(()) };
        if !is_wanted {
            self.requests.complete(key);
            return Ok(());
        }
        self.break_off(out)?;
        self.text.clear();
        let latency = moment.machine.latency();
        self.begin(moment, event.ts().saturating_sub(latency.unwrap_or(0)));
        self.head.paint(&mut self.text, Part::Call, "io_uring");
        self.text.push(' ');
        let begun = self.requests.get(key);
        let makes_fd = begun.is_some_and(|begun| begun.makes_fd);
        match begun {
            Some(begun) => self.text.push_str(&begun.text),
            None => {
                self.text.push_str(&name(event, operation(event)));
                self.text.push_str("(...)");
            }
        }
        self.text.push_str(" = ");
        self.requests.complete(key);
        self.request_result(moment, &params, makes_fd);
        self.latency(latency);
        self.write(out)
    }

    fn request_result(&mut self, moment: &Moment<'_>, params: &Params<'_>, makes_fd: bool) {
        let before = self.text.len();
        let mut a = Args { out: &mut self.text, params, machine: moment.machine };
        let res = params.result();
        // A close returns 0, which may be the descriptor, too.
        if let Some(fd) = res.filter(|fd| *fd >= 0 && makes_fd) {
            a.own_descriptor(fd);
        } else if result::result(&mut a, &mut self.errors) && self.head.is_coloured() {
            let error = self.text.split_off(before);
            self.head.paint(&mut self.text, Part::Error, error);
        }
    }
}

/// Returns the operation of a submission or completion, if it says it and the table has it.
fn operation(event: &EventView<'_>) -> Option<&'static IoUringOp> {
    match event.value("opcode")?.ok()?.value {
        Value::Enum(number) => io_uring_op(number.try_into().ok()?),
        _ => None,
    }
}

/// Returns the name of the operation in the form of a call's.
fn name(event: &EventView<'_>, op: Option<&IoUringOp>) -> String {
    match (op, event.value("opcode").and_then(Result::ok).map(|decoded| decoded.value)) {
        (Some(op), _) => op.name.to_ascii_lowercase(),
        (None, Some(Value::Enum(number))) => format!("op_{number:#x}"),
        (None, _) => "request".to_owned(),
    }
}

/// Appends the arguments of an operation.
fn list(a: &mut Args<'_, '_>, op: Option<&IoUringOp>) {
    let Some(op) = op else { return a.unknown() };
    let mut comma = "";
    for arg in op.args {
        let before = a.out.len();
        a.text(comma);
        let start = a.out.len();
        argument(a, op, arg);
        if a.out.len() == start {
            a.out.truncate(before);
        } else {
            comma = ", ";
        }
    }
}

/// Appends an argument; nothing if the request does not have it.
fn argument(a: &mut Args<'_, '_>, op: &IoUringOp, arg: &str) {
    let Some(at) = a.params.row().param(arg) else { return };
    match arg {
        "fd" if a.params.is_absent(at) => {
            if let Some(index) = a.params.number("file_index") {
                a.format(format_args!("registered[{index}]"));
            }
        }
        _ if a.params.is_absent(at) => {}
        "slot" => match a.params.number("slot") {
            Some(slot) if slot >= 0 => a.format(format_args!("registered[{slot}]")),
            _ => a.text("registered[any]"),
        },
        "mode" => {
            let is_open = op.args.contains(&"op_flags");
            let creates = a.params.number("op_flags").is_some_and(|flags| flags & TAKES_MODE != 0);
            if let Some(mode) = a.params.number("mode").filter(|_| !is_open || creates) {
                a.octal(mode as u64);
            }
        }
        "type" => form(a, "type", at),
        "proto" => form(a, "protocol", at),
        _ => a.param(at),
    }
}

/// Appends an argument in the form that calls have.
fn form(a: &mut Args<'_, '_>, name: &str, at: usize) {
    match FORMS.iter().find(|(known, _)| *known == name) {
        Some((_, form)) => form(a, at),
        None => a.param(at),
    }
}

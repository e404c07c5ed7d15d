//! Fields of the parent of a process, and of the ancestors above it.
//!
//! With a number, `proc.aname[2]`, a field has the value of the ancestor so many generations above the process: 0 is the
//! process itself. Without one it has the values of all ancestors, but not that of the process.

use super::{
    Argument, Key, Type, Value,
    proc::arguments,
    row::{Each, Row},
    task::{
        ANCESTORS, JOINED, command_line, each_ancestor, id, joined, named, of_ancestors, parent, pid,
        variable,
    },
};
use crate::replay::Moment;

pub(super) const ROWS: &[Row] = &[
    Row::one("proc.pname", Type::Text, "command name of the parent", |m| {
        m.machine.process_comm(parent(m)?.0).map(Value::text)
    }),
    Row::one("proc.pexe", Type::Text, "first argument of the parent's command line", |m| {
        Some(Value::text(&parent(m)?.1.exe))
    }),
    Row::one("proc.pexepath", Type::Text, "full path of the parent's executable file", |m| {
        Some(Value::text(&parent(m)?.1.exepath))
    }),
    Row::one("proc.pcmdline", Type::Text, "command name and arguments of the parent", |m| {
        let (pid, info) = parent(m)?;
        Some(command_line(m.machine.process_comm(pid)?, &info.args))
    })
    .cost(JOINED),
    of_ancestors!("proc.aname", Type::Text, "command names of the ancestors, or of one: proc.aname[1] is the parent", |m, pid, _| {
        m.machine.process_comm(pid).map(Value::text)
    }),
    of_ancestors!("proc.aexe", Type::Text, "first arguments of the ancestors' command lines", |_, _, info| {
        Some(Value::text(&info.exe))
    }),
    of_ancestors!("proc.aexepath", Type::Text, "full paths of the ancestors' executable files", |_, _, info| {
        Some(Value::text(&info.exepath))
    }),
    of_ancestors!("proc.apid", Type::Int, "process ids of the ancestors", |_, pid, _| id(pid)),
    of_ancestors!("proc.acmdline", Type::Text, "command names of the ancestors with their arguments", |m, pid, info| {
        Some(command_line(m.machine.process_comm(pid)?, &info.args))
    })
    .cost(ANCESTORS * JOINED),
    of_ancestors!("proc.aargs", Type::Text, "arguments of the ancestors", |_, _, info| arguments(info, None))
        .cost(ANCESTORS * JOINED),
    Row::many(
        "proc.aenv",
        Type::Text,
        Argument::OptionalKey,
        "environments of the ancestors, or that of one, or a variable of the nearest that has it: proc.aenv[HOME]",
        environments,
    )
    .cost(ANCESTORS * JOINED),
];

fn environments(m: &Moment<'_>, key: Option<&Key>, each: Each<'_>) {
    let Some(Key::Name(name)) = key else {
        return each_ancestor(m, key, each, |_, _, info| {
            info.is_described().then(|| Value::Text(joined(&info.env)))
        });
    };
    let Some(pid) = pid(m) else { return };
    let found = m.machine.ancestors(pid).find(|(_, info)| named(&info.env, name).is_some());
    each(Value::text(found.map_or(&[][..], |(_, info)| variable(&info.env, name))));
}

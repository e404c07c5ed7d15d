//! Fields of the executable file of a process.

use super::{
    Type, Value,
    row::Row,
    task::{complete, known, process},
};

pub(super) const ROWS: &[Row] = &[
    Row::one(
        "proc.is_exe_writable",
        Type::Bool,
        "whether the process's user may write to its executable file",
        |m| Some(Value::Bool(complete(m)?.exe_writable)),
    ),
    Row::one(
        "proc.is_exe_upper_layer",
        Type::Bool,
        "whether the executable file is in the upper layer of an overlay: new or changed in a container",
        |m| Some(Value::Bool(complete(m)?.exe_upper_layer)),
    ),
    Row::one(
        "proc.is_exe_lower_layer",
        Type::Bool,
        "whether the executable file is in a lower layer of an overlay",
        |m| Some(Value::Bool(complete(m)?.exe_lower_layer)),
    ),
    Row::one(
        "proc.is_exe_from_memfd",
        Type::Bool,
        "whether the executable file is in memory only, from memfd_create",
        |m| Some(Value::Bool(complete(m)?.exe_from_memfd)),
    ),
    Row::one("proc.exe_ino", Type::Int, "inode of the executable file", |m| {
        Some(process(m)?.exe_ino).filter(|ino| *ino != 0).map(|ino| Value::Int(ino as i64))
    }),
    Row::one(
        "proc.exe_ino.ctime",
        Type::Time,
        "time of the last change of the executable file's inode",
        |m| known(process(m)?.exe_ino_ctime),
    ),
    Row::one(
        "proc.exe_ino.mtime",
        Type::Time,
        "time of the last change of the executable file's contents",
        |m| known(process(m)?.exe_ino_mtime),
    ),
    Row::one(
        "proc.exe_ino.ctime_duration_proc_start",
        Type::Duration,
        "time from the last change of the executable file's inode to the start of the process",
        |m| {
            let process = process(m)?;
            known_times(process.exe_ino_ctime, process.started)
        },
    ),
    Row::one(
        "proc.exe_ino.ctime_duration_pidns_start",
        Type::Duration,
        "time from the start of the pid namespace to the last change of the executable file's inode",
        |m| {
            let process = process(m)?;
            known_times(process.pidns_init_start_ts, process.exe_ino_ctime)
        },
    ),
];

/// Returns the time from one point in time to a later one; `None` if it is not later, or if one is unknown.
fn known_times<'a>(from: u64, to: u64) -> Option<Value<'a>> {
    (from != 0 && to != 0).then_some(())?;
    to.checked_sub(from).map(Value::Uint)
}

//! Fields of what a process takes: descriptors, threads, memory; and its standard descriptors.

use super::{
    Need, Type, Value,
    row::Row,
    task::{described, pid, thread},
};
use crate::{
    model::{Memory, OpenFd},
    replay::Moment,
};

pub(super) const ROWS: &[Row] = &[
    Row::one("proc.fdopencount", Type::Uint, "number of open descriptors", |m| {
        m.machine.fd_count(m.event().tid()).map(Value::Uint)
    })
    .needs(Need::Everything),
    Row::one("proc.fdlimit", Type::Int, "limit of open descriptors", |m| {
        i64::try_from(described(m)?.fdlimit).ok().map(Value::Int)
    }),
    Row::one("proc.fdusage", Type::Double, "open descriptors in percent of their limit", |m| {
        let (count, limit) = (m.machine.fd_count(m.event().tid())?, described(m)?.fdlimit);
        (limit > 0).then(|| Value::Double(count as f64 * 100.0 / limit as f64))
    })
    .needs(Need::Everything),
    Row::one("proc.nthreads", Type::Uint, "number of running threads of the process", |m| {
        m.machine.thread_count(pid(m)?).map(Value::Uint)
    })
    .needs(Need::Everything),
    Row::one(
        "proc.nchilds",
        Type::Uint,
        "number of running threads of the process besides its main thread",
        |m| {
            let pid = pid(m)?;
            let main = u64::from(m.machine.has_main_thread(pid));
            Some(Value::Uint(m.machine.thread_count(pid)?.saturating_sub(main)))
        },
    )
    .needs(Need::Everything),
    Row::one("proc.vmsize", Type::Uint, "size of the process's address space, in KiB", |m| {
        of_process(m, |memory| memory.vmsize_kb)
    })
    .needs(Need::Everything),
    Row::one("proc.vmrss", Type::Uint, "resident memory of the process, in KiB", |m| {
        of_process(m, |memory| memory.vmrss_kb)
    })
    .needs(Need::Everything),
    Row::one("proc.vmswap", Type::Uint, "swapped memory of the process, in KiB", |m| {
        of_process(m, |memory| memory.vmswap_kb)
    })
    .needs(Need::Everything),
    Row::one("thread.vmsize", Type::Uint, "as proc.vmsize for the main thread, 0 for others", |m| {
        of_main(m, |memory| memory.vmsize_kb.into())
    })
    .needs(Need::Everything),
    Row::one("thread.vmrss", Type::Uint, "as proc.vmrss for the main thread, 0 for others", |m| {
        of_main(m, |memory| memory.vmrss_kb.into())
    })
    .needs(Need::Everything),
    Row::one("thread.vmsize.b", Type::Uint, "thread.vmsize in bytes", |m| {
        of_main(m, |memory| u64::from(memory.vmsize_kb) << 10)
    })
    .needs(Need::Everything),
    Row::one("thread.vmrss.b", Type::Uint, "thread.vmrss in bytes", |m| {
        of_main(m, |memory| u64::from(memory.vmrss_kb) << 10)
    })
    .needs(Need::Everything),
    Row::one("thread.pfmajor", Type::Uint, "page faults of the thread that needed the disk", |m| {
        Some(Value::Uint(thread(m)?.memory.pfmajor))
    })
    .needs(Need::Everything),
    Row::one("thread.pfminor", Type::Uint, "page faults of the thread that did not need the disk", |m| {
        Some(Value::Uint(thread(m)?.memory.pfminor))
    })
    .needs(Need::Everything),
    Row::one("proc.stdin.type", Type::Text, "type of the standard input, as in fd.type", |m| kind(m, 0)),
    Row::one("proc.stdout.type", Type::Text, "type of the standard output", |m| kind(m, 1)),
    Row::one("proc.stderr.type", Type::Text, "type of the standard error", |m| kind(m, 2)),
    Row::one("proc.stdin.name", Type::Text, "name of the standard input, as in fd.name", |m| fd_name(m, 0)),
    Row::one("proc.stdout.name", Type::Text, "name of the standard output", |m| fd_name(m, 1)),
    Row::one("proc.stderr.name", Type::Text, "name of the standard error", |m| fd_name(m, 2)),
];

/// Returns the memory of the process: that of its main thread, or of this one where that has ended.
fn of_process<'a>(m: &Moment<'_>, get: fn(&Memory) -> u32) -> Option<Value<'a>> {
    let info = m.machine.thread_info(pid(m)?).or_else(|| thread(m))?;
    Some(Value::Uint(get(&info.memory).into()))
}

fn of_main<'a>(m: &Moment<'_>, get: fn(&Memory) -> u64) -> Option<Value<'a>> {
    let own = m.machine.thread_info(m.event().tid())?;
    Some(Value::Uint(if pid(m)? == m.event().tid() { get(&own.memory) } else { 0 }))
}

fn descriptor<'a>(m: &'a Moment<'a>, fd: i64) -> Option<&'a OpenFd> {
    m.machine.fd(m.event().tid(), fd)
}

fn kind<'a>(m: &'a Moment<'a>, fd: i64) -> Option<Value<'a>> {
    Some(Value::text(descriptor(m, fd)?.class.word()))
}

fn fd_name<'a>(m: &'a Moment<'a>, fd: i64) -> Option<Value<'a>> {
    Some(Value::text(&descriptor(m, fd)?.name))
}

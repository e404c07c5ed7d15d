//! Fields of the thread of an event.

use super::{
    Argument, Key, Need, Type, Value,
    row::Row,
    task::{JOINED, complete, described, id, joined_text, named, pid, signed_id, texts, thread},
};
use crate::{
    model::{CpuTime, ThreadInfo},
    replay::Moment,
};

pub(super) const ROWS: &[Row] = &[
    Row::one("thread.tid", Type::Int, "thread id", |m| id(m.event().tid())).needs(Need::Event),
    Row::one("thread.vtid", Type::Int, "thread id in the thread's own pid namespace", |m| {
        signed_id(thread(m)?.vtid)
    }),
    Row::one("thread.ismain", Type::Bool, "whether it is the main thread of its process", |m| {
        Some(Value::Bool(pid(m)? == m.event().tid()))
    }),
    joined_text("thread.nametid", "command name and thread id together", |m| {
        let tid = m.event().tid();
        Some(Value::Text([m.machine.comm(tid)?, tid.to_string().as_bytes()].concat().into()))
    }),
    joined_text("thread.cgroups", "control groups, subsystem=path, with spaces between them", |m| {
        Some(Value::Text(cgroups(&described(m)?.cgroups).into()))
    }),
    Row::keyed(
        "thread.cgroup",
        Type::Text,
        Argument::Key,
        "path of the control group of a subsystem: thread.cgroup.memory",
        |m, key| {
            let Some(Key::Name(subsystem)) = key else { return None };
            cgroup(&described(m)?.cgroups, subsystem).map(Value::text)
        },
    )
    .cost(JOINED),
    joined_text("thread.cap_permitted", "permitted capabilities, with spaces between them", |m| {
        capabilities(m, |info| info.cap_permitted)
    }),
    joined_text("thread.cap_inheritable", "inheritable capabilities", |m| {
        capabilities(m, |info| info.cap_inheritable)
    }),
    joined_text("thread.cap_effective", "effective capabilities", |m| {
        capabilities(m, |info| info.cap_effective)
    }),
    Row::one(
        "thread.exectime",
        Type::Duration,
        "time that the thread ran until this switch took it off its CPU",
        |m| m.machine.ran().map(Value::Uint),
    )
    .needs(Need::Everything),
    Row::one(
        "thread.totexectime",
        Type::Duration,
        "time that the thread has run since the capture's start, at a switch",
        |m| {
            m.machine.ran()?;
            Some(Value::Uint(thread(m)?.ran))
        },
    )
    .needs(Need::Everything),
    Row::one(
        "thread.cpu",
        Type::Double,
        "CPU time since the thread's procinfo event before, in percent of a second",
        |m| percent(m, |used| used.user.saturating_add(used.system)),
    )
    .needs(Need::Everything),
    Row::one("thread.cpu.user", Type::Double, "the part of thread.cpu in user mode", |m| {
        percent(m, |used| used.user)
    })
    .needs(Need::Everything),
    Row::one("thread.cpu.system", Type::Double, "the part of thread.cpu in the kernel", |m| {
        percent(m, |used| used.system)
    })
    .needs(Need::Everything),
];

/// A tick is a hundredth of a second, and recorders make procinfo events about once a second.
fn percent<'a>(m: &Moment<'_>, get: fn(CpuTime) -> u64) -> Option<Value<'a>> {
    Some(Value::Double(get(m.machine.used()?).min(100) as f64))
}

/// Names of subsystems in cgroup v2 that had another one in version 1, which sysdig has.
const RENAMED: [(&str, &str); 3] = [("io", "blkio"), ("mem", "memory"), ("perf", "perf_event")];

fn cgroups(cgroups: &[u8]) -> Vec<u8> {
    let mut all = Vec::with_capacity(cgroups.len());
    for entry in texts(cgroups) {
        if !all.is_empty() {
            all.push(b' ');
        }
        let (name, path) = entry.split_at(entry.iter().position(|byte| *byte == b'=').unwrap_or(entry.len()));
        let old = RENAMED.iter().find(|(new, _)| new.as_bytes() == name).map(|(_, old)| old.as_bytes());
        all.extend_from_slice(old.unwrap_or(name));
        all.extend_from_slice(path);
    }
    all
}

/// Returns the path of a subsystem's group, by either name of the subsystem.
fn cgroup<'a>(cgroups: &'a [u8], subsystem: &str) -> Option<&'a [u8]> {
    let other = RENAMED.iter().find(|(_, old)| *old == subsystem).map(|(new, _)| *new);
    named(cgroups, subsystem).or_else(|| named(cgroups, other?))
}

fn capabilities<'a>(m: &Moment<'_>, get: fn(&ThreadInfo) -> u64) -> Option<Value<'a>> {
    complete(m)?;
    let set = get(m.machine.thread_info(m.event().tid())?);
    let names = CAPABILITIES.iter().enumerate().filter(|(bit, _)| set >> bit & 1 != 0);
    let names: Vec<_> = names.map(|(_, name)| *name).collect();
    Some(Value::Text(names.join(" ").into_bytes().into()))
}

/// The capabilities of Linux by their bits.
const CAPABILITIES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

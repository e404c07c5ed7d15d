//! Fields of the process of an event.
//!
//! The values of all fields of processes, threads, users and groups are those of sysdig 0.41, with these differences:
//!
//! | field | here | sysdig 0.41 |
//! | --- | --- | --- |
//! | any | no value if it is not known | a default: `-1`, 0, false, an empty text, the thread's own id for `vpid` and `vtid` |
//! | `proc.name` and other command names | `prctl(PR_SET_NAME)` renames the thread | the name of the last clone or exec |
//! | any, of a child that `CLONE_PARENT` made | has what the process has that cloned it | has what its parent has |
//! | `proc.exeline` | as `proc.cmdline`, ends with the last argument | ends in a space if there are no arguments |
//! | `proc.sname`, `proc.pgid.name` and the like | if the leader has ended, the topmost ancestor in the session or group, or the process itself | sometimes an empty text |
//! | `proc.vpgid.name` and the like | those of `proc.pgid.name` | takes a number of a nested pid namespace for one of the initial one |
//! | `proc.sid`, `proc.pgid`, `proc.vpgid`, the leaders | as the last `setsid` and `setpgid` set them | as at the last exec; `proc.sid` is then a number of the caller's pid namespace |
//! | `proc.duration`, `proc.pid.ts` | since the first thread's clone | of another thread: since that thread's clone |
//! | `proc.ppid.duration`, `proc.ppid.ts` | no value if the start is not in the capture | random numbers, 0 |
//! | `proc.exe_ino.ctime_duration_...` | from the times that other fields have | set by an exec alone, random before; mixes times since boot and since the epoch |
//! | `proc.pidns_init_start_ts` | ns since the epoch | of children ns since boot, or none |
//! | `thread.cap_...` | `setuid` and the like drop capabilities | as at the last exec or `capset` |
//! | `user.uid` and its names | an id of -1 leaves the user as it was | takes it for a user |
//! | `proc.fdopencount`, `proc.fdusage` | an exec closes descriptors; no value after a gap, or if calls were left out | counts them on |
//! | `proc.fdlimit` | a `prlimit` that only reads leaves it as it was | is 0 then |
//! | `proc.nthreads`, `proc.nchilds` | no value after a gap, or if calls were left out | counts on; threads of containers twice |
//! | `proc.vmsize`, `proc.vmrss`, `proc.vmswap` | of the process, whichever thread told them | what the event's own thread has told |
//! | `thread.pfmajor`, `thread.pfminor` of a new thread | its own | its parent's |
//! | `proc.stdin.name` and the like of a pipe | `pipe:[inode]` | empty |
//! | `thread.exectime`, `thread.totexectime` | at a switch event (as in 0.29), if the one before on that CPU was to the thread | 0 |
//! | `thread.cpu` and its parts | at a procinfo event | the same, but it shows no such event |
//! | `proc.aname` and others of ancestors without a number, printed | the values of all ancestors | none |
//!
//! A gap in a capture may hide any change. Counts have no value after one that may hide theirs; other fields keep the value
//! that was last told, except a parent's whose number another process has taken since.

use super::{
    Argument, Key, Type, Value,
    row::Row,
    task::{
        ANCESTORS, JOINED, command_line, complete, described, id, joined, joined_text, known, parent, pid,
        process, signed_id, texts, variable,
    },
};
use crate::{model::ProcessInfo, replay::Moment};

pub(super) const ROWS: &[Row] = &[
    Row::one("proc.name", Type::Text, "command name of the thread", |m| {
        m.machine.comm(m.event().tid()).map(Value::text)
    }),
    Row::one(
        "proc.exe",
        Type::Text,
        "first argument of the command line, mostly the program as it was called",
        |m| Some(Value::text(&process(m)?.exe)),
    ),
    Row::one("proc.exepath", Type::Text, "full path of the executable file", |m| {
        Some(Value::text(&process(m)?.exepath))
    }),
    Row::keyed(
        "proc.args",
        Type::Text,
        Argument::OptionalIndex,
        "arguments of the command line with spaces between them, or one of them: proc.args[0] is the first",
        |m, key| arguments(process(m)?, key),
    )
    .cost(JOINED),
    joined_text("proc.cmdline", "command name and arguments", |m| {
        Some(command_line(m.machine.comm(m.event().tid())?, &process(m)?.args))
    }),
    joined_text("proc.exeline", "first argument of the command line and the others", |m| {
        let process = process(m)?;
        Some(command_line(&process.exe, &process.args))
    }),
    Row::one("proc.cmdnargs", Type::Uint, "number of arguments", |m| {
        Some(Value::Uint(texts(&process(m)?.args).count() as u64))
    }),
    Row::one("proc.cmdlenargs", Type::Uint, "length of all arguments together, in bytes", |m| {
        Some(Value::Uint(texts(&process(m)?.args).map(|arg| arg.len() as u64).sum()))
    }),
    Row::keyed(
        "proc.env",
        Type::Text,
        Argument::OptionalName,
        "environment with spaces between the variables, or the value of one: proc.env[PATH]",
        |m, key| {
            let env = &described(m)?.env;
            Some(match key {
                Some(Key::Name(name)) => Value::text(variable(env, name)),
                _ => Value::Text(joined(env)),
            })
        },
    )
    .cost(JOINED),
    joined_text("proc.cwd", "working directory, with a slash at its end", |m| {
        let cwd = m.machine.cwd(m.event().tid())?;
        Some(if cwd.ends_with(b"/") { Value::text(cwd) } else { Value::Text([cwd, b"/"].concat().into()) })
    }),
    Row::one(
        "proc.loginshellid",
        Type::Int,
        "process id of the topmost shell among the process and its ancestors",
        |m| login_shell(m).and_then(id),
    )
    .cost(ANCESTORS),
    Row::one(
        "proc.tty",
        Type::Uint,
        "device number of the terminal that controls the process, 0 for none",
        |m| Some(Value::Uint(complete(m)?.tty.into())),
    ),
    Row::one("proc.pid", Type::Int, "process id", |m| id(pid(m)?)),
    Row::one("proc.ppid", Type::Int, "process id of the parent", |m| {
        // As that of the ancestors: what the state says of a single thread does not follow the end of its parent.
        id(m.machine.process(pid(m)?)?.ptid)
    }),
    Row::one("proc.vpid", Type::Int, "process id in the process's own pid namespace", |m| {
        signed_id(process(m)?.vpid)
    }),
    Row::one("proc.pvpid", Type::Int, "process id of the parent in the parent's own pid namespace", |m| {
        signed_id(parent(m)?.1.vpid)
    }),
    Row::one("proc.duration", Type::Duration, "time since the process was started", |m| {
        since(m, process(m)?)
    }),
    Row::one("proc.ppid.duration", Type::Duration, "time since the parent was started", |m| {
        since(m, parent(m)?.1)
    }),
    Row::one("proc.pid.ts", Type::Time, "time when the process was started", |m| known(process(m)?.started)),
    Row::one("proc.ppid.ts", Type::Time, "time when the parent was started", |m| known(parent(m)?.1.started)),
    Row::one(
        "proc.pidns_init_start_ts",
        Type::Time,
        "time when the process's pid namespace was started",
        |m| known(process(m)?.pidns_init_start_ts),
    ),
];

/// Returns the arguments of a process, or one of them; as sysdig has it, one beyond the last is empty.
pub(super) fn arguments<'a>(process: &'a ProcessInfo, key: Option<&Key>) -> Option<Value<'a>> {
    Some(match key {
        Some(Key::Index(index)) => Value::text(texts(&process.args).nth(*index as usize).unwrap_or_default()),
        _ => Value::Text(joined(&process.args)),
    })
}

fn since<'a>(m: &Moment<'_>, process: &ProcessInfo) -> Option<Value<'a>> {
    (process.started != 0).then(|| Value::Uint(m.event().ts().saturating_sub(process.started)))
}

/// Returns the topmost process whose name is that of a shell: it ends in `sh`.
fn login_shell(m: &Moment<'_>) -> Option<u64> {
    let pid = pid(m)?;
    let above = m.machine.ancestors(pid).map(|(pid, _)| pid);
    let is_shell = |pid: &u64| m.machine.process_comm(*pid).is_some_and(|comm| comm.ends_with(b"sh"));
    std::iter::once(pid).chain(above).filter(is_shell).last()
}

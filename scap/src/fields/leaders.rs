//! Fields of the session and the process group, and of their leaders.
//!
//! The id of a session or a group is that of the process that made it, its leader. Where that has ended, the topmost
//! ancestor that is still in the session or group stands for it. That is also so for session 0, which has no leader: it
//! is that of the first process and of what it starts until one of them calls `setsid`.

use super::{
    Type, Value,
    row::Row,
    task::{ANCESTORS, id, pid, process, signed_id},
};
use crate::{model::ProcessInfo, replay::Moment};

pub(super) const ROWS: &[Row] = &[
    Row::one("proc.sid", Type::Int, "session id", |m| id(process(m)?.sid)),
    Row::one("proc.sname", Type::Text, "command name of the session's leader", |m| name(m, Of::Session))
        .cost(ANCESTORS),
    Row::one("proc.sid.exe", Type::Text, "first argument of the command line of the session's leader", |m| {
        exe(m, Of::Session)
    })
    .cost(ANCESTORS),
    Row::one(
        "proc.sid.exepath",
        Type::Text,
        "full path of the executable file of the session's leader",
        |m| exepath(m, Of::Session),
    )
    .cost(ANCESTORS),
    Row::one("proc.pgid", Type::Int, "process group id", |m| signed_id(process(m)?.pgid)),
    Row::one("proc.pgid.name", Type::Text, "command name of the process group's leader", |m| {
        name(m, Of::Group)
    })
    .cost(ANCESTORS),
    Row::one(
        "proc.pgid.exe",
        Type::Text,
        "first argument of the command line of the process group's leader",
        |m| exe(m, Of::Group),
    )
    .cost(ANCESTORS),
    Row::one(
        "proc.pgid.exepath",
        Type::Text,
        "full path of the executable file of the process group's leader",
        |m| exepath(m, Of::Group),
    )
    .cost(ANCESTORS),
    Row::one("proc.vpgid", Type::Int, "process group id in the process's own pid namespace", |m| {
        id(process(m)?.vpgid)
    }),
    Row::one("proc.vpgid.name", Type::Text, "as proc.pgid.name", |m| name(m, Of::Group)).cost(ANCESTORS),
    Row::one("proc.vpgid.exe", Type::Text, "as proc.pgid.exe", |m| exe(m, Of::Group)).cost(ANCESTORS),
    Row::one("proc.vpgid.exepath", Type::Text, "as proc.pgid.exepath", |m| exepath(m, Of::Group))
        .cost(ANCESTORS),
    Row::one("proc.is_sid_leader", Type::Bool, "whether the process is the leader of its session", |m| {
        is_leader(m, Of::Session)
    }),
    Row::one(
        "proc.is_pgid_leader",
        Type::Bool,
        "whether the process is the leader of its process group",
        |m| is_leader(m, Of::Group),
    ),
    Row::one(
        "proc.is_vpgid_leader",
        Type::Bool,
        "whether the process group has the process's number in its own pid namespace",
        |m| {
            let process = process(m)?;
            Some(Value::Bool(process.vpid >= 0 && process.vpgid == process.vpid as u64))
        },
    ),
];

/// What has a leader.
#[derive(Clone, Copy)]
enum Of {
    Session,
    Group,
}

impl Of {
    /// Returns its id in the initial pid namespace, for a process; `None` if unknown.
    fn id(self, (pid, process): (u64, &ProcessInfo)) -> Option<u64> {
        let id = match self {
            Of::Session => Some(process.sid),
            // Old captures have only the id in the process's own namespace, which may be the initial one.
            Of::Group => u64::try_from(process.pgid)
                .ok()
                .or_else(|| Some(process.vpgid).filter(|_| process.vpid == pid as i64)),
        };
        id.filter(|id| *id != u64::MAX)
    }
}

/// Returns the leader.
fn leader<'a>(m: &'a Moment<'a>, of: Of) -> Option<(u64, &'a ProcessInfo)> {
    let own = process(m)?;
    let own = (pid(m)?, own);
    let wanted = of.id(own)?;
    if let Some(leader) = m.machine.process(wanted).filter(|leader| of.id((wanted, leader)) == Some(wanted)) {
        return Some((wanted, leader));
    }
    let members = m.machine.ancestors(own.0).take_while(|above| of.id(*above) == Some(wanted));
    Some(members.last().unwrap_or(own))
}

fn name<'a>(m: &'a Moment<'a>, of: Of) -> Option<Value<'a>> {
    m.machine.process_comm(leader(m, of)?.0).map(Value::text)
}

fn exe<'a>(m: &'a Moment<'a>, of: Of) -> Option<Value<'a>> {
    Some(Value::text(&leader(m, of)?.1.exe))
}

fn exepath<'a>(m: &'a Moment<'a>, of: Of) -> Option<Value<'a>> {
    Some(Value::text(&leader(m, of)?.1.exepath))
}

fn is_leader<'a>(m: &'a Moment<'a>, of: Of) -> Option<Value<'a>> {
    let pid = pid(m)?;
    Some(Value::Bool(of.id((pid, process(m)?))? == pid))
}

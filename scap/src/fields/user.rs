//! Fields of the user and the group of a thread.

use super::{
    Type, Value,
    row::Row,
    task::{complete, thread},
};
use crate::{
    format::state::{Group, User},
    replay::Moment,
};

pub(super) const ROWS: &[Row] = &[
    Row::one("user.uid", Type::Uint, "effective user id of the thread", |m| number(thread(m)?.uid)),
    Row::one("user.name", Type::Text, "name of that user", |m| Some(Value::text(&user(m)?.name))),
    Row::one("user.homedir", Type::Text, "home directory of that user", |m| {
        Some(Value::text(&user(m)?.home))
    }),
    Row::one("user.shell", Type::Text, "login shell of that user", |m| Some(Value::text(&user(m)?.shell))),
    Row::one("user.loginuid", Type::Int, "id of the user that logged in, -1 for none", |m| {
        let uid = complete(m)?.loginuid;
        Some(Value::Int(if uid == u32::MAX { -1 } else { uid.into() }))
    }),
    Row::one("user.loginname", Type::Text, "name of the user that logged in", |m| {
        Some(Value::text(&m.machine.user(complete(m)?.loginuid)?.name))
    }),
    Row::one("group.gid", Type::Uint, "effective group id of the thread", |m| number(thread(m)?.gid)),
    Row::one("group.name", Type::Text, "name of that group", |m| Some(Value::text(&group(m)?.name))),
];

fn number<'a>(id: u32) -> Option<Value<'a>> {
    (id != u32::MAX).then_some(Value::Uint(id.into()))
}

fn user<'a>(m: &'a Moment<'a>) -> Option<&'a User> {
    m.machine.user(thread(m)?.uid)
}

fn group<'a>(m: &'a Moment<'a>) -> Option<&'a Group> {
    m.machine.group(thread(m)?.gid)
}

//! Fields of the event itself.

use std::borrow::Cow;

use super::{Type, Value, row::Row};

pub(super) const ROWS: &[Row] = &[
    Row::one("evt.num", Type::Uint, "number of the event in the capture, from 1", |m| {
        Some(Value::Uint(m.num))
    }),
    Row::one("evt.type", Type::Text, "name of the event, as openat", |m| {
        Some(Value::Text(match m.event().name() {
            Cow::Borrowed(name) => Cow::Borrowed(name.as_bytes()),
            Cow::Owned(name) => Cow::Owned(name.into_bytes()),
        }))
    })
    .of_type(),
    Row::one("evt.latency", Type::Duration, "duration of the call that the event ends", |m| {
        m.machine.latency().map(Value::Uint)
    }),
];

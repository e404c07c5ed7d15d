//! Fields of the process.

use super::{Type, Value, row::Row};

pub(super) const ROWS: &[Row] = &[Row::one("proc.name", Type::Text, "command name of the thread", |m| {
    m.machine.comm(m.event().tid()).map(Value::text)
})];

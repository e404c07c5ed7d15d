//! The registry of all fields, and their values at an event.

use std::sync::LazyLock;

use super::{
    Field, Reference, Registry, Source, Value, ancestors, evt, exe, fd, leaders, proc, resources,
    row::{Get, Row},
    thread, user,
};
use crate::replay::Moment;

/// The fields of sysdig and Falco that captures have values for.
///
/// A new field is a row in the file of its class: `evt.rs`, `proc.rs`, `fd.rs` and so on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fields;

/// The rows of all classes, in the order in which they are listed.
static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| {
    [
        evt::ROWS,
        proc::ROWS,
        ancestors::ROWS,
        leaders::ROWS,
        exe::ROWS,
        resources::ROWS,
        thread::ROWS,
        user::ROWS,
        fd::ROWS,
    ]
    .concat()
});
static FIELDS: LazyLock<Vec<Field>> = LazyLock::new(|| ROWS.iter().map(|row| row.field).collect());

impl Registry for Fields {
    fn fields(&self) -> &[Field] {
        &FIELDS
    }

    fn is_of_type(&self, field: usize) -> bool {
        ROWS[field].is_of_type
    }

    fn cost(&self, field: usize) -> u32 {
        ROWS[field].cost
    }
}

impl Source for Moment<'_> {
    fn values(&self, field: &Reference, each: &mut dyn FnMut(Value<'_>) -> bool) {
        let one = match ROWS[field.field].get {
            Get::One(get) => get(self),
            Get::Keyed(get) => get(self, field.argument.as_ref()),
            Get::Many(get) => return get(self, field.argument.as_ref(), each),
        };
        if let Some(value) = one {
            each(value);
        }
    }
}

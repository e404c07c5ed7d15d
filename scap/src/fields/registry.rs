//! The registry of all fields, and their values at an event.

use std::sync::LazyLock;

use super::{
    Field, Key, Need, Reference, Registry, Source, Type, Value, ancestors, container, evt, evt_args, evt_io,
    evt_time, exe, fd, fd_net, fdlist,
    fs::{self, TextParam},
    leaders, proc, resources,
    row::{Get, Row},
    thread, unsupported, user,
};
use crate::{
    events::{self, Event},
    replay::Moment,
};

/// The fields of sysdig and Falco that captures have values for.
///
/// A new field is a row in the file of its class: `evt.rs`, `proc.rs`, `fd.rs` and so on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fields;

/// The rows of all classes, in the order in which they are listed.
static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| {
    [
        evt::ROWS,
        evt_time::ROWS,
        evt_args::ROWS,
        evt_io::ROWS,
        fs::ROWS,
        proc::ROWS,
        ancestors::ROWS,
        leaders::ROWS,
        exe::ROWS,
        resources::ROWS,
        thread::ROWS,
        container::ROWS,
        user::ROWS,
        fd::ROWS,
        fd_net::ROWS,
        fdlist::ROWS,
    ]
    .concat()
});
static FIELDS: LazyLock<Vec<Field>> = LazyLock::new(|| ROWS.iter().map(|row| row.field).collect());

impl Fields {
    /// Returns what has to be known besides an event for a field's value at it.
    pub fn need(field: &Reference) -> Need {
        ROWS[field.field].need
    }

    /// Returns whether the type of an event, one of this row, alone determines a field's values at it, as with
    /// [`Registry::is_of_type`].
    pub fn is_of_row(field: &Reference, row: &Event) -> bool {
        let key = field.argument.as_ref();
        let field = &ROWS[field.field];
        field.is_of_type || field.is_of_row.is_some_and(|is_of_row| is_of_row(row, key))
    }

    /// Returns whether a field has the text of a parameter at the events of some rows.
    pub(crate) fn is_of_param(field: &Reference) -> bool {
        events::rows().any(|row| Fields::text_param(field, row).is_some())
    }

    /// Returns the parameter of which a field has the text at all events of a row, where it has one.
    pub(crate) fn text_param(field: &Reference, row: &Event) -> Option<TextParam> {
        let key = field.argument.as_ref();
        match ROWS[field.field].field.name {
            name @ ("evt.arg" | "evt.rawarg") => evt_args::text_param(name, key, row),
            name => fs::text_param(name, key, row),
        }
    }

    /// Returns the fields of sysdig and Falco that captures have no values for, each with the reason.
    pub fn unsupported() -> impl Iterator<Item = (&'static str, &'static str)> {
        unsupported::UNSUPPORTED.iter().copied()
    }
}

impl Registry for Fields {
    fn fields(&self) -> &[Field] {
        &FIELDS
    }

    fn is_of_type(&self, field: usize) -> bool {
        ROWS[field].is_of_type
    }

    fn type_of(&self, field: &Reference) -> Type {
        let row = &ROWS[field.field];
        row.types.map_or(row.field.ty, |types| types(field.argument.as_ref()))
    }

    fn argument_names(&self, field: usize) -> Option<Vec<&str>> {
        ROWS[field].names.map(|names| names())
    }

    fn cost(&self, field: usize) -> u32 {
        ROWS[field].cost
    }

    fn digits(&self, field: usize) -> usize {
        ROWS[field].digits
    }

    fn is_hex(&self, field: usize) -> bool {
        ROWS[field].is_hex
    }

    fn has_several(&self, field: &Reference) -> bool {
        let row = &ROWS[field.field];
        let has_all = || matches!(row.get, Get::Many(_)) && !matches!(field.argument, Some(Key::Index(_)));
        row.field.is_list || has_all()
    }

    fn why_not(&self, name: &str) -> Option<&str> {
        unsupported::why_not(name)
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

//! Fields: what filters and output formats can ask about an event, named as in sysdig and Falco (`proc.name`, `fd.sip`).
//!
//! A [`Field`] describes one; a [`Source`] has the values of all fields at one event. [`Fields`] are those that captures
//! have; their source is a [`Moment`](crate::replay::Moment).

mod ancestors;
mod container;
mod ends;
mod evt;
mod evt_args;
mod evt_io;
#[cfg(test)]
mod evt_tests;
mod evt_time;
mod exe;
mod fd;
mod fd_net;
#[cfg(test)]
mod fd_tests;
mod fdlist;
#[cfg(test)]
pub(crate) mod fixture;
mod fs;
mod leaders;
mod proc;
mod registry;
mod resources;
mod row;
pub(crate) mod services;
mod show;
pub(crate) mod subject;
mod task;
#[cfg(test)]
mod task_tests;
mod thread;
pub(crate) mod types;
mod unsupported;
mod user;
mod value;

pub use registry::Fields;
pub use show::{NO_VALUE, NumberForm, show};
pub use value::{Type, Value};

/// A field of the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its name, as in `proc.name`.
    pub name: &'static str,
    /// The type of its values.
    pub ty: Type,
    /// Whether it has several values at once, as `fdlist.nums`.
    pub is_list: bool,
    /// The argument that it takes in brackets or behind a further dot, as `proc.aname[2]` and `evt.arg.flags`.
    pub argument: Argument,
    /// A line of explanation, without a period at its end.
    pub about: &'static str,
}

/// What a field takes as its argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argument {
    /// It takes none.
    None,
    /// It takes a number, if any: without one, it has the values for all numbers (`proc.aname`).
    OptionalIndex,
    /// It needs a number or a name (`evt.arg[0]`, `evt.arg.flags`).
    Key,
    /// It takes a name, if any.
    OptionalName,
    /// It takes a number or a name, if any: without one, it has the values for all numbers (`proc.aenv`).
    OptionalKey,
}

impl Argument {
    /// Returns whether a field without its argument has the values for all numbers.
    pub(crate) const fn counts_ancestors(self) -> bool {
        matches!(self, Argument::OptionalIndex | Argument::OptionalKey)
    }

    /// Returns whether it may be a name, which may also stand behind a dot.
    pub(crate) const fn may_be_name(self) -> bool {
        matches!(self, Argument::Key | Argument::OptionalName | Argument::OptionalKey)
    }
}

/// A field as an expression names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    /// The index of its [`Field`] in the registry.
    pub field: usize,
    /// Its argument: text between the brackets, or behind the dot.
    pub argument: Option<Key>,
}

/// An argument.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// A number.
    Index(u32),
    /// A name.
    Name(Box<str>),
}

/// What has to be known besides an event for a field's value at it. Each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// Nothing: the event has all of it.
    Event,
    /// The state that events change: processes, descriptors, directories, users.
    State,
    /// The enter event of the call that the event ends.
    Call,
    /// All events before it: counts, times between events, what a thread has used so far.
    Everything,
}

/// The fields that expressions can name.
pub trait Registry {
    /// All fields, in the order in which they are listed. A [`Reference`] has an index into this.
    fn fields(&self) -> &[Field];

    /// Returns the type of a field's values, which may depend on the argument (`evt.rawarg.size`).
    fn type_of(&self, field: &Reference) -> Type {
        self.fields()[field.field].ty
    }

    /// Returns the names that the field at this index of [`Registry::fields`] can have as its argument; none if any will do.
    fn argument_names(&self, _field: usize) -> Option<Vec<&str>> {
        None
    }

    /// Returns whether the type of an event alone determines the field's values at it; or its name, where events of a type
    /// [have their own](crate::format::is_named_by_type).
    fn is_of_type(&self, _field: usize) -> bool {
        false
    }

    /// Returns what it costs to get a field's values, compared with the cheapest fields. Filters test cheap fields first.
    fn cost(&self, _field: usize) -> u32 {
        1
    }

    /// Returns the least number of digits that a field's numbers are printed with, with zeros in front: 9 for ns that
    /// follow a decimal point.
    fn digits(&self, _field: usize) -> usize {
        1
    }

    /// Returns whether a field's numbers are printed in hexadecimal.
    fn is_hex(&self, _field: usize) -> bool {
        false
    }

    /// Returns whether the field may have several values: those of a list, of all ancestors, of both ends of a connection.
    fn has_several(&self, field: &Reference) -> bool {
        let row = &self.fields()[field.field];
        row.is_list || row.argument == Argument::OptionalIndex && field.argument.is_none()
    }

    /// Returns why a field that other readers have does not exist; `None` if there is no such field anywhere.
    fn why_not(&self, _name: &str) -> Option<&str> {
        None
    }
}

/// The values of fields at one event.
pub trait Source {
    /// Calls `each` with every value that the field has, until `each` returns false. A field without a value has none. One
    /// that is not a list has at most one, with two exceptions: a field with [`Argument::OptionalIndex`] and no index has
    /// the values of all (`proc.aname`; `!=` is true if any value differs), and a field of both ends of a connection has
    /// two (`fd.ip`, `fd.port`, `fd.net`; `!=` is true if both differ).
    fn values(&self, field: &Reference, each: &mut dyn FnMut(Value<'_>) -> bool);
}

//! The rows of the registry: one for each field.

use super::{Argument, Field, Key, Need, Type, Value};
use crate::{events::Event, replay::Moment};

/// Takes the values of a field, one after the other, until it returns false.
pub(super) type Each<'a> = &'a mut dyn FnMut(Value<'_>) -> bool;

/// How a field gets its values from an event.
#[derive(Clone, Copy)]
pub(super) enum Get {
    /// It has at most one.
    One(for<'a> fn(&'a Moment<'a>) -> Option<Value<'a>>),
    /// It has at most one, which depends on the argument.
    Keyed(for<'a> fn(&'a Moment<'a>, Option<&Key>) -> Option<Value<'a>>),
    /// It has several.
    Many(fn(&Moment<'_>, Option<&Key>, Each<'_>)),
}

/// A field, and how it gets its values.
#[derive(Clone, Copy)]
pub(super) struct Row {
    pub field: Field,
    pub get: Get,
    /// What it costs to get the values, compared with the cheapest fields.
    pub cost: u32,
    /// The type of the event alone determines the values.
    pub is_of_type: bool,
    /// Whether the type alone determines the values at events of a row, if it does so only at some.
    pub is_of_row: Option<fn(&Event, Option<&Key>) -> bool>,
    /// What has to be known besides the event.
    pub need: Need,
    /// The names that it takes as its argument; `None` if any will do.
    pub names: Option<fn() -> Vec<&'static str>>,
    /// The type of its values, if it depends on the argument.
    pub types: Option<fn(Option<&Key>) -> Type>,
    /// The least number of digits that its numbers are printed with.
    pub digits: usize,
    /// Its numbers are printed in hexadecimal.
    pub is_hex: bool,
}

impl Row {
    const fn new(field: Field, get: Get) -> Row {
        Row {
            field,
            get,
            cost: 1,
            is_of_type: false,
            is_of_row: None,
            need: Need::State,
            names: None,
            types: None,
            digits: 1,
            is_hex: false,
        }
    }

    /// A field with at most one value and no argument.
    pub const fn one(
        name: &'static str,
        ty: Type,
        about: &'static str,
        get: for<'a> fn(&'a Moment<'a>) -> Option<Value<'a>>,
    ) -> Row {
        let field = Field { name, ty, is_list: false, argument: Argument::None, about };
        Row::new(field, Get::One(get))
    }

    /// A field with at most one value, which depends on its argument.
    pub const fn keyed(
        name: &'static str,
        ty: Type,
        argument: Argument,
        about: &'static str,
        get: for<'a> fn(&'a Moment<'a>, Option<&Key>) -> Option<Value<'a>>,
    ) -> Row {
        let field = Field { name, ty, is_list: false, argument, about };
        Row::new(field, Get::Keyed(get))
    }

    /// A field with several values: of all ancestors, of both ends of a connection.
    pub const fn many(
        name: &'static str,
        ty: Type,
        argument: Argument,
        about: &'static str,
        get: fn(&Moment<'_>, Option<&Key>, Each<'_>),
    ) -> Row {
        let field = Field { name, ty, is_list: false, argument, about };
        Row::new(field, Get::Many(get))
    }

    /// Makes it a list: its values belong together.
    pub const fn list(mut self) -> Row {
        self.field.is_list = true;
        self
    }

    /// Says that the type of the event alone determines the values.
    pub const fn of_type(mut self) -> Row {
        self.is_of_type = true;
        self
    }

    /// Says at the events of which rows the type alone determines the values.
    pub const fn of_type_at(mut self, is_of_row: fn(&Event, Option<&Key>) -> bool) -> Row {
        self.is_of_row = Some(is_of_row);
        self
    }

    /// Sets what has to be known besides the event; the [state](Need::State), if this is not called.
    pub const fn needs(mut self, need: Need) -> Row {
        self.need = need;
        self
    }

    /// Sets what it costs.
    pub const fn cost(mut self, cost: u32) -> Row {
        self.cost = cost;
        self
    }

    /// Sets the names that it takes as its argument.
    pub const fn names(mut self, names: fn() -> Vec<&'static str>) -> Row {
        self.names = Some(names);
        self
    }

    /// Makes its type depend on the argument.
    pub const fn types(mut self, types: fn(Option<&Key>) -> Type) -> Row {
        self.types = Some(types);
        self
    }

    /// Makes its numbers hexadecimal.
    pub const fn hex(mut self) -> Row {
        self.is_hex = true;
        self
    }

    /// Sets the least number of digits that its numbers are printed with.
    pub const fn digits(mut self, digits: usize) -> Row {
        self.digits = digits;
        self
    }
}

//! Tables: the columns that they have, and what takes the cells of their rows.

/// What the cells of a column are. Each may be missing, except maps, which are empty then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// A signed integer of 64 bits.
    Int,
    /// True or false.
    Bool,
    /// Text, escaped as lines have it.
    Text,
    /// A time, in ns since the epoch.
    Time,
    /// Texts by their names.
    Map,
}

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What its cells are.
    pub ty: Type,
    /// A line of explanation, without a period at its end: docs/EXPORT.md has it.
    #[cfg_attr(not(test), expect(dead_code, reason = "a test compares the page with it"))]
    pub about: &'static str,
}

impl Column {
    /// Defines a column.
    pub const fn new(name: &'static str, ty: Type, about: &'static str) -> Column {
        Column { name, ty, about }
    }
}

/// Takes the cells of a row, in the order of the columns. Each is taken by the function of its type.
pub trait Cells {
    /// Takes an integer.
    fn int(&mut self, value: Option<i64>);

    /// Takes a truth value.
    fn bool(&mut self, value: Option<bool>);

    /// Takes a text.
    fn text(&mut self, value: Option<&str>);

    /// Takes a time, in ns since the epoch.
    fn time(&mut self, ns: Option<u64>);

    /// Takes an entry of a map.
    fn entry(&mut self, name: &str, value: &str);

    /// Ends the map.
    fn end_map(&mut self);
}

/// Returns a count as a cell has it.
pub(super) fn count(value: u64) -> Option<i64> {
    Some(i64::try_from(value).unwrap_or(i64::MAX))
}

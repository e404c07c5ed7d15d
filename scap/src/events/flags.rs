//! The flag tables of `include/flags.def`: names for the values of flag and enumeration parameters.

use super::same;

/// A named value of a flag table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flag {
    /// The table that the row belongs to.
    pub table: &'static str,
    /// The name that readers print.
    pub name: &'static str,
    /// The value in the .scap format's own encoding, which need not be the kernel's.
    pub value: u32,
}

/// The rows of a table, in the order in which a reader tests them.
pub type FlagTable = &'static [Flag];

macro_rules! flags {
    ($(FLAG($table:ident, $name:ident, $value:literal))*) => {
        const FLAGS: &[Flag] =
            &[$(Flag { table: stringify!($table), name: stringify!($name), value: $value }),*];
    };
}
with_flags!(flags);

/// Returns the flag table of a name.
///
/// # Panics
/// If there is none. In a constant, as in the event table, this is a compile error.
pub const fn flag_table(name: &str) -> FlagTable {
    let mut start = 0;
    while start < FLAGS.len() && !same(FLAGS[start].table, name) {
        start += 1;
    }
    let mut end = start;
    while end < FLAGS.len() && same(FLAGS[end].table, name) {
        end += 1;
    }
    assert!(end > start, "an event's row names a list that neither flags.def nor params.def has");
    FLAGS.split_at(end).0.split_at(start).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_stands_together() {
        let mut seen: Vec<&str> = Vec::new();
        for flag in FLAGS {
            if seen.last() != Some(&flag.table) {
                assert!(!seen.contains(&flag.table), "the rows of {} are not adjacent", flag.table);
                seen.push(flag.table);
            }
        }
    }

    #[test]
    fn names_are_unique_in_a_table() {
        for (i, a) in FLAGS.iter().enumerate() {
            assert!(!FLAGS[i + 1..].iter().any(|b| a.table == b.table && a.name == b.name), "{a:?} twice");
        }
    }
}

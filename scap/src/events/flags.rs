//! The flag tables of `include/flags.def`: names for the values of flag and enumeration parameters.

use super::{array, same};

/// A named value of a flag table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flag {
    /// The table that the row belongs to.
    pub table: &'static str,
    /// The name that readers print.
    pub name: &'static str,
    /// The value in the .scap format's own encoding, which need not be the kernel's.
    pub value: u64,
}

/// The rows of a table, in the order in which a reader tests them.
pub type FlagTable = &'static [Flag];

macro_rules! flags {
    ($(FLAG($table:ident, $name:ident, $value:literal))*) => {
        const ROWS: &[Flag] =
            &[$(Flag { table: stringify!($table), name: stringify!($name), value: $value }),*];
    };
}
with_flags!(flags);

/// The rows. A static, so that the compiler neither checks nor copies them for each table that refers to them.
static FLAGS: [Flag; ROWS.len()] = array(ROWS);

/// Where each table starts among the rows; the last entry is their number.
const STARTS: [usize; TABLES + 1] = {
    let mut starts = [FLAGS.len(); TABLES + 1];
    let (mut row, mut table) = (0, 0);
    while row < FLAGS.len() {
        if row == 0 || !same(FLAGS[row - 1].table, FLAGS[row].table) {
            starts[table] = row;
            table += 1;
        }
        row += 1;
    }
    starts
};

/// The number of tables.
const TABLES: usize = tables();

const fn tables() -> usize {
    let (mut row, mut count) = (1, 1);
    while row < FLAGS.len() {
        if !same(FLAGS[row - 1].table, FLAGS[row].table) {
            count += 1;
        }
        row += 1;
    }
    count
}

/// Returns the flag table of a name.
///
/// # Panics
/// If there is none. In a constant, as in the event table, this is a compile error.
pub const fn flag_table(name: &str) -> FlagTable {
    let mut table = 0;
    while table < TABLES {
        if same(FLAGS[STARTS[table]].table, name) {
            return FLAGS.split_at(STARTS[table + 1]).0.split_at(STARTS[table]).1;
        }
        table += 1;
    }
    panic!("an event's row names a list that neither flags.def, layouts.def nor params.def has")
}

/// Returns all flag tables.
pub fn flag_tables() -> impl Iterator<Item = FlagTable> {
    FLAGS.chunk_by(|one, next| one.table == next.table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_stands_together() {
        let mut seen: Vec<&str> = Vec::new();
        for flag in &FLAGS {
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

//! The operations of io_uring: `include/io_uring.def`.

use super::{FlagTable, flag_table, same};

/// An operation of io_uring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IoUringOp {
    /// Its name without `IORING_OP_`, such as `OPENAT`.
    pub name: &'static str,
    /// Its number.
    pub number: u8,
    /// The names of its flags: of the parameter `op_flags`.
    pub flags: Option<FlagTable>,
    /// Whether `op_flags` is one value of the table, not a set of them.
    pub is_enum: bool,
    /// Whether it returns a new descriptor, unless it puts the file into the table of registered files.
    pub makes_fd: bool,
    /// The parameters of `io_uring_submit` that it has, in the order in which a call of the same name has them.
    pub args: &'static [&'static str],
}

macro_rules! table {
    (NA) => {
        None
    };
    ($table:ident) => {
        Some(flag_table(stringify!($table)))
    };
}

macro_rules! ops {
    ($(IO_URING_OP($name:ident, $number:literal, $(U($use:ident))*, $flags:ident, $($arg:ident)*))*) => {
        /// Every operation, indexed by its number.
        pub static IO_URING_OPS: &[IoUringOp] = &[$(IoUringOp {
            name: stringify!($name),
            number: $number,
            flags: table!($flags),
            is_enum: false $(|| same(stringify!($use), "ENUM"))*,
            makes_fd: false $(|| same(stringify!($use), "MAKES_FD"))*,
            args: &[$(stringify!($arg)),*],
        }),*];
    };
}
with_io_uring!(ops);

/// Returns the operation of a number; `None` if the table does not have it.
pub fn io_uring_op(number: u8) -> Option<&'static IoUringOp> {
    IO_URING_OPS.get(usize::from(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{EXTENSIONS, Event};

    fn submit() -> &'static Event {
        EXTENSIONS.iter().map(|row| &row.own).find(|row| row.name == "io_uring_submit").unwrap()
    }

    #[test]
    fn the_table_is_indexed_by_number_and_has_the_names_of_the_flags() {
        let names = flag_table("io_uring_ops");
        assert_eq!(IO_URING_OPS.len(), names.len());
        for (i, (op, name)) in IO_URING_OPS.iter().zip(names).enumerate() {
            assert_eq!(usize::from(op.number), i);
            assert_eq!((format!("IORING_OP_{}", op.name).as_str(), name.value), (name.name, i as u64));
        }
        assert_eq!(io_uring_op(18).unwrap().name, "OPENAT");
        assert_eq!(io_uring_op(255), None);
    }

    #[test]
    fn arguments_are_parameters_of_a_submission() {
        for op in IO_URING_OPS {
            for arg in op.args {
                assert!(submit().param(arg).is_some(), "{}: {arg}", op.name);
            }
            assert!(op.flags.is_none() || op.args.contains(&"op_flags"), "{}", op.name);
        }
    }
}

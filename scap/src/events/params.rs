//! The parameter types of `include/params.def`.

use super::{same, table::PrintFormat};

#[allow(non_camel_case_types)]
mod repr {
    pub type s8 = i8;
    pub type s16 = i16;
    pub type s32 = i32;
    pub type s64 = i64;
}
use repr::*;

/// A type that a dynamic parameter may hold; the value's first byte is the entry's index in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DynEntry {
    /// The list that the entry belongs to.
    pub list: &'static str,
    /// The value of the first byte.
    pub index: u8,
    /// The type of the bytes that follow.
    pub ty: ParamType,
    /// The print format of the value.
    pub format: PrintFormat,
}

macro_rules! params {
    ($(PARAM_FIXED($fixed:ident, $fnum:literal, $repr:ident))*
     $(PARAM_VAR($var:ident, $vnum:literal))*
     $(DYN($list:ident, $index:literal, $dty:ident, $dfmt:ident))*) => {
        /// The encoding of a parameter. The numbers are those of `include/params.def`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[allow(non_camel_case_types, missing_docs, clippy::upper_case_acronyms)]
        #[repr(u8)]
        pub enum ParamType { $($fixed = $fnum,)* $($var = $vnum,)* }

        impl ParamType {
            /// Returns the size of a value in bytes; `None` if the event's length array gives it.
            #[inline]
            pub const fn size(self) -> Option<usize> {
                match self {
                    $(Self::$fixed => Some(size_of::<$repr>()),)*
                    $(Self::$var => None,)*
                }
            }

            /// Returns whether this is a signed integer of fixed size.
            #[inline]
            pub const fn is_signed(self) -> bool {
                match self {
                    $(Self::$fixed => <$repr>::MIN != 0,)*
                    $(Self::$var => false,)*
                }
            }

            /// Returns the name in lower case, as in documents of the format.
            pub fn name(self) -> String {
                match self {
                    $(Self::$fixed => stringify!($fixed),)*
                    $(Self::$var => stringify!($var),)*
                }
                .to_ascii_lowercase()
            }
        }

        const DYN_ENTRIES: &[DynEntry] = &[$(DynEntry {
            list: stringify!($list), index: $index, ty: ParamType::$dty, format: PrintFormat::$dfmt,
        }),*];
    };
}
with_params!(params);

/// Returns the entries of a list of dynamic types; `None` if there is no such list.
pub const fn dyn_list(name: &str) -> Option<&'static [DynEntry]> {
    let mut start = 0;
    while start < DYN_ENTRIES.len() && !same(DYN_ENTRIES[start].list, name) {
        start += 1;
    }
    let mut end = start;
    while end < DYN_ENTRIES.len() && same(DYN_ENTRIES[end].list, name) {
        end += 1;
    }
    if end == start { None } else { Some(DYN_ENTRIES.split_at(end).0.split_at(start).1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dynamic_entry_stands_at_its_index() {
        for entry in DYN_ENTRIES {
            assert_eq!(dyn_list(entry.list).unwrap()[entry.index as usize], *entry);
        }
    }
}

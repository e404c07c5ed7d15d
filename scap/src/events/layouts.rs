//! The layouts of structures, from `include/layouts.def`.

use super::{Detail, ParamInfo, ParamType, PrintFormat, Schema, array, flag_table, same};

macro_rules! abis {
    ($($(#[$doc:meta])* $abi:ident = $number:literal,)*) => {
        /// The interface between a program and the kernel that a call went through: it decides the layout of structures.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Abi { $($(#[$doc])* $abi = $number,)* }

        impl Abi {
            /// Every ABI.
            pub const ALL: &[Abi] = &[$(Abi::$abi),*];
        }
    };
}
abis! {
    /// 64-bit programs on x86-64.
    X86_64 = 0,
    /// 32-bit programs on x86-64.
    I386 = 1,
    /// 64-bit programs on arm64.
    Arm64 = 2,
    /// 32-bit programs on arm64.
    Arm = 3,
    /// x32 programs on x86-64.
    X32 = 4,
    /// 32-bit programs on x86-64, in a call with 64-bit times.
    I386Time64 = 5,
    /// 32-bit programs on arm64, in a call with 64-bit times.
    ArmTime64 = 6,
}

impl Abi {
    /// Returns the ABI of the number that a parameter of a structure starts with.
    pub fn of(number: u8) -> Option<Abi> {
        Abi::ALL.get(usize::from(number)).copied()
    }
}

/// A member of a structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Where it is in the structure, in bytes.
    pub offset: usize,
    /// Its size in bytes.
    pub len: usize,
    /// What its bytes are: an integer, a text (ended by a NUL if it is shorter), or bytes.
    pub info: ParamInfo,
}

/// The layout of a structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// The structure's name.
    pub name: &'static str,
    /// The ABIs that have this layout.
    pub abis: &'static [Abi],
    /// The structure's size in bytes.
    pub size: usize,
    /// Its members.
    pub members: &'static [Member],
}

/// The layouts of a structure: an ABI has the first one that names it.
pub type LayoutTable = &'static [Layout];

impl Layout {
    /// Returns the layout that an ABI has.
    pub fn of(table: LayoutTable, abi: Abi) -> Option<&'static Layout> {
        table.iter().find(|layout| layout.abis.contains(&abi))
    }
}

macro_rules! layouts {
    (@abi LP64) => { &[Abi::X86_64, Abi::Arm64, Abi::X32] };
    (@abi X86_64) => { &[Abi::X86_64] };
    (@abi ARM64) => { &[Abi::Arm64] };
    (@abi X32) => { &[Abi::X32] };
    (@abi ILP32) => { &[Abi::I386, Abi::Arm, Abi::I386Time64, Abi::ArmTime64] };
    (@abi I386) => { &[Abi::I386, Abi::I386Time64] };
    (@abi ARM) => { &[Abi::Arm, Abi::ArmTime64] };
    (@abi TIME64) => { &[Abi::I386Time64, Abi::ArmTime64] };
    (@abi ANY) => { Abi::ALL };
    (@member F($offset:literal, $name:ident, $ty:ident, $format:ident $(, $list:ident)?)) => {
        Member {
            offset: $offset,
            len: match ParamType::$ty.size() {
                Some(size) => size,
                None => panic!("an integer member of layouts.def has a type of variable size"),
            },
            info: member(stringify!($name), ParamType::$ty, PrintFormat::$format, layouts!(@list $($list)?)),
        }
    };
    (@member F_TEXT($offset:literal, $name:ident, $len:literal)) => {
        Member {
            offset: $offset,
            len: $len,
            info: member(stringify!($name), ParamType::CHARBUF, PrintFormat::NA, Detail::None),
        }
    };
    (@member F_BYTES($offset:literal, $name:ident, $len:literal)) => {
        Member {
            offset: $offset,
            len: $len,
            info: member(stringify!($name), ParamType::BYTEBUF, PrintFormat::NA, Detail::None),
        }
    };
    (@list) => { Detail::None };
    (@list $list:ident) => { Detail::Flags(flag_table(stringify!($list))) };
    ($(LAYOUT($name:ident, $abi:ident, $size:literal, $($member:ident($($field:tt)*))*))*) => {
        const ROWS: &[Layout] = &[$(Layout {
            name: stringify!($name),
            abis: layouts!(@abi $abi),
            size: $size,
            members: &[$(layouts!(@member $member($($field)*))),*],
        }),*];
    };
}
with_layouts!(layouts);

/// The rows. A static, as those of flags are.
static LAYOUTS: [Layout; ROWS.len()] = array(ROWS);

const fn member(name: &'static str, ty: ParamType, format: PrintFormat, detail: Detail) -> ParamInfo {
    ParamInfo { name, ty, format, detail, since: Schema::V0_23 }
}

/// Returns the layouts of a structure.
///
/// # Panics
/// If there are none. In a constant, as in the table of extensions, this is a compile error.
pub const fn layout(name: &str) -> LayoutTable {
    let mut start = 0;
    while start < LAYOUTS.len() && !same(LAYOUTS[start].name, name) {
        start += 1;
    }
    let mut end = start;
    while end < LAYOUTS.len() && same(LAYOUTS[end].name, name) {
        end += 1;
    }
    assert!(end > start, "a row of extensions.def names a structure that layouts.def does not have");
    LAYOUTS.split_at(end).0.split_at(start).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layouts_of_a_name_stand_together() {
        let mut seen: Vec<&str> = Vec::new();
        for layout in &LAYOUTS {
            if seen.last() != Some(&layout.name) {
                assert!(!seen.contains(&layout.name), "the layouts of {} are not adjacent", layout.name);
                seen.push(layout.name);
            }
        }
    }

    #[test]
    fn members_are_within_the_structure_and_have_names_of_their_own() {
        for layout in &LAYOUTS {
            for (i, member) in layout.members.iter().enumerate() {
                let (name, member_name) = (layout.name, member.info.name);
                assert!(member.offset + member.len <= layout.size, "{name}.{member_name} exceeds {name}");
                let same_name = |other: &Member| other.info.name == member_name;
                assert!(!layout.members[i + 1..].iter().any(same_name), "{name}.{member_name} twice");
            }
        }
    }

    #[test]
    fn every_layout_is_that_of_an_abi() {
        for layout in &LAYOUTS {
            let table = super::layout(layout.name);
            let is_used = |abi: &Abi| Layout::of(table, *abi) == Some(layout);
            assert!(layout.abis.iter().any(is_used), "{}: an earlier layout has all its ABIs", layout.name);
        }
        assert_eq!(Layout::of(layout("timespec"), Abi::Arm).unwrap().size, 8);
        assert_eq!(Layout::of(layout("timespec"), Abi::X32).unwrap().size, 16);
        assert_eq!(Layout::of(layout("timespec"), Abi::I386Time64).unwrap().size, 16);
        assert_eq!(Layout::of(layout("timespec"), Abi::I386).unwrap().size, 8);
    }

    #[test]
    fn an_abi_has_its_number() {
        for (number, abi) in Abi::ALL.iter().enumerate() {
            assert_eq!(*abi as usize, number);
            assert_eq!(Abi::of(number as u8), Some(*abi));
        }
        assert_eq!(Abi::of(Abi::ALL.len() as u8), None);
    }
}

//! The values that only extension events have: structures of the kernel's interface to programs, and directory entries.

use super::{
    fields::Fields,
    value::{Decoded, ValueError, decode},
};
use crate::events::{Abi, Layout, LayoutTable, Member, ParamInfo, ParamType};

/// A structure as it is in the memory of the caller, who may have given only its first part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Structure<'a> {
    /// Its layout.
    pub layout: &'static Layout,
    abi: u8,
    bytes: &'a [u8],
}

impl<'a> Structure<'a> {
    /// Reads a parameter: the number of an ABI, then the structure. `None` if no layout fits the ABI.
    pub(super) fn of(table: LayoutTable, bytes: &'a [u8]) -> Option<Structure<'a>> {
        let (abi, bytes) = bytes.split_first()?;
        Some(Structure { layout: Layout::of(table, Abi::of(*abi)?)?, abi: *abi, bytes })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.abi);
        out.extend_from_slice(self.bytes);
    }

    /// Iterates over the members that the structure has, with their values.
    pub fn members(
        &self,
    ) -> impl Iterator<Item = (&'static ParamInfo, Result<Decoded<'a>, ValueError>)> + use<'a> {
        let bytes = self.bytes;
        self.layout
            .members
            .iter()
            .filter_map(move |member| Some((&member.info, decode(&member.info, bytes_of(member, bytes)?))))
    }

    /// Returns the bytes of a member by its name.
    pub fn member(&self, name: &str) -> Option<(&'static ParamInfo, &'a [u8])> {
        let member = self.layout.members.iter().find(|member| member.info.name == name)?;
        Some((&member.info, bytes_of(member, self.bytes)?))
    }
}

/// Returns the bytes of a member; of a text, those before its NUL and this one. `None` if the structure ends before.
fn bytes_of<'a>(member: &Member, bytes: &'a [u8]) -> Option<&'a [u8]> {
    let bytes = bytes.get(member.offset..member.offset + member.len)?;
    let end = bytes.iter().position(|byte| *byte == 0).filter(|_| member.info.ty == ParamType::CHARBUF);
    Some(end.map_or(bytes, |end| &bytes[..=end]))
}

/// Several structures of the same layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Structures<'a> {
    /// Their layout.
    pub layout: &'static Layout,
    abi: u8,
    bytes: &'a [u8],
}

impl<'a> Structures<'a> {
    pub(super) fn of(table: LayoutTable, bytes: &'a [u8]) -> Option<Structures<'a>> {
        let Structure { layout, abi, bytes } = Structure::of(table, bytes)?;
        (layout.size > 0).then_some(Structures { layout, abi, bytes })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.abi);
        out.extend_from_slice(self.bytes);
    }

    /// Iterates over them. The last one may be cut off.
    pub fn iter(&self) -> impl Iterator<Item = Structure<'a>> + use<'a> {
        let Structures { layout, abi, bytes } = *self;
        bytes.chunks(layout.size).map(move |bytes| Structure { layout, abi, bytes })
    }
}

/// A set of small numbers. 0 is the lowest bit of the first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BitSet<'a>(pub(super) &'a [u8]);

impl<'a> BitSet<'a> {
    /// Iterates over the numbers in the set, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + use<'a> {
        let bits = |(at, byte): (usize, &'a u8)| {
            (0..8).filter(move |bit| byte & (1 << bit) != 0).map(move |bit| 8 * at + bit)
        };
        self.0.iter().enumerate().flat_map(bits)
    }
}

/// An entry of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dirent<'a> {
    /// The inode.
    pub ino: u64,
    /// The type of the file, one of `DT_...`.
    pub ty: u8,
    /// The name.
    pub name: &'a [u8],
}

/// Entries of a directory: `struct linux_dirent64`, in the byte order of the machine. The last one may be cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dirents<'a>(pub(super) &'a [u8]);

impl<'a> Dirents<'a> {
    /// Iterates over the entries that are complete.
    pub fn iter(&self) -> impl Iterator<Item = Dirent<'a>> + use<'a> {
        /// The inode, the position in the directory, the length of the entry, the type.
        const HEADER: usize = 8 + 8 + 2 + 1;
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let mut f = Fields::new(rest);
            let (ino, _, len, ty) = (f.u64()?, f.u64()?, f.u16()?, f.u8()?);
            let (entry, after) = rest.split_at_checked(usize::from(len).max(HEADER))?;
            rest = after;
            let name = &entry[HEADER..];
            Some(Dirent { ino, ty, name: name.split(|byte| *byte == 0).next().unwrap_or_default() })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        events::layout,
        format::{Value, decode},
    };

    #[test]
    fn members_have_the_layout_of_the_callers_abi() {
        let table = layout("timespec");
        let bytes = [[1, 0, 0, 0].repeat(2), [9, 0, 0, 0, 0, 0, 0, 0].to_vec()].concat();
        let values = |abi: u8, bytes: &[u8]| {
            let bytes = [&[abi][..], bytes].concat();
            let structure = Structure::of(table, &bytes)?;
            Some(
                structure
                    .members()
                    .map(|(info, d)| (info.name, d.unwrap().value))
                    .map(|(name, value)| format!("{name}={value:?}"))
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(values(0, &bytes).unwrap(), ["tv_sec=Int(4294967297)", "tv_nsec=Int(9)"]);
        assert_eq!(values(1, &bytes).unwrap(), ["tv_sec=Int(1)", "tv_nsec=Int(1)"]);
        assert_eq!(values(4, &bytes).unwrap(), values(0, &bytes).unwrap());
        // The caller gave fewer bytes than the kernel has.
        assert_eq!(values(0, &bytes[..15]).unwrap(), ["tv_sec=Int(4294967297)"]);
        assert_eq!(values(0, &[]).unwrap(), [""; 0]);
        assert_eq!(values(200, &bytes), None, "no such ABI");
        assert_eq!(Structure::of(table, &[]), None);
    }

    #[test]
    fn a_text_ends_at_its_nul_or_with_its_member() {
        let mut bytes = vec![0; 391];
        bytes[1..6].copy_from_slice(b"Linux");
        bytes[66..131].fill(b'n');
        let structure = Structure::of(layout("utsname"), &bytes).unwrap();
        let text = |name: &str| {
            let (info, bytes) = structure.member(name).unwrap();
            decode(info, bytes).unwrap().value
        };
        assert_eq!(text("sysname"), Value::Text(b"Linux"));
        assert_eq!(text("nodename"), Value::Text(&[b'n'; 65]));
        assert_eq!(text("machine"), Value::Text(b""));
        assert_eq!(structure.member("nothing"), None);
    }

    #[test]
    fn structures_stand_one_behind_the_other() {
        let bytes = [&[1][..], &[7, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0, 2, 0, 0, 0, 9, 0, 0, 0]].concat();
        let all = Structures::of(layout("timespec"), &bytes).unwrap();
        let seconds: Vec<_> = all.iter().map(|one| one.member("tv_sec").unwrap().1[0]).collect();
        assert_eq!(seconds, [7, 8, 9]);
        assert_eq!(all.iter().map(|one| one.members().count()).collect::<Vec<_>>(), [2, 2, 1]);
    }

    #[test]
    fn numbers_of_a_set_are_counted_from_the_lowest_bit() {
        assert_eq!(BitSet(&[0b11, 0, 0x80]).iter().collect::<Vec<_>>(), [0, 1, 23]);
        assert_eq!(BitSet(&[]).iter().count(), 0);
    }

    #[test]
    fn entries_of_a_directory_are_read_up_to_the_one_that_is_cut_off() {
        let entry = |ino: u64, ty: u8, name: &[u8]| {
            let len = (19 + name.len() + 1).next_multiple_of(8);
            let mut bytes =
                [&ino.to_ne_bytes()[..], &[3; 8], &(len as u16).to_ne_bytes(), &[ty], name].concat();
            bytes.resize(len, 0);
            bytes
        };
        let bytes = [entry(5, 4, b"."), entry(6, 8, b"a name"), entry(7, 8, b"cut")].concat();
        let all = Dirents(&bytes[..bytes.len() - 1]);
        let names: Vec<_> = all.iter().map(|entry| (entry.ino, entry.ty, entry.name)).collect();
        assert_eq!(names, [(5, 4, &b"."[..]), (6, 8, b"a name")]);
        // A length that is too small does not make it go round in circles.
        assert_eq!(Dirents(&[0; 190]).iter().count(), 10);
    }
}

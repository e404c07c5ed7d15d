//! Which events of which calls to record.

use super::SyscallSet;

/// Which events to record: the enter event of a call, its exit event, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Selection {
    /// Calls whose enter event is recorded.
    pub enter: SyscallSet,
    /// Calls whose exit event is recorded.
    pub exit: SyscallSet,
    /// Calls that are also recorded, to keep names right.
    pub for_names: Companions,
}

/// Calls whose exit event is recorded if it changes a process, a descriptor or a working directory. See
/// [`Selection::companions`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Companions {
    /// The calls. Exits of a call that is also in [`Selection::exit`] are all recorded.
    pub calls: SyscallSet,
    /// Whether only descriptors of directories matter.
    pub directories_only: bool,
}

impl Selection {
    /// Returns the enter and exit events of every call of this machine.
    pub fn all() -> Selection {
        let all = SyscallSet::all();
        Selection { enter: all, exit: all, ..Selection::default() }
    }

    /// Returns this selection with the companions that keep the names in its events right.
    #[must_use]
    pub fn with_companions(self) -> Selection {
        Selection { for_names: self.companions(), ..self }
    }

    /// Returns whether this selection has exits of name-changing calls that `other` lacks.
    pub fn follows_more_than(&self, other: &Selection) -> bool {
        let all = Selection { enter: SyscallSet::all(), ..Selection::default() }.companions().calls;
        let followed = |by: &Selection| {
            let returns = by.exit.union(&by.for_names.calls);
            all.difference(&all.difference(&returns))
        };
        let (own, others) = (self.for_names.directories_only, other.for_names.directories_only);
        !followed(self).difference(&followed(other)).is_empty() || (others && !own)
    }

    /// Returns the first call of which `other` selects an event that this selection lacks, if any.
    pub fn missing(&self, other: &Selection) -> Option<&'static crate::events::Syscall> {
        let returns = self.exit.union(&self.for_names.calls);
        [(other.enter, self.enter), (other.exit, self.exit), (other.for_names.calls, returns)]
            .iter()
            .find_map(|(wanted, have)| wanted.difference(have).iter().next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::select;

    #[test]
    fn a_selection_follows_more_than_one_that_needs_less() {
        let of = |list: &str| {
            let exit = select::parse(list).unwrap();
            Selection { exit, ..Selection::default() }.with_companions()
        };
        let all = Selection::all();
        for (more, less) in [(of("read"), of("getppid")), (of("read"), of("truncate")), (all, of("getppid"))]
        {
            assert!(more.follows_more_than(&less) && !less.follows_more_than(&more));
        }
        for (one, other) in [(of("read"), of("write,openat")), (all, of("read")), (of("getppid"), of("none"))]
        {
            assert!(!one.follows_more_than(&other) && !other.follows_more_than(&one));
        }
        assert!(of("getppid").follows_more_than(&Selection::default()), "as with --only");
    }
}

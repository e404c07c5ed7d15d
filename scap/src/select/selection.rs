//! Which events of which calls are recorded.

use super::SyscallSet;

/// Which events of which calls are recorded: each call's entry, its return, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Selection {
    /// Calls whose entry is recorded.
    pub enter: SyscallSet,
    /// Calls whose return is recorded.
    pub exit: SyscallSet,
    /// What is recorded besides, to keep names right.
    pub for_names: Companions,
}

/// Calls whose return is recorded where it changes the name of a process or a descriptor, or a working directory. See
/// [`Selection::companions`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Companions {
    /// The calls. One of [`Selection::exit`] is recorded in full.
    pub calls: SyscallSet,
    /// Of the descriptors, only directories matter.
    pub directories_only: bool,
}

impl Selection {
    /// Every call of this machine, both ways.
    pub fn all() -> Selection {
        let all = SyscallSet::all();
        Selection { enter: all, exit: all, ..Selection::default() }
    }

    /// These calls, and what keeps the names in their events right.
    #[must_use]
    pub fn with_companions(self) -> Selection {
        Selection { for_names: self.companions(), ..self }
    }

    /// Whether this selection has the returns of calls that change names, of which another one has not all.
    pub fn follows_more_than(&self, other: &Selection) -> bool {
        let all = Selection { enter: SyscallSet::all(), ..Selection::default() }.companions().calls;
        let followed = |by: &Selection| {
            let returns = by.exit.union(&by.for_names.calls);
            all.difference(&all.difference(&returns))
        };
        let (own, others) = (self.for_names.directories_only, other.for_names.directories_only);
        !followed(self).difference(&followed(other)).is_empty() || (others && !own)
    }

    /// The first call of whose events another selection has more than this one; `None` if this one has them all.
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

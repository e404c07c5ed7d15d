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

    /// The first call of whose events another selection has more than this one; `None` if this one has them all.
    pub(crate) fn missing(&self, other: &Selection) -> Option<&'static crate::events::Syscall> {
        let returns = self.exit.union(&self.for_names.calls);
        [(other.enter, self.enter), (other.exit, self.exit), (other.for_names.calls, returns)]
            .iter()
            .find_map(|(wanted, have)| wanted.difference(have).iter().next())
    }
}

//! The capabilities (capabilities(7)) that recording needs, and which of them this process lacks.

use crate::probe::kernel_version;

/// A capability that recording needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capability {
    /// Its name.
    pub name: &'static str,
    /// What it is needed for.
    pub reason: &'static str,
    /// Whether there is no recording at all without it.
    pub essential: bool,
    bit: u32,
}

const SYS_ADMIN: u32 = 21;

const NEEDED: [Capability; 4] = [
    Capability { name: "CAP_BPF", reason: "to load programs", essential: true, bit: 39 },
    Capability {
        name: "CAP_PERFMON",
        reason: "to attach programs that read memory",
        essential: true,
        bit: 38,
    },
    Capability {
        name: "CAP_SYS_PTRACE",
        reason: "to see the files of processes that were there before",
        essential: false,
        bit: 19,
    },
    Capability {
        name: "CAP_DAC_READ_SEARCH",
        reason: "to reach tracefs, and what other users' processes have open",
        essential: false,
        bit: 2,
    },
];

/// Before Linux 5.11 the memory of maps counts as locked memory.
const BEFORE_5_11: Capability = Capability {
    name: "CAP_SYS_RESOURCE",
    reason: "to lock memory for maps (before Linux 5.11)",
    essential: true,
    bit: 24,
};

/// The capabilities that recording needs on this kernel.
pub fn needed() -> impl Iterator<Item = Capability> {
    NEEDED.into_iter().chain((kernel_version() < (5, 11)).then_some(BEFORE_5_11))
}

/// Those of them that this process does not have; `None` if it cannot tell, as /proc is not mounted.
pub fn missing() -> Option<Vec<Capability>> {
    let effective = procfs::process::Process::myself().and_then(|process| process.status()).ok()?.capeff;
    Some(needed().filter(|capability| !capability.is_in(effective)).collect())
}

impl Capability {
    fn is_in(&self, effective: u64) -> bool {
        let has = |bit: u32| effective & 1 << bit != 0;
        // CAP_BPF and CAP_PERFMON were parts of it.
        has(self.bit) || (self.bit >= 38 && has(SYS_ADMIN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sys_admin_stands_for_the_two_that_were_split_from_it() {
        let lacking =
            |effective| NEEDED.iter().filter(|c| !c.is_in(effective)).map(|c| c.name).collect::<Vec<_>>();
        assert_eq!(lacking(1 << 21), ["CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"]);
        assert_eq!(lacking(1 << 39 | 1 << 19 | 1 << 2), ["CAP_PERFMON"]);
        assert!(lacking(u64::MAX).is_empty());
    }
}

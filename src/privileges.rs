//! The capabilities (capabilities(7)) that recording needs, and which of them this process lacks.

use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

use crate::kernel;

/// A capability that recording needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capability {
    /// Its name.
    pub name: &'static str,
    /// What it is needed for.
    pub reason: &'static str,
    /// Whether nothing can be recorded without it.
    pub essential: bool,
    bit: u32,
}

const SYS_ADMIN: u32 = 21;

/// CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_KILL and CAP_SYS_RESOURCE (reserved blocks of a file
/// system): root expects a program to be able to write to any directory and to kill the processes that it has started.
const FILES: u64 = 1 | 1 << 1 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 24;

/// CAP_DAC_OVERRIDE: to write to a file, such as a socket, is more than CAP_DAC_READ_SEARCH allows.
const DAC_OVERRIDE: u64 = 1 << 1;

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
        reason: "to see the open files of processes that run already",
        essential: false,
        bit: 19,
    },
    Capability {
        name: "CAP_DAC_READ_SEARCH",
        reason: "to read a mounted tracefs, and the open files of other users' processes",
        essential: false,
        bit: 2,
    },
];

/// Needed before Linux 5.11, where the memory of maps counts as locked memory.
const BEFORE_5_11: Capability = Capability {
    name: "CAP_SYS_RESOURCE",
    reason: "to lock memory for maps (before Linux 5.11)",
    essential: true,
    bit: 24,
};

/// Returns the capabilities that recording needs on this kernel.
pub fn needed() -> impl Iterator<Item = Capability> {
    NEEDED.into_iter().chain((kernel::version() < (5, 11)).then_some(BEFORE_5_11))
}

/// Returns the needed capabilities that this process lacks; `None` if unknown, because /proc is not mounted.
pub fn missing() -> Option<Vec<Capability>> {
    let effective = procfs::process::Process::myself().and_then(|process| process.status()).ok()?.capeff;
    Some(needed().filter(|capability| !capability.is_in(effective)).collect())
}

/// What this thread, and the threads that it starts, may still do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Load and attach programs, and read the state of the machine.
    Loading,
    /// Read the open files of other users' processes, for the state of the machine, and manage files wherever root may.
    Foreground,
    /// Read the open files of other users' processes.
    Recording,
    /// Manage files wherever root may.
    Files,
    /// Connect to the sockets of other users.
    Sockets,
    /// Nothing that needs a capability.
    Nothing,
}

/// Gives up all other capabilities of this thread, permanently. The programs that it executes lack them, too, unless
/// the thread runs as root.
pub fn keep(what: Kept) {
    let result = capabilities(None).and_then(|now| {
        let kept = now.permitted
            & CapabilitySet::from_bits_retain(kept(what, now.permitted.bits(), kernel::has_tracefs()));
        let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
        if sets == now { Ok(()) } else { set_capabilities(None, sets) }
    });
    // Dropping capabilities is always allowed, so an error means that a sandbox forbids the call itself.
    if let Err(error) = result {
        tracing::warn!("cannot give up capabilities: {error}");
    }
}

fn kept(what: Kept, permitted: u64, tracefs: bool) -> u64 {
    let bit = |name: &str| NEEDED.iter().find(|c| c.name == name).map_or(0, |c| 1u64 << c.bit);
    let recording = bit("CAP_SYS_PTRACE") | bit("CAP_DAC_READ_SEARCH");
    // Before 5.19, a process that may not use bpf(2) cannot read the counters of its own programs either.
    let counting = if kernel::version() < (5, 19) { bit("CAP_BPF") } else { 0 };
    match what {
        Kept::Loading => {
            let needed: Vec<_> = needed().collect();
            let split = needed.iter().filter(|c| c.bit >= 38).all(|c| permitted & 1 << c.bit != 0);
            // It is also needed to mount tracefs where tracefs is not mounted.
            let admin = if split && tracefs { 0 } else { 1 << SYS_ADMIN };
            needed.iter().fold(admin, |bits, capability| bits | 1 << capability.bit)
        }
        Kept::Recording => recording | counting,
        Kept::Foreground => recording | counting | FILES,
        Kept::Files => FILES | bit("CAP_DAC_READ_SEARCH"),
        Kept::Sockets => DAC_OVERRIDE,
        Kept::Nothing => 0,
    }
}

impl Capability {
    fn is_in(&self, effective: u64) -> bool {
        let has = |bit: u32| effective & 1 << bit != 0;
        // CAP_BPF and CAP_PERFMON were split from CAP_SYS_ADMIN, which still implies them.
        has(self.bit) || (self.bit >= 38 && has(SYS_ADMIN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_and_less_is_kept() {
        let (all, admin) = (u64::MAX, 1 << SYS_ADMIN);
        let loading = kept(Kept::Loading, all, true);
        assert_eq!(loading & admin, 0, "not needed where the two split from it are there");
        assert_eq!(kept(Kept::Loading, admin, true) & admin, admin);
        assert_eq!(kept(Kept::Loading, all, false), loading | admin, "tracefs is to be mounted");
        assert!(NEEDED.iter().all(|c| c.is_in(loading)));
        let recording = kept(Kept::Recording, all, true);
        assert_eq!(recording & loading, recording);
        assert_eq!(recording & (1 << 38), 0, "no more programs");
        assert_eq!(kept(Kept::Files, all, true) & (1 << 39 | 1 << 38 | admin), 0, "no programs either");
        let foreground = kept(Kept::Foreground, all, true);
        assert_eq!(foreground & (recording | FILES), recording | FILES);
        assert_eq!(foreground & (1 << 38 | admin), 0, "no more programs, and not everything else");
        assert_eq!(kept(Kept::Nothing, all, true), 0);
    }

    #[test]
    fn what_a_thread_gives_up_it_has_no_more() {
        let left = std::thread::spawn(|| {
            keep(Kept::Nothing);
            capabilities(None).unwrap()
        });
        let left = left.join().unwrap();
        assert!(left.effective.is_empty() && left.permitted.is_empty() && left.inheritable.is_empty());
    }

    #[test]
    fn sys_admin_stands_for_the_two_that_were_split_from_it() {
        let lacking =
            |effective| NEEDED.iter().filter(|c| !c.is_in(effective)).map(|c| c.name).collect::<Vec<_>>();
        assert_eq!(lacking(1 << 21), ["CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"]);
        assert_eq!(lacking(1 << 39 | 1 << 19 | 1 << 2), ["CAP_PERFMON"]);
        assert!(lacking(u64::MAX).is_empty());
    }
}

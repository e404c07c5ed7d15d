//! What is known of threads and processes besides their names and descriptors.

use std::sync::Arc;

use crate::format::{heap, state::Thread as StateThread};

/// A text that several threads may share.
pub type Text = Arc<[u8]>;

/// An id that is not known.
pub(crate) const UNKNOWN: u64 = u64::MAX;

/// What belongs to a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessInfo {
    /// The parent process; `u64::MAX` if unknown.
    pub ptid: u64,
    /// The session; `u64::MAX` if unknown.
    pub sid: u64,
    /// The process group; below 0 if unknown.
    pub pgid: i64,
    /// The process group's id in the process's own pid namespace; `u64::MAX` if unknown.
    pub vpgid: u64,
    /// The process's id in its own pid namespace; below 0 if unknown.
    pub vpid: i64,
    /// The first argument of the command line.
    pub exe: Text,
    /// The path of the executable file.
    pub exepath: Text,
    /// The other arguments, each with its terminating NUL.
    pub args: Text,
    /// The environment, each variable with its terminating NUL.
    pub env: Text,
    /// `subsystem=path`, each with its terminating NUL.
    pub cgroups: Text,
    /// The soft limit of open files.
    pub fdlimit: u64,
    /// The terminal's device number; 0 for none.
    pub tty: u32,
    /// The user that logged in; `u32::MAX` for none.
    pub loginuid: u32,
    /// When the first process of its pid namespace was started, as the capture has it; 0 if unknown.
    pub pidns_init_start_ts: u64,
    /// Whether the user may write to the executable file.
    pub exe_writable: bool,
    /// Whether the executable lies in an overlay's upper layer.
    pub exe_upper_layer: bool,
    /// Whether the executable lies in an overlay's lower layer.
    pub exe_lower_layer: bool,
    /// Whether the executable is a file in memory only.
    pub exe_from_memfd: bool,
    /// The executable's inode.
    pub exe_ino: u64,
    /// When that inode last changed, in ns since the epoch.
    pub exe_ino_ctime: u64,
    /// When its contents last changed, in ns since the epoch.
    pub exe_ino_mtime: u64,
    /// When the process was cloned, in ns since the epoch; 0 if the capture does not show it.
    pub started: u64,
    /// When its last exec returned, in ns since the epoch; 0 if the capture does not show it.
    pub executed: u64,
    /// Whether all of this is known: the initial state, the parent or an exec has told it. If not, only what the
    /// process's own events told is known.
    pub is_complete: bool,
}

impl Default for ProcessInfo {
    /// A process of which nothing is known.
    fn default() -> ProcessInfo {
        let none = Text::default();
        ProcessInfo {
            ptid: UNKNOWN,
            sid: UNKNOWN,
            pgid: -1,
            vpgid: UNKNOWN,
            vpid: -1,
            exe: none.clone(),
            exepath: none.clone(),
            args: none.clone(),
            env: none.clone(),
            cgroups: none,
            fdlimit: 0,
            tty: 0,
            loginuid: u32::MAX,
            pidns_init_start_ts: 0,
            exe_writable: false,
            exe_upper_layer: false,
            exe_lower_layer: false,
            exe_from_memfd: false,
            exe_ino: 0,
            exe_ino_ctime: 0,
            exe_ino_mtime: 0,
            started: 0,
            executed: 0,
            is_complete: false,
        }
    }
}

/// The memory of a process, as a thread's last event tells it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// The size of the address space, in KiB.
    pub vmsize_kb: u32,
    /// Resident memory, in KiB.
    pub vmrss_kb: u32,
    /// Swapped memory, in KiB.
    pub vmswap_kb: u32,
    /// The thread's page faults that needed the disk.
    pub pfmajor: u64,
    /// The thread's page faults that did not.
    pub pfminor: u64,
}

/// What belongs to a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadInfo {
    /// Its id in its own pid namespace; below 0 if unknown.
    pub vtid: i64,
    /// `clone_flags` of flags.def: how it shares with its process.
    pub flags: u32,
    /// Effective user; `u32::MAX` if unknown.
    pub uid: u32,
    /// Effective group; `u32::MAX` if unknown.
    pub gid: u32,
    /// Inheritable capabilities, in the kernel's bits.
    pub cap_inheritable: u64,
    /// Permitted capabilities.
    pub cap_permitted: u64,
    /// Effective capabilities.
    pub cap_effective: u64,
    /// Its memory.
    pub memory: Memory,
    /// When it was cloned, in ns since the epoch; 0 if the capture does not show it.
    pub started: u64,
    /// How long it has run on a CPU since the capture's start, in ns, as far as switch events tell.
    pub ran: u64,
    /// Its CPU time at its last procinfo event, as that counts it.
    pub(crate) cpu: Option<CpuTime>,
    /// What the initial state says of its process, where that differs from what it says of the main thread.
    pub(crate) differing: Option<Arc<ProcessInfo>>,
}

/// CPU time in ticks, as procinfo events of old captures count it: 100 a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// In user mode.
    pub user: u64,
    /// In the kernel.
    pub system: u64,
}

impl CpuTime {
    pub(crate) fn since(self, before: CpuTime) -> CpuTime {
        CpuTime {
            user: self.user.saturating_sub(before.user),
            system: self.system.saturating_sub(before.system),
        }
    }
}

impl Default for ThreadInfo {
    /// A thread of which nothing is known.
    fn default() -> ThreadInfo {
        ThreadInfo {
            vtid: -1,
            flags: 0,
            uid: u32::MAX,
            gid: u32::MAX,
            cap_inheritable: 0,
            cap_permitted: 0,
            cap_effective: 0,
            memory: Memory::default(),
            started: 0,
            ran: 0,
            cpu: None,
            differing: None,
        }
    }
}

impl ProcessInfo {
    /// Takes over an entry of the initial state. Texts that `like` has too are shared with it.
    pub(crate) fn of_state(t: &StateThread, like: Option<&ProcessInfo>) -> ProcessInfo {
        let text = |text: &[u8], of: fn(&ProcessInfo) -> &Text| shared(like.map(of), text);
        ProcessInfo {
            ptid: t.ptid,
            sid: t.sid,
            pgid: t.pgid,
            vpgid: t.vpgid,
            vpid: t.vpid,
            exe: text(&t.exe, |p| &p.exe),
            exepath: text(&t.exepath, |p| &p.exepath),
            args: text(&t.args, |p| &p.args),
            env: text(&t.env, |p| &p.env),
            cgroups: text(&t.cgroups, |p| &p.cgroups),
            fdlimit: t.fdlimit,
            tty: t.tty,
            loginuid: t.loginuid,
            pidns_init_start_ts: t.pidns_init_start_ts,
            exe_writable: t.exe_writable,
            exe_upper_layer: t.exe_upper_layer,
            exe_lower_layer: t.exe_lower_layer,
            exe_from_memfd: t.exe_from_memfd,
            exe_ino: t.exe_ino,
            exe_ino_ctime: t.exe_ino_ctime,
            exe_ino_mtime: t.exe_ino_mtime,
            started: 0,
            executed: 0,
            is_complete: true,
        }
    }

    /// Returns whether the program that it runs is described: not if only a clone by an unknown process has told of it.
    pub fn is_described(&self) -> bool {
        self.is_complete || self.executed != 0
    }

    /// Returns the id of the parent process, if it is known and there is one.
    pub fn parent(&self) -> Option<u64> {
        Some(self.ptid).filter(|ptid| !matches!(*ptid, 0 | UNKNOWN))
    }

    /// Fills in an entry of the state.
    pub(crate) fn write(&self, t: &mut StateThread) {
        (t.ptid, t.sid, t.pgid, t.vpgid, t.vpid) = (self.ptid, self.sid, self.pgid, self.vpgid, self.vpid);
        (t.exe, t.exepath, t.args) = (self.exe.to_vec(), self.exepath.to_vec(), self.args.to_vec());
        (t.env, t.cgroups) = (self.env.to_vec(), self.cgroups.to_vec());
        (t.fdlimit, t.tty, t.loginuid) = (self.fdlimit, self.tty, self.loginuid);
        t.pidns_init_start_ts = self.pidns_init_start_ts;
        (t.exe_writable, t.exe_from_memfd) = (self.exe_writable, self.exe_from_memfd);
        (t.exe_upper_layer, t.exe_lower_layer) = (self.exe_upper_layer, self.exe_lower_layer);
        (t.exe_ino, t.exe_ino_ctime, t.exe_ino_mtime) =
            (self.exe_ino, self.exe_ino_ctime, self.exe_ino_mtime);
    }

    /// The most memory that it takes, in bytes: processes may share texts.
    pub(crate) fn memory(&self) -> u64 {
        let texts = [&self.exe, &self.exepath, &self.args, &self.env, &self.cgroups];
        heap(16 + size_of::<ProcessInfo>()) + texts.iter().map(|text| text_memory(text)).sum::<u64>()
    }
}

impl ThreadInfo {
    pub(crate) fn of_state(t: &StateThread) -> ThreadInfo {
        ThreadInfo {
            vtid: t.vtid,
            flags: t.flags,
            uid: t.uid,
            gid: t.gid,
            cap_inheritable: t.cap_inheritable,
            cap_permitted: t.cap_permitted,
            cap_effective: t.cap_effective,
            memory: Memory {
                vmsize_kb: t.vmsize_kb,
                vmrss_kb: t.vmrss_kb,
                vmswap_kb: t.vmswap_kb,
                pfmajor: t.pfmajor,
                pfminor: t.pfminor,
            },
            started: 0,
            ran: 0,
            cpu: None,
            differing: None,
        }
    }

    /// Fills in an entry of the state.
    pub(crate) fn write(&self, t: &mut StateThread) {
        (t.vtid, t.flags, t.uid, t.gid) = (self.vtid, self.flags, self.uid, self.gid);
        (t.cap_inheritable, t.cap_permitted, t.cap_effective) =
            (self.cap_inheritable, self.cap_permitted, self.cap_effective);
        let Memory { vmsize_kb, vmrss_kb, vmswap_kb, pfmajor, pfminor } = self.memory;
        (t.vmsize_kb, t.vmrss_kb, t.vmswap_kb) = (vmsize_kb, vmrss_kb, vmswap_kb);
        (t.pfmajor, t.pfminor) = (pfmajor, pfminor);
    }

    /// Changes the effective user, and the capabilities as capabilities(7) says: `all` for a call that sets the real and
    /// the saved user too.
    pub(crate) fn set_uid(&mut self, uid: u32, all: bool) {
        match (self.uid, uid) {
            (0, 1..) => {
                self.cap_effective = 0;
                self.cap_permitted = if all { 0 } else { self.cap_permitted };
            }
            (1.., 0) if self.uid != u32::MAX => self.cap_effective = self.cap_permitted,
            _ => {}
        }
        self.uid = uid;
    }
}

/// Returns a shared text: `known` itself if it is the same.
pub(crate) fn shared(known: Option<&Text>, text: &[u8]) -> Text {
    match known {
        Some(known) if **known == *text => known.clone(),
        _ => text.into(),
    }
}

pub(crate) fn text_memory(text: &Text) -> u64 {
    if text.is_empty() { 0 } else { heap(16 + text.len()) }
}

//! What is known of threads and processes besides their names and descriptors.

use std::sync::Arc;

use crate::format::{heap, state::Thread as StateThread};

/// A text that several threads may share.
pub type Text = Arc<[u8]>;

/// What belongs to a process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProcessInfo {
    /// The parent process.
    pub ptid: u64,
    /// The session.
    pub sid: u64,
    /// The process group; below 0 if unknown.
    pub pgid: i64,
    /// The process group's id in the process's own pid namespace.
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ThreadInfo {
    /// Its id in its own pid namespace; below 0 if unknown.
    pub vtid: i64,
    /// `clone_flags` of flags.def: how it shares with its process.
    pub flags: u32,
    /// Effective user.
    pub uid: u32,
    /// Effective group.
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
    /// What the initial state says of its process, where that differs from what it says of the main thread.
    pub(crate) differing: Option<Arc<ProcessInfo>>,
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
        }
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
            (1.., 0) => self.cap_effective = self.cap_permitted,
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

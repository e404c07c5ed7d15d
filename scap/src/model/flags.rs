//! The values of flags that decide what an event changes.

use crate::events::{flag_table, same};

/// Returns the value of a flag from its table.
pub const fn flag(table: &'static str, name: &'static str) -> u32 {
    let rows = flag_table(table);
    let mut i = 0;
    while !same(rows[i].name, name) {
        i += 1;
    }
    assert!(rows[i].value <= u32::MAX as u64);
    rows[i].value as u32
}

pub(crate) const O_TMPFILE: u32 = flag("file_flags", "O_TMPFILE");
pub(crate) const O_DIRECTORY: u32 = flag("file_flags", "O_DIRECTORY");
pub(crate) const CLONE_FILES: u32 = flag("clone_flags", "CLONE_FILES");
pub(crate) const CLONE_FS: u32 = flag("clone_flags", "CLONE_FS");
pub(crate) const CLONE_THREAD: u32 = flag("clone_flags", "CLONE_THREAD");
pub(crate) const CLONE_INVERTED: u32 = flag("clone_flags", "CLONE_INVERTED");
/// Flags that imply CLONE_FS, see unshare(2).
pub(crate) const NEW_MOUNTS: u32 = flag("clone_flags", "CLONE_NEWNS") | flag("clone_flags", "CLONE_NEWUSER");
pub(crate) const PR_SET_NAME: u32 = flag("prctl_options", "PR_SET_NAME");
pub(crate) const F_SETFD: u32 = flag("fcntl_commands", "F_SETFD");
pub(crate) const F_GETFD: u32 = flag("fcntl_commands", "F_GETFD");
pub(crate) const F_DUPFD_CLOEXEC: u32 = flag("fcntl_commands", "F_DUPFD_CLOEXEC");
pub(crate) const CLONE_PARENT: u32 = flag("clone_flags", "CLONE_PARENT");
pub(crate) const RLIMIT_NOFILE: u32 = flag("rlimit_resources", "RLIMIT_NOFILE");
pub(crate) const EXE_WRITABLE: u32 = flag("execve_flags", "EXE_WRITABLE");
pub(crate) const EXE_UPPER_LAYER: u32 = flag("execve_flags", "EXE_UPPER_LAYER");
pub(crate) const EXE_LOWER_LAYER: u32 = flag("execve_flags", "EXE_LOWER_LAYER");
pub(crate) const EXE_FROM_MEMFD: u32 = flag("execve_flags", "EXE_FROM_MEMFD");
pub(crate) const CLOSE_RANGE_UNSHARE: u32 = flag("close_range_flags", "CLOSE_RANGE_UNSHARE");
pub(crate) const CLOSE_RANGE_CLOEXEC: u32 = flag("close_range_flags", "CLOSE_RANGE_CLOEXEC");

/// Returns whether an `fcntl` command returns a descriptor.
pub fn fcntl_duplicates(command: u32) -> bool {
    command == F_DUPFD_CLOEXEC || command == const { flag("fcntl_commands", "F_DUPFD") }
}

/// Returns whether a `bpf` command returns a descriptor.
pub fn bpf_creates(command: u32) -> bool {
    const COMMANDS: [u32; 12] = [
        flag("bpf_commands", "BPF_MAP_CREATE"),
        flag("bpf_commands", "BPF_PROG_LOAD"),
        flag("bpf_commands", "BPF_OBJ_GET"),
        flag("bpf_commands", "BPF_PROG_GET_FD_BY_ID"),
        flag("bpf_commands", "BPF_MAP_GET_FD_BY_ID"),
        flag("bpf_commands", "BPF_RAW_TRACEPOINT_OPEN"),
        flag("bpf_commands", "BPF_BTF_LOAD"),
        flag("bpf_commands", "BPF_BTF_GET_FD_BY_ID"),
        flag("bpf_commands", "BPF_LINK_CREATE"),
        flag("bpf_commands", "BPF_LINK_GET_FD_BY_ID"),
        flag("bpf_commands", "BPF_ENABLE_STATS"),
        flag("bpf_commands", "BPF_ITER_CREATE"),
    ];
    COMMANDS.contains(&command)
}

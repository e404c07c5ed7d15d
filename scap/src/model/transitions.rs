//! The state change that each event type causes: at most one transition per row of the event table.

use crate::{
    events::{EVENTS, Event, Source, flag_table, same},
    format::state::NamedFd,
};

/// What an event changes. Rows are matched by name, so old and current rows of a call share a transition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Transition {
    /// `fd` refers to a file, named by its path.
    Open,
    Close,
    CloseRange,
    /// The result is a duplicate of a descriptor.
    Duplicate,
    Fcntl,
    Pipe,
    Socket,
    SocketPair,
    Bind,
    Connect,
    Accept,
    /// The event may reveal a socket's peer.
    Send,
    Receive,
    ChangeDirectory,
    ChangeDirectoryFd,
    Clone,
    Exec,
    Exit,
    Unshare,
    Prctl,
    PidfdOpen,
    PidfdGetfd,
    Bpf,
    /// The result is a descriptor of this kind without a path.
    Create(NamedFd),
}

use Transition::*;

const BY_NAME: &[(&str, Transition)] = &[
    ("open", Open),
    ("creat", Open),
    ("openat", Open),
    ("openat2", Open),
    ("open_by_handle_at", Open),
    ("close", Close),
    ("close_range", CloseRange),
    ("dup", Duplicate),
    ("dup2", Duplicate),
    ("dup3", Duplicate),
    ("fcntl", Fcntl),
    ("pipe", Pipe),
    ("pipe2", Pipe),
    ("socket", Socket),
    ("socketpair", SocketPair),
    ("bind", Bind),
    ("connect", Connect),
    ("accept", Accept),
    ("accept4", Accept),
    ("send", Send),
    ("sendto", Send),
    ("sendmsg", Send),
    ("sendmmsg", Send),
    ("recv", Receive),
    ("recvfrom", Receive),
    ("recvmsg", Receive),
    ("recvmmsg", Receive),
    ("chdir", ChangeDirectory),
    ("fchdir", ChangeDirectoryFd),
    ("clone", Clone),
    ("clone3", Clone),
    ("fork", Clone),
    ("vfork", Clone),
    ("execve", Exec),
    ("execveat", Exec),
    ("procexit", Exit),
    ("unshare", Unshare),
    ("prctl", Prctl),
    ("pidfd_open", PidfdOpen),
    ("pidfd_getfd", PidfdGetfd),
    ("bpf", Bpf),
    ("eventfd", Create(NamedFd::Eventfd)),
    ("eventfd2", Create(NamedFd::Eventfd)),
    ("epoll_create", Create(NamedFd::Eventpoll)),
    ("epoll_create1", Create(NamedFd::Eventpoll)),
    ("signalfd", Create(NamedFd::Signalfd)),
    ("signalfd4", Create(NamedFd::Signalfd)),
    ("timerfd_create", Create(NamedFd::Timerfd)),
    ("inotify_init", Create(NamedFd::Inotify)),
    ("inotify_init1", Create(NamedFd::Inotify)),
    ("memfd_create", Create(NamedFd::Memfd)),
    ("userfaultfd", Create(NamedFd::Userfaultfd)),
    ("io_uring_setup", Create(NamedFd::IoUring)),
];

/// The transition of each row, indexed by event type.
static BY_TYPE: [Option<Transition>; EVENTS.len()] = {
    let mut table = [None; EVENTS.len()];
    let mut i = 0;
    while i < EVENTS.len() {
        table[i] = by_name(EVENTS[i].name);
        i += 1;
    }
    table
};

const fn by_name(name: &str) -> Option<Transition> {
    let mut i = 0;
    while i < BY_NAME.len() {
        if same(BY_NAME[i].0, name) {
            return Some(BY_NAME[i].1);
        }
        i += 1;
    }
    None
}

/// Returns the transition of a row; the same for the enter and exit events of a call.
pub fn transition(row: &Event) -> Option<Transition> {
    BY_TYPE.get(usize::from(row.ty.0)).copied().flatten()
}

/// Returns whether an event triggers its transition: an exit event, or an event of no system call.
pub(crate) fn takes_effect(row: &Event) -> bool {
    row.source != Source::Syscall || !row.ty.is_enter()
}

/// Returns the value of a flag from its table.
pub const fn flag(table: &'static str, name: &'static str) -> u32 {
    let rows = flag_table(table);
    let mut i = 0;
    while !same(rows[i].name, name) {
        i += 1;
    }
    rows[i].value
}

pub(crate) const O_TMPFILE: u32 = flag("file_flags", "O_TMPFILE");
pub(crate) const O_DIRECTORY: u32 = flag("file_flags", "O_DIRECTORY");
pub(crate) const CLONE_FILES: u32 = flag("clone_flags", "CLONE_FILES");
pub(crate) const CLONE_FS: u32 = flag("clone_flags", "CLONE_FS");
pub(crate) const CLONE_THREAD: u32 = flag("clone_flags", "CLONE_THREAD");
/// Flags that imply CLONE_FS, see unshare(2).
pub(crate) const NEW_MOUNTS: u32 = flag("clone_flags", "CLONE_NEWNS") | flag("clone_flags", "CLONE_NEWUSER");
pub(crate) const PR_SET_NAME: u32 = flag("prctl_options", "PR_SET_NAME");
pub(crate) const F_SETFD: u32 = flag("fcntl_commands", "F_SETFD");
pub(crate) const F_GETFD: u32 = flag("fcntl_commands", "F_GETFD");
pub(crate) const F_DUPFD_CLOEXEC: u32 = flag("fcntl_commands", "F_DUPFD_CLOEXEC");
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::EventFlags;

    #[test]
    fn every_name_is_that_of_a_row() {
        for (name, _) in BY_NAME {
            assert!(EVENTS.iter().any(|row| row.name == *name), "{name}");
        }
    }

    /// A row that creates or closes a descriptor without a transition would make the descriptor table wrong.
    #[test]
    fn every_row_that_makes_or_ends_a_descriptor_has_a_transition() {
        for row in EVENTS {
            let concerns =
                row.flags.contains(EventFlags::CREATES_FD) || row.flags.contains(EventFlags::DESTROYS_FD);
            assert!(!concerns || transition(row).is_some(), "{}", row.code);
        }
    }
}

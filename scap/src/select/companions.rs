//! Companions: calls that are recorded in addition to the requested ones, so that a reader knows the names of their
//! threads, directories and descriptors. Derived from the rows of the event table.

use super::{Companions, Selection, SyscallSet};
use crate::events::{Category, Detail, Event, EventFlags, ParamType, Source, Syscall, extension_of_call};

/// The state that a reader has to track to name everything in an event. Each level includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    /// Threads and processes: every event has one.
    Processes,
    /// Working directories, for relative paths.
    Directories,
    /// File descriptors.
    Descriptors,
}

impl Selection {
    /// Returns the calls that change what the events of this selection refer to, without those whose exits it selects
    /// anyway.
    pub fn companions(&self) -> Companions {
        let rows = self.enter.iter().filter_map(enter_row).chain(self.exit.iter().filter_map(exit_row));
        self.companions_for(rows.map(refers_to).max().unwrap_or(State::Processes))
    }

    /// Returns this selection with all calls that change what a reader knows of the machine, whether or not its events refer
    /// to it.
    #[must_use]
    pub fn with_all_companions(self) -> Selection {
        Selection { for_names: self.companions_for(State::Descriptors), ..self }
    }

    fn companions_for(&self, needed: State) -> Companions {
        let is_companion = |call: &&Syscall| {
            exit_row(call).is_some_and(|row| match changes(row) {
                Some(state) if state <= needed => true,
                // fchdir takes a descriptor, so descriptors of directories matter.
                Some(_) => needed == State::Directories && may_return_directory(row),
                None => false,
            })
        };
        let calls: SyscallSet = SyscallSet::all().iter().filter(is_companion).collect();
        Companions { calls: calls.difference(&self.exit), directories_only: needed == State::Directories }
    }
}

/// Returns the row of a call's enter event; of a call without a program, with its extension.
fn enter_row(call: &Syscall) -> Option<&'static Event> {
    call.enter().or_else(|| Some(&extension_of_call(call, false)?.joined))
}

/// The same of its exit event.
fn exit_row(call: &Syscall) -> Option<&'static Event> {
    call.exit().or_else(|| Some(&extension_of_call(call, true)?.joined))
}

/// Returns the index of the first parameter that is not the identity of a generic event's call: the result in an exit event.
fn first(row: &Event) -> usize {
    if row.ty.is_generic() { 2 } else { 0 }
}

/// Returns what the parameters of an event refer to.
fn refers_to(row: &Event) -> State {
    let is_result = |index: usize| !row.ty.is_enter() && (index == first(row) || makes_several(row));
    let of_parameter = |(index, param): (usize, &crate::events::ParamInfo)| match param.ty {
        ParamType::FD | ParamType::FD32 if !is_result(index) => State::Descriptors,
        ParamType::FDLIST => State::Descriptors,
        ParamType::FSPATH | ParamType::FSRELPATH => State::Directories,
        _ => State::Processes,
    };
    row.params.iter().enumerate().map(of_parameter).max().unwrap_or(State::Processes)
}

/// Returns whether the descriptors in an exit event are new ones that follow an error code, as for pipe(2).
fn makes_several(row: &Event) -> bool {
    row.flags.contains(EventFlags::CREATES_FD)
        && row.params.get(first(row)).is_some_and(|param| param.ty == ParamType::ERRNO)
}

/// Returns which part of a reader's state the exit of a call changes, if any.
fn changes(row: &Event) -> Option<State> {
    let has = |flag| row.flags.contains(flag);
    let changes_table = has(EventFlags::CREATES_FD) || has(EventFlags::DESTROYS_FD);
    if row.source != Source::Syscall || !(changes_table || has(EventFlags::MODIFIES_STATE)) {
        return None;
    }
    Some(match row.category {
        _ if changes_table => State::Descriptors,
        // chdir, fchdir, mount, umount.
        Category::File => State::Directories,
        // fcntl, close_range.
        Category::IoOther => State::Descriptors,
        _ if has(EventFlags::USES_FD) => State::Descriptors,
        _ => State::Processes,
    })
}

/// Returns whether a call returns a descriptor that may refer to a directory.
fn may_return_directory(row: &Event) -> bool {
    matches!(row.category, Category::File | Category::IoOther)
        && row.params.get(first(row)).is_some_and(|param| param.ty == ParamType::FD)
}

/// How the BPF programs decide whether the exit of a call changes a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameRule {
    /// Every success changes a name.
    Success,
    /// Every success returns a descriptor, which may refer to a directory.
    Descriptor,
    /// As [`Descriptor`](NameRule::Descriptor), but only for some commands.
    Fcntl,
    /// Only some options change a name.
    Prctl,
    /// Only calls with an address do.
    Address,
    /// Only calls whose message header has an address or control data do.
    Message,
}

/// Returns the rule for a call, or `None` if its exit changes no name.
pub fn name_rule(call: &Syscall) -> Option<NameRule> {
    let row = exit_row(call)?;
    changes(row)?;
    let has_table = |name| {
        row.params.iter().any(|param| matches!(param.detail, Detail::Flags(table) if table[0].table == name))
    };
    let moves_data =
        [EventFlags::READS_FROM_FD, EventFlags::WRITES_TO_FD].iter().any(|flag| row.flags.contains(*flag));
    Some(match row.name {
        _ if has_table("fcntl_commands") => NameRule::Fcntl,
        _ if has_table("prctl_options") => NameRule::Prctl,
        name if moves_data && name.ends_with("msg") => NameRule::Message,
        _ if moves_data => NameRule::Address,
        _ if may_return_directory(row) => NameRule::Descriptor,
        _ => NameRule::Success,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{events::event_by_program, select};

    fn set(list: &str) -> SyscallSet {
        select::parse(list).unwrap()
    }

    fn companions_of(list: &str) -> Companions {
        Selection { exit: set(list), ..Selection::default() }.companions()
    }

    fn assert_has(companions: &Companions, list: &str) {
        assert_eq!(set(list).difference(&companions.calls), SyscallSet::none());
    }

    /// The calls of a list without the requested ones.
    fn beside(list: &str, asked: &str) -> String {
        set(list).difference(&set(asked)).to_string()
    }

    fn assert_lacks(companions: &Companions, list: &str) {
        let there = set(list).difference(&set(list).difference(&companions.calls));
        assert_eq!(there, SyscallSet::none());
    }

    const PROCESSES: &str = "clone,clone3,?fork,?vfork,execve,execveat,prctl,setuid,setresgid,setsid,chroot";
    const DIRECTORIES: &str = "chdir,fchdir";
    const DESCRIPTORS: &str = "?open,openat,openat2,close,close_range,dup,?dup2,dup3,fcntl,?pipe,pipe2,socket,\
        socketpair,bind,connect,accept,accept4,?creat,?epoll_create,epoll_create1,?eventfd,eventfd2,sendto,recvmsg,\
        open_by_handle_at,memfd_create,pidfd_open,pidfd_getfd,timerfd_create,inotify_init1,signalfd4,userfaultfd,bpf,\
        fsopen,fspick,fsmount,open_tree,fanotify_init,perf_event_open,mq_open,landlock_create_ruleset";
    const OTHERS: &str =
        "read,write,?access,faccessat,getppid,newfstatat,mmap,futex,?poll,ppoll,?unlink,kill";

    #[test]
    fn calls_without_a_path_or_a_descriptor_need_processes() {
        for list in ["getppid", "futex", "kill", "none", "setuid"] {
            let companions = companions_of(list);
            assert!(!companions.directories_only, "{list}");
            assert_has(&companions, &beside(PROCESSES, list));
            assert_lacks(&companions, &format!("{DIRECTORIES},{DESCRIPTORS},{OTHERS}"));
        }
    }

    #[test]
    fn a_path_needs_working_directories() {
        for list in ["?access", "truncate,?mkdir", "execve"] {
            let companions = companions_of(list);
            assert!(companions.directories_only, "{list}");
            assert_has(&companions, &beside(&format!("{PROCESSES},{DIRECTORIES}"), list));
            // Their descriptors may refer to directories.
            assert_has(&companions, "openat,openat2,dup,dup3,fcntl,open_by_handle_at,open_tree");
            assert_lacks(&companions, "close,close_range,pipe2,socket,accept,eventfd2,sendto,memfd_create");
            assert_lacks(&companions, OTHERS);
        }
    }

    #[test]
    fn a_descriptor_needs_them_all() {
        for list in [
            "read",
            "getppid,?access,fsync,newfstatat",
            "fsync",
            "statx",
            "ppoll",
            "unlinkat",
            "mmap",
            "sendfile",
        ] {
            let companions = companions_of(list);
            assert!(!companions.directories_only, "{list}");
            assert_has(&companions, &format!("{PROCESSES},{DIRECTORIES},{DESCRIPTORS}"));
            assert_lacks(&companions, OTHERS);
        }
    }

    #[test]
    fn entries_have_needs_too_and_their_returns_are_companions() {
        let entries = |list| Selection { enter: set(list), ..Selection::default() }.companions();
        assert_has(&entries("read"), DESCRIPTORS);
        assert_has(&entries("openat"), "openat");
        assert_lacks(&entries("getppid"), DESCRIPTORS);
        // The enter event of access has no path.
        #[cfg(target_arch = "x86_64")]
        assert_lacks(&entries("access"), DIRECTORIES);
    }

    #[test]
    fn what_is_asked_for_is_no_companion() {
        let all = Selection::all();
        assert_eq!(all.companions().calls, SyscallSet::none());
        assert_lacks(&companions_of("%process,read"), "execve,clone");
    }

    #[test]
    fn results_are_not_references() {
        let refers = |program| refers_to(event_by_program(program).unwrap());
        for (program, state) in [
            ("pipe2_x", State::Processes),
            ("socketpair_x", State::Processes),
            ("accept_x", State::Processes),
            ("memfd_create_x", State::Processes),
            ("open_x", State::Directories),
            ("openat_x", State::Descriptors),
            ("dup_x", State::Descriptors),
            ("read_e", State::Descriptors),
            ("poll_x", State::Descriptors),
            ("generic_x", State::Processes),
        ] {
            assert_eq!(refers(program), state, "{program}");
        }
    }

    #[test]
    fn each_companion_has_its_rule() {
        let rule = |name| name_rule(Syscall::by_name(name).unwrap());
        for (name, expected) in [
            ("execve", Some(NameRule::Success)),
            ("close", Some(NameRule::Success)),
            ("socket", Some(NameRule::Success)),
            ("openat", Some(NameRule::Descriptor)),
            ("dup3", Some(NameRule::Descriptor)),
            ("fcntl", Some(NameRule::Fcntl)),
            ("prctl", Some(NameRule::Prctl)),
            ("sendto", Some(NameRule::Address)),
            ("recvfrom", Some(NameRule::Address)),
            ("sendmsg", Some(NameRule::Message)),
            ("recvmmsg", Some(NameRule::Message)),
            ("open_tree", Some(NameRule::Descriptor)),
            ("perf_event_open", Some(NameRule::Success)),
            ("preadv2", None),
            ("fsync", None),
            ("read", None),
            ("getppid", None),
        ] {
            assert_eq!(rule(name), expected, "{name}");
        }
    }
}

//! The arguments of each call, in the order in which C programs write them.

use std::sync::LazyLock;

use super::forms::{FORMS, Form};
use scap::{
    events::{EVENTS, EXTENSIONS, Event, EventType, Extends, Extension, Source, types},
    format::{EventView, successor},
};

/// The name of a row (see `events.def`) and the arguments of its call. An argument is
///
/// - `param`: a parameter of the row, written as its type says. Of several names `one|other`, the first that the row has
///   counts: some enter events have other names. Some parameters are only in the enter event.
/// - `param:form`: the same, in a form of `forms.rs`.
/// - `*`: an argument that the recorder does not have; as the last one, all that remain.
const CALLS: &[(&str, &str)] = &[
    ("open", "name flags:open mode:creating"),
    ("close", "fd"),
    ("read", "fd data:data size"),
    ("write", "fd data:data size"),
    ("socket", "domain type:type proto:protocol"),
    ("bind", "fd addr *"),
    ("connect", "fd addr *"),
    ("listen", "fd backlog"),
    ("send", "fd data:data size *"),
    ("sendto", "fd data:data size *"),
    ("recv", "fd data:data size *"),
    ("recvfrom", "fd data:data size *"),
    ("shutdown", "fd how"),
    ("getsockname", "*"),
    ("getpeername", "*"),
    ("socketpair", "domain type:type proto:protocol fd1:pair"),
    ("setsockopt", "fd level optname val:option optlen"),
    ("getsockopt", "fd level optname val:option optlen:answer"),
    ("sendmsg", "fd data:message *"),
    ("sendmmsg", "fd data:message *"),
    ("recvmsg", "fd data:message *"),
    ("recvmmsg", "fd data:message *"),
    ("creat", "name mode:octal"),
    ("pipe", "fd1:pair"),
    ("eventfd", "initval"),
    ("futex", "addr:pointer op:futex val:u32 op:futex-rest"),
    ("stat", "path *"),
    ("lstat", "path *"),
    ("fstat", "fd *"),
    ("stat64", "path *"),
    ("lstat64", "path *"),
    ("fstat64", "fd *"),
    ("epoll_wait", "* * maxevents *"),
    ("poll", "fds:polled fds:count timeout"),
    ("select", "*"),
    ("lseek", "fd offset:number whence"),
    ("llseek", "fd offset:number * whence"),
    ("getcwd", "path *"),
    ("chdir", "path"),
    ("fchdir", "fd"),
    ("pread", "fd data:data size pos:number"),
    ("pwrite", "fd data:data size pos:number"),
    ("readv", "fd data:data *"),
    ("writev", "fd data:data *"),
    ("preadv", "fd data:data * pos:number"),
    ("pwritev", "fd data:data * pos:number"),
    ("signalfd", "fd mask:mask *"),
    ("kill", "pid sig"),
    ("tkill", "tid sig"),
    ("tgkill", "pid tid sig"),
    ("nanosleep", "interval *"),
    ("timerfd_create", "clockid:clock *"),
    ("inotify_init", ""),
    ("getrlimit", "resource cur:limit"),
    ("setrlimit", "resource cur:limit"),
    ("prlimit", "pid resource newcur:new-limit oldcur:old-limit"),
    ("fcntl", "fd cmd arg:fcntl"),
    ("brk", "addr:pointer"),
    ("mmap", "addr:pointer length prot flags fd offset:hex"),
    ("mmap2", "addr:pointer length prot flags fd pgoffset:hex"),
    ("munmap", "addr:pointer length"),
    ("splice", "fd_in * fd_out * size flags"),
    ("ptrace", "request pid addr data"),
    ("ioctl", "fd request:request argument:pointer"),
    ("rename", "oldpath newpath"),
    ("renameat", "olddirfd oldpath newdirfd newpath"),
    ("symlink", "target linkpath"),
    ("symlinkat", "target linkdirfd linkpath"),
    ("sendfile", "out_fd in_fd * size"),
    ("quotactl", "cmd:quota special id *"),
    ("setresuid", "ruid euid suid"),
    ("setresgid", "rgid egid sgid"),
    ("setuid", "uid"),
    ("setgid", "gid"),
    ("getuid", ""),
    ("geteuid", ""),
    ("getgid", ""),
    ("getegid", ""),
    ("getresuid", "ruid:answer euid:answer suid:answer"),
    ("getresgid", "rgid:answer egid:answer sgid:answer"),
    ("clone", "flags:clone *"),
    ("fork", ""),
    ("vfork", ""),
    ("getdents", "fd *"),
    ("getdents64", "fd *"),
    ("setns", "fd nstype"),
    ("flock", "fd operation"),
    ("accept", "*"),
    ("semop", "semid nsops:semaphores nsops"),
    ("semctl", "semid semnum cmd *"),
    ("ppoll", "fds:polled fds:count timeout sigmask:poll-mask *"),
    ("mount", "dev dir type flags *"),
    ("semget", "key:key nsems semflg:permissions"),
    ("access", "name mode"),
    ("chroot", "path"),
    ("setsid", ""),
    ("mkdir", "path mode:octal"),
    ("rmdir", "path"),
    ("unshare", "flags"),
    ("execve", "filename args:argv env:env"),
    ("setpgid", "pid pgid"),
    ("seccomp", "op:operation flags:hex *"),
    ("unlink", "path"),
    ("unlinkat", "dirfd name flags"),
    ("mkdirat", "dirfd path mode:octal"),
    ("openat", "dirfd name flags:open mode:creating"),
    ("link", "oldpath newpath"),
    ("linkat", "olddir oldpath newdir newpath flags"),
    ("fchmodat", "dirfd filename mode:octal"),
    ("chmod", "filename mode:octal"),
    ("fchmod", "fd mode:octal"),
    ("renameat2", "olddirfd oldpath newdirfd newpath flags"),
    ("userfaultfd", "flags"),
    ("openat2", "dirfd name flags:how *"),
    ("mprotect", "addr:pointer length prot"),
    ("execveat", "dirfd pathname args:argv env:env flags:of-enter"),
    ("copy_file_range", "fdin * fdout * len *"),
    ("clone3", "flags:clone3 *"),
    ("open_by_handle_at", "mountfd * flags:open"),
    ("io_uring_setup", "entries flags:uring"),
    ("io_uring_enter", "fd to_submit min_complete flags *"),
    ("io_uring_register", "fd opcode arg:pointer nr_args"),
    ("mlock", "addr:pointer len"),
    ("munlock", "addr:pointer len"),
    ("mlockall", "flags"),
    ("munlockall", ""),
    ("capset", "* cap_effective:capabilities"),
    ("dup2", "oldfd|fd newfd:number"),
    ("dup3", "oldfd|fd newfd:number flags"),
    ("dup", "oldfd|fd"),
    ("bpf", "cmd:bpf *"),
    ("mlock2", "addr:pointer len flags"),
    ("fsconfig", "fd cmd key value_charbuf:fs-value aux"),
    ("epoll_create", "size"),
    ("epoll_create1", "flags"),
    ("chown", "path uid:id gid:id"),
    ("lchown", "path uid:id gid:id"),
    ("fchown", "fd uid:id gid:id"),
    ("fchownat", "dirfd pathname uid:id gid:id flags"),
    ("umount", "name"),
    ("accept4", "* * * flags:SOCK"),
    ("umount2", "name flags"),
    ("pipe2", "fd1:pair flags"),
    ("inotify_init1", "flags:IN"),
    ("eventfd2", "initval flags:eventfd"),
    ("signalfd4", "fd mask:mask * flags:SFD"),
    ("prctl", "option arg2_str:prctl"),
    ("memfd_create", "name flags"),
    ("pidfd_getfd", "pid_fd target_fd flags"),
    ("pidfd_open", "pid flags"),
    ("init_module", "img:data length uargs"),
    ("finit_module", "fd uargs flags"),
    ("mknod", "path mode:node dev:device"),
    ("mknodat", "dirfd path mode:node dev:device"),
    ("newfstatat", "dirfd path * flags"),
    ("process_vm_readv", "pid data:data *"),
    ("process_vm_writev", "pid data:data *"),
    ("delete_module", "name flags"),
    ("setreuid", "ruid euid"),
    ("setregid", "rgid egid"),
    ("close_range", "first last flags"),
    ("keyctl", "operation arg2 arg3 arg4 arg5"),
];

/// The calls without arguments that only generic events record.
const GENERIC_WITHOUT: [&str; 10] = [
    "getpid",
    "gettid",
    "getppid",
    "getpgrp",
    "sched_yield",
    "pause",
    "sync",
    "vhangup",
    "munlockall",
    "restart_syscall",
];

/// An argument of a call.
#[derive(Debug, Clone, Copy)]
pub enum Arg {
    /// A parameter as its type says.
    Param(usize),
    /// A parameter in a form of its own.
    Formed(usize, Form),
    /// The first of several parameters that has a value: other commands have others. A bit for each parameter.
    OneOf(u32),
    /// The recorder does not have it.
    Unknown,
}

/// What the events of a row say of their call.
#[derive(Debug)]
pub struct Shape {
    /// The name of the call; empty for a generic event, which names its call itself.
    pub name: &'static str,
    /// The type of the current exit event of the call.
    pub exit: EventType,
    /// The arguments; of an enter event, the first of them, up to one that it does not have.
    pub args: Vec<Arg>,
    /// How many arguments the exit event has.
    pub all: usize,
}

/// The shapes of all rows, in their order.
static SHAPES: LazyLock<Vec<Option<Shape>>> = LazyLock::new(|| {
    let joined = EXTENSIONS.iter().map(|row| match row.extends {
        Extends::Call(_) => Some(Shape::of_call(row)),
        Extends::Event(_) | Extends::Nothing => Shape::new(&row.joined),
    });
    types().map(Shape::new).chain(joined).collect()
});

impl Shape {
    /// Returns the shape of an event; `None` if it is of no system call.
    pub fn of(event: &EventView<'_>) -> Option<&'static Shape> {
        SHAPES.get(event.row()?)?.as_ref()
    }

    /// Returns the shape of an event of a call without a program of its own: its row says which argument is where.
    fn of_call(row: &'static Extension) -> Shape {
        let is_enter = row.joined.ty.is_enter();
        // The result stands before the arguments.
        let first = row.base_params() + if is_enter { 0 } else { 1 };
        let all = row.args.iter().map(|arg| usize::from(arg.index) + 1).max().unwrap_or(0);
        let arg = |index: usize| {
            let of = |(_, arg): &(usize, &scap::events::Arg)| usize::from(arg.index) == index;
            let all: Vec<_> = row.args.iter().enumerate().filter(of).map(|(at, _)| first + at).collect();
            match all[..] {
                [] => Arg::Unknown,
                [at] => Arg::Param(at),
                _ => Arg::OneOf(all.iter().fold(0, |set, at| set | 1 << at)),
            }
        };
        let args = (0..all).map(arg).take_while(|arg| !is_enter || !matches!(arg, Arg::Unknown)).collect();
        Shape { name: row.joined.name, exit: EventType(1), args, all }
    }

    fn new(row: &'static Event) -> Option<Shape> {
        let exit = successor(EVENTS.get(usize::from(row.ty.0 | 1))?);
        if row.source != Source::Syscall || exit.source != Source::Syscall {
            return None;
        }
        if exit.ty.0 == 1 {
            return Some(Shape { name: "", exit: exit.ty, args: Vec::new(), all: 0 });
        }
        let words = CALLS.iter().find(|(name, _)| *name == exit.name).map_or("*", |(_, words)| words);
        let all: Vec<_> = words.split_whitespace().map(|word| arg(row, word)).collect();
        let count = all.len();
        let args = if row.ty.is_enter() {
            all.into_iter().take_while(|arg| !matches!(arg, Arg::Unknown)).collect()
        } else {
            all
        };
        let name = exit.syscall().map_or(exit.name, |call| call.name);
        Some(Shape { name, exit: exit.ty, args, all: count })
    }
}

/// Returns whether a call of generic events has no arguments.
pub fn is_without_arguments(name: &str) -> bool {
    GENERIC_WITHOUT.contains(&name)
}

fn arg(row: &Event, word: &str) -> Arg {
    let (names, form) = word.split_once(':').unwrap_or((word, ""));
    let form = FORMS.iter().find(|(name, _)| *name == form).map(|(_, form)| *form);
    match names.split('|').find_map(|name| row.param(name)) {
        // The first parameter of an exit event is its result.
        Some(0) if !row.ty.is_enter() => Arg::Unknown,
        Some(at) => form.map_or(Arg::Param(at), |form| Arg::Formed(at, form)),
        None => Arg::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parameters that are no arguments: what the recorder adds.
    const ADDED: &[&str] = &[
        "dev",
        "ino",
        "tuple",
        "queuepct",
        "queuelen",
        "queuemax",
        "vm_size",
        "vm_rss",
        "vm_swap",
        "source",
        "peer",
        "msgcontrol",
        "creat_flags",
    ];

    fn todays() -> impl Iterator<Item = &'static Event> {
        EVENTS.iter().filter(|row| {
            let is_call = row.source == Source::Syscall && !row.ty.is_enter() && row.ty.0 > 1;
            is_call && std::ptr::eq(successor(row), *row)
        })
    }

    #[test]
    fn every_call_of_the_table_has_its_arguments() {
        for row in todays() {
            let rows = CALLS.iter().filter(|(name, _)| *name == row.name).count();
            assert_eq!(rows, 1, "{}: the table has not exactly one row", row.name);
        }
        for (name, _) in CALLS {
            assert!(todays().any(|row| row.name == *name), "{name} is no call");
        }
    }

    #[test]
    fn every_argument_is_a_parameter_in_a_form() {
        for (name, words) in CALLS {
            let rows = EVENTS.iter().filter(|row| row.name == *name);
            for word in words.split_whitespace().filter(|word| *word != "*") {
                let (names, form) = word.split_once(':').unwrap_or((word, ""));
                assert!(form.is_empty() || FORMS.iter().any(|(known, _)| *known == form), "{name}: {word}");
                for param in names.split('|') {
                    let is_param = rows.clone().any(|row| row.param(param).is_some());
                    assert!(is_param || *name == "fstat64", "{name}: {word}");
                }
            }
        }
        for (form, _) in FORMS {
            let uses = CALLS.iter().any(|(_, words)| words.split([' ', ':']).any(|word| word == *form));
            assert!(uses, "no call has the form {form}");
        }
    }

    /// A parameter that a later schema adds to a row is an argument, unless the recorder made it.
    #[test]
    fn no_parameter_is_forgotten() {
        // These describe the new task or program, and forms write several parameters.
        let is_task =
            |name: &str| matches!(name, "execve" | "execveat" | "clone" | "clone3" | "fork" | "vfork");
        for row in todays().filter(|row| !is_task(row.name)) {
            let words = CALLS.iter().find(|(name, _)| *name == row.name).map_or("", |(_, words)| words);
            let whole =
                ["pair", "limit", "semaphores", "capabilities", "how", "uring", "quota", "prctl", "fs-value"];
            if whole.iter().any(|form| words.contains(form)) {
                continue;
            }
            for param in row.params.iter().skip(1).filter(|param| !ADDED.contains(&param.name)) {
                let is_named = words
                    .split_whitespace()
                    .any(|word| word.split([':', '|']).any(|name| name == param.name));
                let is_sum = param.name == "size" && words.contains("data:");
                let is_left_out = LEFT_OUT.contains(&(row.name, param.name));
                assert!(is_named || is_sum || is_left_out, "{}: {} is in no argument", row.name, param.name);
            }
        }
    }

    /// These stand in no argument: what repeats another one (socket), what the call does not have (eventfd to
    /// inotify_init), what is 0 for NULL as for 0 (sendfile, copy_file_range, semctl, io_uring_enter), what does not fit into
    /// its type (timerfd_create), and what the recorder adds (open_by_handle_at).
    const LEFT_OUT: &[(&str, &str)] = &[
        ("socket", "flags"),
        ("eventfd", "flags"),
        ("signalfd", "flags"),
        ("inotify_init", "flags"),
        ("sendfile", "offset"),
        ("copy_file_range", "offin"),
        ("copy_file_range", "offout"),
        ("semctl", "val"),
        ("io_uring_enter", "sig"),
        ("timerfd_create", "flags"),
        ("open_by_handle_at", "path"),
    ];
}

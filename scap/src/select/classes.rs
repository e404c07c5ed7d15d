//! The classes that a list can name: the categories of the event table and the classes of strace.

use super::{SyscallSet, aliases::ALIASES};
use crate::events::{Arch, Category, EVENTS, SYSCALLS, Source, Syscall};

/// The calls of strace's classes, so that a list for strace selects the same calls here. A class that is also a
/// category of the event table has the calls of both.
const STRACE: &[(&str, &str)] = &[
    // Take a file name.
    (
        "file",
        "access acct chdir chmod chown chroot creat execve execveat faccessat faccessat2 fanotify_mark \
         fchmodat fchmodat2 fchownat file_getattr file_setattr fsconfig fspick futimesat getcwd getxattr \
         getxattrat inotify_add_watch lchown lgetxattr link linkat listxattr listxattrat llistxattr \
         lremovexattr lsetxattr lstat mkdir mkdirat mknod mknodat mount mount_setattr move_mount \
         name_to_handle_at newfstatat open open_tree open_tree_attr openat openat2 pivot_root quotactl \
         readlink readlinkat removexattr removexattrat rename renameat renameat2 rmdir setxattr setxattrat \
         stat statfs statx swapoff swapon symlink symlinkat truncate umount2 unlink unlinkat uselib utime \
         utimensat utimes",
    ),
    // Create, replace, end, signal or await processes.
    (
        "process",
        "clone clone3 execve execveat exit exit_group fork kill pidfd_send_signal rt_sigqueueinfo \
         rt_tgsigqueueinfo tgkill tkill vfork wait4 waitid",
    ),
    // Sockets.
    (
        "network",
        "accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg recvmsg \
         sendfile sendmmsg sendmsg sendto setsockopt shutdown socket socketpair",
    ),
    // Send, receive or handle signals.
    (
        "signal",
        "io_uring_enter kill pause pidfd_send_signal rt_sigaction rt_sigpending rt_sigprocmask \
         rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sigaltstack signalfd \
         signalfd4 tgkill tkill",
    ),
    // System V semaphores, message queues and shared memory.
    ("ipc", "msgctl msgget msgrcv msgsnd semctl semget semop semtimedop shmat shmctl shmdt shmget"),
    // Take or return a file descriptor.
    (
        "desc",
        "bpf cachestat close close_range copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 \
         epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 execveat faccessat faccessat2 \
         fadvise64 fallocate fanotify_init fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchownat \
         fcntl fdatasync fgetxattr file_getattr file_setattr finit_module flistxattr flock fremovexattr \
         fsconfig fsetxattr fsmount fsopen fspick fstat fstatfs fsync ftruncate futimesat getdents \
         getdents64 getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch \
         io_uring_enter io_uring_register io_uring_setup ioctl kexec_file_load landlock_add_rule \
         landlock_create_ruleset landlock_restrict_self linkat listxattrat lseek memfd_create memfd_secret \
         mkdirat mknodat mmap mount_setattr move_mount mq_getsetattr mq_notify mq_open mq_timedreceive \
         mq_timedsend name_to_handle_at newfstatat open open_by_handle_at open_tree open_tree_attr openat \
         openat2 perf_event_open pidfd_getfd pidfd_open pidfd_send_signal pipe pipe2 poll ppoll pread64 \
         preadv preadv2 process_madvise process_mrelease pselect6 pwrite64 pwritev pwritev2 quotactl_fd \
         read readahead readlinkat readv removexattrat renameat renameat2 select sendfile setns setxattrat \
         signalfd signalfd4 splice statx symlinkat sync_file_range syncfs tee timerfd_create \
         timerfd_gettime timerfd_settime unlinkat userfaultfd utimensat vmsplice write writev",
    ),
    // Map, protect, lock or place memory.
    (
        "memory",
        "brk get_mempolicy io_destroy io_setup io_uring_register madvise map_shadow_stack mbind \
         migrate_pages mincore mlock mlock2 mlockall mmap move_pages mprotect mremap mseal msync munlock \
         munlockall munmap pkey_mprotect remap_file_pages set_mempolicy set_mempolicy_home_node shmat \
         shmdt",
    ),
    // Read or change user, group or capabilities.
    (
        "creds",
        "capget capset getegid geteuid getgid getgroups getresgid getresuid getuid prctl setfsgid setfsuid \
         setgid setgroups setregid setresgid setresuid setreuid setuid",
    ),
    ("stat", "stat"),
    ("lstat", "lstat"),
    ("fstat", "fstat newfstatat statx"),
    // All of the three.
    ("%stat", "fstat lstat newfstatat stat statx"),
    ("statfs", "statfs"),
    ("fstatfs", "fstatfs"),
    // Both, and ustat.
    ("%statfs", "fstatfs statfs ustat"),
    // Read or set a system clock.
    (
        "clock",
        "adjtimex clock_adjtime clock_getres clock_gettime clock_settime gettimeofday settimeofday time",
    ),
    // Have no arguments and cannot fail.
    ("pure", "getegid geteuid getgid getpgrp getpid getppid gettid getuid"),
];

/// Aliases of classes.
const OTHER_NAMES: &[(&str, &str)] = &[("net", "network")];

/// Returns the name of a category of the event table, for `%class` and `scapd list events`.
pub const fn category_name(category: Category) -> &'static str {
    match category {
        Category::Unknown => "unknown",
        Category::Other => "other",
        Category::File => "file",
        Category::Net => "network",
        Category::Ipc => "ipc",
        Category::Memory => "memory",
        Category::Process => "process",
        Category::Sleep => "sleep",
        Category::System => "system",
        Category::Signal => "signal",
        Category::User => "user",
        Category::Time => "time",
        Category::IoRead => "io_read",
        Category::IoWrite => "io_write",
        Category::IoOther => "io_other",
        Category::Wait => "wait",
        Category::Scheduler => "scheduler",
        Category::Internal => "internal",
    }
}

/// The categories of system calls that are classes; "other" and "unknown" are not.
const CATEGORIES: &[Category] = &[
    Category::File,
    Category::Net,
    Category::Ipc,
    Category::Memory,
    Category::Process,
    Category::Sleep,
    Category::System,
    Category::Signal,
    Category::User,
    Category::Time,
    Category::IoRead,
    Category::IoWrite,
    Category::IoOther,
    Category::Wait,
];

/// A class of system calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Class {
    /// Its name, without the percent sign.
    pub name: &'static str,
    /// Its calls on this architecture.
    pub calls: SyscallSet,
}

/// Returns all classes: the categories first, then the classes that only strace has.
pub fn classes() -> Vec<Class> {
    names().filter_map(|name| class(name).map(|calls| Class { name, calls })).collect()
}

/// Returns the names of the classes, each once.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let categories = CATEGORIES.iter().map(|c| category_name(*c));
    let strace = STRACE.iter().map(|(name, _)| *name).filter(|name| category(name).is_none());
    categories.chain(strace)
}

/// Returns the calls of a class, or `None` if there is no such class.
pub(super) fn class(name: &str) -> Option<SyscallSet> {
    let name = OTHER_NAMES.iter().find(|(other, _)| *other == name).map_or(name, |(_, name)| name);
    if name == "all" {
        return Some(SyscallSet::all());
    }
    let strace = STRACE.iter().find(|(class, _)| *class == name).map(|(_, calls)| *calls);
    let category = category(name);
    if strace.is_none() && category.is_none() {
        return None;
    }
    let mut calls: SyscallSet =
        strace.unwrap_or_default().split_whitespace().filter_map(Syscall::by_name).filter(native).collect();
    if let Some(category) = category {
        calls.extend(SYSCALLS.iter().filter(native).filter(|call| category_of(call) == Some(category)));
    }
    Some(calls)
}

fn category(name: &str) -> Option<Category> {
    CATEGORIES.iter().copied().find(|category| category_name(*category) == name)
}

fn native(call: &&Syscall) -> bool {
    call.number(Arch::NATIVE).is_some()
}

/// Returns the category of a call's exit event. For a call without a program, that is the category of the event type of
/// its name.
fn category_of(call: &Syscall) -> Option<Category> {
    let of_that_name = || {
        let alias = ALIASES.iter().find(|(_, name)| *name == call.name).map(|(alias, _)| *alias);
        EVENTS
            .iter()
            .rev()
            .filter(|e| e.source == Source::Syscall && !e.ty.is_enter())
            .find(|e| e.name == call.name || Some(e.name) == alias)
    };
    call.exit().or_else(of_that_name).map(|event| event.category)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(class_name: &str, call: &str) -> bool {
        class(class_name).unwrap().contains(Syscall::by_name(call).unwrap())
    }

    #[test]
    fn a_class_names_calls_that_exist_each_once() {
        for (class, calls) in STRACE {
            let calls: Vec<&str> = calls.split_whitespace().collect();
            for name in &calls {
                assert!(Syscall::by_name(name).is_some(), "%{class}: {name}");
            }
            assert!(calls.is_sorted_by(|a, b| a < b), "%{class} is not in order");
        }
    }

    #[test]
    fn names_are_unique_and_classes_have_calls() {
        let classes = classes();
        for (i, class) in classes.iter().enumerate() {
            assert!(!class.calls.is_empty(), "%{}", class.name);
            assert!(class.calls.iter().all(|call| native(&call)), "%{}", class.name);
            assert!(!classes[i + 1..].iter().any(|other| other.name == class.name), "%{} twice", class.name);
        }
        for name in ["stat", "%stat", "pure", "io_read", "network"] {
            assert!(classes.iter().any(|class| class.name == name), "%{name}");
        }
    }

    #[test]
    fn a_class_of_both_has_the_calls_of_both() {
        assert!(has("network", "sendto"), "strace's, though the event is an io_write");
        assert!(has("network", "socket"), "of both");
        assert!(has("process", "prctl"), "the event's category");
        assert_eq!(class("net"), class("network"));
        assert_eq!(class("all"), Some(SyscallSet::all()));
        assert_eq!(class("nosuch"), None);
    }

    #[test]
    fn a_call_without_a_program_has_its_events_category() {
        assert!(has("memory", "mlock2"));
        assert!(has("process", "prlimit64"), "its event is called prlimit");
        assert!(has("wait", "epoll_wait"));
        assert!(!has("file", "getpid"));
    }
}

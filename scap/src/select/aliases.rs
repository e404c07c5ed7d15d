//! Common names of calls that the table names otherwise.

/// Common names of calls, with the call each selects if this architecture has no call of that name.
pub(super) const ALIASES: &[(&str, &str)] = &[
    ("fadvise", "fadvise64"),
    ("fstatat", "newfstatat"),
    ("getdents", "getdents64"),
    ("llseek", "lseek"),
    ("newselect", "select"),
    ("prlimit", "prlimit64"),
    ("pselect", "pselect6"),
    ("recv", "recvfrom"),
    ("send", "sendto"),
    ("sigaction", "rt_sigaction"),
    ("sigpending", "rt_sigpending"),
    ("sigprocmask", "rt_sigprocmask"),
    ("sigreturn", "rt_sigreturn"),
    ("sigsuspend", "rt_sigsuspend"),
    ("sysctl", "_sysctl"),
    ("umount", "umount2"),
    ("wait", "wait4"),
    ("waitpid", "wait4"),
];

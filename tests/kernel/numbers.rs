//! The numbers of system calls: those of libc. The calls that only x86-64 has compile on arm64, too; no test that runs there
//! makes one (`harness::lacking`).

pub use libc::*;

/// Returns the number of a call that this architecture has.
#[track_caller]
pub fn number(number: c_long) -> c_long {
    assert!(number >= 0, "this architecture lacks the call");
    number
}

#[cfg(target_arch = "aarch64")]
macro_rules! lacking {
    ($($name:ident)*) => { $(#[allow(non_upper_case_globals)] pub const $name: c_long = -1;)* };
}

#[cfg(target_arch = "aarch64")]
lacking! {
    SYS_access
    SYS_alarm
    SYS_arch_prctl
    SYS_chmod
    SYS_chown
    SYS_creat
    SYS_dup2
    SYS_epoll_create
    SYS_epoll_wait
    SYS_eventfd
    SYS_fork
    SYS_getdents
    SYS_getpgrp
    SYS_inotify_init
    SYS_ioperm
    SYS_iopl
    SYS_lchown
    SYS_link
    SYS_lstat
    SYS_mkdir
    SYS_mknod
    SYS_modify_ldt
    SYS_open
    SYS_pause
    SYS_pipe
    SYS_poll
    SYS_rename
    SYS_rmdir
    SYS_select
    SYS_signalfd
    SYS_stat
    SYS_symlink
    SYS_time
    SYS_unlink
    SYS_vfork
}

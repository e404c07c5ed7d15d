//! seccomp: makes system calls fail with EPERM that a recording never makes once it runs.

use std::collections::BTreeMap;

use libc::*;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

/// The refused calls. Each gives more rights, reaches into other processes or the kernel, or starts a program.
const REFUSED: &[c_long] = &[
    // Starting programs; other processes' memory and descriptors.
    SYS_execve,
    SYS_execveat,
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_process_madvise,
    SYS_pidfd_getfd,
    SYS_kcmp,
    // Kernel code, and what the kernel runs.
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_kexec_load,
    SYS_kexec_file_load,
    SYS_reboot,
    // Probes are attached by then.
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_io_uring_setup,
    SYS_io_uring_enter,
    SYS_io_uring_register,
    // Namespaces and mounts.
    SYS_unshare,
    SYS_setns,
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_open_tree,
    SYS_move_mount,
    SYS_fsopen,
    SYS_fsconfig,
    SYS_fsmount,
    SYS_fspick,
    SYS_mount_setattr,
    SYS_open_by_handle_at,
    SYS_mknodat,
    // User and group ids.
    SYS_setuid,
    SYS_setgid,
    SYS_setreuid,
    SYS_setregid,
    SYS_setresuid,
    SYS_setresgid,
    SYS_setgroups,
    SYS_setfsuid,
    SYS_setfsgid,
    // Keys.
    SYS_add_key,
    SYS_request_key,
    SYS_keyctl,
    // The machine's settings.
    SYS_acct,
    SYS_quotactl,
    SYS_quotactl_fd,
    SYS_swapon,
    SYS_swapoff,
    SYS_syslog,
    SYS_sethostname,
    SYS_setdomainname,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_clock_adjtime,
    SYS_adjtimex,
    SYS_personality,
    SYS_vhangup,
    #[cfg(target_arch = "x86_64")]
    SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    SYS_modify_ldt,
    #[cfg(target_arch = "x86_64")]
    SYS_mknod,
];

/// The refused bpf(2) commands. The others inspect existing maps and programs, or change the contents of maps.
const REFUSED_OF_BPF: &[u32] = &[
    libbpf_sys::BPF_MAP_CREATE,
    libbpf_sys::BPF_PROG_LOAD,
    libbpf_sys::BPF_OBJ_PIN,
    libbpf_sys::BPF_OBJ_GET,
    libbpf_sys::BPF_PROG_ATTACH,
    libbpf_sys::BPF_PROG_TEST_RUN,
    libbpf_sys::BPF_PROG_GET_FD_BY_ID,
    libbpf_sys::BPF_MAP_GET_FD_BY_ID,
    libbpf_sys::BPF_RAW_TRACEPOINT_OPEN,
    libbpf_sys::BPF_BTF_LOAD,
    libbpf_sys::BPF_BTF_GET_FD_BY_ID,
    libbpf_sys::BPF_LINK_CREATE,
    libbpf_sys::BPF_LINK_UPDATE,
    libbpf_sys::BPF_LINK_GET_FD_BY_ID,
    libbpf_sys::BPF_PROG_BIND_MAP,
    libbpf_sys::BPF_TOKEN_CREATE,
];

/// The flags of clone(2) that make a namespace. In a user namespace, a process has all capabilities.
const NAMESPACES: [c_int; 7] =
    [CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET];

/// The bit that x32 numbers have, and the x32 numbers that differ from x86-64 (execve, ptrace, kexec_load,
/// process_vm_readv, process_vm_writev, execveat).
#[cfg(target_arch = "x86_64")]
const X32: (i64, [i64; 6]) = (0x4000_0000, [520, 521, 528, 539, 540, 545]);

/// Makes these calls fail in this thread and in those that it starts; returns the number of calls.
///
/// # Errors
/// The reason if the kernel does not refuse them.
pub(super) fn refuse() -> Result<usize, String> {
    // The flags of clone3(2) are in memory, which a filter cannot read. After ENOSYS, the C library uses clone(2).
    let clone3 = program([(SYS_clone3, Vec::new())].into(), ENOSYS);
    for program in [rules().and_then(|rules| program(rules, EPERM)), clone3] {
        let program = program.map_err(|e| e.to_string())?;
        seccompiler::apply_filter(&program).map_err(|e| e.to_string())?;
    }
    Ok(REFUSED.len())
}

/// The rules by system call; a call without rules is always refused.
type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn rules() -> Result<Rules, seccompiler::BackendError> {
    let mut rules: Rules = REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    let of_bpf = REFUSED_OF_BPF.iter().map(|command| {
        let is = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, u64::from(*command))?;
        SeccompRule::new(vec![is])
    });
    rules.insert(SYS_bpf, of_bpf.collect::<Result<_, _>>()?);
    let namespaces = NAMESPACES.into_iter().map(|flag| {
        let flag = u64::from(flag.cast_unsigned());
        let has = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(flag), flag)?;
        SeccompRule::new(vec![has])
    });
    rules.insert(SYS_clone, namespaces.collect::<Result<_, _>>()?);
    #[cfg(target_arch = "x86_64")]
    rules.extend(X32.1.map(|call| (call, Vec::new())));
    Ok(rules)
}

/// Returns a program that makes the calls fail with `errno`.
fn program(rules: Rules, errno: c_int) -> Result<BpfProgram, seccompiler::BackendError> {
    #[cfg(target_arch = "x86_64")]
    let rules =
        rules.iter().flat_map(|(call, of)| [(*call, of.clone()), (call | X32.0, of.clone())]).collect();
    let (refuse, allow) = (SeccompAction::Errno(errno.cast_unsigned()), SeccompAction::Allow);
    SeccompFilter::new(rules, allow, refuse, std::env::consts::ARCH.try_into()?)?.try_into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errno() -> Option<i32> {
        std::io::Error::last_os_error().raw_os_error()
    }

    #[test]
    fn a_program_cannot_be_loaded_but_a_map_can_be_looked_at() {
        let outcome = std::thread::spawn(|| {
            refuse().unwrap();
            [libbpf_sys::BPF_PROG_LOAD, libbpf_sys::BPF_MAP_LOOKUP_ELEM].map(|command| {
                // SAFETY: nothing is mapped at the null address, so the call fails, even if the kernel reads there.
                (unsafe { syscall(SYS_bpf, command, std::ptr::null::<u8>(), 8) }, errno())
            })
        });
        let [load, look] = outcome.join().unwrap();
        assert_eq!(load, (-1, Some(EPERM)));
        assert!(look.0 == -1 && look.1 != Some(EPERM), "{look:?}");
    }

    #[test]
    fn each_call_is_refused() {
        let allowed = std::thread::spawn(|| {
            refuse().unwrap();
            let call = |number: &c_long| {
                // SAFETY: with these invalid arguments, a call that is not refused fails or does nothing.
                let result = unsafe { syscall(*number, -1, 0, 0, 0, 0, 0) };
                (result, errno())
            };
            // These would have an effect if they were not refused.
            let harmful = [SYS_vhangup, SYS_reboot, SYS_sethostname, SYS_setdomainname, SYS_kexec_load];
            let harmless = REFUSED.iter().filter(|call| !harmful.contains(call));
            harmless.filter(|number| call(number) != (-1, Some(EPERM))).copied().collect::<Vec<_>>()
        });
        assert_eq!(allowed.join().unwrap(), [0; 0]);
    }

    #[test]
    fn namespaces_are_refused_and_threads_are_not() {
        let outcome = std::thread::spawn(|| {
            refuse().unwrap();
            let made = NAMESPACES.map(|flag| {
                // SAFETY: CLONE_THREAD without CLONE_SIGHAND is invalid, so a call that is not refused fails.
                (unsafe { syscall(SYS_clone, flag | CLONE_THREAD, 0, 0, 0, 0) }, errno())
            });
            // SAFETY: a structure of no bytes is invalid, so a call that is not refused fails.
            let clone3 = (unsafe { syscall(SYS_clone3, std::ptr::null::<u8>(), 0) }, errno());
            (made, clone3, std::thread::spawn(|| 7).join().unwrap())
        });
        let (made, clone3, thread) = outcome.join().unwrap();
        assert_eq!(made, [(-1, Some(EPERM)); NAMESPACES.len()]);
        assert_eq!((clone3, thread), ((-1, Some(ENOSYS)), 7));
    }
}

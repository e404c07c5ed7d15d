use super::process::{of_child, status};
use crate::{
    harness::{Params, Test},
    syscall,
};

const EINVAL: i64 = -(libc::EINVAL as i64);
const EFAULT: i64 = -(libc::EFAULT as i64);

/// `struct __user_cap_header_struct` of the current version, for the calling thread.
const HEADER: [u32; 2] = [0x2008_0522, 0];

/// Returns sets of capabilities: effective, permitted, inheritable; the low half of each, then the high one.
fn sets(effective: u64, permitted: u64, inheritable: u64) -> [u32; 6] {
    let sets = [effective, permitted, inheritable];
    [0, 1, 2, 3, 4, 5].map(|i| (sets[i % 3] >> (32 * (i / 3))) as u32)
}

/// Returns a capability set of this thread.
fn own(set: &str) -> u64 {
    u64::from_str_radix(&status("thread-self", set), 16).unwrap()
}

#[track_caller]
fn assert_sets(event: &Params, res: i64, inheritable: u64, permitted: u64, effective: u64) {
    event.i64("res", res).u64("cap_inheritable", inheritable);
    event.u64("cap_permitted", permitted).u64("cap_effective", effective);
}

pub fn capset_e(t: &mut Test) {
    t.fails(libc::EFAULT, || syscall!(SYS_capset, 1usize, 1usize));
    let sets = sets(own("CapEff"), own("CapPrm"), own("CapInh"));
    t.succeeds(|| syscall!(SYS_capset, HEADER.as_ptr(), sets.as_ptr()));
}

pub fn capset_x(t: &mut Test) {
    // A failed call does not change the thread's capabilities.
    let event = t.fails(libc::EFAULT, || syscall!(SYS_capset, HEADER.as_ptr(), 1usize));
    assert_sets(&event, EFAULT, own("CapInh"), own("CapPrm"), own("CapEff"));
    // Everyone who may run the tests has these: CHOWN, DAC_OVERRIDE, SYS_ADMIN, BPF.
    let (chown, dac_override, sys_admin, bpf) = (1 << 0, 1 << 1, 1 << 21, 1u64 << 39);
    let permitted = chown | dac_override | sys_admin | bpf;
    let (inheritable, effective) = (dac_override | sys_admin, chown | bpf);
    let sets = sets(effective, permitted, inheritable);
    let (ret, event) = of_child(t, || syscall!(SYS_capset, HEADER.as_ptr(), sets.as_ptr()));
    assert_eq!(ret, 0);
    assert_sets(&event, 0, inheritable, permitted, effective);
}

const SECCOMP_SET_MODE_FILTER: u32 = 1;
const SECCOMP_GET_ACTION_AVAIL: u32 = 2;

/// Installs a filter of one instruction, which allows every call.
fn seccomp_allow(flags: u32) -> i64 {
    let instruction = libc::sock_filter { code: 6, jt: 0, jf: 0, k: 0x7fff_0000 };
    let program = libc::sock_fprog { len: 1, filter: (&raw const instruction).cast_mut() };
    syscall!(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &raw const program)
}

pub fn seccomp_e(t: &mut Test) {
    t.fails(libc::EINVAL, || syscall!(SYS_seccomp, 9999, 5, 0)).u64("op", 9999).u64("flags", 5);
    let (ret, event) = of_child(t, || seccomp_allow(2));
    assert_eq!(ret, 0);
    event.u64("op", SECCOMP_SET_MODE_FILTER.into()).u64("flags", 2);
}

pub fn seccomp_x(t: &mut Test) {
    // The kernel uses 32 bits of either.
    let (op, flags) = (0xff_0000_270fu64, 0xff_8000_0001u64);
    t.fails(libc::EINVAL, || syscall!(SYS_seccomp, op, flags, 0))
        .i64("res", EINVAL)
        .u64("op", 9999)
        .u64("flags", 0x8000_0001);
    let action = 0x7fff_0000u32;
    t.succeeds(|| syscall!(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &raw const action))
        .1
        .i64("res", 0)
        .u64("op", SECCOMP_GET_ACTION_AVAIL.into())
        .u64("flags", 0);
    let (ret, event) = of_child(t, || seccomp_allow(2));
    assert_eq!(ret, 0);
    event.i64("res", 0).u64("op", SECCOMP_SET_MODE_FILTER.into()).u64("flags", 2);
}

use crate::{
    compat::{self, LowMemory, syscall32},
    harness::{Params, Test},
};

const ESRCH: i64 = -(libc::ESRCH as i64);
const EFAULT: i64 = -(libc::EFAULT as i64);
const EINVAL: i64 = -(libc::EINVAL as i64);
/// No valid process.
const NOBODY: i32 = -7;

const TEXT: &[u8] = b"abcd\0efgh";

/// Returns this process's pid: it may access its own memory as another's.
fn own_pid() -> i32 {
    std::process::id() as i32
}

/// Returns consecutive buffers of these sizes.
fn pieces(memory: &[u8], sizes: &[usize]) -> Vec<libc::iovec> {
    let mut at = 0;
    let piece = |size: &usize| {
        let base = memory[at..at + size].as_ptr() as *mut _;
        at += size;
        libc::iovec { iov_base: base, iov_len: *size }
    };
    sizes.iter().map(piece).collect()
}

fn call(number: libc::c_long, pid: i32, own: &[libc::iovec], other: &[libc::iovec]) -> i64 {
    // SAFETY: the kernel checks the buffers, and writes only to memory of the tests.
    let ret =
        unsafe { libc::syscall(number, pid, own.as_ptr(), own.len(), other.as_ptr(), other.len(), 0usize) };
    if ret == -1 { -i64::from(std::io::Error::last_os_error().raw_os_error().unwrap()) } else { ret }
}

#[track_caller]
fn assert_event(event: &Params, res: i64, pid: i32, data: &[u8]) {
    event.i64("res", res).i64("pid", pid.into()).bytes("data", data);
}

fn both_enter(t: &mut Test, number: libc::c_long) {
    let memory = [0; 18];
    let (own, other) = (pieces(&memory[..9], &[4, 5]), pieces(&memory[9..], &[9]));
    t.fails(libc::ESRCH, || call(number, NOBODY, &own, &other));
    t.succeeds(|| call(number, own_pid(), &own, &other));
}

pub fn process_vm_readv_e(t: &mut Test) {
    both_enter(t, libc::SYS_process_vm_readv);
}

pub fn process_vm_writev_e(t: &mut Test) {
    both_enter(t, libc::SYS_process_vm_writev);
}

/// Tests what both calls share: each time, both memories hold the text.
fn both_exit(t: &mut Test, number: libc::c_long, number32: u32) {
    let (near, far) = (TEXT.to_vec(), TEXT.to_vec());
    let (own, other) = (pieces(&near, &[2, 0, 7]), pieces(&far, &[6, 3]));
    let event = t.fails(libc::ESRCH, || call(number, NOBODY, &own, &other));
    assert_event(&event, ESRCH, NOBODY, b"");
    let (_, event) = t.succeeds(|| call(number, own_pid(), &own, &other));
    assert_event(&event, 9, own_pid(), TEXT);
    // Less than there is room for, and nothing at all.
    let (_, event) = t.succeeds(|| call(number, own_pid(), &own, &other[..1]));
    assert_event(&event, 6, own_pid(), &TEXT[..6]);
    let (_, event) = t.succeeds(|| call(number, own_pid(), &own, &[]));
    assert_event(&event, 0, own_pid(), b"");
    let nowhere = [libc::iovec { iov_base: std::ptr::dangling_mut::<u8>().cast(), iov_len: 5 }];
    let event = t.fails(libc::EFAULT, || call(number, own_pid(), &own, &nowhere));
    assert_event(&event, EFAULT, own_pid(), b"");
    // One buffer more than the kernel accepts.
    let many = pieces(&near, &[0; 1025]);
    let event = t.fails(libc::EINVAL, || call(number, own_pid(), &many, &other));
    assert_event(&event, EINVAL, own_pid(), b"");

    // Up to the snaplen, which ends within a buffer; from at most 32 buffers.
    let (near, far) = (vec![b'x'; 1024], vec![b'x'; 1024]);
    let (own, other) = (pieces(&near, &[70, 5, 50]), pieces(&far, &[125]));
    let (_, event) = t.succeeds(|| call(number, own_pid(), &own, &other));
    assert_event(&event, 125, own_pid(), &near[..80]);
    let (own, other) = (pieces(&near, &[1; 1024]), pieces(&far, &[1024]));
    let (_, event) = t.succeeds(|| call(number, own_pid(), &own, &other));
    assert_event(&event, 1024, own_pid(), &near[..32]);

    if !compat::HERE {
        return;
    }
    let mut memory = LowMemory::new();
    let (near, far) = (memory.put(TEXT), memory.put(TEXT));
    let (own, other) = (memory.put_words(&[near, 3, near + 3, 6]), memory.put_words(&[far, 9]));
    let (_, event) = t.succeeds(|| syscall32(number32, [own_pid() as u32, own, 2, other, 1, 0]));
    assert_event(&event, 9, own_pid(), TEXT);
}

pub fn process_vm_readv_x(t: &mut Test) {
    both_exit(t, libc::SYS_process_vm_readv, 347);
    // The caller's memory is recorded.
    let (near, far) = (vec![0; 9], TEXT.to_vec());
    let (own, other) = (pieces(&near, &[9]), pieces(&far, &[9]));
    let (_, event) = t.succeeds(|| call(libc::SYS_process_vm_readv, own_pid(), &own, &other));
    assert_event(&event, 9, own_pid(), TEXT);
}

pub fn process_vm_writev_x(t: &mut Test) {
    both_exit(t, libc::SYS_process_vm_writev, 348);
    let (near, far) = (TEXT.to_vec(), vec![0; 9]);
    let (own, other) = (pieces(&near, &[9]), pieces(&far, &[9]));
    let (_, event) = t.succeeds(|| call(libc::SYS_process_vm_writev, own_pid(), &own, &other));
    assert_event(&event, 9, own_pid(), TEXT);
}

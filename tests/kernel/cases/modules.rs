use std::ffi::CString;

use super::addresses::{NO_FD, own};
use crate::{
    harness::{Params, Test},
    syscall,
};

const EINVAL: i64 = -(libc::EINVAL as i64);

/// Makes a call that fails, both on a kernel with modules (because of its arguments) and on one without.
fn refused(t: &mut Test, call: impl FnOnce() -> i64) -> (i64, Params) {
    let captured = t.capture(call);
    let ret = captured.ret;
    assert!(ret < 0, "the call returned {ret}");
    (ret, captured.one())
}

pub fn init_module_e(t: &mut Test) {
    refused(t, || syscall!(SYS_init_module, 1usize, 2, 3usize));
}

#[track_caller]
fn assert_image((res, event): (i64, Params), img: &[u8], length: u64) -> Params {
    event.i64("res", res).bytes("img", img).u64("length", length);
    event
}

pub fn init_module_x(t: &mut Test) {
    let image = [0x5a_u8; 100];
    let options = CString::new("one=1 two=2").unwrap();
    let refuse = |t: &mut Test, length: usize| {
        refused(t, || syscall!(SYS_init_module, image.as_ptr(), length, options.as_ptr()))
    };
    assert_image(refuse(t, 7), &image[..7], 7).text("uargs", c"one=1 two=2");
    // At most the snaplen.
    assert_image(refuse(t, 100), &image[..80], 100).text("uargs", c"one=1 two=2");
    assert_image(refuse(t, 0), b"", 0).text("uargs", c"one=1 two=2");
    let unreadable = refused(t, || syscall!(SYS_init_module, 1usize, 7, 1usize));
    assert_image(unreadable, b"", 7).empty("uargs");

    // The largest sizes of both still fit into one event.
    t.snaplen(65535);
    let image = vec![0x5a_u8; 70_000];
    let options = CString::new(vec![b'o'; 5000]).unwrap();
    let (res, event) =
        refused(t, || syscall!(SYS_init_module, image.as_ptr(), image.len(), options.as_ptr()));
    event.i64("res", res).u64("length", 70_000);
    event.bytes("uargs", &[&[b'o'; 4095], &b"\0"[..]].concat());
    let kept = event.bytes_of("img");
    assert!(kept.len() > 60_000 && kept.iter().all(|byte| *byte == 0x5a), "{} bytes", kept.len());
}

pub fn finit_module_e(t: &mut Test) {
    refused(t, || syscall!(SYS_finit_module, NO_FD, 1usize, 0));
}

pub fn finit_module_x(t: &mut Test) {
    let options = CString::new("").unwrap();
    for (flags, expected) in [(1, 1), (2, 2), (4, 4), (-1i32, 7), (8, 0)] {
        let (res, event) = refused(t, || syscall!(SYS_finit_module, NO_FD, options.as_ptr(), flags));
        event.i64("res", res).i64("fd", NO_FD.into()).text("uargs", c"").u32("flags", expected);
    }
    let (res, event) = refused(t, || syscall!(SYS_finit_module, NO_FD, 1usize, 0));
    event.i64("res", res).i64("fd", NO_FD.into()).empty("uargs").u32("flags", 0);
}

pub fn delete_module_e(t: &mut Test) {
    refused(t, || syscall!(SYS_delete_module, 1usize, 0));
}

pub fn delete_module_x(t: &mut Test) {
    let name = CString::new("no_such_module").unwrap();
    let (nonblock, trunc) = (libc::O_NONBLOCK, libc::O_TRUNC);
    for (flags, expected) in [(trunc, 1), (nonblock, 2), (nonblock | trunc | libc::O_CREAT, 3), (0, 0)] {
        let (res, event) = refused(t, || syscall!(SYS_delete_module, name.as_ptr(), flags));
        event.i64("res", res).text("name", &name).u32("flags", expected);
    }
    let (res, event) = refused(t, || syscall!(SYS_delete_module, 1usize, 0));
    event.i64("res", res).empty("name").u32("flags", 0);
}

const BPF_MAP_CREATE: u32 = 0;
const BPF_MAP_UPDATE_ELEM: u32 = 2;
const BPF_MAP_DELETE_ELEM: u32 = 3;

/// Creates an array of one element, and returns its descriptor.
fn bpf_array() -> i64 {
    let mut attributes = [0u32; 16];
    attributes[..4].copy_from_slice(&[2, 4, 8, 1]); // BPF_MAP_TYPE_ARRAY; sizes of key and value; entries
    syscall!(SYS_bpf, BPF_MAP_CREATE, attributes.as_ptr(), size_of_val(&attributes))
}

/// Makes a bpf call on a new thread, as the harness also makes bpf calls to add and remove its thread. Returns the
/// call's result and its event, and the harness's.
fn bpf_on_thread(t: &mut Test, call: impl FnOnce() -> i64 + Send) -> (i64, Params, Params) {
    let captured = t.capture(|| std::thread::scope(|scope| scope.spawn(call).join().unwrap()));
    let (ret, tid) = (captured.ret, captured.tid);
    let (mut harness, mut own): (Vec<_>, Vec<_>) = captured.all().into_iter().partition(|e| e.tid() == tid);
    assert_eq!((harness.len(), own.len()), (1, 1));
    (ret, own.remove(0), harness.remove(0))
}

pub fn bpf_e(t: &mut Test) {
    // No valid command, and without bit 16, which newer kernels treat as a flag.
    let no_command = -65_545;
    let (ret, event, harness) = bpf_on_thread(t, || syscall!(SYS_bpf, no_command, 0, 0));
    assert_eq!(ret, EINVAL);
    event.i64("cmd", no_command);
    harness.i64("cmd", BPF_MAP_DELETE_ELEM.into());
    let (fd, event, harness) = bpf_on_thread(t, bpf_array);
    let _array = own(fd);
    event.i64("cmd", BPF_MAP_CREATE.into());
    harness.i64("cmd", BPF_MAP_DELETE_ELEM.into());
}

pub fn bpf_x(t: &mut Test) {
    let (ret, event, harness) = bpf_on_thread(t, || syscall!(SYS_bpf, 9999, 0, 0));
    assert_eq!(ret, EINVAL);
    event.i64("fd", EINVAL).u32("cmd", 9999);
    harness.i64("fd", 0).u32("cmd", BPF_MAP_UPDATE_ELEM);
    let (fd, event, harness) = bpf_on_thread(t, bpf_array);
    let _array = own(fd);
    event.i64("fd", fd).u32("cmd", BPF_MAP_CREATE);
    harness.i64("fd", 0).u32("cmd", BPF_MAP_UPDATE_ELEM);
}

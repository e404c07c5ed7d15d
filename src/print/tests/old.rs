//! Old captures: only the enter event has a call's arguments.

use super::*;

#[test]
fn an_exit_event_shows_the_arguments_of_its_call() {
    let open = [Value::Fd(3), Value::Text(b"../log"), Value::Flags(1), Value::Uint(0)];
    let capture = Capture::new()
        .old(100, "PPME_SYSCALL_OPENAT_E", &open)
        .old(100, "PPME_SYSCALL_OPENAT_X", &[Value::Fd(9)])
        .event(100, "write_e", &[Value::Fd(9), Value::Uint(2)])
        .event(100, "write_x", &[Value::Errno(2), Value::Bytes(b"hi")])
        .old(100, "PPME_SYSCALL_DUP_E", &[Value::Fd(9)])
        .old(100, "PPME_SYSCALL_DUP_X", &[Value::Fd(10)])
        .event(100, "syscall_e", &[Value::Syscall(16), Value::Uint(39)])
        .event(100, "syscall_x", &[Value::Syscall(16)]);
    let lines = capture.lines();
    assert_eq!(
        lines[1],
        "< openat fd=9(<f>/srv/log) dirfd=3(<f>/srv/data) name=../log(/srv/log) flags=1(O_RDONLY) mode=0"
    );
    assert_eq!(lines[3], "< write res=2 data=hi fd=9(<f>/srv/log) size=2");
    assert_eq!(lines[5], "< dup res=10(<f>/srv/log) oldfd=9(<f>/srv/log)");
    assert_eq!(lines[7], "< getpid ID=16(getpid) nativeID=39");
}

/// In a file of two captures, an enter event at the end of the first does not belong to the second.
#[test]
fn a_call_does_not_go_on_in_another_section() {
    let mut capture = Capture::new().event(100, "close_e", &[Value::Fd(3)]);
    capture.bytes.extend(Capture::new().event(100, "close_x", &[Value::Errno(0)]).bytes);
    assert_eq!(capture.lines()[1], "< close res=0");
}

#[test]
fn signed_numbers_have_a_sign() {
    let (minus_5, seek_end) = (Value::Uint((-5i64) as u64), Value::Enum(2));
    let lseek = [Value::Errno(-22), Value::Fd(3), minus_5, seek_end];
    let futex = [Value::Errno(0), Value::Uint(0), Value::Flags(1), Value::Uint(u64::MAX)];
    let capture = Capture::new()
        .event(100, "lseek_x", &lseek)
        .event(100, "futex_x", &futex)
        .event(100, "pread_x", &[Value::Errno(-22), NA, Value::Fd(3), Value::Uint(1), minus_5])
        .event(100, "munmap_x", &[Value::Errno(-22), NA, NA, NA, Value::Uint(0), Value::Uint(u64::MAX)]);
    let lines = capture.lines();
    assert_eq!(lines[0], "< lseek res=-22(EINVAL) fd=3(<f>/srv/data) offset=-5 whence=2(SEEK_END)");
    assert!(lines[1].ends_with(" val=-1"), "{}", lines[1]);
    assert!(lines[2].ends_with(" pos=-5"), "{}", lines[2]);
    assert!(lines[3].ends_with(" length=18446744073709551615"), "{}", lines[3]);
    assert_eq!(capture.json()[0]["args"]["offset"], -5);
}

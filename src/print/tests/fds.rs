//! The file descriptor table.

use super::*;

const OK: Value<'static> = Value::Errno(0);

fn openat(capture: Capture, fd: i64, name: &str, flags: u32, ino: u64) -> Capture {
    let name = Value::Text(name.as_bytes());
    let values = [Value::Fd(fd), Value::Fd(-100), name, Value::Flags(flags), NA, NA, Value::Uint(ino)];
    capture.event(100, "openat_x", &values)
}

#[test]
fn a_handle_opens_a_file() {
    let path = Value::Text(b"/etc/hostname");
    let looks = Capture::new()
        .event(100, "open_by_handle_at_x", &[Value::Fd(9), Value::Fd(3), Value::Flags(1), path])
        .look(100, 9)
        .looks();
    assert_eq!(looks, ["9(<f>/etc/hostname)"]);
}

#[test]
fn a_file_without_a_name_is_known_by_its_inode() {
    // O_TMPFILE comes with O_DIRECTORY.
    let capture = openat(Capture::new(), 9, "tmp", 8192 | 1024 | 3, 77);
    let looks = openat(capture, 8, "tmp", 1024 | 1, 5).look(100, 9).look(100, 8).looks();
    assert_eq!(looks, ["9(<f>/srv/tmp/#77 (deleted))", "8(<d>/srv/tmp)"]);
}

#[test]
fn a_result_of_fcntl_or_bpf_is_a_descriptor_where_the_command_makes_one() {
    let (getfd, setfd, dupfd, getfl) = (Value::Enum(2), Value::Enum(3), Value::Enum(1), Value::Enum(4));
    let capture = Capture::new()
        .event(100, "fcntl_x", &[Value::Fd(3), Value::Fd(4), getfl])
        .event(100, "fcntl_x", &[Value::Fd(-9), Value::Fd(77), getfl])
        .event(100, "fcntl_x", &[Value::Fd(20), Value::Fd(3), dupfd])
        .event(100, "bpf_x", &[Value::Fd(3), Value::Enum(1)])
        .event(100, "bpf_x", &[Value::Fd(21), Value::Enum(5)]);
    let lines = capture.lines();
    assert!(lines[0].starts_with("< fcntl res=3 fd=4(<f>/var/log/x)"), "{}", lines[0]);
    assert!(lines[1].starts_with("< fcntl res=-9(EBADF) fd=77 "), "{}", lines[1]);
    assert!(lines[2].starts_with("< fcntl res=20(<f>/srv/data) "), "{}", lines[2]);
    assert!(lines[3].starts_with("< bpf fd=3 "), "{}", lines[3]);
    assert!(lines[4].starts_with("< bpf fd=21(<b>) "), "{}", lines[4]);
    // An exec follows what F_GETFD returned or F_SETFD set, against the initial state: 4 had the flag, 3 had not.
    let looks = Capture::new()
        .event(100, "fcntl_x", &[Value::Fd(1), Value::Fd(3), getfd])
        .event(100, "fcntl_x", &[Value::Fd(0), Value::Fd(4), getfd])
        .event(100, "fcntl_x", &[Value::Fd(0), Value::Fd(5), setfd, Value::Uint(1)])
        .exec(100, "x")
        .look(100, 3)
        .look(100, 4)
        .look(100, 5)
        .looks();
    assert_eq!(looks, ["3", "4(<f>/var/log/x)", "5"]);
}

#[test]
fn a_number_below_0_is_an_error_where_it_is_the_result_alone() {
    let mmap = |fd, flags| {
        let (uint, prot) = (Value::Uint(0), Value::Flags(0));
        [Value::Errno(-1), uint, uint, uint, uint, uint, prot, Value::Flags(flags), Value::Fd(fd), uint]
    };
    let capture = Capture::new()
        .event(100, "mmap_x", &mmap(-1, 10))
        .event(100, "mmap_x", &mmap(3, 10))
        .event(100, "mmap_x", &mmap(3, 2))
        .event(100, "pipe_x", &[Value::Errno(-24), Value::Fd(-1), Value::Fd(-1)])
        .event(100, "close_x", &[Value::Errno(-9), Value::Fd(-100)])
        .event(100, "openat_x", &[Value::Fd(-1)]);
    let lines = capture.lines();
    let has = |i: usize, part: &str| assert!(lines[i].contains(part), "{part}: {}", lines[i]);
    has(0, "res=-1(EPERM)");
    has(0, "fd=-1 ");
    has(1, "fd=3 ");
    has(2, "fd=3(<f>/srv/data) ");
    has(3, "res=-24(EMFILE) fd1=-1 fd2=-1");
    has(4, "res=-9(EBADF) fd=-100");
    has(5, "fd=-1(EPERM)");
    assert_eq!(capture.json()[0]["args"]["fd"], json!({ "value": -1 }));
}

#[test]
fn a_close_that_fails_closes_all_the_same() {
    let capture = Capture::new()
        .event(100, "close_x", &[Value::Errno(-5), Value::Fd(3)])
        .look(100, 3)
        .event(100, "close_x", &[Value::Errno(-9), Value::Fd(4)])
        .look(100, 4);
    assert_eq!(capture.looks(), ["3", "4"]);
    let lines = capture.lines();
    assert_eq!(
        [&lines[0], &lines[2]],
        ["< close res=-5(EIO) fd=3(<f>/srv/data)", "< close res=-9(EBADF) fd=4"]
    );
}

/// Adds both returns of a clone by 100 with these `clone_flags`, in either order.
fn cloned(capture: Capture, child: u64, flags: u32, parent_first: bool) -> Capture {
    let side = |capture: Capture, tid: u64, res: i64, pid: u64, parent: i64| {
        let (id, pid) = (Value::Pid(tid as i64), Value::Pid(pid as i64));
        let mut values = vec![Value::Pid(res), Value::Text(b"/bin/sh"), NA, id, pid, Value::Pid(parent)];
        let flags = Value::Flags(flags);
        values.extend([NA, NA, NA, NA, NA, NA, NA, Value::Text(b"sh"), NA, flags, NA, NA, id, pid]);
        capture.event(tid, "clone_x", &values)
    };
    let parents = |capture| side(capture, 100, child as i64, 100, 1);
    let childs = |capture| side(capture, child, 0, child, 100);
    if parent_first { childs(parents(capture)) } else { parents(childs(capture)) }
}

#[test]
fn a_shared_table_is_one() {
    for parent_first in [false, true] {
        let looks = cloned(Capture::new(), 200, 1, parent_first)
            .event(200, "close_x", &[Value::Errno(0), Value::Fd(3)])
            .look(100, 3)
            .event(100, "dup2_x", &[Value::Fd(30), Value::Fd(4), Value::Fd(30)])
            .look(200, 30)
            // An exec ends the sharing: what it closes stays open in the other process.
            .exec(200, "x")
            .event(200, "close_x", &[Value::Errno(0), Value::Fd(5)])
            .look(100, 5)
            .looks();
        assert_eq!(looks, ["3", "30(<f>/var/log/x)", "5(<4t>127.0.0.1:4000->127.0.0.1:80)"]);
    }
}

#[test]
fn what_is_no_longer_shared_is_two() {
    let close = |capture: Capture, tid, fd| capture.event(tid, "close_x", &[OK, Value::Fd(fd)]);
    let shared = || cloned(Capture::new(), 200, 1 | 2, true);
    let looks = close(shared().event(200, "unshare_x", &[OK, Value::Flags(1)]), 200, 3).look(100, 3).looks();
    assert_eq!(looks, ["3(<f>/srv/data)"]);
    let range = [OK, Value::Uint(3), Value::Uint(3), Value::Flags(2)];
    let looks = shared().event(200, "close_range_x", &range).look(200, 3).look(100, 3).looks();
    assert_eq!(looks, ["3", "3(<f>/srv/data)"]);
    // The same holds for working directories.
    let chdir = |capture: Capture| {
        let changed = capture.event(200, "chdir_x", &[OK, Value::Text(b"/x")]);
        changed.event(100, "stat_x", &[OK, Value::Text(b"f")]).lines().pop().unwrap()
    };
    assert!(chdir(shared()).ends_with("path=f(/x/f)"));
    assert!(chdir(shared().event(200, "unshare_x", &[OK, Value::Flags(2)])).ends_with("path=f(/srv/f)"));
    assert!(chdir(cloned(Capture::new(), 200, 1, true)).ends_with("path=f(/srv/f)"));
}

#[test]
fn a_pidfd_leads_to_a_process_and_its_descriptors() {
    let getfd = |capture: Capture, fd, target| {
        capture.event(100, "pidfd_getfd_x", &[Value::Fd(fd), Value::Fd(9), Value::Fd(target), Value::Uint(0)])
    };
    let capture = Capture::new()
        .fork(200, 0, 200, 100)
        .fork(100, 200, 100, 1)
        .event(200, "dup2_x", &[Value::Fd(20), Value::Fd(3), Value::Fd(20)])
        .event(100, "pidfd_open_x", &[Value::Fd(9), Value::Pid(200), Value::Flags(0)]);
    let capture = getfd(getfd(capture, 10, 20), -9, 3);
    let capture = getfd(capture.event(200, "close_x", &[OK, Value::Fd(4)]), 4, 4)
        .look(100, 10)
        .look(100, 4)
        .look(100, 9);
    let lines = capture.lines();
    assert_eq!(
        lines[4],
        "< pidfd_getfd fd=10(<f>/srv/data) pid_fd=9(<P>pid:200) target_fd=20(<f>/srv/data) flags=0"
    );
    assert_eq!(lines[5], "< pidfd_getfd fd=-9(EBADF) pid_fd=9(<P>pid:200) target_fd=3(<f>/srv/data) flags=0");
    assert_eq!(capture.looks(), ["10(<f>/srv/data)", "4", "9(<P>pid:200)"]);
    // Without a known pidfd, target_fd has no name, above all not that of the caller's 3.
    let lines = getfd(Capture::new(), 10, 3).lines();
    assert_eq!(lines, ["< pidfd_getfd fd=10 pid_fd=9 target_fd=3 flags=0"]);
}

#[test]
#[cfg(target_endian = "little")]
fn what_came_with_a_message_takes_the_place_of_what_was_there() {
    let rights = b"\x14\0\0\0\0\0\0\0\x01\0\0\0\x01\0\0\0\x03\0\0\0\0\0\0\0";
    let recvmsg = |res| [Value::Errno(res), Value::Uint(1), NA, NA, Value::Bytes(rights), Value::Fd(5)];
    let looks = Capture::new()
        .event(100, "recvmsg_x", &recvmsg(-11))
        .look(100, 3)
        .event(100, "recvmsg_x", &recvmsg(1))
        .look(100, 3)
        .looks();
    assert_eq!(looks, ["3(<f>/srv/data)", "3"]);
}

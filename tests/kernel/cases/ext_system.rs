//! The system, groups, capabilities, and keys. Nothing here changes the machine: what would is refused, or in a namespace of
//! a child.

use std::ptr;

use super::ext::{BAD_ADDRESS, NO_PID, zeroed};
use crate::{
    rows,
    rows::{Row, RowTest},
    scratch::name,
    syscall,
};

pub const ROWS: &[RowTest] = rows![
    getgroups,
    setgroups,
    setfsuid,
    setfsgid,
    capget,
    uname,
    sysinfo,
    syslog,
    sethostname,
    setdomainname,
    reboot,
    vhangup,
    getrandom,
    ioperm,
    iopl,
    modify_ldt,
    uprobe,
    uretprobe,
    perf_event_open,
    lookup_dcookie,
    nfsservctl,
    _sysctl,
    getpmsg,
    add_key,
    request_key,
];

fn getgroups(t: &mut Row) {
    let mut list = [u32::MAX; 64];
    t.fails(libc::EINVAL, || syscall!(SYS_getgroups, -1, list.as_mut_ptr())).i32("size", -1).empty("list");
    // Only the count is wanted: the memory is not the call's.
    let (_, event) = t.succeeds(|| syscall!(SYS_getgroups, 0, list.as_mut_ptr()));
    event.i32("size", 0);
    assert!(event.bytes_of("list").len() <= 1);
    let event = t.in_child(|| {
        let groups = [5u32, 70_000];
        assert_eq!(syscall!(SYS_setgroups, 2, groups.as_ptr()), 0);
        syscall!(SYS_getgroups, 64, list.as_mut_ptr())
    });
    event.i64("res", 2).i32("size", 64).structures("list", &[5u32, 70_000]);
}

fn setgroups(t: &mut Row) {
    let list = [6u32, 0x0abc_def0, 7];
    let event = t.in_child(|| syscall!(SYS_setgroups, 3, list.as_ptr()));
    event.i64("res", 0).i32("size", 3).structures("list", &list);
    t.fails(libc::EFAULT, || syscall!(SYS_setgroups, 2, BAD_ADDRESS)).i32("size", 2).empty("list");
}

fn setfsuid(t: &mut Row) {
    // The call returns the former id, also if it changes nothing.
    t.succeeds(|| syscall!(SYS_setfsuid, -1)).1.u32("fsuid", u32::MAX);
    let event = t.in_child(|| syscall!(SYS_setfsuid, 65_534));
    event.u32("fsuid", 65_534).u32("res", rustix::process::geteuid().as_raw());
}

fn setfsgid(t: &mut Row) {
    t.succeeds(|| syscall!(SYS_setfsgid, -1)).1.u32("fsgid", u32::MAX);
    let event = t.in_child(|| syscall!(SYS_setfsgid, 65_533));
    event.u32("fsgid", 65_533).u32("res", rustix::process::getegid().as_raw());
}

fn capget(t: &mut Row) {
    let (mut header, mut data) = ([0x2008_0522u32, NO_PID as u32], [0u32; 6]);
    let mut get = |header: &mut [u32; 2]| syscall!(SYS_capget, header.as_mut_ptr(), data.as_mut_ptr());
    let event = t.fails(libc::ESRCH, || get(&mut header));
    event.structure("hdrp", &header).empty("datap");
    event.members("hdrp", &[("version", 0x2008_0522), ("pid", NO_PID.into())]);
    // The kernel says which version it prefers.
    header[0] = 0x77;
    let event = t.fails(libc::EINVAL, || get(&mut header));
    event.structure("hdrp", &header).empty("datap");
    header = [0x2008_0522, 0];
    let (_, event) = t.succeeds(|| get(&mut header));
    event.structure("hdrp", &header).structure("datap", &data);
    let names =
        ["effective", "permitted", "inheritable", "effective_high", "permitted_high", "inheritable_high"];
    for (name, value) in names.iter().zip(data) {
        event.members("datap", &[(name, value.into())]);
    }
}

fn uname(t: &mut Row) {
    let mut buf = zeroed::<libc::utsname>();
    t.fails(libc::EFAULT, || syscall!(SYS_uname, BAD_ADDRESS)).empty("buf");
    t.succeeds(|| syscall!(SYS_uname, &raw mut buf)).1.structure("buf", &buf);
}

fn sysinfo(t: &mut Row) {
    let mut info = zeroed::<libc::sysinfo>();
    t.fails(libc::EFAULT, || syscall!(SYS_sysinfo, BAD_ADDRESS)).empty("info");
    let (_, event) = t.succeeds(|| syscall!(SYS_sysinfo, &raw mut info));
    event.structure("info", &info).members(
        "info",
        &[
            ("uptime", info.uptime),
            ("load_1", info.loads[0] as i64),
            ("load_5", info.loads[1] as i64),
            ("load_15", info.loads[2] as i64),
            ("totalram", info.totalram as i64),
            ("freeram", info.freeram as i64),
            ("sharedram", info.sharedram as i64),
            ("bufferram", info.bufferram as i64),
            ("totalswap", info.totalswap as i64),
            ("freeswap", info.freeswap as i64),
            ("procs", info.procs.into()),
            ("totalhigh", info.totalhigh as i64),
            ("freehigh", info.freehigh as i64),
            ("mem_unit", info.mem_unit.into()),
        ],
    );
}

fn syslog(t: &mut Row) {
    let mut buffer = [0u8; 60];
    let mut log = |kind: i32| syscall!(SYS_syslog, kind, buffer.as_mut_ptr(), 60);
    t.fails(libc::EINVAL, || log(77)).u32("type", 77).empty("bufp").i32("len", 60);
    // The result is the size of the kernel's buffer: nothing is in ours.
    t.succeeds(|| log(10)).1.u32("type", 10).empty("bufp").i32("len", 60);
    let (length, event) = t.succeeds(|| log(3));
    event.u32("type", 3).bytes("bufp", &buffer[..length as usize]).i32("len", 60);
}

/// Tests a call that sets a name of the machine, in a namespace of the child's own.
fn names_the_machine(t: &mut Row, set: impl Fn(*const libc::c_char, usize) -> i64) {
    let host = name("scapd-test.example");
    t.fails(libc::EINVAL, || set(host.as_ptr(), 65)).i32("len", 65).bytes_of("name");
    t.fails(libc::EFAULT, || set(BAD_ADDRESS as *const _, 5)).empty("name").i32("len", 5);
    let event = t.in_child(|| match syscall!(SYS_unshare, libc::CLONE_NEWUTS) {
        0 => set(host.as_ptr(), 10),
        error => error,
    });
    event.i64("res", 0).bytes("name", b"scapd-test").i32("len", 10);
}

fn sethostname(t: &mut Row) {
    names_the_machine(t, |name, len| syscall!(SYS_sethostname, name, len));
}

fn setdomainname(t: &mut Row) {
    names_the_machine(t, |name, len| syscall!(SYS_setdomainname, name, len));
}

fn reboot(t: &mut Row) {
    // The kernel does nothing without its magic numbers.
    let text = name("to nowhere");
    let event = t.fails(libc::EINVAL, || syscall!(SYS_reboot, 0x1234_5678, 2, 0xa1b2_c3d4u32, text.as_ptr()));
    event.u32("magic", 0x1234_5678).u32("magic2", 2).u32("cmd", 0xa1b2_c3d4).text("arg", &text);
    let event = t.fails(libc::EINVAL, || syscall!(SYS_reboot, 3, 0x2812_1969, 0, BAD_ADDRESS));
    event.u32("magic", 3).u32("magic2", 0x2812_1969).u32("cmd", 0).empty("arg");
}

fn vhangup(t: &mut Row) {
    // In a session without a terminal there is nothing to hang up.
    let event = t.in_child(|| {
        syscall!(SYS_setsid);
        syscall!(SYS_vhangup)
    });
    event.i64("res", 0);
    let event = t.in_child(|| {
        syscall!(SYS_setsid);
        syscall!(SYS_setresuid, 65_534, 65_534, 65_534);
        syscall!(SYS_vhangup)
    });
    assert_eq!(event.number("res") as i64, -i64::from(libc::EPERM));
}

fn getrandom(t: &mut Row) {
    let mut bytes = [0u8; 33];
    let mut get = |flags: u32| syscall!(SYS_getrandom, bytes.as_mut_ptr(), 33usize, flags);
    t.fails(libc::EINVAL, || get(0x88)).u64("buflen", 33).u32("flags", 0x88);
    t.succeeds(|| get(1)).1.u64("buflen", 33).u32("flags", 1);
}

fn ioperm(t: &mut Row) {
    let event = t.fails(libc::EINVAL, || syscall!(SYS_ioperm, 0xffff0usize, 17usize, -2));
    event.u64("from", 0xffff0).u64("num", 17).i32("turn_on", -2);
    let event = t.in_child(|| syscall!(SYS_ioperm, 0x80usize, 2usize, 0));
    event.i64("res", 0).u64("from", 0x80).u64("num", 2).i32("turn_on", 0);
}

fn iopl(t: &mut Row) {
    t.fails(libc::EINVAL, || syscall!(SYS_iopl, 9)).i32("level", 9);
    t.in_child(|| syscall!(SYS_iopl, 0)).i64("res", 0).i32("level", 0);
}

fn modify_ldt(t: &mut Row) {
    let mut table = [0x11u8; 24];
    let (_, event) = t.succeeds(|| syscall!(SYS_modify_ldt, 2, table.as_mut_ptr(), 24usize));
    event.u32("func", 2).empty("ptr").u64("bytecount", 24);
    let length = event.number("res") as usize;
    event.bytes("table", &table[..length]);
    let entry = [0x3fff_u32, 0x1234_5000, 0xfff, 0xf1];
    // The kernel makes the error unsigned.
    let (ret, event) = t.succeeds(|| syscall!(SYS_modify_ldt, 17, entry.as_ptr(), 16usize));
    assert_eq!(ret as i32, -libc::EINVAL);
    event.u32("func", 17).u64("bytecount", 16).empty("table").structure("ptr", &entry);
    let members = [("entry_number", 0x3fff), ("base_addr", 0x1234_5000), ("limit", 0xfff), ("flags", 0xf1)];
    event.members("ptr", &members);
}

/// Calls that only the kernel's own code makes: without it they fail, or end the process.
fn uprobe(t: &mut Row) {
    const SYS_UPROBE: i64 = 336;
    probe_from_nowhere(t, SYS_UPROBE);
}

fn uretprobe(t: &mut Row) {
    const SYS_URETPROBE: i64 = 335;
    probe_from_nowhere(t, SYS_URETPROBE);
}

fn probe_from_nowhere(t: &mut Row, number: i64) {
    let event = t.of_dying_child(|| {
        // SAFETY: it is a process of its own, which may end here.
        unsafe { libc::syscall(number) };
    });
    assert!((event.number("res") as i64) < 0);
}

/// The first version of struct perf_event_attr.
#[repr(C)]
struct Attr {
    kind: u32,
    size: u32,
    config: u64,
    period: u64,
    sample_type: u64,
    read_format: u64,
    flags: [u32; 2],
    wakeup: u32,
    bp_type: u32,
    config1: u64,
}

fn perf_event_open(t: &mut Row) {
    let mut attr = Attr {
        kind: 1,
        size: 64,
        config: 9,
        period: 4001,
        sample_type: 0x1_0041,
        read_format: 5,
        flags: [0x4_0421, 0],
        wakeup: 6,
        bp_type: 7,
        config1: 1 << 40,
    };
    let open = |attr: &Attr, pid: i64, cpu: i32, group: i64, flags: u32| {
        syscall!(SYS_perf_event_open, &raw const *attr, pid, cpu, group, flags)
    };
    let event = t.fails(libc::EINVAL, || open(&attr, 0, -1, -1, 0x80));
    event.i64("pid", 0).i32("cpu", -1).i64("group_fd", -1).u32("flags", 0x80).structure("attr", &attr);
    let members = [
        ("type", 1),
        ("size", 64),
        ("config", 9),
        ("sample_period", 4001),
        ("sample_type", 0x1_0041),
        ("read_format", 5),
        ("flags", 0x4_0421),
        ("flags_high", 0),
        ("wakeup_events", 6),
        ("bp_type", 7),
        ("config1", 1 << 40),
    ];
    event.members("attr", &members);
    // A software event that counts nothing.
    attr = Attr { sample_type: 0, read_format: 0, period: 0, flags: [1, 0], bp_type: 0, config1: 0, ..attr };
    let (fd, event) = t.succeeds(|| open(&attr, 0, -1, -1, 8));
    event.i64("pid", 0).i32("cpu", -1).i64("group_fd", -1).u32("flags", 8).structure("attr", &attr);
    syscall!(SYS_close, fd);
}

/// A call that today's kernels refuse, or that some still have and refuse for another reason.
fn is_refused(t: &mut Row, number: i64, args: [usize; 5]) -> crate::harness::Params {
    t.fails_anyhow(|| {
        let [a, b, c, d, e] = args;
        // SAFETY: the kernel does not have the call, or refuses these arguments.
        match unsafe { libc::syscall(number, a, b, c, d, e) } {
            -1 => -i64::from(std::io::Error::last_os_error().raw_os_error().unwrap()),
            result => result,
        }
    })
}

fn lookup_dcookie(t: &mut Row) {
    let number = if cfg!(target_arch = "x86_64") { 212 } else { 18 };
    let event = is_refused(t, number, [0x1234_5678_9abc, BAD_ADDRESS, 77, 0, 0]);
    event.u64("cookie", 0x1234_5678_9abc).empty("buffer").u64("len", 77);
}

fn nfsservctl(t: &mut Row) {
    let number = if cfg!(target_arch = "x86_64") { 180 } else { 42 };
    let event = is_refused(t, number, [usize::MAX, 2, 3, 0, 0]);
    event.i32("cmd", -1).u64("argp", 2).u64("resp", 3);
}

fn _sysctl(t: &mut Row) {
    is_refused(t, 156, [0x18, 0, 0, 0, 0]).u64("args", 0x18);
}

fn getpmsg(t: &mut Row) {
    let event = is_refused(t, 181, [usize::MAX, 2, 3, 4, 5]);
    event.i64("fd", -1).u64("ctlptr", 2).u64("dataptr", 3).u64("bandp", 4).u64("flagsp", 5);
}

// -------------------------------------------------------------------- keys

const PROCESS_KEYRING: u32 = -2i32 as u32;

fn add_key(t: &mut Row) {
    let (kind, missing, what) = (name("user"), name("scapd-none"), name("scapd:test"));
    let add = |kind: &std::ffi::CStr, keyring: u32| {
        syscall!(SYS_add_key, kind.as_ptr(), what.as_ptr(), b"secret!".as_ptr(), 7usize, keyring)
    };
    let event = t.fails(libc::ENOKEY, || add(&missing, 0x7f00_0000));
    event.text("type", &missing).text("description", &what).u64("plen", 7).u32("keyring", 0x7f00_0000);
    let event = t.in_child(|| add(&kind, PROCESS_KEYRING));
    event.text("type", &kind).text("description", &what).u64("plen", 7).u32("keyring", PROCESS_KEYRING);
    assert!(event.number("res") > 0);
}

fn request_key(t: &mut Row) {
    let (kind, what, about) = (name("user"), name("scapd:none"), name("about it"));
    let event =
        t.fails(libc::ENOKEY, || syscall!(SYS_request_key, about.as_ptr(), what.as_ptr(), kind.as_ptr(), 5));
    event.text("type", &about).text("description", &what).text("callout_info", &kind).u32("dest_keyring", 5);
    let none = ptr::null::<u8>();
    let event = t.fails(libc::ENOKEY, || syscall!(SYS_request_key, kind.as_ptr(), what.as_ptr(), none, 0));
    event.text("type", &kind).text("description", &what).empty("callout_info").u32("dest_keyring", 0);
    let event = t.in_child(|| {
        let key = syscall!(SYS_add_key, kind.as_ptr(), what.as_ptr(), b"!".as_ptr(), 1usize, PROCESS_KEYRING);
        if key < 0 {
            return key;
        }
        syscall!(SYS_request_key, kind.as_ptr(), what.as_ptr(), none, 0)
    });
    event.text("type", &kind).text("description", &what).empty("callout_info").u32("dest_keyring", 0);
    assert!(event.number("res") > 0);
}

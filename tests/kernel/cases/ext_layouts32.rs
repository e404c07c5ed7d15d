//! Calls that all programs have, made by 32-bit programs on x86-64: the layouts of their structures differ.

use super::{
    ext::NO_PID,
    ext_compat::{BAD, EFAULT, EINVAL, block_and_send, exiting_child},
};
use crate::{
    compat::{LowMemory, syscall32},
    rows,
    rows::{Row, RowTest},
    syscall,
};

/// The tests.
pub const ROWS: &[RowTest] = rows![
    wait4,
    waitid,
    getrusage,
    times,
    time,
    gettimeofday,
    setitimer,
    clock_gettime,
    clock_adjtime,
    timer_create,
    timer_settime,
    rt_sigaction,
    rt_sigtimedwait,
    rt_sigqueueinfo,
    sigaltstack,
    uname,
    sysinfo,
    msgsnd,
    msgctl,
    shmctl,
    mq_open,
    futex_waitv,
    get_robust_list,
    lookup_dcookie,
];

fn wait4(t: &mut Row) {
    let mut memory = LowMemory::new();
    let (status, usage) = (memory.put_words(&[0x5555_5555]), memory.put_words(&[0; 18]));
    let mut child = 0;
    let (_, event) = t.by32(|| {
        child = exiting_child();
        syscall32(114, [child, status, 0, usage, 0, 0])
    });
    event.i64("pid", child.into()).structure("wstatus", &[0x600i32]).u32("options", 0);
    let words: [i32; 18] = memory.words(usage);
    event.structure("rusage", &words);
    let members = [("ru_maxrss", 4), ("ru_minflt", 8), ("ru_nvcsw", 16), ("ru_nivcsw", 17)];
    event.members("rusage", &members.map(|(name, index)| (name, words[index].into())));
}

fn waitid(t: &mut Row) {
    let mut memory = LowMemory::new();
    let (info, usage) = (memory.put_words(&[0; 32]), memory.put_words(&[0; 18]));
    let mut child = 0;
    let (_, event) = t.by32(|| {
        child = exiting_child();
        syscall32(284, [1, child, info, 4, usage, 0])
    });
    event.u32("idtype", 1).i64("id", child.into()).u32("options", 4);
    event.structure("infop", &memory.words::<32>(info)).structure("rusage", &memory.words::<18>(usage));
    event.members("infop", &[("si_signo", 17), ("si_code", 1), ("si_pid", child.into()), ("si_status", 6)]);
}

fn getrusage(t: &mut Row) {
    let mut memory = LowMemory::new();
    let usage = memory.put_words(&[0; 18]);
    t.call32(EINVAL, [7, usage, 0, 0, 0, 0]).u32("who", 7).empty("usage");
    t.call32(0, [0, usage, 0, 0, 0, 0]).u32("who", 0).structure("usage", &memory.words::<18>(usage));
}

fn times(t: &mut Row) {
    let mut memory = LowMemory::new();
    let buf = memory.put_words(&[9; 4]);
    let (_, event) = t.result32(43, [buf, 0, 0, 0, 0, 0]);
    let words: [i32; 4] = memory.words(buf);
    event.structure("buf", &words).members("buf", &[("tms_stime", words[1].into())]);
}

fn time(t: &mut Row) {
    t.call32(EFAULT, [BAD, 0, 0, 0, 0, 0]).u64("tloc", BAD.into());
}

fn gettimeofday(t: &mut Row) {
    let mut memory = LowMemory::new();
    let (tv, tz) = (memory.put_words(&[0; 2]), memory.put_words(&[9; 2]));
    let event = t.call32(0, [tv, tz, 0, 0, 0, 0]);
    let words: [i32; 2] = memory.words(tv);
    event.structure("tv", &words).structure("tz", &memory.words::<2>(tz));
    event.members("tv", &[("tv_sec", words[0].into()), ("tv_usec", words[1].into())]);
}

fn setitimer(t: &mut Row) {
    let mut memory = LowMemory::new();
    let (new, old) = (memory.put_words(&[0, 0, 90_001, 3]), memory.put_words(&[9; 4]));
    let event = t.call32(EINVAL, [9, new, old, 0, 0, 0]);
    event.u32("which", 9).structure("new_value", &[0i32, 0, 90_001, 3]).empty("old_value");
    event.members("new_value", &[("it_value_sec", 90_001), ("it_value_usec", 3)]);
}

fn clock_gettime(t: &mut Row) {
    let mut memory = LowMemory::new();
    let tp = memory.put_words(&[0; 4]);
    let event = t.call32(0, [1, tp, 0, 0, 0, 0]);
    event.u32("clockid", 1).structure("tp", &memory.words::<2>(tp));
    // Today's C libraries take the call with 64-bit times.
    let event = t.number32(403, 0, [1, tp, 0, 0, 0, 0]);
    let words: [i32; 4] = memory.words(tp);
    event.u32("clockid", 1).structure("tp", &words);
    event.members("tp", &[("tv_sec", words[0].into()), ("tv_nsec", words[2].into())]);
    t.number32(403, EINVAL, [99, tp, 0, 0, 0, 0]).u32("clockid", 99).empty("tp");
}

fn clock_adjtime(t: &mut Row) {
    let mut memory = LowMemory::new();
    let buf = memory.put_words(&[0; 52]);
    let (_, event) = t.result32(343, [0, buf, 0, 0, 0, 0]);
    let words: [i32; 32] = memory.words(buf);
    event.u32("clk_id", 0).structure("buf", &words);
    event.members("buf", &[("tick", words[11].into()), ("tai", words[20].into())]);
    let buf = memory.put_words(&[0; 52]);
    let (_, event) = t.result32(405, [0, buf, 0, 0, 0, 0]);
    let words: [i32; 52] = memory.words(buf);
    event.u32("clk_id", 0).structure("buf", &words).members("buf", &[("tick", words[22].into())]);
}

fn timer_create(t: &mut Row) {
    let mut memory = LowMemory::new();
    let mut words = [0u32; 16];
    words[..4].copy_from_slice(&[0x1234_5678, 10, 1, 77]);
    let (event, id) = (memory.put_words(&words), memory.put_words(&[9]));
    let recorded = t.call32(EINVAL, [99, event, id, 0, 0, 0]);
    recorded.u32("clockid", 99).structure("sevp", &words).empty("timerid");
    let recorded = t.call32(0, [1, event, id, 0, 0, 0]);
    let [id] = memory.words(id);
    recorded.u32("clockid", 1).structure("sevp", &words).i32("timerid", id);
    recorded.members("sevp", &[("sigev_value", 0x1234_5678), ("sigev_signo", 10), ("sigev_notify", 1)]);
    syscall!(SYS_timer_delete, id);
}

fn timer_settime(t: &mut Row) {
    let mut memory = LowMemory::new();
    let (new, old) = (memory.put_words(&[1, 2, 3, 4]), memory.put_words(&[9; 8]));
    let event = t.call32(EINVAL, [-9i32 as u32, 1, new, old, 0, 0]);
    event.i32("timerid", -9).u32("flags", 1).structure("new_value", &[1i32, 2, 3, 4]).empty("old_value");
    event.members("new_value", &[("it_interval_nsec", 2), ("it_value_sec", 3)]);
    let new = memory.put_words(&[1, 0, 2, 0, 3, 0, 4, 0]);
    let event = t.number32(409, EINVAL, [-9i32 as u32, 1, new, old, 0, 0]);
    event.i32("timerid", -9).u32("flags", 1).structure("new_value", &[1i64, 2, 3, 4]).empty("old_value");
    event.members("new_value", &[("it_interval_nsec", 2), ("it_value_sec", 3)]);
}

fn rt_sigaction(t: &mut Row) {
    let mut memory = LowMemory::new();
    let act = [1u32, 0x1000_0000, 0x77, 0x200, 0x8000_0000];
    let (act_at, old) = (memory.put_words(&act), memory.put_words(&[9; 5]));
    let event = t.call32(EINVAL, [9, act_at, old, 8, 0, 0]);
    event.u8("signum", 9).structure("act", &act).empty("oldact").u64("sigsetsize", 8);
    event.members("act", &[("sa_handler", 1), ("sa_flags", 0x1000_0000), ("sa_mask", 0x200 | 1 << 63)]);
    let event = t.call32(0, [23, 0, old, 8, 0, 0]);
    event.u8("signum", 23).empty("act").structure("oldact", &memory.words::<5>(old)).u64("sigsetsize", 8);
}

fn rt_sigtimedwait(t: &mut Row) {
    let mut memory = LowMemory::new();
    let (set, info) = (memory.put_words(&[0x200, 0]), memory.put_words(&[9; 32]));
    let timeout = memory.put_words(&[0, 3]);
    let event = t.call32(-i64::from(libc::EAGAIN), [set, info, timeout, 8, 0, 0]);
    event.u64("set", 0x200).empty("info").structure("timeout", &[0i32, 3]).u64("sigsetsize", 8);
    // With 64-bit times, the other structure is that of 32-bit programs still.
    let timeout = memory.put_words(&[0, 0, 3, 0]);
    let event = t.in_child_of(421, || {
        block_and_send();
        syscall32(421, [set, info, timeout, 8, 0, 0])
    });
    event.i64("res", 10).u64("set", 0x200).structure("timeout", &[0i64, 3]).u64("sigsetsize", 8);
    event.members("info", &[("si_signo", 10), ("si_pid", event.tid() as i64)]);
}

fn rt_sigqueueinfo(t: &mut Row) {
    let mut words = [0u32; 32];
    words[..6].copy_from_slice(&[10, 3, -1i32 as u32, 44, 55, 66]);
    let info = LowMemory::new().put_words(&words);
    let event = t.call32(-i64::from(libc::ESRCH), [NO_PID as u32, 10, info, 0, 0, 0]);
    event.i64("tgid", NO_PID.into()).u8("sig", 10).structure("info", &words);
    event.members("info", &[("si_errno", 3), ("si_pid", 44), ("si_uid", 55), ("si_value", 66)]);
}

fn sigaltstack(t: &mut Row) {
    let mut memory = LowMemory::new();
    let (stack, old) = (memory.put_words(&[0x1234_5000, 0x10, 65_536]), memory.put_words(&[9; 3]));
    let event = t.call32(EINVAL, [stack, old, 0, 0, 0, 0]);
    event.structure("ss", &[0x1234_5000u32, 0x10, 65_536]).empty("old_ss");
    event.members("ss", &[("ss_sp", 0x1234_5000), ("ss_flags", 0x10), ("ss_size", 65_536)]);
}

fn uname(t: &mut Row) {
    let mut memory = LowMemory::new();
    let buf = memory.put(&[9; 390]);
    t.call32(0, [buf, 0, 0, 0, 0, 0]).structure("buf", &memory.bytes::<390>(buf));
}

fn sysinfo(t: &mut Row) {
    let mut memory = LowMemory::new();
    let info = memory.put_words(&[9; 16]);
    let event = t.call32(0, [info, 0, 0, 0, 0, 0]);
    let words: [i32; 16] = memory.words(info);
    event.structure("info", &words);
    event.members("info", &[("uptime", words[0].into()), ("procs", i64::from(words[10] & 0xffff))]);
    event.members("info", &[("totalram", i64::from(words[4] as u32)), ("mem_unit", words[13].into())]);
}

fn msgsnd(t: &mut Row) {
    let message = LowMemory::new().put(b"\x07\0\0\0the text");
    let event = t.call32(EINVAL, [-3i32 as u32, message, 8, 0o4000, 0, 0]);
    event.i32("msqid", -3).u64("msgsz", 8).u32("msgflg", 0o4000);
    event.structure("msgp", &7i32).bytes("mtext", b"the text");
}

fn msgctl(t: &mut Row) {
    let mut memory = LowMemory::new();
    let buf = memory.put_words(&[9; 22]);
    let id = syscall!(SYS_msgget, libc::IPC_PRIVATE, 0o640);
    let event = t.call32(0, [id as u32, 2, buf, 0, 0, 0]);
    let words: [i32; 22] = memory.words(buf);
    event.i32("msqid", id as i32).u32("cmd", 2).structure("buf", &words).empty("newbuf").empty("info");
    event.members(
        "buf",
        &[("mode", 0o640), ("msg_ctime", words[13].into()), ("msg_qbytes", words[17].into())],
    );
    syscall!(SYS_msgctl, id, libc::IPC_RMID, 0);
}

fn shmctl(t: &mut Row) {
    let mut memory = LowMemory::new();
    let buf = memory.put_words(&[9; 21]);
    let id = syscall!(SYS_shmget, libc::IPC_PRIVATE, 8192usize, 0o640);
    let event = t.call32(0, [id as u32, 2, buf, 0, 0, 0]);
    event.i32("shmid", id as i32).u32("cmd", 2).structure("buf", &memory.words::<21>(buf));
    event.empty("newbuf").empty("limits").empty("info");
    event.members("buf", &[("mode", 0o640), ("shm_segsz", 8192), ("shm_cpid", std::process::id().into())]);
    let info = memory.put_words(&[9; 9]);
    let (_, event) = t.result32(396, [0, 3, info, 0, 0, 0]);
    event.i32("shmid", 0).u32("cmd", 3).structure("limits", &memory.words::<9>(info));
    event.empty("buf").empty("newbuf").empty("info");
    syscall!(SYS_shmctl, id, libc::IPC_RMID, 0);
}

fn mq_open(t: &mut Row) {
    let mut memory = LowMemory::new();
    let (name, attr) = (memory.put(b"scapd-none\0"), memory.put_words(&[0x800, 3, 40, 5, 0, 0, 0, 0]));
    let event = t.call32(-i64::from(libc::ENOENT), [name, 2, 0o640, attr, 0, 0]);
    event.text("name", c"scapd-none").u32("oflag", 2).u32("mode", 0o640);
    event.structure("attr", &[0x800i32, 3, 40, 5, 0, 0, 0, 0]);
    event.members("attr", &[("mq_flags", 0x800), ("mq_maxmsg", 3), ("mq_msgsize", 40)]);
}

fn futex_waitv(t: &mut Row) {
    let mut memory = LowMemory::new();
    let waiters = memory.put_words(&[5, 0, BAD, 0, 0x82, 0]);
    let timeout = memory.put_words(&[7, 0, 8, 0]);
    let (_, event) = t.result32(449, [waiters, 1, 4, timeout, 1, 0]);
    event.structure("waiters", &[5u32, 0, BAD, 0, 0x82, 0]).u32("nr_futexes", 1).u32("flags", 4);
    event.structure("timeout", &[7i64, 8]).u32("clockid", 1);
}

fn get_robust_list(t: &mut Row) {
    let mut memory = LowMemory::new();
    let (head, len) = (memory.put_words(&[9]), memory.put_words(&[9]));
    let event = t.call32(0, [0, head, len, 0, 0, 0]);
    event.i64("pid", 0).structure("head_ptr", &memory.words::<1>(head)).members("len_ptr", &[("length", 12)]);
}

fn lookup_dcookie(t: &mut Row) {
    // The first argument takes two registers.
    let (_, event) = t.result32(253, [0x1111_2222, 0x3333_4444, BAD, 77, 0, 0]);
    event.u64("cookie", 0x3333_4444_1111_2222).empty("buffer").u64("len", 77);
}

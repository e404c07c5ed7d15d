//! System V IPC, POSIX message queues, and futexes.

use std::{
    ffi::CString,
    ptr,
    sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    thread,
    time::Duration,
};

use super::ext::{BAD_ADDRESS, NO_PID, zeroed};
use crate::{
    rows,
    rows::{Row, RowTest},
    scratch::name,
    syscall,
};

pub const ROWS: &[RowTest] = rows![
    msgget,
    msgsnd,
    msgrcv,
    msgctl,
    shmget,
    shmat,
    shmdt,
    shmctl,
    semtimedop,
    mq_open,
    mq_unlink,
    mq_timedsend,
    mq_timedreceive,
    mq_notify,
    mq_getsetattr,
    futex_waitv,
    futex_wait,
    futex_wake,
    futex_requeue,
    set_robust_list,
    get_robust_list,
];

/// A key, and a number, that nothing has.
const NO_KEY: i32 = -0x5ca9_0002;
const NO_ID: i32 = -3;

/// A queue, a segment or a set of semaphores; removed when dropped.
struct Object(i32, i64);

impl Object {
    fn queue() -> Object {
        Object(syscall!(SYS_msgget, libc::IPC_PRIVATE, 0o600) as i32, libc::SYS_msgctl)
    }

    fn segment() -> Object {
        Object(syscall!(SYS_shmget, libc::IPC_PRIVATE, 8192usize, 0o600) as i32, libc::SYS_shmctl)
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        // SAFETY: it removes an object of the test's own.
        unsafe { libc::syscall(self.1, self.0, libc::IPC_RMID, 0) };
    }
}

// --------------------------------------------------------------- messages

#[repr(C)]
struct Message {
    kind: i64,
    text: [u8; 16],
}

static MESSAGE: Message = Message { kind: 0x1_0000_0007, text: *b"a message's text" };

fn msgget(t: &mut Row) {
    let flags = libc::IPC_EXCL | 0o640;
    t.fails(libc::ENOENT, || syscall!(SYS_msgget, NO_KEY, flags)).i32("key", NO_KEY).u32("msgflg", 0o2640);
    let (id, event) = t.succeeds(|| syscall!(SYS_msgget, libc::IPC_PRIVATE, libc::IPC_CREAT | 0o600));
    let _queue = Object(id as i32, libc::SYS_msgctl);
    event.i32("key", 0).u32("msgflg", 0o1600);
}

fn msgsnd(t: &mut Row) {
    let send = |id: i32, text: usize, flags: i32| syscall!(SYS_msgsnd, id, &raw const MESSAGE, text, flags);
    let event = t.fails(libc::EINVAL, || send(NO_ID, 16, libc::IPC_NOWAIT));
    event.i32("msqid", NO_ID).u64("msgsz", 16).u32("msgflg", 0o4000);
    event.structure("msgp", &MESSAGE.kind).bytes("mtext", b"a message's text");
    event.members("msgp", &[("mtype", 0x1_0000_0007)]);
    let queue = Object::queue();
    let (_, event) = t.succeeds(|| send(queue.0, 9, 0));
    event.i32("msqid", queue.0).u64("msgsz", 9).u32("msgflg", 0).bytes("mtext", b"a message");
    event.structure("msgp", &MESSAGE.kind);
}

fn msgrcv(t: &mut Row) {
    let mut message = Message { kind: -1, text: [0x55; 16] };
    let message = &raw mut message;
    let queue = Object::queue();
    let receive = |id: i32, kind: i64, flags: i32| syscall!(SYS_msgrcv, id, message, 16usize, kind, flags);
    let event = t.fails(libc::ENOMSG, || receive(queue.0, -9, libc::IPC_NOWAIT | 0o10000));
    event.i32("msqid", queue.0).u64("msgsz", 16).i64("msgtyp", -9).u32("msgflg", 0o14000);
    event.empty("msgp").empty("mtext");
    syscall!(SYS_msgsnd, queue.0, &raw const MESSAGE, 9usize, 0);
    let (length, event) = t.succeeds(|| receive(queue.0, 0x1_0000_0007, 0));
    assert_eq!(length, 9);
    event.i32("msqid", queue.0).u64("msgsz", 16).i64("msgtyp", 0x1_0000_0007).u32("msgflg", 0);
    event.structure("msgp", &MESSAGE.kind).bytes("mtext", b"a message");
}

fn msgctl(t: &mut Row) {
    let mut buf = zeroed::<libc::msqid_ds>();
    let mut control = |id: i32, cmd: i32| syscall!(SYS_msgctl, id, cmd, &raw mut buf);
    let event = t.fails(libc::EINVAL, || control(NO_ID, libc::IPC_STAT));
    event.i32("msqid", NO_ID).u32("cmd", 2).empty("buf").empty("newbuf").empty("info");
    let queue = Object::queue();
    syscall!(SYS_msgsnd, queue.0, &raw const MESSAGE, 9usize, 0);
    let (_, event) = t.succeeds(|| control(queue.0, libc::IPC_STAT));
    event.i32("msqid", queue.0).u32("cmd", 2).structure("buf", &buf).empty("newbuf").empty("info");
    event.members(
        "buf",
        &[
            ("key", 0),
            ("uid", buf.msg_perm.uid.into()),
            ("gid", buf.msg_perm.gid.into()),
            ("mode", 0o600),
            ("msg_stime", buf.msg_stime),
            ("msg_rtime", 0),
            ("msg_ctime", buf.msg_ctime),
            ("msg_cbytes", 9),
            ("msg_qnum", 1),
            ("msg_qbytes", buf.msg_qbytes as i64),
            ("msg_lspid", std::process::id().into()),
            ("msg_lrpid", 0),
        ],
    );
    let (_, event) = t.succeeds(|| syscall!(SYS_msgctl, queue.0, libc::IPC_SET, &raw mut buf));
    event.i32("msqid", queue.0).u32("cmd", 1).empty("buf").structure("newbuf", &buf).empty("info");
    let mut info = [0i32; 8];
    let (_, event) = t.succeeds(|| syscall!(SYS_msgctl, 0, 3, info.as_mut_ptr()));
    event.i32("msqid", 0).u32("cmd", 3).empty("buf").empty("newbuf").structure("info", &info);
    event.members("info", &[("msgmax", info[2].into()), ("msgmni", info[4].into())]);
}

// ---------------------------------------------------------- shared memory

fn shmget(t: &mut Row) {
    let flags = libc::IPC_EXCL | 0o10640;
    let event = t.fails(libc::ENOENT, || syscall!(SYS_shmget, NO_KEY, 0x1_0000_1000usize, flags));
    event.i32("key", NO_KEY).u64("size", 0x1_0000_1000).u32("shmflg", 0o12640);
    let (id, event) = t.succeeds(|| syscall!(SYS_shmget, libc::IPC_PRIVATE, 8192usize, 0o1600));
    let _segment = Object(id as i32, libc::SYS_shmctl);
    event.i32("key", 0).u64("size", 8192).u32("shmflg", 0o1600);
}

fn shmat(t: &mut Row) {
    let event = t.fails(libc::EINVAL, || syscall!(SYS_shmat, NO_ID, 0x7000_0001usize, 0o10000));
    event.i32("shmid", NO_ID).u64("shmaddr", 0x7000_0001).u32("shmflg", 0o10000);
    let segment = Object::segment();
    let (address, event) = t.succeeds(|| syscall!(SYS_shmat, segment.0, 0usize, 0o30000));
    event.i32("shmid", segment.0).u64("shmaddr", 0).u32("shmflg", 0o30000);
    syscall!(SYS_shmdt, address);
}

fn shmdt(t: &mut Row) {
    t.fails(libc::EINVAL, || syscall!(SYS_shmdt, 0x7000_0000usize)).u64("shmaddr", 0x7000_0000);
    let segment = Object::segment();
    let address = syscall!(SYS_shmat, segment.0, 0usize, 0);
    t.succeeds(|| syscall!(SYS_shmdt, address)).1.u64("shmaddr", address as u64);
}

fn shmctl(t: &mut Row) {
    let mut buf = zeroed::<libc::shmid_ds>();
    let mut control = |id: i32, cmd: i32| syscall!(SYS_shmctl, id, cmd, &raw mut buf);
    let event = t.fails(libc::EINVAL, || control(NO_ID, libc::IPC_STAT));
    event.i32("shmid", NO_ID).u32("cmd", 2);
    event.empty("buf").empty("newbuf").empty("limits").empty("info");
    let segment = Object::segment();
    let (_, event) = t.succeeds(|| control(segment.0, libc::IPC_STAT));
    event.i32("shmid", segment.0).u32("cmd", 2).structure("buf", &buf);
    event.empty("newbuf").empty("limits").empty("info");
    event.members(
        "buf",
        &[
            ("key", 0),
            ("cuid", buf.shm_perm.cuid.into()),
            ("cgid", buf.shm_perm.cgid.into()),
            ("mode", 0o600),
            ("shm_segsz", 8192),
            ("shm_atime", 0),
            ("shm_dtime", 0),
            ("shm_ctime", buf.shm_ctime),
            ("shm_cpid", std::process::id().into()),
            ("shm_lpid", 0),
            ("shm_nattch", 0),
        ],
    );
    let (_, event) = t.succeeds(|| syscall!(SYS_shmctl, segment.0, libc::IPC_SET, &raw mut buf));
    event.i32("shmid", segment.0).u32("cmd", 1).empty("buf").structure("newbuf", &buf);
    event.empty("limits").empty("info");
    let mut limits = [0u64; 9];
    let (_, event) = t.succeeds(|| syscall!(SYS_shmctl, 0, 3, limits.as_mut_ptr()));
    event.i32("shmid", 0).u32("cmd", 3).empty("buf").empty("newbuf").structure("limits", &limits);
    event.empty("info").members("limits", &[("shmmni", limits[2] as i64), ("shmall", limits[4] as i64)]);
    let mut info = [0u64; 6];
    let (_, event) = t.succeeds(|| syscall!(SYS_shmctl, 0, 14, info.as_mut_ptr()));
    event.i32("shmid", 0).u32("cmd", 14).empty("buf").empty("newbuf").empty("limits");
    event.structure("info", &info);
    event.members("info", &[("used_ids", info[0] as i32 as i64), ("shm_tot", info[1] as i64)]);
}

fn semtimedop(t: &mut Row) {
    let timeout = libc::timespec { tv_sec: 0, tv_nsec: 5 };
    let operations = [[2u16, 9, 0x1800], [1, -4i16 as u16, 0x1000]];
    let event = t.fails(libc::EINVAL, || {
        syscall!(SYS_semtimedop, NO_ID, operations.as_ptr(), 2usize, &raw const timeout)
    });
    event.i32("semid", NO_ID).structures("sops", &operations).u32("nsops", 2);
    event
        .structure("timeout", &timeout)
        .members("sops", &[("sem_num", 2), ("sem_op", 9), ("sem_flg", 0x1800)]);
    let set = syscall!(SYS_semget, libc::IPC_PRIVATE, 3, 0o600);
    let (_, event) = t.succeeds(|| syscall!(SYS_semtimedop, set, [[1u16, 3, 0]].as_ptr(), 1usize, 0usize));
    event.i32("semid", set as i32).structures("sops", &[[1u16, 3, 0]]).u32("nsops", 1).empty("timeout");
    syscall!(SYS_semctl, set, 0, libc::IPC_RMID, 0);
}

// --------------------------------------------------------- message queues

/// A queue with a name of the test's own; closed and removed when dropped.
struct Queue(i64, CString);

const ATTR: [i64; 8] = [0x800, 3, 40, 5, 0, 0, 0, 0];

impl Queue {
    fn new(test: &str) -> Queue {
        let own = name(&format!("scapd-{test}-{}", std::process::id()));
        let flags = libc::O_CREAT | libc::O_RDWR | libc::O_NONBLOCK;
        Queue(syscall!(SYS_mq_open, own.as_ptr(), flags, 0o600, ATTR.as_ptr()), own)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        syscall!(SYS_close, self.0);
        syscall!(SYS_mq_unlink, self.1.as_ptr());
    }
}

fn mq_open(t: &mut Row) {
    let missing = name("scapd-none");
    let open = |name: &CString, flags: i32| syscall!(SYS_mq_open, name.as_ptr(), flags, 0o640, ATTR.as_ptr());
    let event = t.fails(libc::ENOENT, || open(&missing, libc::O_WRONLY | libc::O_NONBLOCK));
    event.text("name", &missing).u32("oflag", 0x801).u32("mode", 0o640).structure("attr", &ATTR);
    event.members("attr", &[("mq_flags", 0x800), ("mq_maxmsg", 3), ("mq_msgsize", 40), ("mq_curmsgs", 5)]);
    let own = name(&format!("scapd-open-{}", std::process::id()));
    let (fd, event) = t.succeeds(|| open(&own, libc::O_CREAT | libc::O_RDWR | libc::O_CLOEXEC));
    let _queue = Queue(fd, own.clone());
    event.text("name", &own).u32("oflag", 0x8_0042).u32("mode", 0o640).structure("attr", &ATTR);
}

fn mq_unlink(t: &mut Row) {
    let missing = name("scapd-none");
    t.fails(libc::ENOENT, || syscall!(SYS_mq_unlink, missing.as_ptr())).text("name", &missing);
    let queue = Queue::new("unlink");
    t.succeeds(|| syscall!(SYS_mq_unlink, queue.1.as_ptr())).1.text("name", &queue.1);
}

fn mq_timedsend(t: &mut Row) {
    let timeout = libc::timespec { tv_sec: 1 << 40, tv_nsec: 7 };
    let send = |fd: i64, length: usize, priority: u32| {
        syscall!(SYS_mq_timedsend, fd, b"a message".as_ptr(), length, priority, &raw const timeout)
    };
    let event = t.fails(libc::EBADF, || send(-100, 9, 5));
    event.i64("mqdes", -100).bytes("msg_ptr", b"a message").u64("msg_len", 9).u32("msg_prio", 5);
    event.structure("abs_timeout", &timeout);
    let queue = Queue::new("send");
    let (_, event) = t.succeeds(|| send(queue.0, 4, 6));
    event.i64("mqdes", queue.0).bytes("msg_ptr", b"a me").u64("msg_len", 4).u32("msg_prio", 6);
    event.structure("abs_timeout", &timeout);
}

fn mq_timedreceive(t: &mut Row) {
    let timeout = libc::timespec { tv_sec: 1 << 40, tv_nsec: 7 };
    let (mut text, mut priority) = ([0x55u8; 48], 77u32);
    let (text_at, priority_at) = (text.as_mut_ptr(), &raw mut priority);
    let receive =
        |fd: i64| syscall!(SYS_mq_timedreceive, fd, text_at, 48usize, priority_at, &raw const timeout);
    let queue = Queue::new("receive");
    let event = t.fails(libc::EAGAIN, || receive(queue.0));
    event.i64("mqdes", queue.0).empty("msg_ptr").u64("msg_len", 48).empty("msg_prio");
    event.structure("abs_timeout", &timeout);
    syscall!(SYS_mq_timedsend, queue.0, b"a message".as_ptr(), 9usize, 5, 0usize);
    let (length, event) = t.succeeds(|| receive(queue.0));
    assert_eq!(length, 9);
    event.i64("mqdes", queue.0).bytes("msg_ptr", b"a message").u64("msg_len", 48).u32("msg_prio", 5);
    event.structure("abs_timeout", &timeout);
}

fn mq_notify(t: &mut Row) {
    let mut event = zeroed::<libc::sigevent>();
    (event.sigev_signo, event.sigev_notify) = (10, libc::SIGEV_NONE);
    let notify = |fd: i64| syscall!(SYS_mq_notify, fd, &raw const event);
    let failed = t.fails(libc::EBADF, || notify(-100));
    failed.i64("mqdes", -100).structure("sevp", &event);
    failed.members("sevp", &[("sigev_signo", 10), ("sigev_notify", 1)]);
    let queue = Queue::new("notify");
    t.succeeds(|| notify(queue.0)).1.i64("mqdes", queue.0).structure("sevp", &event);
}

fn mq_getsetattr(t: &mut Row) {
    let mut old = [9i64; 8];
    let old_at = old.as_mut_ptr();
    let change = |fd: i64| syscall!(SYS_mq_getsetattr, fd, ATTR.as_ptr(), old_at);
    let event = t.fails(libc::EBADF, || change(-100));
    event.i64("mqdes", -100).structure("newattr", &ATTR).empty("oldattr");
    let queue = Queue::new("attr");
    let (_, event) = t.succeeds(|| change(queue.0));
    event.i64("mqdes", queue.0).structure("newattr", &ATTR).structure("oldattr", &old);
    event.members("oldattr", &[("mq_maxmsg", 3), ("mq_msgsize", 40), ("mq_curmsgs", 0)]);
}

// ---------------------------------------------------------------- futexes

#[repr(C)]
#[derive(Clone, Copy)]
struct Waiter {
    val: u64,
    uaddr: u64,
    flags: u32,
    reserved: u32,
}

/// A private futex of 32 bits.
const PRIVATE_32: u32 = 0x82;

/// The calls that the C library has no names for.
const SYS_FUTEX_WAKE: i64 = 454;
const SYS_FUTEX_WAIT: i64 = 455;
const SYS_FUTEX_REQUEUE: i64 = 456;

macro_rules! futex {
    ($number:expr, $($arg:expr),*) => {{
        // SAFETY: the call reads memory of the test.
        match unsafe { libc::syscall($number, $($arg),*) } {
            -1 => -i64::from(std::io::Error::last_os_error().raw_os_error().unwrap()),
            result => result,
        }
    }};
}

fn futex_waitv(t: &mut Row) {
    let word = AtomicU32::new(5);
    let waiter = |val| Waiter { val, uaddr: word.as_ptr() as u64, flags: PRIVATE_32, reserved: 0 };
    let timeout = libc::timespec { tv_sec: 1 << 40, tv_nsec: 7 };
    let wait = |waiters: &[Waiter; 2]| {
        futex!(libc::SYS_futex_waitv, waiters.as_ptr(), 2, 0, &raw const timeout, libc::CLOCK_MONOTONIC)
    };
    let waiters = [waiter(5), Waiter { reserved: 1, ..waiter(6) }];
    let event = t.fails(libc::EINVAL, || wait(&waiters));
    event.structures("waiters", &waiters).u32("nr_futexes", 2).u32("flags", 0);
    event.structure("timeout", &timeout).u32("clockid", 1);
    let members = [("val", 5), ("uaddr", word.as_ptr() as i64), ("flags", PRIVATE_32.into())];
    event.members("waiters", &members);
    let waiters = [waiter(5); 2];
    let (_, event) = woken(&word, || t.succeeds(|| wait(&waiters)));
    event.structures("waiters", &waiters).u32("nr_futexes", 2).u32("flags", 0);
    event.structure("timeout", &timeout).u32("clockid", 1);
}

/// Wakes this thread again and again while it waits on a futex in `action`.
fn woken<T>(word: &AtomicU32, action: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(SeqCst) {
                thread::sleep(Duration::from_millis(5));
                syscall!(SYS_futex, word.as_ptr(), libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, 9);
            }
        });
        // The thread ends also if the action fails.
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(action));
        done.store(true, SeqCst);
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn futex_wait(t: &mut Row) {
    let word = AtomicU32::new(5);
    let at = word.as_ptr();
    let timeout = libc::timespec { tv_sec: 1 << 40, tv_nsec: 7 };
    let wait = |val: u64| futex!(SYS_FUTEX_WAIT, at, val, 0xf1usize, PRIVATE_32, &raw const timeout, 1);
    let check = |event: &crate::harness::Params, val: u64| {
        event.u64("uaddr", at as u64).u64("val", val).u64("mask", 0xf1).u32("flags", PRIVATE_32);
        event.structure("timeout", &timeout).u32("clockid", 1);
    };
    check(&t.fails(libc::EAGAIN, || wait(6)), 6);
    check(&woken(&word, || t.succeeds(|| wait(5))).1, 5);
}

fn futex_wake(t: &mut Row) {
    let word = AtomicU32::new(5);
    let at = word.as_ptr();
    let wake = |flags: u32| futex!(SYS_FUTEX_WAKE, at, 0xf1usize, 7, flags);
    let event = t.fails(libc::EINVAL, || wake(0x40));
    event.u64("uaddr", at as u64).u64("mask", 0xf1).i32("nr", 7).u32("flags", 0x40);
    let (_, event) = t.succeeds(|| wake(PRIVATE_32));
    event.u64("uaddr", at as u64).u64("mask", 0xf1).i32("nr", 7).u32("flags", PRIVATE_32);
}

fn futex_requeue(t: &mut Row) {
    let (word, other) = (AtomicU32::new(5), AtomicU32::new(8));
    let waiter =
        |word: &AtomicU32, val| Waiter { val, uaddr: word.as_ptr() as u64, flags: PRIVATE_32, reserved: 0 };
    let pair = |val| [waiter(&word, val), waiter(&other, 8)];
    let requeue = |pair: &[Waiter; 2]| futex!(SYS_FUTEX_REQUEUE, pair.as_ptr(), 0, 3, 4);
    for (val, succeeds) in [(6, false), (5, true)] {
        let pair = pair(val);
        let event = match succeeds {
            true => t.succeeds(|| requeue(&pair)).1,
            false => t.fails(libc::EAGAIN, || requeue(&pair)),
        };
        event.structure("waiters", &pair).u32("flags", 0).i32("nr_wake", 3).i32("nr_requeue", 4);
        event.members("waiters", &[("val", val as i64), ("val_2", 8), ("flags_2", PRIVATE_32.into())]);
    }
}

fn set_robust_list(t: &mut Row) {
    t.fails(libc::EINVAL, || syscall!(SYS_set_robust_list, 0x1234_5678_9abcusize, 77usize))
        .u64("head", 0x1234_5678_9abc)
        .u64("len", 77);
    let (mut head, mut len) = (0usize, 0usize);
    syscall!(SYS_get_robust_list, 0, &raw mut head, &raw mut len);
    t.succeeds(|| syscall!(SYS_set_robust_list, head, len)).1.u64("head", head as u64).u64("len", len as u64);
}

fn get_robust_list(t: &mut Row) {
    let (mut head, mut len) = (0usize, 0usize);
    let mut get = |pid: i32| syscall!(SYS_get_robust_list, pid, &raw mut head, &raw mut len);
    t.fails(libc::ESRCH, || get(NO_PID)).i64("pid", NO_PID.into()).empty("head_ptr").empty("len_ptr");
    let (_, event) = t.succeeds(|| get(0));
    event.i64("pid", 0).structure("head_ptr", &head).structure("len_ptr", &len);
    event.members("head_ptr", &[("address", head as i64)]).members("len_ptr", &[("length", 24)]);
    let bad = ptr::without_provenance_mut::<usize>(BAD_ADDRESS);
    t.fails(libc::EFAULT, || syscall!(SYS_get_robust_list, 0, bad, bad))
        .i64("pid", 0)
        .empty("head_ptr")
        .empty("len_ptr");
}

use crate::{
    harness::{Params, Test},
    syscall,
};

const EINVAL: i64 = -(libc::EINVAL as i64);
const ENOENT: i64 = -(libc::ENOENT as i64);
const EAGAIN: i64 = -(libc::EAGAIN as i64);
const EFAULT: i64 = -(libc::EFAULT as i64);

/// A set that does not exist.
const NO_SET: i32 = -3;

/// A set of semaphores; removed when dropped.
struct Set(i32);

impl Set {
    fn new() -> Set {
        Set::of(syscall!(SYS_semget, libc::IPC_PRIVATE, 3, 0o600))
    }

    fn of(id: i64) -> Set {
        assert!(id >= 0, "the tests need semaphores: {id}");
        Set(id as i32)
    }
}

impl Drop for Set {
    fn drop(&mut self) {
        syscall!(SYS_semctl, self.0, 0, libc::IPC_RMID, 0);
    }
}

// ----------------------------------------------------------------- semget

/// An unused key.
const NO_KEY: i32 = -0x5ca9_0001;

#[track_caller]
fn assert_semget(event: &Params, key: i32, nsems: i32, semflg: u32) {
    event.i32("key", key).i32("nsems", nsems).u32("semflg", semflg);
}

pub fn semget_e(t: &mut Test) {
    assert_semget(&t.fails(libc::ENOENT, || syscall!(SYS_semget, NO_KEY, 2, 0o600)), NO_KEY, 2, 0);
    let (id, event) = t.succeeds(|| syscall!(SYS_semget, libc::IPC_PRIVATE, 3, libc::IPC_CREAT | 0o600));
    let _set = Set::of(id);
    assert_semget(&event, libc::IPC_PRIVATE, 3, 8192);
}

pub fn semget_x(t: &mut Test) {
    let event = t.fails(libc::ENOENT, || syscall!(SYS_semget, NO_KEY, 2, libc::IPC_EXCL));
    event.i64("res", ENOENT);
    assert_semget(&event, NO_KEY, 2, 16384);
    let event = t.fails(libc::EINVAL, || syscall!(SYS_semget, libc::IPC_PRIVATE, -1, 0));
    event.i64("res", EINVAL);
    assert_semget(&event, libc::IPC_PRIVATE, -1, 0);
    let flags = libc::IPC_CREAT | libc::IPC_EXCL | 0o600;
    let (id, event) = t.succeeds(|| syscall!(SYS_semget, libc::IPC_PRIVATE, 3, flags));
    let _set = Set::of(id);
    event.i64("res", id);
    assert_semget(&event, libc::IPC_PRIVATE, 3, 8192 | 16384);
}

// ----------------------------------------------------------------- semctl

#[track_caller]
fn assert_semctl(event: &Params, semid: i32, semnum: i32, cmd: u16, val: i32) {
    event.i32("semid", semid).i32("semnum", semnum).u16("cmd", cmd).i32("val", val);
}

pub fn semctl_e(t: &mut Test) {
    let event = t.fails(libc::EINVAL, || syscall!(SYS_semctl, NO_SET, 4, libc::SETVAL, -5));
    assert_semctl(&event, NO_SET, 4, 4096, -5);
    let set = Set::new();
    let (_, event) = t.succeeds(|| syscall!(SYS_semctl, set.0, 2, libc::GETVAL, 5));
    assert_semctl(&event, set.0, 2, 512, 0);
}

pub fn semctl_x(t: &mut Test) {
    // The kernel's numbers, and the format's. (Some commands need memory, some a set.)
    let commands = [
        (0, 4),
        (1, 2),
        (2, 1),
        (3, 8),
        (11, 256),
        (12, 512),
        (13, 64),
        (14, 128),
        (15, 1024),
        (16, 4096),
        (17, 2048),
        (18, 32),
        (19, 16),
        (99, 0),
    ];
    for (command, expected) in commands {
        let captured = t.capture(|| syscall!(SYS_semctl, NO_SET, 4, command, 5));
        let ret = captured.ret;
        assert!(ret < 0, "command {command} returned {ret}");
        let event = captured.one();
        event.i64("res", ret);
        assert_semctl(&event, NO_SET, 4, expected, if command == libc::SETVAL { 5 } else { 0 });
    }
    let set = Set::new();
    let (_, event) = t.succeeds(|| syscall!(SYS_semctl, set.0, 1, libc::SETVAL, 6));
    event.i64("res", 0);
    assert_semctl(&event, set.0, 1, 4096, 6);
    let (ret, event) = t.succeeds(|| syscall!(SYS_semctl, set.0, 1, libc::GETVAL, 0));
    assert_eq!(ret, 6);
    event.i64("res", 6);
    assert_semctl(&event, set.0, 1, 512, 0);
    if crate::compat::HERE {
        let (id, value) = (set.0 as u32, libc::SETVAL as u32);
        let (_, event) = t.succeeds(|| crate::compat::syscall32(394, [id, 2, value, 7, 0, 0]));
        event.i64("res", 0);
        assert_semctl(&event, set.0, 2, 4096, 7);
    }
}

// ------------------------------------------------------------------ semop

fn operation(num: u16, op: i16, flg: i32) -> libc::sembuf {
    libc::sembuf { sem_num: num, sem_op: op, sem_flg: flg as i16 }
}

fn semop(set: i32, operations: &[libc::sembuf]) -> i64 {
    syscall!(SYS_semop, set, operations.as_ptr(), operations.len())
}

pub fn semop_e(t: &mut Test) {
    t.fails(libc::EINVAL, || semop(NO_SET, &[operation(0, 1, 0)])).i32("semid", NO_SET);
    let set = Set::new();
    t.succeeds(|| semop(set.0, &[operation(0, 1, 0)])).1.i32("semid", set.0);
}

/// The recorded form of an operation: semaphore, number and flags.
type Recorded = (u16, i16, u16);

#[track_caller]
fn assert_semop(event: &Params, res: i64, nsops: u32, first: Recorded, second: Recorded, semid: i32) {
    event.i64("res", res).u32("nsops", nsops).i32("semid", semid);
    event.u16("sem_num_0", first.0).i16("sem_op_0", first.1).u16("sem_flg_0", first.2);
    event.u16("sem_num_1", second.0).i16("sem_op_1", second.1).u16("sem_flg_1", second.2);
}

pub fn semop_x(t: &mut Test) {
    let none = (0, 0, 0);
    let set = Set::new();
    // A failed call has no operations.
    let event = t.fails(libc::EAGAIN, || semop(set.0, &[operation(1, -1, libc::IPC_NOWAIT)]));
    assert_semop(&event, EAGAIN, 1, none, none, set.0);
    let event = t.fails(libc::EINVAL, || semop(NO_SET, &[operation(1, 2, 0), operation(2, 3, 0)]));
    assert_semop(&event, EINVAL, 2, none, none, NO_SET);
    let event = t.fails(libc::EFAULT, || syscall!(SYS_semop, set.0, 1usize, 3));
    assert_semop(&event, EFAULT, 3, none, none, set.0);

    let first = operation(2, 9, libc::SEM_UNDO | libc::IPC_NOWAIT);
    let (_, event) = t.succeeds(|| semop(set.0, &[first]));
    assert_semop(&event, 0, 1, (2, 9, 3), none, set.0);
    let second = operation(1, 8, libc::SEM_UNDO);
    let (_, event) = t.succeeds(|| semop(set.0, &[operation(2, -4, libc::IPC_NOWAIT), second]));
    assert_semop(&event, 0, 2, (2, -4, 1), (1, 8, 2), set.0);
    let (_, event) = t.succeeds(|| semop(set.0, &[first, second, operation(0, 7, 0)]));
    assert_semop(&event, 0, 3, (2, 9, 3), (1, 8, 2), set.0);
}

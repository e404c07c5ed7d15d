//! What each thread does as its nth call, computed from the two numbers: by the thread that makes the call, and again
//! by the recorder that checks its events.

use std::io::Write;

use libc::c_long;
use scap::{
    events::{Arch, EventType, Syscall},
    format::Value,
};

/// Maximum number of calls per thread: every parameter that carries a call's number has room for it.
pub const MOST_CALLS: u64 = 1 << 27;
/// Bytes of data in a write and in its event: the default snaplen.
pub const DATA: usize = 80;
/// The smallest size argument.
const SIZE: u64 = 128;
/// The longest path, without its NUL.
pub const LONGEST_PATH: usize = 4095;
/// Bytes of a path's numbered end; and of the shortest path.
const TAIL: usize = 19;
const SHORTEST_PATH: usize = 48;
/// A bit in the offsets of calls that signal handlers make.
const IN_HANDLER: u64 = 1 << 62;

/// A kind of call. Each reveals values of other threads or calls in its events in a different way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A path; only three bits in the enter event.
    Access,
    /// A path in both events.
    Openat,
    /// Two paths, two descriptors; nothing in the enter event.
    Linkat,
    /// Sent data.
    Write,
    /// Data received from a pipe.
    Pipe,
    /// Waits for a timer; restarts after a signal.
    Timer,
    /// Numbers.
    Lseek,
    /// Numbers.
    Pread,
    /// Numbers.
    Futex,
    /// A signal to another thread.
    Tgkill,
    /// Waits briefly; a signal ends it.
    Wait,
}

/// The names of the calls in the tables: counts are by these.
pub const CALLS: [&str; 10] =
    ["access", "openat", "linkat", "write", "read", "lseek", "pread64", "futex", "tgkill", "epoll_wait"];

/// The share of each kind, relative to the sum.
const SHARES: [(Kind, u64); 11] = [
    (Kind::Access, 20),
    (Kind::Openat, 16),
    (Kind::Linkat, 12),
    (Kind::Write, 12),
    (Kind::Pipe, 8),
    (Kind::Timer, 1),
    (Kind::Lseek, 12),
    (Kind::Pread, 8),
    (Kind::Futex, 8),
    (Kind::Tgkill, 2),
    (Kind::Wait, 1),
];

impl Kind {
    /// Returns the index of its call in [`CALLS`].
    pub fn call(self) -> usize {
        match self {
            Kind::Access => 0,
            Kind::Openat => 1,
            Kind::Linkat => 2,
            Kind::Write => 3,
            Kind::Pipe | Kind::Timer => 4,
            Kind::Lseek => 5,
            Kind::Pread => 6,
            Kind::Futex => 7,
            Kind::Tgkill => 8,
            Kind::Wait => 9,
        }
    }
}

/// A call with its number and its events.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    pub syscall: &'static Syscall,
    pub number: c_long,
    pub enter: EventType,
    pub exit: EventType,
}

impl Call {
    /// Returns the call at this index of [`CALLS`]; `None` if the architecture has none.
    pub fn of(index: usize) -> Option<Call> {
        let syscall = Syscall::by_name(CALLS[index])?;
        let number = syscall.number(Arch::NATIVE)?.into();
        Some(Call { syscall, number, enter: syscall.enter()?.ty, exit: syscall.exit()?.ty })
    }
}

/// The constants of a thread that show in its events.
#[derive(Debug, Clone, Copy, Default)]
pub struct Identity {
    pub index: u64,
    pub process: u32,
    pub tid: u32,
    pub null: i32,
    pub file: i32,
    pub pipe: i32,
    pub timer: i32,
    /// The address of its futex.
    pub word: u64,
}

/// Who makes a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// The thread itself.
    Main,
    /// Its signal handler.
    Handler,
}

/// A thread's nth call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    pub kind: Kind,
    pub stream: Stream,
    /// Counts from 0.
    pub n: u64,
    /// Pseudo-random, a function of thread and `n`.
    pub bits: u64,
}

/// What a parameter must be.
#[derive(Debug, Clone, PartialEq)]
pub enum Expected {
    Value(Value<'static>),
    /// One of these results.
    Result(&'static [i64]),
    Path(Vec<u8>),
    /// This path, or none if its page was not present.
    PathIfRead(Vec<u8>),
    Data(Vec<u8>),
    /// This number of bytes, or none.
    Bytes(usize),
}

/// The memory of a path at the time of the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// Present pages.
    There,
    /// All pages dropped.
    Gone,
    /// All pages but the first dropped.
    HalfGone,
}

/// Chooses kinds among the calls that the architecture has.
#[derive(Debug, Clone)]
pub struct Mix {
    kinds: Vec<Kind>,
}

impl Mix {
    pub fn new() -> Mix {
        let there = SHARES.iter().filter(|(kind, _)| Call::of(kind.call()).is_some());
        Mix { kinds: there.flat_map(|(kind, share)| (0..*share).map(|_| *kind)).collect() }
    }

    /// Returns the nth call of a thread.
    pub fn plan(&self, thread: &Identity, n: u64) -> Plan {
        let bits = scatter(thread.index << 40 | n);
        let kind = self.kinds[(bits % self.kinds.len() as u64) as usize];
        Plan { kind, stream: Stream::Main, n, bits: scatter(bits) }
    }
}

impl Plan {
    /// Returns the nth call of a thread's signal handler.
    pub fn of_handler(n: u64) -> Plan {
        Plan { kind: Kind::Lseek, stream: Stream::Handler, n, bits: 0 }
    }

    /// Writes the first or second path: thread and number at both ends, filled with a varying letter.
    pub fn write_path(&self, thread: &Identity, which: u64, path: &mut Vec<u8>) {
        let bits = scatter(self.bits + which);
        let longest = if bits & 1 == 0 { 400 } else { LONGEST_PATH };
        let len = SHORTEST_PATH + (bits >> 8) as usize % (longest - SHORTEST_PATH + 1);
        let letter = b'a' + (bits >> 32) as u8 % 26;
        path.clear();
        // Writing to a vector does not fail.
        let _ = write!(path, "/scapd-{:03}-{:012}-{which}/", thread.index, self.n);
        path.resize(len - TAIL, letter);
        let _ = write!(path, "/{:03}-{:012}-{which}", thread.index, self.n);
    }

    fn path(&self, thread: &Identity, which: u64) -> Vec<u8> {
        let mut path = Vec::with_capacity(LONGEST_PATH);
        self.write_path(thread, which, &mut path);
        path
    }

    /// Returns the number of the call that a path belongs to.
    fn of_path(path: &[u8]) -> Option<u64> {
        std::str::from_utf8(path.get(11..23)?).ok()?.parse().ok()
    }

    pub fn memory(&self) -> Memory {
        match self.bits >> 60 {
            0..=2 => Memory::Gone,
            3..=5 => Memory::HalfGone,
            _ => Memory::There,
        }
    }

    /// Returns the data sent or received: the bytes and how many of them.
    pub fn data(&self, thread: &Identity) -> ([u8; DATA], usize) {
        let len = if self.kind == Kind::Pipe { 16 + self.bits as usize % (DATA - 15) } else { DATA };
        let mut data = [0; DATA];
        for (place, word) in data.chunks_exact_mut(8).zip([thread.index, self.n, self.bits].iter().cycle()) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        (data, len)
    }

    pub fn mode(&self) -> u32 {
        (self.bits >> 3) as u32 & 7
    }

    pub fn creates(&self) -> bool {
        self.bits >> 6 & 1 == 1
    }

    pub fn create_mode(&self) -> u32 {
        (self.bits >> 7) as u32 & 0o777
    }

    pub fn dirfd(&self, which: u64) -> i32 {
        -(1000 + self.n as i32 + which as i32 * (MOST_CALLS as i32))
    }

    pub fn size(&self) -> u64 {
        SIZE + self.n
    }

    pub fn offset(&self, thread: &Identity) -> u64 {
        let handler = if self.stream == Stream::Handler { IN_HANDLER } else { 0 };
        handler | (thread.index + 1) << 40 | self.n
    }

    pub fn max_events(&self) -> i32 {
        1 + self.n as i32
    }

    /// Returns the index of the thread that gets the signal.
    pub fn receiver(&self, threads: usize) -> usize {
        (self.bits >> 5) as usize % threads
    }

    /// Returns the call number and stream that an event's parameter encodes; `None` if it encodes none.
    pub fn number_in(name: &str, value: Value<'_>) -> Option<(u64, Stream)> {
        let n = match (name, value) {
            ("name" | "oldpath", Value::Text(path)) => Plan::of_path(path)?,
            ("dirfd" | "olddir", Value::Fd(fd)) => u64::try_from(-fd - 1000).ok()?,
            ("size", Value::Uint(size)) => size.checked_sub(SIZE)?,
            ("offset" | "pos", Value::Uint(at)) if at & IN_HANDLER != 0 => {
                return Some((at & ((1 << 40) - 1), Stream::Handler));
            }
            ("offset" | "pos", Value::Uint(at)) => at & ((1 << 40) - 1),
            ("val", Value::Uint(val)) => val,
            ("maxevents", Value::Errno(n)) => u64::try_from(n - 1).ok()?,
            _ => return None,
        };
        Some((n, Stream::Main))
    }

    /// Returns what a parameter of the call's events must be; `None` if they have no such parameter.
    pub fn expected(
        &self,
        threads: &[Identity],
        thread: &Identity,
        enter: bool,
        name: &str,
    ) -> Option<Expected> {
        let path = |which| {
            let path = self.path(thread, which);
            if enter && self.memory() != Memory::There {
                Expected::PathIfRead(path)
            } else {
                Expected::Path(path)
            }
        };
        let value = match (self.kind, name) {
            (Kind::Openat, "fd") if !enter => Value::Fd(-i64::from(libc::ENOENT)),
            (Kind::Access | Kind::Openat, "name") => return Some(path(0)),
            (Kind::Linkat, "oldpath") => return Some(path(0)),
            // The old path does not exist; older kernels, 5.10 among them, then do not read the new one.
            (Kind::Linkat, "newpath") if self.memory() != Memory::There => {
                return Some(Expected::PathIfRead(self.path(thread, 1)));
            }
            (Kind::Linkat, "newpath") => return Some(path(1)),
            (Kind::Access, "mode") => Value::Flags(self.mode()),
            (Kind::Openat, "dirfd") | (Kind::Linkat, "olddir") => Value::Fd(self.dirfd(0).into()),
            (Kind::Linkat, "newdir") => Value::Fd(self.dirfd(1).into()),
            (Kind::Linkat, "flags") => Value::Flags(0),
            // The format's O_RDONLY and O_CREAT.
            (Kind::Openat, "flags") => Value::Flags(1 | u32::from(self.creates()) << 2),
            (Kind::Openat, "mode") if self.creates() => Value::Uint(self.create_mode().into()),
            (Kind::Openat, "mode" | "dev" | "ino") => Value::Uint(0),
            (Kind::Write | Kind::Pipe | Kind::Timer | Kind::Pread, "size") => Value::Uint(self.size()),
            (Kind::Write | Kind::Pipe, "data") => {
                let (data, len) = self.data(thread);
                return Some(Expected::Data(data[..len].to_vec()));
            }
            (Kind::Timer, "data") => return Some(Expected::Bytes(8)),
            (Kind::Write, "fd") => Value::Fd(thread.null.into()),
            (Kind::Pipe, "fd") => Value::Fd(thread.pipe.into()),
            (Kind::Timer, "fd") => Value::Fd(thread.timer.into()),
            (Kind::Lseek, "fd") if self.stream == Stream::Handler => Value::Fd(-1),
            (Kind::Lseek | Kind::Pread, "fd") => Value::Fd(thread.file.into()),
            (Kind::Lseek, "whence") => Value::Enum(0),
            (Kind::Lseek, "offset") | (Kind::Pread, "pos") => Value::Uint(self.offset(thread)),
            // The offset is beyond the end of the file.
            (Kind::Pread, "data") => Value::Absent,
            (Kind::Futex, "addr") => Value::Uint(thread.word),
            (Kind::Futex, "op") => Value::Flags((libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG) as u32),
            (Kind::Futex, "val") => Value::Uint(self.n),
            (Kind::Tgkill, "pid") => Value::Pid(thread.process.into()),
            (Kind::Tgkill, "tid") => Value::Pid(threads[self.receiver(threads.len())].tid.into()),
            (Kind::Tgkill, "sig") => Value::Signal(libc::SIGUSR1 as u8),
            (Kind::Wait, "maxevents") => Value::Errno(self.max_events().into()),
            (_, "res") if !enter => return self.result(thread),
            _ => return None,
        };
        Some(Expected::Value(value))
    }

    fn result(&self, thread: &Identity) -> Option<Expected> {
        /// Internal to the kernel: the call restarts after the signal.
        const ERESTARTSYS: i64 = 512;
        let exactly = match self.kind {
            Kind::Access | Kind::Openat | Kind::Linkat => -i64::from(libc::ENOENT),
            Kind::Write => self.size() as i64,
            Kind::Pipe => self.data(thread).1 as i64,
            Kind::Lseek if self.stream == Stream::Handler => -i64::from(libc::EBADF),
            Kind::Lseek => self.offset(thread) as i64,
            Kind::Pread | Kind::Futex | Kind::Tgkill => 0,
            Kind::Timer => return Some(Expected::Result(&[8, -ERESTARTSYS])),
            Kind::Wait => return Some(Expected::Result(&[0, -(libc::EINTR as i64)])),
        };
        Some(Expected::Value(Value::Errno(exactly)))
    }
}

impl Expected {
    pub fn is(&self, value: Value<'_>) -> bool {
        match (self, value) {
            (Expected::Value(expected), value) => *expected == value,
            (Expected::Result(one_of), Value::Errno(result)) => one_of.contains(&result),
            (Expected::PathIfRead(_), Value::Absent) | (Expected::Bytes(_), Value::Absent) => true,
            (Expected::Path(path) | Expected::PathIfRead(path), Value::Text(text)) => path == text,
            (Expected::Data(data), Value::Bytes(bytes)) => data == bytes,
            (Expected::Bytes(len), Value::Bytes(bytes)) => *len == bytes.len(),
            _ => false,
        }
    }
}

/// Scatters a number over 64 bits: the last step of splitmix64.
fn scatter(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

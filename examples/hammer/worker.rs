//! A thread that makes the calls.

use std::{
    io::{PipeReader, PipeWriter, Write, pipe},
    mem,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    ptr,
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use libc::c_long;
use rustix::{
    fs::{MemfdFlags, memfd_create},
    thread::{CpuSet, gettid, sched_setaffinity},
};

use crate::{
    memory::Paths,
    plan::{CALLS, Call, DATA, Identity, Kind, LONGEST_PATH, MOST_CALLS, Mix, Plan},
    signals::{Handled, with_signals},
};

/// Sleep between looks while the thread waits for others.
const NAP: Duration = Duration::from_millis(2);
/// The duration of a timer, and of a wait (ms).
const TIMER: Duration = Duration::from_micros(700);
const WAIT_MS: i32 = 1;
/// Number of calls between moves to another CPU, and between looks at the clock.
const MOVE_EVERY: u64 = 64;
const LOOK_EVERY: u64 = 16;

/// The data that all threads share.
pub struct Shared {
    pub mix: Mix,
    pub calls: [Option<Call>; CALLS.len()],
    pub cpus: usize,
    /// Thread ids, by index.
    pub tids: Vec<AtomicU32>,
    /// Maximum number of calls per thread.
    pub limit: u64,
    /// Maximum number of calls per thread and second.
    pub rate: Option<f64>,
    /// All threads are known: begin.
    pub go: AtomicBool,
    /// The time is over: make no more calls.
    pub stop: AtomicBool,
    /// Number of threads that have started to wait for `go`, plus those for `release`.
    pub waiting: AtomicUsize,
    /// Recording has ended: end.
    pub release: AtomicBool,
}

/// The calls that a thread made.
#[derive(Debug, Clone, Default)]
pub struct Made {
    /// Number of its own calls.
    pub main: u64,
    /// Number of its signal handler's calls.
    pub handler: u64,
    /// Number of calls by index in [`CALLS`].
    pub calls: [u64; CALLS.len()],
}

/// A thread and its resources.
pub struct Worker {
    pub thread: Identity,
    paths: [Paths; 2],
    /// Preallocated: the allocator's locks may call futex.
    path: Vec<u8>,
    buffer: Box<[u8; 4096]>,
    word: Box<AtomicU32>,
    pipe_in: PipeWriter,
    pipe: PipeReader,
    timer: OwnedFd,
    epoll: OwnedFd,
    _files: [OwnedFd; 2],
}

impl Worker {
    /// Must be called by the thread itself.
    pub fn new(index: usize) -> anyhow::Result<Worker> {
        let (pipe, pipe_in) = pipe()?;
        let null: OwnedFd = std::fs::OpenOptions::new().write(true).open("/dev/null")?.into();
        let file = memfd_create("scapd-hammer", MemfdFlags::CLOEXEC)?;
        // SAFETY: plain calls; the results are checked before they become owned.
        let (timer, epoll) = unsafe {
            let timer = libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC);
            let epoll = libc::epoll_create1(libc::EPOLL_CLOEXEC);
            ensure!(
                timer >= 0 && epoll >= 0,
                "cannot create a timer or an epoll instance: {}",
                std::io::Error::last_os_error()
            );
            (OwnedFd::from_raw_fd(timer), OwnedFd::from_raw_fd(epoll))
        };
        let word = Box::new(AtomicU32::new(0));
        let thread = Identity {
            index: index as u64,
            process: std::process::id(),
            tid: gettid().as_raw_nonzero().get() as u32,
            null: null.as_raw_fd(),
            file: file.as_raw_fd(),
            pipe: pipe.as_raw_fd(),
            timer: timer.as_raw_fd(),
            word: ptr::from_ref(&*word) as u64,
        };
        let paths = [Paths::new()?, Paths::new()?];
        let (path, buffer) = (Vec::with_capacity(LONGEST_PATH), Box::new([0; 4096]));
        Ok(Worker { thread, paths, path, buffer, word, pipe_in, pipe, timer, epoll, _files: [null, file] })
    }

    /// Makes calls from `go` to `stop`, and returns them at `release`. Makes no other call of a recorded kind.
    pub fn work(&mut self, shared: &Shared) -> anyhow::Result<Made> {
        wait_for(shared, &shared.go);
        let number = shared.calls[Kind::Lseek.call()].map_or(-1, |call| call.number);
        let handled = Handled { thread: self.thread, number, calls: AtomicU64::new(0) };
        let mut made = Made::default();
        let result = with_signals(&handled, || self.call_all(shared, &mut made));
        wait_for(shared, &shared.release);
        result?;
        made.handler = handled.calls.into_inner();
        made.calls[Kind::Lseek.call()] += made.handler;
        Ok(made)
    }

    fn call_all(&mut self, shared: &Shared, made: &mut Made) -> anyhow::Result<()> {
        let start = Instant::now();
        while made.main < shared.limit.min(MOST_CALLS) && !shared.stop.load(Ordering::Acquire) {
            let plan = shared.mix.plan(&self.thread, made.main);
            if shared.cpus > 1 && plan.n.is_multiple_of(MOVE_EVERY) {
                let mut cpu = CpuSet::new();
                cpu.set((plan.bits >> 20) as usize % shared.cpus);
                // If the CPU is not allowed, stay.
                let _ = sched_setaffinity(None, &cpu);
            }
            if let (Some(rate), true) = (shared.rate, plan.n.is_multiple_of(LOOK_EVERY)) {
                let ahead = made.main as f64 / rate - start.elapsed().as_secs_f64();
                sleep(Duration::from_secs_f64(ahead.clamp(0.0, 1.0)));
            }
            let arguments = self.prepare(&plan, shared)?;
            let call = shared.calls[plan.kind.call()].context("the architecture lacks the call")?;
            let [a, b, c, d, e] = arguments;
            // SAFETY: valid arguments: paths that end with NUL, our own descriptors, and buffers that hold what the
            // call writes (size arguments are larger, but no call fills them).
            unsafe { libc::syscall(call.number, a, b, c, d, e) };
            made.main += 1;
            made.calls[plan.kind.call()] += 1;
        }
        Ok(())
    }

    /// Prepares a call, by calls that are not recorded. Returns its arguments.
    fn prepare(&mut self, plan: &Plan, shared: &Shared) -> anyhow::Result<[c_long; 5]> {
        let thread = &self.thread;
        let mut path = |which: u64| {
            let somewhere = (plan.bits >> 24) as usize;
            plan.write_path(thread, which, &mut self.path);
            let put = self.paths[which as usize].put(&self.path, somewhere, plan.memory());
            put.map(|at| at as c_long)
        };
        let buffer = self.buffer.as_mut_ptr() as c_long;
        let size = plan.size() as c_long;
        Ok(match plan.kind {
            Kind::Access => [path(0)?, plan.mode().into(), 0, 0, 0],
            Kind::Openat => {
                let flags = libc::O_RDONLY | if plan.creates() { libc::O_CREAT } else { 0 };
                [plan.dirfd(0).into(), path(0)?, flags.into(), plan.create_mode().into(), 0]
            }
            Kind::Linkat => [plan.dirfd(0).into(), path(0)?, plan.dirfd(1).into(), path(1)?, 0],
            Kind::Write => {
                self.buffer[..DATA].copy_from_slice(&plan.data(thread).0);
                [thread.null.into(), buffer, size, 0, 0]
            }
            Kind::Pipe => {
                // Uses writev, as write is recorded.
                let (data, len) = plan.data(thread);
                let sent = self.pipe_in.write_vectored(&[std::io::IoSlice::new(&data[..len])])?;
                ensure!(sent == len, "the pipe is full");
                [self.pipe.as_raw_fd().into(), buffer, size, 0, 0]
            }
            Kind::Timer => {
                self.set_timer()?;
                [self.timer.as_raw_fd().into(), buffer, size, 0, 0]
            }
            Kind::Lseek => [thread.file.into(), plan.offset(thread) as c_long, libc::SEEK_SET.into(), 0, 0],
            Kind::Pread => [thread.file.into(), buffer, size, plan.offset(thread) as c_long, 0],
            Kind::Futex => {
                let wake = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
                [self.word.as_ptr() as c_long, wake.into(), plan.n as c_long, 0, 0]
            }
            Kind::Tgkill => {
                let receiver = shared.tids[plan.receiver(shared.tids.len())].load(Ordering::Relaxed);
                [thread.process.into(), receiver.into(), libc::SIGUSR1.into(), 0, 0]
            }
            Kind::Wait => {
                [self.epoll.as_raw_fd().into(), buffer, plan.max_events().into(), WAIT_MS.into(), 0]
            }
        })
    }

    fn set_timer(&self) -> anyhow::Result<()> {
        // SAFETY: the structure is plain numbers.
        let result = unsafe {
            let mut timer: libc::itimerspec = mem::zeroed();
            timer.it_value.tv_nsec = TIMER.as_nanos() as c_long;
            libc::timerfd_settime(self.timer.as_raw_fd(), 0, &timer, ptr::null_mut())
        };
        ensure!(result == 0, "cannot set a timer: {}", std::io::Error::last_os_error());
        Ok(())
    }
}

fn wait_for(shared: &Shared, event: &AtomicBool) {
    shared.waiting.fetch_add(1, Ordering::AcqRel);
    while !event.load(Ordering::Acquire) {
        sleep(NAP);
    }
}

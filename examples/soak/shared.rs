//! Memory that the soak and its generators share: the pace, and each thread's progress.

use std::{
    fs::File,
    path::Path,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

use anyhow::Context;
use rustix::mm::{MapFlags, ProtFlags, mmap};

/// Number of processes that make marked calls.
pub const PROCESSES: usize = 3;
/// Number of their threads together; each makes calls of one kind only.
pub const THREADS: usize = PROCESSES * Call::ALL.len();

/// The marked calls. Nothing else in the load makes them, so the ledger's counts for their events are for these alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Events of a fixed size. The marker is the offset.
    Lseek,
    /// Events of variable size, which may use the reserve ring. The marker is the path.
    Openat2,
}

impl Call {
    pub const ALL: [Call; 2] = [Call::Lseek, Call::Openat2];

    /// Returns the call that a thread makes.
    pub fn of(thread: usize) -> Call {
        Call::ALL[thread % Call::ALL.len()]
    }

    pub fn name(self) -> &'static str {
        match self {
            Call::Lseek => "lseek",
            Call::Openat2 => "openat2",
        }
    }
}

/// The rate of marked calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Pace {
    Quiet,
    Medium,
    /// Without a pause.
    Full,
}

impl Pace {
    /// Returns the number of calls between two pauses of 10 ms.
    pub fn burst(self) -> u64 {
        match self {
            Pace::Quiet => 2,
            Pace::Medium => 10,
            Pace::Full => 1000,
        }
    }
}

/// A thread's progress. A call counts as begun before it is made, and as done after it.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Slot {
    pub tid: AtomicU64,
    begun: AtomicU64,
    done: AtomicU64,
}

impl Slot {
    /// Makes the next call by `make`, which gets its number.
    pub fn call(&self, make: impl FnOnce(u64)) {
        let number = self.begun.load(Ordering::Relaxed);
        self.begun.store(number + 1, Ordering::SeqCst);
        make(number);
        self.done.store(number + 1, Ordering::SeqCst);
    }
}

/// The layout of the memory. All zero at first.
#[derive(Debug, Default)]
#[repr(C)]
struct Layout {
    stop: AtomicU32,
    over: AtomicU32,
    pace: AtomicU32,
    slots: [Slot; THREADS],
}

/// The memory, mapped for the life of the process.
#[derive(Debug, Clone, Copy)]
pub struct Shared(&'static Layout);

impl Shared {
    /// Creates the file and maps it.
    pub fn create(path: &Path) -> anyhow::Result<Shared> {
        let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
        file.set_len(size_of::<Layout>() as u64)?;
        Shared::open(path)
    }

    pub fn open(path: &Path) -> anyhow::Result<Shared> {
        let open = || format!("cannot open {}", path.display());
        let file = File::options().read(true).write(true).open(path).with_context(open)?;
        anyhow::ensure!(
            file.metadata()?.len() >= size_of::<Layout>() as u64,
            "{} is too short",
            path.display()
        );
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping of a file that is long enough; it is never unmapped.
        let at = unsafe {
            mmap(std::ptr::null_mut(), size_of::<Layout>(), access, MapFlags::SHARED, &file, 0)
                .context("cannot map the shared memory")?
        };
        // SAFETY: the page is sufficiently aligned; all fields are atomics, valid for any bytes, and nobody accesses
        // them otherwise.
        Ok(Shared(unsafe { &*at.cast::<Layout>() }))
    }

    pub fn slot(&self, thread: usize) -> &'static Slot {
        &self.0.slots[thread]
    }

    pub fn pace(&self) -> Pace {
        match self.0.pace.load(Ordering::Relaxed) {
            0 => Pace::Quiet,
            1 => Pace::Medium,
            _ => Pace::Full,
        }
    }

    pub fn set_pace(&self, pace: Pace) {
        self.0.pace.store(pace as u32, Ordering::Relaxed);
    }

    pub fn stop(&self) {
        self.0.stop.store(1, Ordering::Relaxed);
    }

    pub fn stopped(&self) -> bool {
        self.0.stop.load(Ordering::Relaxed) != 0
    }

    /// Notes that the last call has been made.
    pub fn set_over(&self) {
        self.0.over.store(1, Ordering::SeqCst);
    }

    pub fn is_over(&self) -> bool {
        self.0.over.load(Ordering::SeqCst) != 0
    }

    /// Returns, per thread, the number of the first call not done at this moment.
    pub fn done(&self) -> Vec<u64> {
        self.0.slots.iter().map(|slot| slot.done.load(Ordering::SeqCst)).collect()
    }

    /// Returns, per thread, the number of the first call that begins after this moment.
    pub fn begun(&self) -> Vec<u64> {
        self.0.slots.iter().map(|slot| slot.begun.load(Ordering::SeqCst)).collect()
    }
}

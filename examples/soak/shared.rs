//! Memory that the soak and its generators share: how fast they are to go, and how far each is.

use std::{
    fs::File,
    path::Path,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

use anyhow::Context;
use rustix::mm::{MapFlags, ProtFlags, mmap};

/// Processes that make marked calls.
pub const PROCESSES: usize = 3;
/// Their threads together; each makes calls of one kind only.
pub const THREADS: usize = PROCESSES * Call::ALL.len();

/// The marked calls: nobody else in the load makes them, so what the ledger says of their events is about these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Events of a fixed size. The marker is the offset.
    Lseek,
    /// Events of variable size, which may use the ring in reserve. The marker is the path.
    Openat2,
}

impl Call {
    pub const ALL: [Call; 2] = [Call::Lseek, Call::Openat2];

    /// What a thread calls.
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

/// How fast the marked calls come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Pace {
    Quiet,
    Medium,
    /// Without a pause.
    Full,
}

impl Pace {
    /// Calls between two pauses, each of 10 ms.
    pub fn burst(self) -> u64 {
        match self {
            Pace::Quiet => 2,
            Pace::Medium => 10,
            Pace::Full => 1000,
        }
    }
}

/// How far a thread is. A call counts as begun before it is made, and as done after it.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Slot {
    pub tid: AtomicU64,
    begun: AtomicU64,
    done: AtomicU64,
}

impl Slot {
    /// Makes the next call, with its number.
    pub fn call(&self, make: impl FnOnce(u64)) {
        let number = self.begun.load(Ordering::Relaxed);
        self.begun.store(number + 1, Ordering::SeqCst);
        make(number);
        self.done.store(number + 1, Ordering::SeqCst);
    }
}

/// What is in the memory. All zero at first.
#[derive(Debug, Default)]
#[repr(C)]
struct Layout {
    stop: AtomicU32,
    over: AtomicU32,
    pace: AtomicU32,
    slots: [Slot; THREADS],
}

/// The memory, mapped for as long as the process lives.
#[derive(Debug, Clone, Copy)]
pub struct Shared(&'static Layout);

impl Shared {
    /// Makes the file.
    pub fn create(path: &Path) -> anyhow::Result<Shared> {
        let file = File::create(path).with_context(|| format!("cannot make {}", path.display()))?;
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
        // SAFETY: a new mapping, of a file that is long enough; it is never unmapped.
        let at = unsafe {
            mmap(std::ptr::null_mut(), size_of::<Layout>(), access, MapFlags::SHARED, &file, 0)
                .context("cannot map the shared memory")?
        };
        // SAFETY: a page is aligned for it, all bytes are atomics, for which each value is valid, and nobody accesses
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

    /// The last call has been made.
    pub fn set_over(&self) {
        self.0.over.store(1, Ordering::SeqCst);
    }

    pub fn is_over(&self) -> bool {
        self.0.over.load(Ordering::SeqCst) != 0
    }

    /// Of each thread, the number of the first call that was not over before this moment.
    pub fn done(&self) -> Vec<u64> {
        self.0.slots.iter().map(|slot| slot.done.load(Ordering::SeqCst)).collect()
    }

    /// Of each thread, the number of the first call that begins after this moment.
    pub fn begun(&self) -> Vec<u64> {
        self.0.slots.iter().map(|slot| slot.begun.load(Ordering::SeqCst)).collect()
    }
}

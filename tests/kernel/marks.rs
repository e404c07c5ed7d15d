//! The marks of a CPU's running programs: `sc_cpu.running`.

use std::{
    os::fd::AsFd,
    ptr::NonNull,
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use scapd::probe::Loaded;
use scapd_bpf::types::sc_cpu;

/// A kind of program: `enum sc_way` in include/capture.h.
#[derive(Debug, Clone, Copy)]
pub enum Way {
    Enter = 0,
    Exit = 1,
}

/// The marks of one kind of program on all CPUs, mapped for writing.
pub struct Marks {
    start: NonNull<sc_cpu>,
    cpus: usize,
    way: Way,
}

impl Marks {
    pub fn map(probe: &Loaded, way: Way) -> Marks {
        let cpus = probe.cpus();
        let (prot, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: a new mapping at an address chosen by the kernel does not affect our memory.
        let start = unsafe {
            mmap(
                std::ptr::null_mut(),
                cpus * size_of::<sc_cpu>(),
                prot,
                flags,
                probe.counters_map().as_fd(),
                0,
            )
        };
        Marks { start: NonNull::new(start.unwrap().cast()).unwrap(), cpus, way }
    }

    /// Adds to each CPU's mark.
    pub fn add(&mut self, number: i64) {
        for cpu in 0..self.cpus {
            // SAFETY: the index is within the mapping, and the marks are plain numbers; programs may change them
            // meanwhile, so both sides use atomics.
            let mark = unsafe {
                let running = &raw mut (*self.start.as_ptr().add(cpu)).running;
                AtomicU64::from_ptr(running.cast::<u64>().add(self.way as usize))
            };
            mark.fetch_add(number as u64, Ordering::SeqCst);
        }
    }
}

impl Drop for Marks {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nothing borrows from it.
        unsafe { munmap(self.start.as_ptr().cast(), self.cpus * size_of::<sc_cpu>()).unwrap() };
    }
}

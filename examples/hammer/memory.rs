//! Memory for paths: the pages of a memfd, mapped twice.

use std::{ffi::c_char, num::NonZeroUsize, ptr};

use anyhow::Context;
use rustix::{
    fs::{MemfdFlags, ftruncate, memfd_create},
    mm::{Advice, MapFlags, ProtFlags, madvise, mmap},
    param::page_size,
};

use crate::plan::Memory;

/// Number of pages that a path needs, wherever it starts in the first one.
const PAGES: usize = 2;

/// The same pages mapped twice: one mapping to write paths, always present; one to pass them to calls, whose pages
/// can be dropped so that the next access faults. Lives as long as the process.
pub struct Paths {
    written: *mut u8,
    passed: *mut u8,
    len: NonZeroUsize,
}

impl Paths {
    pub fn new() -> anyhow::Result<Paths> {
        let len = NonZeroUsize::new(PAGES * page_size()).context("a page has no bytes")?;
        let file = memfd_create("scapd-hammer", MemfdFlags::CLOEXEC)?;
        ftruncate(&file, len.get() as u64)?;
        let map = || {
            // SAFETY: a new mapping does not affect others.
            unsafe {
                mmap(
                    ptr::null_mut(),
                    len.get(),
                    ProtFlags::READ | ProtFlags::WRITE,
                    MapFlags::SHARED,
                    &file,
                    0,
                )
            }
        };
        Ok(Paths { written: map()?.cast(), passed: map()?.cast(), len })
    }

    /// Writes a path with its NUL at an offset derived from `somewhere`. Returns its address in memory of this kind.
    pub fn put(&mut self, path: &[u8], somewhere: usize, memory: Memory) -> anyhow::Result<*const c_char> {
        let (page, len) = (page_size(), self.len.get());
        anyhow::ensure!(path.len() + page <= len, "a path of {} bytes", path.len());
        let at = somewhere % page;
        // SAFETY: the path starts in the first page and fits into the pages after it; source and target do not overlap.
        unsafe {
            ptr::copy_nonoverlapping(path.as_ptr(), self.written.add(at), path.len());
            *self.written.add(at + path.len()) = 0;
        }
        let from = match memory {
            // SAFETY: within the mapping.
            Memory::There => return Ok(unsafe { self.written.add(at) }.cast()),
            Memory::Gone => 0,
            Memory::HalfGone => page,
        };
        // SAFETY: within the mapping, to which nobody holds a reference; the pages stay in the file.
        unsafe {
            // Brings in the first page.
            self.passed.read_volatile();
            madvise(self.passed.add(from).cast(), len - from, Advice::LinuxDontNeed)?;
            Ok(self.passed.add(at).cast())
        }
    }
}

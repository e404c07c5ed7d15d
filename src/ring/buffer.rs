//! A BPF ring buffer, mapped into memory.
//!
//! The layout is the kernel's ABI for `BPF_MAP_TYPE_RINGBUF` (kernel/bpf/ringbuf.c): a page with the consumer's
//! position, which the recorder writes; a page with the producer's position; then the data, mapped twice in a row so
//! that a record that wraps around is still contiguous. Positions only grow; modulo the size of the ring they are
//! offsets.
//!
//! ```text
//! | consumer_pos u64 ... | producer_pos u64 ... | data (size) | data again (size) |
//! ^ page, read-write     ^ page, read-only      ^ read-only
//! ```
//!
//! A record is a header of 8 bytes (length u32 with two flag bits, page offset u32), then the payload, padded to a
//! multiple of 8.

use std::{
    io,
    os::fd::AsFd,
    ptr::NonNull,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// Set in a record's length while the program is still writing it.
const BUSY: u32 = 1 << 31;
/// Set in a record's length when the program has discarded it.
const DISCARD: u32 = 1 << 30;
/// The size of a record's header in bytes.
const HEADER: u64 = 8;

/// A mapped ring.
#[derive(Debug)]
pub struct RingBuffer {
    consumer: Mapping,
    producer: Mapping,
    data: usize,
    mask: u64,
}

/// The record at a position of a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record<'a> {
    /// A committed record.
    Committed {
        /// Its payload.
        payload: &'a [u8],
        /// The position after it.
        next: u64,
    },
    /// A record that its program discarded.
    Discarded {
        /// The position after it.
        next: u64,
    },
    /// A record that is still being written.
    Busy,
}

impl RingBuffer {
    /// Maps the ring behind a map's descriptor. `size` is the size in bytes that the map was created with, a power of
    /// two.
    pub fn map(fd: impl AsFd, size: u32) -> io::Result<RingBuffer> {
        let page = rustix::param::page_size();
        let size = size as usize;
        let consumer = Mapping::new(&fd, page, ProtFlags::READ | ProtFlags::WRITE, 0)?;
        let producer = Mapping::new(&fd, page + 2 * size, ProtFlags::READ, page as u64)?;
        Ok(RingBuffer { consumer, producer, data: page, mask: size as u64 - 1 })
    }

    /// Returns the position of the next record that a program will reserve. Everything before it is reserved.
    pub fn producer_pos(&self) -> u64 {
        self.producer.word(0).load(Ordering::Acquire)
    }

    /// Returns the position up to which records are released.
    pub fn consumer_pos(&self) -> u64 {
        self.consumer.word(0).load(Ordering::Relaxed)
    }

    /// Returns the size of the ring in bytes.
    pub fn size(&self) -> u64 {
        self.mask + 1
    }

    /// Returns the record at a position between [`consumer_pos`](Self::consumer_pos) and
    /// [`producer_pos`](Self::producer_pos). Its bytes do not change until they are released.
    pub(crate) fn record(&self, pos: u64) -> Record<'_> {
        let offset = self.data + (pos & self.mask) as usize;
        let header = self.producer.half_word(offset).load(Ordering::Acquire);
        if header & BUSY != 0 {
            return Record::Busy;
        }
        let length = (header & !DISCARD) as usize;
        let next = pos + (HEADER + length as u64).next_multiple_of(8);
        if header & DISCARD != 0 {
            return Record::Discarded { next };
        }
        Record::Committed { payload: self.producer.bytes(offset + HEADER as usize, length), next }
    }

    /// Returns everything before a position to the programs.
    ///
    /// Takes the ring exclusively, so no earlier record is still borrowed.
    pub fn release(&mut self, pos: u64) {
        self.consumer.word(0).store(pos, Ordering::Release);
    }
}

/// Shared memory of a map, unmapped on drop.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the memory belongs to this value alone. It is only accessed through atomics, or read where the kernel's
// programs no longer write.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Maps `len` bytes of a map, starting at `offset`.
    pub(crate) fn new(fd: &impl AsFd, len: usize, prot: ProtFlags, offset: u64) -> io::Result<Mapping> {
        // SAFETY: a new mapping at an address that the kernel chooses touches no existing memory.
        let start = unsafe { mmap(std::ptr::null_mut(), len, prot, MapFlags::SHARED, fd, offset)? };
        let start =
            NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mmap returned a null pointer"))?;
        Ok(Mapping { start, len })
    }

    fn at(&self, offset: usize, len: usize) -> NonNull<u8> {
        assert!(offset.checked_add(len).is_some_and(|end| end <= self.len), "access beyond a mapped ring");
        // SAFETY: the assertion keeps the offset within the mapping.
        unsafe { self.start.add(offset) }
    }

    /// Returns the u64 at an offset that is a multiple of 8.
    pub(crate) fn word(&self, offset: usize) -> &AtomicU64 {
        assert!(offset.is_multiple_of(8), "misaligned access to a mapped ring");
        // SAFETY: in bounds (`at`), aligned (asserted; mappings start at a page), and mapped as long as `self` lives.
        unsafe { self.at(offset, 8).cast::<AtomicU64>().as_ref() }
    }

    fn half_word(&self, offset: usize) -> &AtomicU32 {
        assert!(offset.is_multiple_of(4), "misaligned access to a mapped ring");
        // SAFETY: as for `word`.
        unsafe { self.at(offset, 4).cast::<AtomicU32>().as_ref() }
    }

    fn bytes(&self, offset: usize, len: usize) -> &[u8] {
        // SAFETY: in bounds (`at`). Called only for committed records, which nothing writes until they are released,
        // and releasing takes the ring exclusively.
        unsafe { std::slice::from_raw_parts(self.at(offset, len).as_ptr(), len) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this value owns the mapping, and nothing borrows from it any more. Only a wrong address makes it
        // fail.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
    }
}

#[cfg(test)]
mod tests;

//! A ring of io_uring.

use std::{
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    ptr,
    sync::atomic::{AtomicU32, Ordering},
};

use crate::syscall;

/// `struct io_uring_sqe`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct Entry {
    pub opcode: u8,
    pub flags: u8,
    pub ioprio: u16,
    pub fd: i32,
    pub off: u64,
    pub addr: u64,
    pub len: u32,
    pub op_flags: u32,
    pub user_data: u64,
    pub buf_index: u16,
    pub personality: u16,
    pub file_index: u32,
    pub addr3: u64,
    pub pad: u64,
}

/// The kernel's polling thread takes the requests.
pub const SETUP_SQPOLL: u32 = 2;
/// The flags of an entry.
pub const FIXED_FILE: u8 = 1;
pub const ASYNC: u8 = 16;

const ENTRIES: u32 = 8;
const REGISTER_FILES: u32 = 2;
const REGISTER_PROBE: u32 = 8;

/// A ring, mapped for as long as the process lives.
pub struct Ring {
    fd: OwnedFd,
    flags: u32,
    rings: *mut u8,
    entries: *mut Entry,
    /// The offsets that io_uring_setup returns.
    params: [u32; 30],
}

impl Ring {
    pub fn new(flags: u32) -> Ring {
        let mut params = [0u32; 30];
        params[2] = flags;
        params[4] = 100;
        let fd = syscall!(SYS_io_uring_setup, ENTRIES, params.as_mut_ptr());
        assert!(fd >= 0, "io_uring_setup: {fd}");
        // SAFETY: the kernel has just made the descriptor.
        let fd = unsafe { OwnedFd::from_raw_fd(fd as RawFd) };
        let map = |offset: u64, size: u32| {
            let (protection, flags) =
                (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_POPULATE);
            let at = syscall!(SYS_mmap, 0, size as usize, protection, flags, fd.as_raw_fd(), offset);
            assert!(at > 0, "mmap: {at}");
            at as *mut u8
        };
        // From 5.4 on, one mapping has both rings.
        let size = (params[16] + 4 * params[0]).max(params[25] + 16 * params[1]);
        let rings = map(0, size);
        let entries = map(0x1000_0000, 64 * params[0]).cast();
        Ring { fd, flags, rings, entries, params }
    }

    fn word(&self, index: usize) -> &AtomicU32 {
        // SAFETY: the offset is one that the kernel gave for this mapping.
        unsafe { AtomicU32::from_ptr(self.rings.add(self.params[index] as usize).cast()) }
    }

    /// Submits a request, waits for its completion, and returns the result.
    pub fn run(&mut self, entry: Entry) -> i64 {
        let tail = self.word(11).load(Ordering::Acquire);
        let slot = tail & (self.params[0] - 1);
        // SAFETY: the mapping has that many entries, and an array with an index for each.
        unsafe {
            ptr::write_volatile(self.entries.add(slot as usize), entry);
            let array = self.rings.add(self.params[16] as usize).cast::<u32>();
            ptr::write_volatile(array.add(slot as usize), slot);
        }
        self.word(11).store(tail + 1, Ordering::Release);
        let (wake, to_submit) = if self.flags & SETUP_SQPOLL != 0 { (2, 0) } else { (0, 1) };
        let head = self.word(20).load(Ordering::Acquire);
        for _ in 0..10_000 {
            let ret = syscall!(SYS_io_uring_enter, self.fd.as_raw_fd(), to_submit, 1, 1 | wake, 0, 0);
            if ret < 0 && ret != -i64::from(libc::EINTR) {
                return ret;
            }
            if self.word(21).load(Ordering::Acquire) != head {
                break;
            }
        }
        // SAFETY: the kernel has written the entry at the head.
        let res = unsafe {
            let at = self.params[25] + 16 * (head & (self.params[1] - 1));
            ptr::read_volatile(self.rings.add(at as usize + 8).cast::<i32>())
        };
        self.word(20).store(head + 1, Ordering::Release);
        res.into()
    }

    /// Registers files; -1 is an empty slot.
    pub fn register(&self, fds: &[i32]) {
        let fd = self.fd.as_raw_fd();
        assert_eq!(syscall!(SYS_io_uring_register, fd, REGISTER_FILES, fds.as_ptr(), fds.len()), 0);
    }

    /// Returns whether this kernel has an operation.
    pub fn has(&self, opcode: u8) -> bool {
        let mut probe = [0u8; 16 + 8 * 256];
        let fd = self.fd.as_raw_fd();
        assert_eq!(syscall!(SYS_io_uring_register, fd, REGISTER_PROBE, probe.as_mut_ptr(), 256), 0);
        probe[16 + 8 * usize::from(opcode) + 2] & 1 != 0
    }
}

//! Converts the kernel's flag bits to the format's, which `include/flags.def` defines.

use rustix::fs::OFlags;

use scap::events::{flag_table, same};

/// The `clone_flags` of a thread that is not its process's first. /proc does not show how a thread was made. The first
/// two flags follow from being a thread; every thread library sets the third.
pub(super) const THREAD: u32 = value("clone_flags", "CLONE_THREAD")
    | value("clone_flags", "CLONE_VM")
    | value("clone_flags", "CLONE_FILES");

/// `O_DSYNC`, one bit of `O_SYNC`. rustix gives it the value of `O_SYNC`.
const DSYNC: OFlags = OFlags::from_bits_retain(0o10_000);

/// The kernel's open flags, each with the format's flag.
const OPEN: [(OFlags, u32); 11] = [
    (OFlags::CREATE, value("file_flags", "O_CREAT")),
    (OFlags::APPEND, value("file_flags", "O_APPEND")),
    (DSYNC, value("file_flags", "O_DSYNC")),
    (OFlags::EXCL, value("file_flags", "O_EXCL")),
    (OFlags::NONBLOCK, value("file_flags", "O_NONBLOCK")),
    (OFlags::SYNC, value("file_flags", "O_SYNC")),
    (OFlags::TRUNC, value("file_flags", "O_TRUNC")),
    (OFlags::DIRECT, value("file_flags", "O_DIRECT")),
    (OFlags::LARGEFILE, value("file_flags", "O_LARGEFILE")),
    (OFlags::CLOEXEC, value("file_flags", "O_CLOEXEC")),
    (OFlags::TMPFILE, value("file_flags", "O_TMPFILE")),
];

/// Returns the `file_flags` for the flags of an open file.
pub(super) fn open_flags(kernel: u32) -> u32 {
    let kernel = OFlags::from_bits_retain(kernel);
    let access = match kernel & OFlags::RWMODE {
        OFlags::WRONLY => value("file_flags", "O_WRONLY"),
        OFlags::RDWR => value("file_flags", "O_RDWR"),
        _ => value("file_flags", "O_RDONLY"),
    };
    let mut flags = access;
    for (bits, flag) in OPEN {
        if kernel.contains(bits) {
            flags |= flag;
        }
    }
    // The kernel's O_TMPFILE includes the bit of O_DIRECTORY.
    if kernel.contains(OFlags::DIRECTORY) && !kernel.contains(OFlags::TMPFILE) {
        flags |= value("file_flags", "O_DIRECTORY");
    }
    flags
}

/// Returns the value of a flag. An unknown name is a compile error.
const fn value(table: &str, name: &str) -> u32 {
    let flags = flag_table(table);
    let mut i = 0;
    while !same(flags[i].name, name) {
        i += 1;
    }
    assert!(flags[i].value <= u32::MAX as u64);
    flags[i].value as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_flags_are_the_formats() {
        let flags = |bits: i32| open_flags(u32::try_from(bits).unwrap());
        assert_eq!(flags(libc::O_RDONLY), 1);
        assert_eq!(flags(libc::O_WRONLY | libc::O_APPEND), 2 | 8);
        assert_eq!(flags(libc::O_RDWR | libc::O_SYNC), 3 | 128 | 16);
        assert_eq!(
            flags(libc::O_RDWR | libc::O_DSYNC | libc::O_CLOEXEC | libc::O_NONBLOCK),
            3 | 16 | 4096 | 64
        );
        assert_eq!(flags(libc::O_DIRECTORY), 1 | 1024);
        assert_eq!(flags(libc::O_TMPFILE | libc::O_RDWR), 3 | 8192);
        assert_eq!(
            flags(libc::O_DIRECT | libc::O_CREAT | libc::O_EXCL | libc::O_TRUNC),
            1 | 512 | 4 | 32 | 256
        );
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn the_kernels_large_file_bit_is_seen() {
        assert_eq!(open_flags(0o100_000), 1 | 2048);
    }

    #[test]
    fn threads_share_with_their_process() {
        assert_eq!(THREAD, 8192 | 32768 | 1);
    }
}

//! The contents of files: their size, reading and writing, and bringing them to disk.

use std::{
    ffi::CStr,
    fs::File,
    io::{Read, Write},
    os::fd::AsRawFd,
    ptr::null,
};

use crate::compat::LowMemory;
use crate::{
    cases::ext_number::BAD,
    fails,
    harness::Params,
    rows,
    rows::{Row, RowTest},
    scratch::{Scratch, fd_of, own},
    succeeds, syscall,
};

pub const ROWS: &[RowTest] = rows![
    truncate,
    ftruncate,
    fallocate,
    fadvise64,
    readahead,
    cachestat,
    preadv2,
    pwritev2,
    tee,
    vmsplice,
    fsync,
    fdatasync,
    sync,
    syncfs,
    sync_file_range,
];

const MISSING: &CStr = c"/nonexistent/file";
/// A 64-bit offset that has bits in both halves.
const FAR: i64 = 0x5_0000_0007;

/// Calls of 32-bit programs alone.
const TRUNCATE64: u16 = 193;
const FTRUNCATE64: u16 = 194;
const FADVISE64_64: u16 = 272;

/// The halves of a 64-bit value, as a 32-bit program passes them.
fn halves(value: i64) -> [u32; 2] {
    [value as u32, (value >> 32) as u32]
}

fn truncate(r: &mut Row) {
    fails!(r, libc::ENOENT, MISSING.as_ptr(), FAR).text("path", MISSING).i64("length", FAR);
    let path = Scratch::new().file("gone");
    fails!(r, libc::EINVAL, path.as_ptr(), -3i64).text("path", &path).i64("length", -3);
    let dir = Scratch::new();
    let path = dir.file("file");
    let (_, event) = succeeds!(r, path.as_ptr(), 5i64);
    event.text("path", &path).i64("length", 5);
    if crate::compat::HERE {
        let path32 = LowMemory::new().put(path.to_bytes_with_nul());
        let event = r.call32(-i64::from(libc::EINVAL), [path32, -3i32 as u32, 0, 0, 0, 0]);
        event.text("path", &path).i64("length", -3);
        let missing32 = LowMemory::new().put(MISSING.to_bytes_with_nul());
        let [length, length_high] = halves(FAR);
        let event =
            r.number32(TRUNCATE64, -i64::from(libc::ENOENT), [missing32, length, length_high, 0, 0, 0]);
        event.text("path", MISSING).i64("length", FAR);
    }
}

fn ftruncate(r: &mut Row) {
    fails!(r, libc::EBADF, BAD, FAR).i64("fd", BAD.into()).i64("length", FAR);
    let file = Scratch::new().open_file("file");
    let (_, event) = succeeds!(r, file.as_raw_fd(), 5i64);
    event.i64("fd", fd_of(&file)).i64("length", 5);
    if crate::compat::HERE {
        let [length, length_high] = halves(FAR);
        let event = r.number32(FTRUNCATE64, -9, [BAD as u32, length, length_high, 0, 0, 0]);
        event.i64("fd", BAD.into()).i64("length", FAR);
        let event = r.number32(FTRUNCATE64, 0, [file.as_raw_fd() as u32, 6, 0, 0, 0, 0]);
        event.i64("fd", fd_of(&file)).i64("length", 6);
    }
}

fn fallocate(r: &mut Row) {
    let event = fails!(r, libc::EBADF, BAD, 2, FAR, 9i64);
    event.i64("fd", BAD.into()).u32("mode", 2).i64("offset", FAR).i64("len", 9);
    let file = Scratch::new().open_file("file");
    let (_, event) = succeeds!(r, file.as_raw_fd(), 1, 7i64, 9i64);
    event.i64("fd", fd_of(&file)).u32("mode", 1).i64("offset", 7).i64("len", 9);
    if crate::compat::HERE {
        let ([offset, offset_high], [len, len_high]) = (halves(FAR), halves(FAR + 2));
        let event = r.call32(-9, [BAD as u32, 3, offset, offset_high, len, len_high]);
        event.i64("fd", BAD.into()).u32("mode", 3).i64("offset", FAR).i64("len", FAR + 2);
    }
}

fn fadvise64(r: &mut Row) {
    let event = fails!(r, libc::EBADF, BAD, FAR, 9i64, 4);
    event.i64("fd", BAD.into()).i64("offset", FAR).u64("len", 9).u32("advice", 4);
    let file = Scratch::new().open_file("file");
    let (_, event) = succeeds!(r, file.as_raw_fd(), 7i64, 9i64, 2);
    event.i64("fd", fd_of(&file)).i64("offset", 7).u64("len", 9).u32("advice", 2);
    if crate::compat::HERE {
        let [offset, offset_high] = halves(FAR);
        let event = r.call32(0, [file.as_raw_fd() as u32, offset, offset_high, 9, 3, 0]);
        event.i64("fd", fd_of(&file)).i64("offset", FAR).u64("len", 9).u32("advice", 3);
        let [len, len_high] = halves(FAR + 2);
        let arguments = [file.as_raw_fd() as u32, offset, offset_high, len, len_high, 3];
        let event = r.number32(FADVISE64_64, 0, arguments);
        event.i64("fd", fd_of(&file)).i64("offset", FAR).u64("len", FAR as u64 + 2).u32("advice", 3);
    }
}

fn readahead(r: &mut Row) {
    let event = fails!(r, libc::EBADF, BAD, FAR, 9usize);
    event.i64("fd", BAD.into()).i64("offset", FAR).u64("count", 9);
    // A tmpfs has nothing to read ahead.
    let file = File::open("/proc/self/exe").unwrap();
    let (_, event) = succeeds!(r, file.as_raw_fd(), 7i64, 9usize);
    event.i64("fd", fd_of(&file)).i64("offset", 7).u64("count", 9);
    if crate::compat::HERE {
        let [offset, offset_high] = halves(FAR);
        let event = r.call32(-9, [BAD as u32, offset, offset_high, 9, 0, 0]);
        event.i64("fd", BAD.into()).i64("offset", FAR).u64("count", 9);
    }
}

fn cachestat(r: &mut Row) {
    let (range, mut stat) = ([3u64, 4], [0u64; 5]);
    let event = fails!(r, libc::EBADF, BAD, range.as_ptr(), stat.as_mut_ptr(), 0);
    event.i64("fd", BAD.into()).structure("cstat_range", &range).empty("cstat").u32("flags", 0);
    let mut file = Scratch::new().open_file("file");
    file.write_all(&[1; 9000]).unwrap();
    let (_, event) = succeeds!(r, file.as_raw_fd(), range.as_ptr(), stat.as_mut_ptr(), 0);
    event.i64("fd", fd_of(&file)).members("cstat_range", &[("off", 3), ("len", 4)]).u32("flags", 0);
    event.structure("cstat", &stat);
    assert_ne!(stat[0], 0, "the page is in the cache");
}

/// Asserts what preadv2 and pwritev2 have in common.
fn vector(event: &Params, fd: i64, count: u64, offset: i64, flags: u32) -> &Params {
    event.i64("fd", fd).u64("iovcnt", count).i64("offset", offset).u32("flags", flags)
}

fn preadv2(r: &mut Row) {
    let (mut first, mut second) = ([b'#'; 4], [b'#'; 9]);
    let iov = [[first.as_mut_ptr() as usize, 4], [second.as_mut_ptr() as usize, 9]];
    let event = fails!(r, libc::EBADF, BAD, iov.as_ptr(), 2usize, FAR, 0usize, 8);
    vector(&event, BAD.into(), 2, FAR, 8).empty("iov");
    let dir = Scratch::new();
    dir.open_file("file").write_all(b"0123456789").unwrap();
    let file = File::open(dir.path("file").to_str().unwrap()).unwrap();
    // What is behind the data in the second buffer is not the call's.
    let (ret, event) = succeeds!(r, file.as_raw_fd(), iov.as_ptr(), 2usize, 3i64, 0usize, 0);
    assert_eq!(ret, 7);
    vector(&event, fd_of(&file), 2, 3, 0).bytes("iov", b"3456789");
    if crate::compat::HERE {
        let mut low = LowMemory::new();
        let data = low.put(b"#########");
        let iov = low.put_words(&[data, 9]);
        let [offset, offset_high] = halves(FAR);
        let event = r.call32(-9, [BAD as u32, iov, 1, offset, offset_high, 8]);
        vector(&event, BAD.into(), 1, FAR, 8).empty("iov");
        let event = r.call32(6, [file.as_raw_fd() as u32, iov, 1, 4, 0, 0]);
        vector(&event, fd_of(&file), 1, 4, 0).bytes("iov", b"456789");
    }
}

fn pwritev2(r: &mut Row) {
    let iov = [b"first ", b"second"].map(|data| [data.as_ptr() as usize, data.len()]);
    let event = fails!(r, libc::EBADF, BAD, iov.as_ptr(), 2usize, FAR, 0usize, 16);
    vector(&event, BAD.into(), 2, FAR, 16).bytes("iov", b"first second");
    let file = Scratch::new().open_file("file");
    let (_, event) = succeeds!(r, file.as_raw_fd(), iov.as_ptr(), 2usize, 3i64, 0usize, 2);
    vector(&event, fd_of(&file), 2, 3, 2).bytes("iov", b"first second");
    if crate::compat::HERE {
        let mut low = LowMemory::new();
        let data = low.put(b"third");
        let iov = low.put_words(&[data, 5]);
        let event = r.call32(5, [file.as_raw_fd() as u32, iov, 1, 4, 0, 4]);
        vector(&event, fd_of(&file), 1, 4, 4).bytes("iov", b"third");
    }
}

/// A pipe: its two ends.
fn pipe() -> (File, File) {
    let mut ends = [0i32; 2];
    assert_eq!(syscall!(SYS_pipe2, ends.as_mut_ptr(), 0), 0);
    (own(ends[0].into()), own(ends[1].into()))
}

fn tee(r: &mut Row) {
    let event = fails!(r, libc::EBADF, BAD, BAD - 1, 9usize, 2);
    event.i64("fd_in", BAD.into()).i64("fd_out", i64::from(BAD) - 1).u64("size", 9).u32("flags", 2);
    let ((from, mut to_from), (_to, into)) = (pipe(), pipe());
    to_from.write_all(b"data").unwrap();
    let (ret, event) = succeeds!(r, from.as_raw_fd(), into.as_raw_fd(), 9usize, 1);
    assert_eq!(ret, 4);
    event.i64("fd_in", fd_of(&from)).i64("fd_out", fd_of(&into)).u64("size", 9).u32("flags", 1);
}

fn vmsplice(r: &mut Row) {
    let iov = [b"first ", b"second"].map(|data| [data.as_ptr() as usize, data.len()]);
    let event = fails!(r, libc::EBADF, BAD, iov.as_ptr(), 2usize, 4);
    event.i64("fd", BAD.into()).bytes("iov", b"first second").u64("nr_segs", 2).u32("flags", 4);
    let (mut from, into) = pipe();
    let (_, event) = succeeds!(r, into.as_raw_fd(), iov.as_ptr(), 2usize, 0);
    event.i64("fd", fd_of(&into)).bytes("iov", b"first second").u64("nr_segs", 2).u32("flags", 0);
    let mut data = [0; 12];
    from.read_exact(&mut data).unwrap();
    assert_eq!(data, *b"first second");
}

/// Calls whose only argument is a descriptor.
fn descriptor_alone(r: &mut Row) {
    fails!(r, libc::EBADF, BAD).i64("fd", BAD.into());
    let file = Scratch::new().open_file("file");
    let (_, event) = succeeds!(r, file.as_raw_fd());
    event.i64("fd", fd_of(&file));
}

fn fsync(r: &mut Row) {
    descriptor_alone(r);
}

fn fdatasync(r: &mut Row) {
    descriptor_alone(r);
}

fn syncfs(r: &mut Row) {
    descriptor_alone(r);
}

fn sync(r: &mut Row) {
    // It cannot fail, and has no argument.
    succeeds!(r, null::<u8>());
}

fn sync_file_range(r: &mut Row) {
    let event = fails!(r, libc::EBADF, BAD, FAR, FAR + 2, 5);
    event.i64("fd", BAD.into()).i64("offset", FAR).i64("nbytes", FAR + 2).u32("flags", 5);
    let file = Scratch::new().open_file("file");
    let (_, event) = succeeds!(r, file.as_raw_fd(), 7i64, 9i64, 2);
    event.i64("fd", fd_of(&file)).i64("offset", 7).i64("nbytes", 9).u32("flags", 2);
    if crate::compat::HERE {
        let ([offset, offset_high], [nbytes, nbytes_high]) = (halves(FAR), halves(FAR + 2));
        let event = r.call32(-9, [BAD as u32, offset, offset_high, nbytes, nbytes_high, 6]);
        event.i64("fd", BAD.into()).i64("offset", FAR).i64("nbytes", FAR + 2).u32("flags", 6);
    }
}

//! How much of a capture stays in the page cache, and what writing it costs.

use std::{os::fd::AsRawFd, time::Duration};

use super::*;

const MIB: usize = 1 << 20;

/// Returns how many bytes of a file are in the page cache.
fn resident(path: &Path) -> usize {
    let file = fs::File::open(path).unwrap();
    let len = file.metadata().unwrap().len() as usize;
    let mut pages = vec![0_u8; len.div_ceil(rustix::param::page_size())];
    // SAFETY: nobody truncates the file, and the mapping is not accessed before it is unmapped; `pages` has a byte per
    // page.
    unsafe {
        let map =
            libc::mmap(std::ptr::null_mut(), len, libc::PROT_READ, libc::MAP_SHARED, file.as_raw_fd(), 0);
        assert_ne!(map, libc::MAP_FAILED);
        assert_eq!(libc::mincore(map, len, pages.as_mut_ptr()), 0);
        assert_eq!(libc::munmap(map, len), 0);
    }
    pages.iter().filter(|page| **page & 1 == 1).count() * rustix::param::page_size()
}

#[test]
fn a_capture_is_not_left_in_the_page_cache() {
    let dir = on_disk();
    let (path, target) = file(&dir, "a.scap");
    let mut writer = WriterThread::spawn(Output::create(target, false).unwrap(), 8, MIB).unwrap();
    let bytes = noise(7, MIB);
    for i in 0..64 {
        let mut chunk = writer.take().unwrap();
        chunk.bytes.extend_from_slice(&bytes[i..]);
        writer.submit(chunk).unwrap();
    }
    // Seven buffers may be on their way. Without O_DIRECT, pages may stay until the end.
    let before_the_end = resident(&partial_of(&path));
    let totals = writer.finish().unwrap();
    assert!(totals.bytes_out as usize > 63 * MIB);
    assert!(resident(&path) < MIB, "{}", resident(&path));
    assert!(before_the_end < 32 * MIB, "{before_the_end}");
    // Check that `resident` sees cached pages. Where memory is short, some are gone again.
    fs::read(&path).unwrap();
    assert!(resident(&path) > 2 * MIB, "{}", resident(&path));
}

#[test]
fn through_the_cache_pages_are_let_go() {
    let dir = on_disk();
    let (path, target) = file(&dir, "a.scap");
    let mut output = Output::over(target, Sink::new(create(&path).unwrap()).unwrap(), false);
    let bytes = noise(7, MIB);
    for _ in 0..64 {
        output.write(&bytes, 1).unwrap();
    }
    output.finish().unwrap();
    assert!(resident(&path) < MIB, "{}", resident(&path));
}

/// Returns the user and system time of this thread, in microseconds.
fn cpu() -> (f64, f64) {
    // SAFETY: `usage` is plain numbers, which the kernel fills in.
    let usage = unsafe {
        let mut usage = std::mem::zeroed::<libc::rusage>();
        assert_eq!(libc::getrusage(libc::RUSAGE_THREAD, &mut usage), 0);
        usage
    };
    let micros = |time: libc::timeval| time.tv_sec as f64 * 1e6 + time.tv_usec as f64;
    (micros(usage.ru_utime), micros(usage.ru_stime))
}

/// Returns one MiB of blocks of 84 bytes, as similar to each other as those of one busy program.
fn blocks(seed: u64) -> Vec<u8> {
    let random = noise(seed, 3 * MIB / 84);
    let mut time = 1_700_000_000_000_000_000 + (seed << 40);
    let mut bytes = Vec::with_capacity(MIB);
    for random in random.chunks_exact(3) {
        time += 400 + u64::from(u16::from_ne_bytes([random[0], random[1]]) >> 4);
        bytes.extend(0x216_u32.to_ne_bytes());
        bytes.extend(84_u32.to_ne_bytes());
        bytes.extend([u16::from(random[2] & 1), 0].map(u16::to_ne_bytes).concat());
        bytes.extend(time.to_ne_bytes());
        bytes.extend((4_000 + u64::from(random[2] & 1)).to_ne_bytes());
        bytes.extend(*b"\x44\0\0\0\x09\x01\x03\0\0\0");
        bytes.extend(*b"\x08\0\x10\0\x04\0\xfe\xff\xff\xff\xff\xff\xff\xff/tmp/not/there\0\0\0\0\0\0");
        bytes.resize(bytes.len().next_multiple_of(84) - 4, 0);
        bytes.extend(84_u32.to_ne_bytes());
    }
    bytes
}

/// `cargo test --release --lib what_writing_costs -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn what_writing_costs() {
    let dir = on_disk();
    let sources: Vec<_> = (0..16).map(blocks).collect();
    // At full speed; then, as in a capture, with a pause after each chunk.
    for (name, compress, own, rounds, pause) in [
        ("past the cache", false, true, 64, 0),
        ("through it", false, false, 64, 0),
        ("gzip", true, true, 8, 0),
        ("past the cache, with pauses", false, true, 16, 10),
        ("through it, with pauses", false, false, 16, 10),
    ] {
        let (path, target) = file(&dir, name);
        let sink = create(&path).and_then(if own { Sink::own } else { Sink::new }).unwrap();
        let mut output = Output::over(target, sink, compress);
        // A first round, to touch all memory.
        sources.iter().for_each(|bytes| output.write(bytes, 1).unwrap());
        let before = (cpu(), output.totals());
        for _ in 0..rounds {
            for bytes in &sources {
                output.write(bytes, 1).unwrap();
                std::thread::sleep(Duration::from_millis(pause));
            }
        }
        let (after, totals) = (cpu(), output.totals());
        let mib = (totals.bytes_in - before.1.bytes_in) as f64 / MIB as f64;
        let (user, system) = ((after.0 - before.0.0) / mib, (after.1 - before.0.1) / mib);
        println!(
            "{name}: {mib:.0} MiB, {user:.0} + {system:.0} us user + system per MiB, {:.1} ns per block of 84 bytes, {:.1} times smaller",
            (user + system) * 1e3 * 84.0 / MIB as f64,
            totals.bytes_in as f64 / totals.bytes_out as f64
        );
        output.finish().unwrap();
        fs::remove_file(path).unwrap();
    }
}

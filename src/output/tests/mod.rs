mod cache;
mod series;
mod thread;

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom, Write},
    path::Path,
    process::Command,
};

use flate2::read::{GzDecoder, MultiGzDecoder};
use tempfile::TempDir;

use super::{
    sink::{TMPFS_MAGIC, cut},
    *,
};

fn file(dir: &TempDir, name: &str) -> (PathBuf, Target) {
    let path = dir.path().join(name);
    (path.clone(), Target::File(path))
}

fn create(path: &Path) -> io::Result<File> {
    File::options().write(true).create(true).truncate(true).open(path)
}

/// Returns the name of a file while it is written.
fn partial_of(path: &Path) -> PathBuf {
    format!("{}.partial", path.display()).into()
}

/// Returns incompressible bytes, different for each seed.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut x = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    std::iter::repeat_with(|| {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x as u8
    })
    .take(len)
    .collect()
}

fn unpacked(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    MultiGzDecoder::new(fs::File::open(path).unwrap()).read_to_end(&mut bytes).unwrap();
    bytes
}

/// Formats an error with its source, as `main` prints it.
fn message(e: &OutputError) -> String {
    match std::error::Error::source(e) {
        Some(source) => format!("{e}: {source}"),
        None => e.to_string(),
    }
}

/// A small tmpfs, unmounted on drop.
struct Tmpfs(TempDir);

impl Tmpfs {
    #[track_caller]
    fn mount(options: &str) -> Tmpfs {
        let dir = TempDir::new().unwrap();
        let mount = ["-t", "tmpfs", "-o", options, "scapd-test"];
        let out = Command::new("mount").args(mount).arg(dir.path()).output().unwrap();
        let refused = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "this test mounts a tmpfs, and needs root: {}", refused.trim());
        Tmpfs(dir)
    }
}

/// Creates a directory on a file system other than tmpfs.
pub(super) fn on_disk() -> TempDir {
    let built = std::env::current_exe().unwrap();
    let places = [built.parent().unwrap(), Path::new("/var/tmp")];
    let is_on_disk = |dir: &TempDir| rustix::fs::statfs(dir.path()).unwrap().f_type as u64 != TMPFS_MAGIC;
    let dirs = places.iter().filter_map(|place| TempDir::new_in(place).ok());
    dirs.into_iter()
        .find(is_on_disk)
        .unwrap_or_else(|| panic!("none of {places:?} is on a disk: only tmpfs is there"))
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let status = Command::new("umount").arg("--lazy").arg(self.0.path()).status().unwrap();
        assert!(status.success(), "{} stays mounted", self.0.path().display());
    }
}

/// Opens both ends of a new FIFO.
fn fifo(dir: &TempDir, compress: bool) -> (Output, fs::File) {
    let (path, target) = file(dir, "fifo");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    // Opening each end waits for the other.
    let reader = std::thread::spawn(move || fs::File::open(path).unwrap());
    let output = Output::create(target, compress).unwrap();
    (output, reader.join().unwrap())
}

#[test]
fn a_minus_sign_is_stdout() {
    assert_eq!(Target::from_arg("-"), Target::Stdout);
    assert_eq!(Target::from_arg("./-"), Target::File("./-".into()));
    assert_eq!(Target::Stdout.to_string(), "stdout");
}

#[test]
fn chunks_follow_each_other_in_a_file_that_is_overwritten() {
    let dir = TempDir::new().unwrap();
    let (path, target) = file(&dir, "a.scap");
    fs::write(&path, "what was there, and was longer").unwrap();
    let mut output = Output::create(target, false).unwrap();
    output.write(b"first", 0).unwrap();
    output.write(b"", 0).unwrap();
    output.write(b"second", 2).unwrap();
    let totals = output.finish().unwrap();
    assert_eq!(totals, OutputTotals { events: 2, bytes_in: 11, bytes_out: 11 });
    assert_eq!(fs::read(path).unwrap(), b"firstsecond");
}

#[test]
fn every_chunk_is_a_gzip_member() {
    let dir = TempDir::new().unwrap();
    let (path, target) = file(&dir, "a.scap.gz");
    let mut output = Output::create(target, true).unwrap();
    let (first, second) = (vec![7; 10_000], noise(1, 10_000));
    output.write(&first, 3).unwrap();
    output.flush().unwrap();
    let end_of_first = output.totals().bytes_out as usize;
    output.write(&second, 4).unwrap();
    let totals = output.finish().unwrap();

    let bytes = fs::read(&path).unwrap();
    assert_eq!(totals, OutputTotals { events: 7, bytes_in: 20_000, bytes_out: bytes.len() as u64 });
    assert!(end_of_first < 1_000, "it compresses");
    let mut member = Vec::new();
    GzDecoder::new(&bytes[end_of_first..]).read_to_end(&mut member).unwrap();
    assert!(member == second);
    assert!(unpacked(&path) == [first, second].concat());
}

#[test]
fn an_error_on_opening_says_what_to_do() {
    let dir = TempDir::new().unwrap();
    let error = |path: &Path| message(&Output::create(Target::from_arg(path), false).unwrap_err());
    let missing = dir.path().join("no/a.scap");
    assert_eq!(
        error(&missing),
        format!(
            "cannot create {} (make its directory first, or name another file with -w): No such file or directory \
             (os error 2)",
            missing.display()
        )
    );
    assert!(error(dir.path()).contains("(name a file in it with -w): Is a directory"));
    let below = file(&dir, "file").0;
    fs::write(&below, "").unwrap();
    assert!(error(&below.join("a.scap")).contains("(a part of the path is a file; "));
}

#[test]
fn a_read_only_file_system_is_named() {
    let fs = Tmpfs::mount("ro");
    let e = Output::create(file(&fs.0, "a.scap").1, false).unwrap_err();
    assert!(
        message(&e).contains("a writable file system with -w): Read-only file system"),
        "{}",
        message(&e)
    );
}

#[test]
fn a_full_device_is_an_error_with_its_name() {
    let mut output = Output::create(Target::from_arg("/dev/full"), false).unwrap();
    let e = output.write(b"block", 1).unwrap_err();
    assert!(matches!(e, OutputError::NoSpace { .. }));
    assert_eq!(
        message(&e),
        "no room for /dev/full, which is complete up to byte 0 with 0 events; free some, or write elsewhere with -w: \
         No space left on device (os error 28)"
    );
}

/// Returns the decompressed contents of a file.
fn content(path: &Path, compress: bool) -> Vec<u8> {
    if compress { unpacked(path) } else { fs::read(path).unwrap() }
}

/// Writes chunks of that size until the disk of 64 KiB is full. Returns how many were accepted, and how many written.
fn fill_a_disk(size: usize, direct: bool, compress: bool) -> (u64, u64) {
    let fs = Tmpfs::mount("size=64k");
    let (path, target) = file(&fs.0, "a.scap");
    let mut sink = Sink::own(create(&path).unwrap()).unwrap();
    assert!(!direct || sink.bypass(), "this kernel's tmpfs knows no O_DIRECT");
    let mut output = Output::over(target, sink, compress);
    let chunks: Vec<Vec<u8>> = (0..20).map(|i| noise(i, size)).collect();
    let accepted = chunks.iter().position(|chunk| output.write(chunk, 1).is_err()).unwrap();
    let written = output.totals();
    let mut kept = chunks[..written.events as usize].concat();
    assert_eq!(kept.len() as u64, written.bytes_in);
    assert_eq!(fs::metadata(&path).unwrap().len(), written.bytes_out);
    assert!(content(&path, compress) == kept);
    // A smaller chunk may still fit, and follows the last whole one.
    let last = [1; 20];
    output.write(&last, 1).unwrap();
    assert_eq!(output.finish().unwrap().events, written.events + 1);
    kept.extend(last);
    assert!(content(&path, compress) == kept);
    (accepted as u64, written.events)
}

#[test]
fn a_full_disk_leaves_whole_chunks() {
    // Not a divisor of the disk's size: the last chunk is written in part. Noise grows when it is compressed.
    for (compress, expected) in [(false, 13), (true, 12)] {
        assert_eq!(fill_a_disk(5_000, false, compress), (expected, expected));
    }
}

#[test]
#[cfg_attr(not(tmpfs_direct), ignore = "tmpfs knows O_DIRECT from Linux 6.6 on")]
fn past_the_cache_a_full_disk_costs_the_end_that_was_carried_at_most() {
    // The thirteenth chunk ends in the last block of the disk, or its end has no room.
    for (size, counts) in [(5_000, (13, 13)), (5_100, (13, 12))] {
        assert_eq!(fill_a_disk(size, true, false), counts, "{size}");
    }
    fill_a_disk(5_000, true, true);
}

#[test]
fn chunks_of_any_size_come_together_past_the_cache() {
    let dir = TempDir::new().unwrap();
    let (path, target) = file(&dir, "a.scap");
    let partial = partial_of(&path);
    let mut output = Output::create(target, false).unwrap();
    let mut expected = Vec::new();
    let sizes = [1, 4_094, 1, 1, 4_095, 8_192, 100, 2 << 20, (2 << 20) - 100, 5_000_000, 3, 5];
    for (i, size) in sizes.into_iter().enumerate() {
        let chunk = noise(i as u64, size);
        output.write(&chunk, 1).unwrap();
        expected.extend(chunk);
        let there = fs::read(&partial).unwrap();
        assert!(expected.starts_with(&there) && expected.len() - there.len() < 4096, "{size}");
        assert!(output.totals().bytes_out <= there.len() as u64);
        if i % 3 == 0 {
            output.flush().unwrap();
            assert!(fs::read(&partial).unwrap() == expected);
            assert_eq!(output.totals().events, i as u64 + 1);
        }
    }
    drop(output);
    assert!(fs::read(&partial).unwrap() == expected);
}

#[test]
fn what_others_wrote_behind_a_chunk_is_not_cut_off() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"kept, in part").unwrap();
    cut(&mut file, 9).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 4);
    assert_eq!(file.stream_position().unwrap(), 4);

    file.write_all(b" and others").unwrap();
    file.seek(SeekFrom::Start(8)).unwrap();
    cut(&mut file, 4).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 15);
}

#[test]
fn a_reader_that_goes_is_told_apart() {
    let dir = TempDir::new().unwrap();
    let (mut output, reader) = fifo(&dir, false);
    output.write(b"block", 1).unwrap();
    drop(reader);
    // A child process of another test may hold the reading end until it calls exec.
    let e = (0..1_000).find_map(|_| output.write(b"block", 1).err()).unwrap();
    let OutputError::BrokenPipe { written, .. } = e else { panic!("{e:?}") };
    assert_eq!(written, output.totals());
}

#[test]
fn a_default_name_is_a_file_name_whatever_the_host_is_called() {
    let now: jiff::Zoned = "2026-01-31T14:22:33[+01:00]".parse().unwrap();
    let name = |host: &[u8]| default_name(host, &now, false).into_os_string().into_string().unwrap();
    assert_eq!(name(b"web-1.example"), "scapd-web-1.example-20260131-142233.scap");
    assert_eq!(name(b"../\xff a\n/\0b"), "scapd-..ab-20260131-142233.scap");
    assert_eq!(name(b""), "scapd-host-20260131-142233.scap");
}

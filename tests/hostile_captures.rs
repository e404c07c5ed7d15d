//! Captures made to exhaust memory: small files with large contents. Each command limits its memory by what the file has
//! given, and says so if that is not enough.

#![allow(clippy::unwrap_used)]

mod common;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Stdio,
};

use common::{run_watched, scapd};
use flate2::{Compression, write::GzEncoder};
use scap::{
    events::{EVENTS, Event},
    format::{EventBuilder, Keep, MachineState, ReadError, Reader, Value, frame_event, write_state},
};
use tempfile::TempDir;

const MIB: u64 = 1 << 20;
/// The most memory that a command may take before it refuses a capture.
const MOST: u64 = 160 * MIB;
/// The most memory that a command may take that keeps no state.
const LITTLE: u64 = 48 * MIB;

fn member(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn block(ty: u32, body: &[u8]) -> Vec<u8> {
    let len = (body.len() as u32 + 12).to_ne_bytes();
    [&ty.to_ne_bytes()[..], &len, body, &len].concat()
}

/// The start of a capture, without threads.
fn start() -> Vec<u8> {
    let mut start = Vec::new();
    write_state(&mut start, &MachineState::default()).unwrap();
    start
}

/// A capture whose state is these blocks, so many times over.
fn repeated(folder: &TempDir, blocks: &[u8], times: usize) -> PathBuf {
    let path = folder.path().join("state.scap.gz");
    fs::write(&path, [member(&start()), member(blocks).repeat(times)].concat()).unwrap();
    path
}

/// An entry of a process list of today, with texts of that many bytes.
fn thread(text: usize) -> Vec<u8> {
    let text = [&(text as u16).to_ne_bytes()[..], &vec![b'a'; text]].concat();
    let numbers = |bytes| vec![0; bytes];
    let entry =
        [&numbers(40)[..], &text.repeat(5), &numbers(20 + 28), &text, &numbers(16), &text.repeat(2)].concat();
    [&(entry.len() as u32 + 4).to_ne_bytes()[..], &entry].concat()
}

/// Runs a command of scapd on the file: its exit code, what it said, and the most memory that it took.
fn command(args: &[&str], file: &Path) -> (Option<i32>, String, u64) {
    let mut command = scapd();
    command.args(args).arg(file).stdout(Stdio::null());
    let (code, said, resident) = run_watched(&mut command);
    (code, said, resident.into_iter().max().unwrap_or_default())
}

/// Asserts that commands which need no state take no memory for it.
fn assert_verified(file: &Path) {
    let copy = file.with_extension("repaired");
    for (args, expected) in [(&["verify"][..], 8), (&["repair", "-o", copy.to_str().unwrap()], 0)] {
        let (code, said, most) = command(args, file);
        assert_eq!(code, Some(expected), "{args:?}: {said}");
        assert!(most < LITTLE, "{args:?} takes {} MiB", most / MIB);
    }
}

/// Asserts that commands refuse the capture before it takes much memory, and say how to read it.
fn assert_refused(file: &Path, commands: &[&str]) {
    for args in commands {
        // Nothing of it is printed: that takes its time.
        let args = if *args == "read" { &["read", "--syscalls", "close"][..] } else { &[*args] };
        let (code, said, most) = command(args, file);
        assert_eq!(code, Some(1), "{args:?}: {said}");
        assert!(said.contains("the limit is") && said.contains("--max-state"), "{said}");
        assert!(most < MOST, "{args:?} takes {} MiB", most / MIB);
    }
}

#[test]
fn long_texts_are_not_kept() {
    let folder = TempDir::new().unwrap();
    // 80 MiB that nobody looks at, but for the command name and the working directory.
    let mut long = thread(0x4000);
    let comm = 4 + 40 + 2..4 + 40 + 2 + 0x4000;
    long.splice(comm.start - 2..comm.end, *b"\x02\0sh");
    let cwd = long.len() - (20 + 28 + 2 + 0x4000 + 16 + 2 * (2 + 0x4000)) - (2 + 0x4000);
    long.splice(cwd..cwd + 2 + 0x4000, *b"\x01\0/");
    let len = (long.len() as u32).to_ne_bytes();
    long[..4].copy_from_slice(&len);
    let file = repeated(&folder, &block(0x215, &long.repeat(64)), 13);
    let (code, said, most) = command(&["read"], &file);
    assert_eq!(code, Some(0), "{said}");
    assert!(most < LITTLE, "{} MiB", most / MIB);
    let mut reader = Reader::new(fs::File::open(&file).unwrap()).unwrap();
    let end = reader.next_event();
    let Err(ReadError::TooLarge { needs, is_least: false, limit, given: Some(_), .. }) = end else {
        panic!("{end:?}")
    };
    assert!(needs > 75 * MIB && (64 * MIB..70 * MIB).contains(&limit), "{needs} {limit}");
    assert_eq!((reader.state_counts().threads, reader.state().threads.len()), (13 * 64, 0));
}

#[test]
fn threads() {
    let folder = TempDir::new().unwrap();
    // 52 bytes each: the oldest form of a process list.
    let file = repeated(&folder, &block(0x202, &[0; 52 * 40_000]), 6);
    assert_refused(&file, &["read", "info"]);
    assert_verified(&file);
}

#[test]
fn descriptors() {
    let folder = TempDir::new().unwrap();
    // Eventfds with names of 100 bytes, of one process.
    let name = [&100_u16.to_ne_bytes()[..], &[b'e'; 100]].concat();
    let fd = [&(21 + 102_u32).to_ne_bytes()[..], &[0; 16], &[9], &name].concat();
    let file = repeated(&folder, &block(0x218, &[&1_u64.to_ne_bytes()[..], &fd.repeat(50_000)].concat()), 11);
    assert_refused(&file, &["read"]);
}

/// Its file is its bytes: so only the limit that was asked for is one.
#[test]
fn a_plain_capture() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("plain.scap");
    fs::write(&path, [start(), block(0x202, &[0; 52 * 40_000])].concat()).unwrap();
    for args in ["read", "info"] {
        assert_eq!(command(&[args], &path).0, Some(0));
        assert_eq!(command(&[args, "--max-state", "32M"], &path).0, Some(0));
        let (code, said, _) = command(&[args, "--max-state", "1M"], &path);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("the limit is 1.00 MiB: raise it with --max-state "), "{said}");
    }
    let file = fs::File::open(&path).unwrap();
    let mut reader = Reader::new(file).unwrap().keep(Keep::Threads).max_state(Some(MIB));
    assert_eq!(reader.state_limit(), MIB);
    assert!(matches!(reader.next_event(), Err(ReadError::TooLarge { limit: MIB, given: None, .. })));
}

fn row(code: &str) -> &'static Event {
    EVENTS.iter().find(|row| row.code == code).unwrap()
}

/// A capture with events that are alike but for the thread and a number, which are in their first 64 bytes.
fn with_events(folder: &TempDir, count: u64, event: impl Fn(u64) -> Vec<u8>) -> PathBuf {
    let path = folder.path().join("events.scap.gz");
    let mut file = member(&start());
    let block = |number| {
        let mut block = Vec::new();
        frame_event(&mut block, 0, &event(number));
        let rest = block.split_off(block.len().min(64));
        (block, rest)
    };
    let rest = block(1).1;
    let packed = if rest.is_empty() { Vec::new() } else { member(&rest) };
    for number in 1..=count {
        file.extend(member(&block(number).0));
        file.extend(&packed);
    }
    fs::write(&path, file).unwrap();
    path
}

#[test]
fn names_by_events() {
    let folder = TempDir::new().unwrap();
    let name = [&b"/"[..], &[b'n'; 60_000]].concat();
    let (open, name) = (row("PPME_SYSCALL_OPENAT_2_X"), Value::Text(&name));
    // 100 MB of names, each of another descriptor.
    let file = with_events(&folder, 1700, |fd| {
        let open = EventBuilder::new(open, fd, 1).param(Value::Fd(fd as i64)).unwrap();
        open.param(Value::Fd(-100)).unwrap().param(name).unwrap().build_short().unwrap()
    });
    assert_refused(&file, &["read"]);
}

#[test]
fn calls_that_do_not_return() {
    let folder = TempDir::new().unwrap();
    let name = [&b"/"[..], &[b'n'; 60_000]].concat();
    let (open, name) = (row("PPME_SYSCALL_OPENAT_2_E"), Value::Text(&name));
    let file = with_events(&folder, 1700, |tid| {
        let open = EventBuilder::new(open, tid, tid).param(Value::Fd(-100)).unwrap();
        open.param(name).unwrap().build_short().unwrap()
    });
    assert_refused(&file, &["info"]);
}

#[test]
fn processes_that_are_counted() {
    let folder = TempDir::new().unwrap();
    let kill = row("PPME_SYSCALL_KILL_E");
    let file = with_events(&folder, 40_000, |tid| EventBuilder::new(kill, tid, tid).build_short().unwrap());
    let (code, said, _) = command(&["info", "--max-state", "16M"], &file);
    assert_eq!(code, Some(1), "{said}");
    assert_eq!(command(&["info"], &file).0, Some(0));
}

/// The window of a decompressor is memory that the file asks for.
#[test]
fn a_window_has_a_limit() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("window.scap.zst");
    let frame = |window: u8, blocks: &[u8]| [&b"\x28\xb5\x2f\xfd\0"[..], &[window], blocks].concat();
    let raw =
        |bytes: &[u8], last: u32| [&((bytes.len() as u32) << 3 | last).to_le_bytes()[..3], bytes].concat();
    // Blocks of a byte that stands 128 KiB long: 150 MiB of a capture's block that no reader knows.
    let (count, size) = (1200_u32, 128_u32 << 10);
    let zeros = [&(size << 3 | 1 << 1).to_le_bytes()[..3], &[0]].concat();
    let len = count * size + 12;
    let head = [&start()[..], &0x7777_u32.to_ne_bytes(), &len.to_ne_bytes()].concat();
    let blocks = [raw(&head, 0), zeros.repeat(count as usize), raw(&len.to_ne_bytes(), 1)].concat();
    // 2 to the power of 10 + 17 bytes: what `zstd --ultra -22` asks for. Then twice that.
    fs::write(&path, frame(17 << 3, &blocks)).unwrap();
    let (code, said, most) = command(&["verify"], &path);
    assert_eq!(code, Some(8), "{said}");
    assert!(most < 300 * MIB, "{} MiB", most / MIB);
    fs::write(&path, frame(18 << 3, &blocks)).unwrap();
    let (code, said, most) = command(&["read"], &path);
    assert_eq!(code, Some(6), "{said}");
    assert!(said.contains("needs more memory than 136 MiB: decompress it first") && most < LITTLE, "{said}");
}

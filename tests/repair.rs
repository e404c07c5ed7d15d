//! Captures that were cut off: what `scapd read` shows of them, and what `scapd repair` makes of them. Needs root, for
//! real recordings.

#![allow(clippy::unwrap_used)]

mod common;

use std::{
    fs,
    io::{Cursor, Read},
    ops::Range,
    path::{Path, PathBuf},
    process::Stdio,
    sync::OnceLock,
    thread::{self, sleep},
    time::Duration,
};

use common::{file, run, scapd};
use flate2::read::MultiGzDecoder;
use scap::{
    events::EventType,
    format::{BlockType, MachineState, ReadError, Reader, write_state},
    ledger::{Cut, CutCause},
};
use scapd::{
    print::PrintError,
    read::{ReadArgs, read_from},
    repair::Survey,
};
use tempfile::TempDir;

/// The size of a capture's end that is cut at every byte.
const TAIL: usize = 64 << 10;

/// Records a few programs: more than [`TAIL`] bytes of events.
fn record(path: &Path, options: &[&str]) {
    let script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do /bin/cat /etc/hostname; done";
    let mut command = scapd();
    command.args(["record", "-q", "-w"]).arg(path).args(options);
    let (code, _, said) = run(command.args(["--", "env", "-i", "sh", "-c", script]));
    assert_eq!(code, Some(0), "{said}");
}

/// An uncompressed capture, and its blocks.
struct Capture {
    bytes: Vec<u8>,
    blocks: Vec<Block>,
}

struct Block {
    at: Range<usize>,
    /// Whether an event is in it, and not an event's extension.
    is_event: bool,
}

impl Capture {
    /// Returns the one capture for all tests, which only need its bytes.
    fn get() -> &'static Capture {
        static CAPTURE: OnceLock<Capture> = OnceLock::new();
        CAPTURE.get_or_init(|| {
            let folder = TempDir::new().unwrap();
            let path = file(&folder, "whole.scap");
            record(&path, &[]);
            let bytes = fs::read(&path).unwrap();
            let blocks = blocks(&bytes);
            assert_eq!(blocks.last().map(|block| block.at.end), Some(bytes.len()));
            let events = blocks.iter().find(|block| block.is_event).unwrap().at.start;
            assert!(bytes.len() - events > TAIL, "{} bytes of events", bytes.len() - events);
            Capture { bytes, blocks }
        })
    }

    /// Returns the index of the block that a cut falls into; a block that starts there is gone.
    fn block_at(&self, cut: usize) -> usize {
        self.blocks.partition_point(|block| block.at.end <= cut)
    }

    fn events_before(&self, block: usize) -> usize {
        self.blocks[..block].iter().filter(|block| block.is_event).count()
    }
}

/// Returns the complete blocks of a capture, by their lengths only.
fn blocks(bytes: &[u8]) -> Vec<Block> {
    /// Where an event block has its event's type: behind the block's header, the CPU, the time, the thread and the length.
    const TYPE_AT: usize = 8 + 2 + 8 + 8 + 4;
    let mut blocks = Vec::new();
    let mut at = 0;
    let number = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().unwrap()));
    while let (Some(ty), Some(len)) = (number(at), number(at + 4))
        && at + len as usize <= bytes.len()
    {
        let end = at + len as usize;
        let event = bytes[at..end].get(TYPE_AT..TYPE_AT + 2).filter(|_| BlockType(ty) == BlockType::EVENT);
        let event = event.map(|ty| EventType(u16::from_ne_bytes(ty.try_into().unwrap())));
        blocks.push(Block { at: at..end, is_event: event.is_some_and(|ty| !ty.is_extension()) });
        at = end;
    }
    blocks
}

/// Returns what `scapd read` shows: the number of lines, and the error.
fn shown(bytes: &[u8]) -> (usize, Option<ReadError>) {
    let args = ReadArgs { files: vec!["cut.scap".into()], ..ReadArgs::default() };
    let mut out = Vec::new();
    let error = match read_from(bytes, &args, &mut out) {
        Ok(()) => None,
        Err(PrintError::Read { source, .. }) => Some(source),
        Err(other) => panic!("{other}"),
    };
    (out.iter().filter(|b| **b == b'\n').count(), error)
}

/// Repairs a capture and reads it to its end. Returns its notice, its bytes, and the number of events without the
/// notice.
fn repaired(bytes: &[u8]) -> (Cut, Vec<u8>, usize) {
    let mut out = Vec::new();
    let cut = Survey::of(bytes).unwrap().write(&mut Cursor::new(bytes), &mut out).unwrap();
    let mut reader = Reader::new(&out[..]).unwrap();
    let mut events = 0;
    while reader.next_event().unwrap().is_some() {
        events += 1;
    }
    (cut, out, events - 1)
}

/// Each read is short, so that all offsets can be tested: before the cut block, the capture has only a state without
/// processes and the last two events.
#[test]
fn cut_at_every_byte_of_its_last_64_kib() {
    let capture = Capture::get();
    let mut state = Vec::new();
    write_state(&mut state, &MachineState::default()).unwrap();
    let len = capture.bytes.len();
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for first in 0..threads {
            let state = &state;
            let cuts = (len - TAIL + first..len).step_by(threads);
            scope.spawn(move || cuts.for_each(|cut| check_cut(capture, state, cut)));
        }
    });
}

/// A power loss: the disk always has a prefix of the later file. The last complete event of each copy is cut at every
/// byte, too.
#[test]
fn copies_of_random_moments() {
    let mut state = Vec::new();
    write_state(&mut state, &MachineState::default()).unwrap();
    let (copies, whole) = copies(&[]);
    for bytes in &copies {
        assert!(whole.starts_with(bytes), "{} bytes", bytes.len());
        let blocks = blocks(bytes);
        let end = blocks.last().unwrap().at.end;
        let events = blocks.iter().filter(|block| block.is_event).count();
        let (cut_notice, out, kept) = repaired(bytes);
        assert_eq!((cut_notice.offset, kept), (end as u64, events));
        assert!(out.starts_with(&bytes[..end]));
        let capture = Capture { bytes: bytes[..end].to_vec(), blocks };
        (capture.blocks.last().unwrap().at.clone()).for_each(|cut| check_cut(&capture, &state, cut));
    }
    let unpacked = |bytes: &[u8]| {
        let mut out = Vec::new();
        let _ = MultiGzDecoder::new(bytes).read_to_end(&mut out);
        out
    };
    let (copies, whole) = self::copies(&["-z"]);
    for bytes in &copies {
        assert!(whole.starts_with(bytes), "{} bytes", bytes.len());
        let end = blocks(&unpacked(bytes)).last().unwrap().at.end;
        let (_, out, events) = repaired(bytes);
        assert!(events > 0 && unpacked(&out).starts_with(&unpacked(bytes)[..end]));
    }
}

/// Returns copies of a capture made at random moments of a recording, with events in them; and the final file.
fn copies(options: &[&str]) -> (Vec<Vec<u8>>, Vec<u8>) {
    let folder = TempDir::new().unwrap();
    let path = file(&folder, "growing.scap");
    let partial = file(&folder, "growing.scap.partial");
    // Longer than a buffer waits to be written.
    let work = ["--", "sh", "-c", "i=0; while [ $i -lt 60 ]; do sleep 0.03; i=$((i+1)); done"];
    let mut command = scapd();
    command.args(["record", "-q", "--syscalls", "%process", "-w"]).arg(&path).args(options).args(work);
    let mut recorder = command.stdout(Stdio::null()).spawn().unwrap();
    let mut copies: Vec<Vec<u8>> = Vec::new();
    while recorder.try_wait().unwrap().is_none() {
        sleep(Duration::from_millis(fastrand::u64(5..60)));
        let copy = fs::read(&partial).unwrap_or_default();
        if copies.last().is_none_or(|last| last.len() < copy.len()) {
            copies.push(copy);
        }
    }
    assert!(recorder.wait().unwrap().success());
    // The first events belong to the state.
    let has_events = |mut reader: Reader<&[u8]>| (0..3).all(|_| matches!(reader.next_event(), Ok(Some(_))));
    copies.retain(|copy| Reader::new(&copy[..]).is_ok_and(has_events));
    assert!(copies.len() >= 3, "{} copies", copies.len());
    // Enough for a test that runs often.
    fastrand::shuffle(&mut copies);
    copies.truncate(4);
    (copies, fs::read(&path).unwrap())
}

fn check_cut(capture: &Capture, state: &[u8], cut: usize) {
    let block = capture.block_at(cut);
    let Range { start, .. } = capture.blocks[block].at;
    let two_events = capture.blocks[..block].iter().rev().filter(|block| block.is_event).nth(1).unwrap();
    let before = &capture.bytes[two_events.at.start..start];
    let whole = [state, before].concat();
    let bytes = [&whole[..], &capture.bytes[start..cut]].concat();
    let (lines, error) = shown(&bytes);
    assert_eq!(lines, 2, "cut at {cut}");
    if cut == start {
        return assert!(error.is_none(), "cut at {cut}: {error:?}");
    }
    let at = whole.len() as u64;
    assert!(
        matches!(error, Some(ReadError::Truncated { offset, .. }) if offset == at),
        "cut at {cut}: {error:?}"
    );
    let (cut_notice, out, events) = repaired(&bytes);
    let expected = Cut { cause: CutCause::CutOff, offset: at, bytes: (cut - start) as u64 };
    assert_eq!((cut_notice, events), (expected, 2), "cut at {cut}");
    assert!(out.starts_with(&whole), "cut at {cut}");
}

/// Checks the commands on a cut file: `offset` is the end of its last complete block, `events` come before.
fn check_commands(path: &Path, events: usize, offset: usize) {
    let lines = |out: &str| out.lines().count();
    let (code, out, said) = run(scapd().arg("read").arg(path));
    assert_eq!((code, lines(&out)), (Some(6), events), "{said}");
    assert!(said.contains(&format!("byte {offset} ")), "{offset}: {said}");
    assert_eq!(run(scapd().arg("verify").arg(path)).0, Some(6));
    let (code, said, errors) = run(scapd().arg("repair").arg(path));
    assert_eq!(code, Some(0), "{errors}");
    assert!(said.contains(&format!("cut off at byte {offset}: ")), "{said}");
    let (code, out, said) = run(scapd().arg("read").arg(path));
    assert_eq!((code, lines(&out)), (Some(0), events + 1), "{said}");
    assert!(out.lines().last().unwrap().contains("scapd.cut"));
    let (code, out, _) = run(scapd().arg("verify").arg(path));
    assert_eq!(code, Some(7));
    assert!(out.contains(&format!("repaired: cut off at byte {offset}; ")), "{out}");
}

#[test]
fn the_commands_and_a_cut_capture() {
    let capture = Capture::get();
    let folder = TempDir::new().unwrap();
    let path = file(&folder, "cut.scap");
    let len = capture.bytes.len();
    let mut cuts: Vec<usize> = (len - TAIL + 1..len).step_by(4001).collect();
    cuts.extend([len - 1, capture.blocks[capture.blocks.len() - 2].at.start + 1]);
    for cut in cuts {
        let block = capture.block_at(cut);
        let start = capture.blocks[block].at.start;
        if start == cut {
            continue;
        }
        fs::write(&path, &capture.bytes[..cut]).unwrap();
        check_commands(&path, capture.events_before(block), start);
    }
    // For several captures, the exit code is that of the worst.
    let damaged = file(&folder, "damaged.scap");
    fs::write(&damaged, &capture.bytes[..len - 1]).unwrap();
    let (code, out, _) = run(scapd().arg("verify").args([&damaged, &path]));
    assert_eq!(code, Some(6));
    for (name, outcome) in [(&damaged, "damaged"), (&path, "incomplete")] {
        assert!(out.contains(&format!("{}: {outcome}", name.display())), "{out}");
    }
}

#[test]
fn a_compressed_capture_is_decompressed_as_far_as_it_goes() {
    let folder = TempDir::new().unwrap();
    let path = file(&folder, "cut.scap.gz");
    record(&path, &["-z"]);
    let packed = fs::read(&path).unwrap();
    let mut compared = 0;
    for cut in (packed.len() / 2..packed.len()).step_by(packed.len() / 150) {
        // The output of another decoder.
        let mut bytes = Vec::new();
        let whole = MultiGzDecoder::new(&packed[..cut]).read_to_end(&mut bytes).is_ok();
        let blocks = blocks(&bytes);
        let end = blocks.last().map_or(0, |block| block.at.end);
        let events = blocks.iter().filter(|block| block.is_event).count();
        if whole || events == 0 {
            continue;
        }
        let (cut_notice, out, kept) = repaired(&packed[..cut]);
        assert_eq!((cut_notice.offset, kept), (end as u64, events), "cut at {cut}");
        let mut unpacked = Vec::new();
        MultiGzDecoder::new(&out[..]).read_to_end(&mut unpacked).unwrap();
        assert!(unpacked.starts_with(&bytes[..end]), "cut at {cut}");
        if compared % 30 == 0 {
            fs::write(&path, &packed[..cut]).unwrap();
            check_commands(&path, events, end);
        }
        compared += 1;
    }
    assert!(compared > 20, "{compared} cuts with events before them");
}

/// Kills a recorder, which then closes nothing, and returns the directory with its files.
fn killed(options: &[&str]) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = file(&folder, "killed.scap.partial");
    let name = file(&folder, "killed.scap");
    let work = ["--", "sh", "-c", "i=0; while [ $i -lt 3000 ]; do /bin/true; i=$((i+1)); done"];
    let mut command = scapd();
    command.args(["record", "-q", "-w"]).arg(&name).args(options).args(work);
    let mut recorder = command.stdout(Stdio::null()).spawn().unwrap();
    let size = || fs::metadata(&path).map_or(0, |meta| meta.len());
    // It has written its state, and more.
    let first = (0..500).find_map(|_| {
        sleep(Duration::from_millis(20));
        Some(size()).filter(|size| *size > 0)
    });
    let enough = first.unwrap() + (64 << 10);
    assert!((0..500).any(|_| {
        sleep(Duration::from_millis(20));
        size() > enough
    }));
    recorder.kill().unwrap();
    recorder.wait().unwrap();
    (folder, path)
}

#[test]
fn a_recorder_that_is_killed_leaves_what_it_wrote() {
    for options in [&[][..], &["-z"]] {
        let (folder, path) = killed(options);
        let (code, out, said) = run(scapd().arg("repair").arg(&path));
        assert_eq!(code, Some(0), "{out}{said}");
        assert!(!path.exists());
        let path = file(&folder, "killed.scap");
        let (code, out, said) = run(scapd().arg("read").arg(&path));
        assert_eq!(code, Some(0), "{said}");
        assert!(out.lines().count() > 100 && out.lines().last().unwrap().contains("scapd.cut"));
        assert_eq!(run(scapd().arg("verify").arg(&path)).0, Some(7));
    }
}

#[test]
fn what_is_said_where_nothing_can_be_saved() {
    let folder = TempDir::new().unwrap();
    let path = file(&folder, "bad.scap");
    fs::write(&path, &Capture::get().bytes[..100]).unwrap();
    let (code, out, said) = run(scapd().arg("repair").arg(&path));
    assert_eq!((code, &*out), (Some(6), ""));
    assert!(said.contains("nothing can be saved from") && said.contains("machine info"), "{said}");
    assert_eq!(fs::metadata(&path).unwrap().len(), 100);
    let out_file = file(&folder, "there.scap");
    fs::write(&out_file, "mine").unwrap();
    fs::write(&path, &Capture::get().bytes).unwrap();
    let (code, _, said) = run(scapd().arg("repair").arg(&path).arg("-o").arg(&out_file));
    assert_eq!(code, Some(5));
    assert!(said.contains("there.scap already exists: move it away"), "{said}");
}

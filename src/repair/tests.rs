use std::{
    fs::{self, File, Permissions},
    io::Cursor,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
};

use flate2::{Compression, write::GzEncoder};
use proptest::prelude::{
    ProptestConfig, Strategy, prop_assert, prop_assert_eq, prop_assert_ne, prop_oneof, proptest,
};
use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

use super::*;
use crate::verify::{VerifyOutcome, VerifyReport as Verified};
use scap::{
    events::{EventType, event},
    format::{
        BlockType, EventBuilder, MachineState, ReadError, Reader, Value, event_block_len, frame_event,
        write_state,
    },
    ledger::{self, CutCause, Verdict},
};

/// Size in bytes of an event's block in [`whole`].
const BLOCK: usize = event_block_len(26 + 2 + 8);

fn state() -> Vec<u8> {
    let mut bytes = Vec::new();
    write_state(&mut bytes, &MachineState::default()).unwrap();
    bytes
}

/// Returns a capture with that many events, and its balance.
fn whole(events: u64) -> Vec<u8> {
    let mut bytes = unclosed(events);
    let verdict = Verdict { seen: events, written: events, ..Verdict::default() };
    frame_event(&mut bytes, 0, &ledger::notice(ledger::VERDICT, &verdict.text(), events));
    bytes
}

fn unclosed(events: u64) -> Vec<u8> {
    let mut bytes = state();
    for ts in 1..=events {
        let close = EventBuilder::new(event(EventType(4)).unwrap(), ts, 1).param(Value::Fd(3)).unwrap();
        frame_event(&mut bytes, 0, &close.build().unwrap());
    }
    bytes
}

fn member(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Repairs a capture in memory.
fn salvaged(bytes: &[u8]) -> (Cut, Vec<u8>) {
    let survey = Survey::of(bytes).unwrap();
    let mut out = Vec::new();
    let cut = survey.write(&mut Cursor::new(bytes), &mut out).unwrap();
    let verified = Verified::of(&out[..]);
    assert_eq!(verified.outcome(), VerifyOutcome::Incomplete, "{verified:?}");
    assert_eq!(verified.cuts, [cut]);
    // A second repair finds nothing to do.
    let again = Survey::of(&out[..]).unwrap();
    assert!(again.damage.is_none() && again.is_closed);
    (cut, out)
}

fn events(capture: &[u8]) -> u64 {
    Verified::of(capture).events
}

#[test]
fn whole_events_are_kept_and_the_notice_says_the_rest() {
    let file = whole(5);
    let end = state().len() + 5 * BLOCK;
    for cut_at in state().len() + 4 * BLOCK + 1..state().len() + 5 * BLOCK {
        let (cut, out) = salvaged(&file[..cut_at]);
        let offset = end - BLOCK;
        let bytes = (cut_at - offset) as u64;
        assert_eq!(cut, Cut { cause: CutCause::CutOff, offset: offset as u64, bytes });
        assert_eq!((&out[..offset], events(&out)), (&file[..offset], 4));
    }
    let mut damaged = file.clone();
    damaged[end - BLOCK + 4] = 3;
    let (cut, out) = salvaged(&damaged);
    let behind = (file.len() - (end - BLOCK)) as u64;
    assert_eq!((cut.cause, cut.bytes, events(&out)), (CutCause::Damaged, behind, 4));
    // A tail of zeros, as a power loss leaves.
    let (cut, out) = salvaged(&[&file[..end], &[0; 4096]].concat());
    assert_eq!((cut.cause, cut.bytes, events(&out)), (CutCause::Damaged, 4096, 5));
}

#[test]
fn the_notice_stands_in_time_order() {
    let file = unclosed(7);
    let (_, out) = salvaged(&file[..file.len() - 1]);
    let mut reader = Reader::new(&out[..]).unwrap();
    let times: Vec<u64> =
        std::iter::from_fn(|| reader.next_event().unwrap().map(|captured| captured.event.ts())).collect();
    assert_eq!(times, [1, 2, 3, 4, 5, 6, 6]);
}

#[test]
fn what_is_left_of_the_state_is_kept() {
    let state = state();
    let header = 28;
    let machine = header + 192;
    for cut_at in 1..=header {
        assert!(Survey::of(&state[..cut_at]).is_err(), "{cut_at}");
    }
    assert!(matches!(
        Survey::of(&state[..header + 100]),
        Err(ReadError::Truncated { offset, .. }) if offset == header as u64
    ));
    for cut_at in machine..state.len() {
        let (_, out) = salvaged(&state[..cut_at]);
        assert_eq!(events(&out), 0);
        let mut reader = Reader::new(&out[..]).unwrap();
        while reader.next_event().unwrap().is_some() {}
        let counts = reader.block_counts();
        for ty in [BlockType::MACHINE_INFO, BlockType::INTERFACE_LIST, BlockType::USER_LIST] {
            assert_eq!(counts.get(&ty), Some(&1), "{ty:?}, cut at {cut_at}");
        }
    }
}

#[test]
fn gzip_members_are_kept_as_they_are() {
    let file = whole(40);
    let (head, tail) = file.split_at(state().len() + 20 * BLOCK + 5);
    let (first, second) = (member(head), member(tail));
    let packed = [&first[..], &second].concat();
    for cut_at in 30..packed.len() {
        let cut_file = &packed[..cut_at];
        let Ok(survey) = Survey::of(cut_file) else { continue };
        if survey.damage.is_none() {
            assert!(cut_at == packed.len() || cut_at == first.len(), "cut at {cut_at}");
            continue;
        }
        let (cut, out) = salvaged(cut_file);
        // The first member ends inside an event, which continues in the second.
        if cut_at >= first.len() && cut.offset >= head.len() as u64 {
            assert!(out.starts_with(&first), "cut at {cut_at}");
        }
        assert!(cut_at < first.len() || events(&out) >= 20);
        let whole = (cut.offset as usize).saturating_sub(state().len()) / BLOCK;
        assert_eq!(events(&out), whole.min(40) as u64, "cut at {cut_at}");
    }
    let (cut, out) = salvaged(&packed[..packed.len() - 1]);
    assert_eq!(events(&out), 40, "{cut:?}");
    let (cut, out) = salvaged(&[&packed[..], &[0; 100]].concat());
    assert_eq!((cut.cause, cut.bytes, events(&out)), (CutCause::Damaged, 100, 40));
    assert!(out.starts_with(&packed));
}

/// Creates a folder with a file in it.
fn with(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

fn names(folder: &TempDir) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn the_repaired_capture_takes_the_place_of_the_damaged_one() {
    let file = whole(5);
    let damaged = &file[..file.len() - 1];
    let (folder, path) = with("a.scap", damaged);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    let report = repair(&path, &RepairPlace::Instead).unwrap();
    assert_eq!((report.events, report.cut.unwrap().cause), (5, CutCause::CutOff));
    assert_eq!(report.path.file_name(), path.file_name());
    let meta = fs::metadata(&path).unwrap();
    assert_eq!((meta.permissions().mode() & 0o777, meta.modified().unwrap()), (0o640, modified));
    assert_eq!(names(&folder), ["a.scap"]);
    let repaired = fs::read(&path).unwrap();
    assert_eq!(events(&repaired), 5);
    // It is whole now.
    let report = repair(&path, &RepairPlace::Instead).unwrap();
    assert_eq!((report.cut, fs::read(&path).unwrap() == repaired), (None, true));
}

#[test]
fn the_damaged_capture_is_kept_where_that_is_wanted() {
    let file = whole(5);
    let damaged = &file[..file.len() - 1];
    let keep = RepairPlace::InsteadOfKept;
    let (folder, path) = with("a.scap", damaged);
    let report = repair(&path, &keep).unwrap();
    assert_eq!(names(&folder), ["a.scap", "a.scap.damaged"]);
    assert!(fs::read(report.damaged.unwrap()).unwrap() == damaged);
    // A second repair does not overwrite the kept one.
    fs::write(&path, &damaged[..damaged.len() - 1]).unwrap();
    assert!(matches!(repair(&path, &keep), Err(RepairError::Exists { .. })));
    assert!(fs::read(folder.path().join("a.scap.damaged")).unwrap() == damaged);
    // Elsewhere: the damaged one is left alone.
    let out = folder.path().join("b.scap");
    let elsewhere = RepairPlace::Elsewhere(out.clone());
    let report = repair(&path, &elsewhere).unwrap();
    assert_eq!((report.path, events(&fs::read(&out).unwrap())), (out, 5));
    assert!(fs::read(&path).unwrap() == damaged[..damaged.len() - 1]);
    assert!(matches!(repair(&path, &elsewhere), Err(RepairError::Exists { .. })));
    assert_eq!(names(&folder), ["a.scap", "a.scap.damaged", "b.scap"]);
}

#[test]
fn in_place_comes_the_same_out() {
    let packed = [member(&state()), member(&whole(3)[state().len()..])].concat();
    for damaged in
        [&whole(5)[..whole(5).len() - 1], &unclosed(5), &packed[..packed.len() - 9], &member(&unclosed(5))]
    {
        let [(_kept, beside), (folder, in_place)] =
            [with("a.scap.partial", damaged), with("a.scap.partial", damaged)];
        let expected = repair(&beside, &RepairPlace::Instead).unwrap();
        fs::set_permissions(&in_place, Permissions::from_mode(0o4750)).unwrap();
        let modified = fs::metadata(&in_place).unwrap().modified().unwrap();
        let report = repair(&in_place, &RepairPlace::InPlace).unwrap();
        assert_eq!(fs::metadata(&report.path).unwrap().permissions().mode() & 0o7777, 0o640);
        assert_eq!((report.cut, report.events), (expected.cut, expected.events));
        assert!(fs::read(&report.path).unwrap() == fs::read(&expected.path).unwrap());
        assert_eq!(names(&folder), ["a.scap"]);
        assert_eq!(fs::metadata(&report.path).unwrap().modified().unwrap(), modified);
    }
}

#[test]
fn a_partial_file_gets_its_name() {
    // Cut off; never closed; closed but not renamed.
    for (bytes, cause) in [
        (&whole(5)[..whole(5).len() - 1], Some(CutCause::CutOff)),
        (&unclosed(5), Some(CutCause::Unclosed)),
        (&whole(5), None),
        (&member(&unclosed(5)), Some(CutCause::Unclosed)),
    ] {
        let (folder, path) = with("a.scap.partial", bytes);
        let report = repair(&path, &RepairPlace::Instead).unwrap();
        assert_eq!((report.cut.map(|cut| cut.cause), names(&folder)), (cause, vec!["a.scap".to_owned()]));
        assert_eq!(events(&fs::read(report.path).unwrap()), 5);
    }
    // As other programs write it.
    let (_folder, path) = with("a.scap", &unclosed(5));
    assert_eq!(repair(&path, &RepairPlace::Instead).unwrap().cut, None);
}

#[test]
fn no_capture_is_overwritten() {
    let (folder, path) = with("a.scap.partial", &unclosed(5));
    fs::write(folder.path().join("a.scap"), "another").unwrap();
    assert!(matches!(repair(&path, &RepairPlace::Instead), Err(RepairError::Exists { .. })));
    assert_eq!(names(&folder), ["a.scap", "a.scap.partial"]);
    assert_eq!(fs::read(folder.path().join("a.scap")).unwrap(), b"another");
    assert!(fs::read(&path).unwrap() == unclosed(5));
}

#[test]
fn what_cannot_be_repaired_is_left_alone() {
    let (folder, path) = with("a.scap.partial", &state()[..50]);
    let error = repair(&path, &RepairPlace::Instead).unwrap_err();
    assert!(matches!(error, RepairError::Nothing { .. }), "{error}");
    assert!(fs::read(&path).unwrap() == state()[..50]);
    assert!(matches!(repair(folder.path(), &RepairPlace::Instead), Err(RepairError::NotAFile { .. })));
    let missing = folder.path().join("b");
    assert!(matches!(repair(&missing, &RepairPlace::Instead), Err(RepairError::Open { .. })));
    fs::write(&path, unclosed(5)).unwrap();
    let recorder = File::open(&path).unwrap();
    flock(&recorder, FlockOperation::LockShared).unwrap();
    assert!(matches!(repair(&path, &RepairPlace::Instead), Err(RepairError::InUse { .. })));
    assert_eq!(names(&folder), ["a.scap.partial"]);
}

#[test]
fn a_link_still_leads_to_the_capture() {
    let (folder, path) = with("a.scap", &whole(5)[..whole(5).len() - 1]);
    let link = folder.path().join("link");
    std::os::unix::fs::symlink("a.scap", &link).unwrap();
    repair(&link, &RepairPlace::Instead).unwrap();
    assert!(link.is_symlink());
    assert_eq!((events(&fs::read(&path).unwrap()), events(&fs::read(&link).unwrap())), (5, 5));
}

/// Damage to the bytes of a file.
#[derive(Debug, Clone)]
enum Mishap {
    Cut(usize),
    Flip(usize, u8),
    Drop(usize, usize),
    Twice(usize, usize),
    Zeros(usize),
}

impl Mishap {
    fn any() -> impl Strategy<Value = Mishap> {
        let at = 0..100_000_usize;
        prop_oneof![
            at.clone().prop_map(Mishap::Cut),
            (at.clone(), 1..=255_u8).prop_map(|(at, bits)| Mishap::Flip(at, bits)),
            (at.clone(), 1..200_usize).prop_map(|(at, len)| Mishap::Drop(at, len)),
            (at.clone(), 1..200_usize).prop_map(|(at, len)| Mishap::Twice(at, len)),
            (1..200_usize).prop_map(Mishap::Zeros),
        ]
    }

    fn befall(&self, bytes: &mut Vec<u8>) {
        let place = |at: usize, len: usize| {
            let start = at % bytes.len().max(1);
            start..(start + len).min(bytes.len())
        };
        match *self {
            Mishap::Cut(at) => bytes.truncate(at % (bytes.len() + 1)),
            Mishap::Flip(at, bits) => {
                let at = place(at, 1);
                bytes[at].iter_mut().for_each(|byte| *byte ^= bits);
            }
            Mishap::Drop(at, len) => drop(bytes.drain(place(at, len))),
            Mishap::Twice(at, len) => {
                let again = bytes[place(at, len)].to_vec();
                let at = at % bytes.len().max(1);
                bytes.splice(at..at, again);
            }
            Mishap::Zeros(len) => bytes.resize(bytes.len() + len, 0),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    /// `scapd verify` calls whole exactly what `scapd repair` leaves unchanged.
    #[test]
    fn repair_and_verify_agree_on_what_is_whole(
        kind in 0..4_u8,
        mishaps in proptest::collection::vec(Mishap::any(), 0..3),
        is_partial: bool,
    ) {
        let mut bytes = match kind {
            0 => whole(5),
            1 => unclosed(5),
            2 => [member(&whole(3)[..state().len()]), member(&whole(3)[state().len()..])].concat(),
            _ => [whole(2), whole(2)].concat(),
        };
        mishaps.iter().for_each(|mishap| mishap.befall(&mut bytes));
        let (_folder, path) = with(if is_partial { "a.scap.partial" } else { "a.scap" }, &bytes);
        let verified = |path: &Path| {
            let mut out = Vec::new();
            crate::verify::verify(path, true, &mut out).unwrap()
        };
        let said = verified(&path);
        match repair(&path, &RepairPlace::Instead) {
            Ok(report) => {
                let unchanged = fs::read(&report.path).unwrap() == bytes;
                prop_assert_eq!(report.cut.is_none(), unchanged);
                prop_assert_eq!(said != VerifyOutcome::Damaged, unchanged, "{:?}: {:?}", said, report);
                prop_assert_ne!(verified(&report.path), VerifyOutcome::Damaged, "{:?}", report);
            }
            Err(RepairError::Nothing { .. }) => {
                prop_assert!(matches!(said, VerifyOutcome::Damaged | VerifyOutcome::NotACapture), "{:?}", said);
            }
            Err(error) => prop_assert!(false, "{}", error),
        }
    }
}

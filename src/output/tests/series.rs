//! Series of files, without recording: which chunk is in which file.

use std::{
    sync::mpsc::channel,
    thread,
    time::{Duration, Instant},
};

use super::*;
use scap::ledger::{Cause, Losses, Verdict};

/// Creates a series whose machine state is the text `state`.
fn files(dir: &Path, compress: bool, series: &Series) -> Files {
    let pattern = Pattern::parse(&dir.join("a.scap")).unwrap();
    Files::create(pattern, series, compress, 0, StateSource::new(|| b"state".to_vec())).unwrap()
}

fn submit(writer: &mut WriterThread, bytes: &[u8], events: u64) {
    let mut chunk = writer.take().unwrap();
    chunk.bytes.extend_from_slice(bytes);
    chunk.events = events;
    writer.submit(chunk).unwrap();
}

fn cut_at(at: u64) -> FileCut {
    FileCut { at, beside: Verdict::default() }
}

/// Returns the bytes of a file before its balance, and the text of the balance.
fn parts(dir: &Path, number: u32, compress: bool) -> (Vec<u8>, String) {
    let mut bytes = content(&dir.join(format!("a-{number:06}.scap")), compress);
    let start = bytes.windows(14).rposition(|text| text == b"scapd.verdict\0").unwrap();
    let text = String::from_utf8_lossy(&bytes[start + 14..]).split('\0').next().unwrap().to_owned();
    // The header of the block, the header of the event, and two lengths.
    bytes.truncate(start - (10 + 26 + 4));
    (bytes, text)
}

#[test]
fn chunks_are_in_the_file_of_their_time() {
    for compress in [false, true] {
        let dir = TempDir::new().unwrap();
        let files = files(dir.path(), compress, &Series::default());
        let mut writer = WriterThread::spawn(files, 4, 1000).unwrap();
        submit(&mut writer, b"first state, ", 0);
        submit(&mut writer, b"events", 6);
        writer.cut(cut_at(10)).unwrap();
        let mut chunk = writer.take().unwrap();
        chunk.bytes.extend_from_slice(b", more events");
        (chunk.events, chunk.late) = (3, 1);
        chunk.losses.add(Cause::RingFull, 2);
        writer.submit(chunk).unwrap();
        let mut beside = Verdict { sample_ratio: 4, ..Verdict::default() };
        beside.losses.add(Cause::Skipped, 7);
        beside.left_out.failed = 5;
        writer.cut(FileCut { at: 20, beside }).unwrap();
        submit(&mut writer, b" and the last", 1);
        let mut losses = Losses::default();
        losses.add(Cause::RingFull, 2);
        losses.add(Cause::Skipped, 8);
        // One event was seen, but neither written nor lost: the last balance shows it.
        let mut all = Verdict { seen: 13, written: 10, losses, late: 1, ..Verdict::default() };
        all.left_out.failed = 6;
        writer.end(all, 30).unwrap();
        let progress = writer.progress();
        let totals = writer.finish().unwrap();
        assert_eq!((totals.events, progress.files(), progress.files_closed()), (10, 3, 3));
        let expected: [(&[u8], &str); 3] = [
            (b"first state, events", "verdict=complete seen=6 written=6 lost=0 late=0 unread=0"),
            (
                b"state, more events",
                "verdict=incomplete seen=5 written=3 lost=9 late=1 unread=0 ring_full=2 skipped=7 failed=5 sample_ratio=4",
            ),
            (
                b"state and the last",
                "verdict=incomplete seen=2 written=1 lost=1 late=0 unread=0 skipped=1 failed=1",
            ),
        ];
        for (number, (bytes, verdict)) in (1..).zip(expected) {
            let (found, text) = parts(dir.path(), number, compress);
            assert_eq!(String::from_utf8_lossy(&found), String::from_utf8_lossy(bytes));
            assert_eq!(text, verdict);
        }
    }
}

#[test]
fn what_does_not_fit_waits_until_there_is_room() {
    for compress in [false, true] {
        let fs = Tmpfs::mount("size=1m");
        let ballast = fs.0.path().join("ballast");
        fs::write(&ballast, vec![0; 800_000]).unwrap();
        let series = Series { manifest: true, ..Series::default() };
        let mut writer = WriterThread::spawn(files(fs.0.path(), compress, &series), 8, 50_000).unwrap();
        let progress = writer.progress();
        let mut expected = Vec::new();
        for i in 0..8 {
            let bytes = noise(i, 50_000);
            expected.extend_from_slice(&bytes);
            submit(&mut writer, &bytes, 1);
        }
        let deadline = Instant::now() + Duration::from_secs(10);
        while progress.events() < 4 {
            assert!(Instant::now() < deadline, "{} written", progress.events());
            thread::sleep(Duration::from_millis(10));
        }
        assert!(progress.events() < 8);
        fs::remove_file(&ballast).unwrap();
        writer.end(Verdict { seen: 8, written: 8, ..Verdict::default() }, 1).unwrap();
        assert_eq!(writer.finish().unwrap().events, 8);
        assert!(parts(fs.0.path(), 1, compress).0 == expected);
        // The partial checksum is not used.
        let manifest = fs::read_to_string(fs.0.path().join("a-000001.scap.json")).unwrap();
        let sum = Command::new("sha256sum").arg(fs.0.path().join("a-000001.scap")).output().unwrap().stdout;
        assert!(manifest.contains(&String::from_utf8_lossy(&sum)[..64]), "{manifest}");
    }
}

#[test]
fn a_disk_that_stays_full_is_an_error_in_the_end() {
    let fs = Tmpfs::mount("size=64k");
    let mut writer = WriterThread::spawn(files(fs.0.path(), false, &Series::default()), 8, 50_000).unwrap();
    for i in 0..8 {
        submit(&mut writer, &noise(i, 50_000), 1);
    }
    let progress = writer.progress();
    assert!(matches!(writer.finish(), Err(OutputError::NoSpace { .. })));
    assert_eq!(progress.events() + progress.pending(), 8);
    // It keeps its `.partial` name, because its end is missing.
    assert!(fs.0.path().join("a-000001.scap.partial").exists());
}

#[test]
fn there_are_more_buffers_while_the_next_file_begins() {
    let dir = TempDir::new().unwrap();
    let (go, gone) = channel();
    let (asks, asked) = channel();
    let pattern = Pattern::parse(&dir.path().join("a.scap")).unwrap();
    let state = StateSource::new(move || {
        asks.send(()).unwrap();
        gone.recv().unwrap()
    });
    let files = Files::create(pattern, &Series::default(), false, 0, state).unwrap();
    let mut writer = WriterThread::spawn(files, 2, 100).unwrap();
    let chunks =
        |writer: &mut WriterThread| -> Vec<_> { std::iter::from_fn(|| writer.try_take().unwrap()).collect() };
    let two = chunks(&mut writer);
    assert_eq!(two.len(), 2);
    writer.cut(cut_at(1)).unwrap();
    asked.recv().unwrap();
    let more = chunks(&mut writer);
    assert!((10..100).contains(&more.len()), "{}", more.len());
    let all: Vec<_> = two.into_iter().chain(more).collect();
    let count = all.len() as u64;
    for mut chunk in all {
        chunk.events = 1;
        chunk.bytes.push(b'x');
        writer.submit(chunk).unwrap();
    }
    go.send(b"state".to_vec()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while writer.is_switching() || writer.progress().pending() > 0 {
        assert!(Instant::now() < deadline, "it stays in memory");
        thread::sleep(Duration::from_millis(1));
    }
    // Afterwards there are no extra buffers.
    assert_eq!(chunks(&mut writer).len(), 2);
    assert_eq!(writer.finish().unwrap().events, count);
}

#[test]
fn what_was_not_ended_has_no_balance_and_its_name() {
    let dir = TempDir::new().unwrap();
    let mut writer = WriterThread::spawn(files(dir.path(), false, &Series::default()), 2, 100).unwrap();
    submit(&mut writer, b"events", 1);
    drop(writer);
    assert_eq!(fs::read(dir.path().join("a-000001.scap")).unwrap(), b"events");
}

#[test]
fn what_a_file_has_that_was_moved_away_is_in_no_other() {
    let dir = TempDir::new().unwrap();
    let mut files = files(dir.path(), false, &Series::default());
    let put = |files: &mut Files, bytes: &[u8]| {
        let mut chunk = Chunk::of(bytes.to_vec());
        chunk.events = 1;
        files.put(chunk, &mut |_| ()).unwrap();
    };
    // Less than a block: it is not in the file when the file is moved.
    put(&mut files, b"before");
    let moved = dir.path().join("moved");
    fs::rename(dir.path().join("a-000001.scap.partial"), &moved).unwrap();
    thread::sleep(Duration::from_millis(1200));
    put(&mut files, b", after");
    files.end(&Verdict { seen: 2, written: 2, ..Verdict::default() }, 1, &mut |_| ()).unwrap();
    assert_eq!(files.finish().unwrap().events, 2);
    let moved = String::from_utf8_lossy(&fs::read(moved).unwrap()).into_owned();
    assert!(
        moved.starts_with("before") && moved.contains(" written=1 ") && !moved.contains("after"),
        "{moved}"
    );
    let names = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let next = names.into_iter().find(|path| path.extension().is_some_and(|e| e == "scap")).unwrap();
    let next = String::from_utf8_lossy(&fs::read(next).unwrap()).into_owned();
    assert!(next.starts_with("state, after") && next.contains(" written=1 "), "{next}");
}

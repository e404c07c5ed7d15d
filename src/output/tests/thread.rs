//! The writer's thread and the compression threads.

use std::{
    sync::mpsc::channel,
    time::{Duration, Instant},
};

use super::*;

#[test]
fn the_thread_writes_in_order() {
    let dir = TempDir::new().unwrap();
    let (path, target) = file(&dir, "a.scap");
    let mut writer = WriterThread::spawn(Output::create(target, false).unwrap(), 2, 100).unwrap();
    let progress = writer.progress();
    let mut expected = Vec::new();
    for i in 0..50_u64 {
        let mut chunk = writer.take().unwrap();
        assert!(chunk.bytes.is_empty() && chunk.bytes.capacity() == 100 && chunk.room() == 100);
        // Some chunks are larger than the buffer, which then grows.
        let bytes = noise(i, 90 + i as usize);
        chunk.bytes.extend_from_slice(&bytes);
        chunk.events = i;
        expected.extend(bytes);
        writer.submit(chunk).unwrap();
    }
    let totals = writer.finish().unwrap();
    assert_eq!(totals.events, (0..50).sum::<u64>());
    assert_eq!((progress.events(), progress.bytes_out()), (totals.events, totals.bytes_out));
    assert!(fs::read(path).unwrap() == expected);
}

#[test]
fn a_slow_reader_leaves_no_free_buffer_and_loses_nothing() {
    const SIZE: usize = 1 << 20;
    for compress in [false, true] {
        let dir = TempDir::new().unwrap();
        let (output, mut reader) = fifo(&dir, compress);
        let mut writer = WriterThread::spawn_with(output, 3, SIZE, 2).unwrap();
        for i in 0..3 {
            let mut chunk = writer.try_take().unwrap().expect("a buffer of three");
            chunk.bytes.extend(noise(i, SIZE));
            writer.submit(chunk).unwrap();
        }
        // A pipe holds less than one chunk.
        assert!(writer.try_take().unwrap().is_none());
        let (done, read) = channel();
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).unwrap();
            done.send(bytes).unwrap();
        });
        let spare = writer.take().unwrap();
        // Noise grows when it is compressed; the extra memory is freed.
        assert!(spare.packed.is_empty() && spare.packed.capacity() <= SIZE);
        writer.submit(spare).unwrap();
        let totals = writer.finish().unwrap();
        assert_eq!(totals.bytes_in, 3 * SIZE as u64);
        let mut bytes = read.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(bytes.len() as u64, totals.bytes_out);
        if compress {
            let packed = std::mem::take(&mut bytes);
            MultiGzDecoder::new(&packed[..]).read_to_end(&mut bytes).unwrap();
        }
        assert!(bytes == (0..3).flat_map(|i| noise(i, SIZE)).collect::<Vec<_>>());
    }
}

/// Submits chunks of one event until the writer fails.
fn submit_until_error(writer: &mut WriterThread, bytes: impl Fn(u64) -> Vec<u8>) -> (u64, OutputError) {
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut submitted = 0;
    loop {
        let mut chunk = match writer.take() {
            Ok(chunk) => chunk,
            Err(e) => return (submitted, e),
        };
        chunk.bytes.extend(bytes(submitted));
        chunk.events = 1;
        submitted += 1;
        if let Err(e) = writer.submit(chunk) {
            return (submitted, e);
        }
        assert!(Instant::now() < deadline, "no error");
    }
}

#[test]
fn the_first_error_is_told_once_and_everything_submitted_is_pending() {
    for compress in [false, true] {
        let output = Output::create(Target::from_arg("/dev/full"), compress).unwrap();
        let mut writer = WriterThread::spawn_with(output, 8, 100, 3).unwrap();
        let progress = writer.progress();
        let (submitted, error) = submit_until_error(&mut writer, |_| b"block".to_vec());
        assert!(matches!(error, OutputError::NoSpace { .. }), "{error}");
        assert_eq!((progress.events(), progress.pending()), (0, submitted));
        let (more, error) = submit_until_error(&mut writer, |_| b"block".to_vec());
        assert!(matches!(error, OutputError::Stopped { .. }));
        assert_eq!((progress.events(), progress.pending()), (0, submitted + more));
        assert!(matches!(writer.finish(), Err(OutputError::Stopped { .. })));
    }
}

#[test]
fn after_an_error_in_the_middle_the_file_is_intact_and_the_rest_is_counted() {
    fail_in_the_middle(false);
}

#[test]
#[cfg_attr(not(tmpfs_direct), ignore = "tmpfs knows O_DIRECT from Linux 6.6 on")]
fn after_an_error_in_the_middle_past_the_cache_the_file_is_intact() {
    fail_in_the_middle(true);
}

fn fail_in_the_middle(direct: bool) {
    for compress in [false, true] {
        let fs = Tmpfs::mount("size=1m");
        let (path, target) = file(&fs.0, "a.scap");
        let mut sink = Sink::own(create(&path).unwrap()).unwrap();
        assert!(!direct || sink.bypass(), "this kernel's tmpfs knows no O_DIRECT");
        let output = Output::over(target, sink, compress);
        let mut writer = WriterThread::spawn_with(output, 16, 100_000, 4).unwrap();
        let progress = writer.progress();
        let bytes = |i| noise(i, 20_000 + 1_000 * (i as usize % 30));
        let (submitted, error) = submit_until_error(&mut writer, bytes);
        let OutputError::NoSpace { written, .. } = error else { panic!("{error:?}") };
        assert!(written.events >= 25, "{written:?}");
        assert_eq!(progress.events(), written.events);
        assert_eq!(progress.pending(), submitted - written.events);
        assert_eq!(fs::metadata(&path).unwrap().len(), written.bytes_out);
        assert!(content(&path, compress) == (0..written.events).flat_map(bytes).collect::<Vec<_>>());
    }
}

#[test]
fn a_reader_that_goes_ends_the_threads() {
    for compress in [false, true] {
        let dir = TempDir::new().unwrap();
        let (output, mut reader) = fifo(&dir, compress);
        let mut writer = WriterThread::spawn_with(output, 4, 1 << 16, 2).unwrap();
        let progress = writer.progress();
        let reader = std::thread::spawn(move || reader.read_exact(&mut [0; 100_000]).unwrap());
        let (submitted, error) = submit_until_error(&mut writer, |i| noise(i, 1 << 16));
        let OutputError::BrokenPipe { written, .. } = error else { panic!("{error:?}") };
        assert!(written.events >= 1);
        assert_eq!((progress.events(), progress.pending()), (written.events, submitted - written.events));
        reader.join().unwrap();
    }
}

#[test]
fn members_are_in_the_order_of_their_chunks() {
    let dir = TempDir::new().unwrap();
    let (path, target) = file(&dir, "a.scap.gz");
    let output = Output::create(target, true).unwrap();
    let mut writer = WriterThread::spawn_with(output, 12, 100_000, 4).unwrap();
    let progress = writer.progress();
    // Some chunks take a thousand times as long to compress as others; one in ten is empty, and gives no member.
    let bytes = |i: u64| match i % 10 {
        0 => Vec::new(),
        1 | 5 => noise(i, 100_000),
        _ => vec![i as u8; 200 + i as usize],
    };
    for i in 0..300 {
        let mut chunk = writer.take().unwrap();
        assert!(chunk.bytes.is_empty() && chunk.bytes.capacity() == 100_000);
        chunk.bytes.extend(bytes(i));
        chunk.events = i;
        writer.submit(chunk).unwrap();
    }
    let totals = writer.finish().unwrap();
    assert_eq!(totals.events, (0..300).sum::<u64>());
    assert_eq!((progress.events(), progress.pending()), (totals.events, 0));
    let packed = fs::read(&path).unwrap();
    assert_eq!(packed.len() as u64, totals.bytes_out);
    let mut rest = &packed[..];
    for i in (0..300).filter(|i| i % 10 != 0) {
        let mut member = Vec::new();
        let mut decoder = flate2::bufread::GzDecoder::new(rest);
        decoder.read_to_end(&mut member).unwrap();
        assert!(member == bytes(i), "chunk {i}");
        rest = decoder.into_inner();
    }
    assert!(rest.is_empty());
    assert!(unpacked(&path) == (0..300).flat_map(bytes).collect::<Vec<_>>());
}

#[test]
fn the_end_of_a_chunk_reaches_the_file_though_no_other_follows() {
    let dir = TempDir::new().unwrap();
    let (path, target) = file(&dir, "a.scap");
    let mut writer = WriterThread::spawn(Output::create(target, false).unwrap(), 2, 1 << 16).unwrap();
    let progress = writer.progress();
    let mut expected = Vec::new();
    for i in 1..4 {
        let mut chunk = writer.take().unwrap();
        chunk.bytes.extend(noise(i, 10_001));
        chunk.events = 1;
        expected.extend_from_slice(&chunk.bytes);
        writer.submit(chunk).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while progress.pending() > 0 {
            assert!(Instant::now() < deadline, "it stays in memory");
            std::thread::sleep(Duration::from_millis(1));
        }
        // The writer still runs: a crash would leave the same bytes.
        let growing = fs::read(format!("{}.partial", path.display())).unwrap();
        assert_eq!((progress.events(), growing.len()), (i, expected.len()));
        assert!(growing == expected);
    }
}

#[test]
fn the_last_error_is_seen_at_the_end() {
    let output = Output::create(Target::from_arg("/dev/full"), false).unwrap();
    let mut writer = WriterThread::spawn(output, 1, 100).unwrap();
    let mut chunk = writer.take().unwrap();
    chunk.bytes.extend_from_slice(b"block");
    writer.submit(chunk).unwrap();
    assert!(matches!(writer.finish(), Err(OutputError::NoSpace { .. })));
}

#[test]
fn dropping_the_thread_writes_what_it_has() {
    let dir = TempDir::new().unwrap();
    let (path, target) = file(&dir, "a.scap");
    let mut writer = WriterThread::spawn(Output::create(target, false).unwrap(), 1, 100).unwrap();
    let mut chunk = writer.take().unwrap();
    chunk.bytes.extend_from_slice(b"block");
    writer.submit(chunk).unwrap();
    drop(writer);
    // It was not finished, so it keeps its `.partial` name.
    assert_eq!(fs::read(partial_of(&path)).unwrap(), b"block");
    assert!(!path.exists());
}

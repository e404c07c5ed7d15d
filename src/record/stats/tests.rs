//! How the balance gets into a file, and what it says of the recorder.

use std::{io::Read, thread, time::Instant};

use super::*;

#[test]
fn a_slow_reader_gets_all_of_it() {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK).unwrap();
    rustix::io::ioctl_fionbio(&reader, false).unwrap();
    let (mut reader, writer) = (File::from(reader), File::from(writer));
    let bytes: Vec<u8> = (0..300_000_u32).map(|n| n as u8).collect();
    let reading = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        let mut read = Vec::new();
        reader.read_to_end(&mut read).map(|_| read)
    });
    write_patiently(&writer, &bytes).unwrap();
    drop(writer);
    assert!(reading.join().unwrap().unwrap() == bytes);
}

#[test]
fn a_reader_that_reads_nothing_is_an_error() {
    let (_reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK).unwrap();
    let started = Instant::now();
    let error = write_patiently(&File::from(writer), &vec![0; 300_000]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(started.elapsed() >= PATIENCE);
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK).unwrap();
    drop(reader);
    let error = write_patiently(&File::from(writer), b"x").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
}

#[test]
fn a_folder_that_does_not_exist_is_found_early() {
    let folder = tempfile::tempdir().unwrap();
    check(&folder.path().join("stats.json")).unwrap();
    assert!(check(&folder.path().join("missing/stats.json")).is_err());
}

#[test]
fn the_time_is_what_the_kernel_measured() {
    let measured = || {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
    };
    let before = measured();
    while measured() < before + 1_000_000 {}
    let (user, system) = cpu_time();
    assert!((before + 1_000_000..=measured()).contains(&(user + system)), "{user} + {system} after {before}");
    // The ticks of 10 ms tell user from system time. Other tests run in between.
    let stat = procfs::process::Process::myself().unwrap().stat().unwrap();
    assert!(user.abs_diff(stat.utime * 10_000_000) < 2_000_000_000, "{user} is not {} ticks", stat.utime);
    assert!(system.abs_diff(stat.stime * 10_000_000) < 2_000_000_000, "{system} is not {} ticks", stat.stime);
}

#[test]
fn a_row_names_its_type() {
    let row = row(
        scap::events::event_by_program("read_x").unwrap().ty,
        &Counters { seen: 9, ..Counters::default() },
    );
    assert_eq!((&row["name"], &row["seen"]), (&json!("read_x"), &json!(9)));
    assert!(row["lost"].is_object() && row["type"].is_u64(), "{row:?}");
}

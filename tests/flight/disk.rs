//! A recorder that is killed in the middle of a load: the next one makes a capture of its window, which is compared with what
//! the service has counted.

use std::os::unix::fs::MetadataExt;

use super::{
    service::{SECOND, Service, compare, dump_of, names, now, setting},
    *,
};

/// By how much the last event in the file may be older than the kill, in ns: a chunk is closed after 0.25 s, and this machine
/// may be busy.
const LATE: u64 = SECOND;

fn recorder(folder: &Path, seconds: u64, process: u32) -> Command {
    let mut recorder = common::scapd();
    recorder.args(["record", "-q", "--keep-on-disk", "--keep"]).arg(format!("{seconds}s,1G"));
    recorder.args(["-p", &process.to_string()]).arg("-w").arg(folder.join("a.scap"));
    recorder
}

fn with_control(mut recorder: Command, socket: &Path) -> Child {
    Child(recorder.arg("--control").arg(socket).spawn().unwrap())
}

#[test]
fn a_recorder_that_is_killed_leaves_its_window() {
    let _alone = alone();
    let window = setting("SCAPD_TEST_SECONDS", 3);
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let folder = folder.path();
    let service = Service::start(folder);
    let process = service.process.id();
    let socket = folder.join("control.sock");
    let mut first = with_control(recorder(folder, window, process), &socket);
    wait_for("the recording", || ctl(&socket, &["status"]).contains("window"));
    service.say("go");
    thread::sleep(Duration::from_secs(2 * window));
    let status = ctl(&socket, &["status"]);
    assert!(
        status.lines().any(|line| line.starts_with("on disk") && line.contains(" 0 events skipped")),
        "{status}"
    );
    let on_disk = folder.join("scapd.window");
    assert!(fs::metadata(&on_disk).unwrap().blocks() * 512 >= (1 << 30) * 5 / 4, "it is not preallocated");
    // Another recorder does not take it.
    let (code, _, err) = common::run(recorder(folder, window, process).args(["--duration", "1s"]));
    assert_eq!(code, Some(5), "{err}");
    assert!(err.contains("scapd.window is in use by another recorder"), "{err}");
    let killed = now();
    first.0.kill().unwrap();
    first.0.wait().unwrap();
    let began = std::time::Instant::now();
    let mut second = with_control(recorder(folder, window, process), &socket);
    let path = folder.join("a-000001.scap");
    wait_for("the capture", || path.exists());
    println!("the capture was there after {:.2} s", began.elapsed().as_secs_f64());
    wait_for("the recording", || ctl(&socket, &["status"]).contains("window"));
    ctl(&socket, &["stop"]);
    assert!(second.0.wait().unwrap().success());
    assert!(!on_disk.exists(), "a recording that ends leaves no window");
    let (calls, (from, last), verdict) = dump_of(&path, u64::from(process));
    assert!(verdict.is_complete() && verdict.unaccounted() == 0, "{verdict:?}");
    println!("the last event is {} ms older than the kill", killed.saturating_sub(last) / 1_000_000);
    assert!(last + LATE >= killed, "{} ns", killed - last);
    let length = last - from;
    // All of the time, or what fits.
    let is_full = verdict.left_out.evicted > 0 && fs::metadata(&path).unwrap().len() > (1 << 30) / 4 * 3;
    assert!(is_full || length + SECOND / 2 >= window * SECOND, "{length} ns");
    assert!(length <= (window + 1) * SECOND, "{length} ns");
    compare(&path, &service, &calls, (from, last), "a kill", false);
    names(&path);
    let (code, out, err) = common::run(common::scapd().arg("verify").arg(&path));
    assert_eq!(code, Some(7), "{out}{err}");
    assert!(out.contains("not closed") && out.contains("nothing lost"), "{out}");
}

#[test]
fn a_disk_without_room_for_the_window_is_an_error() {
    let _alone = alone();
    let disk = Disk::new("8M");
    let folder = disk.0.path();
    let (code, _, err) = common::run(recorder(folder, 1, std::process::id()).args(["--duration", "1s"]));
    assert_eq!(code, Some(5), "{err}");
    assert!(err.contains("there is no room for") && err.contains("takes 1296 MiB"), "{err}");
    assert_eq!(fs::read_dir(folder).unwrap().count(), 0, "nothing is left of it");
}

#[test]
fn a_window_is_saved_by_hand() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let (socket, on_disk) = (folder.path().join("control.sock"), folder.path().join("w"));
    let mut recorder = common::scapd();
    recorder.args(["record", "-q", "--keep", "1m,16M", "--control"]).arg(&socket);
    recorder.arg(format!("--keep-on-disk={}", on_disk.display())).arg("-w").arg(folder.path().join("a.scap"));
    let mut process = Child(recorder.spawn().unwrap());
    wait_for("some events", || {
        let status: serde_json::Value = serde_json::from_str(&ctl(&socket, &["status", "--json"])).unwrap();
        status["flight"]["events"].as_u64() > Some(100)
    });
    let repair = || common::run(common::scapd().arg("repair").arg(&on_disk));
    let (code, _, err) = repair();
    assert_eq!(code, Some(5), "{err}");
    assert!(err.contains("in use by another recorder"), "{err}");
    process.0.kill().unwrap();
    process.0.wait().unwrap();
    let (code, out, err) = repair();
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("the window of a recorder") && out.contains("w.scap"), "{out}");
    assert!(!on_disk.exists());
    let (code, out, err) = common::run(common::scapd().arg("verify").arg(folder.path().join("w.scap")));
    assert!(code == Some(7) && out.contains("not closed"), "{out}{err}");
}

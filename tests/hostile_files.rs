//! Attacks of another user on root's scapd, in the attacker's own directory, where the sticky bit protects nothing.
//! Files that only root may write to must not change. Needs root.

#![allow(clippy::unwrap_used)]

mod common;

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use common::{Capture, run};
use rustix::{
    fs::{CWD, Mode, RenameFlags, mknodat, renameat_with},
    process::{Gid, Uid, geteuid},
    thread::{set_thread_res_gid, set_thread_res_uid},
};
use scapd::repair::{RepairPlace, repair};
use tempfile::TempDir;

/// The user nobody.
const ATTACKER: u32 = 65534;
/// The duration of a race.
const RACE: Duration = Duration::from_secs(4);
const SECRET: &[u8] = b"what only root may write";

/// A directory of the attacker, and one of root with a file in it.
struct Scene {
    _root: TempDir,
    theirs: PathBuf,
    ours: PathBuf,
    victim: PathBuf,
}

impl Scene {
    fn new() -> Scene {
        assert!(rustix::process::geteuid().is_root(), "these tests need root");
        let root = tempfile::tempdir().unwrap();
        fs::set_permissions(root.path(), Permissions::from_mode(0o755)).unwrap();
        let [theirs, ours] = ["theirs", "ours"].map(|name| root.path().join(name));
        fs::create_dir(&theirs).unwrap();
        chown(&theirs, Some(ATTACKER), Some(ATTACKER)).unwrap();
        fs::create_dir(&ours).unwrap();
        fs::set_permissions(&ours, Permissions::from_mode(0o700)).unwrap();
        let victim = ours.join("victim");
        fs::write(&victim, SECRET).unwrap();
        fs::set_permissions(&victim, Permissions::from_mode(0o600)).unwrap();
        Scene { _root: root, theirs, ours, victim }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.theirs.join(name)
    }

    /// Checks that root's directory is unchanged.
    fn assert_no_harm(&self) {
        let names: Vec<_> =
            fs::read_dir(&self.ours).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["victim"]);
        assert_eq!(fs::read(&self.victim).unwrap(), SECRET);
        let victim = fs::metadata(&self.victim).unwrap();
        assert_eq!((victim.uid(), victim.mode() & 0o7777), (0, 0o600));
    }
}

/// Runs a closure on a thread with the attacker's user id.
fn as_attacker<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    let act = || {
        let (user, group) = (Uid::from_raw(ATTACKER), Gid::from_raw(ATTACKER));
        set_thread_res_gid(group, group, group).unwrap();
        set_thread_res_uid(user, user, user).unwrap();
        assert_eq!(geteuid(), user, "it still is root's");
        act()
    };
    thread::scope(|scope| scope.spawn(act).join().unwrap())
}

/// Repeats the attack and root's action at the same time.
fn race(attack: impl Fn() + Send + Sync, mut act: impl FnMut()) {
    let (over, started) = (AtomicBool::new(false), Instant::now());
    thread::scope(|scope| {
        scope.spawn(|| {
            as_attacker(|| {
                while !over.load(Ordering::Relaxed) {
                    attack();
                }
            });
        });
        while started.elapsed() < RACE {
            act();
        }
        over.store(true, Ordering::Relaxed);
    });
}

fn exchange(one: &Path, other: &Path) {
    let _ = renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE);
}

fn mkfifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Records a short command, and returns the exit code and stderr. Kills a recorder that hangs.
fn record(options: &[&str], path: &Path) -> (Option<i32>, String) {
    let mut command = Command::new("timeout");
    command.args(["-s", "KILL", "60", env!("CARGO_BIN_EXE_scapd"), "record", "-q", "--syscalls", "getcwd"]);
    command.args(options).arg("-w").arg(path).args(["--", "true"]).stdout(Stdio::null());
    let (code, _, said) = run(&mut command);
    (code, said)
}

/// Returns a capture that is cut off.
fn damaged() -> Vec<u8> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.scap");
    assert_eq!(record(&[], &path).0, Some(0));
    let whole = fs::read(&path).unwrap();
    whole[..whole.len() - 7].to_vec()
}

fn mode(path: &Path) -> (u32, u32) {
    let found = fs::symlink_metadata(path).unwrap();
    (found.uid(), found.mode() & 0o7777)
}

#[test]
fn links_in_the_place_of_what_is_written() {
    let scene = Scene::new();
    let planted = ["m-000001.scap.json.partial", "m-000001.scap.json.1.partial", "m-000001.scap.partial"];
    as_attacker(|| planted.iter().for_each(|name| symlink(&scene.victim, scene.path(name)).unwrap()));
    let (code, said) = record(&["-e", "1000000", "--write-manifest"], &scene.path("m.scap"));
    assert_eq!(code, Some(0), "{said}");
    // The name is taken, so the next one is used.
    Capture::read(&scene.path("m-000002.scap"));
    for name in ["m-000002.scap", "m-000002.scap.json"] {
        assert_eq!(mode(&scene.path(name)), (0, 0o600), "{name}");
    }
    as_attacker(|| symlink(&scene.victim, scene.path("m-000003.scap.json.partial")).unwrap());
    as_attacker(|| symlink(&scene.victim, scene.path("m-000003.scap.json")).unwrap());
    let (code, said) = record(&["-e", "1000000", "--write-manifest"], &scene.path("m.scap"));
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(mode(&scene.path("m-000003.scap.json")), (0, 0o600));
    scene.assert_no_harm();
}

#[test]
fn links_in_the_place_of_the_window() {
    let scene = Scene::new();
    let window = scene.path("scapd.window");
    let refused = |says: &str| {
        let (code, said) = record(&["--keep", "10s", "--keep-on-disk"], &scene.path("a.scap"));
        assert!(code == Some(5) && said.contains(says), "{code:?}: {said}");
        scene.assert_no_harm();
    };
    as_attacker(|| symlink(&scene.victim, &window).unwrap());
    refused("cannot open");
    fs::remove_file(&window).unwrap();
    as_attacker(|| mkfifo(&window));
    refused("only this user may write");
    fs::remove_file(&window).unwrap();
    as_attacker(|| fs::write(&window, [1; 5000]).unwrap());
    refused("only this user may write");
    assert_eq!(fs::read(&window).unwrap(), [1; 5000]);
    // A file of root's that others may write to.
    chown(&window, Some(0), Some(0)).unwrap();
    fs::set_permissions(&window, Permissions::from_mode(0o666)).unwrap();
    refused("only this user may write");
    fs::remove_file(&window).unwrap();
    let (code, said) = record(&["--keep", "10s,4M", "--keep-on-disk"], &scene.path("a.scap"));
    assert_eq!(code, Some(0), "{said}");
    assert!(!window.exists());
}

#[test]
fn links_in_the_place_of_the_balance() {
    let scene = Scene::new();
    let (stats, capture) = (scene.path("stats"), scene.ours.join("x.scap"));
    as_attacker(|| symlink(&scene.victim, scene.path("stats.partial")).unwrap());
    let options = ["--stats-file", stats.to_str().unwrap()];
    let (code, said) = record(&options, &capture);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(mode(&stats), (0, 0o600));
    as_attacker(|| {
        fs::remove_file(&stats).unwrap();
        symlink(&scene.victim, &stats).unwrap();
    });
    fs::remove_file(&capture).unwrap();
    let (code, said) = record(&options, &capture);
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("belongs to user 65534 and is not followed: name its target"), "{said}");
    scene.assert_no_harm();
}

#[test]
fn links_and_pipes_in_the_place_of_a_single_file() {
    let scene = Scene::new();
    let path = scene.path("x.scap");
    as_attacker(|| symlink(&scene.victim, &path).unwrap());
    let (code, said) = record(&[], &path);
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("belongs to user 65534"), "{said}");
    as_attacker(|| {
        fs::remove_file(&path).unwrap();
        symlink(&scene.ours, scene.path("folder")).unwrap();
    });
    assert_eq!(record(&[], &scene.path("folder/x.scap")).0, Some(5));
    // A pipe, from which the attacker could read the capture.
    as_attacker(|| mkfifo(&path));
    let (code, said) = record(&[], &path);
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("the pipe") && said.contains("belongs to user 65534"), "{said}");
    as_attacker(|| fs::remove_file(&path).unwrap());
    let link = |path: &Path| symlink(&scene.victim, path).unwrap();
    let file = |path: &Path| fs::write(path, "his").unwrap();
    let plants: [&(dyn Fn(&Path) + Sync); 3] = [&link, &mkfifo, &file];
    for plant in plants {
        let partial = scene.path("x.scap.partial");
        as_attacker(|| plant(&partial));
        let (code, said) = record(&[], &path);
        assert_eq!(code, Some(5), "{said}");
        assert!(said.contains("x.scap.partial exists"), "{said}");
        fs::remove_file(&partial).unwrap();
    }
    // A file that the attacker can read and write is replaced by one of root's alone.
    as_attacker(|| fs::write(&path, "his").unwrap());
    fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
    let his = fs::File::open(&path).unwrap();
    let (code, said) = record(&[], &path);
    assert_eq!(code, Some(0), "{said}");
    Capture::read(&path);
    assert_eq!(mode(&path), (0, 0o600));
    assert_eq!(his.metadata().unwrap().len(), 3, "the one that he has open stays as it is");
    scene.assert_no_harm();
}

#[test]
fn what_is_no_capture_of_ours_is_not_adopted() {
    let scene = Scene::new();
    let damaged = damaged();
    let elsewhere = scene.ours.join("elsewhere.scap");
    fs::write(&elsewhere, &damaged).unwrap();
    let old = fs::File::options().write(true).open(&elsewhere).unwrap();
    old.set_modified(std::time::SystemTime::now() - Duration::from_secs(60)).unwrap();
    // A hard link is as good as the file, where those to other users' files are allowed.
    fs::hard_link(&elsewhere, scene.path("a-000002.scap.partial")).unwrap();
    as_attacker(|| symlink(&elsewhere, scene.path("a-000001.scap.partial")).unwrap());
    as_attacker(|| fs::write(scene.path("a-000003.scap.partial"), &damaged).unwrap());
    thread::sleep(Duration::from_millis(1100));
    let (code, said) = record(&["-e", "1000000", "-W", "3"], &scene.path("a.scap"));
    assert_eq!(code, Some(0), "{said}");
    assert!(fs::read(&elsewhere).unwrap() == damaged, "it was repaired in place");
    assert!(!said.contains("left behind"), "{said}");
    fs::remove_file(elsewhere).unwrap();
    scene.assert_no_harm();
}

#[test]
fn pipes_and_devices_with_names_of_the_series() {
    let scene = Scene::new();
    let names = ["p-000001.scap", "p-000001.scap.json", "p-000002.scap.partial", "p-000004.scap.json"];
    as_attacker(|| names.iter().for_each(|name| mkfifo(&scene.path(name))));
    // It does not matter how the attacker got a device.
    let (null, mode) = (rustix::fs::makedev(1, 5), Mode::from_raw_mode(0o666));
    for name in ["p-000003.scap.partial", "p-000003.scap", "p-000003.scap.gz"] {
        mknodat(CWD, scene.path(name), rustix::fs::FileType::CharacterDevice, mode, null).unwrap();
    }
    thread::sleep(Duration::from_millis(1100));
    for _ in 0..3 {
        let (code, said) = record(&["-e", "1000000", "-W", "1", "--write-manifest"], &scene.path("p.scap"));
        assert_eq!(code, Some(0), "{said}");
    }
    Capture::read(&scene.path("p-000006.scap"));
    scene.assert_no_harm();
}

#[test]
fn numbers_and_times_that_end_a_series() {
    let scene = Scene::new();
    as_attacker(|| {
        for name in ["m-18446744073709551615.scap", "m-999999999999999999.scap", "m-000041.scap"] {
            let file = fs::File::create(scene.path(name)).unwrap();
            let far = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 33);
            file.set_modified(far).unwrap();
        }
    });
    for number in [42, 43] {
        let (code, said) = record(&["-e", "1000000", "-W", "9"], &scene.path("m.scap"));
        assert_eq!(code, Some(0), "{said}");
        Capture::read(&scene.path(&format!("m-0000{number}.scap")));
    }
}

#[test]
fn a_repaired_capture_stays_in_its_folder_and_gives_nobody_rights() {
    let scene = Scene::new();
    let (folder, file) = (scene.path("caps"), scene.path("caps/a.scap"));
    let damaged = damaged();
    as_attacker(|| {
        fs::create_dir(&folder).unwrap();
        fs::write(&file, &damaged).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o4755)).unwrap();
        symlink(&scene.ours, scene.path("link")).unwrap();
        fs::write(scene.path("caps/next"), &damaged).unwrap();
    });
    repair(&file, &RepairPlace::Instead).unwrap();
    assert_eq!(mode(&file), (ATTACKER, 0o644));
    // In root's directory it becomes a file of root's.
    let elsewhere = scene.ours.join("out.scap");
    fs::write(&file, &damaged).unwrap();
    repair(&file, &RepairPlace::Elsewhere(elsewhere.clone())).unwrap();
    assert_eq!(mode(&elsewhere), (0, 0o600));
    fs::remove_file(elsewhere).unwrap();
    // The directory is repeatedly replaced by a link to root's, which has a file with that name.
    let mut repaired = 0;
    race(
        || {
            exchange(&folder, &scene.path("link"));
            let _ = fs::write(&file, &damaged);
        },
        || repaired += u32::from(repair(&file, &RepairPlace::Instead).is_ok()),
    );
    assert!(repaired > 0, "it was never won by root");
    scene.assert_no_harm();
}

#[test]
fn files_and_folders_are_swapped_while_root_records() {
    let scene = Scene::new();
    let (folder, path) = (scene.path("caps"), scene.path("caps/x.scap"));
    as_attacker(|| {
        fs::create_dir(&folder).unwrap();
        symlink(&scene.ours, scene.path("link")).unwrap();
        symlink(&scene.victim, scene.path("to-victim")).unwrap();
    });
    let stats = scene.path("caps/stats");
    let options = ["--stats-file", stats.to_str().unwrap(), "-e", "1000000", "--write-manifest", "-W", "2"];
    let attack = || {
        exchange(&folder, &scene.path("link"));
        for name in ["x.scap.partial", "x.scap", "stats.partial", "stats", "x-000001.scap.json.partial"] {
            let name = folder.join(name);
            let _ = symlink(&scene.victim, &name);
            exchange(&name, &scene.path("to-victim"));
            let _ = fs::remove_file(&name);
        }
    };
    race(attack, || _ = record(&options, &path));
    race(attack, || _ = record(&options[..2], &path));
    scene.assert_no_harm();
}

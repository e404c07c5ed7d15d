//! A recorder in a control group with little more memory than it may keep: it is never killed, its memory does not grow, and every
//! trigger leaves a whole file.
//!
//! `SCAPD_TEST_DURATION` and `SCAPD_TEST_TRIGGERS` make it longer; `make test-flight` sets them.

use std::{env, time::Instant};

use scap::ledger::Cause;
use scapd::units::parse_duration;

use super::*;

/// What the recorder may keep, in MiB: the window, and what is kept longer.
const KEPT: u64 = 32 + 8;
/// What else it may take, in MiB: its buffers, its rings and counters, the models of the machine, its program.
const REST: u64 = 120;

/// From this on, a run is long enough to compare memory at its start and at its end.
const LONG: Duration = Duration::from_secs(300);

/// A control group with a limit of its memory.
struct Group {
    path: PathBuf,
    is_second: bool,
}

impl Group {
    /// Makes one; `None` if this machine has no control groups for memory.
    fn new(limit: u64) -> Option<Group> {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let found = mounts.lines().find_map(|line| {
            let mut words = line.split(' ').skip(1);
            let (point, kind, options) = (words.next()?, words.next()?, words.next()?);
            let is_first = kind == "cgroup" && options.split(',').any(|option| option == "memory");
            let controls = || fs::read_to_string(Path::new(point).join("cgroup.subtree_control"));
            let is_second = kind == "cgroup2"
                && controls().is_ok_and(|text| text.split_whitespace().any(|name| name == "memory"));
            (is_first || is_second).then(|| (PathBuf::from(point), is_second))
        });
        let (root, is_second) = found?;
        let group = Group { path: root.join(format!("scapd-test-{}", std::process::id())), is_second };
        fs::create_dir(&group.path).unwrap();
        fs::write(group.file("memory.limit_in_bytes", "memory.max"), limit.to_string()).unwrap();
        Some(group)
    }

    fn file(&self, first: &str, second: &str) -> PathBuf {
        self.path.join(if self.is_second { second } else { first })
    }

    /// Returns how often the kernel has killed a process for want of memory.
    fn kills(&self) -> u64 {
        let text = fs::read_to_string(self.file("memory.oom_control", "memory.events")).unwrap();
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        count.unwrap().parse().unwrap()
    }

    /// Starts a command in the group.
    fn start(&self, command: &Command) -> Child {
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]).arg(self.path.join("cgroup.procs"));
        Child(shell.arg(command.get_program()).args(command.get_args()).spawn().unwrap())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // What has ended leaves it a little later.
        for _ in 0..100 {
            if fs::remove_dir(&self.path).is_ok() {
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Starts and ends processes, and opens, reads and writes files, until it is dropped.
fn mixed_load(folder: &Path) -> Child {
    let work = "cd \"$0\"; while :; do ls -lR /etc > list; grep -c root list | cat > count; rm list; sleep 0.2; done 2> /dev/null";
    let mut command = Command::new("sh");
    Child::group(command.args(["-c", work]).arg(folder))
}

fn resident(process: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let kib = text.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next());
    kib.unwrap().parse().unwrap()
}

fn median(samples: &[u64]) -> u64 {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

#[test]
fn with_little_memory_it_is_never_killed_and_every_trigger_leaves_a_whole_file() {
    in_little_memory(false);
}

#[test]
fn nor_if_the_window_is_packed() {
    in_little_memory(true);
}

fn in_little_memory(packed: bool) {
    let _alone = alone();
    let duration = env::var("SCAPD_TEST_DURATION").unwrap_or_else(|_| "20s".to_owned());
    let duration = parse_duration(&duration).unwrap();
    let count: u32 = env::var("SCAPD_TEST_TRIGGERS").map_or(10, |text| text.parse().unwrap());
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let Some(group) = Group::new((KEPT + REST) << 20) else {
        panic!("this machine has no control groups for memory");
    };
    let socket = folder.path().join("control.sock");
    let mut recorder = common::scapd();
    recorder.args(["record", "-q", "--after", "0", "--dumps-per-hour", "100000", "--keep", "5s,32M"]);
    recorder.args(["--keep-longer", "evt.type in (execve, connect):10m,8M"]);
    if packed {
        recorder.arg("--keep-packed");
    }
    recorder.arg("--control").arg(&socket).arg("-w").arg(folder.path().join("a.scap"));
    let mut process = group.start(&recorder);
    wait_for("the recording", || ctl(&socket, &["status"]).contains("window"));
    let mixed = mixed_load(folder.path());
    let generator = Generator::start(2, 100, Duration::from_millis(5));
    let (begun, mut samples, mut lost) = (Instant::now(), Vec::new(), 0);
    for number in 1..=count {
        while begun.elapsed() < duration * number / count {
            samples.push(resident(process.0.id()));
            thread::sleep(Duration::from_millis(100));
        }
        assert_eq!(process.0.try_wait().unwrap(), None, "the recorder has ended");
        ctl(&socket, &["dump", &format!("number {number}")]);
        let path = folder.path().join(format!("a-{number:06}.scap"));
        wait_for("the dump", || path.exists());
        let (code, out, err) = common::run(common::scapd().arg("verify").arg(&path));
        // A busy machine may lose events, which the file then says.
        lost += u32::from(out.contains("incomplete"));
        assert!(code == Some(0) || out.contains(Cause::RingFull.text()), "{number}: {out}{err}");
        // The window may still have the trigger before.
        let is_there = |(trigger, _): &(Trigger, i64)| trigger.reason == format!("number {number}");
        assert!(triggers(&path).iter().any(is_there));
        fs::remove_file(path).unwrap();
    }
    generator.stop();
    drop(mixed);
    let mut flight = serde_json::Value::Null;
    // A file is there a moment before the status says so.
    wait_for("the last dump", || {
        let status: serde_json::Value = serde_json::from_str(&ctl(&socket, &["status", "--json"])).unwrap();
        flight = status["flight"].clone();
        flight["written"] == count
    });
    ctl(&socket, &["stop"]);
    assert!(process.0.wait().unwrap().success());
    assert_eq!(flight["failed"], 0, "{flight}");
    assert!(packed || flight["evicted"].as_u64().unwrap() > 0, "the window was never full: {flight}");
    assert_eq!(group.kills(), 0);
    let part = samples.len() / 10;
    let (early, late) = (median(&samples[part..2 * part]), median(&samples[9 * part..]));
    println!(
        "{count} dumps, {lost} of them with losses; {early} KiB in the second tenth, {late} in the last"
    );
    // At first, the window fills up, and the models of the machine grow.
    if duration >= LONG {
        assert!(late < early * 105 / 100, "{early} KiB in the second tenth, {late} in the last");
    }
}

//! A service under load that runs into a full disk, stalls, and is killed: each makes a dump, and the dumps are compared with
//! what the service has counted.
//!
//! `SCAPD_TEST_SECONDS` is the length of the window, `SCAPD_TEST_RATE` the number of events in a second; `make test-flight` sets
//! them, and has `SCAPD_TEST_READER` run another reader, for the names.

use std::{
    env,
    io::Write as _,
    os::unix::fs::FileExt,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use super::*;

/// The name of the service's main thread, and of the others.
const NAME: &std::ffi::CStr = c"flight-service";
pub const THREADS: usize = 2;
/// How long the threads pause after each burst of calls.
const PAUSE: Duration = Duration::from_millis(1);
pub const SECOND: u64 = 1_000_000_000;
/// By how much clocks may differ, and how long a call may take, in ns.
const TOLERANCE: u64 = 50_000_000;
/// The number of the test that is the service.
const SERVICE: &str = "service::the_service_itself";

pub fn setting(name: &str, usual: u64) -> u64 {
    env::var(name).ok().map_or(usual, |text| text.parse().unwrap())
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}

/// What a thread of the service counts: lines of the time, and the number of calls made before it.
struct Count(File);

impl Count {
    fn path(folder: &Path, thread: usize) -> PathBuf {
        folder.join(format!("count-{thread}"))
    }

    fn line(&mut self, calls: u64) {
        let line = [now().to_ne_bytes(), calls.to_ne_bytes()].concat();
        self.0.write_all(&line).unwrap();
    }

    fn read(folder: &Path, thread: usize) -> Vec<(u64, u64)> {
        let bytes = fs::read(Count::path(folder, thread)).unwrap();
        let number = |part: &[u8]| u64::from_ne_bytes(part.try_into().unwrap());
        bytes.chunks_exact(16).map(|line| (number(&line[..8]), number(&line[8..]))).collect()
    }
}

/// The service: it opens files, and reads them for ever. Not a test: [`Service::start`] starts it in a process of its own.
#[test]
#[ignore = "the tests start it"]
fn the_service_itself() {
    let Some(folder) = env::var_os("SCAPD_TEST_SERVICE").map(PathBuf::from) else { return };
    // SAFETY: the name ends with a zero byte.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_NAME, NAME.as_ptr()) }, 0);
    let rate = setting("SCAPD_TEST_RATE", 20_000);
    // A call has two events.
    let burst = rate * PAUSE.as_millis() as u64 / 1000 / 2 / THREADS as u64;
    for thread in 0..THREADS {
        let path = folder.join(format!("opened-long-ago-{thread}"));
        fs::write(&path, "x").unwrap();
        let file = File::open(path).unwrap();
        let mut count = Count(File::create(Count::path(&folder, thread)).unwrap());
        let folder = folder.clone();
        thread::spawn(move || {
            await_file(&folder.join("go"));
            let (mut calls, mut due) = (0, Instant::now());
            loop {
                count.line(calls);
                for _ in 0..burst.max(1) {
                    let mut buffer = [0; 1];
                    file.read_at(&mut buffer, calls).unwrap();
                    calls += 1;
                }
                due += PAUSE;
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
        });
    }
    let mut helper = Command::new("sh");
    helper.args(["-c", "while :; do echo x; sleep 0.05; done"]).stdout(Stdio::piped());
    let mut helper = helper.spawn().unwrap();
    fs::write(folder.join("helper"), helper.id().to_string()).unwrap();
    thread::spawn(move || {
        let mut output = helper.stdout.take().unwrap();
        while std::io::Read::read(&mut output, &mut [0; 64]).is_ok_and(|count| count > 0) {}
        let _ = helper.wait();
    });
    await_file(&folder.join("fill"));
    let mut file = File::create(folder.join("full").join("journal")).unwrap();
    for _ in 0..200 {
        let _ = file.write_all(&[0; 1 << 16]);
    }
    thread::sleep(Duration::from_secs(3600));
}

fn await_file(path: &Path) {
    while !path.exists() {
        thread::sleep(Duration::from_millis(5));
    }
}

/// The service, in a process of its own.
pub struct Service {
    pub process: std::process::Child,
    folder: PathBuf,
    _full: Disk,
}

impl Service {
    pub fn start(folder: &Path) -> Service {
        let full = Disk::new("1M");
        std::os::unix::fs::symlink(full.0.path(), folder.join("full")).unwrap();
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", SERVICE, "--ignored"]).env("SCAPD_TEST_SERVICE", folder);
        let process = command.stdout(Stdio::null()).spawn().unwrap();
        wait_for("the service", || folder.join("helper").exists());
        Service { process, folder: folder.to_owned(), _full: full }
    }

    fn helper(&self) -> rustix::process::Pid {
        let text = fs::read_to_string(self.folder.join("helper")).unwrap();
        rustix::process::Pid::from_raw(text.parse().unwrap()).unwrap()
    }

    pub fn say(&self, word: &str) {
        File::create(self.folder.join(word)).unwrap();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = rustix::process::kill_process(self.helper(), rustix::process::Signal::KILL);
    }
}

/// The calls of a thread in a dump.
#[derive(Debug, Default)]
pub struct Calls {
    /// The first and the last number.
    first: u64,
    last: u64,
    count: u64,
}

/// Reads a dump. Checks that the calls of each thread are without a gap, and that the names of the file and of the process are right;
/// returns the calls, the time of the first and the last event, and the balance.
pub fn dump_of(path: &Path, service: u64) -> ([Calls; THREADS], (u64, u64), Verdict) {
    let mut reader = Reader::new(File::open(path).unwrap()).unwrap().keep(Keep::All);
    let mut replay = Replay::new(&mut reader, Keep::All, Position::default());
    let (mut calls, mut span, mut verdict) = (<[Calls; THREADS]>::default(), (u64::MAX, 0), None);
    let pread = common::event_type("pread64_x");
    let mut threads: std::collections::HashMap<u64, usize> = Default::default();
    while let Some(moment) = replay.next().unwrap() {
        let event = moment.event();
        if event.ty() != pread {
            if let Some(Notice::Verdict(found)) = ledger::parse(event) {
                verdict = Some(found);
            }
            continue;
        }
        let machine = moment.machine;
        let Some(found) = machine.thread(event.tid()).filter(|thread| thread.pid == service) else {
            // The start of a program takes such calls, too.
            continue;
        };
        assert_eq!(found.comm, NAME.to_bytes());
        let thread = *threads.entry(event.tid()).or_insert_with(|| {
            let name = &machine.fd(event.tid(), number(event, "fd").unwrap()).unwrap().name;
            let name = String::from_utf8_lossy(name).into_owned();
            name.rsplit_once("opened-long-ago-").unwrap().1.parse().unwrap()
        });
        let number = number(event, "pos").unwrap() as u64;
        let Calls { first, last, count } = &mut calls[thread];
        if *count == 0 {
            *first = number;
        } else {
            assert_eq!(number, *last + 1, "a call is missing");
        }
        (*last, *count) = (number, *count + 1);
        span = (span.0.min(event.ts()), span.1.max(event.ts()));
    }
    assert_eq!(threads.len(), THREADS);
    (calls, span, verdict.unwrap())
}

/// Checks a dump against what the service has counted.
fn check(path: &Path, service: &Service, window: u64, reason: &str, is_end: bool) {
    let pid = u64::from(service.process.id());
    let (calls, (first, last), verdict) = dump_of(path, pid);
    // The window may still have the trigger before.
    let triggers = triggers(path);
    let (trigger, _) = triggers.iter().find(|(trigger, _)| trigger.reason.contains(reason)).unwrap();
    assert!(verdict.is_complete() && verdict.unaccounted() == 0, "{verdict:?}");
    if verdict.left_out.evicted == 0 {
        assert!(trigger.at - first >= window * SECOND - TOLERANCE, "{} ns", trigger.at - first);
    }
    compare(path, service, &calls, (first, last), reason, is_end);
    names(path);
}

/// Compares the calls in a capture with what the service has counted.
pub fn compare(
    path: &Path,
    service: &Service,
    calls: &[Calls; THREADS],
    (first, last): (u64, u64),
    reason: &str,
    is_end: bool,
) {
    let mut sum = 0;
    for (thread, calls) in calls.iter().enumerate() {
        let counted = Count::read(&service.folder, thread);
        // What was counted a moment after the first event, and a moment before the last.
        let from = counted.iter().find(|(at, _)| *at > first + TOLERANCE).unwrap();
        let to = counted.iter().rfind(|(at, _)| *at + TOLERANCE < last).unwrap();
        assert!(to.0 > from.0, "the dump is too short");
        assert!(calls.first <= from.1 && calls.last + 1 >= to.1, "{calls:?} of {from:?} to {to:?}");
        sum += to.1 - from.1;
        if is_end {
            // The last burst was not counted.
            assert!(calls.last + 1 >= counted.last().unwrap().1, "{calls:?}: {:?}", counted.last());
        }
    }
    let events: u64 = calls.iter().map(|calls| calls.count).sum();
    println!(
        "{reason}: {events} calls in {:.1} s, {sum} of them counted, in {}",
        (last - first) as f64 / SECOND as f64,
        path.display()
    );
    assert!(events >= sum && sum > 0);
}

/// Has scapd, and another reader, if there is one, print the names.
pub fn names(path: &Path) {
    let ours = common::scapd()
        .args(["read", "-n", "1000", "-p", "%proc.name %fd.name"])
        .arg(path)
        .arg("evt.type = pread and evt.dir = < and proc.name = flight-service")
        .output();
    check_names("scapd", &ours.unwrap());
    let Some(reader) = env::var_os("SCAPD_TEST_READER") else { return };
    let mut theirs = Command::new("sh");
    let script = "cd \"$2\" && $1 sysdig -n 1000 -r \"$3\" -p '%proc.name %fd.name' \
                  'evt.type=pread and evt.dir=< and proc.name=flight-service'";
    theirs.args(["-c", script, "sh"]).arg(reader);
    check_names(
        "sysdig",
        &theirs.arg(path.parent().unwrap()).arg(path.file_name().unwrap()).output().unwrap(),
    );
}

fn check_names(reader: &str, output: &std::process::Output) {
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && lines.len() > 100, "{reader}: {} lines\n{errors}", lines.len());
    for line in lines {
        let (process, file) = line.split_once(' ').unwrap_or_default();
        assert!(
            process.as_bytes() == NAME.to_bytes() && file.contains("/opened-long-ago-"),
            "{reader}: {line}"
        );
    }
}

#[test]
fn a_full_disk_a_stall_and_a_death_each_make_a_dump() {
    let _alone = alone();
    let window = setting("SCAPD_TEST_SECONDS", 3);
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let service = Service::start(folder.path());
    let pid = rustix::process::Pid::from_child(&service.process);
    let socket = folder.path().join("control.sock");
    let mut recorder = common::scapd();
    recorder.args(["record", "-q", "--after", "500ms", "--keep"]).arg(format!("{window}s,1G"));
    recorder.args(["-p", &service.process.id().to_string()]);
    recorder.args(["--trigger-rate", "evt.res = ENOSPC and proc.name = flight-service:50/10s"]);
    recorder.args(["--trigger", "evt.type = read and evt.latency > 1s and proc.name = flight-service"]);
    recorder.args(["--trigger", "evt.type = procexit and proc.name = flight-service and evt.arg.sig != 0"]);
    recorder.arg("--control").arg(&socket).arg("-w").arg(folder.path().join("a.scap"));
    let mut recorder = Child(recorder.spawn().unwrap());
    wait_for("the recording", || ctl(&socket, &["status"]).contains("window"));
    service.say("go");
    let path = |number: usize| folder.path().join(format!("a-{number:06}.scap"));
    let await_dump = |number| wait_for("a dump", || path(number).exists());
    thread::sleep(Duration::from_secs(window + 1));
    service.say("fill");
    await_dump(1);
    check(&path(1), &service, window, "ENOSPC", false);
    thread::sleep(Duration::from_secs(1));
    rustix::process::kill_process(service.helper(), rustix::process::Signal::STOP).unwrap();
    thread::sleep(Duration::from_millis(1500));
    rustix::process::kill_process(service.helper(), rustix::process::Signal::CONT).unwrap();
    await_dump(2);
    check(&path(2), &service, window, "evt.latency", false);
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    await_dump(3);
    check(&path(3), &service, window, "procexit", true);
    // What it recorded has ended, and so does it.
    assert!(recorder.0.wait().unwrap().success());
}

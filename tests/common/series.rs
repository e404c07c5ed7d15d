//! Recordings of this process into a series of files, with threads whose calls are counted.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Sender, channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use scap::{
    format::Reader,
    ledger::{self, Cause, Notice, Verdict},
    select::{self, TracepointSet},
};
use scapd::{
    confine::Confinement,
    output::Series,
    probe::{Directions, Options},
    record::{self, Config, Handle, Observer, Outcome, Status},
};

/// A recording counts what the whole process does: one test at a time.
pub fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A recording of the `pread` calls of this process that goes on in another thread.
pub struct Recording {
    pub handle: Handle,
    thread: JoinHandle<anyhow::Result<Outcome>>,
}

/// Tells when the recording has begun.
struct Began(Sender<()>);

impl Observer for Began {
    fn started(&mut self, _: &Status) {
        let _ = self.0.send(());
    }
}

/// What a recording into a series is like, unless a test has it otherwise.
pub fn config(pattern: PathBuf, files: Series) -> Config {
    Config {
        write: Some(pattern),
        files: Some(Series { confine: Confinement::Auto, ..files }),
        syscalls: Some(select::parse("pread").unwrap()),
        only: true,
        probe: Options {
            directions: Directions { enter: false, exit: true },
            tracepoints: TracepointSet::none(),
            ..Options::default()
        },
        pids: vec![std::process::id()],
        include_self: true,
        quiet: true,
        // As the command has it.
        confine: Confinement::Auto,
        ..Config::default()
    }
}

impl Recording {
    /// Returns when events are recorded.
    pub fn start(config: Config) -> Recording {
        let (handle, requests) = record::requests();
        let (began, begins) = channel();
        let thread = thread::spawn(move || record::run(&config, requests, &mut Began(began)));
        if begins.recv().is_err() {
            panic!("{:?}", thread.join().unwrap().unwrap_err());
        }
        Recording { handle, thread }
    }

    pub fn stop(self) -> anyhow::Result<Outcome> {
        self.handle.stop();
        self.thread.join().unwrap()
    }
}

/// Threads that call `pread` with a number that counts up, until they are stopped.
pub struct Generator {
    stop: Arc<AtomicBool>,
    calls: Arc<AtomicU64>,
    threads: Vec<JoinHandle<(u64, u64)>>,
}

impl Generator {
    /// Each thread pauses after every `burst` calls.
    pub fn start(threads: usize, burst: u64, pause: Duration) -> Generator {
        let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let threads = (0..threads)
            .map(|_| {
                let (stop, calls) = (stop.clone(), calls.clone());
                thread::spawn(move || {
                    let mut next = 0;
                    while !stop.load(Ordering::Relaxed) {
                        for _ in 0..burst {
                            // SAFETY: there is no such descriptor, and nothing is read.
                            unsafe { libc::pread64(-1, std::ptr::null_mut(), 0, next) };
                            next += 1;
                        }
                        calls.fetch_add(burst, Ordering::Relaxed);
                        thread::sleep(pause);
                    }
                    (rustix::thread::gettid().as_raw_nonzero().get() as u64, next as u64)
                })
            })
            .collect();
        Generator { stop, calls, threads }
    }

    /// How many calls all threads have made so far.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// How many calls each thread has made.
    pub fn stop(self) -> BTreeMap<u64, u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    }
}

/// Waits for something that comes soon.
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The files of a folder, but for manifests, in the order of their names.
pub fn captures(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_none_or(|extension| extension != "json"));
    paths.sort();
    paths
}

/// What a file holds.
pub struct Found {
    /// Each thread's calls, by their numbers.
    pub calls: BTreeMap<u64, Vec<u64>>,
    /// Its balance, if it has one.
    pub verdict: Option<Verdict>,
}

/// Reads a file, which must stand alone: with the state of the machine, whole, in time order; if it has a balance, as the
/// last event, one that is true and adds up.
pub fn read(path: &Path) -> Found {
    let mut reader = Reader::new(std::fs::File::open(path).unwrap()).unwrap();
    let mut found = Found { calls: BTreeMap::new(), verdict: None };
    let (mut events, mut lost, mut last, mut asked) = (0, 0, 0, false);
    while let Some(captured) = reader.next_event().unwrap_or_else(|e| panic!("{}: {e}", path.display())) {
        let event = captured.event;
        assert!(found.verdict.is_none(), "an event behind the balance in {}", path.display());
        assert!(event.ts() >= last, "out of order in {}", path.display());
        last = event.ts();
        match ledger::parse(&event) {
            Some(Notice::Gap(gap)) => lost += gap.losses.sum(),
            Some(Notice::Verdict(verdict)) => found.verdict = Some(verdict),
            Some(Notice::Selected(_)) => asked = true,
            Some(Notice::Cut(_) | Notice::Clock(_)) => {}
            None => {
                assert!(asked, "{} does not say what was asked for before its first event", path.display());
                events += 1;
            }
        }
        if event.ty() == super::event_type("pread64_x") {
            let number = super::number(&event, "pos").unwrap();
            found.calls.entry(event.tid()).or_default().push(number as u64);
        }
    }
    let own = u64::from(std::process::id());
    assert!(reader.state().threads.iter().any(|thread| thread.pid == own), "no state in {}", path.display());
    assert!(reader.state().machine.num_cpus > 0);
    if let Some(verdict) = &found.verdict {
        assert_eq!(verdict.written, events, "{}", path.display());
        assert_eq!(verdict.losses.sum() - verdict.losses.of(Cause::Skipped), lost, "{}", path.display());
        assert_eq!(verdict.unaccounted(), 0, "{}: {verdict:?}", path.display());
    }
    found
}

/// That the files, one after the other, have every call of each thread once, in order.
pub fn assert_whole(paths: &[PathBuf], expected: &BTreeMap<u64, u64>) {
    let mut next: BTreeMap<u64, u64> = expected.keys().map(|tid| (*tid, 0)).collect();
    for path in paths {
        let found = read(path);
        assert!(found.verdict.is_some_and(|v| v.is_complete()), "{}: {:?}", path.display(), found.verdict);
        for (tid, numbers) in &found.calls {
            let next = next.get_mut(tid).unwrap();
            for number in numbers {
                assert_eq!(number, next, "thread {tid} in {}", path.display());
                *next += 1;
            }
        }
    }
    assert_eq!(&next, expected);
}

//! Recordings of this process to a series of files, with threads whose calls are counted.

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
    probe::{Directions, ProbeOptions},
    record::{self, Config, Handle, Observer, RecordOutcome, Status},
};

/// Returns a lock: a recording counts the calls of the whole process, so only one test may run at a time.
pub fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A recording of this process's `pread` calls, in another thread.
pub struct Recording {
    pub handle: Handle,
    thread: JoinHandle<anyhow::Result<RecordOutcome>>,
}

/// Reports that the recording has started.
struct Began(Sender<()>);

impl Observer for Began {
    fn started(&mut self, _: &Status) {
        let _ = self.0.send(());
    }
}

/// Returns the default settings of a recording to a series.
pub fn config(pattern: PathBuf, files: Series) -> Config {
    Config {
        write: Some(pattern),
        files: Some(Series { confine: Confinement::Auto, ..files }),
        syscalls: Some(select::parse("pread").unwrap()),
        only: true,
        probe: ProbeOptions {
            directions: Directions { enter: false, exit: true },
            tracepoints: TracepointSet::none(),
            ..ProbeOptions::default()
        },
        pids: vec![std::process::id()],
        include_self: true,
        quiet: true,
        // The command's default.
        confine: Confinement::Auto,
        ..Config::default()
    }
}

impl Recording {
    /// Starts a recording, and returns when events are recorded.
    pub fn start(config: Config) -> Recording {
        let (handle, requests) = record::requests();
        let (began, begins) = channel();
        let thread = thread::spawn(move || record::run(&config, requests, &mut Began(began)));
        if begins.recv().is_err() {
            panic!("{:?}", thread.join().unwrap().unwrap_err());
        }
        Recording { handle, thread }
    }

    pub fn stop(self) -> anyhow::Result<RecordOutcome> {
        self.handle.stop();
        self.thread.join().unwrap()
    }
}

/// Threads that call `pread` with an increasing number until they are stopped.
pub struct Generator {
    stop: Arc<AtomicBool>,
    calls: Arc<AtomicU64>,
    threads: Vec<JoinHandle<(u64, u64)>>,
}

impl Generator {
    /// Starts the threads; each pauses after every `burst` calls.
    pub fn start(threads: usize, burst: u64, pause: Duration) -> Generator {
        let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let threads = (0..threads)
            .map(|_| {
                let (stop, calls) = (stop.clone(), calls.clone());
                thread::spawn(move || {
                    let mut next = 0;
                    while !stop.load(Ordering::Relaxed) {
                        for _ in 0..burst {
                            // SAFETY: the descriptor is invalid, so nothing is read.
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

    /// Returns the number of calls of all threads so far.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Stops the threads, and returns the number of calls of each.
    pub fn stop(self) -> BTreeMap<u64, u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    }
}

/// Waits for a condition that becomes true soon.
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Returns the files of a directory without manifests, sorted by name.
pub fn captures(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_none_or(|extension| extension != "json"));
    paths.sort();
    paths
}

/// The contents of a file.
pub struct Found {
    /// The numbers of each thread's calls.
    pub calls: BTreeMap<u64, Vec<u64>>,
    /// Its totals, if it has them.
    pub verdict: Option<Verdict>,
}

/// Reads a file and checks that it stands alone: it has the state of the machine, and is complete and in time order. If
/// it has totals, they are the last event, and correct.
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
            Some(Notice::Slice(_)) => panic!("a slice"),
            Some(
                Notice::Cut(_)
                | Notice::Clock(_)
                | Notice::Filter(_)
                | Notice::Redacted(_)
                | Notice::Trigger(_)
                | Notice::Longer(_),
            ) => {}
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

/// Checks that the files, in sequence, have every call of each thread once, in order.
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

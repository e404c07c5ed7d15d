//! A running `scapd daemon` as its service manager sees it: messages, exit, memory and descriptors.

use std::{
    fs::{self, File},
    os::unix::{net::UnixDatagram, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

/// The watchdog's timeout in the service's unit: without a sign of life for so long, systemd kills the daemon.
pub const WATCHDOG: Duration = Duration::from_secs(30);
/// Maximum time for a start, most of it loading programs on a busy machine.
const START: Duration = Duration::from_secs(90);
/// Maximum time for a stop, as in the unit.
const STOP: Duration = Duration::from_secs(60);
const SAMPLE: Duration = Duration::from_secs(1);

/// The program and the folder of a run, with the paths in it.
#[derive(Debug, Clone)]
pub struct Paths {
    pub scapd: PathBuf,
    pub folder: PathBuf,
}

impl Paths {
    pub fn config(&self) -> PathBuf {
        self.folder.join("scapd.toml")
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.join("control.sock")
    }

    pub fn log(&self) -> PathBuf {
        self.folder.join("daemon.log")
    }

    fn notify(&self) -> PathBuf {
        self.folder.join("notify.sock")
    }
}

/// A sample of the process.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Anonymous memory (RssAnon), in bytes.
    pub memory: u64,
    pub descriptors: usize,
}

/// The daemon's process.
pub struct Daemon {
    child: Child,
    notify: UnixDatagram,
    is_ready: bool,
    /// Number of READY messages: one after the start and one after each reload.
    ready: u64,
    fed: Instant,
    /// The longest time without a sign of life.
    pub hungry: Duration,
    pub samples: Vec<Sample>,
    sampled: Instant,
}

impl Daemon {
    /// Starts the daemon and waits until it is ready.
    pub fn start(paths: &Paths) -> anyhow::Result<Daemon> {
        let _ = fs::remove_file(paths.notify());
        let notify = UnixDatagram::bind(paths.notify()).context("cannot create the notify socket")?;
        let log = File::options().create(true).append(true).open(paths.log())?;
        let child = Command::new(&paths.scapd)
            .args(["daemon", "--config"])
            .arg(paths.config())
            .env("NOTIFY_SOCKET", paths.notify())
            .env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string())
            .env_remove("WATCHDOG_PID")
            .env_remove("JOURNAL_STREAM")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot run {}", paths.scapd.display()))?;
        let now = Instant::now();
        let mut daemon = Daemon {
            child,
            notify,
            is_ready: false,
            ready: 0,
            fed: now,
            hungry: Duration::ZERO,
            samples: Vec::new(),
            sampled: now,
        };
        daemon.wait_ready(0, START)?;
        Ok(daemon)
    }

    /// Returns the number of READY messages.
    pub fn readies(&self) -> u64 {
        self.ready
    }

    /// Waits for a READY message beyond the first `before` ones.
    pub fn wait_ready(&mut self, before: u64, limit: Duration) -> anyhow::Result<()> {
        let start = Instant::now();
        while self.ready <= before {
            self.look(Duration::from_millis(20))?;
            if start.elapsed() > limit {
                bail!("not ready after {} s", limit.as_secs());
            }
        }
        Ok(())
    }

    /// Receives a message for at most `time`, and samples the process. Fails if it has ended.
    pub fn look(&mut self, time: Duration) -> anyhow::Result<()> {
        self.notify.set_read_timeout(Some(time.max(Duration::from_millis(1))))?;
        let mut bytes = [0; 4096];
        if let Ok(len) = self.notify.recv(&mut bytes) {
            self.hear(&String::from_utf8_lossy(&bytes[..len]));
        }
        if self.is_ready {
            self.hungry = self.hungry.max(self.fed.elapsed());
            if self.sampled.elapsed() >= SAMPLE {
                self.sampled = Instant::now();
                self.samples.extend(self.sample());
            }
        }
        match self.child.try_wait()? {
            Some(status) => bail!("ended by itself: {status}"),
            None => Ok(()),
        }
    }

    fn hear(&mut self, message: &str) {
        for line in message.lines() {
            match line {
                "READY=1" => {
                    self.ready += 1;
                    if !self.is_ready {
                        (self.is_ready, self.fed) = (true, Instant::now());
                    }
                }
                "WATCHDOG=1" => self.fed = Instant::now(),
                _ => {}
            }
        }
    }

    fn sample(&self) -> Option<Sample> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
        let memory: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(Sample { memory: memory << 10, descriptors: self.descriptors().len() })
    }

    fn descriptors(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(format!("/proc/{}/fd", self.child.id())).into_iter().flatten().flatten();
        entries.filter_map(|entry| fs::read_link(entry.path()).ok()).collect()
    }

    /// Returns whether it has a file below a folder open.
    pub fn has_open(&self, folder: &Path) -> bool {
        self.descriptors().iter().any(|path| path.starts_with(folder))
    }

    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        kill_process(Pid::from_child(&self.child), signal).context("cannot signal the daemon")
    }

    /// Sends SIGKILL and waits for the end.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Sends SIGTERM and returns the exit status.
    pub fn stop(&mut self) -> anyhow::Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if start.elapsed() > STOP {
                bail!("the daemon did not end within {} s of SIGTERM", STOP.as_secs());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

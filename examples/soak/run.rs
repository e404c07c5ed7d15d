//! A run: the daemon, the load, and the history of actions.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    process::{Child, Command},
    time::{Duration, Instant, SystemTime},
};

use anyhow::Context;
use fastrand::Rng;
use serde_json::Value;

use crate::{
    account::{Lifetime, Window},
    collect::{Collector, left_behind},
    config::{Config, Files},
    daemon::{Daemon, Paths, WATCHDOG},
    disk::Disk,
    shared::{Call, Pace, Shared, THREADS},
};

/// Maximum time for a reload.
const RELOAD: Duration = Duration::from_secs(20);
/// Maximum time for the recording to resume after a trouble: it retries at least every 30 s.
const RECOVERY: Duration = Duration::from_secs(45);
/// Maximum time after a start to repair the files left behind.
const REPAIR: Duration = Duration::from_secs(20);
/// How long files may exceed their budget: the daemon checks every second.
const OVER_BUDGET: Duration = Duration::from_secs(5);

/// The state of a run.
pub struct Run {
    pub rng: Rng,
    pub paths: Paths,
    pub shared: Shared,
    pub disk: Disk,
    pub collector: Option<Collector>,
    pub config: Config,
    pub lifetimes: Vec<Lifetime>,
    pub windows: Vec<Window>,
    /// The daemons that have ended.
    pub lives: Vec<Life>,
    /// Number of times of each action.
    pub tally: BTreeMap<&'static str, u64>,
    pub violations: Vec<String>,
    daemon: Option<Daemon>,
    load: Child,
    begun: Instant,
    /// When files started to exceed their budget.
    over: Option<Instant>,
    /// Whether the disk gives trouble.
    pub trouble: bool,
}

/// A daemon that has ended.
pub struct Life {
    pub lived: Duration,
    pub end: &'static str,
    pub samples: Vec<crate::daemon::Sample>,
    /// The longest time without a sign of life for the watchdog.
    pub hungry: Duration,
}

impl Run {
    /// Creates the disk and starts the load.
    pub fn set_up(scapd: PathBuf, folder: PathBuf, seed: u64, time: Duration) -> anyhow::Result<Run> {
        const DISK: u64 = 256 << 20;
        fs::create_dir_all(&folder)?;
        let memory = folder.join("shared");
        let shared = Shared::create(&memory)?;
        let disk = Disk::create(&folder, DISK)?;
        let limit = time + Duration::from_secs(600);
        let exe = std::env::current_exe()?;
        let mut command = Command::new(exe);
        command.arg("load").arg(&memory).arg(limit.as_secs().to_string());
        let load = command.spawn().context("cannot start the load")?;
        let paths = Paths { scapd, folder };
        let copies = paths.folder.join("copies");
        let collector = Collector::start(&disk.files(), &copies, &paths.scapd, shared, load.id())
            .context("cannot create the folder of copies")?;
        let mut rng = Rng::with_seed(seed);
        let config = Config { files: Files::any(&mut rng), snaplen: 80, more: false };
        let run = Run {
            rng,
            paths,
            shared,
            disk,
            collector: Some(collector),
            config,
            lifetimes: Vec::new(),
            windows: Vec::new(),
            lives: Vec::new(),
            tally: BTreeMap::new(),
            violations: Vec::new(),
            daemon: None,
            load,
            begun: Instant::now(),
            over: None,
            trouble: false,
        };
        while (0..THREADS).any(|i| run.shared.slot(i).tid.load(std::sync::atomic::Ordering::SeqCst) == 0) {
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(run)
    }

    /// Prints a line with the time since the start.
    pub fn say(&self, what: &str) {
        println!("{:7.1} s  {what}", self.begun.elapsed().as_secs_f64());
    }

    pub fn count(&mut self, what: &'static str) {
        *self.tally.entry(what).or_default() += 1;
        self.say(what);
    }

    /// Records a violation.
    pub fn violated(&mut self, what: String) {
        self.say(&format!("VIOLATION: {what}"));
        self.violations.push(what);
    }

    /// Returns the process id of the load.
    pub fn load(&self) -> u32 {
        self.load.id()
    }

    pub fn has_daemon(&self) -> bool {
        self.daemon.is_some()
    }

    pub fn with_daemon<T>(&mut self, f: impl FnOnce(&mut Daemon) -> anyhow::Result<T>) -> anyhow::Result<T> {
        f(self.daemon.as_mut().context("there is no daemon")?)
    }

    /// Starts the daemon. Calls since `done` were not recorded, for this cause.
    pub fn start(&mut self, cause: &'static str, done: &[u64]) -> anyhow::Result<()> {
        self.write_config(None)?;
        let started = now();
        let begun = Instant::now();
        let daemon = Daemon::start(&self.paths)?;
        let from = self.shared.begun();
        self.say(&format!("ready after {:.1} s", begun.elapsed().as_secs_f64()));
        self.windows.push(Window::new(cause, None, done, &from));
        self.lifetimes.push(Lifetime { started, from, ..Lifetime::default() });
        self.daemon = Some(daemon);
        self.await_repairs()
    }

    /// Waits until the daemon has repaired the files left behind.
    fn await_repairs(&mut self) -> anyhow::Result<()> {
        let start = Instant::now();
        loop {
            let left = left_behind(&self.disk.files());
            if left.is_empty() {
                return Ok(());
            }
            if start.elapsed() > REPAIR {
                let names: Vec<_> = left.iter().map(|path| path.display().to_string()).collect();
                self.violated(format!(
                    "left behind and not repaired at the next start: {}",
                    names.join(", ")
                ));
                return Ok(());
            }
            self.watch(Duration::from_millis(200))?;
        }
    }

    /// Records the end of a daemon: its cause, and the calls done by then.
    fn bury(&mut self, daemon: Daemon, end: &'static str, done: &[u64], killed: bool) {
        if let Some(lifetime) = self.lifetimes.last_mut() {
            lifetime.to = done.to_vec();
            lifetime.killed = killed.then(now);
            lifetime.troubled = self.trouble;
            let lived = Duration::from_nanos(now().saturating_sub(lifetime.started));
            self.lives.push(Life { lived, end, samples: daemon.samples.clone(), hungry: daemon.hungry });
        }
        if daemon.hungry > WATCHDOG {
            let seconds = daemon.hungry.as_secs();
            self.violated(format!("no sign of life for {seconds} s: systemd would have killed it"));
        }
    }

    /// Kills the daemon by SIGKILL. Returns the calls done before.
    pub fn kill(&mut self) -> anyhow::Result<Vec<u64>> {
        let mut daemon = self.daemon.take().context("there is no daemon")?;
        let done = self.shared.done();
        daemon.kill()?;
        self.bury(daemon, "kill -9", &done, true);
        Ok(done)
    }

    /// Stops the daemon by SIGTERM. Returns the calls done before.
    pub fn stop(&mut self) -> anyhow::Result<Vec<u64>> {
        let mut daemon = self.daemon.take().context("there is no daemon")?;
        let done = self.shared.done();
        let status = daemon.stop()?;
        self.bury(daemon, "SIGTERM", &done, false);
        if !status.success() {
            self.violated(format!("the daemon ended with {status} after SIGTERM"));
        }
        Ok(done)
    }

    /// Waits and checks the invariants meanwhile. Restarts a daemon that has died.
    pub fn watch(&mut self, time: Duration) -> anyhow::Result<()> {
        const STEP: Duration = Duration::from_millis(100);
        let end = Instant::now() + time;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            let Some(daemon) = &mut self.daemon else { return Ok(()) };
            if let Err(error) = daemon.look(left.min(STEP)) {
                self.died(&error)?;
            }
            self.check_budget();
            anyhow::ensure!(self.load.try_wait()?.is_none(), "the load ended by itself");
        }
        Ok(())
    }

    fn died(&mut self, error: &anyhow::Error) -> anyhow::Result<()> {
        self.violated(format!("the daemon: {error:#}"));
        let Some(daemon) = self.daemon.take() else { return Ok(()) };
        let done = self.shared.done();
        self.bury(daemon, "by itself", &done, true);
        self.start("after it died", &done)
    }

    fn check_budget(&mut self) {
        let used = self.disk.used();
        match self.config.files.limit() {
            Some(limit) if used > limit => {
                let since = *self.over.get_or_insert_with(Instant::now);
                if since.elapsed() > OVER_BUDGET {
                    self.over = None;
                    self.violated(format!(
                        "files take {} MiB for more than {} s",
                        used >> 20,
                        OVER_BUDGET.as_secs()
                    ));
                }
            }
            _ => self.over = None,
        }
    }

    /// Writes the configuration, or the text given instead.
    pub fn write_config(&self, instead: Option<&str>) -> anyhow::Result<()> {
        let text = match instead {
            Some(text) => text.to_owned(),
            None => self.good_config(),
        };
        fs::write(self.paths.config(), text).context("cannot write the configuration")
    }

    pub fn good_config(&self) -> String {
        self.config.text(&self.paths, &self.disk.files(), self.load.id())
    }

    /// Reloads by SIGHUP and waits for the end.
    pub fn reload(&mut self) -> anyhow::Result<()> {
        self.reload_by(|run| run.with_daemon(|daemon| daemon.signal(rustix::process::Signal::HUP)))
    }

    /// Reloads by `scapd ctl reload` and waits for the end. Returns exit code and output.
    pub fn ctl_reload(&mut self) -> anyhow::Result<(Option<i32>, String)> {
        self.reload_by(|run| run.ctl(&["reload"]))
    }

    /// Waits for the READY message that ends each reload, so that it is not taken for that of the next.
    fn reload_by<T>(&mut self, ask: impl FnOnce(&mut Run) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let before = self.with_daemon(|daemon| Ok(daemon.readies()))?;
        let asked = ask(self)?;
        if let Err(error) = self.with_daemon(|daemon| daemon.wait_ready(before, RELOAD)) {
            if self.with_daemon(|daemon| daemon.look(Duration::ZERO)).is_ok() {
                self.violated(format!("reload: {error:#}"));
            } else {
                self.died(&error)?;
            }
        }
        Ok(asked)
    }

    /// Runs `scapd ctl` for at most 30 s. Returns exit code and output.
    pub fn ctl(&mut self, words: &[&str]) -> anyhow::Result<(Option<i32>, String)> {
        let mut command = Command::new("timeout");
        command.arg("30").arg(&self.paths.scapd).arg("ctl").args(words);
        let output = command.arg("--socket").arg(self.paths.socket()).output()?;
        let said = if output.status.success() { output.stdout } else { output.stderr };
        Ok((output.status.code(), String::from_utf8_lossy(&said).trim().to_owned()))
    }

    /// Runs `scapd ctl`, which must succeed.
    pub fn ask(&mut self, words: &[&str]) -> anyhow::Result<()> {
        let answer = self.ctl(words)?;
        self.expect_done(words, answer);
        Ok(())
    }

    /// Records a violation if a request failed.
    pub fn expect_done(&mut self, words: &[&str], (code, said): (Option<i32>, String)) {
        if code != Some(0) {
            self.violated(format!("scapd ctl {}: exit code {code:?}: {said}", words.join(" ")));
        }
    }

    /// Returns the number of events written to the output.
    fn written(&mut self) -> anyhow::Result<Option<u64>> {
        let (code, said) = self.ctl(&["status", "--json"])?;
        let status: Option<Value> = serde_json::from_str(&said).ok();
        Ok(status.filter(|_| code == Some(0)).and_then(|status| status.get("written")?.as_u64()))
    }

    /// Waits until the recording resumes by itself after a trouble.
    pub fn recover(&mut self, from: &str) -> anyhow::Result<()> {
        let (start, before) = (Instant::now(), self.written()?);
        loop {
            self.watch(Duration::from_millis(300))?;
            let after = self.written()?;
            if after > before {
                break;
            }
            if start.elapsed() > RECOVERY {
                self.violated(format!("{from}: nothing written for {} s", RECOVERY.as_secs()));
                break;
            }
        }
        self.say(&format!("resumed {:.1} s after {from}", start.elapsed().as_secs_f64()));
        self.trouble = false;
        Ok(())
    }

    /// Deselects calls of one kind for a while.
    pub fn deselect(&mut self, call: Call) -> anyhow::Result<()> {
        let done = self.shared.done();
        let without = format!("syscalls={}", self.config.syscalls(Some(call)));
        self.ask(&["set", &without])?;
        let begun = self.shared.begun();
        self.watch(Duration::from_millis(1500))?;
        // The counted calls: those begun after the deselection and done before the reload.
        let (from, to) = (begun, self.shared.done());
        self.reload()?;
        let end = self.shared.begun();
        self.windows.push(Window::new("not selected", Some(call), &done, &end));
        self.tally.entry("calls made while not selected").or_default();
        let made: u64 = from
            .iter()
            .zip(&to)
            .enumerate()
            .filter(|(thread, _)| Call::of(*thread) == call)
            .map(|(_, (from, to))| to.saturating_sub(*from))
            .sum();
        *self.tally.entry("calls made while not selected").or_default() += made;
        Ok(())
    }

    /// Ends all calls. Returns the number of calls of each thread.
    pub fn end_load(&mut self) -> anyhow::Result<Vec<u64>> {
        self.shared.set_pace(Pace::Quiet);
        self.shared.stop();
        let start = Instant::now();
        while !self.shared.is_over() {
            anyhow::ensure!(start.elapsed() < Duration::from_secs(30), "the load did not end within 30 s");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(self.shared.done())
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.daemon = None;
        // The generators die with it.
        let _ = self.load.kill();
        let _ = self.load.wait();
        // Its open files would keep the disk from being unmounted.
        if let Some(collector) = self.collector.take() {
            let _ = collector.finish();
        }
    }
}

/// Returns the time in ns since the epoch.
pub fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64)
}

//! A run: the daemon, the load, and what has been done to them so far.

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

/// How long a reload may take.
const RELOAD: Duration = Duration::from_secs(20);
/// How long after a trouble is over the recording may need to go on: it tries again after 30 s at the latest.
const RECOVERY: Duration = Duration::from_secs(45);
/// How long a start may take to see to the files that were left behind.
const REPAIR: Duration = Duration::from_secs(20);
/// How long files may exceed their budget: the daemon looks each second.
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
    /// How each daemon was, with what ended it.
    pub lives: Vec<Life>,
    /// How often each thing was done.
    pub tally: BTreeMap<&'static str, u64>,
    pub violations: Vec<String>,
    daemon: Option<Daemon>,
    load: Child,
    begun: Instant,
    /// Since when files exceed their budget.
    over: Option<Instant>,
    /// The disk gives trouble.
    pub trouble: bool,
}

/// What is known of a daemon that has ended.
pub struct Life {
    pub lived: Duration,
    pub end: &'static str,
    pub samples: Vec<crate::daemon::Sample>,
    /// The longest time without a sign of life for the watchdog.
    pub hungry: Duration,
}

impl Run {
    /// Makes the disk, and starts the load.
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
            .context("cannot make the folder of copies")?;
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

    /// Says what happens.
    pub fn say(&self, what: &str) {
        println!("{:7.1} s  {what}", self.begun.elapsed().as_secs_f64());
    }

    pub fn count(&mut self, what: &'static str) {
        *self.tally.entry(what).or_default() += 1;
        self.say(what);
    }

    /// What must not be.
    pub fn violated(&mut self, what: String) {
        self.say(&format!("VIOLATION: {what}"));
        self.violations.push(what);
    }

    pub fn has_daemon(&self) -> bool {
        self.daemon.is_some()
    }

    pub fn with_daemon<T>(&mut self, f: impl FnOnce(&mut Daemon) -> anyhow::Result<T>) -> anyhow::Result<T> {
        f(self.daemon.as_mut().context("there is no daemon")?)
    }

    /// Starts the daemon; what was called since `done` was not recorded for that cause.
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

    /// Files that were left behind are to be taken care of.
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
                    "left behind, and not repaired at the next start: {}",
                    names.join(", ")
                ));
                return Ok(());
            }
            self.watch(Duration::from_millis(200))?;
        }
    }

    /// Ends a daemon's life; a cause for what is not recorded from now on, and since when.
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

    /// `kill -9`: the calls that were over before.
    pub fn kill(&mut self) -> anyhow::Result<Vec<u64>> {
        let mut daemon = self.daemon.take().context("there is no daemon")?;
        let done = self.shared.done();
        daemon.kill()?;
        self.bury(daemon, "kill -9", &done, true);
        Ok(done)
    }

    /// SIGTERM: the calls that were over before.
    pub fn stop(&mut self) -> anyhow::Result<Vec<u64>> {
        let mut daemon = self.daemon.take().context("there is no daemon")?;
        let done = self.shared.done();
        let status = daemon.stop()?;
        self.bury(daemon, "SIGTERM", &done, false);
        if !status.success() {
            self.violated(format!("after SIGTERM it ended with {status}"));
        }
        Ok(done)
    }

    /// Lets time pass, and sees to it that what must be so is so. A daemon that has died is started again.
    pub fn watch(&mut self, time: Duration) -> anyhow::Result<()> {
        const STEP: Duration = Duration::from_millis(100);
        let end = Instant::now() + time;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            let Some(daemon) = &mut self.daemon else { return Ok(()) };
            if let Err(error) = daemon.look(left.min(STEP)) {
                self.died(&error)?;
            }
            self.check_budget();
            anyhow::ensure!(self.load.try_wait()?.is_none(), "the load has ended by itself");
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

    /// Writes the configuration; a text instead of it if there is one.
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

    /// SIGHUP, and its end.
    pub fn reload(&mut self) -> anyhow::Result<()> {
        self.reload_by(|run| run.with_daemon(|daemon| daemon.signal(rustix::process::Signal::HUP)))
    }

    /// `scapd ctl reload`, and its end: exit code, and what it prints.
    pub fn ctl_reload(&mut self) -> anyhow::Result<(Option<i32>, String)> {
        self.reload_by(|run| run.ctl(&["reload"]))
    }

    /// Each reload ends with one message that the daemon is ready; it is waited for, so that none is taken for the next.
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

    /// `scapd ctl`: exit code, and what it prints. It is not waited for longer than half a minute.
    pub fn ctl(&mut self, words: &[&str]) -> anyhow::Result<(Option<i32>, String)> {
        let mut command = Command::new("timeout");
        command.arg("30").arg(&self.paths.scapd).arg("ctl").args(words);
        let output = command.arg("--socket").arg(self.paths.socket()).output()?;
        let said = if output.status.success() { output.stdout } else { output.stderr };
        Ok((output.status.code(), String::from_utf8_lossy(&said).trim().to_owned()))
    }

    /// `scapd ctl`, which must work.
    pub fn ask(&mut self, words: &[&str]) -> anyhow::Result<()> {
        let answer = self.ctl(words)?;
        self.expect_done(words, answer);
        Ok(())
    }

    /// A request must have been carried out.
    pub fn expect_done(&mut self, words: &[&str], (code, said): (Option<i32>, String)) {
        if code != Some(0) {
            self.violated(format!("scapd ctl {}: exit code {code:?}: {said}", words.join(" ")));
        }
    }

    /// Events that have reached the output.
    fn written(&mut self) -> anyhow::Result<Option<u64>> {
        let (code, said) = self.ctl(&["status", "--json"])?;
        let status: Option<Value> = serde_json::from_str(&said).ok();
        Ok(status.filter(|_| code == Some(0)).and_then(|status| status.get("written")?.as_u64()))
    }

    /// The trouble is over: the recording must go on by itself.
    pub fn recover(&mut self, from: &str) -> anyhow::Result<()> {
        let (start, before) = (Instant::now(), self.written()?);
        loop {
            self.watch(Duration::from_millis(300))?;
            let after = self.written()?;
            if after > before {
                break;
            }
            if start.elapsed() > RECOVERY {
                self.violated(format!("{from}: nothing is written again after {} s", RECOVERY.as_secs()));
                break;
            }
        }
        self.say(&format!("goes on {:.1} s after {from}", start.elapsed().as_secs_f64()));
        self.trouble = false;
        Ok(())
    }

    /// Has calls of one kind not recorded for a while.
    pub fn deselect(&mut self, call: Call) -> anyhow::Result<()> {
        let done = self.shared.done();
        let without = format!("syscalls={}", self.config.syscalls(Some(call)));
        self.ask(&["set", &without])?;
        let begun = self.shared.begun();
        self.watch(Duration::from_millis(1500))?;
        // All of that time: a call that was recorded between would be a surprise, and is none.
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

    /// Ends all calls: how many each thread has made.
    pub fn end_load(&mut self) -> anyhow::Result<Vec<u64>> {
        self.shared.set_pace(Pace::Quiet);
        self.shared.stop();
        let start = Instant::now();
        while !self.shared.is_over() {
            anyhow::ensure!(start.elapsed() < Duration::from_secs(30), "the load does not end");
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
        // It has files of the disk open, which could not be unmounted.
        if let Some(collector) = self.collector.take() {
            let _ = collector.finish();
        }
    }
}

/// ns since the epoch.
pub fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64)
}

//! One run: a generator with its recorder, from start to end.

use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    os::unix::{
        net::{UnixListener, UnixStream},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, bail, ensure};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open},
};

use crate::{
    contender::{Contender, Job, Scapd, Way},
    counts,
    cpu::{self, CpuClock},
    generator::{Generator, Link, Measured},
    report::Sample,
};

/// The time limit for a recorder and its generator to get ready.
const START_LIMIT: Duration = Duration::from_secs(60);
/// The time limit for the measured loop, and for the end of the recorder after it.
const RUN_LIMIT: Duration = Duration::from_secs(120);
/// The time for a recorder to finish its work from the start.
const SETTLE: Duration = Duration::from_millis(30);
/// The time for a recorder to attach after it has written the head of its file.
const ATTACH_SETTLE: Duration = Duration::from_secs(1);

/// The settings of all runs.
#[derive(Debug, Clone)]
pub struct Bench {
    /// The scapd to measure.
    pub scapd: Scapd,
    /// The program with the generators.
    pub generate: PathBuf,
    /// The CPU that the generator and all its processes run on.
    pub generator_cpu: usize,
    /// The CPUs that the recorder runs on.
    pub recorder_cpus: Vec<usize>,
    /// The parent of the directories for the recorders' files.
    pub dir: PathBuf,
}

/// A child that is killed when dropped, if it still runs.
struct Guarded {
    child: Child,
    status: Option<ExitStatus>,
}

impl Guarded {
    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Waits for the end, but leaves the zombie for its clocks.
    fn await_end(&self, limit: Duration) -> anyhow::Result<()> {
        let fd = pidfd_open(self.pid(), PidfdFlags::empty())?;
        let limit = Timespec::try_from(limit)?;
        let ended = poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&limit))?;
        ensure!(ended > 0, "it does not end");
        Ok(())
    }

    fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait()?;
        self.status = Some(status);
        Ok(status)
    }

    fn has_ended(&mut self) -> io::Result<bool> {
        self.status = self.child.try_wait()?.or(self.status);
        Ok(self.status.is_some())
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if self.status.is_none() {
            // It may end just now.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Bench {
    /// Runs a generator under a contender, and returns the measurement.
    ///
    /// # Errors
    /// If either does not start, fails, or takes too long. The error has the recorder's output.
    pub fn run(&self, contender: Contender, generator: Generator, iterations: u64) -> anyhow::Result<Sample> {
        let dir = tempfile::Builder::new().prefix("scapd-bench-").tempdir_in(&self.dir);
        let dir = dir.with_context(|| format!("cannot create a directory in {}", self.dir.display()))?;
        let run = Run { bench: self, contender, generator, iterations, dir: dir.path() };
        run.run().with_context(|| {
            let log = fs::read_to_string(run.log()).unwrap_or_default();
            let said: Vec<_> = log.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            let said = said[said.len().saturating_sub(3)..].join("; ");
            let said = if said.is_empty() { String::new() } else { format!(" (it said: {said})") };
            format!("{} under {}{said}", generator.name(), contender.label())
        })
    }
}

struct Run<'a> {
    bench: &'a Bench,
    contender: Contender,
    generator: Generator,
    iterations: u64,
    dir: &'a Path,
}

impl Run<'_> {
    fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    fn job<'a>(&'a self, pid: &'a str) -> Job<'a> {
        Job { scapd: &self.bench.scapd, generator: self.generator, dir: self.dir, pid }
    }

    fn generator_command(&self, socket: &Path) -> Vec<OsString> {
        let mut command: Vec<OsString> =
            vec![self.bench.generate.clone().into(), self.generator.name().into()];
        let (iterations, cpu) = (self.iterations.to_string(), self.bench.generator_cpu.to_string());
        command.extend(["--iterations", &iterations, "--cpu", &cpu, "--socket"].map(OsString::from));
        command.extend([socket.into(), "--dir".into(), self.dir.into()]);
        command
    }

    fn run(&self) -> anyhow::Result<Sample> {
        let socket = self.dir.join("socket");
        let listener = UnixListener::bind(&socket).context("cannot listen on a socket")?;
        let generator = self.generator_command(&socket);
        self.contender.write_files(&self.job(""))?;
        match self.contender.way() {
            Way::Alone => {
                let mut child = self.spawn(&generator, &[])?;
                let mut link = accept(&listener, &mut child)?;
                thread::sleep(SETTLE);
                let measured = link.go(RUN_LIMIT)?;
                self.end(child)?;
                Ok(Sample::unrecorded(measured))
            }
            Way::Starts => {
                let command = self.contender.join(self.contender.command(&self.job("")), generator);
                let mut recorder = self.spawn(&command, self.contender.environment())?;
                let link = accept(&listener, &mut recorder)?;
                self.measure(link, recorder)
            }
            Way::Attaches => {
                let mut child = self.spawn(&generator, &[])?;
                let link = accept(&listener, &mut child)?;
                let pid = child.pid().to_string();
                let command = self.contender.command(&self.job(&pid));
                let mut recorder = self.spawn(&command, self.contender.environment())?;
                self.await_file(&mut recorder)?;
                let sample = self.measure_attached(link, recorder)?;
                self.end(child)?;
                Ok(sample)
            }
        }
    }

    /// Measures a recorder that has started the generator, and ends by itself.
    fn measure(&self, mut link: Link, recorder: Guarded) -> anyhow::Result<Sample> {
        thread::sleep(SETTLE);
        let before = CpuClock::read(recorder.pid())?;
        let measured = link.go(RUN_LIMIT)?;
        self.finish(measured, before, recorder)
    }

    fn measure_attached(&self, mut link: Link, recorder: Guarded) -> anyhow::Result<Sample> {
        thread::sleep(ATTACH_SETTLE);
        let before = CpuClock::read(recorder.pid())?;
        let measured = link.go(RUN_LIMIT)?;
        thread::sleep(SETTLE);
        kill_process(recorder.pid(), Signal::INT)?;
        self.finish(measured, before, recorder)
    }

    fn finish(&self, measured: Measured, before: CpuClock, recorder: Guarded) -> anyhow::Result<Sample> {
        recorder.await_end(RUN_LIMIT)?;
        let cpu = CpuClock::read(recorder.pid())?.since(before);
        self.end(recorder)?;
        let counts = counts::read(self.contender, &self.job(""), &self.log())?;
        Ok(Sample::recorded(measured, cpu, counts))
    }

    fn end(&self, mut child: Guarded) -> anyhow::Result<()> {
        child.await_end(RUN_LIMIT)?;
        let status = child.wait()?;
        ensure!(status.success(), "it failed: {status}");
        Ok(())
    }

    /// Starts a recorder, or a generator without one (which moves to its own CPU).
    fn spawn(&self, command: &[OsString], environment: &[(&str, &str)]) -> anyhow::Result<Guarded> {
        let (program, arguments) = command.split_first().context("no command")?;
        let log = File::options().create(true).append(true).open(self.log())?;
        let mut child = Command::new(program);
        child.args(arguments).envs(environment.iter().copied()).current_dir(self.dir);
        child.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let Bench { generator_cpu, recorder_cpus, .. } = self.bench;
        let cpus = if self.contender.shares_cpu() { vec![*generator_cpu] } else { recorder_cpus.clone() };
        // SAFETY: between fork and exec, the closure only makes one system call, and does not allocate.
        unsafe { child.pre_exec(move || cpu::pin(&cpus)) };
        let child = child.spawn().with_context(|| format!("cannot run {}", program.display()))?;
        Ok(Guarded { child, status: None })
    }

    /// Waits until the recorder has started to write its file.
    fn await_file(&self, recorder: &mut Guarded) -> anyhow::Result<()> {
        let (since, capture) = (Instant::now(), self.job("").capture());
        while fs::metadata(&capture).map_or(true, |data| data.len() == 0) {
            ensure!(!recorder.has_ended()?, "it ended before it recorded anything");
            ensure!(since.elapsed() < START_LIMIT, "it wrote nothing");
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

/// Waits until a generator has connected and is ready; `child` is the generator, or the process that has started it.
fn accept(listener: &UnixListener, child: &mut Guarded) -> anyhow::Result<Link> {
    listener.set_nonblocking(true)?;
    let since = Instant::now();
    let stream: UnixStream = loop {
        match listener.accept() {
            Ok((stream, _)) => break stream,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        if child.has_ended()? {
            bail!("it ended before its generator was ready");
        }
        if since.elapsed() > START_LIMIT {
            return Err(anyhow!("it did not start its generator in {} s", START_LIMIT.as_secs()));
        }
        thread::sleep(Duration::from_millis(2));
    };
    Link::accept(stream, START_LIMIT)
}

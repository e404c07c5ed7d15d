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

/// How long a recorder and its generator may take to get ready.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long the measured loop may take, and how long a recorder may take to end after it.
const RUN_LIMIT: Duration = Duration::from_secs(120);
/// What the start has left for the recorder to do is done after this time.
const SETTLE: Duration = Duration::from_millis(30);
/// A recorder that attaches may still do so for this time after it has written the head of its file.
const ATTACH_SETTLE: Duration = Duration::from_secs(1);

/// What all runs have in common.
#[derive(Debug, Clone)]
pub struct Bench {
    /// The scapd that is measured.
    pub scapd: Scapd,
    /// The program with the generators.
    pub generate: PathBuf,
    /// The CPU that the generator and all its processes run on.
    pub generator_cpu: usize,
    /// The CPUs that the recorder runs on.
    pub recorder_cpus: Vec<usize>,
    /// Folders for what is written are made here.
    pub dir: PathBuf,
}

/// A child that is ended, should it still run when it is no longer needed.
struct Guarded {
    child: Child,
    status: Option<ExitStatus>,
}

impl Guarded {
    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Waits for the end, but leaves the process to be looked at.
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
            // It may be ending just now.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Bench {
    /// Runs a generator under a contender, and says what it took.
    ///
    /// # Errors
    /// If one of them does not start, fails, or takes too long; with what the recorder said.
    pub fn run(&self, contender: Contender, generator: Generator, iterations: u64) -> anyhow::Result<Sample> {
        let dir = tempfile::Builder::new().prefix("scapd-bench-").tempdir_in(&self.dir);
        let dir = dir.with_context(|| format!("cannot make a folder in {}", self.dir.display()))?;
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

    /// A recorder that has started the generator ends by itself.
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

    /// Starts a recorder, or a generator without one (which then moves to its own CPU).
    fn spawn(&self, command: &[OsString], environment: &[(&str, &str)]) -> anyhow::Result<Guarded> {
        let (program, arguments) = command.split_first().context("no command")?;
        let log = File::options().create(true).append(true).open(self.log())?;
        let mut child = Command::new(program);
        child.args(arguments).envs(environment.iter().copied()).current_dir(self.dir);
        child.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let Bench { generator_cpu, recorder_cpus, .. } = self.bench;
        let cpus = if self.contender.shares_cpu() { vec![*generator_cpu] } else { recorder_cpus.clone() };
        // SAFETY: between fork and exec the closure makes one system call, and allocates nothing.
        unsafe { child.pre_exec(move || cpu::pin(&cpus)) };
        let child = child.spawn().with_context(|| format!("cannot run {}", program.display()))?;
        Ok(Guarded { child, status: None })
    }

    /// Waits until the recorder has begun to write its file.
    fn await_file(&self, recorder: &mut Guarded) -> anyhow::Result<()> {
        let (since, capture) = (Instant::now(), self.job("").capture());
        while fs::metadata(&capture).map_or(true, |data| data.len() == 0) {
            ensure!(!recorder.has_ended()?, "it has ended before it recorded anything");
            ensure!(since.elapsed() < START_LIMIT, "it writes nothing");
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

/// Waits until a generator has connected, and is ready; `child` is it, or what has started it.
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
            bail!("it has ended before its generator was ready");
        }
        if since.elapsed() > START_LIMIT {
            return Err(anyhow!("it has not started its generator in {} s", START_LIMIT.as_secs()));
        }
        thread::sleep(Duration::from_millis(2));
    };
    Link::accept(stream, START_LIMIT)
}

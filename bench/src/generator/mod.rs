//! The generators: programs that do a given number of iterations of something, and measure how long it takes.

mod calls;
mod link;
mod programs;

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::Context;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

pub use link::{Host, Link};

/// What there is to be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Generator {
    /// the cheapest call that there is
    Getppid,
    /// access of a path that does not exist
    Access,
    /// open and close of /dev/null
    OpenClose,
    /// read 64 bytes from /dev/zero, and write them to /dev/null
    ReadWrite,
    /// one byte to another thread and back, over TCP on loopback
    PingPong,
    /// start /bin/true, and wait for it
    ForkExec,
    /// gcc -O2 of a generated C file
    Compile,
    /// a GET request of redis-benchmark to a redis-server on loopback
    Redis,
    /// one of each of the calls above, and every 1000th time a process
    Mix,
}

/// What a generator has measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// How long the iterations took, in ns.
    pub ns: u64,
    /// How many iterations were measured.
    pub iterations: u64,
    /// How many iterations ran before them, to warm up.
    pub warm_up: u64,
    /// System calls of the measured iterations, where they are known exactly.
    pub calls: Option<u64>,
}

/// Something to do again and again, ready to start.
pub(crate) struct Work {
    /// Does the given number of iterations.
    run: Box<dyn FnMut(u64) -> anyhow::Result<()>>,
    /// System calls of one iteration, where they are known exactly.
    calls: Option<u64>,
}

impl Generator {
    /// All of them, in the order of the report.
    pub fn all() -> &'static [Generator] {
        Generator::value_variants()
    }

    /// The name that the command line takes.
    pub fn name(self) -> &'static str {
        match self {
            Generator::Getppid => "getppid",
            Generator::Access => "access",
            Generator::OpenClose => "open-close",
            Generator::ReadWrite => "read-write",
            Generator::PingPong => "ping-pong",
            Generator::ForkExec => "fork-exec",
            Generator::Compile => "compile",
            Generator::Redis => "redis",
            Generator::Mix => "mix",
        }
    }

    /// What one iteration is.
    pub fn describe(self) -> String {
        let value = self.to_possible_value();
        value.and_then(|v| v.get_help().map(ToString::to_string)).unwrap_or_default()
    }

    /// The calls that a user would name who wants to see what this generator does.
    pub fn calls(self) -> &'static [&'static str] {
        match self {
            Generator::Getppid => &["getppid"],
            Generator::Access => &["access"],
            Generator::OpenClose => &["openat", "close"],
            Generator::ReadWrite => &["read", "write"],
            Generator::PingPong => &["sendto", "recvfrom"],
            Generator::ForkExec => &["clone", "clone3", "vfork", "execve", "wait4", "exit_group"],
            Generator::Compile => {
                &["openat", "close", "read", "write", "clone", "clone3", "vfork", "execve", "exit_group"]
            }
            Generator::Redis => &["epoll_wait", "read", "write"],
            Generator::Mix => &[
                "getppid",
                "access",
                "openat",
                "close",
                "read",
                "write",
                "sendto",
                "recvfrom",
                "clone",
                "clone3",
                "vfork",
                "execve",
                "exit_group",
            ],
        }
    }

    /// Iterations of the first run, from which the number for the others follows.
    pub fn first_iterations(self) -> u64 {
        match self {
            Generator::Compile => 1,
            Generator::ForkExec => 50,
            Generator::PingPong | Generator::Redis | Generator::Mix => 2_000,
            _ => 20_000,
        }
    }

    /// The fewest iterations that say something.
    pub fn least_iterations(self) -> u64 {
        match self {
            Generator::Compile => 2,
            Generator::ForkExec => 20,
            Generator::Redis | Generator::Mix => 2_000,
            _ => 1_000,
        }
    }

    /// The programs that it needs, in `PATH`.
    pub fn programs(self) -> &'static [&'static str] {
        match self {
            Generator::Compile => &["gcc"],
            Generator::Redis => &["redis-server", "redis-benchmark"],
            _ => &[],
        }
    }

    fn prepare(self, dir: &Path) -> anyhow::Result<Work> {
        match self {
            Generator::Getppid => Ok(calls::getppid()),
            Generator::Access => calls::access(),
            Generator::OpenClose => calls::open_close(),
            Generator::ReadWrite => calls::read_write(),
            Generator::PingPong => calls::ping_pong(),
            Generator::ForkExec => Ok(programs::fork_exec()),
            Generator::Compile => programs::compile(dir),
            Generator::Redis => programs::redis(dir),
            Generator::Mix => programs::mix(),
        }
    }
}

/// What a generator is told.
#[derive(Debug, Clone, clap::Parser)]
#[command(about = "Does a number of iterations of something, and prints how long they took, as JSON")]
pub struct Arguments {
    /// What to do
    pub generator: Generator,
    /// How often
    #[arg(long)]
    pub iterations: u64,
    /// Run on this CPU
    #[arg(long)]
    pub cpu: Option<usize>,
    /// Say there that we are ready, wait for the go, and send the result there instead of printing it
    #[arg(long)]
    pub socket: Option<PathBuf>,
    /// For files
    #[arg(long, default_value = ".")]
    pub dir: PathBuf,
}

/// Runs a generator: gets ready, waits until it may start, warms up, and measures.
///
/// # Errors
/// If something that the generator needs is not there, or if the host has gone.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if let Some(cpu) = arguments.cpu {
        crate::cpu::pin(&[cpu]).with_context(|| format!("cannot run on CPU {cpu}"))?;
    }
    let mut work = arguments.generator.prepare(&arguments.dir)?;
    let mut host = arguments.socket.as_deref().map(Host::connect).transpose()?;
    if let Some(host) = &mut host {
        host.wait_for_go()?;
    }
    let iterations = arguments.iterations;
    let warm_up = iterations.div_ceil(10);
    (work.run)(warm_up)?;
    let begin = Instant::now();
    (work.run)(iterations)?;
    let ns = u64::try_from(begin.elapsed().as_nanos()).context("that took too long")?;
    let measured = Measured { ns, iterations, warm_up, calls: work.calls.map(|calls| calls * iterations) };
    match host {
        Some(mut host) => host.tell(&measured),
        None => {
            println!("{}", serde_json::to_string(&measured)?);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_the_command_line_takes() {
        for generator in Generator::all() {
            assert_eq!(Generator::from_str(generator.name(), false), Ok(*generator));
            assert!(!generator.describe().is_empty(), "{}", generator.name());
            assert!(!generator.calls().is_empty());
        }
    }

    #[test]
    fn generators_do_what_they_say() {
        let dir = tempfile::tempdir().unwrap();
        for generator in [
            Generator::Getppid,
            Generator::Access,
            Generator::OpenClose,
            Generator::ReadWrite,
            Generator::PingPong,
            Generator::ForkExec,
            Generator::Mix,
        ] {
            let mut work = generator.prepare(dir.path()).unwrap();
            (work.run)(3).unwrap();
            (work.run)(0).unwrap();
        }
    }
}

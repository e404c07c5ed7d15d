//! The generators: workloads that run a given number of iterations, and measure their duration.

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

/// A workload to record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Generator {
    /// the cheapest call
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

/// The measurement of a generator.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The duration of the iterations, in ns.
    pub ns: u64,
    /// The number of measured iterations.
    pub iterations: u64,
    /// The number of iterations before them, as a warm-up.
    pub warm_up: u64,
    /// The number of system calls of the measured iterations, if it is known exactly.
    pub calls: Option<u64>,
}

/// A prepared generator.
pub(crate) struct Work {
    /// Runs the given number of iterations.
    run: Box<dyn FnMut(u64) -> anyhow::Result<()>>,
    /// The number of system calls of one iteration, if it is known exactly.
    calls: Option<u64>,
}

impl Generator {
    /// Returns all generators, in the order of the report.
    pub fn all() -> &'static [Generator] {
        Generator::value_variants()
    }

    /// Returns the name for the command line.
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

    /// Returns a description of one iteration.
    pub fn describe(self) -> String {
        let value = self.to_possible_value();
        value.and_then(|v| v.get_help().map(ToString::to_string)).unwrap_or_default()
    }

    /// Returns the calls that a user would select to observe this generator.
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

    /// Returns the iterations of the first run, which determines those of the others.
    pub fn first_iterations(self) -> u64 {
        match self {
            Generator::Compile => 1,
            Generator::ForkExec => 50,
            Generator::PingPong | Generator::Redis | Generator::Mix => 2_000,
            _ => 20_000,
        }
    }

    /// Returns the minimum iterations for a meaningful result.
    pub fn least_iterations(self) -> u64 {
        match self {
            Generator::Compile => 2,
            Generator::ForkExec => 20,
            Generator::Redis | Generator::Mix => 2_000,
            _ => 1_000,
        }
    }

    /// Returns the programs that it needs in `PATH`.
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

/// The command line of a generator.
#[derive(Debug, Clone, clap::Parser)]
#[command(about = "Run a number of iterations of a generator, and print their duration as JSON")]
pub struct Arguments {
    /// The generator
    pub generator: Generator,
    /// The number of iterations
    #[arg(long)]
    pub iterations: u64,
    /// Run on this CPU
    #[arg(long)]
    pub cpu: Option<usize>,
    /// Report readiness to this socket, wait there for the start, and send the result there instead of printing it
    #[arg(long)]
    pub socket: Option<PathBuf>,
    /// The directory for files
    #[arg(long, default_value = ".")]
    pub dir: PathBuf,
}

/// Runs a generator: prepares it, waits for the start, warms up, and measures.
///
/// # Errors
/// If something that the generator needs is missing, or if the benchmark has ended.
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
    let ns = u64::try_from(begin.elapsed().as_nanos()).context("the run took too long")?;
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

//! Runs `scapd daemon` under load, puts it through what a service experiences in months, and checks that every call of
//! the load is in a file or accounted for. See docs/SOAK.md. `make soak` runs it, as root.

mod account;
mod actions;
mod capture;
mod collect;
mod config;
mod daemon;
mod disk;
mod flight;
mod load;
mod report;
mod run;
mod shared;

use std::{
    fs,
    path::PathBuf,
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::{Parser, Subcommand};

use run::Run;
use shared::Pace;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: What,
}

#[derive(Subcommand)]
enum What {
    /// The whole soak
    Run(RunArgs),
    /// Only the load: the soak starts it
    Load { memory: PathBuf, seconds: u64 },
    /// A generator: the load starts it
    Generate { memory: PathBuf, index: usize, seconds: u64 },
}

#[derive(Parser)]
struct RunArgs {
    /// Duration in seconds
    #[arg(long, default_value_t = 1200)]
    time: u64,
    /// Seed of the random actions [default: a new one each time]
    #[arg(long)]
    seed: Option<u64>,
    /// The program to test
    #[arg(long, value_name = "PATH")]
    scapd: PathBuf,
    /// Folder for all files; it must not exist
    #[arg(long, value_name = "PATH")]
    folder: PathBuf,
    /// Also write the report to this file
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

fn main() -> anyhow::Result<ExitCode> {
    match Arguments::parse().command {
        What::Run(args) => soak(args),
        What::Load { memory, seconds } => {
            load::run(&memory, Duration::from_secs(seconds)).map(|()| ExitCode::SUCCESS)
        }
        What::Generate { memory, index, seconds } => {
            load::generate(&memory, index, Duration::from_secs(seconds)).map(|()| ExitCode::SUCCESS)
        }
    }
}

fn soak(args: RunArgs) -> anyhow::Result<ExitCode> {
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..1 << 32));
    println!("seed {seed}");
    let date = jiff::Zoned::now().strftime("%Y-%m-%d %H:%M %Z").to_string();
    let scapd =
        fs::canonicalize(&args.scapd).with_context(|| format!("cannot find {}", args.scapd.display()))?;
    anyhow::ensure!(!args.folder.exists(), "{} already exists: remove it", args.folder.display());
    let time = Duration::from_secs(args.time);
    let mut run = Run::set_up(scapd, args.folder, seed, time)?;
    let begun = Instant::now();
    run.shared.set_pace(Pace::Medium);
    run.start("before the first start", &[0; shared::THREADS])?;
    actions::until(&mut run, begun + time)?;
    let seconds = begun.elapsed().as_secs();
    let total = finish(&mut run)?;
    let mut found = run.collector.take().context("the collector is gone")?.finish()?;
    let facts = report::Facts {
        date,
        command: format!("make soak TIME={} SEED={seed}", args.time),
        seed,
        kernel: kernel(),
        seconds,
    };
    let captures = std::mem::take(&mut found.captures);
    let (files, events) = (captures.len(), captures.iter().map(|c| c.events).sum());
    let log = fs::read_to_string(run.paths.log()).context("cannot read the daemon's log")?;
    let unseen = collect::unseen(&log, &captures);
    let account = account::account(captures, &run.lifetimes, &run.windows, &total);
    let mut violations = std::mem::take(&mut run.violations);
    violations.append(&mut found.violations);
    violations.extend(unseen);
    violations.extend(report::judge(&run.lives));
    violations.extend(account.violations.iter().cloned());
    let text = report::text(&facts, &run, &found, (files, events), &account, &violations);
    println!("\n{text}");
    if let Some(path) = args.report {
        fs::write(&path, &text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if !violations.is_empty() {
        println!("everything is still in {}", run.paths.folder.display());
        return Ok(ExitCode::FAILURE);
    }
    let folder = run.paths.folder.clone();
    drop(run);
    fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// Ends the load, then the daemon, and repairs the files left behind. Returns the number of calls of each thread.
fn finish(run: &mut Run) -> anyhow::Result<Vec<u64>> {
    let total = run.end_load()?;
    // Time for the last events in rings and buffers.
    std::thread::sleep(Duration::from_secs(1));
    if run.has_daemon() {
        run.stop()?;
    }
    for path in collect::left_behind(&run.disk.files()) {
        run.count("scapd repair by hand, after the end");
        let output = Command::new(&run.paths.scapd).arg("repair").arg(&path).output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            run.violated(format!("scapd repair {}: {}: {said}", path.display(), output.status));
        }
    }
    Ok(total)
}

fn kernel() -> String {
    let uname = rustix::system::uname();
    format!("{} {}", uname.release().to_string_lossy(), uname.machine().to_string_lossy())
}

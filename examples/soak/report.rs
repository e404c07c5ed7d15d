//! The report of a run, as text.

use std::fmt::Write as _;

use indicatif::{HumanBytes, HumanCount};

use crate::{
    account::Account,
    collect::Found,
    daemon::WATCHDOG,
    run::{Life, Run},
};

/// Maximum growth of a daemon's anonymous memory over its life, in bytes.
const GROWTH: u64 = 32 << 20;
/// Maximum growth of its number of descriptors.
const DESCRIPTORS: usize = 4;
/// Minimum life to judge, in samples: one per second.
const LONG: usize = 40;

/// Facts about the run.
pub struct Facts {
    pub date: String,
    pub command: String,
    pub seed: u64,
    pub kernel: String,
    pub seconds: u64,
}

/// The trend of memory and descriptors over a life: medians of its first and last third.
pub struct Trend {
    pub memory: (u64, u64),
    pub descriptors: (usize, usize),
}

impl Trend {
    pub fn of(life: &Life) -> Option<Trend> {
        let third = life.samples.len() / 3;
        let (first, last) = (life.samples.get(..third)?, life.samples.get(life.samples.len() - third..)?);
        let memory = |samples: &[crate::daemon::Sample]| median(samples.iter().map(|s| s.memory).collect());
        let descriptors =
            |samples: &[crate::daemon::Sample]| median(samples.iter().map(|s| s.descriptors).collect());
        Some(Trend {
            memory: (memory(first)?, memory(last)?),
            descriptors: (descriptors(first)?, descriptors(last)?),
        })
    }
}

fn median<T: Ord + Copy>(mut values: Vec<T>) -> Option<T> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

/// Returns the violations of the lives: growing memory or descriptors.
pub fn judge(lives: &[Life]) -> Vec<String> {
    let mut violations = Vec::new();
    for (index, life) in lives.iter().enumerate().filter(|(_, life)| life.samples.len() >= LONG) {
        let Some(trend) = Trend::of(life) else { continue };
        let (first, last) = trend.memory;
        if last > first + GROWTH {
            violations.push(format!(
                "daemon {index}: its memory grew from {} to {}",
                HumanBytes(first),
                HumanBytes(last)
            ));
        }
        let (first, last) = trend.descriptors;
        if last > first + DESCRIPTORS {
            violations.push(format!("daemon {index}: its descriptors grew from {first} to {last}"));
        }
    }
    violations
}

/// Returns the report.
pub fn text(
    facts: &Facts,
    run: &Run,
    found: &Found,
    (files, events): (usize, u64),
    account: &Account,
    violations: &[String],
) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(out, "{name:<34} {value}");
    };
    line("date", facts.date.clone());
    line("command", facts.command.clone());
    line("seed", facts.seed.to_string());
    line("kernel", facts.kernel.clone());
    line("time", format!("{} s", facts.seconds));
    line("violations", violations.len().to_string());
    line("", String::new());
    line("files checked", HumanCount(files as u64).to_string());
    line("  deleted before their turn", HumanCount(found.deleted).to_string());
    for (code, count) in &found.verified {
        line(&format!("  scapd verify: exit code {code}"), HumanCount(*count).to_string());
    }
    line("  bytes", HumanBytes(found.bytes).to_string());
    line("  events", HumanCount(events).to_string());
    line("", String::new());
    line("events of marked calls", HumanCount(account.expected).to_string());
    line("  captured", HumanCount(account.captured).to_string());
    line("  lost, and told by the ledger", HumanCount(account.lost).to_string());
    for (cause, count) in &account.windows {
        line(&format!("  {cause}"), HumanCount(*count).to_string());
    }
    line("  in memory at kill -9", HumanCount(account.unflushed).to_string());
    line("  lost shortly before kill -9", HumanCount(account.untold).to_string());
    let missing = account.lost + account.windows.values().sum::<u64>() + account.unflushed + account.untold;
    line("  remain", (account.expected as i128 - account.captured as i128 - missing as i128).to_string());
    let ms = account.longest_unflushed / 1_000_000;
    line("longest time unflushed at kill -9", format!("{ms} ms (of those with room on the disk)"));
    line(
        "sums by daemon and type with losses",
        format!("{}, of which {} equal to the event", account.sums, account.equal),
    );
    for (cause, count) in &account.causes {
        line(&format!("all losses told: {cause}"), HumanCount(*count).to_string());
    }
    line("", String::new());
    for (what, count) in &run.tally {
        line(what, HumanCount(*count).to_string());
    }
    let hungry = run.lives.iter().map(|life| life.hungry).max().unwrap_or_default();
    line(
        "longest time without a sign of life",
        format!("{:.1} s of {} s", hungry.as_secs_f64(), WATCHDOG.as_secs()),
    );
    lives(&mut out, &run.lives);
    if !violations.is_empty() {
        out.push_str("\nViolations:\n");
        for violation in violations {
            let _ = writeln!(out, "- {violation}");
        }
    }
    out
}

fn lives(out: &mut String, lives: &[Life]) {
    let _ = writeln!(
        out,
        "\n{:<8}{:>8}  {:<10}{:>26}{:>22}{:>18}",
        "daemon", "seconds", "end", "memory, first and last", "most", "descriptors"
    );
    for (index, life) in lives.iter().enumerate() {
        let most = life.samples.iter().map(|s| s.memory).max().unwrap_or(0);
        let (memory, descriptors) = match Trend::of(life) {
            Some(trend) => {
                let mib = |bytes: u64| format!("{:.1}", bytes as f64 / f64::from(1 << 20));
                (
                    format!("{} {} MiB", mib(trend.memory.0), mib(trend.memory.1)),
                    format!("{} {}", trend.descriptors.0, trend.descriptors.1),
                )
            }
            None => ("-".to_owned(), "-".to_owned()),
        };
        let _ = writeln!(
            out,
            "{index:<8}{:>8}  {:<10}{memory:>26}{:>22}{descriptors:>18}",
            life.lived.as_secs(),
            life.end,
            HumanBytes(most).to_string()
        );
    }
}

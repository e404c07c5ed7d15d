//! The contenders and generators that can run on this machine, and their versions.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsStr,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::Context;

use crate::{contender::Contender, generator::Generator, run::Bench};

/// The mount points of tracefs, one of which must exist.
const TRACEPOINTS: [&str; 2] = ["/sys/kernel/tracing/events", "/sys/kernel/debug/tracing/events"];
const INSTALL: &str = "make bench-setup installs it";
/// The time limit for sysdig to report that it cannot run.
const SYSDIG_LIMIT: Duration = Duration::from_secs(10);

/// The result of the search.
#[derive(Debug, Default)]
pub struct Available {
    /// Contenders that can run.
    pub contenders: Vec<Contender>,
    /// Generators that can run.
    pub generators: Vec<Generator>,
    /// The reasons why others cannot.
    pub notes: Vec<String>,
    /// The versions of the contenders' programs.
    pub versions: BTreeMap<String, String>,
}

/// Checks which of these contenders and generators can run.
///
/// # Errors
/// If a contender's version cannot be read.
pub fn look(contenders: &[Contender], generators: &[Generator], bench: &Bench) -> anyhow::Result<Available> {
    let mut available = Available::default();
    for contender in contenders {
        match why_not(*contender) {
            Some(reason) => available.notes.push(format!("{} is left out: {reason}", contender.label())),
            None => available.contenders.push(*contender),
        }
    }
    for generator in generators {
        match generator.programs().iter().find(|program| !is_installed(program)) {
            Some(program) => {
                let name = generator.name();
                available.notes.push(format!("{name} is left out: {program} is not installed ({INSTALL})"));
            }
            None => available.generators.push(*generator),
        }
    }
    for program in available.contenders.iter().filter_map(|contender| contender.program()) {
        let path = if program == "scapd" { bench.scapd.program.as_os_str() } else { OsStr::new(program) };
        if !available.versions.contains_key(program) {
            let version = output(path, &["--version"]).with_context(|| format!("cannot run {program}"))?;
            available.versions.insert(program.to_owned(), version_number(&version));
        }
    }
    Ok(available)
}

/// Returns whether this scapd takes `--stats-file`.
///
/// # Errors
/// If scapd cannot be run.
pub fn has_stats_file(scapd: &Path) -> anyhow::Result<bool> {
    let help = output(scapd.as_os_str(), &["record", "--help"]);
    let help = help.with_context(|| format!("cannot run {}: build it, or use --scapd", scapd.display()))?;
    Ok(help.contains("--stats-file"))
}

fn why_not(contender: Contender) -> Option<String> {
    let program = contender.program()?;
    if program == "scapd" {
        return None;
    }
    if !is_installed(program) {
        return Some(format!("{program} is not installed ({INSTALL})"));
    }
    if contender.needs_tracefs() && !TRACEPOINTS.iter().any(|path| Path::new(path).is_dir()) {
        return Some("tracefs is not mounted (mount -t tracefs tracefs /sys/kernel/tracing)".to_owned());
    }
    if contender == Contender::Sysdig { sysdig_fails() } else { None }
}

/// Returns why sysdig fails. Debian's lacks the modern engine, and the other engines need a kernel module.
fn sysdig_fails() -> Option<String> {
    let mut command = Command::new("timeout");
    command.arg(SYSDIG_LIMIT.as_secs().to_string());
    command.args(["sysdig", "--modern-bpf", "-n", "1", "-w", "/dev/null"]);
    match command.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => {
            let said = [output.stderr, output.stdout].concat();
            let said = String::from_utf8_lossy(&said);
            let line =
                said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("without a message");
            Some(format!("its live engine fails to start ({line})"))
        }
        Err(error) => Some(format!("it cannot be run: {error}")),
    }
}

fn is_installed(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn output(program: &OsStr, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Returns the first word that looks like a version.
fn version_number(text: &str) -> String {
    let is_version = |word: &&str| {
        word.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit()) && word.contains('.')
    };
    text.split_whitespace().find(is_version).map_or("unknown version".to_owned(), |word| {
        word.trim_start_matches('v').trim_end_matches(',').to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(version_number("strace -- version 6.1\nCopyright (c) 1991-2022"), "6.1");
        assert_eq!(version_number("bpftrace v0.17.0\n"), "0.17.0");
        assert_eq!(version_number("perf version 6.1.192\n"), "6.1.192");
        assert_eq!(version_number(""), "unknown version");
    }

    #[test]
    fn programs_are_looked_up() {
        assert!(is_installed("sh"));
        assert!(!is_installed("no-such-program-of-this-name"));
    }
}

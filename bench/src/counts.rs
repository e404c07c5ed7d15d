//! Counts of recorded events, from the recorder's files.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufRead, BufReader},
    path::Path,
};

use anyhow::Context;
use serde::Deserialize;

use crate::{
    contender::{Contender, Job},
    perf_data,
};

/// The counts that a recorder reports.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    /// Events in the file: two for each call with scapd, perf and bpftrace, one line for each call with strace.
    pub events: Option<u64>,
    /// Lost events.
    pub lost: Option<u64>,
    /// Lost events by cause.
    pub causes: BTreeMap<String, u64>,
    /// CPU time that the recorder reports, from its start to its end, in ns.
    pub own_cpu_ns: Option<u64>,
    /// The size of the file.
    pub bytes: u64,
}

/// The part of `scapd record --stats-file` that is used here.
#[derive(Debug, Deserialize)]
struct Stats {
    written: Option<u64>,
    lost: Option<u64>,
    #[serde(default)]
    causes: BTreeMap<String, u64>,
    cpu_user_ns: Option<u64>,
    cpu_system_ns: Option<u64>,
}

/// Reads the recorder's files.
///
/// # Errors
/// If there is no file, or it is not in the recorder's format.
pub fn read(contender: Contender, job: &Job<'_>, log: &Path) -> anyhow::Result<Counts> {
    if contender == Contender::None {
        return Ok(Counts::default());
    }
    let capture = job.capture();
    let bytes = match contender.leaves_file() {
        true => {
            fs::metadata(&capture).with_context(|| format!("{} has left no file", contender.label()))?.len()
        }
        false => 0,
    };
    let open = || File::open(&capture).map(BufReader::new);
    let counts = match contender {
        Contender::Strace | Contender::StraceSeccomp => {
            // strace stops the tracee for every event, and cannot lose any.
            Counts { events: Some(strace_calls(open()?)?), lost: Some(0), ..Counts::default() }
        }
        // What it lost stands in its log, as text.
        Contender::ScapdTrace => Counts { events: Some(strace_calls(open()?)?), ..Counts::default() },
        Contender::PerfTrace => {
            let (events, lost) = perf_lines(open()?)?;
            Counts { events: Some(events), lost: Some(lost), ..Counts::default() }
        }
        Contender::Perf => {
            let samples = perf_data::count(File::open(&capture)?)?;
            Counts { events: Some(samples.kept), lost: Some(samples.lost), ..Counts::default() }
        }
        Contender::Bpftrace => {
            // Which of them it goes to depends on the version.
            let (events, lost) = bpftrace_lines(open()?)?;
            let (_, also_lost) = bpftrace_lines(BufReader::new(File::open(log)?))?;
            Counts { events: Some(events), lost: Some(lost + also_lost), ..Counts::default() }
        }
        _ if contender.is_scapd() && job.scapd.has_stats_file => {
            let text = fs::read_to_string(job.stats()).context("scapd has left no statistics")?;
            from_stats(&text).context("cannot parse scapd's statistics")?
        }
        _ => Counts::default(),
    };
    Ok(Counts { bytes, ..counts })
}

fn from_stats(text: &str) -> serde_json::Result<Counts> {
    let stats: Stats = serde_json::from_str(text)?;
    Ok(Counts {
        events: stats.written,
        lost: stats.lost,
        causes: stats.causes.into_iter().filter(|(_, count)| *count > 0).collect(),
        own_cpu_ns: stats.cpu_user_ns.zip(stats.cpu_system_ns).map(|(user, system)| user + system),
        bytes: 0,
    })
}

/// Counts the calls in strace's output: one interrupted by another process has two lines.
fn strace_calls(text: impl BufRead) -> io::Result<u64> {
    let mut calls = 0;
    for_each_line(text, |line| {
        // Process id, time, then a call, a signal (---), or the end of a process (+++).
        let rest = after_word(after_word(line));
        let is_call = !rest.is_empty() && !rest.starts_with(b"---") && !rest.starts_with(b"+++");
        calls += u64::from(is_call && !line.ends_with(b"<unfinished ...>"));
    })?;
    Ok(calls)
}

fn after_word(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| *byte == b' ').unwrap_or(text.len());
    text[end..].trim_ascii_start()
}

/// Counts the calls in perf trace's output, and the events that it reports as lost.
fn perf_lines(text: impl BufRead) -> io::Result<(u64, u64)> {
    let (mut calls, mut lost) = (0, 0);
    for_each_line(text, |line| {
        if let Some(rest) = line.strip_prefix(b"LOST ") {
            lost += leading_number(rest);
        } else {
            calls += u64::from(line.windows(3).any(|part| part == b"): "));
        }
    })?;
    Ok((calls, lost))
}

fn leading_number(text: &[u8]) -> u64 {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'))
}

/// Counts the events in the output of our script, and those that bpftrace reports as lost.
fn bpftrace_lines(text: impl BufRead) -> io::Result<(u64, u64)> {
    let (mut events, mut lost) = (0, 0);
    for_each_line(text, |line| {
        if line.first().is_some_and(u8::is_ascii_digit) {
            events += 1;
        } else if let Some(rest) = line.strip_prefix(b"Lost ") {
            lost += leading_number(rest);
        }
    })?;
    Ok((events, lost))
}

fn for_each_line(mut text: impl BufRead, mut each: impl FnMut(&[u8])) -> io::Result<()> {
    let mut line = Vec::new();
    while text.read_until(b'\n', &mut line)? > 0 {
        each(line.trim_ascii_end());
        line.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_strace() {
        let text = b"\
12 1700000000.000001 access(\"/x\", R_OK) = -1 ENOENT (No such file or directory)
12 1700000000.000002 wait4(13,  <unfinished ...>
13 1700000000.000003 exit_group(0) = ?
13 1700000000.000004 +++ exited with 0 +++
12 1700000000.000005 <... wait4 resumed>NULL, 0, NULL) = 13
12 1700000000.000006 --- SIGCHLD {si_signo=SIGCHLD} ---
";
        assert_eq!(strace_calls(&text[..]).unwrap(), 3);
        assert_eq!(strace_calls(&b""[..]).unwrap(), 0);
    }

    #[test]
    fn process_ids_of_strace_are_padded() {
        let text = b"7     1700000000.000001 getppid() = 1\n12345 1700000000.000002 getppid() = 1\n";
        assert_eq!(strace_calls(&text[..]).unwrap(), 2);
    }

    #[test]
    fn calls_of_perf_trace() {
        let text = b"\
     0.000 ( 0.003 ms): cat/123 openat(dfd: CWD, filename: \"/x\") = -1 ENOENT (No such file or directory)
LOST 12 events!
     0.012 (         ): cat/123 exit_group() = ?
";
        assert_eq!(perf_lines(&text[..]).unwrap(), (2, 12));
    }

    #[test]
    fn events_of_bpftrace() {
        let text = b"
1 0 2 2 cat > access filename=/x mode=4
Lost 120 events
1 0 2 2 cat < access res=-2
Lost 3 events
";
        assert_eq!(bpftrace_lines(&text[..]).unwrap(), (2, 123));
    }

    #[test]
    fn statistics_of_scapd() {
        let counts = from_stats(
            r#"{"seen": 12, "written": 10, "lost": 2, "bytes": 700, "causes": {"ring_full": 2, "too_large": 0},
                "cpu_user_ns": 30, "cpu_system_ns": 40, "more": []}"#,
        )
        .unwrap();
        assert_eq!((counts.events, counts.lost, counts.own_cpu_ns), (Some(10), Some(2), Some(70)));
        assert_eq!(counts.causes, BTreeMap::from([("ring_full".to_owned(), 2)]));
        assert_eq!(from_stats("{}").unwrap(), Counts::default());
        assert!(from_stats("").is_err());
    }
}

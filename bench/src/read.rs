//! What reading a capture costs: scapd and other readers print the same capture in turn, to /dev/null.
//!
//! The capture is one of reads and writes, in memory: it has been written just before. A reader's cost is its user and
//! system time, as the kernel reports it at its end; readers that use several threads do not look faster by that. What
//! scapd's `-j` is worth is measured by the clock, in a table of its own.

use std::{
    ffi::OsString,
    fmt::Write,
    fs::File,
    io,
    mem::MaybeUninit,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use comfy_table::{CellAlignment, Table, presets::ASCII_MARKDOWN};

use crate::{
    machine::Machine,
    report::{bytes, digits},
    stats::Quartiles,
};

/// The name of the capture.
const NAME: &str = "reads.scap";

/// What to measure, and with what.
#[derive(Debug, Clone)]
pub struct ReadBench {
    /// The scapd program.
    pub scapd: PathBuf,
    /// The program of the generators.
    pub generate: PathBuf,
    /// The directory for the capture.
    pub dir: PathBuf,
    /// The number of events.
    pub events: u64,
    /// The measured rounds.
    pub rounds: usize,
    /// The commands of sysdig and tshark, divided at blanks.
    pub sysdig: Option<String>,
    /// The same of tshark.
    pub tshark: Option<String>,
}

/// A reader and what it is to do.
struct Task {
    what: &'static str,
    command: Vec<OsString>,
    /// The task of scapd that does the same.
    same: Option<usize>,
    /// A job for each CPU.
    has_jobs: bool,
    /// ns of CPU for an event in each round, ns by the clock, and the largest memory in bytes.
    samples: Vec<f64>,
    clock: Vec<f64>,
    memory: u64,
}

/// What a process took.
struct Used {
    status: ExitStatus,
    cpu: Duration,
    /// By the clock.
    time: Duration,
    /// The largest memory at a time, in bytes.
    memory: u64,
}

/// What the readers are asked for.
struct Asked {
    what: &'static str,
    scapd: &'static [&'static str],
    /// What asks sysdig for the same, if anything does.
    sysdig: Option<&'static [&'static str]>,
}

const fn asked(
    what: &'static str,
    scapd: &'static [&'static str],
    sysdig: Option<&'static [&'static str]>,
) -> Asked {
    Asked { what, scapd, sysdig }
}

const BY_NAME: &str = "proc.name = x and fd.name contains /etc";
const CALLS: &str = "calls";
const FORMAT: &str = "%evt.num %proc.name %evt.type %fd.name";
const ASKED: [Asked; 8] = [
    asked("text", &[], Some(&[])),
    asked("JSON", &["--json"], Some(&["-j"])),
    asked("evt.type = openat", &["evt.type = openat"], Some(&["evt.type = openat"])),
    asked(BY_NAME, &[BY_NAME], Some(&[BY_NAME])),
    asked("evt.latency > 1s", &["evt.latency > 1s"], None),
    asked("four fields", &["-p", FORMAT], Some(&["-p", FORMAT])),
    asked(CALLS, &["--calls"], None),
    asked("--syscalls openat", &["--syscalls", "openat"], None),
];

impl ReadBench {
    /// Records the capture, measures all readers in turn, and returns a table in Markdown.
    ///
    /// # Errors
    /// If the capture cannot be recorded, or scapd fails on it. A peer that fails is left out, with a note.
    pub fn run(&self) -> anyhow::Result<String> {
        let capture = self.record()?;
        let (mut tasks, mut notes) = (self.tasks(), Vec::new());
        for round in 0..=self.rounds {
            eprintln!("round {round} of {}", self.rounds);
            let mut failed = Vec::new();
            for (index, task) in tasks.iter_mut().enumerate() {
                let used = measure(&task.command, &self.dir)?;
                if !used.status.success() {
                    let is_peer = task.same.is_some() && !task.has_jobs;
                    ensure!(is_peer, "{:?} failed: {}", task.command, used.status);
                    notes.push(format!("{:?} failed: {}", task.command, used.status));
                    failed.push(index);
                } else if round > 0 {
                    // The first round warms up.
                    let for_event = |time: Duration| time.as_nanos() as f64 / self.events as f64;
                    task.samples.push(for_event(used.cpu));
                    task.clock.push(for_event(used.time));
                    task.memory = task.memory.max(used.memory);
                }
            }
            for index in failed.into_iter().rev() {
                tasks.remove(index);
            }
        }
        let size = capture.metadata().map_or(0, |meta| meta.len());
        Ok(self.markdown(&tasks, size, &notes))
    }

    fn record(&self) -> anyhow::Result<PathBuf> {
        let capture = self.dir.join(NAME);
        let mut record = Command::new(&self.scapd);
        record.args(["record", "--quiet", "--syscalls", "read,write", "--write"]).arg(&capture);
        record.args(["--count", &self.events.to_string(), "--"]).arg(&self.generate);
        record.args(["read-write", "--iterations", &(self.events / 3).to_string()]);
        let status = record.stdout(Stdio::null()).status().context("cannot run scapd")?;
        ensure!(status.success(), "{record:?} failed: {status}");
        Ok(capture)
    }

    fn tasks(&self) -> Vec<Task> {
        let mut tasks: Vec<Task> = Vec::new();
        let task = |what, command: Vec<OsString>, same, has_jobs| Task {
            what,
            command,
            same,
            has_jobs,
            samples: Vec::new(),
            clock: Vec::new(),
            memory: 0,
        };
        for asked in &ASKED {
            let mut command = vec![self.scapd.clone().into(), "read".into(), NAME.into()];
            command.extend(asked.scapd.iter().map(OsString::from));
            tasks.push(task(asked.what, command, None, false));
        }
        // Calls do not divide.
        for (index, asked) in ASKED.iter().enumerate().filter(|(_, asked)| asked.what != CALLS) {
            let mut command = tasks[index].command.clone();
            command.push("-j0".into());
            tasks.push(task(asked.what, command, Some(index), true));
        }
        let words = |command: &str| command.split_whitespace().map(OsString::from).collect::<Vec<_>>();
        for (index, asked) in ASKED.iter().enumerate() {
            if let Some((sysdig, args)) = self.sysdig.as_deref().zip(asked.sysdig) {
                let mut command = words(sysdig);
                command.extend(["-r", NAME].iter().chain(args).map(OsString::from));
                tasks.push(task(asked.what, command, Some(index), false));
            }
        }
        if let Some(tshark) = &self.tshark {
            let mut command = words(tshark);
            command.extend(["-r", NAME].map(OsString::from));
            tasks.push(task("text", command, Some(0), false));
        }
        tasks
    }

    fn markdown(&self, tasks: &[Task], size: u64, notes: &[String]) -> String {
        let mut table = Table::new();
        table.load_style(ASCII_MARKDOWN);
        table.set_header([
            "reader",
            "prints",
            "million events/s of CPU",
            "quartiles",
            "scapd is faster by",
            "memory",
        ]);
        for column in table.column_iter_mut().skip(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        for task in tasks.iter().filter(|task| !task.has_jobs) {
            let Some(ns) = Quartiles::of(task.samples.iter().copied()) else { continue };
            let ratio = task.same.and_then(|same| Quartiles::of_ratios(&task.samples, &tasks[same].samples));
            table.add_row([
                name(task),
                task.what.to_owned(),
                rate(ns.median),
                format!("{} … {}", rate(ns.q3), rate(ns.q1)),
                ratio.map_or(String::new(), |ratio| digits(ratio.median)),
                bytes(task.memory),
            ]);
        }
        let machine = Machine::this();
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "{}, {}, Linux {}. A capture of {} events of read and write ({}), printed to /dev/null: medians of {} rounds in \
             which the readers take turns, after a discarded first round.",
            jiff::Timestamp::now().strftime("%Y-%m-%d"),
            machine.cpu,
            machine.kernel,
            self.events,
            bytes(size),
            self.rounds,
        );
        for note in notes {
            let _ = write!(text, " {note}.");
        }
        let cpus = thread::available_parallelism().map_or(1, |cpus| cpus.get());
        let _ =
            write!(text, "\n\n{table}\n\nWith `-j0`, on {cpus} CPUs, by the clock:\n\n{}\n", of_jobs(tasks));
        text
    }
}

/// Returns the table of what several jobs are worth.
fn of_jobs(tasks: &[Task]) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header([
        "prints",
        "one job: million events/s",
        "all jobs: million events/s",
        "faster by",
        "CPU × one job's",
        "memory",
    ]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for task in tasks.iter().filter(|task| task.has_jobs) {
        let Some(one) = task.same.and_then(|same| tasks.get(same)) else { continue };
        let median = |samples: &[f64]| Quartiles::of(samples.iter().copied()).map(|q| rate(q.median));
        let ratio = |a: &[f64], b: &[f64]| Quartiles::of_ratios(a, b).map(|q| digits(q.median));
        let cells = [
            median(&one.clock),
            median(&task.clock),
            ratio(&one.clock, &task.clock),
            ratio(&task.samples, &one.samples),
        ];
        let cells = cells.into_iter().map(Option::unwrap_or_default);
        table.add_row([task.what.to_owned()].into_iter().chain(cells).chain([bytes(task.memory)]));
    }
    table
}

/// Returns million events a second.
fn rate(ns: f64) -> String {
    digits(1000.0 / ns)
}

/// Returns the reader's name.
fn name(task: &Task) -> String {
    let is_name =
        |word: &&OsString| ["scapd", "sysdig", "tshark"].iter().any(|name| Path::new(word).ends_with(name));
    let word = task.command.iter().find(is_name).or(task.command.first());
    word.and_then(|word| Path::new(word).file_name()).unwrap_or_default().to_string_lossy().into_owned()
}

fn measure(command: &[OsString], dir: &Path) -> anyhow::Result<Used> {
    let (program, args) = command.split_first().context("no command")?;
    let out = File::options().write(true).open("/dev/null").context("cannot open /dev/null")?;
    let mut reader = Command::new(program);
    reader.args(args).current_dir(dir).stdin(Stdio::null()).stdout(out).stderr(Stdio::null());
    let begun = Instant::now();
    let child = reader.spawn().with_context(|| format!("cannot run {}", program.display()))?;
    wait(child.id(), begun).with_context(|| format!("cannot wait for {}", program.display()))
}

/// Waits for a child, and returns what it took.
fn wait(pid: u32, begun: Instant) -> io::Result<Used> {
    let (mut status, mut usage) = (0, MaybeUninit::<libc::rusage>::zeroed());
    // SAFETY: both pointers are valid for writes; a zeroed rusage is a valid one, whatever the kernel writes of it.
    let (waited, usage) = unsafe {
        let waited = libc::wait4(pid as libc::pid_t, &mut status, 0, usage.as_mut_ptr());
        (waited, usage.assume_init())
    };
    if waited < 0 {
        return Err(io::Error::last_os_error());
    }
    let time = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    Ok(Used {
        status: ExitStatus::from_raw(status),
        cpu: time(usage.ru_utime) + time(usage.ru_stime),
        time: begun.elapsed(),
        // In KiB.
        memory: (usage.ru_maxrss as u64) << 10,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bench(sysdig: Option<&str>) -> ReadBench {
        ReadBench {
            scapd: "/usr/bin/scapd".into(),
            generate: "/bin/false".into(),
            dir: "/tmp".into(),
            events: 10,
            rounds: 1,
            sysdig: sysdig.map(str::to_owned),
            tshark: None,
        }
    }

    #[test]
    fn a_peer_is_compared_with_the_task_that_is_the_same() {
        assert!(bench(None).tasks().iter().all(|task| task.same.is_none() || task.has_jobs));
        let tasks = bench(Some("reader.sh sid sysdig")).tasks();
        let peers: Vec<_> = tasks.iter().filter(|task| task.same.is_some() && !task.has_jobs).collect();
        assert!(peers.len() > 3);
        for peer in peers {
            assert_eq!(name(peer), "sysdig");
            assert!(
                tasks[peer.same.unwrap()].what == peer.what && name(&tasks[peer.same.unwrap()]) == "scapd"
            );
        }
    }

    #[test]
    fn several_jobs_are_compared_with_one() {
        let mut tasks = bench(None).tasks();
        for task in &mut tasks {
            (task.clock, task.samples) = (vec![if task.has_jobs { 250.0 } else { 500.0 }], vec![500.0]);
        }
        assert_eq!(tasks.iter().filter(|task| task.has_jobs).count(), ASKED.len() - 1);
        for task in tasks.iter().filter(|task| task.has_jobs) {
            let (last, rest) = task.command.split_last().unwrap();
            assert!(last == "-j0" && rest == tasks[task.same.unwrap()].command && task.what != CALLS);
        }
        let table = of_jobs(&tasks).to_string();
        let cells: Vec<_> = table.lines().nth(2).unwrap().split('|').map(str::trim).collect();
        assert_eq!(cells[1..6], ["text", "2.00", "4.00", "2.00", "1.00"]);
    }

    #[test]
    fn what_a_process_took_is_measured() {
        let command = ["sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"].map(OsString::from);
        let used = measure(&command, Path::new("/")).unwrap();
        assert!(used.status.success() && used.cpu > Duration::from_millis(1) && used.memory > 100 << 10);
        assert!(used.time > Duration::from_millis(1));
        assert!(!measure(&["false".into()], Path::new("/")).unwrap().status.success());
    }
}

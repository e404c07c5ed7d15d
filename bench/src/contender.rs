//! The contenders: scapd with various settings, and the programs that a user would choose instead.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::{bpftrace, generator::Generator};

/// A call that no generator makes.
const OTHER_CALL: &str = "quotactl";
/// What is kept in memory: so little that the window is full most of the time, and events leave it.
const WINDOW: &str = "60s,16M";
/// What is kept longer.
const LONGER: &str = "evt.type in (execve, connect):10m";
/// A trigger that no generator pulls.
const TRIGGER: &str = "evt.type = procexit and proc.name = postgres and evt.arg.sig != 0";
/// The rules of redaction that scapd ships.
const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/redact.toml");
/// Memory for the events of a CPU, in pages of 4 KiB: 8 MiB, scapd's default, for every configurable contender.
const BUFFER_PAGES: &str = "2048";

/// A recorder and its settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Contender {
    /// nobody records
    None,
    /// scapd, all calls of the generator's processes, enter and exit events
    Scapd,
    /// scapd, all calls of the whole machine, enter and exit events
    ScapdMachine,
    /// scapd, all calls of the generator's processes, exit events only
    ScapdExit,
    /// scapd, the calls that the generator is about, enter and exit events
    ScapdOnly,
    /// scapd, a call that nobody makes: the cost for unselected calls
    ScapdOther,
    /// scapd, all calls of the generator's processes, to /dev/null
    ScapdNull,
    /// scapd, all calls of the generator's processes, kept in memory: a full window, which nothing makes it write
    ScapdKeep,
    /// the same, with a trigger that has to know the names of processes
    ScapdTrigger,
    /// the same as scapd-keep, and some events are kept longer
    ScapdLonger,
    /// the same as scapd-keep, and the window is kept in a file, too
    ScapdOnDisk,
    /// the same as scapd-keep, in LZ4 blocks
    ScapdPacked,
    /// scapd, all calls of the generator's processes, with the rules of redaction that scapd ships
    ScapdRedact,
    /// scapd trace, all calls of the generator's processes, as lines
    ScapdTrace,
    /// strace, all calls of the generator's processes
    Strace,
    /// strace, the calls that the generator is about; the others do not stop
    StraceSeccomp,
    /// perf trace record, all calls of the generator's processes, numbers only
    Perf,
    /// perf trace, all calls of the generator's processes, as lines
    PerfTrace,
    /// bpftrace, the calls that the generator is about, with a script that prints the fields scapd records
    Bpftrace,
    /// sysdig with its modern BPF engine, all calls of the generator's processes
    Sysdig,
}

/// The recorded calls: only contenders that record the same are compared with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// No call of the generator.
    Nothing,
    /// All its calls.
    All,
    /// The calls that it is about.
    Selected,
}

/// How recorder and generator are started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// There is no recorder.
    Alone,
    /// The recorder starts the generator, and holds it until it is ready to record.
    Starts,
    /// The recorder gets the generator's process id, and the generator waits until it writes its file.
    Attaches,
}

/// The scapd to measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scapd {
    /// The program.
    pub program: PathBuf,
    /// Whether it takes `--stats-file`.
    pub has_stats_file: bool,
    /// Additional arguments for every recording.
    pub arguments: Vec<String>,
}

/// The job of a recorder.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// The scapd to measure.
    pub scapd: &'a Scapd,
    /// The generator to record.
    pub generator: Generator,
    /// An empty directory for the recorder's files.
    pub dir: &'a Path,
    /// The process id of the generator, for [`Way::Attaches`].
    pub pid: &'a str,
}

impl Job<'_> {
    /// Returns the path of the file with the events.
    pub fn capture(&self) -> String {
        self.file("capture")
    }

    /// Returns the path of scapd's statistics.
    pub fn stats(&self) -> String {
        self.file("stats.json")
    }

    /// Returns the path of bpftrace's script.
    pub fn script(&self) -> String {
        self.file("script.bt")
    }

    fn file(&self, name: &str) -> String {
        self.dir.join(name).to_string_lossy().into_owned()
    }
}

impl Contender {
    /// Returns all contenders, in the order of the report.
    pub fn all() -> &'static [Contender] {
        Contender::value_variants()
    }

    /// Returns the name for the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Returns a description.
    pub fn describe(self) -> String {
        let value = self.to_possible_value();
        value.and_then(|v| v.get_help().map(ToString::to_string)).unwrap_or_default()
    }

    /// Returns the name for tables.
    pub fn label(self) -> &'static str {
        match self {
            Contender::None => "none",
            Contender::Scapd => "scapd",
            Contender::ScapdMachine => "scapd, whole machine",
            Contender::ScapdExit => "scapd, exit only",
            Contender::ScapdOnly => "scapd, these calls",
            Contender::ScapdOther => "scapd, another call",
            Contender::ScapdNull => "scapd, to /dev/null",
            Contender::ScapdKeep => "scapd --keep",
            Contender::ScapdTrigger => "scapd --keep --trigger",
            Contender::ScapdLonger => "scapd --keep-longer",
            Contender::ScapdOnDisk => "scapd --keep-on-disk",
            Contender::ScapdPacked => "scapd --keep-packed",
            Contender::ScapdRedact => "scapd --redact",
            Contender::ScapdTrace => "scapd trace",
            Contender::Strace => "strace -f",
            Contender::StraceSeccomp => "strace --seccomp-bpf",
            Contender::Perf => "perf trace record",
            Contender::PerfTrace => "perf trace",
            Contender::Bpftrace => "bpftrace",
            Contender::Sysdig => "sysdig",
        }
    }

    /// Returns which calls it records.
    pub fn scope(self) -> Scope {
        match self {
            Contender::None | Contender::ScapdOther => Scope::Nothing,
            Contender::ScapdOnly | Contender::StraceSeccomp | Contender::Bpftrace => Scope::Selected,
            _ => Scope::All,
        }
    }

    /// Returns whether it runs only if it is named: it is compared with other settings of scapd, and not with peers.
    pub fn is_on_request(self) -> bool {
        self == Contender::ScapdRedact || self != Contender::None && !self.leaves_file()
    }

    /// Returns whether the events are in a file at the end.
    pub fn leaves_file(self) -> bool {
        let in_memory = [
            Contender::ScapdKeep,
            Contender::ScapdTrigger,
            Contender::ScapdLonger,
            Contender::ScapdOnDisk,
            Contender::ScapdPacked,
        ];
        ![Contender::None, Contender::ScapdNull].contains(&self) && !in_memory.contains(&self)
    }

    /// Returns whether it is scapd.
    pub fn is_scapd(self) -> bool {
        self.program() == Some("scapd")
    }

    /// Returns its program.
    pub fn program(self) -> Option<&'static str> {
        match self {
            Contender::None => None,
            Contender::Strace | Contender::StraceSeccomp => Some("strace"),
            Contender::Perf | Contender::PerfTrace => Some("perf"),
            Contender::Bpftrace => Some("bpftrace"),
            Contender::Sysdig => Some("sysdig"),
            _ => Some("scapd"),
        }
    }

    /// Returns whether it needs the kernel's list of tracepoints.
    pub fn needs_tracefs(self) -> bool {
        matches!(self, Contender::Perf | Contender::PerfTrace | Contender::Bpftrace)
    }

    /// Returns how recorder and generator are started.
    pub fn way(self) -> Way {
        match self {
            Contender::None => Way::Alone,
            Contender::Sysdig => Way::Attaches,
            _ => Way::Starts,
        }
    }

    /// Returns whether it runs on the generator's CPU: strace and its tracee wait for each other, so one of two CPUs
    /// would always sleep, and waking it takes longer than tracing a call.
    pub fn shares_cpu(self) -> bool {
        matches!(self, Contender::Strace | Contender::StraceSeccomp)
    }

    /// Returns the iterations of the first run: a tenth of the generator's for a slow recorder.
    pub fn first_iterations(self, generator: Generator) -> u64 {
        let first = generator.first_iterations();
        if self.shares_cpu() { first.div_ceil(10) } else { first }
    }

    /// Returns additions to the recorder's environment.
    pub fn environment(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Contender::Bpftrace => &[("BPFTRACE_PERF_RB_PAGES", BUFFER_PAGES)],
            _ => &[],
        }
    }

    /// Returns the recorder's command line, without the generator's, which [`Contender::join`] adds.
    pub fn command(self, job: &Job<'_>) -> Vec<OsString> {
        let calls = job.generator.calls().join(",");
        let capture = job.capture();
        let text = |arguments: &[&str]| arguments.iter().map(OsString::from).collect::<Vec<_>>();
        match self {
            Contender::None => Vec::new(),
            Contender::Scapd => scapd(job, &[]),
            Contender::ScapdMachine => scapd(job, &["-a"]),
            Contender::ScapdExit => scapd(job, &["--events", "exit"]),
            Contender::ScapdOnly => scapd(job, &["--only", "--syscalls", &calls]),
            Contender::ScapdOther => scapd(job, &["--only", "--syscalls", OTHER_CALL]),
            Contender::ScapdNull => scapd(job, &["-w", "/dev/null"]),
            Contender::ScapdKeep => scapd(job, &["--keep", WINDOW]),
            Contender::ScapdTrigger => scapd(job, &["--keep", WINDOW, "--trigger", TRIGGER]),
            Contender::ScapdLonger => scapd(job, &["--keep", WINDOW, "--keep-longer", LONGER]),
            Contender::ScapdOnDisk => scapd(job, &["--keep", WINDOW, "--keep-on-disk"]),
            Contender::ScapdPacked => scapd(job, &["--keep", WINDOW, "--keep-packed"]),
            Contender::ScapdRedact => scapd(job, &["--redact", RULES]),
            Contender::ScapdTrace => {
                let mut command: Vec<OsString> = vec![job.scapd.program.clone().into()];
                command.extend(text(&["trace", "-o", &capture, "--"]));
                command
            }
            Contender::Strace => text(&["strace", "-f", "-ttt", "-s", "80", "-o", &capture, "--"]),
            Contender::StraceSeccomp => {
                let trace = format!("trace={calls}");
                let fixed =
                    ["strace", "-f", "-ttt", "-s", "80", "--seccomp-bpf", "-e", &trace, "-o", &capture];
                text(&[&fixed[..], &["--"]].concat())
            }
            // -B: no list of build ids, as collecting it would read the whole file again.
            Contender::Perf => {
                text(&["perf", "trace", "record", "-B", "-N", "-m", BUFFER_PAGES, "-o", &capture, "--"])
            }
            Contender::PerfTrace => text(&["perf", "trace", "-m", BUFFER_PAGES, "-o", &capture, "--"]),
            Contender::Bpftrace => text(&["bpftrace", "-q", "-o", &capture, &job.script(), "-c"]),
            Contender::Sysdig => {
                let filter = format!("proc.pid={0} or proc.apid={0}", job.pid);
                text(&["sysdig", "--modern-bpf", "-w", &capture, &filter])
            }
        }
    }

    /// Adds the command of the generator to the recorder's.
    pub fn join(self, mut recorder: Vec<OsString>, generator: Vec<OsString>) -> Vec<OsString> {
        match self {
            // bpftrace takes one argument, and splits it at spaces.
            Contender::Bpftrace => recorder.push(generator.join(" ".as_ref())),
            _ => recorder.extend(generator),
        }
        recorder
    }

    /// Writes the files that the recorder reads.
    ///
    /// # Errors
    /// If one cannot be written.
    pub fn write_files(self, job: &Job<'_>) -> std::io::Result<()> {
        match self {
            Contender::Bpftrace => std::fs::write(job.script(), bpftrace::script(job.generator.calls())),
            _ => Ok(()),
        }
    }

    /// Returns the command line for the report.
    pub fn example(self, generator: Generator, scapd: &Scapd) -> String {
        if self == Contender::None {
            return "GENERATOR".to_owned();
        }
        let scapd = Scapd { program: "scapd".into(), ..scapd.clone() };
        let job = Job { scapd: &scapd, generator, dir: Path::new(""), pid: "PID" };
        let mut words = self.command(&job);
        if self.way() == Way::Starts {
            words.push("GENERATOR".into());
        }
        let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
        words.join(" ")
    }
}

fn scapd(job: &Job<'_>, settings: &[&str]) -> Vec<OsString> {
    let mut command: Vec<OsString> = vec![job.scapd.program.clone().into()];
    command.extend(["record", "-q"].map(OsString::from));
    if !settings.contains(&"-w") {
        command.extend(["-w", &job.capture()].map(OsString::from));
    }
    if job.scapd.has_stats_file {
        command.extend(["--stats-file", &job.stats()].map(OsString::from));
    }
    command.extend(settings.iter().map(OsString::from));
    command.extend(job.scapd.arguments.iter().map(OsString::from));
    command.push("--".into());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_scapd(has_stats_file: bool, arguments: &[&str]) -> Scapd {
        let arguments = arguments.iter().map(ToString::to_string).collect();
        Scapd { program: "/b/scapd".into(), has_stats_file, arguments }
    }

    #[test]
    fn each_contender_has_a_name_and_a_command() {
        for contender in Contender::all() {
            assert!(!contender.describe().is_empty(), "{contender:?}");
            let example = contender.example(Generator::ReadWrite, &a_scapd(true, &[]));
            let program = contender.program().unwrap_or("GENERATOR");
            assert_eq!(example.split(' ').next(), Some(program), "{example}");
            let selects = example.contains("read,write") || *contender == Contender::Bpftrace;
            assert_eq!(contender.scope() == Scope::Selected, selects, "{example}");
        }
    }

    #[test]
    fn a_generator_is_one_argument_of_bpftrace() {
        let command = Contender::Bpftrace.join(vec!["bpftrace".into()], vec!["true".into(), "1".into()]);
        assert_eq!(command, ["bpftrace", "true 1"]);
        let command = Contender::Strace.join(vec!["strace".into()], vec!["true".into(), "1".into()]);
        assert_eq!(command, ["strace", "true", "1"]);
    }

    #[test]
    fn an_older_scapd_is_not_asked_for_a_stats_file() {
        let example = |scapd| Contender::Scapd.example(Generator::Access, &scapd);
        assert_eq!(example(a_scapd(false, &["-z"])), "scapd record -q -w capture -z -- GENERATOR");
        assert!(example(a_scapd(true, &[])).contains("--stats-file stats.json"));
    }
}

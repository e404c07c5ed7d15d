//! The benchmark's command line and its commands.

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, ensure};
use clap::{Args, Parser, Subcommand};

use crate::{
    contender::{Contender, Scapd},
    cpu,
    generator::Generator,
    machine::{self, Machine},
    merge, peers,
    read::ReadBench,
    report::{self, Report, Settings},
    run::Bench,
    schedule::{self, Rounds},
};

/// The generators of a quick run: a call with a path, calls with data, and processes.
const QUICK: [Generator; 3] = [Generator::Access, Generator::ReadWrite, Generator::ForkExec];
/// The document with the results; its plot is in the same directory.
const DOCUMENT: &str = "RESULTS.md";
const PLOT: &str = "plot.svg";

/// Measure the cost of recording with scapd and with its peers
#[derive(Debug, Parser)]
#[command(name = "scapd-bench", max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the contenders over the generators, in turn (as root)
    Run(Box<RunArgs>),
    /// Measure the merge over 2 to 512 rings
    Merge(MergeArgs),
    /// Measure how fast captures are read, next to sysdig and tshark (as root)
    Read(ReadArgs),
    /// Make the tables and the plot again from a .json file
    Render(RenderArgs),
    /// List contenders and generators
    List,
}

#[derive(Debug, Args)]
struct RunArgs {
    /// Run about a minute: fewer generators, fewer rounds, less time
    #[arg(long)]
    quick: bool,
    /// Run only these generators
    #[arg(long, value_name = "LIST", value_enum, value_delimiter = ',')]
    generators: Vec<Generator>,
    /// Run only these contenders, and `none`
    #[arg(long, value_name = "LIST", value_enum, value_delimiter = ',')]
    contenders: Vec<Contender>,
    /// Measured rounds [default: 5, quick: 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// Duration of the measured loop of a run, in ms [default: 300, quick: 100]
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    time: Option<u64>,
    /// The CPU of the generator and all its processes [default: the last one]
    #[arg(long, value_name = "CPU")]
    generator_cpu: Option<usize>,
    /// The CPUs of the recorder [default: the last one but the generator's]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    recorder_cpus: Vec<usize>,
    /// The directory for the recorders' temporary files [default: the system's]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The scapd program [default: the one beside this program]
    #[arg(long, value_name = "FILE")]
    scapd: Option<PathBuf>,
    /// Additional arguments for every recording of scapd, such as --scapd-args='-z --attach btf'
    #[arg(long, value_name = "ARGS", default_value = "", hide_default_value = true)]
    scapd_args: String,
    /// The directory for tables, plot and numbers
    #[arg(long, value_name = "DIR", default_value = "bench/results")]
    results: PathBuf,
    #[command(flatten)]
    document: DocumentArgs,
}

#[derive(Debug, Args)]
struct MergeArgs {
    /// Measured rounds
    #[arg(long, value_name = "N", default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// The minimum number of events in a round
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=50_000_000))]
    events: u64,
    #[command(flatten)]
    document: DocumentArgs,
}

#[derive(Debug, Args)]
struct ReadArgs {
    /// Measured rounds
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// The number of events in the capture
    #[arg(long, value_name = "N", default_value_t = 2_000_000, value_parser = clap::value_parser!(u64).range(1000..=100_000_000))]
    events: u64,
    /// The command that runs sysdig
    #[arg(long, value_name = "COMMAND")]
    sysdig: Option<String>,
    /// The command that runs tshark
    #[arg(long, value_name = "COMMAND")]
    tshark: Option<String>,
    /// The directory for the capture [default: the system's for temporary files]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The scapd program [default: the one beside this program]
    #[arg(long, value_name = "FILE")]
    scapd: Option<PathBuf>,
    #[command(flatten)]
    document: DocumentArgs,
}

#[derive(Debug, Args)]
struct RenderArgs {
    /// The numbers of a run
    file: PathBuf,
    #[command(flatten)]
    document: DocumentArgs,
}

#[derive(Debug, Args)]
struct DocumentArgs {
    /// Replace the tables in RESULTS.md
    #[arg(long)]
    write_results: bool,
    /// The directory of RESULTS.md and its plot
    #[arg(long, value_name = "DIR", default_value = "bench")]
    document: PathBuf,
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// If scapd is missing, nothing can be measured, or results cannot be written. A contender that fails is noted in
    /// the results.
    pub fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Run(arguments) => run(&arguments),
            Command::Merge(arguments) => {
                let text = merge::run(arguments.rounds as usize, arguments.events)?;
                print!("{text}");
                arguments.document.write("merge", &text)
            }
            Command::Read(arguments) => {
                let text = read(&arguments)?;
                print!("{text}");
                arguments.document.write("read", &text)
            }
            Command::Render(arguments) => {
                let file = arguments.file.display();
                let text =
                    fs::read_to_string(&arguments.file).with_context(|| format!("cannot read {file}"))?;
                let report = serde_json::from_str(&text)
                    .with_context(|| format!("{file} does not hold results of this benchmark"))?;
                write(&report, &arguments.file, &arguments.document)
            }
            Command::List => {
                for contender in Contender::all() {
                    println!("{:15} {}", contender.name(), contender.describe());
                }
                println!();
                for generator in Generator::all() {
                    println!("{:15} {}", generator.name(), generator.describe());
                }
                Ok(())
            }
        }
    }
}

fn run(arguments: &RunArgs) -> anyhow::Result<()> {
    ensure!(rustix::process::geteuid().is_root(), "recording needs root: use make bench, or sudo");
    // Counts the allowed CPUs, so it runs before we restrict them.
    let machine = Machine::this();
    let bench = bench(arguments)?;
    let rounds = Rounds {
        rounds: arguments.rounds.unwrap_or(if arguments.quick { 3 } else { 5 }) as usize,
        time: Duration::from_millis(arguments.time.unwrap_or(if arguments.quick { 100 } else { 300 })),
    };
    let available = peers::look(&contenders(arguments), &generators(arguments), &bench)?;
    ensure!(!available.generators.is_empty(), "no generator can run: {}", available.notes.join("; "));
    let mut notes = available.notes;
    for note in &notes {
        eprintln!("{note}");
    }
    let generators = available
        .generators
        .iter()
        .map(|generator| schedule::run(&bench, *generator, &available.contenders, rounds, &mut notes))
        .collect();
    let report = Report {
        date: jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string(),
        command: command_line(),
        machine,
        settings: Settings {
            rounds: rounds.rounds,
            time_ms: rounds.time.as_millis() as u64,
            generator_cpu: bench.generator_cpu,
            recorder_cpus: bench.recorder_cpus,
            file_system: machine::file_system(&bench.dir),
        },
        versions: available.versions,
        notes,
        generators,
    };
    let name = jiff::Timestamp::now().strftime("%Y-%m-%dT%H%M%S").to_string();
    let results = &arguments.results;
    fs::create_dir_all(results).with_context(|| format!("cannot create {}", results.display()))?;
    let numbers = results.join(name).with_extension("json");
    fs::write(&numbers, serde_json::to_string_pretty(&report)?)
        .with_context(|| format!("cannot write {}", numbers.display()))?;
    write(&report, &numbers, &arguments.document)
}

/// Writes the tables and the plot beside the numbers, and with `--write-results` also to the document.
fn write(report: &Report, numbers: &Path, document: &DocumentArgs) -> anyhow::Result<()> {
    let (table, plot) = (numbers.with_extension("md"), numbers.with_extension("svg"));
    let has_plot = report::plot(report, &plot)?;
    let plot_name = plot.file_name().unwrap_or_default().to_string_lossy();
    let text = report::markdown(report, has_plot.then_some(&plot_name));
    fs::write(&table, &text).with_context(|| format!("cannot write {}", table.display()))?;
    print!("{text}");
    eprintln!("written to {}, with .svg and .json beside it", table.display());
    if document.write_results {
        report::plot(report, &document.document.join(PLOT))?;
    }
    document.write("bench", &report::markdown(report, has_plot.then_some(PLOT)))
}

impl DocumentArgs {
    fn write(&self, section: &str, text: &str) -> anyhow::Result<()> {
        if !self.write_results {
            return Ok(());
        }
        report::replace(&self.document.join(DOCUMENT), section, text)
    }
}

fn generators(arguments: &RunArgs) -> Vec<Generator> {
    match &arguments.generators[..] {
        [] if arguments.quick => QUICK.to_vec(),
        [] => Generator::all().to_vec(),
        named => Generator::all().iter().copied().filter(|generator| named.contains(generator)).collect(),
    }
}

fn contenders(arguments: &RunArgs) -> Vec<Contender> {
    let named = &arguments.contenders;
    let wanted = |contender: &Contender| {
        *contender == Contender::None
            || if named.is_empty() { !contender.is_on_request() } else { named.contains(contender) }
    };
    Contender::all().iter().copied().filter(wanted).collect()
}

fn read(arguments: &ReadArgs) -> anyhow::Result<String> {
    ensure!(rustix::process::geteuid().is_root(), "recording needs root: use make bench-read, or sudo");
    // The directory is removed at the end.
    let dir = match &arguments.dir {
        Some(dir) => tempfile::tempdir_in(dir),
        None => tempfile::tempdir(),
    };
    let dir = dir.context("cannot make a directory for the capture")?;
    let bench = ReadBench {
        scapd: program(arguments.scapd.as_deref())?,
        generate: beside("scapd-generate")?,
        dir: dir.path().canonicalize()?,
        events: arguments.events,
        rounds: arguments.rounds as usize,
        sysdig: arguments.sysdig.clone(),
        tshark: arguments.tshark.clone(),
    };
    bench.run()
}

/// Returns the path of a program beside this one.
fn beside(name: &str) -> anyhow::Result<PathBuf> {
    Ok(env::current_exe().context("cannot find the path of this program")?.with_file_name(name))
}

/// Returns the path of scapd; by default, it is beside this program.
fn program(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    let Some(scapd) = named else { return beside("scapd") };
    scapd.canonicalize().with_context(|| format!("cannot find {}", scapd.display()))
}

fn bench(arguments: &RunArgs) -> anyhow::Result<Bench> {
    let cpus = cpu::allowed()?;
    let last = *cpus.last().context("no CPU is available")?;
    let generator_cpu = arguments.generator_cpu.unwrap_or(last);
    let recorder_cpus = match &arguments.recorder_cpus[..] {
        [] => vec![cpus.iter().copied().rfind(|cpu| *cpu != generator_cpu).unwrap_or(generator_cpu)],
        named => named.to_vec(),
    };
    for cpu in recorder_cpus.iter().chain([&generator_cpu]) {
        ensure!(cpus.contains(cpu), "CPU {cpu} is not available to this process");
    }
    // Our own work must not run on the generator's CPU.
    cpu::pin(&recorder_cpus).context("cannot set the CPUs of this process")?;
    let program = program(arguments.scapd.as_deref())?;
    let dir = arguments.dir.clone().unwrap_or_else(env::temp_dir);
    Ok(Bench {
        scapd: Scapd {
            has_stats_file: peers::has_stats_file(&program)?,
            arguments: arguments.scapd_args.split_whitespace().map(str::to_owned).collect(),
            program,
        },
        generate: beside("scapd-generate")?,
        generator_cpu,
        recorder_cpus,
        dir: dir.canonicalize().with_context(|| format!("cannot find {}", dir.display()))?,
    })
}

/// The command line, with the program's name instead of its path.
fn command_line() -> String {
    let arguments = env::args().skip(1);
    ["scapd-bench".to_owned()].into_iter().chain(arguments).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn arguments(words: &[&str]) -> RunArgs {
        let words = ["scapd-bench", "run"].iter().chain(words);
        match Cli::parse_from(words).command {
            Command::Run(arguments) => *arguments,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
        crate::generator::Arguments::command().debug_assert();
    }

    #[test]
    fn what_is_named_is_what_runs() {
        let all = arguments(&[]);
        assert_eq!(generators(&all), Generator::all());
        let usual: Vec<_> = Contender::all().iter().copied().filter(|of| !of.is_on_request()).collect();
        assert_eq!(contenders(&all), usual);
        assert!(usual.len() < Contender::all().len());
        assert_eq!(generators(&arguments(&["--quick"])), QUICK);
        let some = arguments(&["--quick", "--generators", "mix,access", "--contenders", "strace,scapd"]);
        assert_eq!(generators(&some), [Generator::Access, Generator::Mix]);
        assert_eq!(contenders(&some), [Contender::None, Contender::Scapd, Contender::Strace]);
    }
}

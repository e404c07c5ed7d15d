//! The command `scapd`: parse, run, map the outcome to an exit code.

use std::{
    io::{self, BufWriter, IsTerminal, Write},
    path::Path,
    process::ExitCode,
    sync::{Arc, atomic::AtomicUsize},
};

use anyhow::Context;
use clap::Parser;
use scapd::{
    bench, check,
    cli::{self, Cli, Command, Generated, Listed, Measured, RecordArgs, Source, TraceArgs},
    daemon::{self, config::Wanted, control},
    escape, exit, export, flight, generate, list, merge,
    output::{OutputError, Target},
    print, read, record, repair, report, ship, signals, trace, verify,
};
use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};

/// Whether stdout was open when the process started. Before `main`, std opens /dev/null in place of a closed stdout,
/// and output would vanish.
#[ctor::ctor(unsafe)]
static STDOUT_IS_OPEN: bool = {
    // SAFETY: reads the flags of a descriptor and touches no memory.
    unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) != -1 }
};

/// A closed stdout: every write fails.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::Error::other("stdout is closed"))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn main() -> ExitCode {
    give_back_buffers();
    let cli = Cli::parse();
    log(cli.verbose, matches!(cli.command, Command::Daemon(_)));
    match run(cli) {
        Ok(code) => code,
        Err(error) if exit::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error);
            exit::code(&error)
        }
    }
}

/// Makes glibc return freed buffers to the kernel at once. By default it raises the mmap threshold as large blocks are
/// freed and keeps later ones, so a service would never shrink after a peak.
fn give_back_buffers() {
    #[cfg(target_env = "gnu")]
    // SAFETY: sets an allocator threshold and touches no memory of ours. No other thread runs yet.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 512 << 10);
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let stdout: Box<dyn Write> =
        if *STDOUT_IS_OPEN { Box::new(io::stdout().lock()) } else { Box::new(Closed) };
    let mut out = BufWriter::new(stdout);
    match cli.command {
        Command::Record(args) => return record(*args, out),
        // Another thread writes the lines.
        Command::Trace(args) => {
            drop(out);
            return trace(*args);
        }
        Command::Daemon(args) => {
            let ended = daemon::run(&args.into(), cli::keys(), &mut out)?;
            out.flush()?;
            return Ok(exit::of_service(ended));
        }
        Command::Ctl(args) => control::ctl(&args.socket, &args.request.into(), args.json, &mut out)?,
        Command::Read(args) => match args.shown_format() {
            Some(format) => writeln!(out, "{format}")?,
            None => {
                let mut args = args.resolve().unwrap_or_else(|mistake| mistake.exit());
                if let Some(stop) = &args.follow {
                    signals::set(stop).context("cannot install the signal handlers")?;
                }
                slice_safely(&mut args)?;
                read::read(&args, &mut out).map_err(read::cause)?;
            }
        },
        Command::Top(args) => return summarize(args.resolve(), out),
        Command::Slow(args) => return summarize(args.resolve(), out),
        Command::Errors(args) => return summarize(args.errors(), out),
        Command::Files(args) => return summarize(args.files(), out),
        Command::Net(args) => return summarize(args.net(), out),
        Command::Tree(args) => return summarize(args.resolve(), out),
        Command::State(args) => {
            let args = args.resolve().unwrap_or_else(|mistake| mistake.exit());
            read::read(&args, &mut out).map_err(read::cause)?;
        }
        Command::Diff(args) => {
            let (form, runs) = args.resolve().unwrap_or_else(|mistake| mistake.exit());
            for (args, _) in &runs {
                read::read(args, &mut io::sink()).map_err(read::cause)?;
            }
            let [(_, before), (_, after)] = &runs;
            form.write(before, after, &mut out)?;
        }
        Command::Export(args) => {
            let mut args = args.resolve().unwrap_or_else(|mistake| mistake.exit());
            args.reading.signal = Some(signals_of(&args.target)?);
            export::export(args, &mut out)?;
        }
        Command::Report(args) => {
            let mut args = args.resolve().unwrap_or_else(|mistake| mistake.exit());
            args.signal = Some(signals_of(&args.target)?);
            report::report(args)?;
        }
        Command::Ship(args) => {
            let mut args = match args.resolve(&cli::keys()) {
                Ok(args) => args?,
                Err(mistake) => mistake.exit(),
            };
            args.signal = signals::note().context("cannot install the signal handlers")?;
            let report = ship::ship(&args, &mut out)?;
            out.flush()?;
            return Ok(if report.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Merge(args) => {
            let mut args = merge::MergeArgs::from(args);
            args.signal = Some(signals_of(&args.target)?);
            merge::merge(&args)?;
        }
        Command::Info(args) => print::info(&args.into(), &mut out)?,
        Command::List(args) => match args.what {
            Listed::Syscalls => list::syscalls(&mut out, args.json)?,
            Listed::Events => list::events(&mut out, args.json)?,
            Listed::Fields => list::fields(&mut out, args.json, list::terminal_width())?,
            Listed::Coverage => list::coverage(&mut out, args.json)?,
        },
        Command::Bench(args) => match args.what {
            Measured::Kernel(args) => bench::kernel(&args.into(), &mut out)?,
        },
        Command::Generate(args) => match args.what {
            Generated::Man => generate::man(&args.dir)?,
            Generated::Completions => generate::completions(&args.dir)?,
        },
        Command::Verify(args) => {
            let mut worst = verify::VerifyOutcome::Complete;
            for file in &args.files {
                worst = worst.max(verify::verify(file, args.json, &mut out)?);
            }
            out.flush()?;
            return Ok(exit::of_capture(worst));
        }
        Command::Repair(args) => {
            let file = args.file.clone();
            let place = args.into();
            match flight::repair(&file, &place)? {
                Some(saved) => saved.write(&file, &mut out)?,
                None => repair::repair(&file, &place)?.write(&file, &mut out)?,
            }
        }
        Command::Check(args) => {
            let usable = check::run(args.attach(), cli.verbose > 0, &mut out)?;
            out.flush()?;
            return Ok(if usable { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// Prepares for a slice: a signal leaves no half of it. The writer of a pipe gets the same ^C and ends the pipe, which ends
/// the slice well.
fn slice_safely(args: &mut read::ReadArgs) -> anyhow::Result<()> {
    let Some(to) = &args.slice else { return Ok(()) };
    let number = signals_of(&to.target)?;
    let is_pipe = args.files.iter().any(|file| file.as_os_str() == "-");
    args.signal = (!is_pipe).then_some(number);
    Ok(())
}

/// Returns where the number of a signal goes while a capture is written there.
fn signals_of(target: &Target) -> anyhow::Result<Arc<AtomicUsize>> {
    if !*STDOUT_IS_OPEN && *target == Target::Stdout {
        return Err(OutputError::Closed.into());
    }
    signals::note().context("cannot install the signal handlers")
}

fn record(mut args: RecordArgs, mut out: impl Write) -> anyhow::Result<ExitCode> {
    args.resolve().unwrap_or_else(|mistake| mistake.exit());
    if let Some(as_json) = args.explains() {
        record::explain(&Wanted::from(args).recording, as_json, &mut out)?;
        out.flush()?;
        return Ok(ExitCode::SUCCESS);
    }
    drop(out);
    let Wanted { recording: mut config, serving } = args.into();
    let to_stdout = ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"].map(Path::new);
    if !*STDOUT_IS_OPEN && config.write.as_deref().is_some_and(|path| to_stdout.contains(&path)) {
        return Err(OutputError::Closed.into());
    }
    let (handle, requests) = record::requests();
    config.command_ignores =
        signals::stop_foreground(&handle).context("cannot install the signal handlers")?;
    let (mut observer, _socket) = daemon::attend(&serving, config.confine, &handle)?;
    let outcome = record::run(&config, requests, observer.as_mut())?;
    if !config.quiet {
        eprint!("{}", outcome.summary);
    }
    // Each failure is reported; the command's decides the exit code.
    let stats = outcome.stats.map_err(anyhow::Error::from).inspect_err(say);
    if let Some(failure) = outcome.failure {
        return Err(failure);
    }
    if config.fail_on_loss && !outcome.summary.verdict.is_complete() {
        eprintln!("scapd: {}", outcome.summary.balance());
        return Ok(ExitCode::from(exit::LOST));
    }
    match (outcome.command, stats) {
        (Some(status), _) if !status.success() => Ok(exit::of_command(status)),
        (_, Err(error)) => Ok(exit::code(&error)),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn trace(args: TraceArgs) -> anyhow::Result<ExitCode> {
    show_live(args.resolve().unwrap_or_else(|mistake| mistake.exit()))
}

/// Summarizes captures, or what happens now.
fn summarize(source: Result<Source, clap::Error>, mut out: impl Write) -> anyhow::Result<ExitCode> {
    match source.unwrap_or_else(|mistake| mistake.exit()) {
        Source::Read(args) => {
            if let Some(stop) = &args.follow {
                signals::set(stop).context("cannot install the signal handlers")?;
            }
            read::read(&args, &mut out).map_err(read::cause)?;
            out.flush()?;
            Ok(ExitCode::SUCCESS)
        }
        Source::Live(args) => {
            // Another thread writes.
            drop(out);
            show_live(*args)
        }
    }
}

fn show_live(mut args: trace::TraceArgs) -> anyhow::Result<ExitCode> {
    let (handle, requests) = record::requests();
    args.recording.command_ignores =
        signals::stop_foreground(&handle).context("cannot install the signal handlers")?;
    let outcome = trace::run(args, &handle, requests)?;
    if !outcome.summary.verdict.is_complete() {
        eprintln!("scapd: {}", outcome.summary.balance());
    }
    match (outcome.failure, outcome.command) {
        (Some(failure), _) => Err(failure),
        (None, Some(status)) if !status.success() => Ok(exit::of_command(status)),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Prints an error line by line, with control characters escaped: file names may contain terminal escapes.
fn say(error: &anyhow::Error) {
    let message = format!("scapd: {error:#}");
    // The journal's prefix for a line of priority "error": sd-daemon(3).
    let level = if stderr_is_journal() { "<3>" } else { "" };
    message.lines().for_each(|line| eprintln!("{level}{}", escape::for_terminal(line)));
}

fn log(verbose: u8, service: bool) {
    let default = match verbose {
        0 if service => "scapd=info,warn",
        0 => "warn",
        1 => "scapd=debug",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_env("SCAPD_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let registry = tracing_subscriber::registry().with(filter);
    // The native journal protocol keeps levels and fields.
    if service
        && stderr_is_journal()
        && let Ok(journal) = tracing_journald::layer()
    {
        return registry.with(journal).init();
    }
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .without_time()
        .with_target(false);
    registry.with(lines).init();
}

fn stderr_is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    rustix::fs::fstat(io::stderr()).is_ok_and(|file| stream == format!("{}:{}", file.st_dev, file.st_ino))
}

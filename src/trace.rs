//! Shows what is being recorded, without a file: the command `scapd trace`.
//!
//! The recording writes its capture to a pipe, and another thread reads it as [`read`] does. So the lines are those
//! that `scapd read` would show of a capture, and losses are counted as for one.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    os::fd::AsRawFd,
    path::PathBuf,
    thread,
};

use anyhow::Context;
use rustix::pipe::{PipeFlags, pipe_with};

use crate::{
    print::PrintError,
    read::{self, ReadArgs},
    record::{self, Config, Handle, Observer, RecordOutcome, Requests},
};

/// The arguments of [`run`].
#[derive(Debug)]
pub struct TraceArgs {
    /// What is recorded; [`Config::write`] is set here.
    pub recording: Config,
    /// How it is shown; no files.
    pub showing: ReadArgs,
    /// Write to this file; `None` for stderr beside a command, whose own output goes to stdout, and for stdout otherwise.
    pub output: Option<PathBuf>,
}

/// Records, and shows the events, until the command or the processes end, enough is shown, or a stop is requested.
///
/// # Errors
/// As for [`record::run`]; [`PrintError::Write`] if the output cannot be written.
pub fn run(mut args: TraceArgs, handle: &Handle, requests: Requests) -> anyhow::Result<RecordOutcome> {
    let out = output(&args)?;
    let (events, capture) = pipe_with(PipeFlags::CLOEXEC).context("cannot make a pipe")?;
    args.recording.write = Some(format!("/proc/self/fd/{}", capture.as_raw_fd()).into());
    let (showing, stop) = (args.showing, handle.clone());
    let show = thread::Builder::new().name("scapd-trace".to_owned());
    let show = show.spawn(move || show_events(File::from(events), &showing, out, &stop));
    let show = show.context("cannot start a thread")?;
    // The command lives only as long as the thread that started it: see `HeldCommand`.
    let outcome = record::run(&args.recording, requests, &mut () as &mut dyn Observer);
    drop(capture);
    let shown = show.join().map_err(|_| anyhow::anyhow!("the thread that shows the events has panicked"))?;
    let outcome = outcome?;
    shown?;
    Ok(outcome)
}

fn output(args: &TraceArgs) -> anyhow::Result<Box<dyn Write + Send>> {
    Ok(match &args.output {
        Some(path) => {
            let created = File::create(path);
            Box::new(created.with_context(|| format!("cannot create {}", crate::escape::shown(path)))?)
        }
        None if args.recording.command.is_empty() => Box::new(io::stdout()),
        None => Box::new(io::stderr()),
    })
}

/// Shows the events of a capture, then ends the recording and reads what it still writes.
fn show_events(
    mut events: File,
    args: &ReadArgs,
    out: Box<dyn Write + Send>,
    recording: &Handle,
) -> Result<(), PrintError> {
    let mut out = BufWriter::with_capacity(64 << 10, out);
    let input = events.try_clone().map_err(PrintError::Write)?;
    let shown = read::read_live(input, args, &mut out);
    let flushed = out.flush().map_err(PrintError::Write);
    recording.stop();
    let _ = io::copy(&mut events, &mut io::sink());
    match shown.and(flushed) {
        // Nobody reads the lines any more; or the recording has failed, and says why.
        Err(PrintError::Write(e)) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(PrintError::Read { .. }) => Ok(()),
        result => result,
    }
}

//! Exit codes: one per kind of failure, so that scripts can tell them apart.

use std::{
    io,
    os::unix::process::ExitStatusExt,
    process::{ExitCode, ExitStatus},
};

use crate::{
    daemon::{Ended, config::Mistakes},
    export::ExportError,
    flight::OnDiskError,
    merge,
    output::{OutputError, PatternError},
    print::PrintError,
    probe::ProbeError,
    read,
    record::{CommandError, StatsError},
    repair::RepairError,
    verify::{VerifyError, VerifyOutcome},
};
use scap::format::ReadError;

/// Any failure without a code of its own.
pub const FAILURE: u8 = 1;
/// The command line (clap's own code) or the configuration is wrong.
pub const USAGE: u8 = 2;
/// Not allowed to load BPF programs.
pub const NOT_PERMITTED: u8 = 3;
/// The kernel is too old, has no BTF, or lacks something that every capture needs.
pub const UNSUPPORTED: u8 = 4;
/// The output cannot be written.
pub const OUTPUT: u8 = 5;
/// The input is not a capture, or is damaged or truncated.
pub const INPUT: u8 = 6;

/// The command exists, but the kernel refuses to execute it.
pub const COMMAND_REFUSED: u8 = 126;
/// The command does not exist.
pub const COMMAND_NOT_FOUND: u8 = 127;

/// `verify` found lost events, or a recording with `--on-loss fail` lost some.
pub const LOST: u8 = 7;

/// `verify` found no ledger.
pub const NO_LEDGER: u8 = 8;

/// Each code and its meaning, for the man pages and the README. Text in backticks is a command or a file.
pub const MEANINGS: &[(u8, &str)] = &[
    (0, "success; when recording a command, the command's exit status"),
    (FAILURE, "any other failure"),
    (USAGE, "the command line or the service's configuration is wrong (see `scapd daemon --check`)"),
    (NOT_PERMITTED, "not allowed to load BPF programs"),
    (UNSUPPORTED, "the kernel is too old, has no BTF, or lacks something that every capture needs"),
    (
        OUTPUT,
        "the output cannot be written, was removed during the recording, or is in use by another recorder (what was \
         written is intact, in `FILE.partial`)",
    ),
    (
        INPUT,
        "the input is not a capture or is truncated (the events before that were printed; `scapd repair` repairs it), \
         or `scapd verify` found it inconsistent",
    ),
    (
        LOST,
        "events were lost: `scapd verify`, and `scapd record --on-loss fail` (0 for a sample that lost nothing)",
    ),
    (
        NO_LEDGER,
        "the capture has no ledger, usually because scapd did not write it: `scapd verify` cannot tell what was lost",
    ),
    (COMMAND_REFUSED, "the command to record cannot be executed"),
    (COMMAND_NOT_FOUND, "the command to record does not exist"),
];

/// Returns the exit code for an error.
pub fn code(error: &anyhow::Error) -> ExitCode {
    // Errors of writes to stdout carry no context.
    if error.chain().count() == 1 && error.is::<io::Error>() {
        return ExitCode::from(OUTPUT);
    }
    let code = error.chain().find_map(|cause| {
        if let Some(probe) = cause.downcast_ref::<ProbeError>() {
            return Some(match probe {
                ProbeError::NotPermitted { .. } => NOT_PERMITTED,
                ProbeError::NoBtf
                | ProbeError::KernelTooOld { .. }
                | ProbeError::Refused { .. }
                | ProbeError::PidNamespace(_)
                | ProbeError::AttachUnavailable { .. } => UNSUPPORTED,
                _ => FAILURE,
            });
        }
        if let Some(ExportError::IsFolder { .. }) = cause.downcast_ref() {
            return Some(USAGE);
        }
        if cause.is::<OutputError>() || cause.is::<StatsError>() || cause.is::<ExportError>() {
            return Some(OUTPUT);
        }
        if let Some(command) = cause.downcast_ref::<CommandError>() {
            return Some(match command {
                CommandError::NotFound { .. } => COMMAND_NOT_FOUND,
                CommandError::Refused { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                    COMMAND_NOT_FOUND
                }
                CommandError::Refused { .. } => COMMAND_REFUSED,
            });
        }
        if let Some(PrintError::Write(_)) = cause.downcast_ref() {
            return Some(OUTPUT);
        }
        if let Some(merge::MergeError::Output(_)) = cause.downcast_ref() {
            return Some(OUTPUT);
        }
        if let Some(merge::MergeError::Stopped(read::Stopped { signal })) = cause.downcast_ref() {
            return u8::try_from(128 + signal).ok();
        }
        if let Some(read::Stopped { signal }) = cause.downcast_ref() {
            return u8::try_from(128 + signal).ok();
        }
        if let Some(VerifyError::Write(_)) = cause.downcast_ref() {
            return Some(OUTPUT);
        }
        if cause.is::<PatternError>() || cause.is::<Mistakes>() {
            return Some(USAGE);
        }
        if let Some(RepairError::Exists { .. } | RepairError::Write { .. }) = cause.downcast_ref() {
            return Some(OUTPUT);
        }
        if let Some(on_disk) = cause.downcast_ref::<OnDiskError>() {
            return Some(match on_disk {
                OnDiskError::Version { .. } | OnDiskError::Damaged { .. } | OnDiskError::NoState { .. } => {
                    INPUT
                }
                _ => OUTPUT,
            });
        }
        match cause.downcast_ref::<ReadError>()? {
            // Nothing is wrong with the capture.
            ReadError::TooLarge { .. } => Some(FAILURE),
            _ => Some(INPUT),
        }
    });
    ExitCode::from(code.unwrap_or(FAILURE))
}

/// Returns whether the error only means that the reader of our output has exited, which is no failure.
///
/// Other operations can get EPIPE too, such as a request of `scapd ctl`. So a bare [`io::Error`] counts only without
/// context: errors of writes to stdout carry none.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let is_pipe = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    if let Some(merge::MergeError::Output(OutputError::BrokenPipe { .. })) = error.downcast_ref() {
        return true;
    }
    match error.downcast_ref::<OutputError>() {
        Some(OutputError::BrokenPipe { .. }) => true,
        _ => error.root_cause().downcast_ref().is_some_and(is_pipe) && error.chain().count() == 1,
    }
}

/// Returns the exit code for the result of `scapd verify`.
pub fn of_capture(outcome: VerifyOutcome) -> ExitCode {
    match outcome {
        VerifyOutcome::Complete | VerifyOutcome::Sample => ExitCode::SUCCESS,
        VerifyOutcome::NoLedger => ExitCode::from(NO_LEDGER),
        VerifyOutcome::Incomplete => ExitCode::from(LOST),
        VerifyOutcome::Damaged | VerifyOutcome::Contradictory | VerifyOutcome::NotACapture => {
            ExitCode::from(INPUT)
        }
    }
}

/// Returns the exit code for the end of a service.
pub fn of_service(ended: Ended) -> ExitCode {
    match ended {
        Ended::Well => ExitCode::SUCCESS,
        Ended::Mistaken => ExitCode::from(USAGE),
        Ended::Lost => ExitCode::from(LOST),
    }
}

/// Returns the exit code for a recorded command: its own, or 128 plus the signal that killed it, as in a shell.
pub fn of_command(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(FAILURE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_has_the_same_table() {
        let readme = include_str!("../README.md");
        let rows = readme.lines().skip_while(|line| *line != "| exit code | meaning |").skip(2);
        let expected: Vec<String> =
            MEANINGS.iter().map(|(code, text)| format!("| {code} | {text} |")).collect();
        assert_eq!(rows.take_while(|line| line.starts_with('|')).collect::<Vec<_>>(), expected);
    }
}

//! Exit codes: one for each kind of failure, so that a script can tell them apart.

use std::{
    io,
    os::unix::process::ExitStatusExt,
    process::{ExitCode, ExitStatus},
};

use crate::{
    daemon::config::Mistakes,
    output::{OutputError, PatternError},
    print::PrintError,
    probe::ProbeError,
    record::{CommandError, StatsError},
    repair::RepairError,
    verify::{Outcome, VerifyError},
};
use scap::format::ReadError;

/// Anything without a code of its own.
pub const FAILURE: u8 = 1;
/// The command line is wrong (clap's own code), or the configuration.
pub const USAGE: u8 = 2;
/// Not allowed to load BPF programs.
pub const NOT_PERMITTED: u8 = 3;
/// The kernel is too old, has no BTF, or refuses what every capture needs.
pub const UNSUPPORTED: u8 = 4;
/// The output cannot be written.
pub const OUTPUT: u8 = 5;
/// The input is not a capture, or is damaged or cut off.
pub const INPUT: u8 = 6;

/// The command was found, and the kernel refuses to execute it.
pub const COMMAND_REFUSED: u8 = 126;
/// There is no such command.
pub const COMMAND_NOT_FOUND: u8 = 127;

/// Events were lost: of a capture that is verified, or of a recording for which that was to be a failure.
pub const LOST: u8 = 7;

/// A capture that is verified does not say what was lost.
pub const NO_LEDGER: u8 = 8;

/// Each code and what it means, for the manual and the README. Names between backticks are commands.
pub const MEANINGS: &[(u8, &str)] = &[
    (0, "done; a command's own exit status if one was recorded"),
    (FAILURE, "failed in a way that has no code of its own"),
    (USAGE, "the command line is wrong, or the configuration of the service (see `scapd daemon --check`)"),
    (NOT_PERMITTED, "not allowed to load BPF programs"),
    (UNSUPPORTED, "the kernel is too old, has no BTF, or refuses what every capture needs"),
    (
        OUTPUT,
        "the output cannot be written, was removed meanwhile, or has another recorder (what was written is whole, in \
         `FILE.partial`)",
    ),
    (
        INPUT,
        "the input is no capture, or is cut off (everything before was printed; `scapd repair` makes it whole), or `scapd \
         verify` found that it contradicts itself",
    ),
    (
        LOST,
        "events were lost: `scapd verify`, and `scapd record --on-loss fail` (a sample of which nothing was lost: 0)",
    ),
    (
        NO_LEDGER,
        "the capture carries no ledger, as scapd has not made it: `scapd verify` cannot say what was lost",
    ),
    (COMMAND_REFUSED, "the command to record cannot be executed"),
    (COMMAND_NOT_FOUND, "there is no such command to record"),
];

/// The code that stands for an error.
pub fn code(error: &anyhow::Error) -> ExitCode {
    // What writes to stdout adds nothing to its errors.
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
        if cause.is::<OutputError>() || cause.is::<StatsError>() {
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
        if let Some(VerifyError::Write(_)) = cause.downcast_ref() {
            return Some(OUTPUT);
        }
        if cause.is::<PatternError>() || cause.is::<Mistakes>() {
            return Some(USAGE);
        }
        if let Some(RepairError::Exists { .. } | RepairError::Write { .. }) = cause.downcast_ref() {
            return Some(OUTPUT);
        }
        cause.is::<ReadError>().then_some(INPUT)
    });
    ExitCode::from(code.unwrap_or(FAILURE))
}

/// Whether the reader of our output has gone: nothing that failed.
///
/// Anything else may meet a broken pipe, too, such as the request of `scapd ctl`: so an [`io::Error`] counts only where
/// nothing was added to it. What writes to stdout adds nothing.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let is_pipe = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    match error.downcast_ref::<OutputError>() {
        Some(OutputError::BrokenPipe { .. }) => true,
        _ => error.root_cause().downcast_ref().is_some_and(is_pipe) && error.chain().count() == 1,
    }
}

/// The code of a capture that was verified.
pub fn of_capture(outcome: Outcome) -> ExitCode {
    match outcome {
        Outcome::Complete | Outcome::Sample => ExitCode::SUCCESS,
        Outcome::NoLedger => ExitCode::from(NO_LEDGER),
        Outcome::Incomplete => ExitCode::from(LOST),
        Outcome::Damaged | Outcome::Contradictory | Outcome::NotACapture => ExitCode::from(INPUT),
    }
}

/// The code of a command that was run: its own, or 128 plus the signal that ended it, as a shell has it.
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

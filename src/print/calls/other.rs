//! Lines of what is no call: signals, ends of threads, losses.

use std::fmt::Write;

use super::{kernel, params::number};
use crate::escape;
use scap::{
    format::{EventView, Value},
    ledger::{self, Notice},
};

/// Appends the end of a thread.
pub fn end(out: &mut String, event: &EventView<'_>) {
    match (value(event, "sig"), value(event, "ret")) {
        (Some(signal @ 1..), _) => {
            out.push_str("+++ killed by ");
            kernel::signal(out, signal as u8);
            let has_core = value(event, "core").is_some_and(|core| core != 0);
            out.push_str(if has_core { " (core dumped) +++" } else { " +++" });
        }
        // Writing to a string cannot fail.
        (_, Some(status)) => drop(write!(out, "+++ exited with {status} +++")),
        _ => out.push_str("+++ exited +++"),
    }
}

/// Appends a signal.
pub fn signal(out: &mut String, event: &EventView<'_>) {
    let signal = value(event, "sig").unwrap_or_default() as u8;
    out.push_str("--- ");
    kernel::signal(out, signal);
    out.push_str(" {si_signo=");
    kernel::signal(out, signal);
    // 0 is no process: the kernel sent the signal.
    if let Some(sender @ 1..) = value(event, "spid") {
        let _ = write!(out, ", si_pid={sender}");
    }
    out.push_str("} ---");
}

/// Appends a notice of the recorder.
pub fn notice(out: &mut String, event: &EventView<'_>) {
    let _ = match ledger::parse(event) {
        Some(Notice::Gap(gap)) => write!(out, "--- {} events lost:{} ---", gap.losses.sum(), gap.losses),
        Some(Notice::Clock(step)) => write!(out, "--- the clock was set: {} ---", step.by_text()),
        Some(Notice::Trigger(trigger)) => {
            write!(
                out,
                "--- a dump by {}: {} ---",
                trigger.by.key(),
                escape::escaped(trigger.reason.as_bytes())
            )
        }
        Some(Notice::Longer(longer)) => {
            write!(
                out,
                "--- here, what changes the state of the machine, and {} ---",
                escape::escaped(longer.filter.as_bytes())
            )
        }
        Some(Notice::Cut(cut)) => write!(out, "--- the capture ends here: {} ---", cut.cause.text()),
        _ => Ok(()),
    };
}

fn value(event: &EventView<'_>, name: &str) -> Option<i64> {
    match event.value(name)?.ok()?.value {
        Value::Absent => None,
        value => number(value),
    }
}

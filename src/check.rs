//! `scapd check`: reports whether this machine can record, and what is missing if not.

use std::io::{self, Write};

use crate::{
    choice::Choice,
    confine,
    limits::OpenFiles,
    privileges,
    probe::{self, Attach, Loaded, Opened, Preemption, ProbeError, ProbeOptions},
};
use scap::{
    events::{EVENTS, SYSCALLS},
    select::TracepointSet,
};

/// How many of the last lines of a verifier log are shown. The reason is at its end.
const LOG_LINES: usize = 6;

/// Writes the state of each requirement of a recording; returns whether this machine can record. With `verbose`, also
/// writes what verifying each program cost.
///
/// # Errors
/// Errors of `out`.
pub fn run(attach: Attach, verbose: bool, out: &mut impl Write) -> io::Result<bool> {
    OpenFiles::raise();
    let uname = rustix::system::uname();
    let (release, machine) = (uname.release().to_string_lossy(), uname.machine().to_string_lossy());
    writeln!(out, "kernel        {release} {machine}")?;
    capabilities(out)?;
    writeln!(out, "confinement   {}", confine::possible().of_this_machine())?;
    let options =
        ProbeOptions { attach, targets: 1, tracepoints: TracepointSet::all(), ..ProbeOptions::default() };
    let opened = match Opened::new(&options) {
        Ok(opened) => opened,
        Err(error) => return failed(out, &error),
    };
    writeln!(out, "BTF           /sys/kernel/btf/vmlinux")?;
    let calls: Vec<_> = SYSCALLS.iter().collect();
    let loaded = match opened.load(&calls) {
        Ok(loaded) => loaded,
        Err(error) => return failed(out, &error),
    };
    programs(&loaded, verbose, out)?;
    if loaded.tasks().are_translated() {
        writeln!(out, "process ids   translated from this pid namespace to the initial one")?;
    }
    writeln!(
        out,
        "io_uring      {}",
        if loaded.has_io_uring() {
            "its requests are recorded"
        } else {
            "not recorded: this kernel lacks its tracepoints, or has them without the request (before 5.13)"
        }
    )?;
    let layout = loaded.layout();
    writeln!(out, "ring buffers  {} of {} KiB", layout.rings, layout.ring_size >> 10)?;
    let style = loaded.attach_style();
    let preemption = loaded.preemption();
    match loaded.attach() {
        Ok(_) => writeln!(out, "attached by   {}", style.name())?,
        Err(error) => return failed(out, &error),
    }
    why_attached(style, preemption, out)?;
    functions(out)?;
    writeln!(out, "this machine can record")?;
    Ok(true)
}

/// Writes whether programs can be attached to the functions of calls, and what is not recorded then.
fn functions(out: &mut impl Write) -> io::Result<()> {
    match probe::calls_without_function() {
        Ok(without) => {
            writeln!(
                out,
                "functions     --attach function is possible; it does not see calls that seccomp or ptrace refuses,"
            )?;
            writeln!(
                out,
                "              x32 calls, calls that the tables do not know, and: {}",
                without.join(" ")
            )
        }
        Err(error) => writeln!(out, "functions     {}", text_of(&error)),
    }
}

fn why_attached(style: Attach, preemption: Preemption, out: &mut impl Write) -> io::Result<()> {
    let evidence = preemption.evidence.text();
    match (preemption.possible, style) {
        (_, Attach::Function) => writeln!(
            out,
            "              programs on functions can be preempted from Linux 5.11 on: the kernel then skips other tasks' \
             calls of the same function, which are counted"
        ),
        (false, _) => writeln!(
            out,
            "              tp_btf programs cannot be preempted here ({evidence}): no events are skipped"
        ),
        (true, Attach::Btf) => writeln!(
            out,
            "              tp_btf programs can be preempted here ({evidence}): the kernel then skips other tasks' \
             events, which are counted. --attach tracepoint skips none"
        ),
        (true, _) => writeln!(
            out,
            "              tp_btf programs could be preempted here ({evidence}), and then skip other tasks' events"
        ),
    }
}

fn capabilities(out: &mut impl Write) -> io::Result<()> {
    let Some(missing) = privileges::missing() else {
        return writeln!(out, "capabilities  unknown: /proc is not mounted");
    };
    let there: Vec<_> = privileges::needed().filter(|c| !missing.contains(c)).map(|c| c.name).collect();
    if !there.is_empty() {
        writeln!(out, "capabilities  {}", there.join(" "))?;
    }
    for capability in missing {
        writeln!(out, "  missing     {} ({})", capability.name, capability.reason)?;
    }
    Ok(())
}

fn programs(loaded: &Loaded, verbose: bool, out: &mut impl Write) -> io::Result<()> {
    let programs = EVENTS.iter().filter(|e| e.program.is_some()).count();
    let refused = loaded.refused();
    writeln!(out, "programs      {} of {programs} accepted by the verifier", programs - refused.len())?;
    for refused in refused {
        writeln!(out, "  refused     {}: its events are {}", refused.program, refused.consequence())?;
        let log: Vec<_> = refused.log.lines().filter(|line| !line.trim().is_empty()).collect();
        for line in &log[log.len().saturating_sub(LOG_LINES)..] {
            writeln!(out, "                {line}")?;
        }
    }
    if verbose {
        costs(loaded, out)?;
    }
    Ok(())
}

/// Writes the cost of each program. Its time is measured from the load of the previous one.
fn costs(loaded: &Loaded, out: &mut impl Write) -> io::Result<()> {
    let costs = loaded.costs();
    let befores = std::iter::once(None).chain(costs.iter().map(|cost| Some(cost.loaded_at)));
    writeln!(out, "  {:<24} {:>9} {:>9} {:>9}", "program", "verified", "bytes", "ms")?;
    for (cost, before) in costs.iter().zip(befores) {
        let time = before.map_or("-".into(), |before| {
            format!("{:.1}", cost.loaded_at.saturating_sub(before) as f64 / 1e6)
        });
        writeln!(out, "  {:<24} {:>9} {:>9} {:>9}", cost.name, cost.verified, cost.machine_code, time)?;
    }
    Ok(())
}

fn failed(out: &mut impl Write, error: &ProbeError) -> io::Result<bool> {
    writeln!(out, "cannot record: {}", text_of(error))?;
    Ok(false)
}

/// Returns an error with its causes.
fn text_of(error: &ProbeError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

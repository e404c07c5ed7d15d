//! `scapd check`: can this machine record, and what is missing if not?

use std::io::{self, Write};

use crate::{
    events::{EVENTS, SYSCALLS},
    probe::{Attach, Opened, Options, Preemption, ProbeError},
    select::TracepointSet,
};

/// Writes a line for each thing that a recording needs: whether it could be started.
///
/// # Errors
/// Of `out`.
pub fn run(attach: Attach, out: &mut impl Write) -> io::Result<bool> {
    let uname = rustix::system::uname();
    let (release, machine) = (uname.release().to_string_lossy(), uname.machine().to_string_lossy());
    writeln!(out, "kernel        {release} {machine}")?;
    let options = Options { attach, targets: 1, tracepoints: TracepointSet::all(), ..Options::default() };
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
    let programs = EVENTS.iter().filter(|e| e.program.is_some()).count();
    let refused = loaded.refused();
    writeln!(out, "programs      {} of {programs} accepted by the verifier", programs - refused.len())?;
    for refused in refused {
        writeln!(out, "  refused     {}: its events are recorded as generic ones", refused.program)?;
        for line in refused
            .log
            .lines()
            .filter(|l| !l.trim().is_empty())
            .rev()
            .take(6)
            .collect::<Vec<_>>()
            .iter()
            .rev()
        {
            writeln!(out, "                {line}")?;
        }
    }
    let layout = loaded.layout();
    writeln!(out, "ring buffers  {} of {} KiB", layout.rings, layout.ring_size >> 10)?;
    let style = loaded.attach_style();
    let why = match loaded.preemption() {
        Preemption::Off => "programs on syscall tracepoints are not preempted here",
        Preemption::On => {
            "a tp_btf program on a syscall tracepoint can be preempted here, and others be skipped"
        }
    };
    match loaded.attach() {
        Ok(_) => writeln!(out, "attached by   {} ({why})", style.name())?,
        Err(error) => return failed(out, &error),
    }
    writeln!(out, "this machine can record")?;
    Ok(true)
}

fn failed(out: &mut impl Write, error: &ProbeError) -> io::Result<bool> {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    writeln!(out, "cannot record: {text}")?;
    Ok(false)
}

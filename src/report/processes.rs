//! The processes of a report: those that tell most, with their ancestors.

use std::cmp::Reverse;

use scap::{
    summary::{Exit, Process},
    text::kernel_names,
};
use serde_json::{Value as Json, json};

use super::bounds::{Clock, Limits};
use crate::escape::escaped;

/// So many programs of a process are told.
const MOST_PROGRAMS: usize = 8;

/// Returns the processes, parents before their children, and how many are left out.
pub(super) fn json(processes: &[Process], clock: Clock, limits: Limits) -> (Json, usize) {
    let wanted = processes.iter().filter(|process| process.is_wanted).count();
    let mut chosen = vec![false; processes.len()];
    let mut left = limits.processes;
    let mut order: Vec<_> = (0..processes.len()).filter(|index| processes[*index].is_wanted).collect();
    order.sort_by_cached_key(|index| Reverse((weight(&processes[*index]), Reverse(*index))));
    for index in order {
        let line = ancestors(processes, index).take_while(|at| !chosen[*at]).collect::<Vec<_>>();
        if line.len() <= left {
            left -= line.len();
            line.iter().for_each(|at| chosen[*at] = true);
        }
    }
    let mut places = vec![None; processes.len()];
    let mut rows = Vec::new();
    for (index, process) in processes.iter().enumerate().filter(|(index, _)| chosen[*index]) {
        places[index] = Some(rows.len());
        rows.push(row(process, process.parent.and_then(|parent| places[parent]), clock, limits));
    }
    let told = processes.iter().zip(&chosen).filter(|(process, is_told)| process.is_wanted && **is_told);
    let more = wanted - told.count();
    (rows.into(), more)
}

/// Returns the process and its ancestors.
fn ancestors(processes: &[Process], index: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(index), |at| processes[*at].parent.filter(|parent| parent < at))
}

/// Returns how much a process has to tell: its calls, and that it ended badly.
fn weight(process: &Process) -> (bool, u64) {
    let is_bad = matches!(process.ended, Some((_, Exit::Signal(_))));
    (is_bad, process.calls)
}

fn row(process: &Process, parent: Option<usize>, clock: Clock, limits: Limits) -> Json {
    let text = |bytes: &[u8]| limits.cut(&escaped(bytes));
    let command = process.command.strip_suffix(b"\0").unwrap_or(&process.command);
    let command: Vec<_> = command.split(|byte| *byte == 0).map(escaped).collect();
    let programs = process.executed.iter().zip(&process.programs).take(MOST_PROGRAMS);
    let signal = |number: u8| kernel_names::signal(number).map_or_else(|| number.to_string(), str::to_owned);
    let end = process.ended.map(|(ts, exit)| match exit {
        Exit::Status(status) => json!([clock.since_start(ts), "status", status]),
        Exit::Signal(number) => json!([clock.since_start(ts), "signal", signal(number)]),
        Exit::Unknown => json!([clock.since_start(ts), "unknown", null]),
    });
    json!({
        "pid": process.pid,
        "parent": parent,
        "name": text(&process.comm),
        "command": limits.cut(&command.join(" ")),
        "user": if process.user.is_empty() { process.uid.map(|uid| uid.to_string()) } else { Some(text(&process.user)) },
        "started": process.started.map(|ts| clock.since_start(ts)),
        "first": clock.since_start(process.first),
        "ended": end,
        "calls": process.calls,
        "errors": process.errors,
        "in_bytes": process.read,
        "out_bytes": process.written,
        "programs": programs.map(|(ts, path)| json!([clock.since_start(*ts), text(path)])).collect::<Vec<_>>(),
        "more_programs": process.executed.len().saturating_sub(MOST_PROGRAMS),
        "signals": process.signals.iter().map(|(ts, number)| json!([clock.since_start(*ts), signal(*number)])).collect::<Vec<_>>(),
        "signal_count": process.signal_count,
    })
}

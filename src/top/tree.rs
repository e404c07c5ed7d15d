//! `scapd tree`: the processes, and what became of them.

use std::io::{self, Write};

use serde_json::json;

use super::{
    table::{OutputForm, align},
    units::{number, time},
};
use crate::{
    json::{VERSION, escape, safe},
    print::{DependsOn, MakeView, View, json_bytes, plain_table, rfc3339},
};
use scap::{
    format::Keep,
    replay::{Moment, Now},
    summary::{Exit, Process, Tree, Unit},
    text::{self, kernel_names},
};

/// How processes are shown.
#[derive(Debug, Clone, Copy)]
pub struct TreeForm {
    /// As text or JSON.
    pub form: OutputForm,
}

impl MakeView for TreeForm {
    fn view(&self) -> Box<dyn View> {
        Box::new(TreeView { form: self.form, tree: Tree::default(), end: 0 })
    }
}

struct TreeView {
    form: OutputForm,
    tree: Tree,
    /// The time of the end, in ns since the epoch.
    end: u64,
}

impl View for TreeView {
    fn event(&mut self, moment: &Moment<'_>, _out: &mut dyn Write) -> io::Result<()> {
        self.tree.event(moment, true).map_err(io::Error::other)
    }

    fn unwanted(&mut self, moment: &Moment<'_>, _out: &mut dyn Write) -> io::Result<()> {
        self.tree.event(moment, false).map_err(io::Error::other)
    }

    fn end(&mut self, now: Now<'_>, _out: &mut dyn Write) -> io::Result<()> {
        self.end = now.ts;
        self.tree.end_capture(now);
        Ok(())
    }

    fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let mut page = String::new();
        match self.form {
            OutputForm::Json => self.json(&mut page),
            OutputForm::Text | OutputForm::Csv => self.text(&mut page),
        }
        out.write_all(page.as_bytes())
    }

    fn keep(&self) -> Keep {
        Keep::All
    }

    fn hides_losses(&self) -> bool {
        true
    }

    fn depends_on(&self) -> DependsOn {
        DependsOn::All
    }
}

impl TreeView {
    /// Returns the processes that are shown, with their depths, as a tree is read; and whether each is the last child.
    fn rows(&self) -> Vec<(usize, String)> {
        let all = self.tree.processes();
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); all.len()];
        let mut roots = Vec::new();
        for (index, process) in all.iter().enumerate().filter(|(_, process)| process.is_wanted) {
            match shown_parent(all, process) {
                Some(parent) => children[parent].push(index),
                None => roots.push(index),
            }
        }
        let mut rows = Vec::new();
        // What is still to come, the next one last: its index, and the lines of its ancestors.
        let mut open: Vec<(usize, String, &str)> =
            roots.into_iter().rev().map(|root| (root, String::new(), "")).collect();
        while let Some((index, lines, own)) = open.pop() {
            let below = lines.clone()
                + if own == LAST {
                    "   "
                } else if own.is_empty() {
                    ""
                } else {
                    "│  "
                };
            rows.push((index, lines + own));
            let last = children[index].last().copied();
            for child in children[index].iter().rev() {
                open.push((*child, below.clone(), if Some(*child) == last { LAST } else { FURTHER }));
            }
        }
        rows
    }

    fn text(&self, page: &mut String) {
        let all = self.tree.processes();
        let mut table = plain_table();
        table.set_header([
            "pid", "start", "time", "exit", "calls", "errors", "in", "out", "user", "cwd", "command",
        ]);
        for (index, lines) in self.rows() {
            let process = &all[index];
            let mut start = String::new();
            match process.started {
                Some(ts) => text::time_of_day(&mut start, ts, text::local(), true),
                None => start.push('-'),
            }
            // Milliseconds.
            start.truncate(start.len().saturating_sub(6).max(1));
            let numbers = [
                (process.calls, Unit::Count),
                (process.errors, Unit::Count),
                (process.read, Unit::Bytes),
                (process.written, Unit::Bytes),
            ];
            let cells = numbers.map(|(value, unit)| {
                let mut text = String::new();
                if value > 0 {
                    number(&mut text, value, unit);
                }
                text
            });
            let parent = shown_parent(all, process).map(|parent| &all[parent]);
            // Only where it changes.
            let cwd = parent.is_none_or(|parent| parent.cwd != process.cwd);
            let lifetime =
                process.started.map_or_else(|| "-".to_owned(), |from| time(self.until(process) - from));
            let mut row = vec![process.pid.to_string(), start, lifetime, exit(process)];
            row.extend(cells);
            row.push(user(process));
            row.push(if cwd { escaped(&process.cwd) } else { String::new() });
            row.push(lines + &command(process));
            table.add_row(row);
        }
        align(&mut table, 8);
        page.extend(table.lines().flat_map(|line| [line.trim_end().to_owned(), "\n".to_owned()]));
    }

    /// Returns when a process ended, or the end of the capture.
    fn until(&self, process: &Process) -> u64 {
        let end = process.ended.map_or(self.end, |(ts, _)| ts);
        end.max(process.started.unwrap_or(0))
    }

    fn json(&self, page: &mut String) {
        let all = self.tree.processes();
        let time = |ts: u64| rfc3339(ts);
        for (index, _) in self.rows() {
            let process = &all[index];
            let words = |text: &[u8]| -> Vec<_> {
                let text = text.strip_suffix(b"\0").unwrap_or(text);
                if text.is_empty() {
                    Vec::new()
                } else {
                    text.split(|byte| *byte == 0).map(json_bytes).collect()
                }
            };
            let (status, signal) = match process.ended.map(|(_, exit)| exit) {
                Some(Exit::Status(status)) => (Some(status), None),
                Some(Exit::Signal(signal)) => (None, Some(signal_name(signal))),
                Some(Exit::Unknown) | None => (None, None),
            };
            let object = json!({
                "v": VERSION,
                "pid": process.pid,
                "parent": process.parent.map(|parent| all[parent].pid),
                "comm": json_bytes(&process.comm),
                "command": words(&process.command),
                "programs": process.programs.iter().map(|path| json_bytes(path)).collect::<Vec<_>>(),
                "uid": process.uid,
                "user": json_bytes(&process.user),
                "cwd": json_bytes(&process.cwd),
                "started": process.started.and_then(time),
                "ended": process.ended.and_then(|(ts, _)| time(ts)),
                "status": status,
                "signal": signal,
                "calls": process.calls,
                "errors": process.errors,
                "in_bytes": process.read,
                "out_bytes": process.written,
            });
            escape(page, &format!("{}\n", safe(object)));
        }
    }
}

const FURTHER: &str = "├─ ";
const LAST: &str = "└─ ";

/// Returns the nearest ancestor that is shown.
fn shown_parent(all: &[Process], process: &Process) -> Option<usize> {
    let mut parent = process.parent;
    while let Some(index) = parent {
        if all[index].is_wanted {
            return Some(index);
        }
        parent = all[index].parent;
    }
    None
}

fn exit(process: &Process) -> String {
    match process.ended.map(|(_, exit)| exit) {
        Some(Exit::Status(status)) => status.to_string(),
        Some(Exit::Signal(signal)) => signal_name(signal),
        Some(Exit::Unknown) => "?".to_owned(),
        None => String::new(),
    }
}

fn signal_name(signal: u8) -> String {
    kernel_names::signal(signal).map_or_else(|| signal.to_string(), str::to_owned)
}

fn user(process: &Process) -> String {
    match process.uid {
        Some(uid) if process.user.is_empty() => uid.to_string(),
        _ => escaped(&process.user),
    }
}

/// Returns the command line; behind it, what the process executed before.
fn command(process: &Process) -> String {
    let line = process.command.strip_suffix(b"\0").unwrap_or(&process.command);
    let mut command = match line {
        b"" => format!("[{}]", escaped(&process.comm)),
        line => escaped(&line.iter().map(|byte| if *byte == 0 { b' ' } else { *byte }).collect::<Vec<_>>()),
    };
    if let [before @ .., _] = &process.programs[..]
        && !before.is_empty()
    {
        let before: Vec<_> = before.iter().map(|path| escaped(path)).collect();
        command += &format!(" (before: {})", before.join(", "));
    }
    command
}

fn escaped(bytes: &[u8]) -> String {
    let mut text = String::new();
    text::escape(&mut text, bytes);
    text
}

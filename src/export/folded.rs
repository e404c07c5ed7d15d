//! Calls as stacks, for flame graphs: `scapd export --to folded`, and drawn by `--to svg`.
//!
//! A stack is the process with its ancestors, then the keys of the call: `sh;make;cc;cc1;read 1234`.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use inferno::flamegraph;

use crate::{
    choice::{Choice, choices},
    print::{DependsOn, View},
};
use scap::{
    format::Keep,
    replay::Moment,
    summary::{Ends, Keys, TooManyGroups},
    text::escape,
};

choices! {
    /// What the width of a stack is.
    #[derive(Default)]
    pub enum StackValue {
        #[default]
        Time = "time": "How long the calls took, in ns",
        Calls = "calls": "How many calls ended",
        Bytes = "bytes": "How many bytes they moved",
    }
}

impl StackValue {
    /// Returns what is counted.
    fn unit(self) -> &'static str {
        match self {
            StackValue::Time => "ns",
            StackValue::Calls => "calls",
            StackValue::Bytes => "bytes",
        }
    }
}

/// The form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StackForm {
    /// A line for each stack: its frames with semicolons between, and its value.
    Lines,
    /// A flame graph.
    Svg,
}

/// What a stack takes besides its text.
const OVERHEAD: u64 = 64;

/// Adds up calls by their stacks.
pub(super) struct Stacks {
    form: StackForm,
    value: StackValue,
    keys: Keys,
    ends: Ends,
    sums: BTreeMap<String, u64>,
    memory: u64,
    /// The stack of a call, the names of processes in it, and what keys need.
    stack: String,
    name: String,
    scratch: Vec<u8>,
}

impl Stacks {
    /// Starts without calls.
    pub fn new(form: StackForm, value: StackValue, keys: Keys) -> Stacks {
        Stacks {
            form,
            value,
            keys,
            ends: Ends::default(),
            sums: BTreeMap::new(),
            memory: 0,
            stack: String::new(),
            name: String::new(),
            scratch: Vec::new(),
        }
    }

    /// Builds the stack of a call. Returns whether it has all keys.
    fn build(&mut self, moment: &Moment<'_>) -> bool {
        let Stacks { keys, stack, name, scratch, .. } = self;
        stack.clear();
        let (machine, pid) = (moment.machine, moment.machine.pid(moment.event().tid()));
        let ancestors: Vec<u64> = machine.ancestors(pid).map(|(pid, _)| pid).collect();
        for pid in ancestors.into_iter().rev().chain([pid]) {
            name.clear();
            escape(name, machine.process_comm(pid).or_else(|| machine.comm(pid)).unwrap_or(b"?"));
            frame(stack, name);
        }
        keys.at(scratch, moment, |key| {
            name.clear();
            key.show(name);
            frame(stack, name);
        })
    }
}

/// Appends a frame. What ends one in its own name is replaced.
fn frame(stack: &mut String, name: &str) {
    if !stack.is_empty() {
        stack.push(';');
    }
    stack.push_str(&name.replace(';', ","));
}

impl View for Stacks {
    fn event(&mut self, moment: &Moment<'_>, _out: &mut dyn Write) -> io::Result<()> {
        let Some((outcome, is_call)) = self.ends.event(moment) else { return Ok(()) };
        let value = match self.value {
            StackValue::Time => outcome.latency.filter(|_| is_call).unwrap_or(0),
            StackValue::Calls => is_call.into(),
            StackValue::Bytes => outcome.read.saturating_add(outcome.moved).saturating_add(outcome.written),
        };
        if value == 0 || !self.build(moment) {
            return Ok(());
        }
        if let Some(sum) = self.sums.get_mut(&self.stack) {
            *sum = sum.saturating_add(value);
            return Ok(());
        }
        self.sums.insert(self.stack.clone(), value);
        self.memory += self.stack.len() as u64 + OVERHEAD;
        let limit = moment.limit;
        if limit > 0 && self.memory > limit { Err(io::Error::other(TooManyGroups { limit })) } else { Ok(()) }
    }

    fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let lines = self.sums.iter().map(|(stack, value)| format!("{stack} {value}"));
        if self.form == StackForm::Lines {
            return lines.into_iter().try_for_each(|line| writeln!(out, "{line}"));
        }
        let mut options = flamegraph::Options::default();
        options.title = format!("Calls by process and {}", self.keys.titles().collect::<Vec<_>>().join(", "));
        options.count_name = self.value.unit().to_owned();
        // The same capture gives the same picture.
        options.deterministic = true;
        let lines: Vec<_> = lines.collect();
        flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), out)
    }

    fn keep(&self) -> Keep {
        Keep::All
    }

    fn hides_losses(&self) -> bool {
        true
    }

    fn depends_on(&self) -> DependsOn {
        DependsOn::Shown
    }
}

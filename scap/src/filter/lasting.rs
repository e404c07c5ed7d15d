//! Tests of what a process has from its last exec, clone or `setsid` on: its program, its control groups, its terminal.
//!
//! Readers know these as of that moment; the kernel has them as of now, so it cannot decide about them itself. But it can tell
//! whether a process still is what it was when the recorder decided. So the recorder tells it which of these tests are false.

use super::{
    plan::{self, Node},
    tree::{Operand, Right, Test, Tree},
};
use crate::{
    fields::{Fields, Source},
    replay::Moment,
};

/// The most of these tests that a filter has: the programs have a bit for each.
const MAX: usize = 64;

/// The fields whose values change with nothing else, and are the same for all threads of a process.
const LASTING: [&str; 22] = [
    "proc.exe",
    "proc.exepath",
    "proc.args",
    "proc.exeline",
    "proc.cmdnargs",
    "proc.cmdlenargs",
    "proc.env",
    "proc.tty",
    "proc.sid",
    "proc.is_exe_writable",
    "proc.is_exe_upper_layer",
    "proc.is_exe_lower_layer",
    "proc.is_exe_from_memfd",
    "proc.exe_ino",
    "proc.exe_ino.ctime",
    "proc.exe_ino.mtime",
    "proc.exe_ino.ctime_duration_proc_start",
    "thread.cgroups",
    "thread.cgroup",
    "container.id",
    "container.full_id",
    "user.loginuid",
];

/// A test, or its negation.
#[derive(Debug, Clone)]
struct Lasting {
    source: usize,
    negated: bool,
    plan: Node,
}

/// The tests of a filter that are about what lasts.
#[derive(Debug, Clone, Default)]
pub(super) struct LastingTests(Vec<Lasting>);

impl LastingTests {
    /// Adds the test with this number, or its negation. Returns its bit; `None` if it is about something else.
    pub(super) fn add(&mut self, test: &Test, negated: bool, source: usize) -> Option<u64> {
        if !is_lasting(test) {
            return None;
        }
        let is_it = |known: &Lasting| (known.source, known.negated) == (source, negated);
        let place = self.0.iter().position(is_it).unwrap_or(self.0.len());
        if place == self.0.len() {
            let tree = Tree::Test(Box::new(test.clone()));
            let tree = if negated { Tree::Not(Box::new(tree)) } else { tree };
            let plan = plan::plan(&tree, &Fields).ok().filter(|_| place < MAX)?;
            self.0.push(Lasting { source, negated, plan });
        }
        Some(1 << place)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the bits of the tests that are false at an event.
    fn fails<S: Source + ?Sized>(&self, source: &S) -> u64 {
        let fails = self.0.iter().enumerate().filter(|(_, test)| !test.plan.matches(source));
        fails.fold(0, |bits, (place, _)| bits | 1 << place)
    }

    /// Returns what is false of the process of an event that was made at `at`; `None` if nothing is, or if that is not
    /// the same for all of its threads.
    pub(super) fn verdict(&self, moment: &Moment<'_>, at: u64) -> Option<Verdict> {
        let machine = moment.machine;
        let pid = machine.process_of(moment.event().tid())?;
        let session = machine.process(pid).filter(|_| machine.is_uniform(pid))?.sid;
        let fails = self.fails(moment);
        let (Ok(pid), Ok(session)) = (pid.try_into(), session.try_into()) else { return None };
        (fails != 0).then_some(Verdict { pid, session, at, fails })
    }
}

/// What is false of a process as it was at some time: from then on until it executes a program or begins a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The process.
    pub pid: u32,
    /// Its session.
    pub session: u32,
    /// The time, in ns since the epoch, as the programs have it.
    pub at: u64,
    /// The bits of the tests that are false, as in [`Condition::Lasts`](super::early::Condition::Lasts).
    pub fails: u64,
}

/// Returns whether a test is about nothing but what lasts.
fn is_lasting(test: &Test) -> bool {
    let (mut any, mut all) = (false, true);
    let mut look = |operand: &Operand| {
        operand.fields(&mut |field| {
            any = true;
            all &= LASTING.contains(&field.name);
        });
    };
    look(&test.left);
    if let Right::Operand(right) = &test.right {
        look(right);
    }
    any && all
}

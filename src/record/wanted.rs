//! What is recorded: what was asked for, and what keeps the names in it right.

use super::{Config, Settings, self_test};
use crate::probe::{Directions, Loaded, Options, ProbeError};
use scap::{
    events::SYSCALLS,
    select::{Asked, Selection, SyscallSet, Tracepoint, TracepointSet},
};

/// What was asked for, and whether that is all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// The calls; `None`: all of them.
    syscalls: Option<SyscallSet>,
    directions: Directions,
    tracepoints: TracepointSet,
    /// Nothing besides.
    only: bool,
}

impl Wanted {
    pub(super) fn new(config: &Config) -> Wanted {
        Wanted {
            syscalls: config.syscalls,
            directions: config.probe.directions,
            tracepoints: config.probe.tracepoints,
            only: config.only,
        }
    }

    /// The same after a change of settings.
    pub(super) fn changed(self, settings: &Settings) -> Wanted {
        Wanted { syscalls: settings.syscalls, only: settings.only, ..self }
    }

    /// The same with more calls.
    pub(super) fn and(self, calls: SyscallSet) -> Wanted {
        Wanted { syscalls: self.syscalls.map(|set| set.union(&calls)), ..self }
    }

    /// Whether a reader has to know names that it does not where it was `before`.
    pub(super) fn needs_new_names(&self, before: &Wanted) -> bool {
        !self.only && self.selection().follows_more_than(&before.selection())
    }

    /// What a reader is to be told.
    pub(super) fn asked(&self) -> Asked {
        let Directions { enter, exit } = self.directions;
        Asked { syscalls: self.syscalls, enter, exit, tracepoints: self.tracepoints }
    }

    fn has_companions(&self) -> bool {
        !self.only && !self.asked().is_everything()
    }

    fn selection(&self) -> Selection {
        let calls = self.syscalls.unwrap_or_else(|| SYSCALLS.iter().collect());
        let of = |wanted| if wanted { calls } else { SyscallSet::none() };
        let asked = Selection {
            enter: of(self.directions.enter),
            exit: of(self.directions.exit),
            ..Selection::default()
        };
        if self.has_companions() { asked.with_companions() } else { asked }
    }

    fn tracepoints(&self) -> TracepointSet {
        let mut tracepoints = self.tracepoints;
        if self.has_companions() {
            tracepoints.insert(Tracepoint::SchedProcessExit);
        }
        tracepoints
    }

    /// What a recording has to load, and the probe's options for it.
    pub(super) fn to_load(self, config: &Config, targets: u32) -> anyhow::Result<(Selection, Options)> {
        let mut load = self;
        if config.selectable {
            (load.syscalls, load.only) = (None, false);
        }
        if config.self_test {
            load = load.and([self_test::call()?].into_iter().collect());
        }
        let mut tracepoints = load.tracepoints();
        if config.selectable {
            tracepoints.insert(Tracepoint::SchedProcessExit);
        }
        let unknown_calls = config.selectable || config.syscalls.is_none();
        let options = Options { targets, tracepoints, unknown_calls, ..config.probe.clone() };
        Ok((load.selection(), options))
    }

    /// Records this, and nothing else, from now on.
    pub(super) fn select(&self, probe: &Loaded) -> Result<(), ProbeError> {
        probe.select_events(&self.selection())?;
        probe.select_unknown(self.syscalls.is_none())?;
        probe.control().set_tracepoints(self.tracepoints())
    }
}

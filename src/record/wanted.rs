//! The selection of a recording: the requested events, and those that keep their names right.

use super::{Config, settings::LiveSettings};
use crate::probe::{Directions, Loaded, ProbeError, ProbeOptions};
use scap::{
    events::{SYSCALLS, Syscall},
    select::{Asked, Selection, SyscallSet, Tracepoint, TracepointSet},
};

/// The requested events, and whether to record only them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// The calls; `None` for all.
    syscalls: Option<SyscallSet>,
    directions: Directions,
    tracepoints: TracepointSet,
    /// Whether events have their extensions.
    extensions: bool,
    /// Record nothing else.
    only: bool,
}

impl Wanted {
    pub(super) fn new(config: &Config) -> Wanted {
        Wanted {
            syscalls: config.syscalls,
            directions: config.probe.directions,
            tracepoints: config.probe.tracepoints,
            extensions: config.probe.extensions,
            only: config.only,
        }
    }

    /// Returns the selection after a change of settings.
    pub(super) fn changed(self, settings: &LiveSettings) -> Wanted {
        let LiveSettings { syscalls, only, extensions, .. } = *settings;
        Wanted { syscalls, only, extensions, ..self }
    }

    /// Returns the selection with these calls added.
    pub(super) fn and(self, calls: SyscallSet) -> Wanted {
        Wanted { syscalls: self.syscalls.map(|set| set.union(&calls)), ..self }
    }

    /// Returns whether a reader needs names that the selection `before` did not follow.
    pub(super) fn needs_new_names(&self, before: &Wanted) -> bool {
        !self.only && self.selection().follows_more_than(&before.selection())
    }

    /// Returns what the file says was requested.
    pub(super) fn asked(&self) -> Asked {
        let Directions { enter, exit } = self.directions;
        let Wanted { syscalls, tracepoints, extensions, .. } = *self;
        Asked { syscalls, enter, exit, tracepoints, extensions }
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
        if !self.has_companions() {
            return asked;
        }
        let mut selection = asked.with_companions();
        if !self.extensions {
            // Generic events alone do not tell what their calls change.
            let calls = selection.for_names.calls;
            selection.for_names.calls = calls.iter().filter(|call| call.exit().is_some()).collect();
        }
        selection
    }

    fn tracepoints(&self) -> TracepointSet {
        let mut tracepoints = self.tracepoints;
        if self.has_companions() {
            tracepoints.insert(Tracepoint::SchedProcessExit);
        }
        tracepoints
    }

    /// Returns what a recording has to load, with the call that a self-test makes, and the probe's options for it.
    pub(super) fn to_load(
        self,
        config: &Config,
        targets: u32,
        test: Option<&'static Syscall>,
    ) -> (Selection, ProbeOptions) {
        let mut load = self;
        if config.selectable {
            (load.syscalls, load.only) = (None, false);
        }
        if let Some(call) = test {
            load = load.and([call].into_iter().collect());
        }
        let mut tracepoints = load.tracepoints();
        if config.selectable {
            tracepoints.insert(Tracepoint::SchedProcessExit);
        }
        let unknown_calls = config.selectable || config.syscalls.is_none();
        let options = ProbeOptions { targets, tracepoints, unknown_calls, ..config.probe.clone() };
        (load.selection(), options)
    }

    /// Records this selection only, from now on.
    pub(super) fn select(&self, probe: &Loaded) -> Result<(), ProbeError> {
        probe.select_events(&self.selection())?;
        probe.select_unknown(self.syscalls.is_none())?;
        probe.control().set_tracepoints(self.tracepoints())
    }
}

#[cfg(test)]
mod tests;

//! The selection of a recording: the requested events, and those that keep their names right.

use std::sync::Arc;

use super::{Config, settings::LiveSettings, sieve::Sieve};
use crate::probe::{Directions, KernelFilter, Loaded, ProbeError, ProbeOptions};
use scap::{
    events::{SYSCALLS, Syscall},
    filter::{
        Filter, Places,
        early::{Subject, Test},
    },
    select::{Asked, Selection, SyscallSet, Tracepoint, TracepointSet},
};

/// The requested events, and whether to record only them.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// The calls; `None` for all.
    syscalls: Option<SyscallSet>,
    directions: Directions,
    tracepoints: TracepointSet,
    /// Whether events have their extensions.
    extensions: bool,
    /// Record nothing else.
    only: bool,
    /// The filter, and where its parts are decided.
    filter: Option<Arc<(Filter, Places)>>,
    /// Calls that are recorded whatever the filter says.
    besides: SyscallSet,
}

impl Wanted {
    pub(super) fn new(config: &Config) -> Wanted {
        Wanted {
            syscalls: config.syscalls,
            directions: config.probe.directions,
            tracepoints: config.probe.tracepoints,
            extensions: config.probe.extensions,
            only: config.only,
            filter: config.filter.as_ref().map(placed),
            besides: SyscallSet::none(),
        }
    }

    /// Returns the selection after a change of settings.
    pub(super) fn changed(&self, settings: &LiveSettings) -> Wanted {
        let filter = match (&self.filter, &settings.filter) {
            (Some(own), Some(filter)) if own.0 == *filter => Some(own.clone()),
            (_, filter) => filter.as_ref().map(placed),
        };
        let LiveSettings { syscalls, only, extensions, .. } = *settings;
        Wanted { syscalls, only, extensions, filter, ..self.clone() }
    }

    /// Returns the selection with these calls added.
    pub(super) fn and(&self, calls: SyscallSet) -> Wanted {
        let syscalls = self.syscalls.map(|set| set.union(&calls));
        Wanted { syscalls, besides: calls, ..self.clone() }
    }

    /// Returns the filter, to run beside the recording.
    pub(super) fn sieve(&self) -> Option<Sieve> {
        self.filter.as_ref().map(|filter| Sieve::new(&filter.0, self.only))
    }

    /// Returns what the kernel decides of the filter, once all threads are known. In a pid namespace of its own, the recorder
    /// does not know the parents outside of it.
    pub(super) fn in_kernel(&self, sees_all_parents: bool) -> KernelFilter {
        let is_known =
            |test: &Test| sees_all_parents || !matches!(test.subject, Subject::Parent | Subject::Ancestor(_));
        let of = |places: &Places| KernelFilter {
            clauses: places.early().iter().filter(|clause| clause.iter().all(is_known)).cloned().collect(),
            kept: places.kept(!self.only),
            arguments: places.arguments().clone(),
        };
        self.filter.as_ref().map(|filter| of(&filter.1)).unwrap_or_default()
    }

    /// Returns the text of the filter.
    pub(super) fn filter_text(&self) -> Option<String> {
        self.filter.as_ref().map(|filter| filter.0.to_string())
    }

    /// Returns whether nothing is recorded only to keep names right.
    pub(super) fn only(&self) -> bool {
        self.only
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

    /// Returns what is recorded.
    pub(super) fn selection(&self) -> Selection {
        let calls = self.syscalls.unwrap_or_else(|| SYSCALLS.iter().collect());
        let of = |wanted| if wanted { calls } else { SyscallSet::none() };
        let asked = Selection {
            enter: of(self.directions.enter),
            exit: of(self.directions.exit),
            ..Selection::default()
        };
        let mut selection = if self.has_companions() { asked.with_companions() } else { asked };
        if let Some(filter) = &self.filter {
            selection = filter.1.narrow(&selection, !self.only);
            let and = |set: &mut SyscallSet, wanted| {
                if wanted {
                    *set = set.union(&self.besides);
                }
            };
            and(&mut selection.enter, self.directions.enter);
            and(&mut selection.exit, self.directions.exit);
        }
        if !self.extensions {
            // Generic events alone do not tell what their calls change.
            let calls = selection.for_names.calls;
            selection.for_names.calls = calls.iter().filter(|call| call.exit().is_some()).collect();
        }
        selection
    }

    /// Returns the tracepoints that are recorded.
    pub(super) fn tracepoints(&self) -> TracepointSet {
        let mut tracepoints = self.tracepoints;
        if let Some(filter) = &self.filter {
            tracepoints = filter.1.narrow_tracepoints(tracepoints);
        }
        let follows = self.filter.as_ref().is_some_and(|filter| !self.only || filter.1.takes_recorder());
        if self.has_companions() || follows {
            tracepoints.insert(Tracepoint::SchedProcessExit);
        }
        tracepoints
    }

    /// Returns what a recording has to load, with the call that a self-test makes, and the probe's options for it.
    pub(super) fn to_load(
        &self,
        config: &Config,
        targets: u32,
        test: Option<&'static Syscall>,
    ) -> (Selection, ProbeOptions) {
        let mut load = self.clone();
        if config.selectable {
            (load.syscalls, load.only, load.filter) = (None, false, None);
        }
        if let Some(call) = test {
            load = load.and([call].into_iter().collect());
        }
        let mut tracepoints = load.tracepoints();
        if config.selectable {
            tracepoints.insert(Tracepoint::SchedProcessExit);
        }
        let unknown_calls = config.selectable || config.syscalls.is_none();
        let filters = config.selectable || config.filter.is_some();
        let options = ProbeOptions { targets, tracepoints, unknown_calls, filters, ..config.probe.clone() };
        (load.selection(), options)
    }

    /// Records this selection only, from now on.
    pub(super) fn select(&self, probe: &Loaded) -> Result<(), ProbeError> {
        probe.select_events(&self.selection())?;
        let is_unknown_wanted = self.filter.as_ref().is_none_or(|filter| filter.1.takes_unknown_calls());
        probe.select_unknown(self.syscalls.is_none() && is_unknown_wanted)?;
        probe.control().set_tracepoints(self.tracepoints())
    }
}

fn placed(filter: &Filter) -> Arc<(Filter, Places)> {
    Arc::new((filter.clone(), Places::of(filter)))
}

#[cfg(test)]
mod tests;

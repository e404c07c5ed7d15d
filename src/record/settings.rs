//! What can change while a recording runs.

use super::Config;
use crate::{
    output::Retention,
    probe::{DynamicSnaplen, SampleRatio},
};
use scap::{filter::Filter, select::SyscallSet};

/// The settings that can change while a recording runs. The rest of a [`Config`](super::Config) is fixed at its start.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveSettings {
    /// The calls; `None` for all, including those that the tables do not know.
    pub syscalls: Option<SyscallSet>,
    /// Record only the events that match.
    pub filter: Option<Filter>,
    /// Record nothing else: see [`Config::only`].
    pub only: bool,
    /// Maximum number of data bytes that an event keeps.
    pub snaplen: u32,
    /// Traffic of which more data is kept.
    pub dynamic_snaplen: Option<DynamicSnaplen>,
    /// Record the extensions of events.
    pub extensions: bool,
    /// Leave out the exit events of calls that failed.
    pub drop_failed: bool,
    /// Record only a part of each second.
    pub sampling: Option<SampleRatio>,
    /// Which files of a series are kept; `None` leaves this unchanged.
    pub retention: Option<Retention>,
}

impl From<&Config> for LiveSettings {
    fn from(config: &Config) -> LiveSettings {
        LiveSettings {
            syscalls: config.syscalls,
            filter: config.filter.clone(),
            only: config.only,
            snaplen: config.probe.snaplen,
            dynamic_snaplen: config.probe.dynamic_snaplen,
            extensions: config.probe.extensions,
            drop_failed: config.probe.drop_failed,
            sampling: config.probe.sampling,
            retention: config.files.as_ref().map(|files| files.retention),
        }
    }
}

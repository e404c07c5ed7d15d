//! Those who follow a recording and ask things of it.

use std::{sync::Arc, time::Duration};

use super::{
    LiveSettings, Observer, Requests, Status,
    drain::Drain,
    first_state::Scanning,
    handle::{Answer, HandleRequest},
    state::Scan,
    status::Watch,
    wanted::Wanted,
};
use crate::{
    flight::PressureWatch,
    probe::{Active, KernelFilter, Loaded},
};
use scap::ledger::{Trigger, TriggerKind};

/// Maximum number of pending rotation requests, more than are ever waited for at once.
const ROTATING: usize = 64;

/// The observer of the recording, and the requests to it.
pub(super) struct Audience<'a> {
    pub requests: Requests,
    pub observer: &'a mut dyn Observer,
    pub watch: Watch,
    /// Callers that wait for the next file.
    pub rotating: Vec<Answer>,
    /// The current selection.
    pub wanted: Wanted,
    /// The state of the machine for a new filter, while it is being read.
    pub scanning: Option<Scanning>,
    /// Whether the kernel has its part of the filter.
    pub filters_early: bool,
    /// Tells when tasks wait, if dumps are made then.
    pub pressure: Option<PressureWatch>,
    /// How long dumps of the events in memory go on after their trigger; `None` if none are kept.
    pub after: Option<Duration>,
}

impl Audience<'_> {
    pub fn serve(&mut self, active: &Active, drain: &mut Drain, scan: &Scan) -> anyhow::Result<()> {
        while let Some(request) = self.requests.next() {
            // The caller may no longer wait for the answer.
            let _ = match request {
                HandleRequest::Change(settings, answer) => {
                    if let Some(retention) = settings.retention {
                        drain.progress().set_retention(retention);
                    }
                    answer.send(self.change(active.probe(), &settings, drain))
                }
                HandleRequest::Dump(trigger, after, answer) => {
                    let done = match after.or(self.after) {
                        Some(after) if self.after.is_some() => {
                            dump(drain, trigger, after);
                            Ok(())
                        }
                        _ => Err("the recording keeps no events in memory (--keep)".to_owned()),
                    };
                    answer.send(done)
                }
                HandleRequest::Rotate(answer) if drain.ask_rotation() => {
                    // The oldest callers have timed out by then.
                    if self.rotating.len() >= ROTATING {
                        self.rotating.remove(0);
                    }
                    self.rotating.push(answer);
                    Ok(())
                }
                HandleRequest::Rotate(answer) => answer.send(Err(match self.after {
                    Some(_) => "the recording keeps events in memory: ask for a dump",
                    None => "the recording goes to a single file",
                }
                .to_owned())),
            };
        }
        if let (Some(after), true) = (self.after, self.requests.asks_for_dump()) {
            dump(
                drain,
                Trigger { by: TriggerKind::Signal, reason: "SIGUSR1".into(), ..Trigger::default() },
                after,
            );
        }
        let pressures = self.pressure.as_ref().map(PressureWatch::take).unwrap_or_default();
        for trigger in pressures {
            dump(drain, trigger, self.after.unwrap_or_default());
        }
        self.scan_if_needed(drain, scan)?;
        self.filter_early(active, drain);
        if !self.rotating.is_empty() && drain.has_rotated() {
            for answer in self.rotating.drain(..) {
                let _ = answer.send(Ok(()));
            }
        }
        if self.watch.is_due() {
            let status = self.publish(active, drain);
            self.observer.tick(&status);
        }
        Ok(())
    }

    /// Reads the state of the machine for a filter that waits for it, on a thread of its own.
    fn scan_if_needed(&mut self, drain: &mut Drain, scan: &Scan) -> anyhow::Result<()> {
        if self.scanning.as_ref().is_some_and(Scanning::is_finished) {
            self.end_scan(drain)?;
        }
        if drain.needs_state() && self.scanning.is_none() {
            self.scanning = Some(Scanning::begin(scan)?);
        }
        Ok(())
    }

    /// Gives the state that is being read to the filter, if it waits for one.
    pub fn end_scan(&mut self, drain: &mut Drain) -> anyhow::Result<()> {
        match self.scanning.take() {
            Some(scanning) => Ok(drain.begin_filter(&scanning.finish()?)?),
            None => Ok(()),
        }
    }

    /// Lets the kernel leave out what cannot match, as soon as the recorder knows all threads.
    pub fn filter_early(&mut self, active: &Active, drain: &mut Drain) {
        let control = active.probe().control();
        if !self.filters_early && !drain.needs_state() && !drain.changes_filter() {
            let sees_all_parents = !active.probe().tasks().are_translated();
            control.set_filter(&self.wanted.in_kernel(sees_all_parents));
            self.filters_early = true;
            drain.begin_verdicts();
        }
        // Those of a filter that is to be replaced are about other tests.
        let verdicts = drain.take_verdicts();
        if self.filters_early {
            verdicts.iter().for_each(|verdict| control.set_verdict(verdict));
        }
    }

    fn change(&mut self, probe: &Loaded, settings: &LiveSettings, drain: &mut Drain) -> Result<(), String> {
        let wanted = self.wanted.changed(settings);
        let filters_anew =
            wanted.filter_text() != self.wanted.filter_text() || wanted.only() != self.wanted.only();
        if filters_anew {
            // Events up to the change are those of the filter before, and events from there on those of the next.
            probe.control().set_filter(&KernelFilter::default());
            self.filters_early = false;
        }
        wanted.select(probe).map_err(|e| e.to_string())?;
        if wanted.asked() != self.wanted.asked() {
            drain.change_what_is_asked(wanted.asked(), probe.now());
        }
        if filters_anew {
            drain.change_filter(wanted.sieve(), probe.now());
        }
        if wanted.needs_new_names(&self.wanted) {
            // A new file starts with these names in its state. A single file cannot get them.
            drain.ask_rotation();
        }
        self.wanted = wanted;
        let control = probe.control();
        control.set_snaplen(settings.snaplen);
        control.set_dynamic_snaplen(settings.dynamic_snaplen);
        control.set_extensions(settings.extensions);
        control.set_drop_failed(settings.drop_failed);
        control.set_sampling(settings.sampling);
        Ok(())
    }

    pub fn publish(&mut self, active: &Active, drain: &Drain) -> Arc<Status> {
        let status = Arc::new(self.watch.look(active.probe(), drain));
        self.requests.publish(status.clone());
        status
    }
}

fn dump(drain: &mut Drain, trigger: Trigger, after: Duration) {
    let after = u64::try_from(after.as_nanos()).unwrap_or(u64::MAX);
    drain.trigger(Trigger { after, ..trigger });
}

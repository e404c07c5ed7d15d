//! Which events make a dump: the filters, asked about each event in order, with the machine at it.

use super::{Flight, RateTrigger, ns, rate::Rate, watcher::Watcher};
use scap::{
    fields::Need,
    filter::Filter,
    format::MachineState,
    ledger::{Trigger, TriggerKind},
};

/// A filter is quiet for this long (ns) after an event that matched: a notice of each would fill the window.
const QUIET: u64 = 1_000_000_000;

/// The filters of a flight recorder.
#[derive(Debug)]
pub struct Triggers {
    /// In the order of the filters that are asked.
    rules: Vec<Rule>,
    watcher: Watcher,
    /// How long dumps go on, in ns.
    after: u64,
}

#[derive(Debug)]
struct Rule {
    by: TriggerKind,
    reason: String,
    rate: Option<Rate>,
    /// The time of the last event that made a dump, in ns since the epoch.
    last: Option<u64>,
}

impl Triggers {
    /// Prepares the filters.
    pub fn new(flight: &Flight) -> Triggers {
        let filters = flight.triggers.iter().map(|filter| Rule::new(TriggerKind::Filter, filter, None));
        let rates = flight.rates.iter().map(|RateTrigger { filter, count, within }| {
            let rule = Rule::new(TriggerKind::Rate, filter, Some(Rate::new(*count, ns(*within))));
            Rule { reason: format!("{count} in {within:?}: {}", rule.reason), ..rule }
        });
        let rules = filters.chain(rates).collect();
        let asked = flight.triggers.iter().chain(flight.rates.iter().map(|rate| &rate.filter));
        Triggers { rules, watcher: Watcher::new(asked, Need::Event), after: ns(flight.after) }
    }

    /// Starts with this state of the machine.
    pub fn start(&mut self, state: &MachineState) {
        if !self.rules.is_empty() {
            self.watcher.start(state);
        }
    }

    /// Asks about the events of some blocks, in order. Returns what matches, and where the block of each ends.
    pub fn look(&mut self, blocks: &[u8]) -> Vec<(usize, Trigger)> {
        let mut found = Vec::new();
        if self.rules.is_empty() {
            return found;
        }
        let Triggers { rules, watcher, after } = self;
        watcher.look(blocks, |block, moment, matchers| {
            let (ty, at) = (moment.event().ty(), moment.event().ts());
            for (rule, matcher) in rules.iter_mut().zip(matchers) {
                if matcher.matches(ty, moment) && rule.is_due(at) {
                    let (by, reason) = (rule.by, rule.reason.clone());
                    found.push((block.end, Trigger { by, at, after: *after, reason }));
                }
            }
        });
        found
    }
}

impl Rule {
    fn new(by: TriggerKind, filter: &Filter, rate: Option<Rate>) -> Rule {
        Rule { by, reason: filter.to_string().replace('\n', " "), rate, last: None }
    }

    /// Returns whether a matching event of this time makes a dump.
    fn is_due(&mut self, ts: u64) -> bool {
        let is_reached = self.rate.as_mut().is_none_or(|rate| rate.take(ts));
        let is_quiet = self.last.is_some_and(|last| ts.saturating_sub(last) < QUIET);
        if is_reached && !is_quiet {
            self.last = Some(ts);
        }
        is_reached && !is_quiet
    }
}

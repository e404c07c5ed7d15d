//! Which events make a dump: the filters, asked about each event in order, with the machine at it.

use super::{Flight, RateTrigger, rate::Rate};
use scap::{
    events::{EVENTS, EventType, Extends, SYSCALLS},
    fields::{Fields, Need},
    filter::{Decided, Filter, Matcher, Places},
    format::{BlockEvent, EventBlocks, MachineState},
    ledger::{Trigger, TriggerKind},
    model::may_change,
    replay::Follow,
};

/// A filter is quiet for this long (ns) after an event that matched: a notice of each would fill the window.
const QUIET: u64 = 1_000_000_000;

/// The filters of a flight recorder.
#[derive(Debug)]
pub struct Triggers {
    rules: Vec<Rule>,
    /// Follows the events, if there are filters.
    follow: Option<Follow>,
    /// By type: whether an event has to be looked at, because it can match, or because the state that filters need can change.
    looked_at: Vec<bool>,
    /// How long dumps go on, in ns.
    after: u64,
}

#[derive(Debug)]
struct Rule {
    by: TriggerKind,
    reason: String,
    matcher: Matcher,
    places: Places,
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
        let rules: Vec<_> = filters.chain(rates).collect();
        let of = |rule: &Rule| if rule.places.takes_recorder() { rule.places.need() } else { Need::Event };
        let need = rules.iter().map(of).max().unwrap_or(Need::Event);
        let looked_at = EVENTS.iter().map(|row| {
            let needed = match need {
                Need::Event => false,
                Need::State => may_change(row.ty),
                Need::Call | Need::Everything => true,
            };
            needed || rules.iter().any(|rule| rule.can_match(row.ty))
        });
        Triggers { looked_at: looked_at.collect(), follow: None, after: ns(flight.after), rules }
    }

    /// Starts with this state of the machine.
    pub fn start(&mut self, state: &MachineState) {
        self.follow = (!self.rules.is_empty()).then(|| Follow::new(state));
    }

    /// Asks about the events of some blocks, in order. Returns what matches, and where the block of each ends.
    pub fn look(&mut self, blocks: &[u8]) -> Vec<(usize, Trigger)> {
        let mut found = Vec::new();
        let Some(mut follow) = self.follow.take() else { return found };
        for block in EventBlocks::new(blocks).filter(|block| !is_extension(block.ty())) {
            if self.looked_at.get(usize::from(block.ty().0)) == Some(&false) {
                continue;
            }
            let Some(BlockEvent { cpu, event, end, .. }) = block.event() else { continue };
            let moment = follow.event(cpu, event);
            for rule in &mut self.rules {
                if rule.matcher.matches(moment.event().ty(), &moment) && rule.is_due(event.ts()) {
                    let (by, reason) = (rule.by, rule.reason.clone());
                    found.push((end, Trigger { by, at: event.ts(), after: self.after, reason }));
                }
            }
        }
        self.follow = Some(follow);
        found
    }
}

impl Rule {
    fn new(by: TriggerKind, filter: &Filter, rate: Option<Rate>) -> Rule {
        let (matcher, places) = (Matcher::new(filter, &Fields), Places::of(filter));
        Rule { by, reason: filter.to_string().replace('\n', " "), matcher, places, rate, last: None }
    }

    /// Returns whether an event of this type can match.
    fn can_match(&self, ty: EventType) -> bool {
        let mut codes = SYSCALLS.iter().map(|call| call.code).chain([0]);
        match ty.is_generic() {
            true => codes.any(|code| self.places.decided(ty, || code) != Decided::NoMatch),
            false => self.places.decided(ty, || 0) != Decided::NoMatch,
        }
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

fn is_extension(ty: EventType) -> bool {
    Extends::of(ty).is_some_and(|extends| extends != Extends::Nothing)
}

fn ns(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

//! Asks filters about the events of blocks, in order, with the machine at each.

use scap::{
    events::{EVENTS, EventType, SYSCALLS},
    fields::{Fields, Need},
    filter::{Decided, Filter, Matcher, Places},
    format::{BlockEvent, EventBlocks, MachineState},
    model::may_change,
    replay::{Follow, Moment},
};

/// Some filters, and the machine that they are asked about.
#[derive(Debug)]
pub struct Watcher {
    matchers: Vec<Matcher>,
    follow: Follow,
    /// By type: whether an event has to be looked at, because it can match, or because the state that is needed can change.
    looked_at: Vec<bool>,
}

impl Watcher {
    /// Prepares filters, and what needs the machine as `least` says in any case.
    pub fn new<'a>(filters: impl Iterator<Item = &'a Filter>, least: Need) -> Watcher {
        let (matchers, places): (Vec<_>, Vec<_>) =
            filters.map(|filter| (Matcher::new(filter, &Fields), Places::of(filter))).unzip();
        let of = |places: &Places| if places.takes_recorder() { places.need() } else { Need::Event };
        let need = places.iter().map(of).fold(least, Need::max);
        let looked_at = EVENTS.iter().map(|row| {
            let needed = match need {
                Need::Event => false,
                Need::State => may_change(row.ty),
                Need::Call | Need::Everything => true,
            };
            needed || places.iter().any(|places| can_match(places, row.ty))
        });
        Watcher { looked_at: looked_at.collect(), follow: Follow::default(), matchers }
    }

    /// Starts with this state of the machine.
    pub fn start(&mut self, state: &MachineState) {
        self.follow = Follow::new(state);
    }

    /// Shows the events of some blocks that have to be looked at, in order, each with the machine at it, and with the filters in
    /// their order.
    pub fn look(
        &mut self,
        blocks: &[u8],
        mut show: impl FnMut(&BlockEvent<'_>, &Moment<'_>, &mut [Matcher]),
    ) {
        for block in EventBlocks::new(blocks).filter(|block| !block.ty().is_extension()) {
            if self.looked_at.get(usize::from(block.ty().0)) == Some(&false) {
                continue;
            }
            let Some(found) = block.event() else { continue };
            let moment = self.follow.event(found.cpu, found.event);
            show(&found, &moment, &mut self.matchers);
        }
    }
}

/// Returns whether an event of this type can match.
fn can_match(places: &Places, ty: EventType) -> bool {
    let mut codes = SYSCALLS.iter().map(|call| call.code).chain([0]);
    match ty.is_generic() {
        true => codes.any(|code| places.decided(ty, || code) != Decided::NoMatch),
        false => places.decided(ty, || 0) != Decided::NoMatch,
    }
}

use std::time::Duration;

use scapd::probe::Directions;

use super::look_at;
use crate::harness::Test;

fn wakes(t: &mut Test, directions: Directions) {
    t.directions(directions);
    t.change(|control| control.set_wakeup(true));
    let look = || _ = look_at(c"/");
    assert!(t.is_woken_by(look, Duration::from_secs(30)), "the event woke nobody");
    // The default: the rings are empty, and the waiting thread sleeps through the event.
    t.change(|control| control.set_wakeup(false));
    assert!(!t.is_woken_by(look, Duration::from_millis(500)), "nobody asked to be woken");
}

pub fn by_an_event_of_fixed_size(t: &mut Test) {
    wakes(t, Directions { enter: true, exit: false });
}

pub fn by_an_event_of_variable_size(t: &mut Test) {
    wakes(t, Directions { enter: false, exit: true });
}

//! What passes through a filter, and what is counted.

use super::*;
use scap::{
    events::event_by_program,
    format::{EventBuilder, Value},
};

fn event(program: &str, ts: u64, tid: u64, params: &[Value<'_>]) -> Vec<u8> {
    let row = event_by_program(program).unwrap();
    let builder = EventBuilder::new(row, ts, tid);
    params.iter().fold(builder, |builder, value| builder.param(*value).unwrap()).build_short().unwrap()
}

fn sieve(text: &str, only: bool) -> Sieve {
    Sieve::new(&Filter::parse(text, &Fields).unwrap(), only)
}

fn take(sieve: &mut Sieve, bytes: &[u8], ts: u64) {
    sieve.take(&RawEvent { cpu: 0, late: false, bytes, extensions: &[] }, ts, &mut Judge::default());
}

/// Returns the types of the events that are passed on, and whether each is wanted.
fn passed(sieve: &mut Sieve, now: u64) -> Vec<(u16, bool)> {
    std::iter::from_fn(|| sieve.next(now)).map(|e| (e.view().unwrap().ty().0, e.is_wanted)).collect()
}

fn ty(program: &str) -> u16 {
    event_by_program(program).unwrap().ty.0
}

/// The events of a read of `result` bytes.
fn read(sieve: &mut Sieve, ts: u64, result: i64) {
    take(sieve, &event("read_e", ts, 7, &[Value::Fd(3)]), ts);
    take(sieve, &event("read_x", ts + 10, 7, &[Value::Errno(result)]), ts + 10);
}

#[test]
fn the_enter_event_of_a_call_follows_its_exit_event() {
    let mut sieve = sieve("evt.rawres > 5", false);
    read(&mut sieve, 100, 9);
    read(&mut sieve, 200, 1);
    assert_eq!(passed(&mut sieve, 300), [(ty("read_e"), false), (ty("read_x"), true)]);
    assert_eq!((sieve.left_out(), sieve.pending()), (2, 0));
}

#[test]
fn a_call_that_does_not_return_waits_only_so_long() {
    let mut sieve = sieve("evt.rawres > 5", false);
    take(&mut sieve, &event("read_e", 100, 7, &[Value::Fd(3)]), 100);
    assert!(passed(&mut sieve, 100 + PATIENCE).is_empty());
    assert_eq!((sieve.left_out(), sieve.pending()), (0, 1));
    assert_eq!(passed(&mut sieve, 101 + PATIENCE), [(ty("read_e"), false)]);
    // Its exit event is written too, for the pair.
    take(&mut sieve, &event("read_x", 900, 7, &[Value::Errno(1)]), 900);
    assert_eq!(passed(&mut sieve, 900), [(ty("read_x"), false)]);
    // At the end, nothing waits for it.
    take(&mut sieve, &event("read_e", 1000, 7, &[Value::Fd(3)]), 1000);
    sieve.settle(false);
    assert_eq!((passed(&mut sieve, 0), sieve.left_out(), sieve.pending()), (Vec::new(), 1, 0));
}

#[test]
fn what_changes_the_state_is_passed_on_for_names() {
    for only in [false, true] {
        let mut sieve = sieve("evt.rawres > 5", only);
        take(&mut sieve, &event("close_x", 100, 7, &[Value::Errno(0)]), 100);
        assert_eq!(passed(&mut sieve, 200), if only { vec![] } else { vec![(ty("close_x"), false)] });
        assert_eq!(sieve.left_out(), u64::from(only));
    }
}

#[test]
fn the_type_may_be_enough() {
    let mut sieve = sieve("evt.type = read and evt.dir = <", false);
    assert!(!sieve.needs_state());
    read(&mut sieve, 100, 9);
    assert_eq!(passed(&mut sieve, 100), [(ty("read_e"), false), (ty("read_x"), true)]);
}

#[test]
fn events_wait_for_the_state_of_the_machine() {
    let mut first = sieve("proc.name = x or evt.rawres > 5", false);
    assert!(first.needs_state() && first.has_room());
    read(&mut first, 100, 9);
    assert_eq!((passed(&mut first, u64::MAX), first.pending(), first.left_out()), (Vec::new(), 2, 0));
    first.begin(&MachineState::default(), &mut Judge::default());
    assert_eq!(passed(&mut first, 200).len(), 2);
    // The next filter has the same machine.
    let mut next = sieve("proc.name = y", false);
    next.inherit(first);
    assert!(!next.needs_state());
    let mut more = sieve("evt.num > 5", false);
    more.inherit(next);
    assert!(more.needs_state(), "the machine has not seen all events");
}

#[test]
fn an_event_has_the_time_that_is_written() {
    let mut sieve = sieve("evt.rawtime = 500", false);
    take(&mut sieve, &event("close_x", 100, 7, &[Value::Errno(0)]), 500);
    let event = sieve.next(500).unwrap();
    assert!(event.is_wanted);
    assert_eq!((event.view().unwrap().ts(), event.raw().1), (500, 500));
}

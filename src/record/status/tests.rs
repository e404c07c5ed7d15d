use super::*;

#[test]
fn pending_events_were_taken_and_not_written() {
    let pending = |taken, written| Status { taken, written, ..Status::default() }.pending();
    assert_eq!((pending(9, 4), pending(4, 4), pending(4, 9)), (5, 0, 0));
}

#[test]
fn a_status_is_due_after_the_interval() {
    let mut watch = Watch::new(None);
    assert!(!watch.is_due());
    watch.looked -= INTERVAL;
    assert!(watch.is_due());
}

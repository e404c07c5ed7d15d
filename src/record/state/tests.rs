use super::*;
use scap::format::state::{Fd, FdList};

fn own_descriptors(scan: &Scan) -> Option<Vec<Fd>> {
    let (state, ids) = scan.take().unwrap();
    assert!(ids.is_none(), "the tasks are not known yet");
    assert!(state.fds.len() > 1);
    let own = u64::from(std::process::id());
    state.fds.into_iter().find(|list| list.pid == own).map(|FdList { fds, .. }| fds)
}

#[test]
fn own_descriptors_are_listed_only_on_request() {
    assert_eq!(own_descriptors(&Scan::new(false, true)), None);
    assert!(own_descriptors(&Scan::new(true, true)).is_some_and(|fds| fds.len() > 2));
}

#[test]
fn the_state_has_the_boot_time_of_the_events() {
    let scan = Scan::new(false, true);
    let boot_time = |scan: &Scan| scan.take().unwrap().0.machine.boot_time;
    let found = boot_time(&scan);
    assert!(found > 0, "the one in /proc");
    scan.set_boot_time(found + 500_000_000_000);
    assert_eq!(boot_time(&scan), found + 500_000_000_000);
}

#[test]
fn an_encoded_state_is_more_than_its_machine() {
    let (state, ids) = Scan::new(false, true).take().unwrap();
    let bytes = |state: &MachineState| Scan::new(false, true).bytes(state).unwrap();
    let (whole, empty) = (bytes(&translated(state, ids)), bytes(&MachineState::default()));
    assert!(whole.len() > empty.len() + 1000, "{} bytes, {} of them for nothing", whole.len(), empty.len());
}

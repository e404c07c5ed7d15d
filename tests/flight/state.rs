//! The state of the machine that a dump begins with.

use super::*;
use scap::{
    format::write_state,
    model::{Machine, may_change},
};

/// Whoever follows only events of the types that may change the state has the same state.
#[test]
fn events_of_other_types_change_nothing() {
    // Starting a program takes `pread` calls.
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.scap");
    let work = "for i in 1 2 3; do (cd /; exec 5</etc/passwd; head -1 <&5 | cat; ls -l /etc); done";
    let (code, _, err) = common::run(
        common::scapd().args(["record", "-q", "-a", "-w"]).arg(&path).args(["--", "bash", "-c", work]),
    );
    assert_eq!(code, Some(0), "{err}");
    let mut reader = Reader::new(File::open(&path).unwrap()).unwrap().keep(Keep::All);
    let (mut machines, mut counts) = (None, (0, 0));
    while let Some(captured) = reader.next_event().unwrap() {
        let of_state = || Machine::of_state(captured.state, Keep::All);
        let (all, few) = machines.get_or_insert_with(|| (of_state(), of_state()));
        all.apply_on(captured.cpu, &captured.event);
        counts.0 += 1;
        if may_change(captured.event.ty()) {
            few.apply_on(captured.cpu, &captured.event);
            counts.1 += 1;
        }
    }
    let bytes = |machine: &mut Machine| {
        machine.settle();
        let mut bytes = Vec::new();
        write_state(&mut bytes, &machine.write_state()).unwrap();
        bytes
    };
    let (mut all, mut few) = machines.unwrap();
    assert!(counts.1 * 10 < counts.0 * 9 && counts.1 > 100, "{counts:?}");
    assert!(bytes(&mut all) == bytes(&mut few), "the states differ");
}

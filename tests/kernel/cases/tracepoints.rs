use crate::harness::Test;

pub fn sched_process_exit(t: &mut Test) {
    let captured = t.capture(|| {
        let status = std::process::Command::new("/bin/sh").args(["-c", "exit 7"]).status().unwrap();
        status.code().unwrap().into()
    });
    assert_eq!(captured.ret, 7);
    let events = captured.all();
    assert_eq!(events.len(), 1);
    events[0].i64("status", 7 << 8).i64("ret", 7).u8("sig", 0).u8("core", 0).i64("reaper_tid", 0);
}

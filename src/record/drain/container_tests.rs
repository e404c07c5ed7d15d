//! Tests of how containers get their names in a recording.

use std::{
    io::{Read, Write},
    os::unix::net::UnixListener,
    thread,
};

use super::{tests::drain, *};
use crate::confine::Confinement;
use scap::{
    container,
    events::event_by_program,
    format::{EventBlocks, EventBuilder, Value, state::Thread},
};

const ID: &str = "0b1c2d3e4f506172839405a6b7c8d9e00b1c2d3e4f506172839405a6b7c8d9e0";

/// A drain that asks a runtime which knows all containers, by the name `web`.
fn asking() -> (tempfile::TempDir, Drain) {
    let (folder, mut drain) = drain();
    let path = folder.path().join("podman.sock");
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap();
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            let id = request.split('/').nth(2).unwrap();
            let body = format!(r#"{{"Id":"{id}","Name":"/web"}}"#);
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        }
    });
    let socket = path.to_str().unwrap().parse().unwrap();
    drain.name_containers(Some(Lookup::start(&[socket], Confinement::Off).unwrap()));
    (folder, drain)
}

fn groups() -> String {
    format!("memory=/machine.slice/libpod-{ID}.scope\0")
}

/// The exec of a process in the container.
fn exec(drain: &mut Drain, ts: u64) {
    let row = event_by_program("execve_x").unwrap();
    let groups = groups();
    let builder = row.params.iter().fold(EventBuilder::new(row, ts, 7), |builder, param| {
        let value = match param.name {
            "res" => Value::Errno(0),
            "comm" => Value::Text(b"sh"),
            "cgroups" => Value::Bytes(groups.as_bytes()),
            _ => Value::Absent,
        };
        builder.param(value).unwrap()
    });
    let bytes = builder.build().unwrap();
    drain.write(RawEvent { cpu: 1, late: false, bytes: &bytes, extensions: &[] }, ts).unwrap();
}

/// Returns the types of the events in the current buffer, with their times.
fn events(drain: &Drain) -> Vec<(u16, u64)> {
    let blocks = EventBlocks::new(&drain.chunk.as_ref().unwrap().bytes);
    blocks.map(|block| (block.ty().0, block.event().unwrap().event.ts())).collect()
}

#[test]
fn the_container_of_a_new_process_is_told_and_not_counted() {
    let (_folder, mut drain) = asking();
    drain.start(&MachineState::default(), b"").unwrap();
    exec(&mut drain, 50);
    drain.tell_last_containers().unwrap();
    assert_eq!(events(&drain), [(293, 50), (324, 50)]);
    assert_eq!((drain.events(), drain.chunk.as_ref().unwrap().events), (1, 1));
    assert_eq!(drain.container_tally().described, 1);
    // The next file begins with it.
    drain.chunk.as_mut().unwrap().bytes.clear();
    drain.unsaid = Some(60);
    exec(&mut drain, 70);
    assert_eq!(events(&drain), [(324, 60), (293, 70)]);
}

#[test]
fn the_containers_of_the_state_are_asked_for() {
    let (_folder, mut drain) = asking();
    let thread = Thread { tid: 7, pid: 7, cgroups: groups().into(), ..Thread::default() };
    drain.start(&MachineState { threads: vec![thread], ..MachineState::default() }, b"").unwrap();
    drain.tell_last_containers().unwrap();
    assert_eq!(events(&drain).len(), 1);
    assert!(container::is_event(scap::events::EventType(events(&drain)[0].0)));
}

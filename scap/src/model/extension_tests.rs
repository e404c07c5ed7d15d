//! What the machine learns from the extensions of events.

use super::*;
use crate::{
    events::{Event, EventType, event_by_program, extension},
    format::{
        EventBuilder, EventView, Keep, MachineState, Received, Value,
        state::{NamedFd, Thread as StateThread},
    },
};

const OK: Value<'static> = Value::Errno(0);

/// Returns an event with these values and no others.
fn built(row: &'static Event, values: &[(&str, Value<'_>)]) -> Vec<u8> {
    values.iter().for_each(|(name, _)| assert!(row.param(name).is_some(), "{name}"));
    let value =
        |name| values.iter().find(|(known, _)| *known == name).map_or(Value::Absent, |(_, value)| *value);
    let builder = EventBuilder::new(row, 1, 100);
    let builder = row.params.iter().fold(builder, |builder, param| builder.param(value(param.name)).unwrap());
    builder.build_short().unwrap()
}

/// Applies an event of thread 100 with its extension.
fn apply(machine: &mut Machine, program: &str, values: &[(&str, Value<'_>)], more: &[(&str, Value<'_>)]) {
    let row = event_by_program(program).unwrap();
    let own = &extension(EventType(0x9000 + row.ty.0)).unwrap().own;
    let bytes = [built(row, values), built(own, more)].concat();
    machine.apply(&EventView::parse_joined(&bytes, false).unwrap());
}

/// Returns an entry of an fd list block with a name.
fn entry(fd: u64, ty: u8, before: &[u8], name: &[u8], after: &[u8]) -> Vec<u8> {
    let name = [&(name.len() as u16).to_ne_bytes()[..], name].concat();
    let body = [&fd.to_ne_bytes()[..], &77u64.to_ne_bytes(), &[ty], before, &name, after].concat();
    [&(body.len() as u32 + 4).to_ne_bytes()[..], &body].concat()
}

#[test]
fn received_descriptors_are_what_the_extension_says() {
    // A control message with three descriptors, of which the extension describes two.
    let mut control = 28u64.to_ne_bytes().to_vec();
    for word in [1, 1, 5, 6, 7i32] {
        control.extend(word.to_ne_bytes());
    }
    let file = entry(5, 16, &1u32.to_ne_bytes(), b"/etc/passwd", &0x1bu32.to_ne_bytes());
    let entries = [file, entry(6, 10, &[], b"anon_inode:[eventfd]", &[])].concat();
    let mut machine = Machine::default();
    let values = [("res", OK), ("msgcontrol", Value::Bytes(&control))];
    apply(&mut machine, "recvmsg_x", &values, &[("received", Value::Received(Received(&entries)))]);
    let open = machine.fd(100, 5).unwrap();
    assert_eq!(
        (&open.name[..], open.class, open.ino, open.dev),
        (&b"/etc/passwd"[..], FdClass::File, 77, 0x1b)
    );
    assert_eq!(machine.fd(100, 6).unwrap().class, FdClass::Named(NamedFd::Eventfd));
    assert!(machine.fd(100, 7).is_none());
    // What is cut off is left out.
    apply(
        &mut machine,
        "recvmsg_x",
        &values,
        &[("received", Value::Received(Received(&entries[..entries.len() - 1])))],
    );
    assert!(machine.fd(100, 5).is_some() && machine.fd(100, 6).is_none());
}

#[test]
fn a_descriptor_of_another_process_is_what_the_extension_says() {
    let mut machine = Machine::default();
    let directory = entry(9, 2, &[], b"/srv", &[]);
    let values = [("fd", Value::Fd(9)), ("pid_fd", Value::Fd(3)), ("target_fd", Value::Fd(4))];
    apply(&mut machine, "pidfd_getfd_x", &values, &[("received", Value::Received(Received(&directory)))]);
    assert_eq!(&machine.fd(100, 9).unwrap().name[..], b"/srv");
}

#[test]
fn a_program_has_all_of_its_arguments() {
    let thread = StateThread { tid: 100, pid: 100, ..StateThread::default() };
    let state = MachineState { threads: vec![thread], ..MachineState::default() };
    let mut machine = Machine::of_state(&state, Keep::All);
    let ids = [("pid", Value::Pid(100)), ("tid", Value::Pid(100)), ("comm", Value::Text(b"cc"))];
    let values =
        [&[("res", OK), ("args", Value::Bytes(b"short\0")), ("env", Value::Bytes(b"A=1\0"))], &ids[..]]
            .concat();
    let more = [("argv", Value::Texts(b"cc\0-c\0long\0")), ("envp", Value::Texts(b"A=1\0B=2\0"))];
    apply(&mut machine, "execve_x", &values, &more);
    let (_, process) = machine.tasks.info(100).unwrap();
    assert_eq!((&process.args[..], &process.env[..]), (&b"-c\0long\0"[..], &b"A=1\0B=2\0"[..]));
    // Without them in the extension, the event has all.
    apply(&mut machine, "execve_x", &values, &[]);
    let (_, process) = machine.tasks.info(100).unwrap();
    assert_eq!((&process.args[..], &process.env[..]), (&b"short\0"[..], &b"A=1\0"[..]));
}

//! Prints who opened what: `cargo run --example opens -- FILE`.

use std::{env, error::Error, fs::File, io::BufReader};

use scap::{
    events::Effect,
    format::{Joiner, Keep, Reader, Value},
    model::Machine,
};

fn main() -> Result<(), Box<dyn Error>> {
    let path = env::args_os().nth(1).ok_or("usage: opens FILE")?;
    let mut reader = Reader::new(BufReader::new(File::open(path)?))?;
    let (mut machine, mut joiner, mut section) = (Machine::default(), Joiner::default(), 0);
    while let Some(captured) = reader.next_event()? {
        if captured.section != section {
            section = captured.section;
            (machine, joiner) = (Machine::of_state(captured.state, Keep::All), Joiner::default());
        }
        let event = joiner.join(captured.event);
        machine.apply(&event);
        let opens = event.info().is_some_and(|row| row.effect() == Some(Effect::Open) && row.takes_effect());
        let Some(Ok(fd)) = event.value("fd").filter(|_| opens) else { continue };
        let (Value::Fd(fd), Some(thread)) = (fd.value, machine.thread(event.tid())) else { continue };
        if let Some(open) = machine.fd(event.tid(), fd) {
            let (exe, name) = (thread.process.exepath.escape_ascii(), open.name.escape_ascii());
            println!("{} {} uid={} {exe}: {name}", thread.pid, thread.comm.escape_ascii(), thread.info.uid);
        }
    }
    Ok(())
}

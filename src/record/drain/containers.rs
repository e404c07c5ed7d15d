//! What runtimes tell of the containers of recorded processes.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use super::Drain;
use crate::{
    containers::{Lookup, Tally},
    output::{Chunk, OutputError},
    probe::RawEvent,
};
use scap::{
    container,
    events::{EVENTS, Effect, EventType},
    format::{EventView, MachineState, Value, decode, frame_event},
};

/// How long the end of a recording waits for first answers.
const LAST: Duration = Duration::from_millis(500);

impl Drain {
    /// Asks for the containers of processes from now on.
    pub fn name_containers(&mut self, lookup: Option<Lookup>) {
        self.containers = lookup;
    }

    /// Asks for the containers of the processes of a state.
    pub(super) fn see_state(&mut self, state: &MachineState) {
        if let Some(lookup) = &mut self.containers {
            state.threads.iter().for_each(|thread| lookup.see(&thread.cgroups));
        }
    }

    /// Writes what runtimes have told meanwhile.
    pub(super) fn tell_containers(&mut self) -> Result<(), OutputError> {
        // The filter must not know it before it knows the machine.
        if self.waiting.is_some() || self.needs_state() {
            return Ok(());
        }
        while let Some(json) = self.containers.as_mut().and_then(Lookup::take) {
            self.tell_container(&json)?;
        }
        Ok(())
    }

    /// Writes what is told until the first answers are there, or for some time.
    pub(super) fn tell_last_containers(&mut self) -> Result<(), OutputError> {
        let deadline = Instant::now() + LAST;
        while let Some(json) = self.containers.as_mut().and_then(|lookup| lookup.take_until(deadline)) {
            self.tell_container(&json)?;
        }
        Ok(())
    }

    fn tell_container(&mut self, json: &str) -> Result<(), OutputError> {
        // The file begins with all that is known: see `say_containers`.
        if self.unsaid.is_some() {
            return Ok(());
        }
        self.settle(true)?;
        let event = container::event_of(json, self.latest);
        if let (Some(sieve), Ok(view)) = (&mut self.sieve, EventView::parse(&event, true)) {
            sieve.tell(view);
        }
        let mut chunk = match self.chunk.take() {
            Some(chunk) => chunk,
            None => self.writer.take_or_make()?,
        };
        self.write_container(&mut chunk, &event);
        self.chunk = Some(chunk);
        Ok(())
    }

    /// Writes what is known of containers, at the start of a file.
    pub(super) fn say_containers(&mut self, chunk: &mut Chunk, at: u64) {
        let Some(lookup) = self.containers.take() else { return };
        for json in lookup.known() {
            self.write_container(chunk, &container::event_of(json, at));
        }
        chunk.latest = chunk.latest.max(at);
        self.containers = Some(lookup);
    }

    fn write_container(&mut self, chunk: &mut Chunk, event: &[u8]) {
        let (before, mut redacted) = (chunk.bytes.len(), 0);
        let event = match &mut self.redaction {
            Some(redaction) => redaction.part(event, &mut redacted),
            None => event,
        };
        frame_event(&mut chunk.bytes, 0, event);
        self.redaction.iter_mut().for_each(|redaction| redaction.count(redacted));
        let block = chunk.bytes.len() - before;
        self.rotor.iter_mut().for_each(|rotor| rotor.count_notice(block));
    }

    /// Returns what became of the containers so far.
    pub fn container_tally(&self) -> Tally {
        self.containers.as_ref().map(Lookup::tally).unwrap_or_default()
    }
}

/// Asks for the container of a process that an event tells of.
#[inline]
pub(super) fn see_event(lookup: &mut Option<Lookup>, event: &RawEvent<'_>, ty: EventType) {
    if let Some(lookup) = lookup
        && let Some(Some(param)) = CGROUPS.get(usize::from(ty.0))
        && let Some(cgroups) = cgroups(event.bytes, *param)
    {
        lookup.see(cgroups);
    }
}

/// The parameter with the control groups, of the types that tell of a process.
static CGROUPS: LazyLock<Vec<Option<usize>>> = LazyLock::new(|| {
    let tells = |effect| matches!(effect, Some(Effect::Clone | Effect::Exec));
    EVENTS.iter().map(|row| row.param("cgroups").filter(|_| tells(row.effect()))).collect()
});

/// Returns the control groups in an event.
fn cgroups(event: &[u8], param: usize) -> Option<&[u8]> {
    let view = EventView::parse(event, false).ok()?;
    let info = view.info()?.params.get(param)?;
    match decode(info, view.param(param)?).ok()?.value {
        Value::Bytes(cgroups) => Some(cgroups),
        _ => None,
    }
}

//! Makes one system call and checks that its event gets all the way from the kernel into the file.
//!
//! The call has no program of its own, so its event is generic. It is harmless, and every sandbox allows it. It is also
//! rare: if the selection does not have it, selecting it for a moment adds no other task's events to the capture. The
//! event itself stays in the capture.

use anyhow::Context;
use rustix::thread::{gettid, sched_getaffinity};

use super::wanted::Wanted;
use crate::probe::{Loaded, TargetState};
use scap::events::Syscall;

const CALL: &str = "sched_getaffinity";

/// The self-test's event.
#[derive(Debug)]
pub(super) struct SelfTest {
    tid: u64,
    code: u16,
    /// Its position among the events taken, once it has been taken.
    place: Option<u64>,
}

/// Returns the system call that the self-test makes.
pub(super) fn call() -> anyhow::Result<&'static Syscall> {
    Syscall::by_name(CALL).with_context(|| format!("no call has the name {CALL}"))
}

impl SelfTest {
    /// Makes the call. The probe must be [started](crate::probe::Attached::start) and must have loaded what the call
    /// takes. Restores the selection afterwards.
    pub(super) fn begin(
        probe: &Loaded,
        wanted: &Wanted,
        left_out: Option<u32>,
        targeted: bool,
    ) -> anyhow::Result<SelfTest> {
        let call = call()?;
        let control = probe.control();
        let thread = gettid();
        let (_, tid) = probe.tasks().own().context("cannot determine the id of this thread")?;
        wanted.and([call].into_iter().collect()).select(probe)?;
        if targeted {
            control.add_target(tid, TargetState::Active)?;
        }
        let sampling = control.sampling();
        control.set_sampling(None);
        control.skip_process(None);
        let made = sched_getaffinity(Some(thread));
        control.skip_process(left_out);
        control.set_sampling(sampling);
        if targeted {
            control.remove_target(tid)?;
        }
        wanted.select(probe)?;
        made.context("cannot make the self-test's system call")?;
        Ok(SelfTest { tid: tid.into(), code: call.code, place: None })
    }

    /// Makes a test whose call was made by this task.
    #[cfg(test)]
    pub(super) fn of(tid: u64, code: u16) -> SelfTest {
        SelfTest { tid, code, place: None }
    }

    /// Looks at an event, the `place`th that was taken from the rings. Offsets are those of include/scap_event.h.
    #[inline]
    pub(super) fn look(&mut self, event: &[u8], place: u64) {
        let tid = event.get(8..16).and_then(<[u8]>::first_chunk).map(|tid| u64::from_ne_bytes(*tid));
        if self.place.is_some() || tid != Some(self.tid) {
            return;
        }
        let number = |at: usize| event.get(at..at + 2).map(|b| u16::from_ne_bytes([b[0], b[1]]));
        // The generic pair: its first parameter follows two lengths.
        if number(20).is_some_and(|ty| ty <= 1) && number(30) == Some(self.code) {
            self.place = Some(place);
        }
    }

    /// Returns whether the event was taken from the rings.
    pub(super) fn was_taken(&self) -> bool {
        self.place.is_some()
    }

    /// Returns whether the event is among the `written` ones that have reached the output.
    pub(super) fn has_arrived(&self, written: u64) -> bool {
        self.place.is_some_and(|place| place <= written)
    }

    /// Returns how far the event got, for an error.
    pub(super) fn whereabouts(&self) -> &'static str {
        match self.place {
            None => "it never came out of the rings",
            Some(_) => "it came out of the rings, but was not written",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use scap::{
        events::event,
        format::{EventBuilder, Value},
    };

    fn generic(ty: u16, tid: u64, code: u16) -> Vec<u8> {
        let builder = EventBuilder::new(event(scap::events::EventType(ty)).unwrap(), 1, tid);
        let builder = builder.param(Value::Syscall(code)).unwrap();
        builder.param(Value::Uint(203)).unwrap().build().unwrap()
    }

    #[test]
    fn the_one_event_is_recognized_and_followed_to_the_output() {
        for ty in [0, 1] {
            let mut test = SelfTest { tid: 7, code: 156, place: None };
            let mut open = generic(ty, 7, 156);
            open[20] = 2;
            let others = [generic(ty, 8, 156), generic(ty, 7, 155), open, Vec::new()];
            for (place, other) in (1..).zip(&others) {
                test.look(other, place);
            }
            assert!(!test.has_arrived(u64::MAX), "{test:?}");
            test.look(&generic(ty, 7, 156), 5);
            test.look(&generic(ty, 7, 156), 9);
            assert!(!test.has_arrived(4) && test.has_arrived(5));
        }
    }

    #[test]
    fn the_call_has_no_program_of_its_own() {
        let call = call().unwrap();
        assert!(call.exit().is_none_or(|event| event.program.is_none()), "choose another one");
        assert!(call.number(scap::events::Arch::NATIVE).is_some());
    }
}

//! Takes the state of the machine that the first file starts with, while events are already coming.

use std::thread;

use anyhow::Context;

use super::{
    command::HeldCommand,
    drain::Drain,
    pace,
    state::{self, Scan},
};
use crate::probe::Active;

/// Reads /proc on a separate thread, and meanwhile takes events from the rings.
pub(super) fn state_beside(
    scan: &Scan,
    active: &mut Active,
    drain: &mut Drain,
    command: Option<&HeldCommand>,
) -> anyhow::Result<Vec<u8>> {
    let scan = scan.clone();
    let scan = thread::Builder::new()
        .name("scapd-snapshot".into())
        .spawn(move || scan.take())
        .context("cannot start a thread")?;
    while !scan.is_finished() {
        if drain.step(active)? < pace::MANY {
            thread::sleep(pace::SHORTEST);
        }
    }
    let (mut state, ids) =
        scan.join().map_err(|_| anyhow::anyhow!("the thread that reads /proc panicked"))??;
    if let Some(held) = command {
        // It still holds copies of the recorder's descriptors, which its exec will close.
        for list in state.fds.iter_mut().filter(|list| list.pid == u64::from(held.pid())) {
            list.fds.retain(|fd| held.keeps(fd.fd));
        }
    }
    state::bytes(state, ids)
}

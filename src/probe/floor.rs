//! The bare programs of bpf/floor.c, which measure the minimum cost of recording.

use std::{mem::MaybeUninit, os::fd::AsFd};

use libbpf_rs::{Link, MapCore, ProgramMut};
use scapd_bpf::ScapdSkel;

use super::{
    Attach, ProbeError, attach,
    object::{Style, open_bare, set_style, style_number},
    programs,
};
use crate::ring::buffer::{Record, RingBuffer};

/// What a bare program does. Each step includes the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Nothing.
    Empty,
    /// Reads the clock.
    Clock,
    /// Reads the path in the call's first argument; only on the call's return.
    Path,
    /// Reserves a record in a ring, and commits it.
    Reserve,
}

/// The bare programs, loaded.
pub struct Floor {
    skel: ScapdSkel<'static>,
    ring: RingBuffer,
}

impl Floor {
    /// Loads all of them for this way to attach (not [`Attach::Auto`]).
    ///
    /// # Errors
    /// The errors of [`Opened::load`](super::Opened::load).
    pub fn load(style: Attach) -> Result<Floor, ProbeError> {
        let failed = |e| ProbeError::libbpf("load the bare programs", e);
        let storage = Box::leak(Box::new(MaybeUninit::uninit()));
        let (mut open, _inner) = open_bare(storage).map_err(failed)?;
        open.maps.floor_ring.set_autocreate(true).map_err(failed)?;
        if let Some(rodata) = open.maps.rodata_data.as_deref_mut() {
            rodata.sc_constants.attach = style_number(style);
        }
        for program in programs::floor(&mut open.progs) {
            program.set_autoload(true);
            set_style(program, Style { attach: style, function: None });
        }
        let skel = libbpf_rs::skel::OpenSkel::load(open).map_err(failed)?;
        let ring = &skel.maps.floor_ring;
        let ring = RingBuffer::map(ring.as_fd(), ring.max_entries())
            .map_err(|e| ProbeError::failed("map a ring into memory", e))?;
        Ok(Floor { skel, ring })
    }

    /// Attaches one step's program to the entry of system calls and another's to their return, until the links are
    /// dropped. On the entry, [`Step::Path`] only reads the clock.
    ///
    /// # Errors
    /// The errors of [`Loaded::attach`](super::Loaded::attach).
    pub fn attach(
        &self,
        style: Attach,
        enter: Option<Step>,
        exit: Option<Step>,
    ) -> Result<Vec<Link>, ProbeError> {
        let progs = &self.skel.progs;
        let enter = enter.map(|step| match step {
            Step::Empty => &progs.floor_enter_empty,
            Step::Clock | Step::Path => &progs.floor_enter_clock,
            Step::Reserve => &progs.floor_enter_reserve,
        });
        let exit = exit.map(|step| match step {
            Step::Empty => &progs.floor_exit_empty,
            Step::Clock => &progs.floor_exit_clock,
            Step::Path => &progs.floor_exit_path,
            Step::Reserve => &progs.floor_exit_reserve,
        });
        let link = |program: Option<&ProgramMut<'_>>, tracepoint| {
            program.map(|program| attach::attach(program, style, tracepoint))
        };
        [link(exit, "sys_exit"), link(enter, "sys_enter")].into_iter().flatten().collect()
    }

    /// Releases the records; returns their number.
    pub fn release(&mut self) -> u64 {
        let (mut pos, mut records) = (self.ring.consumer_pos(), 0);
        while pos < self.ring.producer_pos() {
            match self.ring.record(pos) {
                Record::Busy => break,
                Record::Committed { next, .. } | Record::Discarded { next } => pos = next,
            }
            records += 1;
        }
        self.ring.release(pos);
        records
    }
}

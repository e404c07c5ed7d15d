//! The ways to attach to the syscall tracepoints, and the choice between them.

use std::mem::MaybeUninit;

use libbpf_rs::{Link, OpenObject, ProgramMut, skel::OpenSkel};

use super::{Attach, ProbeError, messages, object::open_bare, tasks::TaskIds, tracefs};
use crate::{choice::Choice, kernel};

/// Whether a `tp_btf` program on a syscall tracepoint can be preempted. Another task's programs may then run on the CPU
/// meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preemption {
    /// Whether it can. If not, the kernel runs it with preemption off, or never preempts kernel code.
    pub possible: bool,
    /// How this is known.
    pub evidence: Evidence,
}

/// How it is known whether programs can be preempted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// Kernels of this release disable preemption.
    Release,
    /// A program read the preempt count on entry.
    Measured,
    /// The kernel hides its preempt count, so the release decides.
    Hidden,
}

impl Evidence {
    /// Returns the text for people.
    pub const fn text(self) -> &'static str {
        match self {
            Evidence::Release => "known from this kernel's release",
            Evidence::Measured => "measured by the preempt count",
            Evidence::Hidden => "assumed from the release: this kernel hides its preempt count",
        }
    }
}

impl Preemption {
    /// Measures, with a small program that reads the preempt count on entry.
    ///
    /// Kernels before 6.13 always disable preemption there, so only later ones are measured.
    pub(super) fn find_out(tasks: &TaskIds) -> Result<Preemption, ProbeError> {
        if kernel::version() < (6, 13) {
            return Ok(Preemption { possible: false, evidence: Evidence::Release });
        }
        let (_, tid) = tasks.own().map_err(|e| ProbeError::failed("determine the id of this thread", e))?;
        let mut storage = MaybeUninit::uninit();
        let (measured, said) = messages::collect(|| measure(&mut storage, tid));
        match measured {
            Ok(Some(possible)) => Ok(Preemption { possible, evidence: Evidence::Measured }),
            Err(error)
                if messages::refused_program(&said).is_none() || messages::out_of_descriptors(&said) =>
            {
                Err(ProbeError::libbpf("load a BPF program", error))
            }
            // No answer, for example because the kernel hides the counter's symbol.
            _ => Ok(Preemption { possible: kernel::version() >= (7, 0), evidence: Evidence::Hidden }),
        }
    }
}

/// Returns whether programs can be preempted; `None` if the program gave no answer. `tid` is this thread's id.
fn measure(storage: &mut MaybeUninit<OpenObject>, tid: u32) -> libbpf_rs::Result<Option<bool>> {
    let (mut open, _inner) = open_bare(storage)?;
    open.progs.measure_preemption.set_autoload(true);
    if let Some(bss) = open.maps.bss_data.as_deref_mut() {
        bss.sc_preemption.tid = tid;
    }
    let skel = open.load()?;
    let link = skel.progs.measure_preemption.attach_trace()?;
    // Any system call of this thread runs the program.
    let _ = rustix::process::getppid();
    drop(link);
    let found = skel.maps.bss_data.as_deref().map(|bss| bss.sc_preemption);
    Ok(found.filter(|found| found.measured == 1).map(|found| {
        // A kernel whose count does not change never preempts kernel code.
        let counts = found.when_off > found.on_entry;
        counts && found.on_entry == 0
    }))
}

/// Attaches a program to `sys_enter` or `sys_exit`.
pub(super) fn attach(program: &ProgramMut<'_>, style: Attach, tracepoint: &str) -> Result<Link, ProbeError> {
    let link = match style {
        Attach::Tracepoint => tracefs::attach(program, tracepoint_id(tracepoint)?),
        Attach::Auto | Attach::Btf | Attach::Function => program.attach_trace(),
    };
    link.map_err(|e| ProbeError::libbpf(format!("attach to {tracepoint}"), e))
}

fn unavailable(reason: &str) -> ProbeError {
    ProbeError::AttachUnavailable { attach: Attach::Tracepoint.name(), reason: reason.into() }
}

fn tracepoint_id(tracepoint: &str) -> Result<u64, ProbeError> {
    tracefs::id(tracepoint).map_err(|error| {
        tracing::debug!("cannot read the id of the tracepoint {tracepoint}: {error}");
        unavailable("tracefs is not mounted: mount -t tracefs tracefs /sys/kernel/tracing")
    })
}

/// Checks whether programs can be attached to the syscall tracepoints by `tracepoint`.
pub(super) fn check_tracepoint() -> Result<(), ProbeError> {
    if kernel::version() < (5, 15) {
        return Err(unavailable(
            "programs cannot read the registers there before Linux 5.15; use --attach btf",
        ));
    }
    tracepoint_id("sys_enter").map(drop)
}

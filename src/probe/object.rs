//! Opens the BPF object, and prepares its programs.

use std::{mem::MaybeUninit, os::fd::AsFd};

use libbpf_rs::{MapHandle, OpenObject, OpenProgramMut, ProgramAttachType, ProgramType, skel::SkelBuilder};
use scapd_bpf::{OpenScapdSkel, ScapdSkelBuilder};

use super::{Attach, programs, rings};

/// Opens the object with no program selected for loading and with minimal maps. The returned map describes the rings to
/// the kernel; it must live until the object is loaded.
pub(super) fn open_bare(
    storage: &mut MaybeUninit<OpenObject>,
) -> libbpf_rs::Result<(OpenScapdSkel<'_>, MapHandle)> {
    let mut open = ScapdSkelBuilder::default().open(storage)?;
    programs::for_each_open(&mut open.progs, &mut |_, _, program| program.set_autoload(false));
    programs::for_each_helper(&mut open.progs, &mut |program| program.set_autoload(false));
    open.maps.floor_ring.set_autocreate(false)?;
    let inner = rings::create(rustix::param::page_size() as u32)?;
    open.maps.rings.set_inner_map_fd(inner.as_fd())?;
    Ok((open, inner))
}

/// Sets the type of a program on a syscall tracepoint to match the way it is attached.
pub(super) fn set_style(program: &mut OpenProgramMut<'_>, attach: Attach) {
    if attach == Attach::Tracepoint {
        program.set_prog_type(ProgramType::Tracepoint);
        // This constant has the value 0: no attach type.
        program.set_attach_type(ProgramAttachType::CgroupInetIngress);
    }
}

//! Opens the BPF object, and prepares its programs.

use std::{mem::MaybeUninit, os::fd::AsFd};

use libbpf_rs::{MapHandle, OpenObject, OpenProgramMut, ProgramAttachType, ProgramType, skel::SkelBuilder};
use scapd_bpf::{OpenScapdSkel, ScapdSkelBuilder, types::sc_attach};

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

/// How the programs of calls are loaded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style<'a> {
    pub attach: Attach,
    /// For [`Attach::Function`]: a function of the prototype that all of these programs are for.
    pub function: Option<&'a str>,
}

/// Sets the type of a program on a syscall tracepoint to match the way it is attached.
pub(super) fn set_style(program: &mut OpenProgramMut<'_>, style: Style<'_>) {
    match (style.attach, style.function) {
        (Attach::Tracepoint, _) => {
            program.set_prog_type(ProgramType::Tracepoint);
            // This constant has the value 0: no attach type.
            program.set_attach_type(ProgramAttachType::CgroupInetIngress);
        }
        (Attach::Function, Some(function)) => {
            let is_exit = program.section().to_string_lossy().ends_with("sys_exit");
            program.set_attach_type(match is_exit {
                true => ProgramAttachType::TraceFexit,
                false => ProgramAttachType::TraceFentry,
            });
            if let Err(error) = program.set_attach_target(0, Some(function.to_owned())) {
                // Loading it fails, too, and says why.
                tracing::debug!("cannot set the function of a program to {function}: {error}");
            }
        }
        _ => {}
    }
}

/// Returns the programs' number of a way to attach.
pub(super) fn style_number(attach: Attach) -> sc_attach {
    match attach {
        Attach::Auto | Attach::Btf => sc_attach::SC_ATTACH_BTF,
        Attach::Tracepoint => sc_attach::SC_ATTACH_TRACEPOINT,
        Attach::Function => sc_attach::SC_ATTACH_FUNCTION,
    }
}

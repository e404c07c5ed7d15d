//! Heads: small programs on the kernel's functions of calls, which call the dispatchers. A program can be attached to one function
//! only, so each function has a copy.

use std::{
    ffi::CStr,
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    ptr,
};

use libbpf_rs::libbpf_sys::{self, bpf_insn};

use super::{
    Attach, ProbeError, Refused,
    functions::{Function, Functions, Target},
};
use crate::{choice::Choice, kernel};

/// Both licences of the programs in one, as in bpf/scapd.bpf.c.
const LICENSE: &CStr = c"Dual MIT/GPL";

/// A head, loaded.
#[derive(Debug)]
pub(super) struct Head {
    /// The function.
    pub function: String,
    pub program: OwnedFd,
}

/// Where on a function a program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Entry,
    Return,
}

/// The instructions of the two heads.
#[derive(Debug, Default)]
pub(super) struct Instructions {
    pub enter: Vec<bpf_insn>,
    pub exit: Vec<bpf_insn>,
}

impl Instructions {
    /// Loads the heads of functions; returns them, and the functions that the kernel refused.
    pub(super) fn load(&self, targets: &[Target]) -> (Vec<Head>, Vec<Refused>) {
        let (mut heads, mut refused) = (Vec::new(), Vec::new());
        for Target { function, enter, exit } in targets {
            let places = [(*exit, Place::Return, &self.exit), (*enter, Place::Entry, &self.enter)];
            for (_, place, instructions) in places.into_iter().filter(|(wanted, ..)| *wanted) {
                match load(instructions, function, place) {
                    Ok(program) => heads.push(Head { function: function.name.clone(), program }),
                    Err(error) => {
                        refused.push(Refused { program: function.name.clone(), log: error.to_string() });
                        break;
                    }
                }
            }
        }
        (heads, refused)
    }
}

impl Head {
    /// Attaches it, until the returned link is dropped.
    pub(super) fn attach(&self) -> Result<OwnedFd, ProbeError> {
        attach(&self.program)
            .map_err(|e| ProbeError::failed(format!("attach to the kernel's function {}", self.function), e))
    }
}

/// Loads a program for a function.
fn load(instructions: &[bpf_insn], function: &Function, place: Place) -> io::Result<OwnedFd> {
    let (attach_type, name) = match place {
        Place::Entry => (libbpf_sys::BPF_TRACE_FENTRY, c"head_enter"),
        Place::Return => (libbpf_sys::BPF_TRACE_FEXIT, c"head_exit"),
    };
    let mut options = libbpf_sys::bpf_prog_load_opts {
        sz: size_of::<libbpf_sys::bpf_prog_load_opts>() as _,
        expected_attach_type: attach_type,
        attach_btf_id: function.id,
        ..Default::default()
    };
    // SAFETY: the strings end with a NUL, the instructions are as many as said, and all outlive the call.
    let fd = unsafe {
        libbpf_sys::bpf_prog_load(
            libbpf_sys::BPF_PROG_TYPE_TRACING,
            name.as_ptr(),
            LICENSE.as_ptr(),
            instructions.as_ptr(),
            instructions.len() as _,
            &mut options,
        )
    };
    descriptor(fd)
}

fn attach(program: &OwnedFd) -> io::Result<OwnedFd> {
    // SAFETY: takes a descriptor, and no name for a program of this type.
    descriptor(unsafe { libbpf_sys::bpf_raw_tracepoint_open(ptr::null(), program.as_raw_fd()) })
}

/// Returns a new descriptor, or the error that it stands for.
fn descriptor(fd: i32) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::from_raw_os_error(-fd));
    }
    // SAFETY: the descriptor is new and has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Returns whether another task can preempt a head: the kernel then skips the runs of other tasks on the CPU. Before Linux 5.11
/// preemption is off there.
pub(super) fn can_be_preempted() -> bool {
    kernel::version() >= (5, 11)
}

/// Checks whether this kernel takes programs on functions, with one that does nothing.
pub(super) fn check(functions: &Functions) -> Result<(), ProbeError> {
    let unavailable = |reason| ProbeError::AttachUnavailable { attach: Attach::Function.name(), reason };
    let Some(function) = functions.first() else {
        let reason = "the kernel's BTF has no functions of calls; use --attach btf or --attach tracepoint";
        return Err(unavailable(reason.into()));
    };
    // r0 = 0; exit
    let nothing = [0xb7, 0x95].map(|code| bpf_insn { code, ..Default::default() });
    for place in [Place::Entry, Place::Return] {
        let done = load(&nothing, function, place).and_then(|program| attach(&program));
        let Err(error) = done else { continue };
        return Err(ProbeError::without_capabilities("load BPF programs").unwrap_or(unavailable(format!(
            "this kernel refuses programs on functions (fentry, fexit: {error}): it has no trampolines, or its \
             configuration or a security module forbids them; use --attach btf or --attach tracepoint"
        ))));
    }
    Ok(())
}

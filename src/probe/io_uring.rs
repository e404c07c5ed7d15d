//! io_uring's tracepoints, which differ between kernels.

use libbpf_rs::btf::{
    Btf,
    types::{FuncProto, Typedef},
};
use scapd_bpf::types::{
    sc_constants, sc_io_uring_complete as CompleteArgs, sc_io_uring_submit as SubmitArgs,
};

/// A program of io_uring, by its tracepoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hook {
    /// `io_uring_submit_req`, from 6.4 on.
    SubmitReq,
    /// `io_uring_submit_sqe`, before.
    SubmitSqe,
    /// `io_uring_req_failed`, from 5.19 on: requests that the kernel refuses.
    ReqFailed,
    /// `io_uring_complete`.
    Complete,
}

/// The tracepoints of this kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct IoUring {
    submit: Hook,
    submit_args: SubmitArgs,
    complete_args: CompleteArgs,
    has_failed: bool,
}

impl IoUring {
    /// Finds this kernel's tracepoints; `None` if it has none, or none that the programs know.
    pub(super) fn find_out() -> Option<IoUring> {
        let btf = Btf::from_vmlinux()
            .inspect_err(|error| tracing::debug!("cannot read the kernel's BTF: {error}"))
            .ok()?;
        IoUring::of(|tracepoint| arguments(&btf, tracepoint))
    }

    /// The same, by the number of each tracepoint's arguments; `None` for one that does not exist.
    fn of(arguments: impl Fn(&str) -> Option<usize>) -> Option<IoUring> {
        let (submit, submit_args) = match (arguments("io_uring_submit_req"), arguments("io_uring_submit_sqe"))
        {
            (Some(1), _) => (Hook::SubmitReq, SubmitArgs::SC_IO_URING_SUBMIT_REQ),
            (None, Some(2)) => (Hook::SubmitSqe, SubmitArgs::SC_IO_URING_SUBMIT_REQ),
            (None, Some(7)) => (Hook::SubmitSqe, SubmitArgs::SC_IO_URING_SUBMIT_RING_REQ),
            // Before 5.13, the request is not among them.
            _ => return None,
        };
        let complete_args = match arguments("io_uring_complete")? {
            3 => CompleteArgs::SC_IO_URING_COMPLETE_CQE,
            4 => CompleteArgs::SC_IO_URING_COMPLETE_RES,
            5 | 7 => CompleteArgs::SC_IO_URING_COMPLETE_REQ,
            _ => return None,
        };
        // Before 6.0 it has other arguments.
        let has_failed =
            submit_args == SubmitArgs::SC_IO_URING_SUBMIT_REQ && arguments("io_uring_req_failed") == Some(3);
        Some(IoUring { submit, submit_args, complete_args, has_failed })
    }

    /// Returns whether this kernel has a program's tracepoint.
    pub(super) fn has(self, hook: Hook) -> bool {
        match hook {
            Hook::SubmitReq | Hook::SubmitSqe => hook == self.submit,
            Hook::ReqFailed => self.has_failed,
            Hook::Complete => true,
        }
    }

    /// Tells the programs the arguments.
    pub(super) fn fill(self, constants: &mut sc_constants) {
        constants.io_uring_submit = self.submit_args;
        constants.io_uring_complete = self.complete_args;
    }
}

/// Returns the number of a tracepoint's arguments; `None` if the kernel does not have it.
fn arguments(btf: &Btf<'_>, tracepoint: &str) -> Option<usize> {
    let name = format!("btf_trace_{tracepoint}");
    let pointer = btf.type_by_name::<Typedef<'_>>(&name)?.next_type()?;
    let function = FuncProto::try_from(pointer.next_type()?).ok()?;
    // The first is the program's own data.
    function.len().checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns what is found on a kernel with these tracepoints.
    fn of(tracepoints: &[(&str, usize)]) -> Option<IoUring> {
        IoUring::of(|name| tracepoints.iter().find(|(known, _)| *known == name).map(|(_, count)| *count))
    }

    #[test]
    fn each_kernel_has_its_tracepoints() {
        let (sqe, req, failed, complete) =
            ("io_uring_submit_sqe", "io_uring_submit_req", "io_uring_req_failed", "io_uring_complete");
        let v5_15 = of(&[(sqe, 7), (complete, 4)]).unwrap();
        assert!(v5_15.has(Hook::SubmitSqe) && !v5_15.has(Hook::SubmitReq) && !v5_15.has(Hook::ReqFailed));
        assert_eq!(v5_15.submit_args, SubmitArgs::SC_IO_URING_SUBMIT_RING_REQ);
        assert_eq!(v5_15.complete_args, CompleteArgs::SC_IO_URING_COMPLETE_RES);
        let v5_19 = of(&[(sqe, 7), (failed, 4), (complete, 7)]).unwrap();
        assert!(!v5_19.has(Hook::ReqFailed));
        assert_eq!(v5_19.complete_args, CompleteArgs::SC_IO_URING_COMPLETE_REQ);
        let v6_1 = of(&[(sqe, 2), (failed, 3), (complete, 7)]).unwrap();
        assert!(v6_1.has(Hook::SubmitSqe) && v6_1.has(Hook::ReqFailed) && v6_1.has(Hook::Complete));
        assert_eq!(v6_1.submit_args, SubmitArgs::SC_IO_URING_SUBMIT_REQ);
        let v6_18 = of(&[(req, 1), (failed, 3), (complete, 3)]).unwrap();
        assert!(v6_18.has(Hook::SubmitReq) && !v6_18.has(Hook::SubmitSqe));
        assert_eq!(v6_18.complete_args, CompleteArgs::SC_IO_URING_COMPLETE_CQE);
        // 5.8, a kernel without io_uring, and one to come.
        assert_eq!(of(&[(sqe, 5), (complete, 3)]), None);
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[(req, 1), (complete, 9)]), None);
    }
}

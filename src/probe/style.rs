//! The ways to attach to the syscall tracepoints.

use crate::choice::{Choice, choices};

choices! {
    /// How the syscall programs are attached.
    #[derive(Default)]
    pub enum Attach {
        #[default]
        Auto = "auto": "btf if syscall tracepoints run with preemption off, else tracepoint",
        Btf = "btf": "tp_btf programs, the cheapest; where they can be preempted, the kernel skips other tasks' events",
        Tracepoint = "tracepoint": "tracepoint/raw_syscalls programs, which skip no events",
    }
}

//! The ways to attach the programs of system calls.

use crate::choice::{Choice, choices};

choices! {
    /// How the syscall programs are attached.
    #[derive(Default)]
    pub enum Attach {
        #[default]
        Auto = "auto": "btf if syscall tracepoints run with preemption off, else tracepoint",
        Btf = "btf": "tp_btf programs, the cheapest; where they can be preempted, the kernel skips other tasks' events",
        Tracepoint = "tracepoint": "tracepoint/raw_syscalls programs, which skip no events",
        Function = "function": "fentry and fexit programs on the functions of the calls: other calls run at full speed. Not \
                    seen: calls that seccomp or ptrace refuse, and calls that the tables do not know",
    }
}

//! The script for bpftrace: it prints the fields that scapd records of the same calls, of a command and its
//! descendants.
//!
//! Like scapd's two events, it prints one line when a call starts and one when it returns, each with time, CPU,
//! process, thread and name of the program. The first line has the arguments, the second the result and the data.

use std::fmt::Write;

/// The system calls of the generators, and their arguments by the names of the kernel's tracepoints.
const CALLS: &[Call] = &[
    Call { name: "getppid", arguments: &[], data: None },
    Call { name: "access", arguments: &[Path("filename"), Number("mode")], data: None },
    Call {
        name: "openat",
        arguments: &[Number("dfd"), Path("filename"), Number("flags"), Number("mode")],
        data: None,
    },
    Call { name: "close", arguments: &[Number("fd")], data: None },
    Call { name: "read", arguments: &[Number("fd"), Number("count")], data: Some("buf") },
    Call { name: "write", arguments: &[Number("fd"), Number("count")], data: Some("buf") },
    Call { name: "sendto", arguments: &[Number("fd"), Number("len"), Number("flags")], data: Some("buff") },
    Call {
        name: "recvfrom",
        arguments: &[Number("fd"), Number("size"), Number("flags")],
        data: Some("ubuf"),
    },
    Call {
        name: "epoll_wait",
        arguments: &[Number("epfd"), Number("maxevents"), Number("timeout")],
        data: None,
    },
    Call { name: "clone", arguments: &[Number("clone_flags")], data: None },
    Call { name: "clone3", arguments: &[Number("size")], data: None },
    Call { name: "vfork", arguments: &[], data: None },
    Call { name: "execve", arguments: &[Path("filename"), Strings("argv")], data: None },
    Call { name: "wait4", arguments: &[Number("upid"), Number("options")], data: None },
    Call { name: "exit_group", arguments: &[Number("error_code")], data: None },
];

use Argument::{Number, Path, Strings};

struct Call {
    name: &'static str,
    arguments: &'static [Argument],
    /// The argument that points to the data that the call moves.
    data: Option<&'static str>,
}

enum Argument {
    Number(&'static str),
    Path(&'static str),
    /// A list of strings, printed by bpftrace's `join`.
    Strings(&'static str),
}

/// Follows the command and its descendants.
const FOLLOW: &str = "\
BEGIN { @task[cpid] = 1; }
tracepoint:sched:sched_process_fork /@task[args->parent_pid]/ { @task[args->child_pid] = 1; }
tracepoint:sched:sched_process_exit /@task[tid]/ { delete(@task[tid]); }
END { clear(@task); clear(@data); }
";

/// Returns the script for these calls, without unknown ones.
pub fn script(calls: &[&str]) -> String {
    let mut script = FOLLOW.to_owned();
    let known: Vec<_> = CALLS.iter().filter(|call| calls.contains(&call.name)).collect();
    // The script may clear the map only if it uses it.
    if !known.iter().any(|call| call.data.is_some()) {
        script = script.replace(" clear(@data);", "");
    }
    for call in known {
        call.write(&mut script);
    }
    script
}

impl Call {
    fn write(&self, script: &mut String) {
        const HEAD: &str = "%llu %d %d %d %s";
        const HEAD_VALUES: &str = "nsecs, cpu, pid, tid, comm";
        let name = self.name;
        let (mut format, mut values, mut joined) = (String::new(), String::new(), String::new());
        for argument in self.arguments {
            match argument {
                Number(argument) => {
                    format += &format!(" {argument}=%ld");
                    values += &format!(", args->{argument}");
                }
                Path(argument) => {
                    format += &format!(" {argument}=%s");
                    values += &format!(", str(args->{argument})");
                }
                Strings(argument) => joined += &format!(" join(args->{argument});"),
            }
        }
        let keep = self.data.map_or(String::new(), |data| format!(" @data[tid] = args->{data};"));
        // Writing to a string does not fail.
        let _ = writeln!(
            script,
            "tracepoint:syscalls:sys_enter_{name} /@task[tid]/ {{{keep} \
             printf(\"{HEAD} > {name}{format}\\n\", {HEAD_VALUES}{values});{joined} }}"
        );
        let (format, value, drop) = match self.data {
            // bpftrace does not document the meaning of a negative length.
            Some(_) => (
                " res=%ld data=%r",
                ", args->ret, buf(@data[tid], args->ret > 0 ? args->ret : 0)",
                " delete(@data[tid]);",
            ),
            None => (" res=%ld", ", args->ret", ""),
        };
        let _ = writeln!(
            script,
            "tracepoint:syscalls:sys_exit_{name} /@task[tid]/ {{ \
             printf(\"{HEAD} < {name}{format}\\n\", {HEAD_VALUES}{value});{drop} }}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::Generator;

    #[test]
    fn every_call_of_the_generators_is_known() {
        for generator in Generator::all() {
            for name in generator.calls() {
                assert!(CALLS.iter().any(|call| call.name == *name), "{name}");
                assert!(script(generator.calls()).contains(&format!("sys_exit_{name} ")), "{name}");
            }
        }
    }

    #[test]
    fn a_script() {
        assert_eq!(
            script(&["access"]).lines().skip(3).collect::<Vec<_>>(),
            [
                "END { clear(@task); }",
                "tracepoint:syscalls:sys_enter_access /@task[tid]/ { \
                 printf(\"%llu %d %d %d %s > access filename=%s mode=%ld\\n\", \
                 nsecs, cpu, pid, tid, comm, str(args->filename), args->mode); }",
                "tracepoint:syscalls:sys_exit_access /@task[tid]/ { \
                 printf(\"%llu %d %d %d %s < access res=%ld\\n\", nsecs, cpu, pid, tid, comm, args->ret); }",
            ]
        );
        assert!(script(&["read"]).contains("{ @data[tid] = args->buf; printf("));
    }
}

//! Variants of calls: what the C library may call instead of a selected call.

use super::SyscallSet;
use crate::events::Syscall;

/// Returns the variants of the calls in the set that are not in it: `openat` and `openat2` for `open`.
pub fn variants(set: &SyscallSet) -> Vec<&'static str> {
    let bases: Vec<_> = set.iter().map(|call| base(call.name)).collect();
    let others = set.complement();
    others.iter().filter(|call: &&Syscall| bases.contains(&base(call.name))).map(|call| call.name).collect()
}

/// Returns what the names of variants have in common.
fn base(name: &str) -> &str {
    let name = name.trim_end_matches("_time64").trim_end_matches(|c: char| c.is_ascii_digit());
    match name {
        // The C library may call any of these for any other.
        "stat" | "fstat" | "lstat" | "newfstatat" | "statx" => "stat",
        _ => match name.strip_suffix("at").filter(|stem| stem.len() > 2) {
            // fchownat is a variant of chown.
            Some(stem) => stem.strip_prefix('f').unwrap_or(stem),
            None => name,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::select::parse;

    #[test]
    fn a_call_has_the_variants_of_its_kind() {
        for (call, expected) in [
            ("open", "openat,openat2"),
            ("stat", "fstat,lstat,newfstatat,statx"),
            ("access", "faccessat,faccessat2"),
            ("chown", "fchownat"),
            ("accept", "accept4"),
            ("dup", "dup2,dup3"),
            ("rename", "renameat,renameat2"),
            ("execve", "execveat"),
            ("getpid", ""),
        ] {
            let mut found = variants(&parse(call).unwrap());
            found.sort_unstable();
            assert_eq!(found.join(","), expected, "{call}");
        }
        assert!(variants(&parse("openat2,open").unwrap()).contains(&"openat"));
    }
}

//! The kernel's headers list no call that the tables lack: each has programs, or a row in include/extensions.def.
//!
//! The headers are those of this machine, or those below SCAPD_KERNEL_HEADERS: `make test-new-calls` fetches the newest ones
//! of Debian. The list of an architecture without headers is reported as ignored.

#![allow(clippy::unwrap_used)]

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use scap::events::{Arch, CompatTwin, EventType, Syscall, extension};

/// Calls that the headers list, and no kernel that scapd runs on has.
const NEVER_MADE: &[&str] = &[
    "afs_syscall",
    "break",
    "ftime",
    "gtty",
    "lock",
    "mpx",
    "prof",
    "profil",
    "putpmsg",
    "security",
    "stty",
    "tuxcall",
    "ulimit",
    "vserver",
];

/// Calls of 32-bit programs that the .scap format has no code for, and that no other call stands for: they are recorded as
/// unknown calls, with their number.
const WITHOUT_CODE: &[&str] = &["vm86old"];

/// A list of calls.
#[derive(Clone, Copy)]
struct List {
    name: &'static str,
    /// The names of Debian's directory, and of the header.
    directory: &'static str,
    header: &'static str,
    /// The column of the table; `None` if the table has the calls without their numbers.
    arch: Option<Arch>,
}

const LISTS: [List; 4] = [
    List { name: "x86_64", directory: "x86_64-linux-gnu", header: "unistd_64.h", arch: Some(Arch::X86_64) },
    List { name: "i386", directory: "x86_64-linux-gnu", header: "unistd_32.h", arch: Some(Arch::I386) },
    List { name: "x32", directory: "x86_64-linux-gnu", header: "unistd_x32.h", arch: None },
    List { name: "arm64", directory: "aarch64-linux-gnu", header: "unistd_64.h", arch: Some(Arch::Arm64) },
];

impl List {
    /// Returns the header below a directory, if it is there: Debian's place, or, on a machine of the architecture, others'.
    fn path(self, root: &Path) -> Option<PathBuf> {
        let own = (self.name == "arm64") == cfg!(target_arch = "aarch64");
        let mut places = vec![root.join(self.directory)];
        places.extend(own.then(|| root.to_owned()));
        places.into_iter().map(|place| place.join("asm").join(self.header)).find(|path| path.exists())
    }

    /// Returns the table's call for a line of the header.
    fn known(self, name: &str, number: u16) -> Option<&'static Syscall> {
        let Some(arch) = self.arch else { return Syscall::by_name(name) };
        // A 32-bit call is recorded as the 64-bit call that takes the same arguments, if there is one.
        let twin = CompatTwin::of(number).filter(|_| arch == Arch::I386);
        twin.or_else(|| Syscall::by_number(arch, number).filter(|call| call.name == name))
    }

    fn check(self, header: &Path) -> Result<Completion, Failed> {
        let text = fs::read_to_string(header)?;
        let calls: Vec<_> = text.lines().filter_map(call).collect();
        if calls.len() < 300 {
            return Err(format!("{} lists only {} calls", header.display(), calls.len()).into());
        }
        let known = |name: &str| !NEVER_MADE.contains(&name) && !WITHOUT_CODE.contains(&name);
        let without = |wrong: &dyn Fn(Option<&'static Syscall>) -> bool| -> Vec<String> {
            let mut calls = calls.clone();
            calls.retain(|(name, number)| known(name) && wrong(self.known(name, *number)));
            calls.into_iter().map(|(name, number)| format!("{name} ({number})")).collect()
        };
        let missing = without(&|call| call.is_none());
        let bare = without(&|call| call.is_some_and(|call| call.exit().is_none() && !has_row(call)));
        match (&missing[..], &bare[..]) {
            ([], []) => Ok(Completion::Completed),
            _ => Err(format!(
                "{}: calls that include/syscalls.def lacks: {missing:?}; calls without programs or a row in \
                 include/extensions.def: {bare:?}",
                header.display()
            )
            .into()),
        }
    }
}

/// Returns whether a call has a row in include/extensions.def.
fn has_row(call: &Syscall) -> bool {
    extension(EventType(0x8000 + 2 * call.code + 1)).is_some()
}

/// Returns the call that a line of a header defines, and its number.
fn call(line: &str) -> Option<(&str, u16)> {
    let (name, number) = line.strip_prefix("#define __NR_")?.split_once(char::is_whitespace)?;
    let number = number.trim().trim_start_matches("(__X32_SYSCALL_BIT + ").trim_end_matches(')');
    Some((name, number.parse().ok()?))
}

/// Calls are excused only as long as the tables lack them.
fn excuses_are_needed() -> Result<Completion, Failed> {
    let known: Vec<_> =
        NEVER_MADE.iter().chain(WITHOUT_CODE).filter(|name| Syscall::by_name(name).is_some()).collect();
    if known.is_empty() { Ok(Completion::Completed) } else { Err(format!("the table has {known:?}").into()) }
}

fn main() {
    let root =
        env::var_os("SCAPD_KERNEL_HEADERS").map_or_else(|| PathBuf::from("/usr/include"), PathBuf::from);
    let mut trials: Vec<_> = LISTS
        .into_iter()
        .map(|list| {
            let header = list.path(&root);
            let missing = format!("no headers of this architecture below {}", root.display());
            Trial::ignorable_test(list.name, move || match header {
                Some(header) => list.check(&header),
                None => Ok(Completion::ignored_with(missing)),
            })
        })
        .collect();
    trials.push(Trial::ignorable_test("excuses_are_needed", excuses_are_needed));
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

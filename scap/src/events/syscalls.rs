//! The system calls of `include/syscalls.def`: stable codes, numbers on each architecture, 32-bit twins.

use std::{fmt, iter};

use super::{Event, event_by_program};

/// How sampling treats the events of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampling {
    /// Never dropped: they change a reader's state.
    Never,
    /// Always dropped: frequent and of little use.
    Always,
    /// Dropped outside the sampled part of each second.
    Sampled,
    /// Failed returns are always dropped, everything else never.
    IfFailed,
    /// Returns of an fcntl that changes no descriptor are always dropped; everything else is as for `Sampled`.
    IfNoDescriptor,
}

impl Sampling {
    /// Returns a word for the part that is recorded while sampling.
    pub const fn recorded(self) -> &'static str {
        match self {
            Sampling::Never => "all",
            Sampling::Always => "none",
            Sampling::Sampled | Sampling::IfNoDescriptor => "part",
            Sampling::IfFailed => "successes",
        }
    }
}

/// An architecture with call numbers in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arch {
    /// 64-bit calls on x86-64.
    X86_64,
    /// 32-bit calls on x86-64.
    I386,
    /// 64-bit calls on arm64.
    Arm64,
}

impl Arch {
    /// The architecture of the 64-bit calls of this build.
    pub const NATIVE: Arch = if cfg!(target_arch = "aarch64") { Arch::Arm64 } else { Arch::X86_64 };
}

/// A system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Syscall {
    /// The kernel's name.
    pub name: &'static str,
    /// The stable code in generic events, the same on every architecture.
    pub code: u16,
    /// How sampling treats it.
    pub sampling: Sampling,
    numbers: [i16; 3],
}

impl Syscall {
    /// Returns the call's number; `None` if the architecture lacks the call.
    pub const fn number(&self, arch: Arch) -> Option<u16> {
        let n = self.numbers[arch as usize];
        if n < 0 { None } else { Some(n as u16) }
    }

    /// Finds a call by name.
    pub fn by_name(name: &str) -> Option<&'static Syscall> {
        SYSCALLS.iter().find(|s| s.name == name)
    }

    /// Finds a call by stable code.
    pub fn by_code(code: u16) -> Option<&'static Syscall> {
        SYSCALLS.binary_search_by_key(&code, |s| s.code).ok().map(|i| &SYSCALLS[i])
    }

    /// Finds a call by its number on an architecture.
    pub fn by_number(arch: Arch, number: u16) -> Option<&'static Syscall> {
        SYSCALLS.iter().find(|s| s.number(arch) == Some(number))
    }

    /// Finds a call by its [stem](Self::stem).
    pub fn by_stem(stem: &str) -> Option<&'static Syscall> {
        SYSCALLS.iter().find(|s| s.stem() == stem)
    }

    /// Returns the stem of its program names: the name without a leading underscore, as in `_llseek`.
    pub fn stem(&self) -> &'static str {
        self.name.trim_start_matches('_')
    }

    /// Returns the calls that are selected with this one: its variants that only 32-bit programs on x86-64 have.
    pub fn compat_only(&self) -> impl Iterator<Item = &'static Syscall> {
        let rows = if Arch::NATIVE == Arch::X86_64 { COMPAT_ONLY } else { &[] };
        rows.iter().filter(|(_, with)| *with == self.name).filter_map(|(name, _)| Syscall::by_name(name))
    }

    /// Returns the 64-bit call that this one is selected with, if only 32-bit programs have it.
    pub fn selected_with(&self) -> Option<&'static Syscall> {
        let (_, with) = COMPAT_ONLY.iter().find(|(name, _)| *name == self.name)?;
        Syscall::by_name(with)
    }

    /// Returns whether this machine has the call and it is selected by itself: a 64-bit call, or one that only 32-bit
    /// programs on x86-64 have and that is not [selected with](Self::selected_with) another.
    pub fn is_here(&self) -> bool {
        self.number(Arch::NATIVE).is_some() || (self.is_compat_only() && self.selected_with().is_none())
    }

    /// Returns whether only 32-bit programs on this machine have the call, and no 64-bit call's program records it.
    pub fn is_compat_only(&self) -> bool {
        let compat = || {
            let number = self.number(Arch::I386);
            number.is_some_and(|number| CompatTwin::of(number).is_none()) || SocketCall::of(self).is_some()
        };
        Arch::NATIVE == Arch::X86_64 && self.number(Arch::X86_64).is_none() && compat()
    }

    /// Returns the names, without their prefixes, that the kernel's functions of this call may have.
    pub fn functions(&self) -> impl Iterator<Item = &'static str> {
        let others = FUNCTIONS.iter().filter(|(call, _)| *call == self.name).map(|(_, stem)| *stem);
        let in_socketcall = SocketCall::of(self).map(|_| "socketcall");
        iter::once(self.name).chain(others).chain(in_socketcall)
    }

    /// Returns the event that records its entry; `None` for a generic event.
    pub fn enter(&self) -> Option<&'static Event> {
        event_by_program(&format!("{}_e", self.stem()))
    }

    /// Returns the event that records its return; `None` for a generic event.
    pub fn exit(&self) -> Option<&'static Event> {
        event_by_program(&format!("{}_x", self.stem()))
    }
}

/// A call outside the native table, which has no code: the meaning of the native number of its generic event
/// (`enum sc_native` in include/capture.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForeignCall {
    /// An x32 call: its number without the x32 bit.
    X32(u16),
    /// A 32-bit call.
    Compat(u16),
    /// A call number that does not fit into an event.
    Beyond,
}

impl ForeignCall {
    const X32_FLAG: u16 = 1 << 14;
    const COMPAT_FLAG: u16 = 1 << 15;

    /// Decodes a native number; `None` if it is in the range of the native table.
    pub const fn of(native: u16) -> Option<ForeignCall> {
        let number = native & (Self::X32_FLAG - 1);
        match native & (Self::X32_FLAG | Self::COMPAT_FLAG) {
            0 => None,
            Self::X32_FLAG => Some(ForeignCall::X32(number)),
            Self::COMPAT_FLAG => Some(ForeignCall::Compat(number)),
            _ => Some(ForeignCall::Beyond),
        }
    }

    /// Returns the name of calls of this kind in a summary.
    pub const fn kind(self) -> &'static str {
        match self {
            ForeignCall::X32(_) => "unknown (x32)",
            ForeignCall::Compat(_) => "unknown (32-bit)",
            ForeignCall::Beyond => "unknown (beyond all tables)",
        }
    }
}

impl fmt::Display for ForeignCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ForeignCall::X32(number) => write!(f, "x32 call {number}"),
            ForeignCall::Compat(number) => write!(f, "32-bit call {number}"),
            ForeignCall::Beyond => write!(f, "a call number above {}", Self::X32_FLAG - 1),
        }
    }
}

/// A 32-bit call on x86-64 whose 64-bit twin has another name, or that has no twin despite a call of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompatTwin {
    /// The number of the 32-bit call.
    pub number: u16,
    /// The 64-bit call that takes the same arguments; if `None`, the call is recorded as a generic event.
    pub twin: Option<&'static str>,
}

impl CompatTwin {
    /// The rows of the table.
    pub const ALL: &'static [CompatTwin] = COMPAT;

    /// Returns the 64-bit call whose program records the 32-bit call of a number.
    pub fn of(number: u16) -> Option<&'static Syscall> {
        match COMPAT.iter().find(|c| c.number == number) {
            Some(row) => row.twin.and_then(Syscall::by_name),
            None => Syscall::by_number(Arch::I386, number).filter(|s| s.number(Arch::X86_64).is_some()),
        }
    }
}

/// A call that 32-bit programs on x86-64 make through `socketcall`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketCall {
    /// The first argument of `socketcall`.
    pub number: u16,
    name: &'static str,
}

impl SocketCall {
    /// The rows of the table.
    pub const ALL: &'static [SocketCall] = SOCKETCALLS;

    /// Returns the system call.
    pub fn call(&self) -> Option<&'static Syscall> {
        Syscall::by_name(self.name)
    }

    /// Returns the row of a call; `None` if `socketcall` does not offer it.
    pub fn of(call: &Syscall) -> Option<&'static SocketCall> {
        SOCKETCALLS.iter().find(|row| row.name == call.name)
    }
}

macro_rules! syscalls {
    (@number NONE) => { -1 };
    (@number $number:literal) => { $number };
    (@sampling NEVER) => { Sampling::Never };
    (@sampling ALWAYS) => { Sampling::Always };
    (@sampling SAMPLED) => { Sampling::Sampled };
    (@sampling IF_FAILED) => { Sampling::IfFailed };
    (@sampling IF_NO_DESCRIPTOR) => { Sampling::IfNoDescriptor };
    (@twin NONE) => { None };
    (@twin $twin:ident) => { Some(stringify!($twin)) };
    ($(SYSCALL($name:ident, $code:literal, $sampling:ident, $x86_64:tt, $i386:tt, $arm64:tt))*
     $(COMPAT_I386($number:literal, $twin:ident))*
     $(COMPAT_ONLY($only:ident, $with:ident))*
     $(SOCKETCALL($socketcall:literal, $socket_name:ident))*
     $(FUNCTION($made:ident, $function:ident))*) => {
        /// Every system call, sorted by stable code.
        pub const SYSCALLS: &[Syscall] = &[$(Syscall {
            name: stringify!($name),
            code: $code,
            sampling: syscalls!(@sampling $sampling),
            numbers: [syscalls!(@number $x86_64), syscalls!(@number $i386), syscalls!(@number $arm64)],
        }),*];

        const COMPAT: &[CompatTwin] =
            &[$(CompatTwin { number: $number, twin: syscalls!(@twin $twin) }),*];

        const COMPAT_ONLY: &[(&str, &str)] = &[$((stringify!($only), stringify!($with))),*];

        const SOCKETCALLS: &[SocketCall] =
            &[$(SocketCall { number: $socketcall, name: stringify!($socket_name) }),*];

        const FUNCTIONS: &[(&str, &str)] = &[$((stringify!($made), stringify!($function))),*];
    };
}
with_syscalls!(syscalls);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_rise_and_names_are_unique() {
        assert!(SYSCALLS.windows(2).all(|w| w[0].code < w[1].code));
        for (i, a) in SYSCALLS.iter().enumerate() {
            assert!(!SYSCALLS[i + 1..].iter().any(|b| a.name == b.name), "{} twice", a.name);
        }
    }

    #[test]
    fn a_foreign_number_is_in_no_table() {
        let foreign = |native: u16| ForeignCall::of(native).map(|call| call.to_string());
        assert_eq!(foreign(59), None);
        assert_eq!(foreign(0x3fff), None);
        assert_eq!(foreign(0x403b), Some("x32 call 59".into()));
        assert_eq!(foreign(0x8011), Some("32-bit call 17".into()));
        assert_eq!(foreign(0xbfff), Some("32-bit call 16383".into()));
        assert_eq!(foreign(0xffff), Some("a call number above 16383".into()));
        for arch in [Arch::X86_64, Arch::I386, Arch::Arm64] {
            for number in SYSCALLS.iter().filter_map(|call| call.number(arch)) {
                // Readers' tables have 512 entries.
                assert!(number < 512 && ForeignCall::of(number).is_none());
            }
        }
    }

    #[test]
    fn numbers_are_unique_on_each_architecture() {
        for arch in [Arch::X86_64, Arch::I386, Arch::Arm64] {
            for call in SYSCALLS {
                if let Some(n) = call.number(arch) {
                    assert_eq!(Syscall::by_number(arch, n), Some(call), "number {n} of {arch:?}");
                }
            }
        }
    }

    #[test]
    fn socketcall_names_calls_from_1_on() {
        for (i, row) in SocketCall::ALL.iter().enumerate() {
            assert_eq!(usize::from(row.number), i + 1);
            assert_eq!(row.call().and_then(SocketCall::of), Some(row), "{}", row.name);
        }
    }

    #[test]
    fn numbers_are_those_of_this_machine() {
        let known = [
            ("read", libc::SYS_read),
            ("openat", libc::SYS_openat),
            ("execve", libc::SYS_execve),
            ("clone3", libc::SYS_clone3),
            ("close_range", libc::SYS_close_range),
            ("mseal", libc::SYS_mseal),
        ];
        for (name, number) in known {
            let call = Syscall::by_name(name).unwrap();
            assert_eq!(call.number(Arch::NATIVE).map(i64::from), Some(number), "{name}");
        }
    }

    #[test]
    fn a_32_bit_call_finds_its_twin() {
        assert_eq!(CompatTwin::of(3).unwrap().name, "read");
        assert_eq!(CompatTwin::of(213).unwrap().name, "setuid");
        assert_eq!(CompatTwin::of(90), None, "the old mmap takes its arguments from memory");
        for row in COMPAT {
            if let Some(twin) = row.twin {
                assert!(Syscall::by_name(twin).unwrap().number(Arch::X86_64).is_some(), "{twin}");
            }
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn every_call_of_32_bit_programs_alone_is_selected_somehow() {
        for call in SYSCALLS.iter().filter(|call| call.is_compat_only()) {
            assert_ne!(call.is_here(), call.selected_with().is_some(), "{}", call.name);
        }
        let own = SYSCALLS.iter().filter(|call| call.is_here() && call.number(Arch::NATIVE).is_none());
        let names: Vec<_> = own.map(|call| call.name).collect();
        assert_eq!(names, ["bdflush", "ipc", "socketcall", "idle", "vm86"]);
    }

    #[test]
    fn a_row_of_functions_names_a_call_and_another_function() {
        for (index, (call, stem)) in FUNCTIONS.iter().enumerate() {
            assert!(Syscall::by_name(call).is_some() && call != stem, "{call}");
            assert!(!FUNCTIONS[index + 1..].contains(&(call, stem)), "{call}, {stem} twice");
        }
        let of = |name| Syscall::by_name(name).unwrap().functions().collect::<Vec<_>>();
        assert_eq!(of("read"), ["read"]);
        assert_eq!(of("umount2"), ["umount2", "umount"]);
        assert_eq!(of("bind"), ["bind", "socketcall"]);
    }

    #[test]
    fn a_call_of_32_bit_programs_alone_is_selected_with_a_64_bit_one() {
        for (name, _) in COMPAT_ONLY {
            let call = Syscall::by_name(name).unwrap();
            assert!(call.number(Arch::I386).is_some() || SocketCall::of(call).is_some(), "{name}");
            assert!(call.number(Arch::X86_64).is_none(), "{name}");
            let with = call.selected_with().unwrap();
            assert!(with.number(Arch::X86_64).is_some(), "{name}");
            assert_eq!(with.compat_only().any(|only| only == call), Arch::NATIVE == Arch::X86_64, "{name}");
        }
    }
}

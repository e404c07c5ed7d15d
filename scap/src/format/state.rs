//! The state of the machine that a capture starts with, as `snapshot` collects it, the writer frames it and the
//! reader gives it back.
//!
//! Texts are bytes: a path or an argument of a process need not be UTF-8.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Everything that stands before a capture's first event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MachineState {
    /// The machine.
    pub machine: MachineInfo,
    /// Addresses of network interfaces.
    pub interfaces: Vec<Interface>,
    /// Users of the machine.
    pub users: Vec<User>,
    /// Groups of the machine.
    pub groups: Vec<Group>,
    /// Threads, main threads and others.
    pub threads: Vec<Thread>,
    /// Open file descriptors, one entry for each process. A thread with descriptors of its own has an entry too.
    pub fds: Vec<FdList>,
    /// What the model of scapd knows beyond all this, so that it continues exactly. [`Machine`](crate::model::Machine)
    /// writes and reads the entries; other readers skip their block.
    pub beyond: Vec<Vec<u8>>,
}

/// The machine that a capture comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MachineInfo {
    /// CPUs that were online.
    pub num_cpus: u32,
    /// Main memory in bytes.
    pub memory_size: u64,
    /// The highest process id there can be, from `/proc/sys/kernel/pid_max`.
    pub max_pid: u64,
    /// The host's name; at most 127 bytes are kept.
    pub hostname: Vec<u8>,
    /// When the machine was started, in ns since the epoch.
    pub boot_time: u64,
    /// Flags of the format, 0 where unknown.
    pub flags: u64,
}

/// An address of a network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// The interface's name.
    pub name: Vec<u8>,
    /// Its address.
    pub address: InterfaceAddress,
    /// Its speed in bits per second, 0 where unknown.
    pub link_speed: u64,
}

/// The address of an interface with its mask and broadcast address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum InterfaceAddress {
    V4 { address: Ipv4Addr, netmask: Ipv4Addr, broadcast: Ipv4Addr },
    V6 { address: Ipv6Addr, netmask: Ipv6Addr, broadcast: Ipv6Addr },
}

/// A user of the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    pub name: Vec<u8>,
    pub home: Vec<u8>,
    pub shell: Vec<u8>,
}

/// A group of users.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Group {
    pub gid: u32,
    pub name: Vec<u8>,
}

/// A thread: an entry of the process list. The fields are those of block version 9, in its order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Thread {
    /// Thread id, as the initial pid namespace numbers it (so are `pid`, `ptid`, `sid`).
    pub tid: u64,
    /// Process id: the thread group.
    pub pid: u64,
    /// The parent process.
    pub ptid: u64,
    /// Session.
    pub sid: u64,
    /// Process group, as the process's own pid namespace numbers it.
    pub vpgid: u64,
    /// The command name, at most 15 bytes.
    pub comm: Vec<u8>,
    /// The first argument of the command line.
    pub exe: Vec<u8>,
    /// The path of the executable file.
    pub exepath: Vec<u8>,
    /// The other arguments, each with its terminating NUL; at most 4,096 bytes.
    pub args: Vec<u8>,
    /// Working directory.
    pub cwd: Vec<u8>,
    /// The soft limit of open files.
    pub fdlimit: u64,
    /// `clone_flags` of flags.def: how the thread shares with its process.
    pub flags: u32,
    /// Effective user.
    pub uid: u32,
    /// Effective group.
    pub gid: u32,
    /// Size of the address space, in KiB.
    pub vmsize_kb: u32,
    /// Resident memory, in KiB.
    pub vmrss_kb: u32,
    /// Swapped memory, in KiB.
    pub vmswap_kb: u32,
    /// Page faults that needed the disk.
    pub pfmajor: u64,
    /// Page faults that did not.
    pub pfminor: u64,
    /// Environment, each variable with its terminating NUL; at most 4,096 bytes.
    pub env: Vec<u8>,
    /// Thread id in the thread's own pid namespace.
    pub vtid: i64,
    /// Process id in the process's own pid namespace.
    pub vpid: i64,
    /// `subsystem=path`, each with its terminating NUL; at most 4,096 bytes.
    pub cgroups: Vec<u8>,
    /// Root directory.
    pub root: Vec<u8>,
    /// When the first process of its pid namespace was started, in ns since the epoch (0: not known).
    pub pidns_init_start_ts: u64,
    /// Terminal, the kernel's device number; 0 for none.
    pub tty: u32,
    /// The user that logged in; `u32::MAX` for none.
    pub loginuid: u32,
    /// Whether the user may write to the executable file.
    pub exe_writable: bool,
    /// Inheritable capabilities, in the kernel's bits (as the other two sets).
    pub cap_inheritable: u64,
    /// Permitted capabilities.
    pub cap_permitted: u64,
    /// Effective capabilities.
    pub cap_effective: u64,
    /// Whether the executable lies in an overlay's upper layer.
    pub exe_upper_layer: bool,
    /// The executable's inode.
    pub exe_ino: u64,
    /// When that inode last changed, in ns since the epoch.
    pub exe_ino_ctime: u64,
    /// When its contents last changed, in ns since the epoch.
    pub exe_ino_mtime: u64,
    /// Whether the executable is a file in memory only.
    pub exe_from_memfd: bool,
    /// Whether the executable lies in an overlay's lower layer.
    pub exe_lower_layer: bool,
    /// Process group, as the initial pid namespace numbers it.
    pub pgid: i64,
}

/// The open file descriptors of a process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FdList {
    /// The process.
    pub pid: u64,
    /// Its descriptors.
    pub fds: Vec<Fd>,
}

/// An open file descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fd {
    /// The descriptor's number.
    pub fd: u64,
    /// Inode of what it refers to, 0 where unknown.
    pub ino: u64,
    /// What it refers to.
    pub kind: FdKind,
}

/// What a file descriptor refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FdKind {
    /// A regular file or a device.
    File {
        /// `file_flags` of flags.def.
        open_flags: u32,
        /// Its path.
        path: Vec<u8>,
        /// Its device, as stat(2) encodes it in 32 bits: the minor number's low 8 bits, 12 bits of the major number, the
        /// rest of the minor number.
        dev: u32,
    },
    /// A connected IPv4 socket; its source is the local end (readers turn a server's round).
    Ipv4 {
        /// Source address and port.
        source: (Ipv4Addr, u16),
        /// Destination address and port.
        destination: (Ipv4Addr, u16),
        /// Protocol.
        l4: L4Proto,
    },
    /// A connected IPv6 socket.
    Ipv6 {
        /// Source address and port.
        source: (Ipv6Addr, u16),
        /// Destination address and port.
        destination: (Ipv6Addr, u16),
        /// Protocol.
        l4: L4Proto,
    },
    /// A listening or unconnected IPv4 socket.
    Ipv4Listening {
        /// Local address and port.
        local: (Ipv4Addr, u16),
        /// Protocol.
        l4: L4Proto,
    },
    /// A listening or unconnected IPv6 socket.
    Ipv6Listening {
        /// Local address and port.
        local: (Ipv6Addr, u16),
        /// Protocol.
        l4: L4Proto,
    },
    /// A unix socket.
    Unix {
        /// The kernel's address of the socket (or its inode), which events name too.
        source: u64,
        /// That of its peer, 0 where unknown.
        destination: u64,
        /// The path that it is bound to.
        path: Vec<u8>,
    },
    /// Anything else: its kind and a name.
    Named {
        /// Which kind.
        kind: NamedFd,
        /// A name, as the link in /proc shows it.
        name: Vec<u8>,
    },
}

/// Protocol of a socket, with the format's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
#[repr(u8)]
pub enum L4Proto {
    Unknown = 0,
    /// Of what is no socket. No writer that is known gives it to one.
    NotAvailable = 1,
    Tcp = 2,
    Udp = 3,
    Icmp = 4,
    Raw = 5,
}

/// The kinds of descriptor that have a name and nothing else, with the format's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
#[repr(u8)]
pub enum NamedFd {
    Directory = 2,
    Fifo = 7,
    Eventfd = 9,
    Unsupported = 10,
    Signalfd = 11,
    Eventpoll = 12,
    Inotify = 13,
    Timerfd = 14,
    Netlink = 15,
    Bpf = 17,
    Userfaultfd = 18,
    IoUring = 19,
    Memfd = 20,
    Pidfd = 21,
}

/// Conversion from the format's numbers, by the enumeration's own list.
macro_rules! from_number {
    ($enum:ident: $($variant:ident)*) => {
        impl $enum {
            /// The variant that the format numbers so.
            pub const fn from_number(number: u8) -> Option<$enum> {
                match number {
                    $(n if n == $enum::$variant as u8 => Some($enum::$variant),)*
                    _ => None,
                }
            }
        }

        // A variant that is missing above is named here by the compiler.
        const _: fn($enum) = |v| match v { $($enum::$variant => (),)* };
    };
}
from_number!(L4Proto: Unknown NotAvailable Tcp Udp Icmp Raw);
from_number!(NamedFd: Directory Fifo Eventfd Unsupported Signalfd Eventpoll Inotify Timerfd Netlink Bpf Userfaultfd
    IoUring Memfd Pidfd);

impl NamedFd {
    /// What the link of a descriptor in /proc says of one that is no file of a file system; none of another one.
    pub fn of_link(link: &[u8]) -> Option<NamedFd> {
        if memfd_name(link).is_some() {
            return Some(NamedFd::Memfd);
        }
        // Since Linux 6.9, where they are inodes of a file system of their own.
        if link.starts_with(b"pidfd:") {
            return Some(NamedFd::Pidfd);
        }
        let name = link.strip_prefix(b"anon_inode:")?;
        Some(match name.strip_prefix(b"[").and_then(|name| name.strip_suffix(b"]")).unwrap_or(name) {
            b"eventfd" => NamedFd::Eventfd,
            b"signalfd" => NamedFd::Signalfd,
            b"eventpoll" => NamedFd::Eventpoll,
            b"inotify" => NamedFd::Inotify,
            b"timerfd" => NamedFd::Timerfd,
            b"userfaultfd" => NamedFd::Userfaultfd,
            b"io_uring" => NamedFd::IoUring,
            b"pidfd" => NamedFd::Pidfd,
            b"btf" => NamedFd::Bpf,
            // Programs, maps, links, iterators, tokens.
            name if name.starts_with(b"bpf") => NamedFd::Bpf,
            _ => NamedFd::Unsupported,
        })
    }

    /// A kind that every reader takes: those that came to the format last are refused by sysdig 0.29, and all of the file
    /// with them. The name still says what it is.
    pub const fn for_all_readers(self) -> NamedFd {
        match self {
            NamedFd::Bpf | NamedFd::Userfaultfd | NamedFd::IoUring | NamedFd::Memfd | NamedFd::Pidfd => {
                NamedFd::Unsupported
            }
            other => other,
        }
    }
}

/// The name of a memfd, `memfd:` and what its maker called it, as events have it of a program in one: from that, or from a
/// link in /proc, which has `/memfd:NAME (deleted)`.
pub fn memfd_name(link: &[u8]) -> Option<&[u8]> {
    let name = match link.strip_prefix(b"/") {
        Some(name) => name.strip_suffix(b" (deleted)")?,
        None => link,
    };
    name.starts_with(b"memfd:").then_some(name)
}

impl FdKind {
    /// The format's number of the kind.
    pub const fn number(&self) -> u8 {
        match self {
            FdKind::File { .. } => 16,
            FdKind::Ipv4 { .. } => 3,
            FdKind::Ipv6 { .. } => 4,
            FdKind::Ipv4Listening { .. } => 5,
            FdKind::Ipv6Listening { .. } => 6,
            FdKind::Unix { .. } => 8,
            FdKind::Named { kind, .. } => *kind as u8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_without_a_file_are_known_by_their_links() {
        for (link, kind) in [
            (&b"anon_inode:[eventfd]"[..], Some(NamedFd::Eventfd)),
            (b"anon_inode:[signalfd]", Some(NamedFd::Signalfd)),
            (b"anon_inode:[eventpoll]", Some(NamedFd::Eventpoll)),
            (b"anon_inode:[timerfd]", Some(NamedFd::Timerfd)),
            (b"anon_inode:[userfaultfd]", Some(NamedFd::Userfaultfd)),
            (b"anon_inode:inotify", Some(NamedFd::Inotify)),
            (b"anon_inode:bpf-prog", Some(NamedFd::Bpf)),
            (b"anon_inode:bpf_link", Some(NamedFd::Bpf)),
            (b"anon_inode:btf", Some(NamedFd::Bpf)),
            (b"anon_inode:[io_uring]", Some(NamedFd::IoUring)),
            (b"anon_inode:[fanotify]", Some(NamedFd::Unsupported)),
            (b"anon_inode:", Some(NamedFd::Unsupported)),
            (b"anon_inode:[pidfd]", Some(NamedFd::Pidfd)),
            (b"pidfd:[123]", Some(NamedFd::Pidfd)),
            (b"/memfd:a (deleted)", Some(NamedFd::Memfd)),
            (b"memfd:a", Some(NamedFd::Memfd)),
            (b"/memfd:a", None),
            (b"/home/a", None),
            (b"pipe:[7]", None),
        ] {
            assert_eq!(NamedFd::of_link(link), kind, "{}", link.escape_ascii());
            // sysdig 0.29 knows numbers up to 16.
            assert!(kind.is_none_or(|kind| kind.for_all_readers() as u8 <= 16), "{kind:?}");
        }
        assert_eq!(NamedFd::Timerfd.for_all_readers(), NamedFd::Timerfd);
    }

    #[test]
    fn a_memfd_has_one_name() {
        for (link, name) in [
            (&b"/memfd:a b (deleted)"[..], Some(&b"memfd:a b"[..])),
            (b"memfd: (deleted)", Some(b"memfd: (deleted)")),
            (b"/memfd: (deleted) (deleted)", Some(b"memfd: (deleted)")),
            (b"/memfd:a", None),
            (b"/tmp/memfd:a (deleted)", None),
        ] {
            assert_eq!(memfd_name(link), name, "{}", link.escape_ascii());
        }
    }
}

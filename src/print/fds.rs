//! What file descriptors refer to.

use std::{net::IpAddr, sync::Arc};

use super::{names::flag, text};
use crate::scap::{
    SockAddr, SockTuple,
    state::{FdKind, L4Proto, NamedFd},
};

pub(super) const O_CLOEXEC: u32 = flag("file_flags", "O_CLOEXEC");
const AF_UNIX: u32 = flag("socket_families", "AF_UNIX");
const AF_INET: u32 = flag("socket_families", "AF_INET");
const AF_INET6: u32 = flag("socket_families", "AF_INET6");
const AF_NETLINK: u32 = flag("socket_families", "AF_NETLINK");

/// What kind of thing a descriptor refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FdClass {
    /// A regular file or a device.
    File,
    /// An IPv4 socket.
    Ipv4(L4Proto),
    /// An IPv6 socket.
    Ipv6(L4Proto),
    /// A unix socket.
    Unix,
    /// Anything else.
    Named(NamedFd),
}

impl FdClass {
    /// The letter that sysdig prints.
    pub const fn letter(self) -> char {
        match self {
            FdClass::File => 'f',
            FdClass::Ipv4(_) => '4',
            FdClass::Ipv6(_) => '6',
            FdClass::Unix => 'u',
            FdClass::Named(kind) => match kind {
                NamedFd::Directory => 'd',
                NamedFd::Fifo => 'p',
                NamedFd::Eventfd => 'e',
                NamedFd::Unsupported => 'X',
                NamedFd::Signalfd => 's',
                NamedFd::Eventpoll => 'l',
                NamedFd::Inotify => 'i',
                NamedFd::Timerfd => 't',
                NamedFd::Netlink => 'n',
                NamedFd::Bpf => 'b',
                NamedFd::Userfaultfd => 'u',
                NamedFd::IoUring => 'r',
                NamedFd::Memfd => 'm',
                NamedFd::Pidfd => 'P',
            },
        }
    }

    /// The letter of a socket's protocol, which follows the first one.
    pub const fn protocol(self) -> Option<char> {
        match self {
            FdClass::Ipv4(l4) | FdClass::Ipv6(l4) => match l4 {
                L4Proto::Tcp => Some('t'),
                L4Proto::Udp => Some('u'),
                L4Proto::Icmp => Some('i'),
                L4Proto::Raw => Some('r'),
                L4Proto::Unknown => None,
            },
            _ => None,
        }
    }

    /// What a socket of that tuple is.
    pub(super) fn of_tuple(tuple: &SockTuple<'_>, l4: L4Proto) -> FdClass {
        match tuple {
            SockTuple::Inet { source, .. } => FdClass::of_ip(source.0, l4),
            SockTuple::Unix { .. } => FdClass::Unix,
            SockTuple::Other(..) => FdClass::Named(NamedFd::Unsupported),
        }
    }

    /// What a socket of that address is.
    pub(super) fn of_address(address: &SockAddr<'_>) -> FdClass {
        match address {
            SockAddr::Inet(ip, _) => FdClass::of_ip(*ip, L4Proto::Unknown),
            SockAddr::Unix(_) => FdClass::Unix,
            SockAddr::Other(..) => FdClass::Named(NamedFd::Unsupported),
        }
    }

    fn of_ip(ip: IpAddr, l4: L4Proto) -> FdClass {
        if ip.is_ipv4() { FdClass::Ipv4(l4) } else { FdClass::Ipv6(l4) }
    }

    pub(super) const fn is_socket(self) -> bool {
        match self {
            FdClass::Ipv4(_) | FdClass::Ipv6(_) | FdClass::Unix => true,
            // A family without a class of its own may be one.
            FdClass::Named(kind) => matches!(kind, NamedFd::Netlink | NamedFd::Unsupported),
            FdClass::File => false,
        }
    }

    /// A word for it.
    pub const fn word(self) -> &'static str {
        match self {
            FdClass::File => "file",
            FdClass::Ipv4(_) => "ipv4",
            FdClass::Ipv6(_) => "ipv6",
            FdClass::Unix => "unix",
            FdClass::Named(kind) => match kind {
                NamedFd::Directory => "directory",
                NamedFd::Fifo => "pipe",
                NamedFd::Eventfd => "event",
                NamedFd::Unsupported => "unsupported",
                NamedFd::Signalfd => "signalfd",
                NamedFd::Eventpoll => "eventpoll",
                NamedFd::Inotify => "inotify",
                NamedFd::Timerfd => "timerfd",
                NamedFd::Netlink => "netlink",
                NamedFd::Bpf => "bpf",
                NamedFd::Userfaultfd => "userfaultfd",
                NamedFd::IoUring => "io_uring",
                NamedFd::Memfd => "memfd",
                NamedFd::Pidfd => "pidfd",
            },
        }
    }
}

/// An open file descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenFd {
    /// What it refers to.
    pub class: FdClass,
    /// Its name: a path, a socket's ends; may be empty. Duplicates share it.
    pub name: Arc<[u8]>,
}

impl OpenFd {
    /// A descriptor of the state that a capture starts with, and whether an exec closes it.
    pub(super) fn of_state(kind: &FdKind) -> (OpenFd, bool) {
        let ends =
            |source, destination| text::socktuple(&SockTuple::Inet { source, destination }).into_bytes();
        let address = |address, port| text::sockaddr(&SockAddr::Inet(address, port)).into_bytes();
        let (class, name) = match kind {
            FdKind::File { path, .. } => (FdClass::File, path.clone()),
            FdKind::Ipv4 { source: s, destination: d, l4 } => {
                (FdClass::Ipv4(*l4), ends((s.0.into(), s.1), (d.0.into(), d.1)))
            }
            FdKind::Ipv6 { source: s, destination: d, l4 } => {
                (FdClass::Ipv6(*l4), ends((s.0.into(), s.1), (d.0.into(), d.1)))
            }
            FdKind::Ipv4Listening { local, l4 } => (FdClass::Ipv4(*l4), address(local.0.into(), local.1)),
            FdKind::Ipv6Listening { local, l4 } => (FdClass::Ipv6(*l4), address(local.0.into(), local.1)),
            FdKind::Unix { path, .. } => (FdClass::Unix, path.clone()),
            // Kinds that some readers refuse are in the file as unsupported, with their names.
            FdKind::Named { kind: NamedFd::Unsupported, name } => {
                (FdClass::Named(NamedFd::of_link(name).unwrap_or(NamedFd::Unsupported)), name.clone())
            }
            FdKind::Named { kind, name } => (FdClass::Named(*kind), name.clone()),
        };
        let close_on_exec = matches!(kind, FdKind::File { open_flags, .. } if open_flags & O_CLOEXEC != 0);
        (OpenFd { class, name: name.into() }, close_on_exec)
    }
}

/// What `socket` returns for its arguments; domain in the format's numbers.
pub(super) fn socket_class(domain: Option<u32>, ty: Option<u64>, protocol: Option<u64>) -> FdClass {
    const PROTOCOLS: [(u64, L4Proto); 4] =
        [(1, L4Proto::Icmp), (6, L4Proto::Tcp), (17, L4Proto::Udp), (58, L4Proto::Icmp)];
    const STREAM_OR_DATAGRAM: [L4Proto; 4] = [L4Proto::Unknown, L4Proto::Tcp, L4Proto::Udp, L4Proto::Raw];
    let by_protocol = PROTOCOLS.iter().find(|(n, _)| Some(*n) == protocol).map(|(_, l4)| *l4);
    let by_type = || ty.and_then(|ty| STREAM_OR_DATAGRAM.get((ty & 0xf) as usize).copied());
    let l4 = by_protocol.or_else(by_type).unwrap_or(L4Proto::Unknown);
    match domain {
        Some(AF_INET) => FdClass::Ipv4(l4),
        Some(AF_INET6) => FdClass::Ipv6(l4),
        Some(AF_UNIX) => FdClass::Unix,
        Some(AF_NETLINK) => FdClass::Named(NamedFd::Netlink),
        _ => FdClass::Named(NamedFd::Unsupported),
    }
}

/// What a call returns a descriptor of that has no path.
pub(super) fn named_fd(call: &str) -> Option<NamedFd> {
    Some(match call {
        "eventfd" | "eventfd2" => NamedFd::Eventfd,
        "epoll_create" | "epoll_create1" => NamedFd::Eventpoll,
        "signalfd" | "signalfd4" => NamedFd::Signalfd,
        "timerfd_create" => NamedFd::Timerfd,
        "inotify_init" | "inotify_init1" => NamedFd::Inotify,
        "memfd_create" => NamedFd::Memfd,
        "userfaultfd" => NamedFd::Userfaultfd,
        "pidfd_open" => NamedFd::Pidfd,
        "io_uring_setup" => NamedFd::IoUring,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unsupported_in_the_state_is_known_by_its_name() {
        for (name, letter) in [("anon_inode:[pidfd]", 'P'), ("/memfd:a (deleted)", 'm'), ("socket:[7]", 'X')]
        {
            let kind = FdKind::Named { kind: NamedFd::Unsupported, name: name.into() };
            let (open, _) = OpenFd::of_state(&kind);
            assert_eq!((open.class.letter(), &*open.name), (letter, name.as_bytes()));
        }
    }
}

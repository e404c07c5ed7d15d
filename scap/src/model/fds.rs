//! The objects that file descriptors refer to.

use std::{collections::HashSet, net::IpAddr, sync::Arc};

use super::{endpoints, transitions::flag};
use crate::format::{
    SockAddr, SockTuple,
    state::{FdKind, FdList, L4Proto, NamedFd, memfd_name},
};

pub(crate) const O_CLOEXEC: u32 = flag("file_flags", "O_CLOEXEC");
const AF_UNIX: u32 = flag("socket_families", "AF_UNIX");
const AF_INET: u32 = flag("socket_families", "AF_INET");
const AF_INET6: u32 = flag("socket_families", "AF_INET6");
const AF_NETLINK: u32 = flag("socket_families", "AF_NETLINK");

/// The kind of object that a descriptor refers to.
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
    /// Returns the letter that sysdig prints.
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

    /// Returns the letter of a socket's protocol, which follows the class letter.
    pub const fn protocol(self) -> Option<char> {
        match self {
            FdClass::Ipv4(l4) | FdClass::Ipv6(l4) => match l4 {
                L4Proto::Tcp => Some('t'),
                L4Proto::Udp => Some('u'),
                L4Proto::Icmp => Some('i'),
                L4Proto::Raw => Some('r'),
                L4Proto::Unknown | L4Proto::NotAvailable => None,
            },
            _ => None,
        }
    }

    /// Returns the JSON name of a socket's protocol.
    pub const fn protocol_word(self) -> Option<&'static str> {
        match self {
            FdClass::Ipv4(l4) | FdClass::Ipv6(l4) => match l4 {
                L4Proto::Tcp => Some("tcp"),
                L4Proto::Udp => Some("udp"),
                L4Proto::Icmp => Some("icmp"),
                L4Proto::Raw => Some("raw"),
                L4Proto::Unknown | L4Proto::NotAvailable => None,
            },
            _ => None,
        }
    }

    /// Returns the class of a socket with that tuple.
    pub(crate) fn of_tuple(tuple: &SockTuple<'_>, l4: L4Proto) -> FdClass {
        match tuple {
            SockTuple::Inet { source, .. } => FdClass::of_ip(source.0, l4),
            SockTuple::Unix { .. } => FdClass::Unix,
            SockTuple::Other(..) => FdClass::Named(NamedFd::Unsupported),
        }
    }

    /// Returns the class of a socket with that address. An IPv4-mapped IPv6 address counts as IPv4.
    pub(crate) fn of_address(address: &SockAddr<'_>) -> FdClass {
        match address {
            SockAddr::Inet(ip, _) => FdClass::of_ip(*ip, L4Proto::Unknown),
            SockAddr::Unix(_) => FdClass::Unix,
            SockAddr::Other(..) => FdClass::Named(NamedFd::Unsupported),
        }
    }

    fn of_ip(ip: IpAddr, l4: L4Proto) -> FdClass {
        if ip.to_canonical().is_ipv4() { FdClass::Ipv4(l4) } else { FdClass::Ipv6(l4) }
    }

    /// Returns whether a socket of this class may exchange data with several peers.
    const fn has_many_peers(self) -> bool {
        match self {
            FdClass::Ipv4(l4) | FdClass::Ipv6(l4) => !matches!(l4, L4Proto::Tcp),
            _ => true,
        }
    }

    /// Returns this class with the IP version of `address`: an IPv6 socket may have IPv4 peers.
    pub(crate) const fn with_family_of(self, address: FdClass) -> FdClass {
        match (self, address) {
            (FdClass::Ipv4(l4), FdClass::Ipv6(_)) => FdClass::Ipv6(l4),
            (FdClass::Ipv6(l4), FdClass::Ipv4(_)) => FdClass::Ipv4(l4),
            _ => self,
        }
    }

    pub(crate) const fn is_socket(self) -> bool {
        match self {
            FdClass::Ipv4(_) | FdClass::Ipv6(_) | FdClass::Unix => true,
            // Sockets of other families are unsupported.
            FdClass::Named(kind) => matches!(kind, NamedFd::Netlink | NamedFd::Unsupported),
            FdClass::File => false,
        }
    }

    /// Returns the JSON name of the class.
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
    /// The kind of object that it refers to.
    pub class: FdClass,
    /// The path, name, or socket endpoints; may be empty. Duplicates share it.
    pub name: Arc<[u8]>,
    pub(crate) detail: FdDetail,
}

/// Further state of a descriptor, needed by later events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum FdDetail {
    #[default]
    None,
    /// A socket's role, and its endpoints if its peer is known.
    Socket(Role, Option<Ends>),
    /// The process of a pidfd, by its id in the initial pid namespace.
    Process(u64),
}

/// The side of a connection that a socket is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Client,
    Server,
}

/// The direction of data, seen from the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    In,
    Out,
}

/// Both endpoints of a socket, in the order of a tuple.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ends {
    Inet((IpAddr, u16), (IpAddr, u16)),
    /// The kernel's addresses of the sockets.
    Unix(u64, u64),
}

impl Ends {
    pub fn of_tuple(tuple: &SockTuple<'_>) -> Option<Ends> {
        match *tuple {
            SockTuple::Inet { source, destination } => {
                let canonical = |end: (IpAddr, u16)| (end.0.to_canonical(), end.1);
                Some(Ends::Inet(canonical(source), canonical(destination)))
            }
            SockTuple::Unix { source, destination, .. } => Some(Ends::Unix(source, destination)),
            SockTuple::Other(..) => None,
        }
    }

    fn turned(self) -> Ends {
        match self {
            Ends::Inet(a, b) => Ends::Inet(b, a),
            Ends::Unix(a, b) => Ends::Unix(b, a),
        }
    }

    /// Returns whether both have the same first endpoint (or second, if `second`).
    fn has_same(self, other: Ends, second: bool) -> bool {
        match (if second { self.turned() } else { self }, if second { other.turned() } else { other }) {
            (Ends::Inet(a, _), Ends::Inet(b, _)) => a == b,
            (Ends::Unix(a, _), Ends::Unix(b, _)) => a == b,
            _ => false,
        }
    }

    /// Returns whether the first endpoint is unspecified.
    fn begins_nowhere(self) -> bool {
        match self {
            Ends::Inet((ip, port), _) => ip.is_unspecified() && port == 0,
            Ends::Unix(socket, _) => socket == 0,
        }
    }
}

impl OpenFd {
    pub(crate) fn new(class: FdClass, name: &[u8]) -> OpenFd {
        OpenFd { class, name: name.into(), detail: FdDetail::None }
    }

    /// Converts a descriptor of the initial state; also returns whether an exec closes it.
    pub(crate) fn of_state(kind: &FdKind, listening: &ServerPorts) -> (OpenFd, bool) {
        let address = |address, port| endpoints::sockaddr(&SockAddr::Inet(address, port));
        let (class, name) = match kind {
            FdKind::File { path, .. } => (FdClass::File, path.clone()),
            FdKind::Ipv4 { source: s, destination: d, l4 } => {
                return (connected((s.0.into(), s.1), (d.0.into(), d.1), *l4, listening), false);
            }
            FdKind::Ipv6 { source: s, destination: d, l4 } => {
                return (connected((s.0.into(), s.1), (d.0.into(), d.1), *l4, listening), false);
            }
            FdKind::Ipv4Listening { local, l4 } => (FdClass::Ipv4(*l4), address(local.0.into(), local.1)),
            FdKind::Ipv6Listening { local: (ip, port), l4 } => {
                (FdClass::of_ip((*ip).into(), *l4), address((*ip).into(), *port))
            }
            FdKind::Unix { path, .. } => (FdClass::Unix, path.clone()),
            // Kinds that some readers refuse are stored as unsupported, with their names.
            FdKind::Named { kind: NamedFd::Unsupported, name } => {
                let kind = NamedFd::of_link(name).unwrap_or(NamedFd::Unsupported);
                (FdClass::Named(kind), memfd_name(name).unwrap_or(name).to_vec())
            }
            FdKind::Named { kind, name } => {
                (FdClass::Named(*kind), memfd_name(name).unwrap_or(name).to_vec())
            }
        };
        let close_on_exec = matches!(kind, FdKind::File { open_flags, .. } if open_flags & O_CLOEXEC != 0);
        (OpenFd::new(class, &name), close_on_exec)
    }

    pub(crate) fn process(&self) -> Option<u64> {
        match self.detail {
            FdDetail::Process(pid) => Some(pid),
            _ => None,
        }
    }

    /// Sets a socket's name and endpoints from an event.
    pub(crate) fn set_ends(&mut self, role: Role, tuple: &SockTuple<'_>) {
        self.name = endpoints::socktuple(tuple).into();
        self.detail = Ends::of_tuple(tuple).map_or(FdDetail::None, |ends| FdDetail::Socket(role, Some(ends)));
    }

    /// Sets the endpoints from a transfer if the socket has no name, or if it may have several peers and the peer has
    /// changed. A socket of unknown role is a client if it sends first, a server if it receives first.
    pub(crate) fn follow(&mut self, direction: Direction, ends: Ends, tuple: &SockTuple<'_>) {
        let peer_first = if direction == Direction::In { ends } else { ends.turned() };
        if !self.name.is_empty() && (!self.class.has_many_peers() || peer_first.begins_nowhere()) {
            return;
        }
        let guess = if direction == Direction::In { Role::Server } else { Role::Client };
        let (role, known) = match self.detail {
            FdDetail::Socket(role, known) => (role, known),
            _ => (guess, None),
        };
        // A server's peer comes first, a client's peer second.
        let wanted = if role == Role::Server { peer_first } else { peer_first.turned() };
        if known.is_some_and(|known| known.has_same(wanted, role == Role::Client)) {
            return;
        }
        match *tuple {
            SockTuple::Inet { source, destination } if wanted != ends => {
                self.set_ends(role, &SockTuple::Inet { source: destination, destination: source });
            }
            _ => self.set_ends(role, tuple),
        }
        self.detail = FdDetail::Socket(role, Some(wanted));
    }
}

/// The local ports of the listening sockets in the initial state, with their protocols.
#[derive(Debug, Default)]
pub(crate) struct ServerPorts(HashSet<(u8, u16)>);

impl ServerPorts {
    pub fn of_state(lists: &[FdList]) -> ServerPorts {
        let ports = lists.iter().flat_map(|list| &list.fds).filter_map(|fd| match fd.kind {
            FdKind::Ipv4Listening { local: (_, port), l4 } => Some((l4 as u8, port)),
            FdKind::Ipv6Listening { local: (_, port), l4 } => Some((l4 as u8, port)),
            _ => None,
        });
        ServerPorts(ports.filter(|(_, port)| *port != 0).collect())
    }
}

/// Converts a connected socket of the initial state, whose source is the local endpoint. The state does not say which
/// side connected: a socket whose local port has a listener is the server.
fn connected(local: (IpAddr, u16), peer: (IpAddr, u16), l4: L4Proto, listening: &ServerPorts) -> OpenFd {
    let (role, source, destination) = match listening.0.contains(&(l4 as u8, local.1)) {
        true => (Role::Server, peer, local),
        false => (Role::Client, local, peer),
    };
    let tuple = SockTuple::Inet { source, destination };
    let mut open = OpenFd::new(FdClass::of_tuple(&tuple, l4), b"");
    open.set_ends(role, &tuple);
    open
}

/// Returns the class of the socket that `socket` creates. `domain` uses the .scap format's numbers.
pub(crate) fn socket_class(domain: Option<u32>, ty: Option<u64>, protocol: Option<u64>) -> FdClass {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unsupported_in_the_state_is_known_by_its_name() {
        for (name, letter, shown) in [
            ("anon_inode:[pidfd]", 'P', "anon_inode:[pidfd]"),
            ("/memfd:a (deleted)", 'm', "memfd:a"),
            ("memfd:a", 'm', "memfd:a"),
            ("socket:[7]", 'X', "socket:[7]"),
        ] {
            let kind = FdKind::Named { kind: NamedFd::Unsupported, name: name.into() };
            let (open, _) = OpenFd::of_state(&kind, &ServerPorts::default());
            assert_eq!((open.class.letter(), &*open.name), (letter, shown.as_bytes()));
        }
    }
}

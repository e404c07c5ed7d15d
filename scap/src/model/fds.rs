//! The objects that file descriptors refer to.

use std::{net::IpAddr, sync::Arc};

use super::{endpoints, flags::flag};
use crate::format::{
    SockAddr, SockTuple, heap,
    state::{FdKind, L4Proto, NamedFd},
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

    pub(crate) fn of_ip(ip: IpAddr, l4: L4Proto) -> FdClass {
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
    /// The path as the call that opened it was given it; `None` if the capture does not show that, or if only names are
    /// kept.
    pub given: Option<Arc<[u8]>>,
    /// `file_flags` of flags.def that it was opened with; 0 if unknown.
    pub flags: u32,
    /// The device of a file, as stat(2) encodes it in 32 bits; 0 if unknown.
    pub dev: u32,
    /// The inode; 0 if unknown.
    pub ino: u64,
    /// When it was opened, in ns since the epoch; 0 if the capture does not show it.
    pub opened: u64,
    pub(crate) detail: FdDetail,
    /// Its entry in the initial state, where the rest does not tell all of it.
    pub(crate) stored: Option<Arc<FdKind>>,
}

/// Further state of a descriptor, needed by later events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum FdDetail {
    #[default]
    None,
    /// A socket's role, and its endpoints if its peer is known.
    Socket(Role, Option<Ends>),
    /// A socket's own address, and its role if known.
    Bound(Option<Role>, (IpAddr, u16)),
    /// The process of a pidfd, by its id in the initial pid namespace.
    Process(u64),
}

impl FdDetail {
    /// Returns that of a socket bound to an address: with a port, it is a server.
    pub fn of_bound(address: &SockAddr<'_>) -> FdDetail {
        match *address {
            SockAddr::Inet(ip, port) => FdDetail::Bound((port > 0).then_some(Role::Server), (ip, port)),
            _ => FdDetail::None,
        }
    }
}

/// The side of a connection that a socket is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It connected, or sent first.
    Client,
    /// It listened, or received first.
    Server,
}

/// The direction of data, seen from the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    In,
    Out,
}

/// Both endpoints of a socket, the client first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// Client and server, with addresses of IPv4 where IPv6 maps them.
    Inet((IpAddr, u16), (IpAddr, u16)),
    /// The kernel's addresses of the sockets.
    Unix(u64, u64),
}

impl Ends {
    pub(crate) fn of_tuple(tuple: &SockTuple<'_>) -> Option<Ends> {
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
        OpenFd {
            class,
            name: name.into(),
            given: None,
            flags: 0,
            dev: 0,
            ino: 0,
            opened: 0,
            detail: FdDetail::None,
            stored: None,
        }
    }

    /// Returns the side of its connection that a socket is on, if known.
    pub fn role(&self) -> Option<Role> {
        match self.detail {
            FdDetail::Socket(role, _) => Some(role),
            FdDetail::Bound(role, _) => role,
            _ => None,
        }
    }

    /// Returns both endpoints of a socket, the client's first, if known.
    pub fn ends(&self) -> Option<Ends> {
        match self.detail {
            FdDetail::Socket(_, ends) => ends,
            _ => None,
        }
    }

    /// Returns a socket's own address, if known.
    pub fn local(&self) -> Option<(IpAddr, u16)> {
        match self.detail {
            FdDetail::Bound(_, local) => Some(local),
            FdDetail::Socket(Role::Client, Some(Ends::Inet(local, _))) => Some(local),
            FdDetail::Socket(Role::Server, Some(Ends::Inet(_, local))) => Some(local),
            _ => None,
        }
    }

    /// The memory of what it refers to, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        let path = |kind: &Arc<FdKind>| match &**kind {
            FdKind::Unix { path, .. } => heap(path.capacity()),
            FdKind::Named { name, .. } => heap(name.capacity()),
            _ => 0,
        };
        let stored = |kind: &Arc<FdKind>| heap(16 + size_of::<FdKind>()) + path(kind);
        let own = |given: &&Arc<[u8]>| !Arc::ptr_eq(given, &self.name);
        let given = self.given.as_ref().filter(own).map_or(0, |given| heap(16 + given.len()));
        heap(16 + self.name.len()) + given + self.stored.as_ref().map_or(0, stored)
    }

    /// Notes the path that the call which opened it was given.
    pub(crate) fn set_given(&mut self, path: &[u8]) {
        self.given = Some(if *self.name == *path { self.name.clone() } else { path.into() });
    }

    pub(crate) fn process(&self) -> Option<u64> {
        match self.detail {
            FdDetail::Process(pid) => Some(pid),
            _ => None,
        }
    }

    /// Sets a socket's name and endpoints from an event.
    pub(crate) fn set_ends(&mut self, role: Role, tuple: &SockTuple<'_>) {
        self.stored = None;
        self.name = endpoints::socktuple(tuple).into();
        self.detail = Ends::of_tuple(tuple).map_or(FdDetail::None, |ends| FdDetail::Socket(role, Some(ends)));
    }

    /// Returns whether it is a socket with one IPv4 peer, which is known.
    pub(crate) fn is_ipv4_connection(&self) -> bool {
        matches!(self.class, FdClass::Ipv4(L4Proto::Tcp)) && !self.name.is_empty()
    }

    /// Returns the role and the ends that a transfer gives to the socket: if it has no name, or if it may have several peers
    /// and the peer has changed. A socket of unknown role is a client if it sends first, a server if it receives first.
    pub(crate) fn follows(&self, direction: Direction, ends: Ends) -> Option<(Role, Ends)> {
        let peer_first = if direction == Direction::In { ends } else { ends.turned() };
        if !self.name.is_empty() && (!self.class.has_many_peers() || peer_first.begins_nowhere()) {
            return None;
        }
        let guess = if direction == Direction::In { Role::Server } else { Role::Client };
        let (role, known) = match self.detail {
            FdDetail::Socket(role, known) => (role, known),
            FdDetail::Bound(Some(role), _) => (role, None),
            _ => (guess, None),
        };
        // A server's peer comes first, a client's peer second.
        let wanted = if role == Role::Server { peer_first } else { peer_first.turned() };
        let is_known = known.is_some_and(|known| known.has_same(wanted, role == Role::Client));
        (!is_known).then_some((role, wanted))
    }

    /// Sets the endpoints from a transfer, if it gives it some.
    pub(crate) fn follow(&mut self, direction: Direction, ends: Ends, tuple: &SockTuple<'_>) {
        let Some((role, wanted)) = self.follows(direction, ends) else { return };
        match *tuple {
            SockTuple::Inet { source, destination } if wanted != ends => {
                self.set_ends(role, &SockTuple::Inet { source: destination, destination: source });
            }
            _ => self.set_ends(role, tuple),
        }
        self.detail = FdDetail::Socket(role, Some(wanted));
    }
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
    fn ends_are_compared_one_by_one() {
        let inet = |a, b| Ends::Inet(([127, 0, 0, 1].into(), a), ([127, 0, 0, 1].into(), b));
        for (one, other, first, second) in [
            (inet(1, 2), inet(1, 2), true, true),
            (inet(1, 2), inet(1, 3), true, false),
            (inet(1, 2), inet(3, 2), false, true),
            (inet(1, 2), inet(2, 1), false, false),
            (Ends::Unix(1, 2), Ends::Unix(1, 3), true, false),
            (Ends::Unix(1, 2), Ends::Unix(3, 2), false, true),
            (Ends::Unix(1, 2), inet(1, 2), false, false),
        ] {
            assert_eq!(
                (one.has_same(other, false), one.has_same(other, true)),
                (first, second),
                "{one:?} {other:?}"
            );
        }
    }

    #[test]
    fn an_end_without_address_and_port_is_nobodys() {
        let from = |ip: [u8; 4], port| Ends::Inet((ip.into(), port), ([127, 0, 0, 1].into(), 80));
        assert!(from([0; 4], 0).begins_nowhere() && Ends::Unix(0, 5).begins_nowhere());
        assert!(!from([0; 4], 53).begins_nowhere() && !from([127, 0, 0, 1], 0).begins_nowhere());
        assert!(!Ends::Unix(5, 0).begins_nowhere());
    }
}

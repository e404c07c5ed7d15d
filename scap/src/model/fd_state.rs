//! Descriptors of the initial state, and descriptors written as such.

use std::{net::IpAddr, sync::Arc};

use crate::hash::HashSet;

use super::{
    endpoints,
    fds::{Ends, FdClass, FdDetail, O_CLOEXEC, OpenFd, Role},
};
use crate::format::{
    SockAddr, SockTuple,
    state::{Fd, FdKind, FdList, L4Proto, NamedFd, memfd_name},
};

/// The longest path in an entry, in bytes.
const MAX_PATH: usize = 1023;

impl OpenFd {
    /// Converts a descriptor of the initial state; also returns whether an exec closes it. With `whole`, the descriptor
    /// [can be written](OpenFd::to_state) as it was.
    pub(crate) fn of_state(fd: &Fd, listening: &ServerPorts, whole: bool) -> (OpenFd, bool) {
        let (mut open, close_on_exec) = OpenFd::of_kind(&fd.kind, listening);
        open.ino = fd.ino;
        if let FdKind::File { open_flags, dev, .. } = fd.kind {
            (open.flags, open.dev) = (open_flags, dev);
        }
        if whole && open.to_state(fd.fd, close_on_exec) != *fd {
            open.stored = Some(Arc::new(fd.kind.clone()));
        }
        (open, close_on_exec)
    }

    /// Converts a descriptor that an event describes.
    pub fn described(fd: &Fd) -> OpenFd {
        OpenFd::of_state(fd, &ServerPorts::default(), false).0
    }

    fn of_kind(kind: &FdKind, listening: &ServerPorts) -> (OpenFd, bool) {
        let (class, name) = match kind {
            FdKind::File { path, .. } => (FdClass::File, path.clone()),
            FdKind::Ipv4 { source: s, destination: d, l4 } => {
                return (connected((s.0.into(), s.1), (d.0.into(), d.1), *l4, listening), false);
            }
            FdKind::Ipv6 { source: s, destination: d, l4 } => {
                return (connected((s.0.into(), s.1), (d.0.into(), d.1), *l4, listening), false);
            }
            FdKind::Ipv4Listening { local: (ip, port), l4 } => {
                return (OpenFd::bound(FdClass::Ipv4(*l4), ((*ip).into(), *port)), false);
            }
            FdKind::Ipv6Listening { local: (ip, port), l4 } => {
                let ip = (*ip).into();
                return (OpenFd::bound(FdClass::of_ip(ip, *l4), (ip, *port)), false);
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

    /// A socket of the initial state that is not connected.
    fn bound(class: FdClass, local: (IpAddr, u16)) -> OpenFd {
        let name = endpoints::sockaddr(&SockAddr::Inet(local.0, local.1));
        OpenFd { detail: FdDetail::Bound(None, local), ..OpenFd::new(class, &name) }
    }

    /// Turns the entry of a connection round if it is read back with the right name only then: the format does not say
    /// which side has connected.
    pub(crate) fn orient(&self, fd: &mut Fd, listening: &ServerPorts) {
        let turned = match fd.kind {
            FdKind::Ipv4 { source, destination, l4 } => {
                FdKind::Ipv4 { source: destination, destination: source, l4 }
            }
            FdKind::Ipv6 { source, destination, l4 } => {
                FdKind::Ipv6 { source: destination, destination: source, l4 }
            }
            _ => return,
        };
        let has_name = |kind: &FdKind| OpenFd::of_kind(kind, listening).0.name == self.name;
        if !has_name(&fd.kind) && has_name(&turned) {
            fd.kind = turned;
        }
    }

    /// Returns whether the descriptor is read back from an entry as it is.
    pub(crate) fn is_told_by(&self, fd: &Fd, close_on_exec: bool, listening: &ServerPorts) -> bool {
        let bare = |open: &OpenFd| OpenFd { opened: 0, stored: None, ..open.clone() };
        let (back, closes) = OpenFd::of_state(fd, listening, false);
        self.name.len() <= MAX_PATH && closes == close_on_exec && bare(&back) == bare(self)
    }

    /// Converts the descriptor to one of the state.
    pub(crate) fn to_state(&self, fd: u64, close_on_exec: bool) -> Fd {
        let kind = match &self.stored {
            Some(stored) => (**stored).clone(),
            None => self.kind(close_on_exec),
        };
        Fd { fd, ino: self.ino, kind }
    }

    fn kind(&self, close_on_exec: bool) -> FdKind {
        let name = || self.name.to_vec();
        match self.class {
            FdClass::File => {
                let open_flags = self.flags & !O_CLOEXEC | if close_on_exec { O_CLOEXEC } else { 0 };
                FdKind::File { open_flags, path: name(), dev: self.dev }
            }
            FdClass::Unix => {
                let (source, destination) = match self.ends() {
                    Some(Ends::Unix(source, destination)) => (source, destination),
                    _ => (0, 0),
                };
                FdKind::Unix { source, destination, path: name() }
            }
            FdClass::Ipv4(l4) | FdClass::Ipv6(l4) => self.socket_kind(l4),
            FdClass::Named(kind) => FdKind::Named { kind: kind.for_all_readers(), name: name() },
        }
    }

    fn socket_kind(&self, l4: L4Proto) -> FdKind {
        let v6 = |ip: IpAddr| match ip {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        let (local, peer) = match (self.ends(), self.role()) {
            (Some(Ends::Inet(client, server)), Some(Role::Server)) => (Some(server), Some(client)),
            (Some(Ends::Inet(client, server)), _) => (Some(client), Some(server)),
            _ => (self.local(), None),
        };
        match (local, peer) {
            (Some((IpAddr::V4(a), p)), Some((IpAddr::V4(b), q))) => {
                FdKind::Ipv4 { source: (a, p), destination: (b, q), l4 }
            }
            (Some((a, p)), Some((b, q))) => FdKind::Ipv6 { source: (v6(a), p), destination: (v6(b), q), l4 },
            (Some((IpAddr::V4(a), p)), None) => FdKind::Ipv4Listening { local: (a, p), l4 },
            (Some((IpAddr::V6(a), p)), None) => FdKind::Ipv6Listening { local: (a, p), l4 },
            // A kind without an address: readers show the name alone.
            (None, _) => FdKind::Named { kind: NamedFd::Unsupported, name: self.name.to_vec() },
        }
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
            let fd = Fd { fd: 3, ino: 7, kind };
            let (open, close_on_exec) = OpenFd::of_state(&fd, &ServerPorts::default(), true);
            assert_eq!(open.to_state(3, close_on_exec), fd);
            assert_eq!((open.class.letter(), &*open.name), (letter, shown.as_bytes()));
        }
    }
}

//! The ends of sockets.

use std::net::IpAddr;

use crate::model::{Ends, OpenFd};

/// An address and a port.
pub(super) type End = (IpAddr, u16);

/// Returns both ends of a connected IP socket, the client's first.
pub(super) fn ends(open: &OpenFd) -> Option<(End, End)> {
    match open.ends()? {
        Ends::Inet(client, server) => Some((client, server)),
        Ends::Unix(..) => None,
    }
}

/// Returns the address of an IP socket that waits for peers: without a port, it does not.
pub(super) fn bound(open: &OpenFd) -> Option<End> {
    if open.ends().is_some() { None } else { open.local().filter(|(_, port)| *port != 0) }
}

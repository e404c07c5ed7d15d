//! The text form of socket addresses, which names sockets.

use std::net::IpAddr;

use crate::format::{SockAddr, SockTuple};

/// Formats an address and a port; IPv4-mapped addresses as IPv4, and IPv6 without brackets, as sysdig does.
pub fn endpoint(address: IpAddr, port: u16) -> String {
    format!("{}:{port}", address.to_canonical())
}

/// Formats a socket address, without escaping.
pub fn sockaddr(address: &SockAddr<'_>) -> Vec<u8> {
    match *address {
        SockAddr::Inet(address, port) => endpoint(address, port).into(),
        SockAddr::Unix(path) => path.into(),
        SockAddr::Other(family, _) => format!("family {family}").into(),
    }
}

/// Formats both endpoints of a socket, without escaping.
pub fn socktuple(tuple: &SockTuple<'_>) -> Vec<u8> {
    match *tuple {
        SockTuple::Inet { source, destination } => {
            format!("{}->{}", endpoint(source.0, source.1), endpoint(destination.0, destination.1)).into()
        }
        SockTuple::Unix { source, destination, path } => {
            let mut text = format!("{source:x}->{destination:x}").into_bytes();
            if !path.is_empty() {
                text.push(b' ');
                text.extend_from_slice(path);
            }
            text
        }
        SockTuple::Other(family, _) => format!("family {family}").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets() {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let v4 = |port| (IpAddr::from([127, 0, 0, 1]), port);
        let mapped = |port| ("::ffff:127.0.0.1".parse::<IpAddr>().unwrap(), port);
        let v6 = |port| (IpAddr::from(std::net::Ipv6Addr::LOCALHOST), port);
        let tuple = |source, destination| text(socktuple(&SockTuple::Inet { source, destination }));
        assert_eq!(tuple(v4(1), v4(2)), "127.0.0.1:1->127.0.0.1:2");
        assert_eq!(tuple(mapped(1), mapped(2)), "127.0.0.1:1->127.0.0.1:2");
        assert_eq!(tuple(v6(1), v6(2)), "::1:1->::1:2");
        assert_eq!(text(sockaddr(&SockAddr::Inet(mapped(1).0, 1))), "127.0.0.1:1");
        let unix = SockTuple::Unix { source: 0xab, destination: 0, path: b"/s" };
        assert_eq!(text(socktuple(&unix)), "ab->0 /s");
        assert_eq!(text(sockaddr(&SockAddr::Unix(b"/s"))), "/s");
        assert_eq!(text(sockaddr(&SockAddr::Other(16, b""))), "family 16");
    }
}

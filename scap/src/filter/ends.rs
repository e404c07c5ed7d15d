//! What the kernel can decide of addresses and ports: by the socket that a call is made with.
//!
//! A reader knows the ends of a socket from the events before. Those of a TCP connection are the kernel's, so a test of one of them
//! is false if neither end of the kernel's fits. What has no peer, or may have several, is left to the recorder.

use std::net::{IpAddr, Ipv6Addr};

use super::{syntax::Op, tree::Constant};
use crate::events::Syscall;

/// The calls whose events are about the descriptor in the first argument, which they leave as it is.
const CALLS: [&str; 26] = [
    "read",
    "readv",
    "pread64",
    "preadv",
    "preadv2",
    "write",
    "writev",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "sendto",
    "sendmsg",
    "sendmmsg",
    "recvfrom",
    "recvmsg",
    "recvmmsg",
    "shutdown",
    "getsockopt",
    "setsockopt",
    "getsockname",
    "getpeername",
    "ioctl",
    "fstat",
    "lseek",
    "fsync",
    "fdatasync",
];

/// The fields that have an address or a port of one end, or of both.
const FIELDS: [&str; 16] = [
    "fd.ip", "fd.cip", "fd.sip", "fd.lip", "fd.rip", "fd.net", "fd.cnet", "fd.snet", "fd.lnet", "fd.rnet",
    "fd.port", "fd.cport", "fd.sport", "fd.lport", "fd.rport", "fd.proto",
];

/// Returns the calls of which the kernel can find the socket: the descriptor is their first argument.
pub fn calls() -> impl Iterator<Item = &'static Syscall> {
    CALLS.iter().filter_map(|name| Syscall::by_name(name))
}

/// What an end of a connection has to be: an address in a network, and a port within bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// The address, as IPv6: IPv4 is mapped.
    pub address: Ipv6Addr,
    /// How many bits of it count.
    pub prefix: u8,
    /// The lowest and the highest port.
    pub ports: (u16, u16),
}

/// The bits in front of a mapped IPv4 address.
const MAPPED: u8 = 96;

impl End {
    /// Returns whether a field has what an end is tested for.
    pub(super) fn is_of(field: &str) -> bool {
        FIELDS.contains(&field)
    }

    /// Returns what an end has to be so that a comparison with a value is true; `Some(None)` if it never is, `None` if the kernel
    /// cannot say.
    pub(super) fn of(op: Op, value: &Constant) -> Option<Option<End>> {
        let any = End { address: Ipv6Addr::UNSPECIFIED, prefix: 0, ports: (0, u16::MAX) };
        let mapped = |ip: IpAddr| match ip {
            IpAddr::V4(ip) => (ip.to_ipv6_mapped(), MAPPED),
            IpAddr::V6(ip) => (ip, 0),
        };
        match value {
            Constant::Ip(ip) if matches!(op, Op::Eq | Op::In) => {
                Some(Some(End { address: mapped(*ip).0, prefix: 128, ..any }))
            }
            Constant::Net(net) if matches!(op, Op::Eq | Op::In) => {
                let (address, before) = mapped(net.network());
                Some(Some(End { address, prefix: before + net.prefix_len(), ..any }))
            }
            Constant::Integer(port) => {
                let most = i128::from(u16::MAX);
                let (low, high) = match op {
                    Op::Eq | Op::In => (*port, *port),
                    Op::Lt => (0, *port - 1),
                    Op::Le => (0, *port),
                    Op::Gt => (*port + 1, most),
                    Op::Ge => (*port, most),
                    _ => return None,
                };
                let ports = (u16::try_from(low.max(0)), u16::try_from(high.min(most)));
                let (Ok(low), Ok(high)) = ports else { return Some(None) };
                Some((low <= high).then_some(End { ports: (low, high), ..any }))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{EventFlags, ParamType};

    #[test]
    fn the_calls_are_about_their_first_argument() {
        assert_eq!(calls().count(), CALLS.len());
        for call in calls() {
            for row in [call.enter(), call.exit()].into_iter().flatten() {
                let first = row
                    .params
                    .iter()
                    .find(|param| matches!(param.ty, ParamType::FD | ParamType::FD32) && param.name != "res");
                assert!(first.is_none_or(|param| param.name == "fd"), "{}: {first:?}", row.code);
                assert!(!row.flags.contains(EventFlags::CREATES_FD), "{}", row.code);
                assert!(!row.flags.contains(EventFlags::DESTROYS_FD), "{}", row.code);
            }
        }
    }

    #[test]
    fn values_are_networks_and_ports() {
        let end =
            |text: &str, prefix, ports| Some(Some(End { address: text.parse().unwrap(), prefix, ports }));
        let all = (0, u16::MAX);
        let ip = |text: &str| Constant::Ip(text.parse().unwrap());
        let net = |text: &str| Constant::Net(text.parse().unwrap());
        assert_eq!(End::of(Op::Eq, &ip("10.0.0.1")), end("::ffff:10.0.0.1", 128, all));
        assert_eq!(End::of(Op::In, &ip("fe80::1")), end("fe80::1", 128, all));
        assert_eq!(End::of(Op::Eq, &net("10.0.0.0/8")), end("::ffff:10.0.0.0", 104, all));
        assert_eq!(End::of(Op::Eq, &net("fe80::/10")), end("fe80::", 10, all));
        assert_eq!(End::of(Op::Ne, &ip("10.0.0.1")), None);
        let port = |op, port| End::of(op, &Constant::Integer(port));
        assert_eq!(port(Op::Eq, 443), end("::", 0, (443, 443)));
        assert_eq!(port(Op::Lt, 1024), end("::", 0, (0, 1023)));
        assert_eq!(port(Op::Ge, 1024), end("::", 0, (1024, u16::MAX)));
        assert_eq!(port(Op::Gt, 65535), Some(None));
        assert_eq!(port(Op::Lt, 0), Some(None));
        assert_eq!(port(Op::Ne, 1), None);
    }
}

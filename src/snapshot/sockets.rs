//! Collects the sockets of all network namespaces, by inode, from the tables below /proc/PID/net.
//!
//! Inode numbers of sockets are unique on a machine, so one table serves all namespaces. It also finds a socket that a
//! process has from another namespace.
//!
//! The order of the two ends of a connection is the one that the format's readers expect here. They take the source of
//! an IPv4 connection for the local end, and swap the ends themselves if some process of the capture listens on that
//! port. They do not change IPv6 connections. So the source of an IPv4 connection is its local end. The source of an
//! IPv6 connection is the client: the remote end if a socket of the same namespace listens on the local port.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::dir::{Dir, LARGE};
use super::text::{fields, hex, lines, number, split_once};
use super::{MAX_PATH, SnapshotReport, unix_names};
use scap::format::state::{FdKind, L4Proto, NamedFd};

const TABLES: [(&str, L4Proto); 8] = [
    ("net/tcp", L4Proto::Tcp),
    ("net/tcp6", L4Proto::Tcp),
    ("net/udp", L4Proto::Udp),
    ("net/udp6", L4Proto::Udp),
    ("net/raw", L4Proto::Raw),
    ("net/raw6", L4Proto::Raw),
    ("net/icmp", L4Proto::Icmp),
    ("net/icmp6", L4Proto::Icmp),
];

/// The state of a listening TCP socket.
const LISTEN: &[u8] = b"0A";

/// The sockets known so far.
#[derive(Default)]
pub(super) struct Sockets {
    by_inode: HashMap<u64, FdKind>,
    namespaces: HashSet<Vec<u8>>,
}

impl Sockets {
    /// Reads the tables of a process's network namespace, unless already known.
    pub(super) fn learn(&mut self, process: &Dir, report: &mut SnapshotReport) {
        let Some(namespace) = report.optional(process.link("ns/net")) else { return };
        if self.namespaces.contains(&namespace) {
            return;
        }
        let mut buffer = Vec::new();
        for (table, l4) in TABLES {
            // There is no table for a protocol that the kernel lacks.
            if report.optional(process.read_into(table, LARGE, &mut buffer)).is_some() {
                self.by_inode.extend(inet_table(&buffer, l4));
            }
        }
        if report.optional(process.read_into("net/unix", LARGE, &mut buffer)).is_some() {
            self.by_inode.extend(lines(&buffer).filter_map(unix));
            self.name_unix_sockets(process, &namespace);
            // Only then: if the process has ended meanwhile, another process of the namespace is tried.
            self.namespaces.insert(namespace);
        }
        if report.optional(process.read_into("net/netlink", LARGE, &mut buffer)).is_some() {
            let inodes = lines(&buffer).filter_map(|line| number(fields(line).nth(9)?));
            self.by_inode.extend(inodes.map(|inode| (inode, netlink(inode))));
        }
    }

    /// Gives the unix sockets of a namespace their exact names. If the kernel does not report them, the names from
    /// /proc/net/unix stay.
    fn name_unix_sockets(&mut self, process: &Dir, namespace: &[u8]) {
        let own = rustix::fs::readlink("/proc/thread-self/ns/net", Vec::new());
        let is_own = own.is_ok_and(|own| own.as_bytes() == namespace);
        for (inode, name) in unix_names::of_namespace(process, is_own).unwrap_or_default() {
            if let Some(FdKind::Unix { path, .. }) = self.by_inode.get_mut(&inode) {
                *path = name;
            }
        }
    }

    /// Returns the socket with this inode.
    pub(super) fn get(&self, inode: u64) -> Option<&FdKind> {
        self.by_inode.get(&inode)
    }
}

/// Returns the kind of a socket that no table lists, by the kernel's name of its protocol: for example, a TCP socket
/// that is neither bound nor connected.
pub(super) fn unlisted(protocol: &[u8], inode: u64) -> FdKind {
    let (local4, local6) = ((Ipv4Addr::UNSPECIFIED, 0), (Ipv6Addr::UNSPECIFIED, 0));
    match protocol {
        b"TCP" => FdKind::Ipv4Listening { local: local4, l4: L4Proto::Tcp },
        b"UDP" => FdKind::Ipv4Listening { local: local4, l4: L4Proto::Udp },
        b"RAW" => FdKind::Ipv4Listening { local: local4, l4: L4Proto::Raw },
        b"PING" => FdKind::Ipv4Listening { local: local4, l4: L4Proto::Icmp },
        b"TCPv6" => FdKind::Ipv6Listening { local: local6, l4: L4Proto::Tcp },
        b"UDPv6" => FdKind::Ipv6Listening { local: local6, l4: L4Proto::Udp },
        b"RAWv6" => FdKind::Ipv6Listening { local: local6, l4: L4Proto::Raw },
        b"PINGv6" => FdKind::Ipv6Listening { local: local6, l4: L4Proto::Icmp },
        b"UNIX" | b"UNIX-STREAM" => FdKind::Unix { source: inode, destination: 0, path: Vec::new() },
        b"NETLINK" => netlink(inode),
        _ => FdKind::Named { kind: NamedFd::Unsupported, name: link(inode) },
    }
}

fn netlink(inode: u64) -> FdKind {
    FdKind::Named { kind: NamedFd::Netlink, name: link(inode) }
}

fn link(inode: u64) -> Vec<u8> {
    format!("socket:[{inode}]").into_bytes()
}

/// Parses a table of IPv4 or IPv6 sockets.
fn inet_table(text: &[u8], l4: L4Proto) -> impl Iterator<Item = (u64, FdKind)> {
    let sockets: Vec<Inet> = lines(text).filter_map(inet).collect();
    let listening: HashSet<u16> = sockets
        .iter()
        .filter(|socket| socket.listens && l4 == L4Proto::Tcp)
        .map(|socket| socket.local.port())
        .collect();
    sockets.into_iter().map(move |socket| (socket.inode, socket.kind(l4, &listening)))
}

/// A line of a table of IPv4 or IPv6 sockets.
#[derive(Debug, PartialEq, Eq)]
struct Inet {
    local: SocketAddr,
    remote: SocketAddr,
    listens: bool,
    inode: u64,
}

/// Parses a line: `slot: local remote state queues timer retransmits uid timeout inode ...`
fn inet(line: &[u8]) -> Option<Inet> {
    let mut words = fields(line).skip(1);
    let local = address(words.next()?)?;
    let remote = address(words.next()?)?;
    let listens = words.next()? == LISTEN;
    // A closed connection in TIME_WAIT has no inode.
    let inode = number(words.nth(5)?).filter(|&inode| inode != 0)?;
    Some(Inet { local, remote, listens, inode })
}

/// Parses `address:port` in hexadecimal digits. The port is a number. The address is printed as 32-bit numbers in the
/// machine's byte order; their bytes in memory are the address.
fn address(text: &[u8]) -> Option<SocketAddr> {
    let (ip, port) = split_once(text, b':')?;
    let port = u16::try_from(hex(port)?).ok()?;
    let word = |digits: &[u8]| u32::try_from(hex(digits)?).ok().map(u32::to_ne_bytes);
    let ip = match ip.len() {
        8 => IpAddr::from(word(ip)?),
        32 => {
            let mut bytes = [0; 16];
            for (target, digits) in bytes.chunks_exact_mut(4).zip(ip.chunks_exact(8)) {
                target.copy_from_slice(&word(digits)?);
            }
            IpAddr::from(bytes)
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

impl Inet {
    /// Returns the socket's kind. A socket with a remote address counts as connected, as for readers.
    fn kind(&self, l4: L4Proto, listening: &HashSet<u16>) -> FdKind {
        let (local_port, remote_port) = (self.local.port(), self.remote.port());
        match (self.local.ip(), self.remote.ip()) {
            (IpAddr::V4(local), remote) if remote.is_unspecified() => {
                FdKind::Ipv4Listening { local: (local, local_port), l4 }
            }
            (IpAddr::V6(local), remote) if remote.is_unspecified() => {
                FdKind::Ipv6Listening { local: (local, local_port), l4 }
            }
            (IpAddr::V4(local), IpAddr::V4(remote)) => {
                FdKind::Ipv4 { source: (local, local_port), destination: (remote, remote_port), l4 }
            }
            (local, remote) => {
                let (local, remote) = (v6(local), v6(remote));
                if let (Some(local), Some(remote)) = (local.to_ipv4_mapped(), remote.to_ipv4_mapped()) {
                    return FdKind::Ipv4 {
                        source: (local, local_port),
                        destination: (remote, remote_port),
                        l4,
                    };
                }
                let (local, remote) = ((local, local_port), (remote, remote_port));
                let (source, destination) =
                    if listening.contains(&local_port) { (remote, local) } else { (local, remote) };
                FdKind::Ipv6 { source, destination, l4 }
            }
        }
    }
}

fn v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

/// Parses a line of the table of unix sockets: `address: references protocol flags type state inode [path]`.
///
/// If the kernel hides addresses, it prints zero or a hash of at most 32 bits, and the socket's inode replaces it. The
/// path has an `@` for each NUL of an abstract name: see [`unix_names`](super::unix_names). A line break in a path ends
/// the line, so the rest of the path is lost.
fn unix(line: &[u8]) -> Option<(u64, FdKind)> {
    let mut rest = line;
    let mut words = [&b""[..]; 7];
    for word in &mut words {
        let start = rest.iter().position(|&byte| byte != b' ')?;
        let end = rest
            .iter()
            .skip(start)
            .position(|&byte| byte == b' ')
            .map_or(rest.len(), |length| start + length);
        (*word, rest) = (rest.get(start..end)?, rest.get(end..)?);
    }
    let address = hex(words[0].strip_suffix(b":")?)?;
    let inode = number(words[6]).filter(|&inode| inode != 0)?;
    let path = rest.strip_prefix(b" ").unwrap_or_default();
    let is_kernel_address = address >> 63 == 1;
    let source = if is_kernel_address { address } else { inode };
    Some((inode, FdKind::Unix { source, destination: 0, path: path[..path.len().min(MAX_PATH)].to_vec() }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEADER: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    /// Formats an address as this machine's kernel prints it.
    fn printed(address: SocketAddr) -> String {
        let bytes = match address.ip() {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        let words = bytes.chunks(4).map(|word| u32::from_ne_bytes(word.try_into().unwrap()));
        let digits: String = words.map(|word| format!("{word:08X}")).collect();
        format!("{digits}:{:04X}", address.port())
    }

    fn line(local: &str, remote: &str, state: &str, inode: u64) -> String {
        let (local, remote) = (printed(local.parse().unwrap()), printed(remote.parse().unwrap()));
        format!(
            "  10: {local} {remote} {state} 00000000:00000000 00:00000000 00000000  1000        0 {inode} 1 0 20 4\n"
        )
    }

    fn kinds(text: &str, l4: L4Proto) -> HashMap<u64, FdKind> {
        inet_table(text.as_bytes(), l4).collect()
    }

    fn v6(address: &str, port: u16) -> (Ipv6Addr, u16) {
        (address.parse().unwrap(), port)
    }

    #[test]
    fn the_local_end_of_an_ipv4_connection_is_its_source() {
        let text = [
            HEADER,
            &line("127.0.0.1:80", "0.0.0.0:0", "0A", 11),
            &line("127.0.0.1:80", "127.0.0.1:40000", "01", 12),
            &line("127.0.0.1:40000", "127.0.0.1:80", "01", 13),
            &line("127.0.0.1:40001", "127.0.0.1:80", "06", 0),
        ]
        .concat();
        let found = kinds(&text, L4Proto::Tcp);
        let (server, client) = ((Ipv4Addr::LOCALHOST, 80), (Ipv4Addr::LOCALHOST, 40000));
        let l4 = L4Proto::Tcp;
        assert_eq!(found.len(), 3);
        assert_eq!(found[&11], FdKind::Ipv4Listening { local: server, l4 });
        assert_eq!(found[&12], FdKind::Ipv4 { source: server, destination: client, l4 });
        assert_eq!(found[&13], FdKind::Ipv4 { source: client, destination: server, l4 });
    }

    #[test]
    fn the_client_of_an_ipv6_connection_is_its_source() {
        let text = [
            HEADER,
            &line("[::]:443", "[::]:0", "0A", 21),
            &line("[fd00::1]:443", "[fd00::2]:50000", "01", 22),
            &line("[fd00::1]:50001", "[fd00::2]:443", "01", 23),
            &line("[::ffff:10.0.0.1]:443", "[::ffff:10.0.0.2]:50002", "01", 24),
        ]
        .concat();
        let found = kinds(&text, L4Proto::Tcp);
        let l4 = L4Proto::Tcp;
        assert_eq!(found[&21], FdKind::Ipv6Listening { local: v6("::", 443), l4 });
        assert_eq!(
            found[&22],
            FdKind::Ipv6 { source: v6("fd00::2", 50000), destination: v6("fd00::1", 443), l4 }
        );
        assert_eq!(
            found[&23],
            FdKind::Ipv6 { source: v6("fd00::1", 50001), destination: v6("fd00::2", 443), l4 }
        );
        let (local, remote) = ((Ipv4Addr::new(10, 0, 0, 1), 443), (Ipv4Addr::new(10, 0, 0, 2), 50002));
        assert_eq!(found[&24], FdKind::Ipv4 { source: local, destination: remote, l4 });
    }

    #[test]
    fn lines_that_are_cut_short_are_left_out() {
        let whole = line("10.0.0.1:80", "0.0.0.0:0", "07", 31);
        for end in 0..whole.find(" 31").unwrap() + 1 {
            assert_eq!(inet(&whole.as_bytes()[..end]), None);
        }
        assert!(inet(whole.as_bytes()).is_some());
        assert_eq!(address(b"0100007F:10000"), None);
        assert_eq!(address(b"0100007F"), None);
        assert_eq!(address(b"0100007:1"), None);
        assert_eq!(address(b"+100007F:1"), None);
    }

    #[test]
    fn unix_sockets_are_named_by_address_or_inode() {
        let kind = |source, path: &[u8]| FdKind::Unix { source, destination: 0, path: path.to_vec() };
        let line = b"ffff8880a9572d00: 00000002 00000000 00010000 0001 01 23156 /run/a b";
        assert_eq!(unix(line), Some((23156, kind(0xffff_8880_a957_2d00, b"/run/a b"))));
        let line = b"000000005a9572d5: 00000003 00000000 00000000 0001 03  1078";
        assert_eq!(unix(line), Some((1078, kind(1078, b""))));
        let line = b"0000000000000000: 00000002 00000000 00010000 0005 01 99 @/x\0@";
        assert_eq!(unix(line), Some((99, kind(99, b"@/x\0@"))));
        assert_eq!(unix(b"Num       RefCount Protocol Flags    Type St Inode Path"), None);
        assert_eq!(unix(b"0000000000000000: 00000002 00000000 00010000 0005 01"), None);
    }

    proptest! {
        #[test]
        fn no_line_is_too_much(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (inet(&line), unix(&line), address(&line));
        }

        #[test]
        fn almost_lines_are_not_too_much(line in "[ 0-9A-F:]{0,120}") {
            let _ = (inet(line.as_bytes()), unix(line.as_bytes()));
        }

        #[test]
        fn addresses_come_back(ip in any::<IpAddr>(), port in any::<u16>()) {
            let wanted = SocketAddr::new(ip, port);
            prop_assert_eq!(address(printed(wanted).as_bytes()), Some(wanted));
        }
    }
}

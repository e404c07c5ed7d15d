//! Lists the addresses of the network interfaces in this process's network namespace.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

use nix::ifaddrs::{InterfaceAddress as Found, getifaddrs};
use nix::sys::socket::SockaddrStorage;

use super::dir::{Dir, SMALL};
use super::text::{fields, number};
use super::{MAX_PATH, SnapshotReport};
use scap::format::state::{Interface, InterfaceAddress};

/// Returns all IPv4 addresses, then all IPv6 ones: the order of the format. Reads link speeds below `sys`.
pub(super) fn collect(sys: &Path, report: &mut SnapshotReport) -> Vec<Interface> {
    let Ok(found) = getifaddrs() else {
        report.unreadable += 1;
        return Vec::new();
    };
    let net = Dir::open(&sys.join("class/net")).ok();
    let (v4, v6): (Vec<_>, Vec<_>) = found
        .filter_map(|found| interface(&found, net.as_ref()))
        .partition(|interface| matches!(interface.address, InterfaceAddress::V4 { .. }));
    v4.into_iter().chain(v6).collect()
}

fn interface(found: &Found, net: Option<&Dir>) -> Option<Interface> {
    let address = address(found)?;
    let mut name = found.interface_name.clone().into_bytes();
    name.truncate(MAX_PATH);
    let speed = net.and_then(|net| net.read(format!("{}/speed", found.interface_name), SMALL).ok());
    Some(Interface { name, address, link_speed: speed.map_or(0, |speed| bits_per_second(&speed)) })
}

fn address(found: &Found) -> Option<InterfaceAddress> {
    let address = found.address.as_ref()?;
    if let Some(address) = v4(Some(address)) {
        let netmask = v4(found.netmask.as_ref()).unwrap_or(Ipv4Addr::UNSPECIFIED);
        let broadcast = v4(found.broadcast.as_ref()).unwrap_or(Ipv4Addr::UNSPECIFIED);
        return Some(InterfaceAddress::V4 { address, netmask, broadcast });
    }
    let netmask = v6(found.netmask.as_ref()).unwrap_or(Ipv6Addr::UNSPECIFIED);
    // IPv6 has no broadcast.
    Some(InterfaceAddress::V6 { address: v6(Some(address))?, netmask, broadcast: Ipv6Addr::UNSPECIFIED })
}

fn v4(address: Option<&SockaddrStorage>) -> Option<Ipv4Addr> {
    address?.as_sockaddr_in().map(|address| address.ip())
}

fn v6(address: Option<&SockaddrStorage>) -> Option<Ipv6Addr> {
    address?.as_sockaddr_in6().map(|address| address.ip())
}

/// Converts the kernel's link speed in Mbit/s, -1 if unknown, to bit/s, 0 if unknown.
fn bits_per_second(speed: &[u8]) -> u64 {
    fields(speed).next().and_then(number::<u32>).map_or(0, |megabits| u64::from(megabits) * 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speed_is_in_bits_per_second() {
        assert_eq!(bits_per_second(b"10000\n"), 10_000_000_000);
        assert_eq!(bits_per_second(b"-1\n"), 0);
        assert_eq!(bits_per_second(b""), 0);
    }

    #[test]
    fn the_loopback_interface_is_there_and_ipv4_comes_first() {
        let mut report = SnapshotReport::default();
        let found = collect(Path::new("/sys"), &mut report);
        assert_eq!(report.unreadable, 0);
        let lo = found.iter().find(|interface| interface.name == b"lo").unwrap();
        let expected = InterfaceAddress::V4 {
            address: Ipv4Addr::LOCALHOST,
            netmask: Ipv4Addr::new(255, 0, 0, 0),
            broadcast: Ipv4Addr::UNSPECIFIED,
        };
        assert_eq!((lo.address, lo.link_speed), (expected, 0));
        let v4 = |i: &Interface| matches!(i.address, InterfaceAddress::V4 { .. });
        assert!(found.iter().skip_while(|i| v4(i)).all(|i| !v4(i)));
    }
}

//! Socket addresses, in the forms of calls and of events.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
    path::Path,
};

use libtest_mimic::{Completion, Failed};

use crate::harness::Params;

/// A descriptor that is never open.
pub const NO_FD: i32 = -7;

/// 127.0.0.1, the port left to the kernel.
pub const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// 0.0.0.0:0, an unknown end.
pub const UNKNOWN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// ::1, the port left to the kernel; `None` on a machine without IPv6: `ipv6_is_here` is then reported as ignored.
pub fn loopback6() -> Option<SocketAddr> {
    let address = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), 0);
    std::net::UdpSocket::bind(address).is_ok().then_some(address)
}

/// Represents in the report the IPv6 parts of other tests.
pub fn ipv6_is_here() -> Result<Completion, Failed> {
    match loopback6() {
        Some(_) => Ok(Completion::Completed),
        None => Ok(Completion::ignored_with("this machine has no IPv6: no test has looked at its addresses")),
    }
}

/// Returns an IPv4 address mapped into IPv6.
pub fn mapped(addr: SocketAddr) -> SocketAddr {
    let IpAddr::V4(ip) = addr.ip() else { panic!("{addr} is not IPv4") };
    SocketAddr::new(ip.to_ipv6_mapped().into(), addr.port())
}

/// Returns the address as a `struct sockaddr`.
pub fn raw(addr: SocketAddr) -> Vec<u8> {
    let family = if addr.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let mut raw = (family as u16).to_ne_bytes().to_vec();
    raw.extend(addr.port().to_be_bytes());
    match addr.ip() {
        IpAddr::V4(ip) => {
            raw.extend(ip.octets());
            raw.extend([0; 8]);
        }
        IpAddr::V6(ip) => {
            raw.extend([0; 4]);
            raw.extend(ip.octets());
            raw.extend([0; 4]);
        }
    }
    raw
}

/// Returns a path as a `struct sockaddr_un`, without additional NULs.
pub fn raw_unix(path: &[u8]) -> Vec<u8> {
    [&1u16.to_ne_bytes(), path].concat()
}

fn push(to: &mut Vec<u8>, addr: SocketAddr) {
    match addr.ip() {
        IpAddr::V4(ip) => to.extend(ip.octets()),
        IpAddr::V6(ip) => to.extend(ip.octets()),
    }
    to.extend(addr.port().to_ne_bytes());
}

/// Returns a `sockaddr` parameter.
pub fn sockaddr(addr: SocketAddr) -> Vec<u8> {
    let mut bytes = vec![if addr.is_ipv4() { 2 } else { 10 }];
    push(&mut bytes, addr);
    bytes
}

/// Returns a `sockaddr` parameter of a unix socket.
pub fn sockaddr_unix(path: &[u8]) -> Vec<u8> {
    [b"\x01", path, b"\0"].concat()
}

/// Returns a `socktuple` parameter.
pub fn tuple(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let mut bytes = sockaddr(source);
    push(&mut bytes, destination);
    bytes
}

/// The kernel's addresses of two unix sockets: the receiver, and the other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UnixEnds {
    pub receiver: u64,
    pub sender: u64,
}

impl UnixEnds {
    pub fn swapped(self) -> UnixEnds {
        UnixEnds { receiver: self.sender, sender: self.receiver }
    }

    /// Asserts that both sockets are present.
    #[track_caller]
    pub fn both(self) -> UnixEnds {
        assert!(self.receiver != 0 && self.sender != 0 && self.receiver != self.sender, "{self:x?}");
        self
    }

    /// Asserts that only the sender, which is local, is present.
    #[track_caller]
    pub fn sender_alone(self) {
        assert!(self.receiver == 0 && self.sender != 0, "{self:x?}");
    }

    /// Asserts that only the receiver, which is local, is present.
    #[track_caller]
    pub fn receiver_alone(self) {
        assert!(self.receiver != 0 && self.sender == 0, "{self:x?}");
    }
}

/// Asserts the tuple of a unix socket.
#[track_caller]
pub fn assert_unix_tuple(event: &Params, path: &[u8]) -> UnixEnds {
    let bytes = event.bytes_of("tuple");
    assert_eq!(bytes.len(), 17 + path.len() + 1, "tuple: {bytes:x?}");
    assert_eq!(bytes[0], 1);
    assert_eq!(bytes[17..].split_last(), Some((&0, path)));
    let word = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap());
    UnixEnds { receiver: word(1), sender: word(9) }
}

/// Returns the name of an abstract socket of this process, in the form of calls: a NUL in front, one inside, and one at
/// the end.
pub fn abstract_name(test: &str) -> Vec<u8> {
    format!("\0scapd-{}\0{test}\0", std::process::id()).into_bytes()
}

/// Returns the same name in the form of events, without the NUL that ends the parameter.
pub fn recorded(abstract_name: &[u8]) -> Vec<u8> {
    [b"@", &abstract_name[1..]].concat()
}

/// Returns a path as a C string.
pub fn c_path(path: &Path) -> std::ffi::CString {
    std::ffi::CString::new(path.to_str().unwrap()).unwrap()
}

/// Returns a socket of the address's family.
pub fn socket(addr: SocketAddr, ty: i32) -> OwnedFd {
    new_socket(if addr.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 }, ty)
}

pub fn new_socket(family: i32, ty: i32) -> OwnedFd {
    let fd = crate::syscall!(SYS_socket, family, ty | libc::SOCK_CLOEXEC, 0);
    own(fd)
}

/// Takes ownership of a descriptor returned by a call.
pub fn own(fd: i64) -> OwnedFd {
    assert!(fd >= 0, "the call failed: {fd}");
    // SAFETY: the descriptor is new, and nothing else owns it.
    unsafe { OwnedFd::from_raw_fd(fd as i32) }
}

pub fn bind(socket: &OwnedFd, addr: SocketAddr) {
    rustix::net::bind(socket, &addr).unwrap();
}

/// Returns the address that the socket is bound to.
pub fn local(socket: impl AsFd) -> SocketAddr {
    SocketAddr::try_from(rustix::net::getsockname(socket).unwrap()).unwrap()
}

/// Waits for an event of poll(2), which may come late on a busy machine.
pub fn wait_for(socket: &impl AsRawFd, event: i16) {
    let mut poll = libc::pollfd { fd: socket.as_raw_fd(), events: event, revents: 0 };
    let limit = libc::timespec { tv_sec: 5, tv_nsec: 0 };
    let ready = crate::syscall!(SYS_ppoll, &raw mut poll, 1, &raw const limit, std::ptr::null::<u8>(), 0);
    assert!(ready == 1 && poll.revents & event != 0, "no event {event:#x}");
}

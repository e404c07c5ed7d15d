//! Descriptors that a message brings, and what they are: entries of an fd list block, version 2.

use std::{
    fs,
    net::{TcpListener, TcpStream, UdpSocket},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    ptr::from_ref,
};

use super::messages::{iovec, message};
use crate::{
    harness::Test,
    scratch::{Scratch, identity, own},
    syscall,
};

// The types of entries.
const DIRECTORY: u8 = 2;
const IPV4: u8 = 3;
const IPV6: u8 = 4;
const IPV4_LISTENING: u8 = 5;
const FIFO: u8 = 7;
const UNIX: u8 = 8;
const OTHER: u8 = 10;
const FILE: u8 = 16;

const TCP: u8 = 2;
const UDP: u8 = 3;

/// Returns an entry, with the inode of the descriptor.
pub fn entry(fd: i64, ty: u8, rest: &[u8]) -> Vec<u8> {
    // SAFETY: the caller has it open; it is not closed here.
    let file = std::mem::ManuallyDrop::new(unsafe { fs::File::from_raw_fd(fd as i32) });
    let len = (4 + 8 + 8 + 1 + rest.len()) as u32;
    [&len.to_ne_bytes()[..], &fd.to_ne_bytes(), &identity(&file).1.to_ne_bytes(), &[ty], rest].concat()
}

/// Returns a text with its length.
pub fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_ne_bytes()[..], text.as_bytes()].concat()
}

/// Sends descriptors through a pair of sockets, and returns those that were received, with the event's entries.
fn receives(t: &mut Test, fds: &[i32]) -> (Vec<OwnedFd>, Vec<u8>) {
    let (receiver, sender) = UnixStream::pair().unwrap();
    let length = 16 + 4 * fds.len();
    let mut control: Vec<u8> = (length as u64).to_ne_bytes().to_vec();
    for word in [libc::SOL_SOCKET, libc::SCM_RIGHTS].iter().chain(fds) {
        control.extend(word.to_ne_bytes());
    }
    control.resize(length.next_multiple_of(8), 0);
    let (data, mut buffer) = (*b"x", vec![0u8; 2048]);
    let mut iovecs = [iovec(&data)];
    let mut sent = message(&mut iovecs, &mut []);
    sent.msg_control = control.as_mut_ptr().cast();
    sent.msg_controllen = control.len();
    assert_eq!(syscall!(SYS_sendmsg, sender.as_raw_fd(), from_ref(&sent), 0), 1);
    // With the sender's credentials in front of the descriptors.
    rustix::net::sockopt::set_socket_passcred(&receiver, true).unwrap();
    let mut got = message(&mut iovecs, &mut []);
    got.msg_control = buffer.as_mut_ptr().cast();
    got.msg_controllen = buffer.len();
    let (_, event) = t.succeeds(|| syscall!(SYS_recvmsg, receiver.as_raw_fd(), &raw mut got, 0));
    let rights = 32; // behind struct ucred
    let numbers = buffer[rights + 16..rights + length].chunks(4);
    let numbers = numbers.map(|fd| i32::from_ne_bytes(fd.try_into().unwrap()));
    let received: Vec<_> = numbers.map(|fd| OwnedFd::from(own(fd.into()))).collect();
    (received, event.rest_does_not_matter().bytes_of("received").to_vec())
}

/// Asserts what the event says of one descriptor.
#[track_caller]
fn is_described(t: &mut Test, fd: &impl AsRawFd, ty: u8, rest: &[u8]) {
    let (received, entries) = receives(t, &[fd.as_raw_fd()]);
    let expected = entry(received[0].as_raw_fd().into(), ty, rest);
    assert_eq!(entries.escape_ascii().to_string(), expected.escape_ascii().to_string());
}

fn path(path: &std::ffi::CStr) -> Vec<u8> {
    text(path.to_str().unwrap())
}

pub fn are_described(t: &mut Test) {
    let scratch = Scratch::new();
    let (file, directory) = (scratch.open_file("file"), scratch.open());
    // The kernel adds O_LARGEFILE for 64-bit callers.
    let (rdonly, large, dev) = (1u32, 2u32 | 2048, identity(&file).0);
    let of_file =
        |flags: u32, name: &[u8], dev: u32| [&flags.to_ne_bytes()[..], name, &dev.to_ne_bytes()].concat();
    is_described(t, &file, FILE, &of_file(large, &path(&scratch.path("file")), dev));
    let null = fs::File::open("/dev/null").unwrap();
    let (dev, _) = identity(&fs::File::open("/dev").unwrap());
    is_described(t, &null, FILE, &of_file(rdonly | 2048, &text("/dev/null"), dev));
    let top = scratch.path("");
    is_described(t, &directory, DIRECTORY, &text(top.to_str().unwrap().trim_end_matches('/')));
    is_described(t, &std::io::pipe().unwrap().0, FIFO, &text(""));
    let name = |fd: i64| (own(fd), fs::read_link(format!("/proc/self/fd/{fd}")).unwrap());
    for fd in [syscall!(SYS_eventfd2, 0, 0), syscall!(SYS_epoll_create1, 0), syscall!(SYS_inotify_init1, 0)] {
        let (file, link) = name(fd);
        is_described(t, &file, OTHER, &text(link.to_str().unwrap()));
    }
    let memory = rustix::fs::memfd_create("scapd", rustix::fs::MemfdFlags::empty()).unwrap();
    let (_, entries) = receives(t, &[memory.as_raw_fd()]);
    assert!(entries.windows(11).any(|part| part == b"memfd:scapd"), "{}", entries.escape_ascii());
    let process = own(syscall!(SYS_pidfd_open, std::process::id(), 0));
    let (_, entries) = receives(t, &[process.as_raw_fd()]);
    assert_eq!(entries[20], OTHER);
    assert!(entries.windows(5).any(|part| part == b"pidfd"), "{}", entries.escape_ascii());
}

pub fn sockets_are_described(t: &mut Test) {
    for any in ["127.0.0.1:0", "[::1]:0"] {
        let listener = TcpListener::bind(any).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (near, far) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
        let bytes = |ip: std::net::IpAddr| match ip {
            std::net::IpAddr::V4(ip) => ip.octets().to_vec(),
            std::net::IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        let ends = [bytes(near.ip()), bytes(far.ip())].concat();
        let ports = [near.port().to_ne_bytes(), far.port().to_ne_bytes()].concat();
        let ty = if near.is_ipv4() { IPV4 } else { IPV6 };
        is_described(t, &client, ty, &[ends, ports, vec![TCP]].concat());
        let (ip, port) = (bytes(far.ip()), far.port().to_ne_bytes());
        is_described(t, &listener, ty + 2, &[&ip[..], &port, &[TCP]].concat());
    }
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port().to_ne_bytes();
    is_described(t, &socket, IPV4_LISTENING, &[&[127, 0, 0, 1], &port[..], &[UDP]].concat());

    let scratch = Scratch::new();
    let path = scratch.path("socket");
    let listener = UnixListener::bind(path.to_str().unwrap()).unwrap();
    let client = UnixStream::connect(path.to_str().unwrap()).unwrap();
    let named = text(path.to_str().unwrap());
    // Behind the kernel's addresses: the listener's own path, and that of the client's peer.
    for fd in [listener.as_raw_fd(), client.as_raw_fd()] {
        let (_, entries) = receives(t, &[fd]);
        assert_eq!(entries[20], UNIX);
        assert!(entries.ends_with(&named), "{}", entries.escape_ascii());
        assert_eq!(entries.len(), 21 + 16 + named.len());
    }
    let netlink = own(syscall!(SYS_socket, libc::AF_NETLINK, libc::SOCK_RAW, 0));
    is_described(t, &netlink, OTHER, &text(""));
}

pub fn are_described_up_to_a_limit(t: &mut Test) {
    let null = fs::File::open("/dev/null").unwrap();
    let count_of = |entries: &[u8]| {
        let (mut rest, mut count) = (entries, 0);
        while let Some(len) = rest.first_chunk() {
            rest = &rest[u32::from_ne_bytes(*len) as usize..];
            count += 1;
        }
        count
    };
    for (sent, described) in [(2, 2), (32, 32), (40, 32)] {
        let (received, entries) = receives(t, &vec![null.as_raw_fd(); sent]);
        assert_eq!((received.len(), count_of(&entries)), (sent, described));
    }
    // A message without descriptors has no extension, even with control data.
    let (receiver, sender) = UnixStream::pair().unwrap();
    rustix::net::sockopt::set_socket_passcred(&receiver, true).unwrap();
    assert_eq!(syscall!(SYS_sendto, sender.as_raw_fd(), b"x".as_ptr(), 1, 0, 0, 0), 1);
    let (data, mut buffer) = (*b"y", [0u8; 64]);
    let mut iovecs = [iovec(&data)];
    let mut got = message(&mut iovecs, &mut []);
    got.msg_control = buffer.as_mut_ptr().cast();
    got.msg_controllen = buffer.len();
    let (_, event) = t.succeeds(|| syscall!(SYS_recvmsg, receiver.as_raw_fd(), &raw mut got, 0));
    assert_eq!(event.rest_does_not_matter().length_of("msgcontrol"), 32);
    assert_eq!(event.extended_by(), []);
}

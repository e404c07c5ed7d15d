//! Tests with descriptors that a child gets.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener, UnixStream};
use std::process::Command;

use super::{FIRST_FD, Running, is_root, owned, sleep, snapshot, start_with};
use scap::format::state::{Fd, FdKind, L4Proto, NamedFd};

/// Returns the listed descriptors of a child that gets these.
fn fds_of_child(fds: &[i32]) -> Vec<Fd> {
    given_to(&start_with(sleep("/bin/sleep"), fds.to_vec()), fds.len())
}

/// Returns the first `count` descriptors that the test gave to a child.
fn given_to(child: &Running, count: usize) -> Vec<Fd> {
    let snapshot = snapshot();
    let list = snapshot.state.fds.into_iter().find(|list| list.pid == u64::from(child.0.id())).unwrap();
    // A child also has the descriptors that the test itself has inherited.
    let numbers = u64::try_from(FIRST_FD).unwrap()..;
    let numbers: Vec<u64> = numbers.take(count).collect();
    let mut given: Vec<Fd> = list.fds.into_iter().filter(|fd| numbers.contains(&fd.fd)).collect();
    given.sort_by_key(|fd| fd.fd);
    assert_eq!(given.iter().map(|fd| fd.fd).collect::<Vec<_>>(), numbers);
    given
}

fn inode(fd: i32) -> u64 {
    fs::metadata(format!("/proc/self/fd/{fd}")).unwrap().ino()
}

#[test]
fn files_directories_and_devices() {
    let directory = tempfile::tempdir().unwrap();
    let path = fs::canonicalize(directory.path()).unwrap();
    let file = File::options().read(true).append(true).create(true).open(path.join("a file")).unwrap();
    let zero = File::open("/dev/zero").unwrap();
    let folder = File::open(&path).unwrap();
    let status = Command::new("mkfifo").arg(path.join("fifo")).status().unwrap();
    assert!(status.success());
    let fifo = File::options().read(true).write(true).open(path.join("fifo")).unwrap();
    let (reader, writer) = io::pipe().unwrap();
    let raw = [
        file.as_raw_fd(),
        zero.as_raw_fd(),
        folder.as_raw_fd(),
        fifo.as_raw_fd(),
        reader.as_raw_fd(),
        writer.as_raw_fd(),
    ];
    let found = fds_of_child(&raw);
    for (fd, raw) in found.iter().zip(raw) {
        assert_eq!(fd.ino, inode(raw));
    }
    let bytes = |name: &str| path.join(name).as_os_str().as_bytes().to_vec();
    // Ignore O_LARGEFILE: not every kernel keeps it.
    let file_kind = |fd: &Fd| match &fd.kind {
        FdKind::File { open_flags, path, dev } => (open_flags & !2048, path.clone(), *dev),
        other => panic!("{other:?}"),
    };
    let dev = |file: &File| u32::try_from(file.metadata().unwrap().dev()).unwrap();
    assert_eq!(file_kind(&found[0]), (3 | 8, bytes("a file"), dev(&file)));
    assert_eq!(file_kind(&found[1]), (1, b"/dev/zero".to_vec(), dev(&zero)));
    let named = |kind, name: Vec<u8>| FdKind::Named { kind, name };
    assert_eq!(found[2].kind, named(NamedFd::Directory, path.as_os_str().as_bytes().to_vec()));
    assert_eq!(found[3].kind, named(NamedFd::Fifo, bytes("fifo")));
    let pipe = named(NamedFd::Fifo, format!("pipe:[{}]", inode(reader.as_raw_fd())).into_bytes());
    assert_eq!((&found[4].kind, &found[5].kind), (&pipe, &pipe));
}

#[test]
fn files_that_are_none() {
    // SAFETY: system calls with plain numbers, a C string, and a signal set that lives until its call returns.
    let fds = unsafe {
        let mut signals = std::mem::zeroed();
        libc::sigemptyset(&mut signals);
        [
            (NamedFd::Eventfd, "anon_inode:[eventfd]", owned(libc::eventfd(0, libc::EFD_CLOEXEC))),
            (NamedFd::Eventpoll, "anon_inode:[eventpoll]", owned(libc::epoll_create1(libc::EPOLL_CLOEXEC))),
            (
                NamedFd::Signalfd,
                "anon_inode:[signalfd]",
                owned(libc::signalfd(-1, &signals, libc::SFD_CLOEXEC)),
            ),
            (
                NamedFd::Timerfd,
                "anon_inode:[timerfd]",
                owned(libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC)),
            ),
            (NamedFd::Inotify, "anon_inode:inotify", owned(libc::inotify_init1(libc::IN_CLOEXEC))),
            (
                NamedFd::Memfd,
                "memfd:a name",
                owned(libc::memfd_create(c"a name".as_ptr(), libc::MFD_CLOEXEC)),
            ),
            (
                NamedFd::Pidfd,
                "anon_inode:[pidfd]",
                owned(libc::syscall(libc::SYS_pidfd_open, libc::getpid(), 0)),
            ),
        ]
    };
    let raw: Vec<i32> = fds.iter().map(|(.., fd)| fd.as_raw_fd()).collect();
    for (found, (kind, name, fd)) in fds_of_child(&raw).iter().zip(&fds) {
        let expected = FdKind::Named { kind: kind.for_all_readers(), name: name.as_bytes().to_vec() };
        assert_eq!((&found.kind, NamedFd::of_link(name.as_bytes())), (&expected, Some(*kind)));
        assert_eq!(found.ino, inode(fd.as_raw_fd()));
    }
}

fn v4(address: SocketAddr) -> (Ipv4Addr, u16) {
    match address {
        SocketAddr::V4(address) => (*address.ip(), address.port()),
        SocketAddr::V6(address) => panic!("{address}"),
    }
}

fn v6(address: SocketAddr) -> (Ipv6Addr, u16) {
    match address {
        SocketAddr::V6(address) => (*address.ip(), address.port()),
        SocketAddr::V4(address) => panic!("{address}"),
    }
}

fn connection(address: &str) -> (TcpListener, TcpStream, TcpStream) {
    let listener = TcpListener::bind(address).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    (listener, client, server)
}

#[test]
fn internet_sockets() {
    let (listener, client, server) = connection("127.0.0.1:0");
    let (listener6, client6, server6) = connection("[::1]:0");
    let unconnected = UdpSocket::bind("127.0.0.1:0").unwrap();
    let connected = UdpSocket::bind("127.0.0.1:0").unwrap();
    connected.connect(unconnected.local_addr().unwrap()).unwrap();
    // A socket for both address families, with an IPv4 client.
    let dual = TcpListener::bind("[::]:0").unwrap();
    let dual_port = dual.local_addr().unwrap().port();
    let dual_client = TcpStream::connect((Ipv4Addr::LOCALHOST, dual_port)).unwrap();
    let (dual_server, _) = dual.accept().unwrap();
    // SAFETY: system calls with plain numbers.
    let unbound = owned(unsafe { libc::socket(libc::AF_INET6, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) });
    let (here, there) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
    let (here6, there6) = (client6.local_addr().unwrap(), client6.peer_addr().unwrap());
    let (tcp, udp) = (L4Proto::Tcp, L4Proto::Udp);
    let (source, destination) = (v4(connected.local_addr().unwrap()), v4(unconnected.local_addr().unwrap()));
    let from6 = FdKind::Ipv6 { source: v6(here6), destination: v6(there6), l4: tcp };
    let dual_ends = ((Ipv4Addr::LOCALHOST, dual_port), v4(dual_client.local_addr().unwrap()));
    let expected = [
        (listener.as_raw_fd(), FdKind::Ipv4Listening { local: v4(there), l4: tcp }),
        (client.as_raw_fd(), FdKind::Ipv4 { source: v4(here), destination: v4(there), l4: tcp }),
        (server.as_raw_fd(), FdKind::Ipv4 { source: v4(there), destination: v4(here), l4: tcp }),
        (listener6.as_raw_fd(), FdKind::Ipv6Listening { local: v6(there6), l4: tcp }),
        (client6.as_raw_fd(), from6.clone()),
        (server6.as_raw_fd(), from6),
        (unconnected.as_raw_fd(), FdKind::Ipv4Listening { local: destination, l4: udp }),
        (connected.as_raw_fd(), FdKind::Ipv4 { source, destination, l4: udp }),
        (dual_server.as_raw_fd(), FdKind::Ipv4 { source: dual_ends.0, destination: dual_ends.1, l4: tcp }),
        (unbound.as_raw_fd(), FdKind::Ipv6Listening { local: (Ipv6Addr::UNSPECIFIED, 0), l4: tcp }),
    ];
    let raw: Vec<i32> = expected.iter().map(|(fd, _)| *fd).collect();
    for (found, (fd, kind)) in fds_of_child(&raw).iter().zip(expected) {
        assert_eq!((&found.kind, found.ino), (&kind, inode(fd)));
    }
}

#[test]
fn unix_and_netlink_sockets() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a socket");
    let listener = UnixListener::bind(&path).unwrap();
    let (one, _other) = UnixStream::pair().unwrap();
    // SAFETY: a system call with plain numbers.
    let netlink = owned(unsafe {
        libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_ROUTE)
    });
    let found = fds_of_child(&[listener.as_raw_fd(), one.as_raw_fd(), netlink.as_raw_fd()]);
    for (fd, wanted) in found.iter().zip([path.as_os_str().as_bytes(), b""]) {
        let FdKind::Unix { source, destination: 0, path } = &fd.kind else { panic!("{fd:?}") };
        assert_eq!(path, wanted);
        assert!(*source == fd.ino || *source >> 63 == 1, "{fd:?}");
    }
    assert_eq!(found[0].ino, inode(listener.as_raw_fd()));
    let name = format!("socket:[{}]", inode(netlink.as_raw_fd())).into_bytes();
    assert_eq!(found[2].kind, FdKind::Named { kind: NamedFd::Netlink, name });
}

/// Binds an abstract socket whose name has a NUL inside and one at the end; also returns its name as captures have it.
fn abstract_socket() -> (UnixListener, Vec<u8>) {
    let name = format!("scapd-{}\0inside\0", std::process::id());
    let socket = UnixListener::bind_addr(&UnixAddr::from_abstract_name(&name).unwrap()).unwrap();
    (socket, format!("@{name}").into_bytes())
}

fn unix_path(fd: &Fd) -> &[u8] {
    let FdKind::Unix { path, .. } = &fd.kind else { panic!("{fd:?}") };
    path
}

#[test]
fn abstract_sockets_have_their_whole_names() {
    let (socket, name) = abstract_socket();
    assert_eq!(unix_path(&fds_of_child(&[socket.as_raw_fd()])[0]), name);
}

#[test]
fn abstract_sockets_of_another_network_namespace_have_theirs() {
    if !is_root() {
        return eprintln!("not root: another network namespace is NOT tested");
    }
    let there = std::thread::spawn(|| {
        // SAFETY: only this thread leaves the namespace; the other threads of the process stay in it.
        unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }.unwrap();
        let (socket, name) = abstract_socket();
        (start_with(sleep("/bin/sleep"), vec![socket.as_raw_fd()]), name)
    });
    let (child, name) = there.join().unwrap();
    assert_eq!(unix_path(&given_to(&child, 1)[0]), name);
}

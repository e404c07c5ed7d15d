//! Reads the names of unix sockets from the kernel's socket diagnostics.
//!
//! /proc/net/unix shows a NUL in a name as `@`, so it does not distinguish an abstract name from a path, nor a NUL
//! inside from an `@`. Netlink's `sock_diag` returns the bytes. It answers for the network namespace of the thread that
//! opened its socket; entering another namespace needs CAP_SYS_ADMIN.

use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::MAX_PATH;
use super::dir::Dir;
use super::text::shortened;

/// The size of the receive buffer. The kernel sends 16 KiB at a time.
const BUFFER: usize = 32 << 10;
/// The size of a netlink message's header.
const MESSAGE: usize = 16;
/// The size of a unix socket's answer (`unix_diag_msg`), which follows the header.
const ANSWER: usize = 16;
/// The size of an attribute's header.
const ATTRIBUTE: usize = 4;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const UNIX_DIAG_NAME: u16 = 0;

/// Returns the named unix sockets of a process's network namespace, each with its inode and its name as captures have
/// it.
///
/// # Errors
/// If the namespace cannot be entered, or the kernel has no diagnostics of unix sockets.
pub(super) fn of_namespace(process: &Dir, is_own: bool) -> Result<Vec<(u64, Vec<u8>)>, Errno> {
    if is_own {
        return ask();
    }
    let namespace = process.file("ns/net")?;
    // A thread of its own enters the namespace, so that this thread stays in its own.
    let there = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("netns".to_owned());
        let asked = thread.spawn_scoped(scope, || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
            ask()
        });
        asked.map(|asked| asked.join())
    });
    there.map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::AGAIN))?.unwrap_or(Err(Errno::AGAIN))
}

fn ask() -> Result<Vec<(u64, Vec<u8>)>, Errno> {
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    )?;
    send(&socket, &request(), SendFlags::empty())?;
    answers(&socket)
}

/// Makes the request for all unix sockets, in every state, with their names.
fn request() -> Vec<u8> {
    const REQUEST_AND_DUMP: u16 = 0x1 | 0x300;
    const SHOW_NAME: u32 = 1;
    const LEN: u32 = MESSAGE as u32 + 24;
    let mut request = Vec::with_capacity(LEN as usize);
    request.extend_from_slice(&LEN.to_ne_bytes());
    request.extend_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    request.extend_from_slice(&REQUEST_AND_DUMP.to_ne_bytes());
    // Sequence and sender; family, protocol and padding; then states, inode, what to show, and a cookie.
    request.extend_from_slice(&[0; 8]);
    request.extend_from_slice(&[AddressFamily::UNIX.as_raw() as u8, 0, 0, 0]);
    for word in [u32::MAX, 0, SHOW_NAME, 0, 0] {
        request.extend_from_slice(&word.to_ne_bytes());
    }
    request
}

fn answers(socket: &OwnedFd) -> Result<Vec<(u64, Vec<u8>)>, Errno> {
    let mut names = Vec::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        let (_, length) = recv(socket, &mut buffer[..], RecvFlags::empty())?;
        let mut rest = buffer.get(..length).unwrap_or_default();
        if rest.is_empty() {
            return Err(Errno::PROTO);
        }
        while let Some((ty, body, after)) = message(rest) {
            match ty {
                NLMSG_DONE => return Ok(names),
                NLMSG_ERROR => {
                    let errno = word(body, 0).map(|errno| errno.wrapping_neg() as i32);
                    return Err(errno.map_or(Errno::PROTO, Errno::from_raw_os_error));
                }
                SOCK_DIAG_BY_FAMILY => names.extend(name(body)),
                _ => {}
            }
            rest = after;
        }
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// Splits off the first message: its type, its body, and the bytes after it.
fn message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = word(bytes, 0)? as usize;
    let body = bytes.get(MESSAGE..length)?;
    Some((half(bytes, 4)?, body, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

/// Parses the inode and the name of an answer; `None` for a socket without a name.
fn name(answer: &[u8]) -> Option<(u64, Vec<u8>)> {
    let inode = word(answer, 4)?;
    let mut attributes = answer.get(ANSWER..)?;
    while let (Some(length), Some(ty)) = (half(attributes, 0), half(attributes, 2)) {
        let value = attributes.get(ATTRIBUTE..length.into())?;
        if ty == UNIX_DIAG_NAME && !value.is_empty() {
            return Some((inode.into(), shortened(path(value), MAX_PATH)));
        }
        attributes = attributes.get(usize::from(length).next_multiple_of(4)..)?;
    }
    None
}

/// Converts the path of a unix address to the form that captures have: see bpf/extract/sockets.h.
fn path(path: &[u8]) -> Vec<u8> {
    match path {
        [0, name @ ..] => [b"@", name].concat(),
        _ => {
            let path = path.split(|&byte| byte == 0).next().unwrap_or_default();
            let before: &[u8] = if path.starts_with(b"@") { b"./" } else { b"" };
            [before, path].concat()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixListener};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_and_names_are_told_apart() {
        for (kernel, ours) in [
            (&b"/run/a\0"[..], &b"/run/a"[..]),
            (b"a\0", b"a"),
            (b"@a\0", b"./@a"),
            (b"\0a", b"@a"),
            (b"\0a\0b\0", b"@a\0b\0"),
            (b"\0", b"@"),
            (b"", b""),
        ] {
            assert_eq!(path(kernel), ours);
        }
    }

    #[test]
    fn the_kernel_tells_whole_names() {
        let name = format!("scapd\0diag-{}\0", std::process::id());
        let socket = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let inode = rustix::fs::fstat(&socket).unwrap().st_ino;
        let names = ask().unwrap();
        let found: Vec<_> = names.iter().filter(|(found, _)| *found == inode).collect();
        assert_eq!(found, [&(inode, format!("@{name}").into_bytes())], "{}", socket.as_raw_fd());
    }

    proptest! {
        #[test]
        fn no_answer_is_too_much(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut rest = &bytes[..];
            while let Some((_, body, after)) = message(rest) {
                let _ = name(body);
                rest = after;
            }
            let _ = name(&bytes);
        }
    }
}

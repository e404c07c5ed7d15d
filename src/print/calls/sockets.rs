//! Addresses and descriptors in strace's form.

use std::{fmt::Write, net::IpAddr};

use super::quote;
use scap::{
    events::{FlagTable, flag_table},
    format::{
        SockAddr,
        state::{L4Proto, NamedFd},
    },
    model::{Ends, FdClass, OpenFd, Role},
};

/// Appends the address of a socket.
pub fn address(out: &mut String, address: &SockAddr<'_>) {
    // Writing to a string cannot fail.
    let _ = match address {
        SockAddr::Inet(IpAddr::V4(ip), port) => {
            write!(out, "{{sa_family=AF_INET, sin_port=htons({port}), sin_addr=inet_addr(\"{ip}\")}}")
        }
        SockAddr::Inet(IpAddr::V6(ip), port) => write!(
            out,
            "{{sa_family=AF_INET6, sin6_port=htons({port}), sin6_flowinfo=..., inet_pton(AF_INET6, \"{ip}\", &sin6_addr), \
             sin6_scope_id=...}}"
        ),
        SockAddr::Unix(path) => {
            out.push_str("{sa_family=AF_UNIX");
            match path {
                [] => {}
                // The recorder writes the NUL before an abstract name as an @.
                [b'@', name @ ..] => {
                    out.push_str(", sun_path=@");
                    quote::quoted(out, name);
                }
                _ => {
                    out.push_str(", sun_path=");
                    quote::quoted(out, path);
                }
            }
            out.push('}');
            Ok(())
        }
        SockAddr::Other(family, _) => {
            const FAMILIES: FlagTable = flag_table("socket_families");
            match FAMILIES.iter().rfind(|flag| flag.value == u64::from(*family)) {
                Some(flag) => write!(out, "{{sa_family={}, ...}}", flag.name),
                None => write!(out, "{{sa_family={family:#x}, ...}}"),
            }
        }
    };
}

/// Appends what a descriptor refers to, in angle brackets.
pub fn descriptor(out: &mut String, fd: &OpenFd) {
    let before = out.len();
    out.push('<');
    match fd.class {
        FdClass::Ipv4(l4) => inet(out, fd, l4, ""),
        FdClass::Ipv6(l4) => inet(out, fd, l4, "v6"),
        FdClass::Unix => socket(out, fd, "UNIX"),
        FdClass::Named(NamedFd::Netlink) => socket(out, fd, "NETLINK"),
        FdClass::Named(NamedFd::Memfd) if fd.name.starts_with(b"memfd:") => {
            // A file without a name in any folder.
            out.push('/');
            quote::name(out, &fd.name);
            return out.push_str(">(deleted)");
        }
        FdClass::Named(kind) if fd.name.is_empty() => out.push_str(anonymous(kind)),
        _ => match fd.name.strip_suffix(b" (deleted)") {
            Some(path) => {
                quote::name(out, path);
                return out.push_str(">(deleted)");
            }
            None => quote::name(out, &fd.name),
        },
    }
    if out.len() == before + 1 {
        // Nothing is known of it.
        out.truncate(before);
    } else {
        out.push('>');
    }
}

fn anonymous(kind: NamedFd) -> &'static str {
    match kind {
        NamedFd::Eventfd => "anon_inode:[eventfd]",
        NamedFd::Eventpoll => "anon_inode:[eventpoll]",
        NamedFd::Timerfd => "anon_inode:[timerfd]",
        NamedFd::Signalfd => "anon_inode:[signalfd]",
        NamedFd::Inotify => "anon_inode:inotify",
        NamedFd::Userfaultfd => "anon_inode:[userfaultfd]",
        NamedFd::IoUring => "anon_inode:[io_uring]",
        NamedFd::Pidfd => "anon_inode:[pidfd]",
        NamedFd::Fifo => "pipe",
        NamedFd::Directory | NamedFd::Unsupported | NamedFd::Bpf | NamedFd::Memfd | NamedFd::Netlink => "",
    }
}

fn socket(out: &mut String, fd: &OpenFd, protocol: &str) {
    out.push_str(protocol);
    if !fd.name.is_empty() {
        out.push_str(":[");
        quote::name(out, &fd.name);
        out.push(']');
    }
}

/// Appends protocol and endpoints, the socket's own first.
fn inet(out: &mut String, fd: &OpenFd, l4: L4Proto, version: &str) {
    out.push_str(match l4 {
        L4Proto::Tcp => "TCP",
        L4Proto::Udp => "UDP",
        L4Proto::Icmp => "ICMP",
        L4Proto::Raw => "RAW",
        L4Proto::Unknown | L4Proto::NotAvailable => "INET",
    });
    out.push_str(version);
    match (fd.ends(), fd.role()) {
        (Some(Ends::Inet(client, server)), role) => {
            let (own, peer) = if role == Some(Role::Server) { (server, client) } else { (client, server) };
            out.push_str(":[");
            end(out, own);
            out.push_str("->");
            end(out, peer);
            out.push(']');
        }
        _ => match fd.local() {
            Some(local) => {
                out.push_str(":[");
                end(out, local);
                out.push(']');
            }
            None if !fd.name.is_empty() => {
                out.push_str(":[");
                quote::name(out, &fd.name);
                out.push(']');
            }
            None => {}
        },
    }
}

fn end(out: &mut String, (ip, port): (IpAddr, u16)) {
    let _ = match ip {
        IpAddr::V4(ip) => write!(out, "{ip}:{port}"),
        IpAddr::V6(ip) => write!(out, "[{ip}]:{port}"),
    };
}

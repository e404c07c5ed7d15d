//! Names of the kernel's numbers, where the format has these numbers and no names.

use std::fmt::Write;

use scap::text::kernel_names;

type Names = &'static [(i64, &'static str)];

pub const SOCKET_TYPES: Names = &[
    (1, "SOCK_STREAM"),
    (2, "SOCK_DGRAM"),
    (3, "SOCK_RAW"),
    (4, "SOCK_RDM"),
    (5, "SOCK_SEQPACKET"),
    (6, "SOCK_DCCP"),
    (10, "SOCK_PACKET"),
];

pub const IP_PROTOCOLS: Names = &[
    (0, "IPPROTO_IP"),
    (1, "IPPROTO_ICMP"),
    (2, "IPPROTO_IGMP"),
    (6, "IPPROTO_TCP"),
    (17, "IPPROTO_UDP"),
    (41, "IPPROTO_IPV6"),
    (58, "IPPROTO_ICMPV6"),
    (132, "IPPROTO_SCTP"),
    (136, "IPPROTO_UDPLITE"),
    (255, "IPPROTO_RAW"),
    (262, "IPPROTO_MPTCP"),
];

pub const NETLINK_PROTOCOLS: Names = &[
    (0, "NETLINK_ROUTE"),
    (2, "NETLINK_USERSOCK"),
    (4, "NETLINK_SOCK_DIAG"),
    (6, "NETLINK_XFRM"),
    (7, "NETLINK_SELINUX"),
    (9, "NETLINK_AUDIT"),
    (11, "NETLINK_CONNECTOR"),
    (12, "NETLINK_NETFILTER"),
    (15, "NETLINK_KOBJECT_UEVENT"),
    (16, "NETLINK_GENERIC"),
    (21, "NETLINK_CRYPTO"),
];

pub const CLOCKS: Names = &[
    (0, "CLOCK_REALTIME"),
    (1, "CLOCK_MONOTONIC"),
    (7, "CLOCK_BOOTTIME"),
    (8, "CLOCK_REALTIME_ALARM"),
    (9, "CLOCK_BOOTTIME_ALARM"),
];

pub const FILE_TYPES: Names = &[
    (0o010_000, "S_IFIFO"),
    (0o020_000, "S_IFCHR"),
    (0o040_000, "S_IFDIR"),
    (0o060_000, "S_IFBLK"),
    (0o100_000, "S_IFREG"),
    (0o120_000, "S_IFLNK"),
    (0o140_000, "S_IFSOCK"),
];

/// Requests of ioctl that mean the same for every descriptor that takes them.
pub const REQUESTS: Names = &[
    (0x5401, "TCGETS"),
    (0x5402, "TCSETS"),
    (0x5403, "TCSETSW"),
    (0x5404, "TCSETSF"),
    (0x540e, "TIOCSCTTY"),
    (0x540f, "TIOCGPGRP"),
    (0x5410, "TIOCSPGRP"),
    (0x5413, "TIOCGWINSZ"),
    (0x5414, "TIOCSWINSZ"),
    (0x541b, "FIONREAD"),
    (0x5421, "FIONBIO"),
    (0x5450, "FIONCLEX"),
    (0x5451, "FIOCLEX"),
    (0x5452, "FIOASYNC"),
];

pub const SECCOMP: Names = &[
    (0, "SECCOMP_SET_MODE_STRICT"),
    (1, "SECCOMP_SET_MODE_FILTER"),
    (2, "SECCOMP_GET_ACTION_AVAIL"),
    (3, "SECCOMP_GET_NOTIF_SIZES"),
];

/// The kernel's flags of open files behind the way of access, in strace's order.
pub const OPEN_FLAGS: &[(u64, &str)] = &[
    (0o100, "O_CREAT"),
    (0o200, "O_EXCL"),
    (0o400, "O_NOCTTY"),
    (0o1000, "O_TRUNC"),
    (0o2000, "O_APPEND"),
    (0o4000, "O_NONBLOCK"),
    (0o4_010_000, "O_SYNC"),
    (0o10_000, "O_DSYNC"),
    (if ARM { 0o200_000 } else { 0o40_000 }, "O_DIRECT"),
    (if ARM { 0o400_000 } else { 0o100_000 }, "O_LARGEFILE"),
    (if ARM { 0o100_000 } else { 0o400_000 }, "O_NOFOLLOW"),
    (0o1_000_000, "O_NOATIME"),
    (0o2_000_000, "O_CLOEXEC"),
    (0o10_000_000, "O_PATH"),
    (if ARM { 0o20_040_000 } else { 0o20_200_000 }, "O_TMPFILE"),
    (if ARM { 0o40_000 } else { 0o200_000 }, "O_DIRECTORY"),
    (0o20_000, "O_ASYNC"),
];

const ARM: bool = cfg!(target_arch = "aarch64");

/// Errors that the kernel uses for itself: a tracer sees them as the result of a call that a signal has interrupted.
pub const RESTARTS: Names = &[
    (512, "To be restarted if SA_RESTART is set"),
    (513, "To be restarted"),
    (514, "To be restarted if no handler"),
    (516, "Interrupted by signal"),
];

/// Appends the name of a signal.
pub fn signal(out: &mut String, signal: u8) {
    // Writing to a string cannot fail.
    let _ = match (kernel_names::signal(signal), signal) {
        (Some(name), _) => write!(out, "{name}"),
        (None, 32) => write!(out, "SIGRTMIN"),
        (None, 33..=64) => write!(out, "SIGRT_{}", signal - 32),
        _ => write!(out, "{signal}"),
    };
}

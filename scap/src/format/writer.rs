//! Writes the machine's initial state: the first blocks of a capture.
//!
//! Texts over the format's limits are truncated: readers refuse a file with longer ones.

use std::io::{self, Write};

use super::{
    block::{BlockKind, BlockType, frame},
    state::{
        Fd, FdKind, FdList, Group, Interface, InterfaceAddress, MachineInfo, MachineState, Thread, User,
    },
};

/// The magic of the section header; a reader of the other byte order sees its bytes reversed.
pub const MAGIC: u32 = 0x1A2B_3C4D;
/// The format version that is written.
pub const VERSION: (u16, u16) = (1, 2);
/// The size of the hostname field in bytes.
pub const HOSTNAME_LEN: usize = 128;

/// The limit of a path in bytes: readers have buffers of 1,024, in which some need a byte for a NUL.
const MAX_PATH: usize = 1023;
/// The limit of arguments, environment and cgroups in bytes each.
const MAX_LIST: usize = 4096;
/// The limit of each text of a user or group in bytes.
const MAX_CREDENTIAL: usize = 255;

/// A list continues in another block before its body exceeds this many bytes: Wireshark refuses blocks above 16 MiB.
const SPLIT: usize = 4 << 20;

/// Writes the section header and the state: everything before a capture's first event.
///
/// # Errors
/// If `out` cannot be written.
pub fn write_state(out: &mut impl Write, state: &MachineState) -> io::Result<()> {
    let mut buf = Vec::new();
    frame(&mut buf, BlockType::SECTION_HEADER, section_header);
    frame(&mut buf, BlockType::MACHINE_INFO, |out| machine_info(out, &state.machine));
    frame(&mut buf, BlockType::INTERFACE_LIST, |out| interfaces(out, &state.interfaces));
    frame(&mut buf, BlockType::USER_LIST, |out| users_and_groups(out, &state.users, &state.groups));
    out.write_all(&buf)?;
    write_list(out, BlockType::PROCESS_LIST, &[], &state.threads, thread)?;
    for FdList { pid, fds } in &state.fds {
        write_list(out, BlockType::FD_LIST, &pid.to_ne_bytes(), fds, fd)?;
    }
    if !state.beyond.is_empty() {
        let put = |out: &mut Vec<u8>, entry: &Vec<u8>| put_entry(out, 0, |out| out.extend_from_slice(entry));
        write_list(out, BlockType::BEYOND, &[], &state.beyond, put)?;
    }
    Ok(())
}

/// Appends empty blocks for those that readers require before the first event and that `present` lacks: for captures
/// truncated before them.
pub fn complete_state(out: &mut Vec<u8>, present: &[BlockKind]) {
    let none = MachineState::default();
    let is_missing = |ty: BlockType| {
        !present.iter().any(|kind| std::mem::discriminant(kind) == std::mem::discriminant(&ty.kind()))
    };
    if is_missing(BlockType::INTERFACE_LIST) {
        frame(out, BlockType::INTERFACE_LIST, |out| interfaces(out, &none.interfaces));
    }
    if is_missing(BlockType::USER_LIST) {
        frame(out, BlockType::USER_LIST, |out| users_and_groups(out, &none.users, &none.groups));
    }
}

/// Writes a list, split into several blocks if it is long. Each block starts with `head`.
fn write_list<T>(
    out: &mut impl Write,
    ty: BlockType,
    head: &[u8],
    entries: &[T],
    encode: fn(&mut Vec<u8>, &T),
) -> io::Result<()> {
    let mut block = Vec::new();
    let mut body = head.to_vec();
    let mut entry = Vec::new();
    let mut write = |body: &mut Vec<u8>| {
        block.clear();
        frame(&mut block, ty, |out| out.extend_from_slice(body));
        body.truncate(head.len());
        out.write_all(&block)
    };
    for e in entries {
        entry.clear();
        encode(&mut entry, e);
        if body.len() > head.len() && body.len() + entry.len() > SPLIT {
            write(&mut body)?;
        }
        body.extend_from_slice(&entry);
    }
    write(&mut body)
}

/// Appends integers in native byte order.
macro_rules! put {
    ($out:expr, $($value:expr),+ $(,)?) => { $($out.extend_from_slice(&$value.to_ne_bytes());)+ };
}

fn put_text(out: &mut Vec<u8>, text: &[u8], max: usize) {
    let text = &text[..text.len().min(max)];
    put!(out, text.len() as u16);
    out.extend_from_slice(text);
}

/// Appends a list of NUL-terminated texts, truncated after the last one that fits.
fn put_list(out: &mut Vec<u8>, list: &[u8]) {
    let fitting = match list.get(..MAX_LIST) {
        Some(head) if list.len() > MAX_LIST => match head.iter().rposition(|&b| b == 0) {
            Some(end) => &head[..=end],
            // A single text that is too long: leave room for the NUL that readers add.
            None => &head[..MAX_LIST - 1],
        },
        _ => list,
    };
    put_text(out, fitting, MAX_LIST);
}

/// Appends an entry with its length first, which counts `counted` of its own four bytes.
fn put_entry(out: &mut Vec<u8>, counted: usize, entry: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    put!(out, 0u32);
    let body = out.len();
    entry(out);
    let len = (out.len() - body + counted) as u32;
    out[start..body].copy_from_slice(&len.to_ne_bytes());
}

fn section_header(out: &mut Vec<u8>) {
    const LENGTH_UNKNOWN: u64 = u64::MAX;
    put!(out, MAGIC, VERSION.0, VERSION.1, LENGTH_UNKNOWN);
}

fn machine_info(out: &mut Vec<u8>, m: &MachineInfo) {
    put!(out, m.num_cpus, m.memory_size, m.max_pid);
    let mut hostname = [0; HOSTNAME_LEN];
    let len = m.hostname.len().min(HOSTNAME_LEN - 1);
    hostname[..len].copy_from_slice(&m.hostname[..len]);
    out.extend_from_slice(&hostname);
    let reserved = 0u64;
    put!(out, m.boot_time, m.flags, reserved, reserved);
}

fn interfaces(out: &mut Vec<u8>, interfaces: &[Interface]) {
    let is_v4 = |i: &&Interface| matches!(i.address, InterfaceAddress::V4 { .. });
    let in_order = interfaces.iter().filter(is_v4).chain(interfaces.iter().filter(|i| !is_v4(i)));
    for i in in_order {
        put_entry(out, 0, |out| interface(out, i));
    }
}

fn interface(out: &mut Vec<u8>, i: &Interface) {
    let name = &i.name[..i.name.len().min(MAX_PATH)];
    let ty: u16 = match i.address {
        InterfaceAddress::V4 { .. } => 1,
        InterfaceAddress::V6 { .. } => 2,
    };
    put!(out, ty, name.len() as u16);
    match i.address {
        InterfaceAddress::V4 { address, netmask, broadcast } => {
            [address, netmask, broadcast].iter().for_each(|a| out.extend_from_slice(&a.octets()));
        }
        InterfaceAddress::V6 { address, netmask, broadcast } => {
            [address, netmask, broadcast].iter().for_each(|a| out.extend_from_slice(&a.octets()));
        }
    }
    put!(out, i.link_speed);
    out.extend_from_slice(name);
}

fn users_and_groups(out: &mut Vec<u8>, users: &[User], groups: &[Group]) {
    const USER: u8 = 0;
    const GROUP: u8 = 1;
    for u in users {
        put_entry(out, 4, |out| {
            put!(out, USER, u.uid, u.gid);
            [&u.name, &u.home, &u.shell].iter().for_each(|t| put_text(out, t, MAX_CREDENTIAL));
        });
    }
    for g in groups {
        put_entry(out, 4, |out| {
            put!(out, GROUP, g.gid);
            put_text(out, &g.name, MAX_CREDENTIAL);
        });
    }
}

fn thread(out: &mut Vec<u8>, t: &Thread) {
    put_entry(out, 4, |out| {
        put!(out, t.tid, t.pid, t.ptid, t.sid, t.vpgid);
        put_text(out, &t.comm, MAX_PATH);
        put_text(out, &t.exe, MAX_PATH);
        put_text(out, &t.exepath, MAX_PATH);
        put_list(out, &t.args);
        put_text(out, &t.cwd, MAX_PATH);
        put!(out, t.fdlimit, t.flags, t.uid, t.gid);
        put!(out, t.vmsize_kb, t.vmrss_kb, t.vmswap_kb, t.pfmajor, t.pfminor);
        put_list(out, &t.env);
        put!(out, t.vtid, t.vpid);
        put_list(out, &t.cgroups);
        put_text(out, &t.root, MAX_PATH);
        put!(out, t.pidns_init_start_ts, t.tty, t.loginuid);
        put!(out, t.exe_writable as u8, t.cap_inheritable, t.cap_permitted, t.cap_effective);
        put!(out, t.exe_upper_layer as u8, t.exe_ino, t.exe_ino_ctime, t.exe_ino_mtime);
        put!(out, t.exe_from_memfd as u8, t.exe_lower_layer as u8, t.pgid);
    });
}

fn fd(out: &mut Vec<u8>, fd: &Fd) {
    put_entry(out, 4, |out| {
        put!(out, fd.fd, fd.ino, fd.kind.number());
        match &fd.kind {
            FdKind::File { open_flags, path, dev } => {
                put!(out, open_flags);
                put_text(out, path, MAX_PATH);
                put!(out, dev);
            }
            FdKind::Ipv4 { source, destination, l4 } => {
                out.extend_from_slice(&source.0.octets());
                out.extend_from_slice(&destination.0.octets());
                put!(out, source.1, destination.1, *l4 as u8);
            }
            FdKind::Ipv6 { source, destination, l4 } => {
                out.extend_from_slice(&source.0.octets());
                out.extend_from_slice(&destination.0.octets());
                put!(out, source.1, destination.1, *l4 as u8);
            }
            FdKind::Ipv4Listening { local, l4 } => {
                out.extend_from_slice(&local.0.octets());
                put!(out, local.1, *l4 as u8);
            }
            FdKind::Ipv6Listening { local, l4 } => {
                out.extend_from_slice(&local.0.octets());
                put!(out, local.1, *l4 as u8);
            }
            FdKind::Unix { source, destination, path } => {
                put!(out, source, destination);
                put_text(out, path, MAX_PATH);
            }
            FdKind::Named { kind: _, name } => put_text(out, name, MAX_PATH),
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::state::{L4Proto, NamedFd};

    #[test]
    fn a_long_list_is_cut_behind_a_whole_text() {
        let cut = |list: &[u8]| {
            let mut out = Vec::new();
            put_list(&mut out, list);
            assert_eq!(out[..2], ((out.len() - 2) as u16).to_ne_bytes());
            out.split_off(2)
        };
        let short = b"a\0b\0".repeat(1024);
        assert_eq!(short.len(), MAX_LIST);
        assert_eq!(cut(&short), short);
        assert_eq!(cut(&[&short[..], b"c\0"].concat()), short);
        assert_eq!(cut(&[&short[..MAX_LIST - 2], b"xyz\0"].concat()), &short[..MAX_LIST - 2]);
        assert_eq!(cut(&[b'x'; 5000]), [b'x'; MAX_LIST - 1]);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn the_first_blocks_byte_by_byte() {
        let mut out = Vec::new();
        let machine =
            MachineInfo { num_cpus: 3, max_pid: 9, hostname: vec![b'h'; 200], ..MachineInfo::default() };
        write_state(&mut out, &MachineState { machine, ..MachineState::default() }).unwrap();
        let section = b"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a\x01\0\x02\0\xff\xff\xff\xff\xff\xff\xff\xff\x1c\0\0\0";
        assert_eq!(&out[..28], section);
        // Type, length; CPUs, memory, highest pid; hostname truncated to 127; boot time, flags, two reserved; length.
        let len = 8 + 4 + 8 + 8 + 128 + 4 * 8 + 4;
        let mut machine = Vec::new();
        machine.extend_from_slice(&[1, 2, 0, 0, len as u8, 0, 0, 0, 3, 0, 0, 0]);
        machine.extend_from_slice(&[0; 8]);
        machine.extend_from_slice(&[9, 0, 0, 0, 0, 0, 0, 0]);
        machine.extend_from_slice(&[b'h'; 127]);
        machine.extend_from_slice(&[0; 1 + 32]);
        machine.extend_from_slice(&[len as u8, 0, 0, 0]);
        assert_eq!(&out[28..28 + len], machine);
        // The lists of interfaces, users and processes are empty.
        for (i, ty) in [0x19, 0x20, 0x15].into_iter().enumerate() {
            assert_eq!(out[28 + len + 12 * i..][..12], [ty, 2, 0, 0, 12, 0, 0, 0, 12, 0, 0, 0]);
        }
        assert_eq!(out.len(), 28 + len + 36);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn descriptors_byte_by_byte() {
        let encode = |kind| {
            let mut out = Vec::new();
            fd(&mut out, &Fd { fd: 5, ino: 6, kind });
            out
        };
        let head = |len: u8, ty: u8| {
            [&[len, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0][..], &[ty]].concat()
        };
        let l4 = L4Proto::Tcp;
        let (a, b) = ([1, 2, 3, 4].into(), [5, 6, 7, 8].into());
        assert_eq!(
            encode(FdKind::Ipv4 { source: (a, 0x102), destination: (b, 80), l4 }),
            [&head(34, 3)[..], &[1, 2, 3, 4, 5, 6, 7, 8, 2, 1, 80, 0, 2]].concat()
        );
        assert_eq!(
            encode(FdKind::Ipv4Listening { local: (a, 80), l4: L4Proto::Udp }),
            [&head(28, 5)[..], &[1, 2, 3, 4, 80, 0, 3]].concat()
        );
        assert_eq!(
            encode(FdKind::File { open_flags: 1, path: b"/x".into(), dev: 0x10_0003 }),
            [&head(33, 16)[..], b"\x01\0\0\0\x02\0/x\x03\0\x10\0"].concat()
        );
        assert_eq!(
            encode(FdKind::Unix { source: 1, destination: 2, path: b"/s".into() }),
            [&head(41, 8)[..], b"\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x02\0/s"].concat()
        );
        assert_eq!(
            encode(FdKind::Named { kind: NamedFd::Fifo, name: b"p".into() }),
            [&head(24, 7)[..], b"\x01\0p"].concat()
        );
    }

    #[test]
    fn lists_that_a_capture_lacks_are_added_empty() {
        let added = |present: &[BlockKind]| {
            let mut out = Vec::new();
            complete_state(&mut out, present);
            out.chunks_exact(12).map(|block| block[..4].to_vec()).collect::<Vec<_>>()
        };
        let [interfaces, users] =
            [BlockType::INTERFACE_LIST, BlockType::USER_LIST].map(|ty| ty.0.to_ne_bytes());
        assert_eq!(added(&[]), [interfaces, users]);
        assert_eq!(added(&[BlockKind::MachineInfo, BlockKind::UserList { version: 2 }]), [interfaces]);
        // An older one is one.
        assert_eq!(added(&[BlockKind::InterfaceList { version: 1 }]), [users]);
        assert!(added(&[BlockType::USER_LIST.kind(), BlockType::INTERFACE_LIST.kind()]).is_empty());
    }

    #[test]
    fn a_long_list_is_continued_in_a_further_block() {
        let thread = Thread { args: vec![b'x'; 4000], env: vec![b'y'; 4000], ..Thread::default() };
        let mut out = Vec::new();
        let entries = vec![thread; 1500];
        write_list(&mut out, BlockType::PROCESS_LIST, &[], &entries, super::thread).unwrap();
        let mut lens = Vec::new();
        let mut rest = &out[..];
        while !rest.is_empty() {
            assert_eq!(rest[..4], BlockType::PROCESS_LIST.0.to_ne_bytes());
            let len = u32::from_ne_bytes(rest[4..8].try_into().unwrap()) as usize;
            lens.push(len);
            rest = &rest[len..];
        }
        assert_eq!(lens.len(), 3);
        assert!(lens.iter().all(|l| *l <= SPLIT + 12));
    }
}

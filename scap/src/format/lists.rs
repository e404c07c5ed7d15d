//! Reads the blocks of the machine's state: machine info and the four lists, in all versions.
//!
//! Before format 1.2, a new field meant a new block version. Since then, fields are appended, and an entry's length
//! tells which ones it has.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{
    block::BlockKind,
    fields::Fields,
    state::{
        Fd, FdKind, FdList, Group, Interface, InterfaceAddress, L4Proto, MachineInfo, MachineState, NamedFd,
        Thread, User,
    },
    writer::HOSTNAME_LEN,
};

/// The minimum length of an entry; fewer bytes at the end of a block are padding.
const MIN_ENTRY: usize = 4;

/// The maximum number of threads: Linux's PID_MAX_LIMIT.
const MAX_THREADS: usize = 4 << 20;

/// Adds the contents of a block to the state. The error says what is wrong with the block.
pub(super) fn read_block(kind: BlockKind, body: &[u8], state: &mut MachineState) -> Result<(), &'static str> {
    let mut fields = Fields::new(body);
    match kind {
        BlockKind::MachineInfo => {
            state.machine = machine_info(&mut fields).ok_or("machine info is too short")?;
        }
        BlockKind::ProcessList { version } => {
            while fields.left() >= MIN_ENTRY {
                if state.threads.len() == MAX_THREADS {
                    return Err("the process lists have more threads than Linux allows");
                }
                let entry =
                    entry(&mut fields, version >= 9, 4).ok_or("process list entry exceeds its block")?;
                state
                    .threads
                    .push(entry.read(|f| thread(f, version)).ok_or("process list entry is too short")?);
            }
        }
        BlockKind::FdList { version } => fd_list(&mut fields, version, &mut state.fds)?,
        BlockKind::InterfaceList { version } => {
            // A list replaces the previous one, as in other readers; the same holds for users.
            state.interfaces.clear();
            while fields.left() >= MIN_ENTRY {
                let entry = entry(&mut fields, version >= 2, 0).ok_or("interface exceeds its block")?;
                state
                    .interfaces
                    .push(entry.read(interface).ok_or("interface is too short, or of unknown type")?);
            }
        }
        BlockKind::UserList { version } => {
            state.users.clear();
            state.groups.clear();
            while fields.left() >= MIN_ENTRY {
                let entry = entry(&mut fields, version >= 2, 4).ok_or("user list entry exceeds its block")?;
                entry
                    .read(|f| user_or_group(f, state))
                    .ok_or("user list entry is too short, or of unknown kind")?;
            }
        }
        BlockKind::SectionHeader | BlockKind::Event { .. } | BlockKind::Unknown => {}
    }
    Ok(())
}

/// An entry of a list: one with a length has its own bytes, an older one reads from the block what it needs.
enum Entry<'f, 'a> {
    Sized(Fields<'a>),
    Open(&'f mut Fields<'a>),
}

impl<'f, 'a> Entry<'f, 'a> {
    fn read<T>(self, parse: impl FnOnce(&mut Fields<'a>) -> Option<T>) -> Option<T> {
        match self {
            Entry::Sized(mut fields) => parse(&mut fields),
            Entry::Open(fields) => parse(fields),
        }
    }
}

/// Returns the next entry. Its length counts `counted` of its own four bytes.
fn entry<'f, 'a>(fields: &'f mut Fields<'a>, sized: bool, counted: usize) -> Option<Entry<'f, 'a>> {
    if !sized {
        return Some(Entry::Open(fields));
    }
    let len = fields.u32()? as usize;
    fields.bytes(len.checked_sub(counted)?).map(|bytes| Entry::Sized(Fields::new(bytes)))
}

fn machine_info(f: &mut Fields<'_>) -> Option<MachineInfo> {
    let (num_cpus, memory_size, max_pid) = (f.u32()?, f.u64()?, f.u64()?);
    let hostname = f.bytes(HOSTNAME_LEN)?.split(|&b| b == 0).next().unwrap_or_default().to_vec();
    // In old files these fields are 0 or missing.
    let (boot_time, flags) = (f.u64().unwrap_or(0), f.u64().unwrap_or(0));
    Some(MachineInfo { num_cpus, memory_size, max_pid, hostname, boot_time, flags })
}

fn thread(f: &mut Fields<'_>, version: u8) -> Option<Thread> {
    let since = |v: u8| version >= v;
    let mut t = Thread { vtid: -1, vpid: -1, pgid: -1, loginuid: u32::MAX, ..Thread::default() };
    (t.tid, t.pid, t.ptid) = (f.u64()?, f.u64()?, f.u64()?);
    if since(6) {
        t.sid = f.u64()?;
    }
    if since(8) {
        t.vpgid = f.u64()?;
    }
    t.comm = f.text()?.to_vec();
    t.exe = f.text()?.to_vec();
    if since(7) {
        t.exepath = f.text()?.to_vec();
    }
    t.args = f.text()?.to_vec();
    t.cwd = f.text()?.to_vec();
    (t.fdlimit, t.flags, t.uid, t.gid) = (f.u64()?, f.u32()?, f.u32()?, f.u32()?);
    if since(2) {
        (t.vmsize_kb, t.vmrss_kb, t.vmswap_kb) = (f.u32()?, f.u32()?, f.u32()?);
        (t.pfmajor, t.pfminor) = (f.u64()?, f.u64()?);
    }
    if since(3) {
        t.env = f.text()?.to_vec();
    }
    if since(4) {
        (t.vtid, t.vpid) = (f.i64()?, f.i64()?);
        t.cgroups = f.text()?.to_vec();
    }
    if since(5) {
        t.root = f.text()?.to_vec();
    }
    if since(9) {
        // An entry may end before any of these fields.
        let _ = appended_thread_fields(f, &mut t);
    }
    Some(t)
}

/// Reads the fields appended to version 9 over time; `None` at the end of an older entry.
fn appended_thread_fields(f: &mut Fields<'_>, t: &mut Thread) -> Option<()> {
    // Two fields were once inserted before what were then the last ones.
    const LOGINUID_TO_CAPABILITIES: usize = 4 + 1 + 3 * 8;
    if f.left() > LOGINUID_TO_CAPABILITIES {
        (t.pidns_init_start_ts, t.tty) = (f.u64()?, f.u32()?);
    }
    t.loginuid = f.u32()?;
    t.exe_writable = f.u8()? != 0;
    t.cap_inheritable = f.u64()?;
    t.cap_permitted = f.u64()?;
    t.cap_effective = f.u64()?;
    t.exe_upper_layer = f.u8()? != 0;
    t.exe_ino = f.u64()?;
    t.exe_ino_ctime = f.u64()?;
    t.exe_ino_mtime = f.u64()?;
    t.exe_from_memfd = f.u8()? != 0;
    t.exe_lower_layer = f.u8()? != 0;
    t.pgid = f.i64()?;
    Some(())
}

fn fd_list(fields: &mut Fields<'_>, version: u8, lists: &mut Vec<FdList>) -> Result<(), &'static str> {
    let pid = fields.u64().ok_or("fd list has no process id")?;
    // A long list spans several blocks.
    if lists.last().is_none_or(|l| l.pid != pid) {
        lists.push(FdList { pid, fds: Vec::new() });
    }
    let Some(list) = lists.last_mut() else { return Ok(()) };
    while fields.left() >= MIN_ENTRY {
        let entry = entry(fields, version >= 2, 4).ok_or("fd list entry exceeds its block")?;
        if let Some(fd) =
            entry.read(|f| fd(f, version)).ok_or("fd list entry is too short, or of unknown type")?
        {
            list.fds.push(fd);
        }
    }
    Ok(())
}

fn fd(f: &mut Fields<'_>, version: u8) -> Option<Option<Fd>> {
    /// A descriptor of unknown type.
    const UNKNOWN: u8 = 0;
    /// A file with only its path.
    const FILE_V1: u8 = 1;
    let (fd, ino, ty) = (f.u64()?, f.u64()?, f.u8()?);
    let kind = match ty {
        UNKNOWN => return Some(None),
        FILE_V1 => FdKind::File { open_flags: 0, path: f.text()?.to_vec(), dev: 0 },
        16 => FdKind::File { open_flags: f.u32()?, path: f.text()?.to_vec(), dev: file_device(f, version)? },
        3 => {
            let (source, destination): (Ipv4Addr, Ipv4Addr) = (f.array()?.into(), f.array::<4>()?.into());
            FdKind::Ipv4 { source: (source, f.u16()?), destination: (destination, f.u16()?), l4: l4(f)? }
        }
        4 => {
            let (source, destination): (Ipv6Addr, Ipv6Addr) =
                (f.array::<16>()?.into(), f.array::<16>()?.into());
            FdKind::Ipv6 { source: (source, f.u16()?), destination: (destination, f.u16()?), l4: l4(f)? }
        }
        5 => FdKind::Ipv4Listening { local: (f.array::<4>()?.into(), f.u16()?), l4: l4(f)? },
        6 => FdKind::Ipv6Listening { local: (f.array::<16>()?.into(), f.u16()?), l4: l4(f)? },
        8 => FdKind::Unix { source: f.u64()?, destination: f.u64()?, path: f.text()?.to_vec() },
        _ => match NamedFd::from_number(ty) {
            Some(kind) => FdKind::Named { kind, name: f.text()?.to_vec() },
            // A newer type: only an entry with a length can be skipped.
            None if version >= 2 => FdKind::Named { kind: NamedFd::Unsupported, name: Vec::new() },
            None => return None,
        },
    };
    Some(Some(Fd { fd, ino, kind }))
}

/// Reads the device of a file, which was appended after entries got a length; 0 if it is missing.
fn file_device(f: &mut Fields<'_>, version: u8) -> Option<u32> {
    if version >= 2 { Some(f.u32().unwrap_or(0)) } else { Some(0) }
}

fn l4(f: &mut Fields<'_>) -> Option<L4Proto> {
    f.u8().map(|n| L4Proto::from_number(n).unwrap_or(L4Proto::Unknown))
}

fn interface(f: &mut Fields<'_>) -> Option<Interface> {
    let (ty, name_len) = (f.u16()?, f.u16()?);
    // Types 3 and 4 are old forms of 1 and 2, without a link speed.
    let address = match ty {
        1 | 3 => InterfaceAddress::V4 {
            address: f.array::<4>()?.into(),
            netmask: f.array::<4>()?.into(),
            broadcast: f.array::<4>()?.into(),
        },
        2 | 4 => InterfaceAddress::V6 {
            address: f.array::<16>()?.into(),
            netmask: f.array::<16>()?.into(),
            broadcast: f.array::<16>()?.into(),
        },
        _ => return None,
    };
    let link_speed = if ty <= 2 { f.u64()? } else { 0 };
    let name = f.bytes(name_len.into())?.to_vec();
    Some(Interface { name, address, link_speed })
}

fn user_or_group(f: &mut Fields<'_>, state: &mut MachineState) -> Option<()> {
    match f.u8()? {
        0 => {
            let (uid, gid) = (f.u32()?, f.u32()?);
            let mut text = || f.text().map(<[u8]>::to_vec);
            state.users.push(User { uid, gid, name: text()?, home: text()?, shell: text()? });
        }
        1 => state.groups.push(Group { gid: f.u32()?, name: f.text()?.to_vec() }),
        _ => return None,
    }
    Some(())
}

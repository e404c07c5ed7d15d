//! Reads the blocks of the machine's state: machine info and the four lists, in all versions.
//!
//! Before format 1.2, a new field meant a new block version. Since then, fields are appended, and an entry's length
//! tells which ones it has.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{
    block::BlockKind,
    fields::Fields,
    keep::{Keep, Memory, StateCounts},
    state::{
        Fd, FdKind, FdList, Group, Interface, InterfaceAddress, L4Proto, MachineInfo, MachineState, NamedFd,
        Thread, User,
    },
    writer::HOSTNAME_LEN,
};

/// The minimum length of an entry; fewer bytes at the end of a block are padding.
const MIN_ENTRY: usize = 4;
/// The longest entry, in bytes: all texts of a thread have at most 16-bit lengths.
pub(super) const MAX_ENTRY: usize = 1 << 20;

/// The maximum number of threads: Linux's PID_MAX_LIMIT.
const MAX_THREADS: u64 = 4 << 20;

/// The state of a section, as its blocks are read.
#[derive(Debug, Default)]
pub(super) struct Lists {
    state: MachineState,
    counts: StateCounts,
    keep: Keep,
    /// The memory that threads and descriptors take, in bytes.
    tasks: u64,
    /// The memory that users and groups take, in bytes.
    users: u64,
    /// The memory that interfaces take, in bytes.
    interfaces: u64,
    /// The process of the last descriptor list.
    pid: Option<u64>,
    /// It takes more memory than it may. Entries are only checked and counted from then on.
    is_full: bool,
}

/// A part of a block's body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'a> {
    pub bytes: &'a [u8],
    pub is_first: bool,
    pub is_last: bool,
}

impl Lists {
    pub fn new(keep: Keep) -> Lists {
        Lists { keep, ..Lists::default() }
    }

    pub fn state(&self) -> &MachineState {
        &self.state
    }

    pub fn counts(&self) -> StateCounts {
        self.counts
    }

    /// The memory that what is to be kept takes, in bytes.
    pub fn memory(&self) -> u64 {
        self.tasks + self.users + self.interfaces
    }

    /// Drops everything but the machine.
    pub fn forget(&mut self) {
        self.state = MachineState { machine: std::mem::take(&mut self.state.machine), ..Default::default() };
    }

    /// Adds the whole entries of a part of a block, and returns how many bytes these have. The error names what does not
    /// fit. Beyond `limit` bytes of memory, [`memory`](Lists::memory) grows and nothing is kept.
    pub fn read(&mut self, kind: BlockKind, part: Part<'_>, limit: u64) -> Result<usize, &'static str> {
        let mut fields = Fields::new(part.bytes);
        self.begin(kind, part, &mut fields)?;
        // An entry that is not the block's last may go on behind this part.
        let least = if part.is_last { MIN_ENTRY } else { MAX_ENTRY };
        while fields.left() >= least {
            match kind {
                BlockKind::ProcessList { version } => self.thread(&mut fields, version)?,
                BlockKind::FdList { version } => self.fd(&mut fields, version)?,
                BlockKind::InterfaceList { version } => self.interface(&mut fields, version)?,
                BlockKind::UserList { version } => self.user(&mut fields, version)?,
                BlockKind::Beyond => self.beyond(&mut fields)?,
                _ => return Ok(part.bytes.len()),
            }
            if self.memory() > limit && !self.is_full {
                self.is_full = true;
                self.forget();
            }
        }
        Ok(part.bytes.len() - fields.left())
    }

    /// What comes before the entries.
    fn begin(
        &mut self,
        kind: BlockKind,
        part: Part<'_>,
        fields: &mut Fields<'_>,
    ) -> Result<(), &'static str> {
        match kind {
            _ if !part.is_first => {}
            BlockKind::MachineInfo => {
                self.state.machine = machine_info(fields).ok_or("machine info is too short")?;
            }
            BlockKind::FdList { .. } => {
                let pid = fields.u64().ok_or("fd list has no process id")?;
                // A long list spans several blocks.
                if self.pid.replace(pid) != Some(pid) && self.keep >= Keep::Names {
                    self.tasks += FD_LIST;
                    let list = FdList { pid, fds: Vec::new() };
                    self.state.fds.extend((!self.is_full).then_some(list));
                }
            }
            // A list replaces the previous one, as in other readers; the same holds for users.
            BlockKind::InterfaceList { .. } => {
                self.state.interfaces = Vec::new();
                self.interfaces = 0;
            }
            BlockKind::UserList { .. } => {
                (self.state.users, self.state.groups) = (Vec::new(), Vec::new());
                self.users = 0;
            }
            _ => {}
        }
        Ok(())
    }

    /// Adds an entry to its list, if that is kept; the memory that it takes.
    fn add<T: Memory>(
        &mut self,
        needed: Keep,
        entry: T,
        list: fn(&mut MachineState) -> Option<&mut Vec<T>>,
    ) -> u64 {
        if self.keep < needed {
            return 0;
        }
        let memory = entry.memory();
        if let Some(list) = list(&mut self.state).filter(|_| !self.is_full) {
            list.push(entry);
        }
        memory
    }

    fn thread(&mut self, fields: &mut Fields<'_>, version: u8) -> Result<(), &'static str> {
        if self.counts.threads == MAX_THREADS {
            return Err("the process lists have more threads than Linux allows");
        }
        let entry = entry(fields, version >= 9, 4).ok_or("process list entry exceeds its block, or 1 MiB")?;
        let thread =
            entry.read(|f| thread(f, version, self.keep)).ok_or("process list entry is too short")?;
        self.counts.threads += 1;
        self.tasks += self.add(Keep::Threads, thread, |state| Some(&mut state.threads));
        Ok(())
    }

    fn fd(&mut self, fields: &mut Fields<'_>, version: u8) -> Result<(), &'static str> {
        let entry = entry(fields, version >= 2, 4).ok_or("fd list entry exceeds its block, or 1 MiB")?;
        let fd = entry.read(|f| fd(f, version)).ok_or("fd list entry is too short, or of unknown type")?;
        if let Some(fd) = fd {
            self.counts.fds += 1;
            self.tasks += self.add(Keep::Names, fd, |state| Some(&mut state.fds.last_mut()?.fds));
        }
        Ok(())
    }

    fn beyond(&mut self, fields: &mut Fields<'_>) -> Result<(), &'static str> {
        const TOO_LONG: &str = "an entry of scapd's state exceeds its block, or 1 MiB";
        let len = fields.u32().map(|len| len as usize).filter(|len| *len < MAX_ENTRY).ok_or(TOO_LONG)?;
        let entry = fields.bytes(len).ok_or(TOO_LONG)?.to_vec();
        self.tasks += self.add(Keep::Names, entry, |state| Some(&mut state.beyond));
        Ok(())
    }

    fn interface(&mut self, fields: &mut Fields<'_>, version: u8) -> Result<(), &'static str> {
        let entry = entry(fields, version >= 2, 0).ok_or("interface exceeds its block, or 1 MiB")?;
        let interface = entry.read(interface).ok_or("interface is too short, or of unknown type")?;
        self.interfaces += self.add(Keep::All, interface, |state| Some(&mut state.interfaces));
        Ok(())
    }

    fn user(&mut self, fields: &mut Fields<'_>, version: u8) -> Result<(), &'static str> {
        let entry = entry(fields, version >= 2, 4).ok_or("user list entry exceeds its block, or 1 MiB")?;
        let entry = entry.read(|f| user_or_group(f, self.keep));
        self.users += match entry.ok_or("user list entry is too short, or of unknown kind")? {
            Account::User(user) => self.add(Keep::Names, user, |state| Some(&mut state.users)),
            Account::Group(group) => self.add(Keep::Names, group, |state| Some(&mut state.groups)),
        };
        Ok(())
    }
}

/// Descriptors that a call received: entries of an fd list block, version 2. The last one may be cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received<'a>(pub(crate) &'a [u8]);

impl<'a> Received<'a> {
    /// Iterates over the entries that are complete. Those of unknown type are left out.
    pub fn iter(&self) -> impl Iterator<Item = Fd> + use<'a> {
        let mut fields = Fields::new(self.0);
        std::iter::from_fn(move || entry(&mut fields, true, 4)?.read(|f| fd(f, 2))).flatten()
    }

    /// Iterates over the paths and names in the entries that are complete.
    pub fn names(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        /// The length of the entry, the descriptor, the inode, the type; then, behind what a kind has first, that of the text.
        const HEADER: usize = 4 + 8 + 8 + 1;
        const LENGTH: usize = 2;
        let (all, mut fields) = (self.0, Fields::new(self.0));
        let name = move || {
            let start = all.len() - fields.left();
            let fd = entry(&mut fields, true, 4)?.read(|f| fd(f, 2))?;
            let (before, len) = match fd.map(|fd| fd.kind) {
                Some(FdKind::File { path, .. }) => (4, path.len()),
                Some(FdKind::Unix { path, .. }) => (8 + 8, path.len()),
                Some(FdKind::Named { name, .. }) => (0, name.len()),
                _ => return Some(None),
            };
            let at = start + HEADER + before + LENGTH;
            Some(all.get(at..at + len))
        };
        std::iter::from_fn(name).flatten()
    }
}

/// The memory of a descriptor list without its descriptors, in bytes: a vector that is not empty has room for 4.
const FD_LIST: u64 = (size_of::<FdList>() + 4 * size_of::<Fd>()) as u64;

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
    let len = (fields.u32()? as usize).checked_sub(counted).filter(|len| *len <= MAX_ENTRY - 4)?;
    fields.bytes(len).map(|bytes| Entry::Sized(Fields::new(bytes)))
}

fn machine_info(f: &mut Fields<'_>) -> Option<MachineInfo> {
    let (num_cpus, memory_size, max_pid) = (f.u32()?, f.u64()?, f.u64()?);
    let hostname = f.bytes(HOSTNAME_LEN)?.split(|&b| b == 0).next().unwrap_or_default().to_vec();
    // In old files these fields are 0 or missing.
    let (boot_time, flags) = (f.u64().unwrap_or(0), f.u64().unwrap_or(0));
    Some(MachineInfo { num_cpus, memory_size, max_pid, hostname, boot_time, flags })
}

/// A text, empty if it is not wanted.
fn text(f: &mut Fields<'_>, is_wanted: bool) -> Option<Vec<u8>> {
    f.text().map(|text| if is_wanted { text.to_vec() } else { Vec::new() })
}

fn thread(f: &mut Fields<'_>, version: u8, keep: Keep) -> Option<Thread> {
    let since = |v: u8| version >= v;
    let all = keep >= Keep::All;
    let mut t = Thread { vtid: -1, vpid: -1, pgid: -1, loginuid: u32::MAX, ..Thread::default() };
    (t.tid, t.pid, t.ptid) = (f.u64()?, f.u64()?, f.u64()?);
    if since(6) {
        t.sid = f.u64()?;
    }
    if since(8) {
        t.vpgid = f.u64()?;
    }
    t.comm = text(f, keep >= Keep::Threads)?;
    t.exe = text(f, all)?;
    if since(7) {
        t.exepath = text(f, all)?;
    }
    t.args = text(f, all)?;
    t.cwd = text(f, keep >= Keep::Names)?;
    (t.fdlimit, t.flags, t.uid, t.gid) = (f.u64()?, f.u32()?, f.u32()?, f.u32()?);
    if since(2) {
        (t.vmsize_kb, t.vmrss_kb, t.vmswap_kb) = (f.u32()?, f.u32()?, f.u32()?);
        (t.pfmajor, t.pfminor) = (f.u64()?, f.u64()?);
    }
    if since(3) {
        t.env = text(f, all)?;
    }
    if since(4) {
        (t.vtid, t.vpid) = (f.i64()?, f.i64()?);
        t.cgroups = text(f, all)?;
    }
    if since(5) {
        t.root = text(f, all)?;
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

enum Account {
    User(User),
    Group(Group),
}

fn user_or_group(f: &mut Fields<'_>, keep: Keep) -> Option<Account> {
    let (names, all) = (keep >= Keep::Names, keep >= Keep::All);
    Some(match f.u8()? {
        0 => {
            let (uid, gid) = (f.u32()?, f.u32()?);
            let (name, home, shell) = (text(f, names)?, text(f, all)?, text(f, all)?);
            Account::User(User { uid, gid, name, home, shell })
        }
        1 => Account::Group(Group { gid: f.u32()?, name: text(f, names)? }),
        _ => return None,
    })
}

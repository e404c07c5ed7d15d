//! Strategies that make states, events and captures. Not part of the API: for tests, also of what is built on this crate.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
};

use super::{
    state::{
        Fd, FdKind, FdList, Group, Interface, InterfaceAddress, L4Proto, MachineInfo, NamedFd, Thread, User,
    },
    *,
};
use crate::events::{
    Abi, Detail, EXTENSIONS, Event, Extends, Extension, Layout, ParamInfo, ParamType, event as event_row,
    is_extended, types,
};

/// Bytes without a NUL, as in a path.
fn text(max: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(1..=u8::MAX, 0..max)
}

fn list() -> impl Strategy<Value = Vec<u8>> {
    vec(text(20), 0..5).prop_map(|texts| texts.into_iter().flat_map(|t| [t, vec![0]].concat()).collect())
}

fn v4() -> impl Strategy<Value = Ipv4Addr> {
    any::<u32>().prop_map(Ipv4Addr::from)
}

fn v6() -> impl Strategy<Value = Ipv6Addr> {
    any::<u128>().prop_map(Ipv6Addr::from)
}

fn machine() -> impl Strategy<Value = MachineInfo> {
    (any::<(u32, u64, u64, u64, u64)>(), text(127)).prop_map(
        |((num_cpus, memory_size, max_pid, boot_time, flags), hostname)| MachineInfo {
            num_cpus,
            memory_size,
            max_pid,
            hostname,
            boot_time,
            flags,
        },
    )
}

fn interface() -> impl Strategy<Value = Interface> {
    let address = prop_oneof![
        (v4(), v4(), v4()).prop_map(|(address, netmask, broadcast)| InterfaceAddress::V4 {
            address,
            netmask,
            broadcast
        }),
        (v6(), v6(), v6()).prop_map(|(address, netmask, broadcast)| InterfaceAddress::V6 {
            address,
            netmask,
            broadcast
        }),
    ];
    (text(20), address, any::<u64>()).prop_map(|(name, address, link_speed)| Interface {
        name,
        address,
        link_speed,
    })
}

fn thread() -> impl Strategy<Value = Thread> {
    let texts = (text(16), text(30), text(30), list(), text(30), list(), list(), text(30));
    (any::<[u64; 15]>(), any::<[u32; 8]>(), any::<[bool; 4]>(), any::<[i64; 3]>(), texts).prop_map(
        |(l, i, b, s, (comm, exe, exepath, args, cwd, env, cgroups, root))| Thread {
            tid: l[0],
            pid: l[1],
            ptid: l[2],
            sid: l[3],
            vpgid: l[4],
            comm,
            exe,
            exepath,
            args,
            cwd,
            fdlimit: l[5],
            flags: i[0],
            uid: i[1],
            gid: i[2],
            vmsize_kb: i[3],
            vmrss_kb: i[4],
            vmswap_kb: i[5],
            pfmajor: l[6],
            pfminor: l[7],
            env,
            vtid: s[0],
            vpid: s[1],
            cgroups,
            root,
            pidns_init_start_ts: l[8],
            tty: i[6],
            loginuid: i[7],
            exe_writable: b[0],
            cap_inheritable: l[9],
            cap_permitted: l[10],
            cap_effective: l[11],
            exe_upper_layer: b[1],
            exe_ino: l[12],
            exe_ino_ctime: l[13],
            exe_ino_mtime: l[14],
            exe_from_memfd: b[2],
            exe_lower_layer: b[3],
            pgid: s[2],
        },
    )
}

fn fd() -> impl Strategy<Value = Fd> {
    let l4 = || (0..6u8).prop_map(|n| L4Proto::from_number(n).unwrap());
    let named = select((0..=u8::MAX).filter_map(NamedFd::from_number).collect::<Vec<_>>());
    let port = any::<u16>;
    let kind = prop_oneof![
        (any::<u32>(), text(40), any::<u32>()).prop_map(|(open_flags, path, dev)| FdKind::File {
            open_flags,
            path,
            dev
        }),
        ((v4(), port()), (v4(), port()), l4()).prop_map(|(source, destination, l4)| FdKind::Ipv4 {
            source,
            destination,
            l4
        }),
        ((v6(), port()), (v6(), port()), l4()).prop_map(|(source, destination, l4)| FdKind::Ipv6 {
            source,
            destination,
            l4
        }),
        ((v4(), port()), l4()).prop_map(|(local, l4)| FdKind::Ipv4Listening { local, l4 }),
        ((v6(), port()), l4()).prop_map(|(local, l4)| FdKind::Ipv6Listening { local, l4 }),
        (any::<u64>(), any::<u64>(), text(40)).prop_map(|(source, destination, path)| FdKind::Unix {
            source,
            destination,
            path
        }),
        (named, text(40)).prop_map(|(kind, name)| FdKind::Named { kind, name }),
    ];
    (any::<u64>(), any::<u64>(), kind).prop_map(|(fd, ino, kind)| Fd { fd, ino, kind })
}

/// A state as a reader returns it: IPv4 interfaces first, one list of descriptors per process.
pub fn state() -> impl Strategy<Value = MachineState> {
    let user = (any::<(u32, u32)>(), text(20), text(20), text(20))
        .prop_map(|((uid, gid), name, home, shell)| User { uid, gid, name, home, shell });
    let group = (any::<u32>(), text(20)).prop_map(|(gid, name)| Group { gid, name });
    let fds = vec(vec(fd(), 0..4), 0..4);
    (machine(), vec(interface(), 0..4), vec(user, 0..4), vec(group, 0..4), vec(thread(), 0..4), fds).prop_map(
        |(machine, mut interfaces, users, groups, threads, fds)| {
            interfaces.sort_by_key(|i| matches!(i.address, InterfaceAddress::V6 { .. }));
            let fds = fds.into_iter().zip(1..).map(|(fds, pid)| FdList { pid, fds }).collect();
            MachineState { machine, interfaces, users, groups, threads, fds, beyond: Vec::new() }
        },
    )
}

/// A value that owns its bytes, as a strategy needs it.
#[derive(Debug, Clone)]
pub enum Owned {
    Fixed(Value<'static>),
    Raw(&'static ParamInfo, Vec<u8>),
    Text(Vec<u8>),
    Texts(Vec<u8>),
    Bytes(Vec<u8>),
    UnixAddr(Vec<u8>),
    OtherAddr(Vec<u8>),
    UnixTuple(u64, u64, Vec<u8>),
    FdList(Vec<u8>),
    Dirents(Vec<u8>),
    BitSet(Vec<u8>),
    Received(Vec<u8>),
}

impl Owned {
    pub fn value(&self) -> Value<'_> {
        match self {
            Owned::Fixed(v) => *v,
            Owned::Raw(info, bytes) => decode(info, bytes).unwrap().value,
            Owned::Text(t) => Value::Text(t),
            Owned::Texts(t) => Value::Texts(t),
            Owned::Bytes(b) => Value::Bytes(b),
            Owned::UnixAddr(path) => Value::SockAddr(SockAddr::Unix(path)),
            Owned::OtherAddr(bytes) => Value::SockAddr(SockAddr::Other(16, bytes)),
            Owned::UnixTuple(source, destination, path) => {
                Value::SockTuple(SockTuple::Unix { source: *source, destination: *destination, path })
            }
            Owned::FdList(bytes) => Value::FdList(FdEntries::new(bytes).unwrap()),
            Owned::Dirents(bytes) => Value::Dirents(Dirents(bytes)),
            Owned::BitSet(bytes) => Value::BitSet(BitSet(bytes)),
            Owned::Received(bytes) => Value::Received(Received(bytes)),
        }
    }
}

fn value_of(info: &'static ParamInfo) -> BoxedStrategy<Owned> {
    let types: Vec<ParamType> = match info.detail {
        Detail::Dyn(entries) => entries.iter().map(|e| e.ty).collect(),
        _ => vec![info.ty],
    };
    if let Detail::Layout(table) = info.detail
        && matches!(info.ty, ParamType::STRUCT | ParamType::STRUCTS)
    {
        let abis: Vec<_> = Abi::ALL.iter().filter(|abi| Layout::of(table, **abi).is_some()).collect();
        let structure = (any::<Index>(), vec(any::<u8>(), 0..600))
            .prop_map(move |(abi, bytes)| Owned::Raw(info, [&[**abi.get(&abis) as u8][..], &bytes].concat()));
        return prop_oneof![1 => Just(Owned::Fixed(Value::Absent)), 9 => structure].boxed();
    }
    let value = any::<Index>().prop_flat_map(move |i| value_of_type(*i.get(&types)));
    prop_oneof![1 => Just(Owned::Fixed(Value::Absent)), 9 => value].boxed()
}

/// A value of a fixed-size type, from arbitrary bits.
fn fixed(ty: ParamType) -> BoxedStrategy<Owned> {
    let info: &'static ParamInfo = types().flat_map(|e| e.params).find(|p| p.ty == ty).unwrap();
    any::<[u8; 8]>().prop_map(move |bits| Owned::Raw(info, bits[..ty.size().unwrap()].to_vec())).boxed()
}

fn value_of_type(ty: ParamType) -> BoxedStrategy<Owned> {
    use ParamType::*;
    let ends4 = ((v4(), any::<u16>()), (v4(), any::<u16>()));
    let ends6 = ((v6(), any::<u16>()), (v6(), any::<u16>()));
    match ty {
        CHARBUF | FSPATH | FSRELPATH => text(300).prop_map(Owned::Text).boxed(),
        CHARBUFARRAY => list().prop_map(|l| [l, vec![0]].concat()).prop_map(Owned::Texts).boxed(),
        IPV6ADDR => v6().prop_map(|a| Owned::Fixed(Value::Ip(a.into()))).boxed(),
        SOCKADDR => prop_oneof![
            (v4(), any::<u16>())
                .prop_map(|(a, p)| Owned::Fixed(Value::SockAddr(SockAddr::Inet(a.into(), p)))),
            (v6(), any::<u16>())
                .prop_map(|(a, p)| Owned::Fixed(Value::SockAddr(SockAddr::Inet(a.into(), p)))),
            text(108).prop_map(Owned::UnixAddr),
            vec(any::<u8>(), 0..20).prop_map(Owned::OtherAddr),
        ]
        .boxed(),
        SOCKTUPLE => prop_oneof![
            ends4.prop_map(|(s, d)| Owned::Fixed(tuple((s.0.into(), s.1), (d.0.into(), d.1)))),
            ends6.prop_map(|(s, d)| Owned::Fixed(tuple((s.0.into(), s.1), (d.0.into(), d.1)))),
            (any::<u64>(), any::<u64>(), text(108)).prop_map(|(s, d, p)| Owned::UnixTuple(s, d, p)),
        ]
        .boxed(),
        FDLIST => vec(any::<[u8; 10]>(), 0..6).prop_map(|e| Owned::FdList(e.concat())).boxed(),
        BITSET => vec(any::<u8>(), 1..40).prop_map(Owned::BitSet).boxed(),
        DIRENTS => vec(any::<u8>(), 1..300).prop_map(Owned::Dirents).boxed(),
        FDENTRIES => vec(any::<u8>(), 1..300).prop_map(Owned::Received).boxed(),
        _ if ty.size().is_some() => fixed(ty),
        _ => vec(any::<u8>(), 1..300).prop_map(Owned::Bytes).boxed(),
    }
}

fn tuple(source: (IpAddr, u16), destination: (IpAddr, u16)) -> Value<'static> {
    Value::SockTuple(SockTuple::Inet { source, destination })
}

/// A value for each parameter of a row.
pub fn values(row: &'static Event) -> Vec<BoxedStrategy<Owned>> {
    row.params.iter().map(value_of).collect()
}

/// An event of any type, with values for all of its parameters.
pub fn event() -> impl Strategy<Value = (&'static Event, Vec<Owned>)> {
    let rows: Vec<&'static Event> = types().collect();
    any::<Index>().prop_flat_map(move |i| {
        let row = *i.get(&rows);
        (Just(row), row.params.iter().map(value_of).collect::<Vec<_>>())
    })
}

/// A generic event of a call whose extension the table has, or another event that it extends, and that extension: one event
/// behind the other, of the same thread and time.
pub fn extended() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let is_recorded = |row: &&'static Extension| match row.extends {
        Extends::Call(code) => is_extended(row.joined.ty, || code),
        Extends::Event(ty) => is_extended(ty, || 0),
        Extends::Nothing => false,
    };
    let rows: Vec<_> = EXTENSIONS.iter().filter(is_recorded).collect();
    (any::<Index>(), any::<u64>(), any::<u64>()).prop_flat_map(move |(i, ts, tid)| {
        let row = *i.get(&rows);
        let base = event_row(row.joined.ty).unwrap();
        let own: Vec<_> = row.own.params.iter().map(value_of).collect();
        let first: Vec<_> = base.params.iter().map(value_of).collect();
        (first, own).prop_map(move |(mut first, own)| {
            if let Extends::Call(code) = row.extends {
                first[0] = Owned::Fixed(Value::Syscall(code));
            }
            (built(base, &first, ts, tid), built(&row.own, &own, ts, tid))
        })
    })
}

/// Encodes events of one thread with times that differ, so that none is by chance the extension of the one before.
pub fn apart(events: &[(&'static Event, Vec<Owned>)], tid: u64) -> Vec<Vec<u8>> {
    events.iter().zip(1..).map(|((row, values), ts)| built(row, values, ts, tid)).collect()
}

pub fn built(row: &'static Event, values: &[Owned], ts: u64, tid: u64) -> Vec<u8> {
    let start = EventBuilder::new(row, ts, tid);
    values.iter().fold(start, |b, v| b.param(v.value()).unwrap()).build().unwrap()
}

pub fn capture(state: &MachineState, events: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    write_state(&mut out, state).unwrap();
    for (cpu, event) in events.iter().enumerate() {
        frame_event(&mut out, cpu as u16, event);
    }
    out
}

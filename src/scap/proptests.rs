//! Property tests: captures are read back as they were written, and no input makes the reader panic.

use std::{
    io::{Cursor, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use flate2::{Compression, write::GzEncoder};
use proptest::{
    collection::vec,
    option,
    prelude::*,
    sample::{Index, select},
};

use super::{
    state::{
        Fd, FdKind, FdList, Group, Interface, InterfaceAddress, L4Proto, MachineInfo, NamedFd, Thread, User,
    },
    *,
};
use crate::events::{Detail, EVENTS, Event, ParamInfo, ParamType};

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
pub(crate) fn state() -> impl Strategy<Value = MachineState> {
    let user = (any::<(u32, u32)>(), text(20), text(20), text(20))
        .prop_map(|((uid, gid), name, home, shell)| User { uid, gid, name, home, shell });
    let group = (any::<u32>(), text(20)).prop_map(|(gid, name)| Group { gid, name });
    let fds = vec(vec(fd(), 0..4), 0..4);
    (machine(), vec(interface(), 0..4), vec(user, 0..4), vec(group, 0..4), vec(thread(), 0..4), fds).prop_map(
        |(machine, mut interfaces, users, groups, threads, fds)| {
            interfaces.sort_by_key(|i| matches!(i.address, InterfaceAddress::V6 { .. }));
            let fds = fds.into_iter().zip(1..).map(|(fds, pid)| FdList { pid, fds }).collect();
            MachineState { machine, interfaces, users, groups, threads, fds }
        },
    )
}

/// A value that owns its bytes, as a strategy needs it.
#[derive(Debug, Clone)]
pub(crate) enum Owned {
    Fixed(Value<'static>),
    Raw(&'static ParamInfo, Vec<u8>),
    Text(Vec<u8>),
    Texts(Vec<u8>),
    Bytes(Vec<u8>),
    UnixAddr(Vec<u8>),
    OtherAddr(Vec<u8>),
    UnixTuple(u64, u64, Vec<u8>),
    FdList(Vec<u8>),
}

impl Owned {
    fn value(&self) -> Value<'_> {
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
        }
    }
}

fn value_of(info: &'static ParamInfo) -> BoxedStrategy<Owned> {
    let types: Vec<ParamType> = match info.detail {
        Detail::Dyn(entries) => entries.iter().map(|e| e.ty).collect(),
        _ => vec![info.ty],
    };
    let value = any::<Index>().prop_flat_map(move |i| value_of_type(*i.get(&types)));
    prop_oneof![1 => Just(Owned::Fixed(Value::Absent)), 9 => value].boxed()
}

/// A value of a fixed-size type, from arbitrary bits.
fn fixed(ty: ParamType) -> BoxedStrategy<Owned> {
    let info: &'static ParamInfo = EVENTS.iter().flat_map(|e| e.params).find(|p| p.ty == ty).unwrap();
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
        _ if ty.size().is_some() => fixed(ty),
        _ => vec(any::<u8>(), 1..300).prop_map(Owned::Bytes).boxed(),
    }
}

fn tuple(source: (IpAddr, u16), destination: (IpAddr, u16)) -> Value<'static> {
    Value::SockTuple(SockTuple::Inet { source, destination })
}

/// An event of any type, with values for all of its parameters.
pub(crate) fn event() -> impl Strategy<Value = (&'static Event, Vec<Owned>)> {
    any::<Index>().prop_flat_map(|i| {
        let row = i.get(EVENTS);
        (Just(row), row.params.iter().map(value_of).collect::<Vec<_>>())
    })
}

pub(crate) fn built(row: &'static Event, values: &[Owned], ts: u64, tid: u64) -> Vec<u8> {
    let start = EventBuilder::new(row, ts, tid);
    values.iter().fold(start, |b, v| b.param(v.value()).unwrap()).build().unwrap()
}

pub(crate) fn capture(state: &MachineState, events: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    write_state(&mut out, state).unwrap();
    for (cpu, event) in events.iter().enumerate() {
        frame_event(&mut out, cpu as u16, event);
    }
    out
}

fn gzip(members: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for member in members {
        let mut encoder = GzEncoder::new(&mut out, Compression::fast());
        encoder.write_all(member).unwrap();
        encoder.finish().unwrap();
    }
    out
}

/// Reads as much as possible; returns the events, the state, and the final error.
fn read_all(input: impl Read) -> (Vec<Vec<u8>>, MachineState, Option<ReadError>) {
    let mut reader = match Reader::new(input) {
        Ok(reader) => reader,
        Err(e) => return (Vec::new(), MachineState::default(), Some(e)),
    };
    let mut events = Vec::new();
    let error = loop {
        match reader.next_event() {
            Ok(Some(e)) => {
                // Decoding must not panic either, whatever the values are.
                e.event.values().for_each(|(_, v)| drop(format!("{v:?}")));
                events.push(e.event.bytes().to_vec());
            }
            Ok(None) => break None,
            Err(e) => break Some(e),
        }
    };
    assert!(matches!(reader.next_event(), Ok(None)), "nothing follows the end");
    (events, reader.state().clone(), error)
}

/// A reader that returns one byte at a time, like a slow pipe.
struct Trickle<R>(R);

impl<R: Read> Read for Trickle<R> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let len = buf.len().min(1);
        self.0.read(&mut buf[..len])
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_value_is_decoded_as_it_was_encoded((row, values) in event(), ts: u64, tid: u64) {
        let bytes = built(row, &values, ts, tid);
        let view = EventView::parse(&bytes, false).unwrap();
        prop_assert_eq!((view.ts(), view.tid(), view.ty(), view.bytes()), (ts, tid, row.ty, &bytes[..]));
        prop_assert_eq!(view.params().count(), row.params.len());
        for ((info, decoded), value) in view.values().zip(&values) {
            // Compare their text: a floating point number may be NaN.
            prop_assert_eq!(format!("{:?}", decoded.unwrap().value), format!("{:?}", value.value()), "{}", info.name);
        }
    }

    #[test]
    fn a_capture_is_read_as_it_was_written(state in state(), events in vec(event(), 1..5), split: Index) {
        let events: Vec<_> = events.iter().map(|(row, v)| built(row, v, 1, 2)).collect();
        let file = capture(&state, &events);
        let (head, tail) = file.split_at(split.index(file.len()));
        for got in [
            read_all(&file[..]),
            read_all(Trickle(&file[..])),
            read_all(&gzip(&[&file])[..]),
            read_all(&gzip(&[head, tail])[..]),
        ] {
            prop_assert!(got.2.is_none(), "{:?}", got.2);
            prop_assert_eq!(&got.0, &events);
            prop_assert_eq!(&got.1, &state);
        }
    }

    #[test]
    fn all_before_a_cut_is_read(state in state(), events in vec(event(), 1..5), cut: Index) {
        let events: Vec<_> = events.iter().map(|(row, v)| built(row, v, 1, 2)).collect();
        let file = capture(&state, &events);
        let cut = cut.index(file.len());
        let (got, _, error) = read_all(&file[..cut]);
        let mut end = file.len() - events.iter().map(|e| event_block_len(e.len())).sum::<usize>();
        let mut whole = 0;
        while whole < events.len() && end + event_block_len(events[whole].len()) <= cut {
            end += event_block_len(events[whole].len());
            whole += 1;
        }
        prop_assert_eq!(&got[..], &events[..whole]);
        match error {
            Some(ReadError::Truncated { offset, .. }) => prop_assert!(offset as usize <= cut),
            Some(other) => prop_assert!(false, "{other:?}"),
            // A cut between two blocks cannot be detected.
            None => prop_assert!(cut >= 28),
        }
        let (got, _, error) = read_all(&gzip(&[&file])[..cut.min(20)]);
        prop_assert!(got.is_empty() && error.is_some());
    }

    #[test]
    fn a_damaged_capture_is_no_panic(
        state in state(),
        events in vec(event(), 1..5),
        damage in vec((any::<Index>(), any::<u8>()), 1..4),
        compressed in option::of(Just(())),
    ) {
        let events: Vec<_> = events.iter().map(|(row, v)| built(row, v, 1, 2)).collect();
        let mut file = capture(&state, &events);
        if compressed.is_some() {
            file = gzip(&[&file]);
        }
        for (at, byte) in damage {
            let at = at.index(file.len());
            file[at] ^= byte;
        }
        read_all(&file[..]);
    }

    #[test]
    fn any_bytes_are_no_panic(
        blocks in vec((any::<Index>(), vec(any::<u8>(), 0..200)), 0..6),
        noise in vec(any::<u8>(), 0..64),
    ) {
        const TYPES: [u32; 26] = [
            0x201, 0x202, 0x203, 0x204, 0x205, 0x206, 0x207, 0x208, 0x209, 0x210, 0x211, 0x212, 0x213, 0x214,
            0x215, 0x216, 0x217, 0x218, 0x219, 0x220, 0x221, 0x222, 0x0A0D_0D0A, 0x8010_ABCD, 1, 0x1234,
        ];
        read_all(&noise[..]);
        let mut file = capture(&MachineState::default(), &[]);
        for (ty, body) in &blocks {
            block::frame(&mut file, BlockType(*ty.get(&TYPES)), |out| out.extend_from_slice(body));
        }
        file.extend_from_slice(&noise);
        read_all(Cursor::new(&file));
    }

    #[test]
    fn any_bytes_are_an_event_or_an_error(mut bytes in vec(any::<u8>(), 0..200), ty in 0..470u16, large: bool) {
        if let Some(header) = bytes.get_mut(16..26) {
            // Make the header likely to pass the first checks.
            let [low, high] = ty.to_le_bytes();
            let (len, nparams) = (26 + low % 64, header[6] % 4);
            header.copy_from_slice(&[len, 0, 0, 0, low, high, nparams, 0, 0, 0]);
        }
        if let Ok(view) = EventView::parse(&bytes, large) {
            view.values().for_each(|(_, v)| drop(format!("{v:?}")));
            prop_assert!(view.bytes().len() <= bytes.len());
        }
    }
}

//! What bytes mean, type by type, and which bytes mean nothing.

use super::*;
use ParamType::*;

fn is(ty: ParamType, bytes: &[u8], value: Value<'_>) {
    assert_eq!(decode_as(ty, bytes), Some(value), "{}", ty.name());
    let mut out = vec![0xee];
    assert!(value.encode_as(ty, &mut out), "{}", ty.name());
    assert_eq!(out[1..], *bytes, "{}", ty.name());
}

#[test]
fn integers_keep_their_signs() {
    for (ty, bytes, value) in [
        (INT8, &(-2_i8).to_ne_bytes()[..], -2),
        (INT16, &(-300_i16).to_ne_bytes(), -300),
        (INT32, &(-70_000_i32).to_ne_bytes(), -70_000),
        (INT64, &(-5_000_000_000_i64).to_ne_bytes(), -5_000_000_000),
    ] {
        is(ty, bytes, Value::Int(value));
    }
    for (ty, bytes, value) in [
        (UINT8, &0xfe_u8.to_ne_bytes()[..], 0xfe),
        (UINT16, &0xfffd_u16.to_ne_bytes(), 0xfffd),
        (UINT32, &0xffff_fffc_u32.to_ne_bytes(), 0xffff_fffc),
        (UINT64, &u64::MAX.to_ne_bytes(), u64::MAX),
    ] {
        is(ty, bytes, Value::Uint(value));
    }
}

#[test]
fn numbers_have_the_meaning_of_their_type() {
    is(ERRNO, &(-2_i64).to_ne_bytes(), Value::Errno(-2));
    is(FD, &(-100_i64).to_ne_bytes(), Value::Fd(-100));
    is(FD32, &(-100_i32).to_ne_bytes(), Value::Fd(-100));
    is(PID, &(-1_i64).to_ne_bytes(), Value::Pid(-1));
    is(PID32, &(-1_i32).to_ne_bytes(), Value::Pid(-1));
    is(SYSCALLID, &0xfff0_u16.to_ne_bytes(), Value::Syscall(0xfff0));
    is(SIGTYPE, &[0xf0], Value::Signal(0xf0));
    is(PORT, &0xfff1_u16.to_ne_bytes(), Value::Port(0xfff1));
    is(L4PROTO, &[2], Value::L4Proto(2));
    is(SOCKFAMILY, &[10], Value::SockFamily(10));
    is(BOOL, &1_u32.to_ne_bytes(), Value::Bool(true));
    is(BOOL, &0_u32.to_ne_bytes(), Value::Bool(false));
    is(FLAGS8, &[0xf2], Value::Flags(0xf2));
    is(FLAGS16, &0xfff3_u16.to_ne_bytes(), Value::Flags(0xfff3));
    is(FLAGS32, &0xffff_fff4_u32.to_ne_bytes(), Value::Flags(0xffff_fff4));
    is(ENUMFLAGS8, &[0xf5], Value::Enum(0xf5));
    is(ENUMFLAGS16, &0xfff6_u16.to_ne_bytes(), Value::Enum(0xfff6));
    is(ENUMFLAGS32, &0xffff_fff7_u32.to_ne_bytes(), Value::Enum(0xffff_fff7));
    is(MODE, &0o644_u32.to_ne_bytes(), Value::Mode(0o644));
    is(UID, &u32::MAX.to_ne_bytes(), Value::Uid(u32::MAX));
    is(GID, &u32::MAX.to_ne_bytes(), Value::Gid(u32::MAX));
    is(SIGSET, &0x8000_0001_u32.to_ne_bytes(), Value::SigSet(0x8000_0001));
    is(DOUBLE, &(-1.5_f64).to_ne_bytes(), Value::Double(-1.5));
    is(RELTIME, &u64::MAX.to_ne_bytes(), Value::RelTime(u64::MAX));
    is(ABSTIME, &u64::MAX.to_ne_bytes(), Value::AbsTime(u64::MAX));
}

#[test]
fn a_number_that_is_none_stays_what_it_is() {
    let nan = f64::from_bits(0x7ff8_0000_0000_0001);
    let mut out = Vec::new();
    assert!(Value::Double(nan).encode_as(DOUBLE, &mut out));
    assert_eq!(out, nan.to_bits().to_ne_bytes());
    assert!(!Value::Double(1.0).same(&Value::Double(2.0)) && !Value::Uint(1).same(&Value::Uint(2)));
}

#[test]
fn addresses_are_in_network_order() {
    let (v4, v6) = ([127, 0, 0, 1], [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
    let (four, six) = (IpAddr::from(v4), IpAddr::from(v6));
    is(IPV4ADDR, &v4, Value::Ip(four));
    is(IPV6ADDR, &v6, Value::Ip(six));
    is(IPADDR, &v4, Value::Ip(four));
    is(IPADDR, &v6, Value::Ip(six));
    assert_eq!(decode_as(IPV6ADDR, &v4), None);
    assert_eq!(decode_as(IPADDR, &v6[..15]), None);

    // Ports lie in the machine's order.
    let port = 8080_u16.to_ne_bytes();
    is(SOCKADDR, &[&[2][..], &v4, &port].concat(), Value::SockAddr(SockAddr::Inet(four, 8080)));
    is(SOCKADDR, &[&[10][..], &v6, &port].concat(), Value::SockAddr(SockAddr::Inet(six, 8080)));
    is(SOCKADDR, b"\x01/run/s\0", Value::SockAddr(SockAddr::Unix(b"/run/s")));
    is(SOCKADDR, b"\x10rest", Value::SockAddr(SockAddr::Other(16, b"rest")));
    let ends = [&v4[..], &80_u16.to_ne_bytes(), &[10, 0, 0, 9], &port].concat();
    let (source, destination) = ((four, 80), ([10, 0, 0, 9].into(), 8080));
    is(SOCKTUPLE, &[&[2][..], &ends].concat(), Value::SockTuple(SockTuple::Inet { source, destination }));
    let unix = [&[1][..], &7_u64.to_ne_bytes(), &8_u64.to_ne_bytes(), b"/s\0"].concat();
    is(SOCKTUPLE, &unix, Value::SockTuple(SockTuple::Unix { source: 7, destination: 8, path: b"/s" }));
    is(SOCKTUPLE, b"\x10rest", Value::SockTuple(SockTuple::Other(16, b"rest")));
    // A byte too many or too few.
    for bad in [&[&[2][..], &v4, &port, &[0]].concat()[..], &[&[2][..], &v4, &[0]].concat(), &[]] {
        assert_eq!(decode_as(SOCKADDR, bad), None, "{bad:?}");
    }
    assert_eq!(decode_as(SOCKTUPLE, &[&[2][..], &ends, &[0]].concat()), None);
    assert_eq!(decode_as(SOCKTUPLE, &[&[2][..], &ends[..11]].concat()), None);
    assert_eq!(decode_as(SOCKTUPLE, &unix[..16]), None);
    let mixed = SockTuple::Inet { source: (six, 1), destination: (four, 2) };
    assert!(!Value::SockTuple(mixed).encode_as(SOCKTUPLE, &mut Vec::new()));
}

#[test]
fn texts_and_lists_are_as_they_lie() {
    for ty in [CHARBUF, FSPATH, FSRELPATH] {
        is(ty, b"a text\0", Value::Text(b"a text"));
        assert_eq!(decode_as(ty, b"cut off"), Some(Value::Text(b"cut off")));
    }
    is(CHARBUFARRAY, b"a\0b\0", Value::Texts(b"a\0b\0"));
    is(BYTEBUF, b"\0\xff", Value::Bytes(b"\0\xff"));
    let entries =
        [&3_i64.to_ne_bytes()[..], &1_u16.to_ne_bytes(), &(-1_i64).to_ne_bytes(), &4_u16.to_ne_bytes()];
    let entries = entries.concat();
    let list = FdEntries::new(&entries).unwrap();
    assert_eq!(list.iter().collect::<Vec<_>>(), [(3, 1), (-1, 4)]);
    is(FDLIST, &[&2_u16.to_ne_bytes()[..], &entries].concat(), Value::FdList(list));
    assert_eq!(FdEntries::new(&entries[..19]), None);
    for count in [1_u16, 3] {
        assert_eq!(decode_as(FDLIST, &[&count.to_ne_bytes()[..], &entries].concat()), None);
    }
}

#[test]
fn a_length_that_is_not_the_types_is_refused() {
    for ty in [INT8, UINT16, ERRNO, FD32, BOOL, IPV4ADDR, DOUBLE] {
        let size = ty.size().unwrap();
        for len in [3, 5, 6, 7, size + 1, 2 * size] {
            assert_eq!(decode_as(ty, &vec![0; len]), None, "{} of {len} bytes", ty.name());
        }
    }
    assert_eq!(decode_as(IPV4ADDR, &[1, 2]), None);
    assert_eq!(decode_as(DOUBLE, &[0; 4]), None);
}

#[test]
fn an_integer_of_fewer_bytes_is_extended() {
    assert_eq!(decode_as(INT64, &[0xfe]), Some(Value::Int(-2)));
    assert_eq!(decode_as(ERRNO, &(-300_i16).to_ne_bytes()), Some(Value::Errno(-300)));
    assert_eq!(decode_as(FD, &70_000_i32.to_ne_bytes()), Some(Value::Fd(70_000)));
    assert_eq!(decode_as(UINT64, &[0xfe]), Some(Value::Uint(0xfe)));
    assert_eq!(decode_as(UID, &0xfffe_u16.to_ne_bytes()), Some(Value::Uid(0xfffe)));
    assert_eq!(decode_as(FLAGS64, &u32::MAX.to_ne_bytes()), Some(Value::Flags64(u32::MAX.into())));
}

#[test]
fn a_value_out_of_a_types_range_is_not_written() {
    for (value, ty) in [
        (Value::Int(128), INT8),
        (Value::Int(-40_000), INT16),
        (Value::Uint(256), UINT8),
        (Value::Uint(1 << 32), UINT32),
        (Value::Fd(1 << 31), FD32),
        (Value::Flags(0x100), FLAGS8),
        (Value::Uint(1), INT64),
        (Value::Text(b"1"), UINT64),
    ] {
        assert!(!value.encode_as(ty, &mut Vec::new()), "{value:?} as {}", ty.name());
    }
}

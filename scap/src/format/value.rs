//! Decodes and encodes parameter values by their type in the event table.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use thiserror::Error;

use super::{
    fields::Fields,
    lists::Received,
    structure::{BitSet, Dirents, Structure, Structures},
};
use crate::events::{Detail, ParamInfo, ParamType, PrintFormat};

/// The address families with an encoding of their own.
pub(crate) mod family {
    pub const UNIX: u8 = 1;
    pub const INET: u8 = 2;
    pub const INET6: u8 = 10;
}

/// A parameter's value. Texts are bytes, as in the kernel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// No value.
    Absent,
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    Uint(u64),
    /// A result: a negative errno, or the return value.
    Errno(i64),
    /// A file descriptor, or a negative errno.
    Fd(i64),
    /// A process or thread id.
    Pid(i64),
    /// The stable code of a system call.
    Syscall(u16),
    /// A signal number.
    Signal(u8),
    /// A port.
    Port(u16),
    /// A layer 4 protocol, in the format's numbers.
    L4Proto(u8),
    /// An address family.
    SockFamily(u8),
    /// A boolean.
    Bool(bool),
    /// A set of flags from the parameter's table.
    Flags(u32),
    /// A value from the parameter's table.
    Enum(u32),
    /// A file's mode.
    Mode(u32),
    /// A user id.
    Uid(u32),
    /// A group id.
    Gid(u32),
    /// A set of signals; signal 1 is the lowest bit.
    SigSet(u32),
    /// A floating point number.
    Double(f64),
    /// A time span in ns.
    RelTime(u64),
    /// A point in time in ns since the epoch.
    AbsTime(u64),
    /// An IP address.
    Ip(IpAddr),
    /// A text or path, without the terminating NUL.
    Text(&'a [u8]),
    /// Data.
    Bytes(&'a [u8]),
    /// Texts, each with its terminating NUL.
    Texts(&'a [u8]),
    /// A socket's address.
    SockAddr(SockAddr<'a>),
    /// Both endpoints of a socket.
    SockTuple(SockTuple<'a>),
    /// The descriptors that a call waits for.
    FdList(FdEntries<'a>),
    /// A set of flags of 64 bits from the parameter's table.
    Flags64(u64),
    /// A set of 64 signals; signal 1 is the lowest bit.
    SigSet64(u64),
    /// A structure.
    Struct(Structure<'a>),
    /// Several structures.
    Structs(Structures<'a>),
    /// Entries of a directory.
    Dirents(Dirents<'a>),
    /// A set of small numbers.
    BitSet(BitSet<'a>),
    /// Descriptors, and what they are.
    Received(Received<'a>),
}

/// A socket's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SockAddr<'a> {
    /// IPv4 or IPv6: address and port.
    Inet(IpAddr, u16),
    /// A unix socket's path.
    Unix(&'a [u8]),
    /// Another family: its number and its bytes.
    Other(u8, &'a [u8]),
}

/// Both endpoints of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SockTuple<'a> {
    /// IPv4 or IPv6, the same for both endpoints.
    Inet {
        /// The client's address and port.
        source: (IpAddr, u16),
        /// The server's address and port.
        destination: (IpAddr, u16),
    },
    /// A unix socket.
    Unix {
        /// The kernel's address of the socket.
        source: u64,
        /// The kernel's address of its peer.
        destination: u64,
        /// The path that it is bound to.
        path: &'a [u8],
    },
    /// Another family: its number and its bytes.
    Other(u8, &'a [u8]),
}

/// Descriptors with poll's flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FdEntries<'a>(&'a [u8]);

/// The size of an entry in bytes: a 64-bit descriptor and 16 bits of flags.
const FD_ENTRY: usize = 8 + 2;

impl<'a> FdEntries<'a> {
    /// Wraps entries in the format of an event: descriptor (i64) and flags (u16). `None` if the last one is incomplete.
    pub fn new(bytes: &'a [u8]) -> Option<FdEntries<'a>> {
        bytes.len().is_multiple_of(FD_ENTRY).then_some(FdEntries(bytes))
    }

    /// Iterates over the descriptors with their `poll_flags`.
    pub fn iter(&self) -> impl Iterator<Item = (i64, u16)> + use<'a> {
        let mut f = Fields::new(self.0);
        std::iter::from_fn(move || Some((f.i64()?, f.u16()?)))
    }
}

/// A value with its actual type and print format, which for a dynamic parameter depend on the value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decoded<'a> {
    /// The value's type.
    pub ty: ParamType,
    /// Its print format.
    pub format: PrintFormat,
    /// The value.
    pub value: Value<'a>,
}

/// Why a parameter's bytes are not a valid value of its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ValueError {
    /// The length does not fit the type.
    #[error("{param}: {len} bytes are not a valid {}", ty.name())]
    Length {
        /// The parameter.
        param: &'static str,
        /// Its type.
        ty: ParamType,
        /// The number of bytes.
        len: usize,
    },
    /// A dynamic parameter's first byte is not the index of an entry in its list.
    #[error("{param}: unknown dynamic type {index}")]
    Dyn {
        /// The parameter.
        param: &'static str,
        /// The byte.
        index: u8,
    },
}

/// Decodes a parameter.
///
/// # Errors
/// If the bytes are not a valid value of the parameter's type.
#[inline]
pub fn decode<'a>(info: &'static ParamInfo, bytes: &'a [u8]) -> Result<Decoded<'a>, ValueError> {
    let (mut ty, mut format, mut bytes) = (info.ty, info.format, bytes);
    if bytes.is_empty() {
        return Ok(Decoded { ty, format, value: Value::Absent });
    }
    if let (Detail::Dyn(entries), Some((&index, inner))) = (info.detail, bytes.split_first()) {
        let entry =
            entries.iter().find(|e| e.index == index).ok_or(ValueError::Dyn { param: info.name, index })?;
        (ty, format, bytes) = (entry.ty, entry.format, inner);
    }
    let value = match info.detail {
        Detail::Layout(table) if ty == ParamType::STRUCT => Structure::of(table, bytes).map(Value::Struct),
        Detail::Layout(table) if ty == ParamType::STRUCTS => Structures::of(table, bytes).map(Value::Structs),
        _ => decode_as(ty, bytes),
    };
    match value {
        Some(value) => Ok(Decoded { ty, format, value }),
        None => Err(ValueError::Length { param: info.name, ty, len: bytes.len() }),
    }
}

fn decode_as(ty: ParamType, bytes: &[u8]) -> Option<Value<'_>> {
    use ParamType::*;
    if ty.size().is_some() {
        return decode_fixed(ty, integer(ty, bytes)?);
    }
    Some(match ty {
        CHARBUF | FSPATH | FSRELPATH => Value::Text(bytes.strip_suffix(b"\0").unwrap_or(bytes)),
        CHARBUFARRAY => Value::Texts(bytes),
        SOCKADDR => Value::SockAddr(sockaddr(bytes)?),
        SOCKTUPLE => Value::SockTuple(socktuple(bytes)?),
        FDLIST => Value::FdList(fd_entries(bytes)?),
        IPV6ADDR => Value::Ip(ip(bytes).filter(IpAddr::is_ipv6)?),
        IPADDR => Value::Ip(ip(bytes)?),
        DIRENTS => Value::Dirents(Dirents(bytes)),
        BITSET => Value::BitSet(BitSet(bytes)),
        FDENTRIES => Value::Received(Received(bytes)),
        _ => Value::Bytes(bytes),
    })
}

/// Returns a fixed-size value as 64 bits, sign-extended if signed. Integers of extension events have as few bytes as they need.
pub(crate) fn integer(ty: ParamType, bytes: &[u8]) -> Option<u64> {
    let size = ty.size()?;
    let is_whole = bytes.len() == size;
    if !is_whole && (bytes.len() > size || matches!(ty, ParamType::DOUBLE | ParamType::IPV4ADDR)) {
        return None;
    }
    let signed = ty.is_signed();
    Some(match bytes.len() {
        1 if signed => i64::from(bytes[0] as i8) as u64,
        1 => bytes[0].into(),
        2 if signed => i64::from(i16::from_ne_bytes(bytes.try_into().ok()?)) as u64,
        2 => u16::from_ne_bytes(bytes.try_into().ok()?).into(),
        4 if signed => i64::from(i32::from_ne_bytes(bytes.try_into().ok()?)) as u64,
        4 => u32::from_ne_bytes(bytes.try_into().ok()?).into(),
        _ => u64::from_ne_bytes(bytes.try_into().ok()?),
    })
}

fn decode_fixed<'a>(ty: ParamType, v: u64) -> Option<Value<'a>> {
    use ParamType::*;
    Some(match ty {
        INT8 | INT16 | INT32 | INT64 => Value::Int(v as i64),
        ERRNO => Value::Errno(v as i64),
        FD | FD32 => Value::Fd(v as i64),
        PID | PID32 => Value::Pid(v as i64),
        SYSCALLID => Value::Syscall(v as u16),
        SIGTYPE => Value::Signal(v as u8),
        PORT => Value::Port(v as u16),
        L4PROTO => Value::L4Proto(v as u8),
        SOCKFAMILY => Value::SockFamily(v as u8),
        BOOL => Value::Bool(v != 0),
        FLAGS8 | FLAGS16 | FLAGS32 => Value::Flags(v as u32),
        ENUMFLAGS8 | ENUMFLAGS16 | ENUMFLAGS32 => Value::Enum(v as u32),
        MODE => Value::Mode(v as u32),
        UID => Value::Uid(v as u32),
        GID => Value::Gid(v as u32),
        SIGSET => Value::SigSet(v as u32),
        FLAGS64 => Value::Flags64(v),
        SIGSET64 => Value::SigSet64(v),
        DOUBLE => Value::Double(f64::from_bits(v)),
        RELTIME => Value::RelTime(v),
        ABSTIME => Value::AbsTime(v),
        // The bytes are in network order.
        IPV4ADDR => Value::Ip(Ipv4Addr::from((v as u32).to_ne_bytes()).into()),
        _ => Value::Uint(v),
    })
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(|a| Ipv4Addr::from(a).into()),
        16 => <[u8; 16]>::try_from(bytes).ok().map(|a| Ipv6Addr::from(a).into()),
        _ => None,
    }
}

fn end(f: &mut Fields<'_>, address_len: usize) -> Option<(IpAddr, u16)> {
    Some((ip(f.bytes(address_len)?)?, f.u16()?))
}

fn sockaddr(bytes: &[u8]) -> Option<SockAddr<'_>> {
    let mut f = Fields::new(bytes);
    let address = match f.u8()? {
        family::INET => end(&mut f, 4).map(|(a, p)| SockAddr::Inet(a, p))?,
        family::INET6 => end(&mut f, 16).map(|(a, p)| SockAddr::Inet(a, p))?,
        family::UNIX => return Some(SockAddr::Unix(unix_path(f.rest()))),
        other => return Some(SockAddr::Other(other, f.rest())),
    };
    (f.left() == 0).then_some(address)
}

fn socktuple(bytes: &[u8]) -> Option<SockTuple<'_>> {
    let mut f = Fields::new(bytes);
    let len = match f.u8()? {
        family::INET => 4,
        family::INET6 => 16,
        family::UNIX => {
            let (source, destination) = (f.u64()?, f.u64()?);
            return Some(SockTuple::Unix { source, destination, path: unix_path(f.rest()) });
        }
        other => return Some(SockTuple::Other(other, f.rest())),
    };
    let (source, destination) = (end(&mut f, len)?, end(&mut f, len)?);
    (f.left() == 0).then_some(SockTuple::Inet { source, destination })
}

fn unix_path(bytes: &[u8]) -> &[u8] {
    bytes.strip_suffix(b"\0").unwrap_or(bytes)
}

fn fd_entries(bytes: &[u8]) -> Option<FdEntries<'_>> {
    let mut f = Fields::new(bytes);
    let count = usize::from(f.u16()?);
    (f.left() == count * FD_ENTRY).then(|| FdEntries(f.rest()))
}

impl Value<'_> {
    /// Appends the value in a parameter's encoding. Returns `false`, and appends nothing, if it does not fit the type.
    pub(super) fn encode(&self, info: &ParamInfo, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        let done = match info.detail {
            _ if *self == Value::Absent => true,
            Detail::Dyn(entries) => entries.iter().any(|entry| {
                out.truncate(start);
                out.push(entry.index);
                self.encode_as(entry.ty, out)
            }),
            _ => self.encode_as(info.ty, out),
        };
        if !done {
            out.truncate(start);
        }
        done
    }

    fn encode_as(&self, ty: ParamType, out: &mut Vec<u8>) -> bool {
        use ParamType::*;
        match (*self, ty) {
            (Value::Text(text), CHARBUF | FSPATH | FSRELPATH) => {
                out.extend_from_slice(text);
                out.push(0);
            }
            (Value::Texts(bytes), CHARBUFARRAY) | (Value::Bytes(bytes), BYTEBUF) => {
                out.extend_from_slice(bytes)
            }
            (
                Value::Bytes(bytes),
                CHARBUF_PAIR_ARRAY | IPV4NET | IPV6NET | IPNET | IOVEC | STRUCT | STRUCTS,
            )
            | (Value::Dirents(Dirents(bytes)), DIRENTS)
            | (Value::Received(Received(bytes)), FDENTRIES)
            | (Value::BitSet(BitSet(bytes)), BITSET) => out.extend_from_slice(bytes),
            (Value::Struct(one), STRUCT) => one.encode(out),
            (Value::Structs(all), STRUCTS) => all.encode(out),
            (Value::SockAddr(address), SOCKADDR) => address.encode(out),
            (Value::SockTuple(tuple), SOCKTUPLE) => return tuple.encode(out),
            (Value::FdList(entries), FDLIST) => {
                out.extend_from_slice(&((entries.0.len() / FD_ENTRY) as u16).to_ne_bytes());
                out.extend_from_slice(entries.0);
            }
            (Value::Ip(IpAddr::V6(a)), IPV6ADDR | IPADDR) => out.extend_from_slice(&a.octets()),
            (Value::Ip(IpAddr::V4(a)), IPADDR) => out.extend_from_slice(&a.octets()),
            _ => return self.encode_fixed(ty, out),
        }
        true
    }

    fn encode_fixed(&self, ty: ParamType, out: &mut Vec<u8>) -> bool {
        let (Some(size), Some(v)) = (ty.size(), self.as_u64()) else { return false };
        match size {
            1 => out.extend_from_slice(&(v as u8).to_ne_bytes()),
            2 => out.extend_from_slice(&(v as u16).to_ne_bytes()),
            4 => out.extend_from_slice(&(v as u32).to_ne_bytes()),
            _ => out.extend_from_slice(&v.to_ne_bytes()),
        }
        // A value of another type or out of range decodes to a different value.
        let written = &out[out.len() - size..];
        decode_as(ty, written).is_some_and(|back| back.same(self))
    }

    /// Returns a fixed-size value as 64 bits, sign-extended if signed; otherwise `None`.
    fn as_u64(&self) -> Option<u64> {
        Some(match *self {
            Value::Int(v) | Value::Errno(v) | Value::Fd(v) | Value::Pid(v) => v as u64,
            Value::Uint(v) | Value::RelTime(v) | Value::AbsTime(v) => v,
            Value::Flags64(v) | Value::SigSet64(v) => v,
            Value::Syscall(v) | Value::Port(v) => v.into(),
            Value::Signal(v) | Value::L4Proto(v) | Value::SockFamily(v) => v.into(),
            Value::Bool(v) => v.into(),
            Value::Flags(v) | Value::Enum(v) | Value::Mode(v) => v.into(),
            Value::Uid(v) | Value::Gid(v) | Value::SigSet(v) => v.into(),
            Value::Double(v) => v.to_bits(),
            Value::Ip(IpAddr::V4(a)) => u32::from_ne_bytes(a.octets()).into(),
            _ => return None,
        })
    }

    /// Compares two values; a NaN is equal to itself.
    fn same(&self, other: &Value<'_>) -> bool {
        match (self, other) {
            (Value::Double(a), Value::Double(b)) => a.to_bits() == b.to_bits(),
            _ => self == other,
        }
    }
}

impl SockAddr<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            SockAddr::Inet(address, port) => {
                out.push(if address.is_ipv4() { family::INET } else { family::INET6 });
                put_end(out, (address, port));
            }
            SockAddr::Unix(path) => {
                out.push(family::UNIX);
                out.extend_from_slice(path);
                out.push(0);
            }
            SockAddr::Other(family, bytes) => {
                out.push(family);
                out.extend_from_slice(bytes);
            }
        }
    }
}

impl SockTuple<'_> {
    /// Appends the tuple; returns `false` if one endpoint is IPv4 and the other IPv6.
    fn encode(&self, out: &mut Vec<u8>) -> bool {
        match *self {
            SockTuple::Inet { source, destination } => {
                if source.0.is_ipv4() != destination.0.is_ipv4() {
                    return false;
                }
                out.push(if source.0.is_ipv4() { family::INET } else { family::INET6 });
                put_end(out, source);
                put_end(out, destination);
            }
            SockTuple::Unix { source, destination, path } => {
                out.push(family::UNIX);
                out.extend_from_slice(&source.to_ne_bytes());
                out.extend_from_slice(&destination.to_ne_bytes());
                out.extend_from_slice(path);
                out.push(0);
            }
            SockTuple::Other(family, bytes) => {
                out.push(family);
                out.extend_from_slice(bytes);
            }
        }
        true
    }
}

fn put_end(out: &mut Vec<u8>, (address, port): (IpAddr, u16)) {
    match address {
        IpAddr::V4(a) => out.extend_from_slice(&a.octets()),
        IpAddr::V6(a) => out.extend_from_slice(&a.octets()),
    }
    out.extend_from_slice(&port.to_ne_bytes());
}

#[cfg(test)]
mod tests;

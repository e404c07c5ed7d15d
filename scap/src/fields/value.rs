//! The types of fields, and their values.

use std::{borrow::Cow, net::IpAddr};

/// The type of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Type {
    /// Bytes that are mostly UTF-8: a name, a path.
    Text,
    /// Bytes of data.
    Bytes,
    /// A signed integer.
    Int,
    /// An unsigned integer.
    Uint,
    /// True or false.
    Bool,
    /// A floating-point number.
    Double,
    /// A time, in ns since the epoch.
    Time,
    /// A duration, in ns.
    Duration,
    /// A port of TCP or UDP.
    Port,
    /// An address of IPv4 or IPv6.
    Ip,
    /// An address, which is compared with networks (`fd.net = 10.0.0.0/8`).
    Net,
}

/// A value of a field.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// Of [`Type::Text`] and [`Type::Bytes`].
    Text(Cow<'a, [u8]>),
    /// Of [`Type::Int`].
    Int(i64),
    /// Of [`Type::Uint`], [`Type::Time`], [`Type::Duration`] and [`Type::Port`].
    Uint(u64),
    /// Of [`Type::Bool`].
    Bool(bool),
    /// Of [`Type::Double`].
    Double(f64),
    /// Of [`Type::Ip`] and [`Type::Net`].
    Ip(IpAddr),
}

impl Value<'_> {
    /// Text that is borrowed.
    pub fn text(bytes: &(impl AsRef<[u8]> + ?Sized)) -> Value<'_> {
        Value::Text(Cow::Borrowed(bytes.as_ref()))
    }
}

//! Fields of the ends of the socket that an event refers to. See the file of the other fields of a descriptor for the
//! differences from sysdig.

use std::{borrow::Cow, net::IpAddr};

use super::{
    Argument, Type, Value,
    ends::{End, bound, ends},
    row::{Each, Row},
    services,
    subject::open,
};
use crate::{
    format::state::{InterfaceAddress, L4Proto},
    model::{FdClass, Machine, OpenFd, Role},
    replay::Moment,
};

/// Which end of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    Client,
    Server,
    Local,
    Remote,
}
use Which::{Client, Local, Remote, Server};

pub(super) const ROWS: &[Row] = &[
    Row::many("fd.ip", Type::Ip, Argument::None, "address of either end of a socket", |m, _, each| {
        both(m, each, |end| Value::Ip(end.0));
    }),
    Row::one("fd.cip", Type::Ip, "address of the client", |m| ip(m, Client)),
    Row::one("fd.sip", Type::Ip, "address of the server", |m| ip(m, Server)),
    Row::one("fd.lip", Type::Ip, "address of this machine's end", |m| ip(m, Local)),
    Row::one("fd.rip", Type::Ip, "address of the other machine's end", |m| ip(m, Remote)),
    Row::many("fd.port", Type::Port, Argument::None, "port of either end of a socket", |m, _, each| {
        both(m, each, |end| Value::Uint(end.1.into()));
    }),
    Row::one("fd.cport", Type::Port, "port of the client", |m| port(m, Client)),
    Row::one("fd.sport", Type::Port, "port of the server", |m| port(m, Server)),
    Row::one("fd.lport", Type::Port, "port of this machine's end", |m| port(m, Local)),
    Row::one("fd.rport", Type::Port, "port of the other machine's end", |m| port(m, Remote)),
    Row::one("fd.l4proto", Type::Text, "protocol of a socket: tcp, udp, icmp or raw", |m| {
        protocol(open(m)?).map(Value::text)
    }),
    Row::one("fd.is_server", Type::Bool, "whether this machine is the server", |m| {
        Some(Value::Bool(is_server(m.machine, open(m)?)))
    }),
    Row::many(
        "fd.proto",
        Type::Port,
        Argument::None,
        "service, by port or name, of either end",
        |m, _, each| {
            both(m, each, |end| Value::Uint(end.1.into()));
        },
    ),
    Row::one("fd.cproto", Type::Text, "name of the client's port, as https; the port if it has none", |m| {
        service(m, Client)
    }),
    Row::one("fd.sproto", Type::Text, "name of the server's port", |m| service(m, Server)),
    Row::one("fd.lproto", Type::Text, "name of the port of this machine's end", |m| service(m, Local)),
    Row::one("fd.rproto", Type::Text, "name of the port of the other machine's end", |m| service(m, Remote)),
    Row::many("fd.net", Type::Net, Argument::None, "network of either end of a socket", |m, _, each| {
        both(m, each, |end| Value::Ip(end.0));
    }),
    Row::one("fd.cnet", Type::Net, "network of the client", |m| ip(m, Client)),
    Row::one("fd.snet", Type::Net, "network of the server", |m| ip(m, Server)),
    Row::one("fd.lnet", Type::Net, "network of this machine's end", |m| ip(m, Local)),
    Row::one("fd.rnet", Type::Net, "network of the other machine's end", |m| ip(m, Remote)),
];

fn ip<'a>(m: &'a Moment<'a>, which: Which) -> Option<Value<'a>> {
    end(m, which).map(|(ip, _)| Value::Ip(ip))
}

fn port<'a>(m: &'a Moment<'a>, which: Which) -> Option<Value<'a>> {
    end(m, which).map(|(_, port)| Value::Uint(port.into()))
}

fn service<'a>(m: &'a Moment<'a>, which: Which) -> Option<Value<'a>> {
    let (_, port) = end(m, which)?;
    Some(match services::name(port) {
        Some(name) => Value::text(name),
        None => Value::Text(Cow::Owned(port.to_string().into())),
    })
}

fn both(m: &Moment<'_>, each: Each<'_>, value: fn(End) -> Value<'static>) {
    let Some(open) = open(m) else { return };
    match (ends(open), bound(open)) {
        (Some((client, server)), _) => {
            let _ = each(value(client)) && each(value(server));
        }
        (None, Some(end)) => {
            each(value(end));
        }
        (None, None) => {}
    }
}

fn end(m: &Moment<'_>, which: Which) -> Option<End> {
    let open = open(m)?;
    let Some((client, server)) = ends(open) else {
        return bound(open).filter(|_| which == Server);
    };
    let first = match which {
        Client => true,
        Server => false,
        Local => is_client_local(m.machine, open, client, server),
        Remote => !is_client_local(m.machine, open, client, server),
    };
    Some(if first { client } else { server })
}

fn protocol(open: &OpenFd) -> Option<&'static str> {
    let is_raw = matches!(open.class, FdClass::Ipv4(L4Proto::Raw) | FdClass::Ipv6(L4Proto::Raw));
    let is_known = is_raw || open.role().is_some() || bound(open).is_some();
    open.class.protocol_word().filter(|_| is_known)
}

fn is_server(machine: &Machine, open: &OpenFd) -> bool {
    match ends(open) {
        // On both ends of a connection within the machine, as in sysdig.
        Some((client, server)) => {
            is_own(machine, server.0) || !is_own(machine, client.0) && open.role() == Some(Role::Server)
        }
        None => bound(open).is_some(),
    }
}

/// Returns whether the client's end is this machine's. Of a connection within the machine it is, as in sysdig.
fn is_client_local(machine: &Machine, open: &OpenFd, client: End, server: End) -> bool {
    is_own(machine, client.0) || !is_own(machine, server.0) && open.role() != Some(Role::Server)
}

/// Returns whether an address is this machine's: an interface has it, or it stands for all of them.
fn is_own(machine: &Machine, ip: IpAddr) -> bool {
    let has = |address: InterfaceAddress| match address {
        InterfaceAddress::V4 { address, .. } => ip == address,
        InterfaceAddress::V6 { address, .. } => ip == address,
    };
    ip.is_unspecified() || machine.interfaces().iter().any(|interface| has(interface.address))
}

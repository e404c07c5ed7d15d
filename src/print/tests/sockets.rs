//! Sockets: which endpoint is the client, and which peer the name shows.

use std::net::{IpAddr, Ipv6Addr};

use super::*;

fn of_fds(kinds: Vec<FdKind>) -> Capture {
    let fds = kinds.into_iter().enumerate().map(|(i, kind)| Fd { fd: i as u64, ino: 0, kind }).collect();
    Capture::of(&MachineState { fds: vec![FdList { pid: 100, fds }], ..state() })
}

fn looks(capture: Capture, fds: std::ops::Range<i64>) -> Vec<String> {
    fds.fold(capture, |capture, fd| capture.look(100, fd)).looks()
}

#[test]
fn a_socket_of_the_state_goes_from_client_to_server() {
    let (tcp, udp, local) = (L4Proto::Tcp, L4Proto::Udp, Ipv4Addr::LOCALHOST);
    let v4 = |source, destination, l4| FdKind::Ipv4 {
        source: (local, source),
        destination: (local, destination),
        l4,
    };
    let mapped = |port| (local.to_ipv6_mapped(), port);
    let v6 = |port| (Ipv6Addr::LOCALHOST, port);
    let found = looks(
        of_fds(vec![
            FdKind::Ipv4Listening { local: (Ipv4Addr::UNSPECIFIED, 80), l4: tcp },
            v4(80, 4000, tcp),
            v4(4000, 80, tcp),
            v4(80, 4000, udp),
            FdKind::Ipv6Listening { local: v6(443), l4: tcp },
            FdKind::Ipv6 { source: v6(443), destination: v6(5000), l4: tcp },
            FdKind::Ipv6 { source: mapped(443), destination: mapped(5000), l4: tcp },
            FdKind::Ipv6Listening { local: mapped(9), l4: udp },
        ]),
        0..8,
    );
    let expected = [
        "0(<4t>0.0.0.0:80)",
        "1(<4t>127.0.0.1:4000->127.0.0.1:80)",
        "2(<4t>127.0.0.1:4000->127.0.0.1:80)",
        "3(<4u>127.0.0.1:80->127.0.0.1:4000)",
        "4(<6t>::1:443)",
        "5(<6t>::1:5000->::1:443)",
        "6(<4t>127.0.0.1:5000->127.0.0.1:443)",
        "7(<4u>127.0.0.1:9)",
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_mapped_address_has_the_form_of_ipv4() {
    let mapped: IpAddr = Ipv4Addr::LOCALHOST.to_ipv6_mapped().into();
    let tuple = SockTuple::Inet { source: (mapped, 1), destination: (mapped, 2) };
    let capture = Capture::new()
        .event(100, "socket_x", &[Value::Fd(9), Value::Enum(10), Value::Uint(1), Value::Uint(0)])
        .event(100, "bind_x", &[Value::Errno(0), Value::SockAddr(SockAddr::Inet(mapped, 1)), Value::Fd(9)])
        .event(100, "connect_x", &[Value::Errno(0), Value::SockTuple(tuple), Value::Fd(9), NA])
        .event(100, "accept4_x", &[Value::Fd(10), Value::SockTuple(tuple)])
        .look(100, 10);
    let lines = capture.lines();
    assert_eq!(lines[1], "< bind res=0 addr=127.0.0.1:1 fd=9(<4t>127.0.0.1:1)");
    assert!(
        lines[2].contains("tuple=127.0.0.1:1->127.0.0.1:2 fd=9(<4t>127.0.0.1:1->127.0.0.1:2)"),
        "{}",
        lines[2]
    );
    assert_eq!(capture.looks(), ["10(<4t>127.0.0.1:1->127.0.0.1:2)"]);
    assert_eq!(capture.json()[1]["args"]["addr"]["ip"], "127.0.0.1");
    assert_eq!(capture.json()[2]["args"]["tuple"]["destination"]["ip"], "127.0.0.1");
}

/// Adds the transfer of one byte over descriptor 9; `source` and `destination` are as in the event.
fn transfer(capture: Capture, call: &str, source: u16, destination: u16) -> Capture {
    let tuple = Value::SockTuple(SockTuple::Inet { source: v4(source), destination: v4(destination) });
    let (res, fd, size) = (Value::Errno(1), Value::Fd(9), Value::Uint(1));
    let values = if call == "sendto_x" { [res, NA, fd, size, tuple] } else { [res, NA, tuple, fd, size] };
    capture.event(100, call, &values).look(100, 9)
}

fn socket(ty: u64) -> Capture {
    Capture::new().event(100, "socket_x", &[Value::Fd(9), Value::Enum(2), Value::Uint(ty), Value::Uint(0)])
}

#[test]
fn datagrams_name_their_peer() {
    // A client's socket: the answers come from the peers that it sent to.
    let capture = transfer(socket(2), "sendto_x", 40, 53);
    let capture = transfer(transfer(capture, "recvfrom_x", 53, 40), "sendto_x", 40, 54);
    let found = transfer(capture, "recvfrom_x", 53, 40).looks();
    let ends = |a, b| format!("9(<4u>127.0.0.1:{a}->127.0.0.1:{b})");
    assert_eq!(found, [ends(40, 53), ends(40, 53), ends(40, 54), ends(40, 53)]);
    // A server's socket.
    let bound = [Value::Errno(0), Value::SockAddr(SockAddr::Inet(v4(0).0, 53)), Value::Fd(9)];
    let capture = transfer(socket(2).event(100, "bind_x", &bound), "recvfrom_x", 40, 53);
    let found = transfer(transfer(capture, "sendto_x", 53, 40), "recvfrom_x", 41, 53).looks();
    assert_eq!(found, [ends(40, 53), ends(40, 53), ends(41, 53)]);
    let found = transfer(socket(2).event(100, "bind_x", &bound), "sendto_x", 53, 40).looks();
    assert_eq!(found, [ends(40, 53)]);
}

#[test]
fn a_stream_keeps_its_name() {
    let tuple = Value::SockTuple(SockTuple::Inet { source: v4(40), destination: v4(80) });
    let capture = socket(1).event(100, "connect_x", &[Value::Errno(0), tuple, Value::Fd(9), NA]);
    let found = transfer(transfer(capture, "recvfrom_x", 81, 40), "sendto_x", 40, 82).looks();
    assert_eq!(found, ["9(<4t>127.0.0.1:40->127.0.0.1:80)"; 2]);
    // If the connect was not recorded, the transfers name the socket.
    assert_eq!(transfer(socket(1), "recvfrom_x", 80, 40).looks(), ["9(<4t>127.0.0.1:80->127.0.0.1:40)"]);
}

#[test]
fn a_transfer_from_nobody_or_without_success_changes_nothing() {
    let capture = transfer(socket(2), "sendto_x", 40, 53);
    let nobody = SockTuple::Inet { source: (Ipv4Addr::UNSPECIFIED.into(), 0), destination: v4(40) };
    let recv = |res, tuple| [Value::Errno(res), NA, Value::SockTuple(tuple), Value::Fd(9), Value::Uint(1)];
    let failed = SockTuple::Inet { source: v4(7), destination: v4(40) };
    let capture =
        capture.event(100, "recvfrom_x", &recv(1, nobody)).event(100, "recvfrom_x", &recv(-11, failed));
    assert_eq!(capture.look(100, 9).looks(), ["9(<4u>127.0.0.1:40->127.0.0.1:53)"; 2]);
}

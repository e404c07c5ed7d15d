use std::{ffi::CStr, net::TcpListener, os::fd::AsRawFd};

use super::{addresses::*, look_at};
use crate::{harness::Test, syscall};

fn programs(events: Vec<(&'static str, u64)>) -> Vec<&'static str> {
    events.into_iter().map(|(program, _)| program).collect()
}

pub fn leaves_out_returns_with_an_error(t: &mut Test) {
    const NOWHERE: &CStr = c"/nowhere/to/be/found";
    t.change(|control| control.set_drop_failed(true));
    assert_eq!(programs(t.names(|| look_at(NOWHERE))), ["newfstatat_e"]);
    assert_eq!(programs(t.names(|| look_at(c"/"))), ["newfstatat_e", "newfstatat_x"]);
    assert_eq!((t.left_out().failed, t.left_out().sampled), (1, 0));
    t.change(|control| control.set_drop_failed(false));
    assert_eq!(programs(t.names(|| look_at(NOWHERE))), ["newfstatat_e", "newfstatat_x"]);
    assert_eq!(t.left_out().failed, 1);
    assert_eq!(t.seen(), 5, "what is left out is not seen");
}

pub fn keeps_connections_that_are_being_made(t: &mut Test) {
    t.change(|control| control.set_drop_failed(true));
    let listener = TcpListener::bind(LOOPBACK).unwrap();
    let to = raw(listener.local_addr().unwrap());
    let client = socket(LOOPBACK, libc::SOCK_STREAM | libc::SOCK_NONBLOCK);
    let event =
        t.fails(libc::EINPROGRESS, || syscall!(SYS_connect, client.as_raw_fd(), to.as_ptr(), to.len()));
    event.rest_does_not_matter();
    assert!(
        t.names(|| syscall!(SYS_connect, -1, to.as_ptr(), to.len())).iter().all(|(p, _)| *p == "connect_e")
    );
    assert_eq!(t.left_out().failed, 1);
}

//! Requests of `scapd ctl`: one line of JSON in each direction, over a Unix socket whose permissions control access.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

mod allowed;
mod client;
mod protocol;
mod server;
mod socket;

/// The default socket of a service.
pub const SOCKET: &str = "/run/scapd/control.sock";

pub use allowed::{Allowed, check};
pub use client::{CtlError, ctl};
pub use protocol::{MAX_REQUEST, ProtocolError, Request, parse};
pub use server::serve;
pub use socket::Socket;

//! Requests of `scapd ctl`: a line of JSON each way, over a unix socket whose permissions say who may make them.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

mod allowed;
mod client;
mod protocol;
mod server;
mod socket;

pub use allowed::{Allowed, check};
pub use client::{CtlError, ctl};
pub use protocol::{MAX_REQUEST, Request, RequestError, parse};
pub use server::serve;
pub use socket::Socket;

//! What this kernel is and has.

use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, open};

/// Returns the kernel's major and minor version.
pub(crate) fn version() -> (u32, u32) {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

const TRACEFS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
/// How directories of tracefs are opened.
pub(crate) const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Returns whether tracefs is mounted at one of its usual places.
pub(crate) fn has_tracefs() -> bool {
    tracefs("events").is_ok()
}

/// Opens a directory of tracefs, at one of its usual mount points.
pub(crate) fn tracefs(directory: &str) -> rustix::io::Result<OwnedFd> {
    let at = |root: &str| open(format!("{root}/{directory}"), FOLDER, Mode::empty());
    at(TRACEFS[0]).or_else(|_| at(TRACEFS[1]))
}

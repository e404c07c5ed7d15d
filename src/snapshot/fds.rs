//! Lists the open file descriptors of a process.

use std::path::Path;

use rustix::fs::{FileType, Statx};
use rustix::path::DecInt;

use super::dir::{Dir, SMALL};
use super::flags::open_flags;
use super::mounts::{Mounts, device};
use super::sockets::{Sockets, unlisted};
use super::text::{fields, lines, number, shortened};
use super::{MAX_PATH, SnapshotReport};
use scap::format::state::{Fd, FdKind, NamedFd, memfd_name};

/// The mounts and sockets of the machine, for naming descriptors.
pub(super) struct Known<'a> {
    /// The path of /proc.
    pub(super) proc_root: &'a Path,
    pub(super) mounts: &'a Mounts,
    pub(super) sockets: &'a Sockets,
}

/// Returns the descriptors of a process, without those closed meanwhile.
pub(super) fn collect(known: &Known<'_>, process: &Dir, pid: u32, report: &mut SnapshotReport) -> Vec<Fd> {
    let Some(directory) = report.optional(process.dir("fd")) else { return Vec::new() };
    let numbers = report.optional(directory.numbers()).unwrap_or_default();
    if numbers.is_empty() {
        return Vec::new();
    }
    let info = report.optional(process.dir("fdinfo"));
    let mut fds = Vec::with_capacity(numbers.len());
    for number in numbers {
        let name = DecInt::new(number);
        let Some(link) = report.optional(directory.link(name.as_c_str())) else { continue };
        let Some(status) = report.optional(directory.status(name.as_c_str())) else { continue };
        let kind = match FileType::from_raw_mode(status.stx_mode.into()) {
            FileType::Socket => known.socket(pid, number, status.stx_ino),
            _ => match named(&link, &status) {
                Some(kind) => {
                    let name = memfd_name(&link).map_or(&link[..], |name| name).to_vec();
                    FdKind::Named { kind, name: shortened(name, MAX_PATH) }
                }
                None => known.file(info.as_ref(), &name, link, &status, report),
            },
        };
        fds.push(Fd { fd: number.into(), ino: status.stx_ino, kind });
    }
    fds
}

/// Returns the kind of a descriptor that has only a name; `None` for files and devices.
fn named(link: &[u8], status: &Statx) -> Option<NamedFd> {
    // The link shows what belongs to no file system (pipes, eventfds, ...). Its mode differs between kernels.
    if let Some(kind) = NamedFd::of_link(link) {
        return Some(kind.for_all_readers());
    }
    match FileType::from_raw_mode(status.stx_mode.into()) {
        FileType::RegularFile | FileType::BlockDevice | FileType::CharacterDevice | FileType::Symlink => None,
        FileType::Directory => Some(NamedFd::Directory),
        FileType::Fifo => Some(NamedFd::Fifo),
        _ => Some(NamedFd::Unsupported),
    }
}

impl Known<'_> {
    fn socket(&self, pid: u32, number: u32, inode: u64) -> FdKind {
        if let Some(kind) = self.sockets.get(inode) {
            return kind.clone();
        }
        let path = self.proc_root.join(format!("{pid}/fd/{number}"));
        let mut buffer = [0; 32];
        let length = rustix::fs::getxattr(&path, "system.sockprotoname", &mut buffer).unwrap_or_default();
        let protocol = buffer.split(|&byte| byte == 0).next().unwrap_or_default();
        unlisted(if length == 0 { b"" } else { protocol }, inode)
    }

    fn file(
        &self,
        info: Option<&Dir>,
        name: &DecInt,
        link: Vec<u8>,
        status: &Statx,
        report: &mut SnapshotReport,
    ) -> FdKind {
        let text =
            info.and_then(|info| report.optional(info.read(name.as_c_str(), SMALL))).unwrap_or_default();
        let (flags, mount) = parse_info(&text);
        // Events have the device of the file system. On some file systems (btrfs, overlay), statx returns another one.
        let dev = mount
            .and_then(|id| self.mounts.get(id))
            .map_or_else(|| device(status.stx_dev_major, status.stx_dev_minor), |mount| mount.dev);
        FdKind::File { open_flags: flags.map_or(0, open_flags), path: shortened(link, MAX_PATH), dev }
    }
}

/// Parses the flags and the mount id in a file of fdinfo.
fn parse_info(text: &[u8]) -> (Option<u32>, Option<u64>) {
    let (mut flags, mut mount) = (None, None);
    // Lines specific to a kind of file come after these.
    for line in lines(text).take(4) {
        let mut words = fields(line);
        match words.next() {
            Some(b"flags:") => {
                let digits = words.next().and_then(|word| std::str::from_utf8(word).ok());
                flags = digits.and_then(|digits| u32::from_str_radix(digits, 8).ok());
            }
            Some(b"mnt_id:") => mount = words.next().and_then(number),
            _ => {}
        }
    }
    (flags, mount)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fdinfo_tells_flags_and_mount() {
        assert_eq!(
            parse_info(b"pos:\t0\nflags:\t02100002\nmnt_id:\t29\nino:\t7\n"),
            (Some(0o2_100_002), Some(29))
        );
        assert_eq!(parse_info(b"pos:\t0\nflags:\t9\nmnt_id:\n"), (None, None));
        assert_eq!(parse_info(b"a\nb\nc\nd\nflags:\t1\n"), (None, None));
    }
}

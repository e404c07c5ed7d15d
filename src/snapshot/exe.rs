//! Inspects the executable file of a process.

use rustix::fs::{Mode, OFlags, ResolveFlags, Statx, StatxAttributes, StatxTimestamp};
use rustix::io::Errno;

use super::SnapshotReport;
use super::dir::{Dir, SMALL};
use super::mounts::{Mount, Mounts};
use super::text::{fields, lines, number};
use scap::format::state::memfd_name;

const CAP_DAC_OVERRIDE: u64 = 1 << 1;

/// The properties of an executable file. Fields as in [`Thread`](scap::format::state::Thread).
#[derive(Debug, Clone, Default)]
pub(super) struct Exe {
    pub(super) path: Vec<u8>,
    pub(super) writable: bool,
    pub(super) upper_layer: bool,
    pub(super) lower_layer: bool,
    pub(super) from_memfd: bool,
    pub(super) ino: u64,
    pub(super) ctime: u64,
    pub(super) mtime: u64,
}

/// The credentials of a process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) euid: u32,
    pub(super) egid: u32,
    pub(super) groups: Vec<u32>,
    pub(super) cap_effective: u64,
}

/// Inspects the executable file of a process, the target of its link `exe`.
pub(super) fn look(
    proc: &Dir,
    process: &Dir,
    path: Vec<u8>,
    credentials: &Credentials,
    mounts: &Mounts,
    report: &mut SnapshotReport,
) -> Exe {
    let memfd = memfd_name(&path).map(<[u8]>::to_vec);
    let from_memfd = memfd.is_some();
    let path = memfd.unwrap_or(path);
    let Some(status) = report.optional(process.status("exe")) else {
        return Exe { path, from_memfd, ..Exe::default() };
    };
    let mount = mounts.get(status.stx_mnt_id);
    let layer = mount.and_then(|mount| layer(proc, process, mount, &path));
    Exe {
        writable: is_writable(&status, mount, credentials, || {
            is_mapped(process, "uid_map", status.stx_uid, report)
                && is_mapped(process, "gid_map", status.stx_gid, report)
        }),
        upper_layer: layer == Some(Layer::Upper),
        lower_layer: layer == Some(Layer::Lower),
        from_memfd,
        ino: status.stx_ino,
        ctime: nanoseconds(status.stx_ctime),
        mtime: nanoseconds(status.stx_mtime),
        path,
    }
}

fn nanoseconds(time: StatxTimestamp) -> u64 {
    u64::try_from(time.tv_sec).unwrap_or_default().saturating_mul(1_000_000_000) + u64::from(time.tv_nsec)
}

/// Returns whether mode, owner, attributes and mount allow these credentials to write to the file. Ignores access
/// control lists and security modules. A capability counts only if the process's user namespace maps the owner.
fn is_writable(
    status: &Statx,
    mount: Option<&Mount>,
    credentials: &Credentials,
    owner_is_mapped: impl FnOnce() -> bool,
) -> bool {
    let fixed = status.stx_attributes.contains(StatxAttributes::IMMUTABLE);
    if fixed || mount.is_some_and(|mount| mount.read_only) {
        return false;
    }
    mode_allows_writing(status.stx_mode, status.stx_uid, status.stx_gid, credentials)
        || credentials.cap_effective & CAP_DAC_OVERRIDE != 0 && owner_is_mapped()
}

fn mode_allows_writing(mode: u16, uid: u32, gid: u32, credentials: &Credentials) -> bool {
    // Only the first matching class counts, as in the kernel.
    let bit = if credentials.euid == uid {
        0o200
    } else if credentials.egid == gid || credentials.groups.contains(&gid) {
        0o020
    } else {
        0o002
    };
    mode & bit != 0
}

/// Returns whether the process's user namespace maps a user or group; true if the map cannot be read.
fn is_mapped(process: &Dir, map: &str, id: u32, report: &mut SnapshotReport) -> bool {
    report.optional(process.read(map, SMALL)).is_none_or(|text| has_id(&text, id))
}

/// Returns whether a line of the map, `first-inside first-outside count`, covers this outside id.
fn has_id(map: &[u8], id: u32) -> bool {
    lines(map).any(|line| {
        let mut words = fields(line).skip(1).map(number::<u32>);
        match (words.next().flatten(), words.next().flatten()) {
            (Some(first), Some(count)) => id.checked_sub(first).is_some_and(|offset| offset < count),
            _ => false,
        }
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layer {
    Upper,
    Lower,
}

/// Returns the overlay layer that a file is in; `None` if the file is not on an overlay, is deleted, or its layer is
/// unknown.
///
/// The kernel does not report the layer, so this checks whether the upper layer's directory has a file at that path.
/// The mount options name that directory as its mounter saw it, so it is searched below the root of process 1, then
/// below the root of the file's process. A file whose parent directory was renamed in the overlay counts as one of the
/// lower layer.
fn layer(proc: &Dir, process: &Dir, mount: &Mount, path: &[u8]) -> Option<Layer> {
    let overlay = mount.overlay.as_ref()?;
    let Some(upper) = &overlay.upper else { return Some(Layer::Lower) };
    if path.ends_with(b" (deleted)") {
        return None;
    }
    let below_point = strip_directory(path, &mount.point)?;
    let inside = [strip_slash(&mount.root), b"/", below_point].concat();
    let upper = strip_slash(upper);
    let at = |root: &Dir, prefix: &[u8]| root.dir([prefix, upper].concat().as_slice()).ok();
    let directory = at(proc, b"1/root/").or_else(|| at(process, b"root/"))?;
    // The kernel's path has no links. Links in the upper layer belong to its owner and are not trusted.
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    match rustix::fs::openat2(directory, strip_slash(&inside), flags, Mode::empty(), resolve) {
        Ok(_) => Some(Layer::Upper),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Some(Layer::Lower),
        Err(_) => None,
    }
}

/// Returns the path relative to a directory, if it is below it.
fn strip_directory<'a>(path: &'a [u8], directory: &[u8]) -> Option<&'a [u8]> {
    let directory = directory.strip_suffix(b"/").unwrap_or(directory);
    path.strip_prefix(directory)?.strip_prefix(b"/")
}

fn strip_slash(path: &[u8]) -> &[u8] {
    let start = path.iter().position(|&byte| byte != b'/').unwrap_or(path.len());
    path.get(start..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::snapshot::mounts::Overlay;

    #[test]
    fn only_the_first_class_that_fits_counts() {
        let user = |euid, egid| Credentials { euid, egid, ..Credentials::default() };
        for (mode, who, expected) in [
            (0o755, user(7, 8), true),
            (0o577, user(7, 8), false),
            (0o757, user(1, 8), false),
            (0o775, user(1, 8), true),
            (0o775, user(1, 1), false),
            (0o777, user(1, 1), true),
            (0o755, Credentials { groups: vec![3, 8], ..user(1, 1) }, false),
            (0o775, Credentials { groups: vec![3, 8], ..user(1, 1) }, true),
            (0o755, user(0, 0), false),
        ] {
            assert_eq!(mode_allows_writing(mode, 7, 8, &who), expected, "{mode:o} {who:?}");
        }
    }

    #[test]
    fn a_map_of_users() {
        let map = b"         0     100000      65536\n     65536       1000          1\n";
        for (id, expected) in
            [(99_999, false), (100_000, true), (165_535, true), (165_536, false), (1000, true)]
        {
            assert_eq!(has_id(map, id), expected, "{id}");
        }
        assert!(has_id(b"0 0 4294967295\n", 0));
        assert!(!has_id(b"", 0) && !has_id(b"0 0\n", 0));
    }

    /// Makes a /proc whose process 1 has its root directory in the same directory.
    fn overlay(upper: Option<&str>) -> (tempfile::TempDir, Dir, Mount) {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("1/root/up/bin")).unwrap();
        fs::write(root.path().join("1/root/up/bin/new"), "").unwrap();
        let mount = Mount {
            dev: 1,
            read_only: false,
            root: b"/".to_vec(),
            point: b"/merged".to_vec(),
            overlay: Some(Overlay { upper: upper.map(|path| path.as_bytes().to_vec()) }),
        };
        let proc = Dir::open(root.path()).unwrap();
        (root, proc, mount)
    }

    #[test]
    fn the_layer_is_where_the_file_is() {
        let (_root, proc, mount) = overlay(Some("/up"));
        let layer = |path: &[u8]| layer(&proc, &proc, &mount, path);
        assert_eq!(layer(b"/merged/bin/new"), Some(Layer::Upper));
        assert_eq!(layer(b"/merged/bin/old"), Some(Layer::Lower));
        assert_eq!(layer(b"/merged/bin/new (deleted)"), None);
        assert_eq!(layer(b"/mergedbin/new"), None);
        assert_eq!(layer(b"/merged/../../bin/new"), None);
    }

    #[test]
    fn a_layer_that_cannot_be_seen_is_unknown() {
        let (_root, proc, mount) = overlay(Some("/elsewhere"));
        assert_eq!(layer(&proc, &proc, &mount, b"/merged/bin/new"), None);
        let (_root, proc, mount) = overlay(None);
        assert_eq!(layer(&proc, &proc, &mount, b"/merged/bin/new"), Some(Layer::Lower));
    }
}

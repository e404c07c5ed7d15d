//! Collects the mounts of all mount namespaces, by mount id, which is unique across namespaces.

use std::collections::{HashMap, HashSet};

use super::SnapshotReport;
use super::dir::{Dir, LARGE};
use super::text::{fields, lines, number, split_once, unescape};

/// A mount.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// The file system's device in the format's form, see [`device`].
    pub(super) dev: u32,
    /// Whether the mount or its file system is read-only.
    pub(super) read_only: bool,
    /// The path of the mounted directory in its file system.
    pub(super) root: Vec<u8>,
    /// The mount point, relative to the root directory of a process in that namespace.
    pub(super) point: Vec<u8>,
    /// The overlay, if it is one.
    pub(super) overlay: Option<Overlay>,
}

/// An overlay file system.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Overlay {
    /// The upper layer's directory, as its mounter named it; `None` for a read-only overlay.
    pub(super) upper: Option<Vec<u8>>,
}

/// The mounts known so far.
#[derive(Default)]
pub(super) struct Mounts {
    by_id: HashMap<u64, Mount>,
    namespaces: HashSet<Vec<u8>>,
}

impl Mounts {
    /// Reads the mounts of a process's namespace, unless already known.
    pub(super) fn learn(&mut self, process: &Dir, report: &mut SnapshotReport) {
        let Some(namespace) = report.optional(process.link("ns/mnt")) else { return };
        if self.namespaces.contains(&namespace) {
            return;
        }
        if let Some(text) = report.optional(process.read("mountinfo", LARGE)) {
            self.by_id.extend(lines(&text).filter_map(parse));
            self.namespaces.insert(namespace);
        }
    }

    /// Returns the mount with this id.
    pub(super) fn get(&self, id: u64) -> Option<&Mount> {
        self.by_id.get(&id)
    }
}

/// Encodes a device number as the format's readers decode it: from the lowest bit, 8 low bits of the minor number, 12
/// bits of the major number, then the rest of the minor number. This is the encoding of the kernel's interface (old
/// `st_rdev`, the terminal in /proc/PID/stat), not its internal one.
pub(super) fn device(major: u32, minor: u32) -> u32 {
    (minor & 0xff) | (major & 0xfff) << 8 | (minor & 0xf_ff00) << 12
}

/// Parses a line of mountinfo: `id parent major:minor root point options [tags] - type source options`.
fn parse(line: &[u8]) -> Option<(u64, Mount)> {
    let mut words = fields(line);
    let id = number(words.next()?)?;
    let (major, minor) = split_once(words.nth(1)?, b':')?;
    let root = unescape(words.next()?);
    let point = unescape(words.next()?);
    let options = words.next()?;
    let mut words = words.skip_while(|&word| word != b"-");
    let kind = words.nth(1)?;
    let super_options = words.nth(1).unwrap_or_default();
    let mount = Mount {
        dev: device(number(major)?, number(minor)?),
        read_only: has_option(options, b"ro") || has_option(super_options, b"ro"),
        root,
        point,
        overlay: (kind == b"overlay").then(|| Overlay { upper: upper(super_options) }),
    };
    Some((id, mount))
}

fn has_option(options: &[u8], name: &[u8]) -> bool {
    options.split(|&byte| byte == b',').any(|option| option == name)
}

fn upper(options: &[u8]) -> Option<Vec<u8>> {
    options.split(|&byte| byte == b',').find_map(|option| option.strip_prefix(b"upperdir=")).map(unescape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_mountinfo() {
        let line = b"36 35 98:300 /sub\\040dir /mnt ro,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue";
        let mount = Mount {
            dev: 44 | 98 << 8 | 0x10_0000,
            read_only: true,
            root: b"/sub dir".to_vec(),
            point: b"/mnt".to_vec(),
            overlay: None,
        };
        assert_eq!(parse(line), Some((36, mount)));
    }

    #[test]
    fn an_overlay_tells_its_upper_layer() {
        let line =
            b"36 35 0:40 / / rw - overlay overlay rw,lowerdir=/l\\054/a:/b,upperdir=/up\\040per,workdir=/w";
        let (_, mount) = parse(line).unwrap();
        assert_eq!(mount.overlay, Some(Overlay { upper: Some(b"/up per".to_vec()) }));
        let (_, mount) = parse(b"36 35 0:40 / / rw - overlay overlay ro,lowerdir=/a:/b").unwrap();
        assert_eq!((mount.overlay, mount.read_only), (Some(Overlay { upper: None }), true));
    }

    #[test]
    fn what_is_no_mount_is_left_out() {
        for line in [
            &b"36 35 98 / / rw - ext4 x rw"[..],
            b"x 35 9:8 / / rw - ext4 x rw",
            b"36 35 9:8 / / rw",
            b"36 35 9:8 / / rw -",
            b"",
        ] {
            assert_eq!(parse(line), None, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn a_device_is_the_c_librarys() {
        for (major, minor) in [(8, 1), (0, 40), (259, 300), (0xfff, 0xf_ffff)] {
            assert_eq!(u64::from(device(major, minor)), libc::makedev(major, minor));
        }
    }
}

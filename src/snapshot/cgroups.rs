//! Reads the control groups of a process, one entry for each subsystem.
//!
//! A line of a version 1 hierarchy (`4:cpu,cpuacct:/x`) names its subsystems. The line of version 2 (`0::/x`) does not.
//! So the entry of each controller names the nearest group, from the process's own upward, that lists the controller in
//! `cgroup.controllers`. If version 1 has taken all controllers (hybrid setup), version 2 gives no entries. Paths are
//! relative to the cgroup namespace of this process; a group outside it begins with `/..`.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::dir::{Dir, LARGE, SMALL};
use super::text::{fields, lines, split_once, unescape};

/// The maximum size of all entries in bytes.
const MAX_CGROUPS: usize = 4096;

/// The version 2 hierarchy, and the groups looked up there so far.
#[derive(Default)]
pub(super) struct Cgroups {
    unified: Option<Dir>,
    /// The controllers of the whole hierarchy.
    controllers: Vec<Vec<u8>>,
    /// The entries of each group, by its path.
    known: HashMap<Vec<u8>, Vec<u8>>,
}

impl Cgroups {
    /// Finds the version 2 hierarchy among the mounts of process 1 below `proc`, which is right even if this process
    /// has a mount namespace of its own. Without the privilege to look there, searches this process's mounts.
    pub(super) fn find(proc: &Dir) -> Self {
        let open = |process: &str| {
            let mounts = proc.read(format!("{process}/mountinfo"), LARGE).ok()?;
            let mut path = format!("{process}/root").into_bytes();
            path.extend(lines(&mounts).find_map(unified_mount)?);
            proc.dir(path.as_slice()).ok()
        };
        open("1").or_else(|| open("self")).map_or_else(Self::default, Self::at)
    }

    /// Uses the version 2 hierarchy mounted at this directory.
    fn at(unified: Dir) -> Self {
        let controllers = controllers(&unified, b"").unwrap_or_default();
        Self { unified: Some(unified), controllers, known: HashMap::new() }
    }

    /// Converts the text of /proc/PID/cgroup to entries `subsystem=path`, each ending in NUL.
    pub(super) fn entries(&mut self, text: &[u8]) -> Vec<u8> {
        let mut entries = Vec::new();
        for line in lines(text) {
            let Some((id, rest)) = split_once(line, b':') else { continue };
            let Some((subsystems, path)) = split_once(rest, b':') else { continue };
            if subsystems.is_empty() && id == b"0" {
                append(&mut entries, self.unified_entries(path));
                continue;
            }
            for subsystem in subsystems.split(|&byte| byte == b',').filter(|name| !name.is_empty()) {
                append(&mut entries, &entry(subsystem, path));
            }
        }
        entries
    }

    fn unified_entries(&mut self, path: &[u8]) -> &[u8] {
        let Self { unified, controllers, known } = self;
        // `HashMap::entry` would need an owned key even for known groups, which nearly all are.
        if !known.contains_key(path) {
            let entries = unified.as_ref().map_or_else(Vec::new, |dir| nearest(dir, controllers, path));
            known.insert(path.to_vec(), entries);
        }
        known.get(path).map_or(&[], Vec::as_slice)
    }
}

/// Returns, for each of the hierarchy's controllers, the entry of the nearest group that has it.
fn nearest(unified: &Dir, all: &[Vec<u8>], path: &[u8]) -> Vec<u8> {
    let own = controllers(unified, path);
    // A removed group, or one outside the namespace, gets all controllers: its path says more than the root's.
    let mut missing = all.to_vec();
    let mut entries = Vec::new();
    let mut level = path;
    let mut here = Some(own.unwrap_or_else(|| all.to_vec()));
    while !missing.is_empty() {
        let listed = here.take().or_else(|| controllers(unified, level)).unwrap_or_default();
        missing.retain(|controller| {
            let found = listed.contains(controller);
            if found {
                append(&mut entries, &entry(controller, level));
            }
            !found
        });
        if level.len() <= 1 {
            break;
        }
        let parent = level.iter().rposition(|&byte| byte == b'/').unwrap_or(0).max(1);
        level = level.get(..parent).unwrap_or_default();
    }
    entries
}

/// Returns the controllers that a group lists; `None` if the group cannot be read.
fn controllers(unified: &Dir, path: &[u8]) -> Option<Vec<Vec<u8>>> {
    if Path::new(std::ffi::OsStr::from_bytes(path)).components().any(|part| part.as_os_str() == "..") {
        return None;
    }
    let mut name = b".".to_vec();
    name.extend(path);
    name.extend(b"/cgroup.controllers");
    let text = unified.read(name.as_slice(), SMALL).ok()?;
    Some(fields(&text).map(<[u8]>::to_vec).collect())
}

fn entry(subsystem: &[u8], path: &[u8]) -> Vec<u8> {
    [subsystem, b"=", path, b"\0"].concat()
}

/// Adds the entries that fit. A truncated path would name another group.
fn append(entries: &mut Vec<u8>, more: &[u8]) {
    for entry in more.split_inclusive(|&byte| byte == 0) {
        if entries.len() + entry.len() <= MAX_CGROUPS {
            entries.extend(entry);
        }
    }
}

/// Returns the mount point of the version 2 hierarchy if this line of mountinfo is its mount.
fn unified_mount(line: &[u8]) -> Option<Vec<u8>> {
    let mut words = fields(line);
    let mount_point = words.nth(4)?;
    let kind = words.skip_while(|&word| word != b"-").nth(1)?;
    (kind == b"cgroup2").then(|| unescape(mount_point))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn text(entries: &[u8]) -> String {
        String::from_utf8_lossy(entries).replace('\0', " ")
    }

    #[test]
    fn version_1_lines_name_their_subsystems() {
        let lines = b"9:name=systemd:/a\n4:cpu,cpuacct:/b:c\n2:pids:/\n1:\nx\n0::/ignored\n";
        let entries = Cgroups::default().entries(lines);
        assert_eq!(text(&entries), "name=systemd=/a cpu=/b:c cpuacct=/b:c pids=/ ");
    }

    fn hierarchy() -> (tempfile::TempDir, Cgroups) {
        let root = tempfile::tempdir().unwrap();
        for (group, controllers) in
            [("", "cpuset cpu io"), ("a", "cpuset cpu"), ("a/b", "cpu"), ("a/b/c", "")]
        {
            let group = root.path().join(group);
            fs::create_dir_all(&group).unwrap();
            fs::write(group.join("cgroup.controllers"), format!("{controllers}\n")).unwrap();
        }
        let cgroups = Cgroups::at(Dir::open(root.path()).unwrap());
        (root, cgroups)
    }

    #[test]
    fn version_2_entries_name_the_nearest_group_with_the_controller() {
        let (_root, mut cgroups) = hierarchy();
        assert_eq!(text(&cgroups.entries(b"0::/a/b/c\n")), "cpu=/a/b cpuset=/a io=/ ");
        assert_eq!(text(&cgroups.entries(b"0::/\n")), "cpuset=/ cpu=/ io=/ ");
        assert_eq!(text(&cgroups.entries(b"0::/a/b/c\n")), "cpu=/a/b cpuset=/a io=/ ");
    }

    #[test]
    fn a_group_that_cannot_be_read_keeps_its_path() {
        let (_root, mut cgroups) = hierarchy();
        assert_eq!(
            text(&cgroups.entries(b"0::/gone (deleted)\n")),
            "cpuset=/gone (deleted) cpu=/gone (deleted) io=/gone (deleted) "
        );
        assert_eq!(text(&cgroups.entries(b"0::/../../x\n")), "cpuset=/../../x cpu=/../../x io=/../../x ");
    }

    #[test]
    fn entries_are_kept_whole() {
        let lines = format!("1:{}:/{}\n2:cpu:/\n", "a,b", "x".repeat(3000));
        let entries = Cgroups::default().entries(lines.as_bytes());
        assert_eq!(entries.len(), 3004 + 6);
        assert!(entries.ends_with(b"\0cpu=/\0"));
    }

    #[test]
    fn the_unified_mount_is_found() {
        let line = b"36 28 0:30 / /sys/fs/cgroup\\040x rw,relatime shared:4 - cgroup2 cgroup2 rw";
        assert_eq!(unified_mount(line), Some(b"/sys/fs/cgroup x".to_vec()));
        assert_eq!(unified_mount(b"36 28 0:30 / /x rw - cgroup cgroup2 rw"), None);
        assert_eq!(unified_mount(b"36 28 0:30 / /x rw -"), None);
    }
}

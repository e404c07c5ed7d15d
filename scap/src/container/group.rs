//! The container that control groups are of, by their names.
//!
//! Docker, containerd, CRI-O and Podman name a group by the 64 digits of the container's id, with a prefix of their own if
//! systemd makes the groups. LXC uses the container's name. Kubernetes has a group for each pod above those of its containers.
//! Sources: the documentation of their cgroup drivers (`cgroupfs` and `systemd`), and the kubelet's.

use memchr::memmem;

use super::Kind;

/// How many characters of an id people use, and readers know a container by.
const SHORT: usize = 12;

/// The length of an id.
pub const ID: usize = 64;

/// A container that a process is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Container<'a> {
    /// Its id; of LXC, its name.
    pub id: &'a [u8],
    /// What made it, if that is known.
    pub kind: Option<Kind>,
    /// The user in whose session its group is, as with Podman without root.
    pub user: Option<u32>,
}

impl<'a> Container<'a> {
    /// Returns the id by which readers know it.
    pub fn short_id(&self) -> &'a [u8] {
        short(self.id)
    }
}

/// Returns the id by which readers know the container with this one.
pub(super) fn short(id: &[u8]) -> &[u8] {
    if is_id(id) { &id[..SHORT] } else { id }
}

/// Returns the container of a process that is in these control groups: `subsystem=path`, each ended by a NUL. `None` if it is
/// in none.
pub fn in_groups(cgroups: &[u8]) -> Option<Container<'_>> {
    paths(cgroups).find_map(container)
}

/// Returns the uid of the pod of a process that is in these control groups, as its group has it.
pub fn pod_in_groups(cgroups: &[u8]) -> Option<&[u8]> {
    paths(cgroups).find_map(pod)
}

/// Returns the paths of control groups.
fn paths(cgroups: &[u8]) -> impl Iterator<Item = &[u8]> {
    let entries = cgroups.split(|byte| *byte == 0).filter(|entry| !entry.is_empty());
    entries.filter_map(|entry| Some(&entry[entry.iter().position(|byte| *byte == b'=')? + 1..]))
}

/// Returns the innermost container of a path.
fn container(path: &[u8]) -> Option<Container<'_>> {
    let (mut above, mut found, mut user): (&[u8], _, _) = (b"", None, None);
    for name in path.split(|byte| matches!(byte, b'/' | b':')) {
        // The outermost: below it, the user gives the names.
        user = user.or_else(|| user_of_name(name));
        found = of_name(name, above).map(|(id, kind)| Container { id, kind, user }).or(found);
        above = name;
    }
    found
}

/// Returns the user whose slice has this name: `user-1000.slice`.
fn user_of_name(name: &[u8]) -> Option<u32> {
    let uid = name.strip_prefix(b"user-")?.strip_suffix(b".slice")?;
    std::str::from_utf8(uid).ok()?.parse().ok()
}

/// Returns the id and the kind of the container that has a group of this name, in a group that is called `above`.
fn of_name<'a>(name: &'a [u8], above: &[u8]) -> Option<(&'a [u8], Option<Kind>)> {
    // Their monitors (crio-conmon-, libpod-conmon-, lxc.monitor.) are outside.
    const PREFIXES: [(&[u8], Option<Kind>); 7] = [
        (b"docker-", Some(Kind::Docker)),
        (b"cri-containerd-", Some(Kind::Containerd)),
        (b"nerdctl-", Some(Kind::Containerd)),
        (b"crio-", Some(Kind::CriO)),
        (b"libpod-", Some(Kind::Podman)),
        // In the group of a service (`--cgroups=split`), as those of Quadlet are.
        (b"libpod-payload-", Some(Kind::Podman)),
        (b"", None),
    ];
    let lxc =
        name.strip_prefix(b"lxc.payload.").or((above == b"lxc" || above == b"lxc.payload").then_some(name));
    if let Some(id) = lxc.filter(|id| !id.is_empty()) {
        return Some((id, Some(Kind::Lxc)));
    }
    let name = name.strip_suffix(b".scope").unwrap_or(name);
    PREFIXES.iter().find_map(|(prefix, kind)| {
        let id = name.strip_prefix(*prefix).filter(|id| is_id(id))?;
        Some((id, kind.or_else(|| kind_by(above))))
    })
}

/// Returns whether a text is the id of a container: 64 hexadecimal digits.
pub fn is_id(text: &[u8]) -> bool {
    text.len() == ID && text.iter().all(u8::is_ascii_hexdigit)
}

/// Returns what made a container whose group is called by its id alone, by the group above it.
fn kind_by(above: &[u8]) -> Option<Kind> {
    match above {
        b"docker" => Some(Kind::Docker),
        b"cri-containerd" => Some(Kind::Containerd),
        b"crio" => Some(Kind::CriO),
        _ => pod_of_name(above).map(|_| Kind::Containerd),
    }
}

/// Returns the uid of the pod of a path.
fn pod(path: &[u8]) -> Option<&[u8]> {
    path.split(|byte| matches!(byte, b'/' | b':')).find_map(pod_of_name)
}

/// Returns the uid of the pod that has a group of this name: `pod<uid>`, or `kubepods-burstable-pod<uid>.slice`.
fn pod_of_name(name: &[u8]) -> Option<&[u8]> {
    const POD: &[u8] = b"-pod";
    let uid = match name.strip_suffix(b".slice") {
        Some(slice) => {
            &slice[memmem::rfind(slice, POD).filter(|_| slice.starts_with(b"kube"))? + POD.len()..]
        }
        None => name.strip_prefix(b"pod")?,
    };
    // Those that a file defines have 32 digits.
    let is_uid = uid.iter().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'-' | b'_'));
    (is_uid && matches!(uid.len(), 32 | 36)).then_some(uid)
}

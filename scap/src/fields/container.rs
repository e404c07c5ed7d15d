//! Fields of the container that a process is in, as the names of its control groups tell. What only a runtime knows (the
//! container's name, its image, labels) they do not.
//!
//! Docker, containerd, CRI-O and Podman name a group by the 64 digits of the container's id, with a prefix of their own if
//! systemd makes the groups. LXC uses the container's name. Kubernetes has a group for each pod above those of its containers.
//! Sources: the documentation of their cgroup drivers (`cgroupfs` and `systemd`), and the kubelet's.

use memchr::memmem;

use super::{
    Type, Value,
    row::Row,
    task::{JOINED, described, texts},
};
use crate::replay::Moment;

pub(super) const ROWS: &[Row] = &[
    text("container.id", "the first 12 characters of the container's id; host for a process in none", |m| {
        Some(Value::text(found(m)?.map_or(HOST, |container| &container.id[..container.id.len().min(SHORT)])))
    }),
    text("container.full_id", "id of the container; host for a process in none", |m| {
        Some(Value::text(found(m)?.map_or(HOST, |container| container.id)))
    }),
    text(
        "container.type",
        "what made the container: docker, containerd, cri-o, podman or lxc; host for a process in none",
        |m| match found(m)? {
            None => Some(Value::text(HOST)),
            Some(container) => container.kind.map(|kind| Value::text(kind.as_bytes())),
        },
    ),
    text("k8s.pod.uid", "uid of the Kubernetes pod that the container is in", |m| {
        let uid = paths(&described(m)?.cgroups).find_map(pod)?;
        Some(Value::Text(
            uid.iter().map(|byte| if *byte == b'_' { b'-' } else { *byte }).collect::<Vec<_>>().into(),
        ))
    }),
];

/// What is said of a process that is in no container.
const HOST: &[u8] = b"host";

/// How many characters of an id people use.
const SHORT: usize = 12;

/// The length of an id.
const ID: usize = 64;

/// A container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Container<'a> {
    id: &'a [u8],
    /// What made it, if that is known.
    kind: Option<&'static str>,
}

const fn text(
    name: &'static str,
    about: &'static str,
    get: for<'a> fn(&'a Moment<'a>) -> Option<Value<'a>>,
) -> Row {
    Row::one(name, Type::Text, about, get).cost(JOINED)
}

/// Returns the container of the current process; `None` if its control groups are not known.
fn found<'a>(m: &'a Moment<'a>) -> Option<Option<Container<'a>>> {
    let cgroups = &described(m)?.cgroups;
    (!cgroups.is_empty()).then(|| paths(cgroups).find_map(container))
}

/// Returns the paths of control groups.
fn paths(cgroups: &[u8]) -> impl Iterator<Item = &[u8]> {
    texts(cgroups).filter_map(|entry| Some(&entry[entry.iter().position(|byte| *byte == b'=')? + 1..]))
}

/// Returns the innermost container of a path.
fn container(path: &[u8]) -> Option<Container<'_>> {
    let names: Vec<_> = path.split(|byte| matches!(byte, b'/' | b':')).collect();
    (0..names.len()).rev().find_map(|i| of_name(names[i], i.checked_sub(1).map_or(&b""[..], |i| names[i])))
}

/// Returns the container that has a group of this name, in a group that is called `above`.
fn of_name<'a>(name: &'a [u8], above: &[u8]) -> Option<Container<'a>> {
    // Their monitors (crio-conmon-, libpod-conmon-, lxc.monitor.) are outside.
    const PREFIXES: [(&[u8], &str); 6] = [
        (b"docker-", "docker"),
        (b"cri-containerd-", "containerd"),
        (b"nerdctl-", "containerd"),
        (b"crio-", "cri-o"),
        (b"libpod-", "podman"),
        (b"", ""),
    ];
    let lxc =
        name.strip_prefix(b"lxc.payload.").or((above == b"lxc" || above == b"lxc.payload").then_some(name));
    if let Some(id) = lxc.filter(|id| !id.is_empty()) {
        return Some(Container { id, kind: Some("lxc") });
    }
    let name = name.strip_suffix(b".scope").unwrap_or(name);
    PREFIXES.iter().find_map(|(prefix, kind)| {
        let id = name.strip_prefix(*prefix).filter(|id| is_id(id))?;
        let kind = if kind.is_empty() { kind_by(above) } else { Some(*kind) };
        Some(Container { id, kind })
    })
}

fn is_id(text: &[u8]) -> bool {
    text.len() == ID && text.iter().all(u8::is_ascii_hexdigit)
}

/// Returns what made a container whose group is called by its id alone, by the group above it.
fn kind_by(above: &[u8]) -> Option<&'static str> {
    match above {
        b"docker" => Some("docker"),
        b"cri-containerd" => Some("containerd"),
        b"crio" => Some("cri-o"),
        _ => pod_of_name(above).map(|_| "containerd"),
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

#[cfg(test)]
mod tests {
    use crate::fields::fixture::{Capture, state};

    const A: &str = "aaaaaaaaaaaabbbbbbbbbbbbccccccccccccddddddddddddeeeeeeeeeeee0123";
    const UID: &str = "0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0";

    /// Asserts what a process in a group is in: the kind of its container, whose id is `A`, and its pod.
    #[track_caller]
    fn assert_in(path: &str, kind: &str, pod: &str) {
        let mut state = state();
        state.threads[3].cgroups = format!("cpuset=/\0memory={path}\0").into();
        let (id, full) = if kind == "host" { ("host", "host") } else { (&A[..12], A) };
        Capture::of(&state).call(70).has(&[
            ("container.id", id),
            ("container.full_id", full),
            ("container.type", kind),
            ("k8s.pod.uid", pod),
        ]);
    }

    #[test]
    fn the_names_of_all_runtimes_are_known() {
        let uid = UID.replace('-', "_");
        for (path, kind) in [
            (format!("/docker/{A}"), "docker"),
            (format!("/system.slice/docker-{A}.scope"), "docker"),
            (
                format!("/user.slice/user-1000.slice/user@1000.service/user.slice/docker-{A}.scope/init"),
                "docker",
            ),
            (format!("/system.slice/nerdctl-{A}.scope"), "containerd"),
            (format!("/default/{A}"), "-"),
            (format!("/machine.slice/libpod-{A}.scope/container"), "podman"),
            (format!("/libpod_parent/libpod-{A}"), "podman"),
            ("/system.slice/ssh.service".to_owned(), "host"),
            (format!("/machine.slice/libpod-conmon-{A}.scope"), "host"),
            (format!("/system.slice/crio-conmon-{A}.scope"), "host"),
            (format!("/docker/{}", &A[1..]), "host"),
            ("/lxc.monitor.web".to_owned(), "host"),
        ] {
            assert_in(&path, kind, "-");
        }
        for (path, kind) in [
            (format!("/kubepods/besteffort/pod{UID}/{A}"), "containerd"),
            (format!("/kubepods.slice/kubepods-pod{uid}.slice/cri-containerd-{A}.scope"), "containerd"),
            (
                format!(
                    "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{uid}.slice/crio-{A}.scope"
                ),
                "cri-o",
            ),
            (
                format!(
                    "/system.slice/containerd.service/kubepods-burstable-pod{uid}.slice:cri-containerd:{A}"
                ),
                "containerd",
            ),
            // One of Docker within a pod.
            (format!("/kubepods/pod{UID}/{}/docker/{A}", A.replace('a', "f")), "docker"),
            (format!("/kubepods/burstable/pod{UID}"), "host"),
        ] {
            assert_in(&path, kind, UID);
        }
    }

    #[test]
    fn containers_of_lxc_have_names() {
        for path in ["/lxc/web", "/lxc.payload/web/system.slice", "/lxc.payload.web/init.scope"] {
            let mut state = state();
            state.threads[3].cgroups = format!("memory={path}\0").into();
            let web = [("container.id", "web"), ("container.full_id", "web"), ("container.type", "lxc")];
            Capture::of(&state).call(70).has(&web);
        }
    }

    #[test]
    fn without_groups_nothing_is_known() {
        let mut state = state();
        state.threads[3].cgroups = Vec::new();
        Capture::of(&state).call(70).has(&[("container.id", "-"), ("container.type", "-")]);
    }
}

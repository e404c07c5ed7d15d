//! Fields of the container that a process is in: as the names of its control groups tell, and as a runtime has told in a
//! container event. At a container event, they are those of the container that it tells of.
//!
//! Where sysdig's values differ:
//!
//! | field | sysdig 0.29 | here |
//! | --- | --- | --- |
//! | `container.type` | none before the runtime has told | by the name of the group |
//! | `container.mount*` | the argument is a pattern | the argument is the path |
//! | `k8s.pod.id` | of a label | of a label, or by the name of the group |

use std::borrow::Cow;

use super::{
    Argument, Key, Type, Value,
    row::Row,
    task::{JOINED, described},
};
use crate::{
    container::{self, Description, Kind, Mount},
    replay::Moment,
};

pub(super) const ROWS: &[Row] = &[
    text("container.id", "the first 12 characters of the container's id; host for a process in none", |m| {
        Some(Value::text(place(m)?.map_or(HOST, |found| found.id)))
    }),
    text("container.full_id", "id of the container; host for a process in none", |m| {
        Some(Value::text(place(m)?.map_or(HOST, |found| found.full_id)))
    }),
    text("container.name", "name of the container, as its runtime told; host for a process in none", |m| {
        match place(m)? {
            None => Some(Value::text(HOST)),
            Some(found) => told_text(&found.told?.name),
        }
    }),
    text(
        "container.type",
        "what made the container: docker, containerd, cri-o, podman or lxc; host for a process in none",
        |m| match place(m)? {
            None => Some(Value::text(HOST)),
            Some(found) => found.kind.map(|kind| Value::text(kind.name().as_bytes())),
        },
    ),
    text("container.image", "image of the container, as it was asked for", |m| told_text(&told(m)?.image)),
    text("container.image.id", "id of that image", |m| told_text(&told(m)?.image_id)),
    text("container.image.repository", "name of that image without tag and digest", |m| {
        told_text(&told(m)?.image_repository)
    }),
    text("container.image.tag", "tag of that image", |m| told_text(&told(m)?.image_tag)),
    text("container.image.digest", "digest of that image in its registry", |m| {
        told_text(&told(m)?.image_digest)
    }),
    Row::one(
        "container.privileged",
        Type::Bool,
        "whether the container has all rights of the machine",
        |m| {
            let told = told(m).filter(|told| told.kind.is_some_and(Kind::tells_privileges))?;
            Some(Value::Bool(told.is_privileged))
        },
    )
    .cost(JOINED),
    keyed(
        "container.label",
        Argument::Key,
        "label of the container, as container.label[maintainer]",
        |m, key| told(m)?.label(&key_text(key)?).map(owned),
    ),
    text("container.labels", "all labels of the container, as name:value", |m| {
        Some(owned(&labels(told(m)?, |_| true)))
    }),
    text(
        "container.mounts",
        "all mounts of the container, as source:destination:options:writable:propagation",
        |m| {
            let all = told(m)?.mounts.iter().map(mount_text).collect::<Vec<_>>();
            Some(owned(&all.join(",")))
        },
    ),
    keyed("container.mount", Argument::Key, "a mount, by its number or its source", |m, key| {
        Some(owned(&mount_text(mount(m, key, |mount| &mount.source)?)))
    }),
    keyed(
        "container.mount.source",
        Argument::Key,
        "source of a mount, by its number or its destination",
        |m, key| Some(owned(&mount(m, key, |mount| &mount.destination)?.source)),
    ),
    keyed(
        "container.mount.dest",
        Argument::Key,
        "destination of a mount, by its number or its source",
        |m, key| Some(owned(&mount(m, key, |mount| &mount.source)?.destination)),
    ),
    keyed(
        "container.mount.mode",
        Argument::Key,
        "options of a mount, by its number or its source",
        |m, key| Some(owned(&mount(m, key, |mount| &mount.source)?.mode)),
    ),
    keyed(
        "container.mount.rdwr",
        Argument::Key,
        "true if a mount can be written, by its number or its source",
        |m, key| Some(Value::text(truth(mount(m, key, |mount| &mount.source)?.is_writable).as_bytes())),
    ),
    keyed(
        "container.mount.propagation",
        Argument::Key,
        "how further mounts propagate, by number or source",
        |m, key| Some(owned(&mount(m, key, |mount| &mount.source)?.propagation)),
    ),
    text(
        "container.healthcheck",
        "command that looks whether the container is well; NONE without one",
        |m| probe(m, 0),
    ),
    text(
        "container.liveness_probe",
        "command of Kubernetes that looks whether it lives; NONE without one",
        |m| probe(m, 1),
    ),
    text(
        "container.readiness_probe",
        "command of Kubernetes that looks whether it is ready; NONE without one",
        |m| probe(m, 2),
    ),
    text("k8s.pod.uid", "uid of the Kubernetes pod that the container is in", pod_uid),
    text("k8s.pod.id", "the same, by its older name", pod_uid),
    text("k8s.pod.name", "name of that pod, as the runtime told", |m| kubernetes(m, "pod.name")),
    text("k8s.ns.name", "namespace of that pod", |m| kubernetes(m, "pod.namespace")),
    text("k8s.pod.sandbox_id", "the first 12 characters of the id of the pod's sandbox", |m| {
        sandbox(m).map(|id| owned(id.get(..12).unwrap_or(id)))
    }),
    text("k8s.pod.full_sandbox_id", "id of the pod's sandbox", |m| sandbox(m).map(owned)),
    keyed("k8s.pod.label", Argument::Key, "label of that pod, as k8s.pod.label[app]", |m, key| {
        pod(m)?.label(&key_text(key)?).map(owned)
    }),
    text("k8s.pod.labels", "all labels of that pod, without those of Kubernetes itself", |m| {
        let is_own = |name: &str| !name.starts_with("annotation.") && !name.starts_with(KUBERNETES);
        Some(owned(&labels(pod(m)?, is_own)))
    }),
];

/// What is said of a process that is in no container.
const HOST: &[u8] = b"host";
/// The labels that Kubernetes gives to containers.
const KUBERNETES: &str = "io.kubernetes.";

/// The container of the current event.
struct Place<'a> {
    id: &'a [u8],
    full_id: &'a [u8],
    kind: Option<Kind>,
    told: Option<&'a Description>,
}

const fn text(
    name: &'static str,
    about: &'static str,
    get: for<'a> fn(&'a Moment<'a>) -> Option<Value<'a>>,
) -> Row {
    Row::one(name, Type::Text, about, get).cost(JOINED)
}

const fn keyed(
    name: &'static str,
    argument: Argument,
    about: &'static str,
    get: for<'a> fn(&'a Moment<'a>, Option<&Key>) -> Option<Value<'a>>,
) -> Row {
    Row::keyed(name, Type::Text, argument, about, get).cost(JOINED)
}

/// Returns the container of the current process, or that of which the event tells. The outer `None` is that nothing is known,
/// the inner one that it is in none.
fn place<'a>(m: &'a Moment<'a>) -> Option<Option<Place<'a>>> {
    if let Some(told) = m.machine.told_container() {
        let full_id = if told.full_id.is_empty() { &told.id } else { &told.full_id };
        let (id, full_id) = (told.id.as_bytes(), full_id.as_bytes());
        return Some(Some(Place { id, full_id, kind: told.kind, told: Some(told) }));
    }
    let cgroups = &described(m)?.cgroups;
    if cgroups.is_empty() {
        return None;
    }
    Some(container::in_groups(cgroups).map(|found| {
        let told = m.machine.container(found.short_id());
        let kind = told.and_then(|told| told.kind).or(found.kind);
        Place { id: found.short_id(), full_id: found.id, kind, told }
    }))
}

/// Returns what a runtime has told of the current container.
fn told<'a>(m: &'a Moment<'a>) -> Option<&'a Description> {
    place(m)??.told
}

/// Returns a text that a runtime has told, if it is not empty.
fn told_text(text: &str) -> Option<Value<'_>> {
    Some(Value::text(text.as_bytes())).filter(|_| !text.is_empty())
}

fn owned<'a>(text: &str) -> Value<'a> {
    Value::Text(text.as_bytes().to_vec().into())
}

fn key_text(key: Option<&Key>) -> Option<Cow<'_, str>> {
    Some(match key? {
        Key::Index(number) => number.to_string().into(),
        Key::Name(name) => (&**name).into(),
    })
}

const fn truth(is: bool) -> &'static str {
    if is { "true" } else { "false" }
}

fn labels(of: &Description, is_wanted: impl Fn(&str) -> bool) -> String {
    let wanted = of.labels.iter().filter(|(name, _)| is_wanted(name));
    let texts = wanted.map(|(name, value)| match value.is_empty() {
        true => name.to_string(),
        false => format!("{name}:{value}"),
    });
    texts.collect::<Vec<_>>().join(", ")
}

/// Returns the mount with a number, or that of which a path is this one.
fn mount<'a>(m: &'a Moment<'a>, key: Option<&Key>, path: impl Fn(&Mount) -> &str) -> Option<&'a Mount> {
    let mounts = &told(m)?.mounts;
    match key? {
        Key::Index(number) => mounts.get(*number as usize),
        Key::Name(name) => mounts.iter().find(|mount| path(mount) == &**name),
    }
}

fn mount_text(mount: &Mount) -> String {
    let Mount { source, destination, mode, is_writable, propagation } = mount;
    format!("{source}:{destination}:{mode}:{}:{propagation}", truth(*is_writable))
}

fn probe<'a>(m: &'a Moment<'a>, number: usize) -> Option<Value<'a>> {
    let probe = &told(m)?.probes[number];
    Some(told_text(probe).unwrap_or(Value::text(b"NONE")))
}

fn kubernetes<'a>(m: &'a Moment<'a>, label: &str) -> Option<Value<'a>> {
    told(m)?.label(&format!("{KUBERNETES}{label}")).map(owned)
}

fn pod_uid<'a>(m: &'a Moment<'a>) -> Option<Value<'a>> {
    kubernetes(m, "pod.uid").or_else(|| {
        let uid = container::pod_in_groups(&described(m)?.cgroups)?;
        let uid = uid.iter().map(|byte| if *byte == b'_' { b'-' } else { *byte });
        Some(Value::Text(uid.collect::<Vec<_>>().into()))
    })
}

/// Returns the id of the sandbox of the current pod.
fn sandbox<'a>(m: &'a Moment<'a>) -> Option<&'a str> {
    let told = told(m)?;
    let is_sandbox = told.label("io.kubernetes.cri.container-type") == Some("sandbox");
    told.label("io.kubernetes.sandbox.id").or_else(|| is_sandbox.then_some(&*told.full_id))
}

/// Returns what the runtime has told of the sandbox of the current pod, which has the pod's labels.
fn pod<'a>(m: &'a Moment<'a>) -> Option<&'a Description> {
    let id = sandbox(m)?;
    m.machine.container(id.get(..12).unwrap_or(id).as_bytes())
}

#[cfg(test)]
#[path = "container_tests.rs"]
mod tests;

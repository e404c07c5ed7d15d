//! Tests of the fields of containers.

use crate::{
    container,
    fields::fixture::{Capture, state},
};

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
        (format!("/user.slice/user-1000.slice/user@1000.service/user.slice/docker-{A}.scope/init"), "docker"),
        (format!("/system.slice/nerdctl-{A}.scope"), "containerd"),
        (format!("/default/{A}"), "-"),
        (format!("/machine.slice/libpod-{A}.scope/container"), "podman"),
        (format!("/libpod_parent/libpod-{A}"), "podman"),
        (format!("/system.slice/web.service/libpod-payload-{A}"), "podman"),
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
            format!("/system.slice/containerd.service/kubepods-burstable-pod{uid}.slice:cri-containerd:{A}"),
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
const TOLD: &str = r#"{"container":{"id":"aaaaaaaaaaaa","full_id":"FULL","type":8,"name":"web","image":"quay.io/a/web:1",
    "imageid":"e1","imagerepo":"quay.io/a/web","imagetag":"1","imagedigest":"sha256:d","privileged":true,
    "Mounts":[{"Source":"/srv","Destination":"/data","Mode":"z","RW":true,"Propagation":"rprivate"},
        {"Source":"/etc","Destination":"/conf","Mode":"","RW":false,"Propagation":""}],
    "LivenessProbe":{"exe":"curl","args":["-f","/"]},
    "labels":{"app":"shop","empty":"","io.kubernetes.pod.name":"shop-1","io.kubernetes.pod.namespace":"store",
        "io.kubernetes.pod.uid":"UID","io.kubernetes.sandbox.id":"ssssssssssss0123"}}}"#;

/// A process in a container, of which a runtime has told this.
fn told(json: &str) -> Capture {
    let mut state = state();
    state.threads[3].cgroups = format!("memory=/machine.slice/crio-{A}.scope\0").into();
    let mut capture = Capture::of(&state);
    let event = container::event_of(&json.replace("FULL", A).replace("UID", UID), capture.ts);
    capture.add(&event);
    capture
}

#[test]
fn what_a_runtime_has_told_is_known_at_each_event_of_the_container() {
    let fields = [
        ("container.id", &A[..12]),
        ("container.full_id", A),
        ("container.name", "web"),
        ("container.type", "cri-o"),
        ("container.image", "quay.io/a/web:1"),
        ("container.image.id", "e1"),
        ("container.image.repository", "quay.io/a/web"),
        ("container.image.tag", "1"),
        ("container.image.digest", "sha256:d"),
        ("container.privileged", "true"),
        ("container.label[app]", "shop"),
        ("container.label.app", "shop"),
        ("container.label[other]", "-"),
        ("container.mounts", "/srv:/data:z:true:rprivate,/etc:/conf::false:"),
        ("container.mount[1]", "/etc:/conf::false:"),
        ("container.mount[/srv]", "/srv:/data:z:true:rprivate"),
        ("container.mount.source[/conf]", "/etc"),
        ("container.mount.dest[0]", "/data"),
        ("container.mount.mode[/srv]", "z"),
        ("container.mount.rdwr[1]", "false"),
        ("container.mount.propagation[0]", "rprivate"),
        ("container.mount[2]", "-"),
        ("container.healthcheck", "NONE"),
        ("container.liveness_probe", "curl -f /"),
        ("k8s.pod.name", "shop-1"),
        ("k8s.ns.name", "store"),
        ("k8s.pod.uid", UID),
        ("k8s.pod.id", UID),
        ("k8s.pod.sandbox_id", "ssssssssssss"),
        ("k8s.pod.full_sandbox_id", "ssssssssssss0123"),
    ];
    // At the container event itself, and at one of the process.
    told(TOLD).has(&fields);
    told(TOLD).call(70).has(&fields);
    let labels = "app:shop, empty, io.kubernetes.pod.name:shop-1, io.kubernetes.pod.namespace:store, \
                  io.kubernetes.pod.uid:UID, io.kubernetes.sandbox.id:ssssssssssss0123"
        .replace("UID", UID);
    told(TOLD).call(70).has(&[("container.labels", &labels)]);
}

#[test]
fn a_pod_has_the_labels_of_its_sandbox() {
    let mut capture = told(TOLD);
    let sandbox = r#"{"container":{"id":"ssssssssssss","full_id":"ssssssssssss0123","type":8,
        "labels":{"tier":"front","io.kubernetes.pod.name":"shop-1","annotation.a":"b",
            "io.kubernetes.cri.container-type":"sandbox"}}}"#;
    let event = container::event_of(sandbox, capture.ts);
    let pod = [("k8s.pod.label[tier]", "front"), ("k8s.pod.labels", "tier:front")];
    capture.add(&event).has(&pod);
    capture.call(70).has(&pod);
    capture.has(&[("container.label[tier]", "-")]);
}

#[test]
fn what_is_not_told_has_no_value() {
    let mut capture = told(r#"{"container":{"id":"aaaaaaaaaaaa","type":1}}"#);
    capture.call(70).has(&[
        ("container.id", &A[..12]),
        ("container.name", "-"),
        ("container.type", "lxc"),
        ("container.image", "-"),
        ("container.privileged", "-"),
        ("container.mounts", ""),
        ("container.healthcheck", "NONE"),
        ("k8s.pod.name", "-"),
        ("k8s.pod.labels", "-"),
    ]);
    // One in another container, and one in none.
    capture.call(60).has(&[
        ("container.name", "host"),
        ("container.image", "-"),
        ("container.privileged", "-"),
    ]);
}

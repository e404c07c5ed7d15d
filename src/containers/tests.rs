//! Lookups at sockets of tests, which answer as runtimes do, or not.

mod fake;

use std::time::{Duration, Instant};

use super::*;
use fake::{Cri, Fake, container, sandbox};

const ID: &str = "0b1c2d3e4f506172839405a6b7c8d9e00b1c2d3e4f506172839405a6b7c8d9e0";
const OTHER: &str = "1b1c2d3e4f506172839405a6b7c8d9e00b1c2d3e4f506172839405a6b7c8d9e0";
/// What podman 5.4.2 answered about a container that did not start, with another id.
const ANSWER: &str = include_str!("../../tests/data/podman-inspect.json");

fn socket(api: Api, fake: &Fake) -> Socket {
    Socket { path: fake.path(), api, user: None }
}

fn groups(id: &str) -> String {
    format!("cpu=/machine.slice/libpod-{id}.scope/container\0")
}

fn crio(id: &str) -> String {
    format!("memory=/kubepods.slice/crio-{id}.scope\0")
}

/// Asks for a container; returns what was told, and what became of it.
fn look(sockets: &[Socket], cgroups: &str) -> (Option<container::Description>, Tally) {
    let mut lookup = Lookup::start(sockets, Confinement::Off).unwrap();
    lookup.see(cgroups.as_bytes());
    let told = lookup.take_until(Instant::now() + Duration::from_secs(10));
    (told.and_then(|json| container::Description::parse(json.as_bytes())), lookup.tally())
}

/// Waits until a container is described, also if that takes more than the first request.
fn await_description(lookup: &mut Lookup) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while lookup.tally().described == 0 && Instant::now() < deadline {
        lookup.take();
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn http(status: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[test]
fn podman_is_asked_over_http() {
    let fake = Fake::http(http("200 OK", &ANSWER.replace("THE_ID", ID)));
    let (told, tally) = look(&[socket(Api::Podman, &fake)], &groups(ID));
    let told = told.unwrap();
    assert_eq!((&*told.full_id, told.kind), (ID, Some(Kind::Podman)));
    assert_eq!((&*told.name, &*told.image), ("web", "docker.io/demo/box:7"));
    assert_eq!((&*told.image_repository, &*told.image_tag), ("docker.io/demo/box", "7"));
    assert_eq!((told.label("tier"), told.is_privileged), (Some("front"), false));
    assert_eq!(tally.described, 1);
    assert!(fake.heard().starts_with(&format!("GET /containers/{ID}/json HTTP/1.1\r\n")));
}

#[test]
fn what_is_no_answer_gives_no_name() {
    let whole = http("200 OK", &ANSWER.replace("THE_ID", ID));
    let endless =
        [b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n".to_vec(), vec![b' '; 4 << 20]].concat();
    for (what, answer) in [
        ("half of it", whole[..whole.len() / 2].to_vec()),
        ("garbage", b"\0\xff\r\n\r\nfoo".to_vec()),
        ("nothing", Vec::new()),
        ("no JSON", http("200 OK", "{\"Id\":")),
        ("another container", http("200 OK", &ANSWER.replace("THE_ID", OTHER))),
        ("an error", http("500 Internal Server Error", "{}")),
        ("too much", endless),
        ("endless headers", [b"HTTP/1.1 200 OK\r\n".to_vec(), b"A: b\r\n".repeat(1 << 18)].concat()),
    ] {
        let fake = Fake::http(answer);
        let began = Instant::now();
        let (told, _) = look(&[socket(Api::Docker, &fake)], &groups(ID).replace("libpod", "docker"));
        assert_eq!(told, None, "{what}");
        assert!(began.elapsed() < answer::PATIENCE * 3, "{what}");
    }
}

#[test]
fn the_next_socket_is_asked_if_one_does_not_know() {
    let (not, knows) =
        (Fake::http(http("404 Not Found", "{}")), Fake::http(http("200 OK", &ANSWER.replace("THE_ID", ID))));
    let missing = Socket { path: "/nowhere/podman.sock".into(), api: Api::Podman, user: None };
    let sockets = [missing, socket(Api::Podman, &not), socket(Api::Podman, &knows)];
    assert_eq!(look(&sockets, &groups(ID)).0.map(|told| told.name), Some("web".into()));
    // One of containerd is not asked for at Docker's sockets.
    assert_eq!(look(&sockets, &crio(OTHER)).0, None);
    assert_eq!(knows.requests(), 1);
}

#[test]
fn a_runtime_that_hangs_is_left_alone() {
    let (hangs, knows) = (Fake::silent(), Fake::http(http("200 OK", &ANSWER.replace("THE_ID", OTHER))));
    let sockets = [socket(Api::Podman, &hangs), socket(Api::Docker, &knows)];
    let mut lookup = Lookup::start(&sockets, Confinement::Off).unwrap();
    let began = Instant::now();
    lookup.see(groups(ID).as_bytes());
    // Asking does not wait.
    assert!(began.elapsed() < answer::PATIENCE / 2);
    assert_eq!(lookup.take_until(Instant::now() + Duration::from_secs(10)), None);
    assert!(began.elapsed() >= answer::PATIENCE);
    let again = Instant::now();
    lookup.see(groups(OTHER).replace("libpod", "docker").as_bytes());
    assert!(lookup.take_until(Instant::now() + Duration::from_secs(10)).is_some());
    lookup.see(groups(&ID.replace('0', "7")).as_bytes());
    assert_eq!(lookup.take_until(Instant::now() + Duration::from_secs(10)), None);
    assert!(again.elapsed() < answer::PATIENCE, "it is not asked for a while");
    assert_eq!(hangs.requests(), 1);
}

#[test]
fn a_runtime_that_starts_is_asked_again() {
    let fake = Fake::late(http("200 OK", &ANSWER.replace("THE_ID", ID)));
    let mut lookup = Lookup::start(&[socket(Api::Podman, &fake)], Confinement::Off).unwrap();
    lookup.see(groups(ID).as_bytes());
    assert_eq!(lookup.take_until(Instant::now() + Duration::from_secs(10)), None);
    assert_eq!((lookup.tally().described, lookup.tally().failed), (0, 1));
    await_description(&mut lookup);
    assert_eq!((lookup.tally().described, lookup.tally().failed, fake.requests()), (1, 0, 2));
}

#[test]
fn a_container_that_starts_is_asked_for_again() {
    let fake =
        Fake::http_in_turn(vec![http("404 Not Found", "{}"), http("200 OK", &ANSWER.replace("THE_ID", ID))]);
    let mut lookup = Lookup::start(&[socket(Api::Podman, &fake)], Confinement::Off).unwrap();
    lookup.see(groups(ID).as_bytes());
    // The first answer is that it is unknown.
    assert_eq!(lookup.take_until(Instant::now() + Duration::from_secs(10)), None);
    await_description(&mut lookup);
    assert_eq!((lookup.tally().described, fake.requests()), (1, 2));
}

#[test]
fn more_than_fit_into_the_queue_are_counted() {
    let hangs = Fake::silent();
    let mut lookup = Lookup::start(&[socket(Api::Podman, &hangs)], Confinement::Off).unwrap();
    let began = Instant::now();
    for number in 0..4 * QUEUE {
        lookup.see(groups(&format!("{number:064x}")).as_bytes());
    }
    assert!(began.elapsed() < answer::PATIENCE, "the recording does not wait");
    assert!(lookup.tally().passed_over >= (QUEUE as u64), "{:?}", lookup.tally());
}

#[test]
fn a_container_is_asked_for_once() {
    let fake = Fake::http(http("200 OK", &ANSWER.replace("THE_ID", ID)));
    let mut lookup = Lookup::start(&[socket(Api::Podman, &fake)], Confinement::Off).unwrap();
    for _ in 0..3 {
        lookup.see(groups(ID).as_bytes());
        lookup.see(b"cpu=/system.slice/ssh.service\0");
        lookup.take_until(Instant::now() + Duration::from_secs(10));
    }
    assert_eq!((fake.requests(), lookup.known().count()), (1, 1));
}

#[test]
fn a_users_socket_is_believed_only_if_it_is_theirs() {
    let fake = Fake::http(http("200 OK", &ANSWER.replace("THE_ID", ID)));
    let own = rustix::process::geteuid().as_raw();
    let of = |user| Socket { user: Some(user), ..socket(Api::Podman, &fake) };
    assert!(look(&[of(own)], &groups(ID)).0.is_some());
    // Root may listen for others.
    if own != 0 {
        assert!(look(&[of(own + 1)], &groups(ID)).0.is_none());
    }
    let usual = |user| {
        let wanted = Wanted { id: ID.into(), kind: Some(Kind::Podman), user };
        sockets::to_ask(&wanted, &[]).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(usual(None), ["podman:/run/podman/podman.sock"]);
    assert_eq!(usual(Some(1000)), ["podman:/run/user/1000/podman/podman.sock"]);
    // Root's containers are the machine's, whatever started them.
    assert_eq!(usual(Some(0)), ["podman:/run/user/0/podman/podman.sock", "podman:/run/podman/podman.sock"]);
}

#[test]
fn a_socket_with_two_paths_is_asked_once() {
    let of_docker = |var_run_is_apart| {
        let sockets = sockets::usual(var_run_is_apart).filter(|socket| socket.api == Api::Docker);
        sockets.map(|socket| socket.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(of_docker(false), ["docker:/run/docker.sock"]);
    assert_eq!(of_docker(true), ["docker:/run/docker.sock", "docker:/var/run/docker.sock"]);
}

#[test]
fn sockets_are_given_with_what_they_speak() {
    for (text, shown) in [
        ("/run/user/1000/podman/podman.sock", "podman:/run/user/1000/podman/podman.sock"),
        ("/run/k3s/containerd/containerd.sock", "cri:/run/k3s/containerd/containerd.sock"),
        ("cri:/run/x.sock", "cri:/run/x.sock"),
        ("docker:/run/podman.sock", "docker:/run/podman.sock"),
    ] {
        assert_eq!(text.parse::<Socket>().unwrap().to_string(), shown);
    }
    assert_eq!("/run/x.sock".parse::<Socket>(), Err(SocketError::Api));
    assert_eq!("docker.sock".parse::<Socket>(), Err(SocketError::Relative));
}

#[test]
fn kubernetes_runtimes_are_asked_over_grpc() {
    let status = container(ID, OTHER);
    let fake = Fake::grpc(Cri { containers: vec![status], sandboxes: vec![sandbox(OTHER)] });
    let sockets = [socket(Api::Cri, &fake)];
    let told = look(&sockets, &crio(ID)).0.unwrap();
    assert_eq!((&*told.name, &*told.image, told.kind), ("shop", "quay.io/shop:2", Some(Kind::CriO)));
    assert_eq!((&*told.image_id, &*told.image_digest), ("e1", "sha256:d1"));
    assert_eq!((told.is_privileged, told.label("io.kubernetes.sandbox.id")), (true, Some(OTHER)));
    assert_eq!(told.label("io.kubernetes.pod.name"), Some("shop-1"));
    assert_eq!((&*told.mounts[0].source, told.mounts[0].is_writable), ("/srv", true));
    let told = look(&sockets, &crio(OTHER)).0.unwrap();
    assert_eq!((&*told.name, told.label("io.kubernetes.pod.namespace")), ("shop-1", Some("store")));
    assert_eq!(told.label("tier"), Some("front"));
    assert_eq!(look(&sockets, &crio(&ID.replace('0', "7"))).0, None);
}

#[test]
fn what_is_no_grpc_gives_no_name() {
    let wrong =
        Fake::grpc(Cri { containers: vec![container(OTHER, OTHER)], sandboxes: vec![sandbox(OTHER)] });
    let mut answers = vec![wrong.always()];
    answers.extend([b"\0\0\0".to_vec(), http("200 OK", "{}"), vec![0xff; 1 << 20]].map(Fake::http));
    for fake in &answers {
        assert_eq!(look(&[socket(Api::Cri, fake)], &crio(ID)).0, None);
    }
    let began = Instant::now();
    assert_eq!(look(&[socket(Api::Cri, &Fake::silent())], &crio(ID)).0, None);
    assert!(began.elapsed() < answer::PATIENCE * 3);
}

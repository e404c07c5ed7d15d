use super::*;
use crate::events::EVENTS;

const PLAIN_JSON: &str = r#"{"container":{"id":"9dbcbd0c435f","type":0,"name":"web"}}"#;

fn told(event: &[u8]) -> Option<Description> {
    told_by(&EventView::parse(event, true).unwrap())
}

fn build(ty: EventType, values: &[Value<'_>]) -> Vec<u8> {
    let builder = EventBuilder::new(event(ty).unwrap(), 7, 1);
    values.iter().fold(builder, |builder, value| builder.param(*value).unwrap()).build().unwrap()
}

#[test]
fn all_types_of_container_events_are_understood() {
    let json = PLAIN_JSON.as_bytes();
    let inner = br#"{"id":"9dbcbd0c435f","type":0,"name":"web"}"#;
    let texts = [Value::Text(b"9dbcbd0c435f"), Value::Uint(0), Value::Text(b"web"), Value::Text(b"")];
    for event in [
        build(PLAIN, &texts),
        build(JSON, &[Value::Text(json)]),
        build(JSON_2, &[Value::Text(json)]),
        build(ASYNC, &[Value::Uint(1), Value::Text(b"container"), Value::Bytes(json)]),
        build(ASYNC, &[Value::Uint(1), Value::Text(b"container_added"), Value::Bytes(inner)]),
    ] {
        let told = told(&event).unwrap();
        assert_eq!((&*told.id, &*told.name, told.kind), ("9dbcbd0c435f", "web", Some(Kind::Docker)));
    }
    assert!(told(&build(ASYNC, &[Value::Uint(1), Value::Text(b"other"), Value::Bytes(json)])).is_none());
    assert!(told(&build(JSON, &[Value::Text(b"{")])).is_none());
}

#[test]
fn an_event_that_is_made_tells_what_it_was_made_of() {
    let event = event_of(PLAIN_JSON, 12);
    let view = EventView::parse(&event, true).unwrap();
    assert_eq!((view.ts(), view.tid(), is_event(view.ty())), (12, u64::MAX, true));
    assert_eq!(&*told(&event).unwrap().json, PLAIN_JSON);
}

#[test]
fn the_types_are_those_of_the_table() {
    let names: Vec<_> = EVENTS.iter().filter(|row| is_event(row.ty)).map(|row| row.code).collect();
    assert_eq!(names, ["PPME_CONTAINER_E", "PPME_CONTAINER_JSON_E", "PPME_CONTAINER_JSON_2_E"]);
    assert_eq!(event(ASYNC).unwrap().code, "PPME_ASYNCEVENT_E");
}

#[test]
fn members_of_the_wrong_type_are_missing() {
    let told = Description::parse(
        br#"{"container":{"id":"a","type":"x","name":7,"labels":{"b":"2","a":"1","c":3},"Mounts":[1,
            {"Source":"/s","Destination":"/d","RW":true}],"Healthcheck":{"exe":"curl","args":["-f",1]},"privileged":"yes"}}"#,
    )
    .unwrap();
    assert_eq!((told.kind, &*told.name, told.is_privileged), (None, "", false));
    assert_eq!((told.label("a"), told.label("b"), told.label("c")), (Some("1"), Some("2"), None));
    assert_eq!(told.mounts.len(), 1);
    assert_eq!((&*told.mounts[0].source, told.mounts[0].is_writable), ("/s", true));
    assert_eq!(&*told.probes[0], "curl -f");
}

#[test]
fn what_is_no_description_is_none() {
    let deep = format!("{{\"container\":{}", "[".repeat(100_000));
    let long = format!("{{\"id\":\"a\",\"x\":\"{}\"}}", "x".repeat(MAX_JSON));
    for json in ["", "{}", "[]", "null", r#"{"id":""}"#, r#"{"container":[]}"#, "\u{0}", &deep, &long] {
        assert!(Description::parse(json.as_bytes()).is_none(), "{}", &json[..json.len().min(20)]);
    }
    assert!(Description::parse(b"\xff").is_none());
}

#[test]
fn a_whole_id_is_cut_to_the_one_that_readers_know() {
    let id = "0123456789abcdef".repeat(4);
    let told = Description::parse(format!(r#"{{"id":"{id}"}}"#).as_bytes()).unwrap();
    assert_eq!(&*told.id, "0123456789ab");
}

#[test]
fn groups_in_a_users_session_say_the_user() {
    let id = "a".repeat(64);
    let path = format!(
        "cpu=/\0memory=/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{id}.scope/container\0"
    );
    let found = in_groups(path.as_bytes()).unwrap();
    assert_eq!(
        (found.user, found.kind, found.short_id()),
        (Some(1000), Some(Kind::Podman), &id.as_bytes()[..12])
    );
    let path = format!("memory=/machine.slice/libpod-{id}.scope\0");
    assert_eq!(in_groups(path.as_bytes()).unwrap().user, None);
    // A group of the user's own making, which is called like the session of root.
    let path =
        format!("memory=/user.slice/user-1000.slice/user@1000.service/user-0.slice/libpod-{id}.scope\0");
    assert_eq!(in_groups(path.as_bytes()).unwrap().user, Some(1000));
}

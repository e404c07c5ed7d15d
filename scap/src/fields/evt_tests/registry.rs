//! Tests of the registry of fields, and of filters that use it.

use std::sync::Arc;

use super::*;
use crate::{
    events::{EVENTS, EventFlags},
    filter::{Filter, Matcher},
    format::{EventBuilder, is_named_by_type},
};

/// All names of these classes that sysdig and Falco have.
const NAMES: &str = "\
    evt.latency evt.latency.s evt.latency.ns evt.latency.quantized evt.latency.human evt.deltatime evt.deltatime.s \
    evt.deltatime.ns evt.outputtime evt.dir evt.type evt.type.is syscall.type evt.category evt.cpu evt.args evt.arg \
    evt.rawarg evt.info evt.buffer evt.buflen evt.res evt.rawres evt.failed evt.is_io evt.is_io_read evt.is_io_write \
    evt.io_dir evt.is_wait evt.wait_latency evt.is_syslog evt.count evt.count.error evt.count.error.file \
    evt.count.error.net evt.count.error.memory evt.count.error.other evt.count.exit evt.count.procinfo \
    evt.count.threadinfo evt.abspath evt.buflen.in evt.buflen.out evt.buflen.file evt.buflen.file.in \
    evt.buflen.file.out evt.buflen.net evt.buflen.net.in evt.buflen.net.out evt.is_open_read evt.is_open_write \
    evt.infra.docker.name evt.infra.docker.container.id evt.infra.docker.container.name \
    evt.infra.docker.container.image evt.is_open_exec evt.is_open_create evt.num evt.time evt.time.s \
    evt.time.iso8601 evt.datetime evt.datetime.s evt.rawtime evt.rawtime.s evt.rawtime.ns evt.reltime evt.reltime.s \
    evt.reltime.ns evt.pluginname evt.plugininfo evt.source evt.is_async evt.asynctype evt.hostname fs.path.name \
    fs.path.nameraw fs.path.source fs.path.sourceraw fs.path.target fs.path.targetraw";

#[test]
fn every_field_is_there_or_has_a_reason() {
    let is_there = |name: &str| Fields.fields().iter().filter(|field| field.name == name).count();
    for name in NAMES.split_whitespace() {
        assert_eq!(is_there(name) + usize::from(Fields.why_not(name).is_some()), 1, "{name}");
    }
    for field in Fields.fields() {
        assert_eq!(is_there(field.name), 1, "{}", field.name);
        assert!(Fields.why_not(field.name).is_none(), "{}", field.name);
        assert!(!field.about.is_empty() && !field.about.ends_with('.'), "{}", field.name);
    }
    assert_eq!(Fields.why_not("evt.pluginname"), Some("captures of system calls have no plugins"));
    assert!(Fields.why_not("evt.around[5]").is_some());
    assert!(Fields::unsupported().all(|(name, why)| Fields.why_not(name) == Some(why)));
    assert!(Fields.why_not("evt.pluginnames").is_none() && Fields.why_not("evt").is_none());
}

/// A filter relies on a field's type.
#[test]
fn values_have_the_type_of_their_field_at_any_event() {
    let mut references: Vec<_> = Fields.fields().iter().enumerate().map(|(field, of)| (field, *of)).collect();
    references.retain(|(_, field)| field.name.starts_with("evt.") || field.name.starts_with("fs."));
    let references: Vec<Reference> = references
        .into_iter()
        .flat_map(|(field, of)| {
            let names = Fields.argument_names(field).unwrap_or_default().into_iter();
            let named = names.map(|name| Some(Key::Name(name.into()))).collect::<Vec<_>>();
            let alone = (of.argument != Argument::Key).then_some(None);
            let index = (of.argument == Argument::Key).then_some(Some(Key::Index(0)));
            named.into_iter().chain(alone).chain(index).map(move |argument| Reference { field, argument })
        })
        .collect();
    // Bytes that are neither zero nor a valid text, index or size.
    let filler: Arc<[u8]> = vec![0x81; 64].into();
    for row in EVENTS {
        let mut of_type: [Vec<String>; 2] = Default::default();
        for len in [0, 1] {
            let lengths: Vec<_> =
                row.params.iter().map(|param| len * param.ty.size().unwrap_or(11)).collect();
            let wide = row.flags.contains(EventFlags::LARGE_PAYLOAD);
            let mut event = EventBuilder::new(row, TS, 100).build_short().unwrap();
            event[22..26].copy_from_slice(&(lengths.len() as u32).to_ne_bytes());
            for length in &lengths {
                let bytes = (*length as u32).to_le_bytes();
                event.extend_from_slice(if wide { &bytes } else { &bytes[..2] });
            }
            lengths.iter().for_each(|length| event.extend_from_slice(&filler[..*length]));
            let all = event.len() as u32;
            event[16..20].copy_from_slice(&all.to_ne_bytes());
            Capture::new().bytes(&event).0.replay(|moment| {
                for reference in &references {
                    moment.values(reference, &mut |value| {
                        let ty = Fields.type_of(reference);
                        let fits = match &value {
                            Value::Text(_) => matches!(ty, Type::Text | Type::Bytes),
                            Value::Int(_) => ty == Type::Int,
                            Value::Uint(_) => {
                                matches!(ty, Type::Uint | Type::Time | Type::Duration | Type::Port)
                            }
                            Value::Bool(_) => ty == Type::Bool,
                            Value::Double(_) => ty == Type::Double,
                            Value::Ip(_) => matches!(ty, Type::Ip | Type::Net),
                        };
                        assert!(fits, "{}: {reference:?} {ty:?} {value:?}", row.code);
                        if Fields.is_of_type(reference.field) {
                            of_type[len].push(format!("{reference:?} {value:?}"));
                        }
                        true
                    });
                }
            });
        }
        if is_named_by_type(row.ty) {
            let [without, with] = &of_type;
            for (one, other) in without.iter().zip(with) {
                assert_eq!(one, other, "at {}: the type alone does not determine this field", row.code);
            }
            assert_eq!(without.len(), with.len(), "{}", row.code);
        }
    }
}

/// Returns which events of a capture match a filter.
fn matches(capture: &Capture, text: &str) -> Vec<u64> {
    let filter = Filter::parse(text, &Fields).unwrap();
    let mut matcher = Matcher::new(&filter, &Fields);
    let mut found = Vec::new();
    capture.0.replay(|moment| {
        if matcher.matches(moment.event().ty(), moment) {
            found.push(moment.num);
        }
    });
    found
}

#[test]
fn filters_of_these_fields() {
    let name = |name| [("name", Param::Text(name))];
    let capture = Capture::new()
        .event("asyncevent_e", &name(b"container"))
        .event("asyncevent_e", &name(b"other"))
        .event("openat_x", &opened(-2, 1 | 4096, 0))
        .event(
            "read_x",
            &[("res", Param::Errno(2)), ("data", Param::Bytes(b"abc")), ("size", Param::Uint(4096))],
        );
    for (filter, found) in [
        ("evt.type = other", &[2][..]),
        ("evt.type.is.container = 1", &[1]),
        ("evt.type in (openat, read) and evt.failed = true", &[3]),
        ("evt.arg.flags contains O_CLOEXEC", &[3]),
        ("evt.rawarg.size >= 4K or evt.arg[0] = ENOENT", &[3, 4]),
        ("evt.buffer bcontains 6263", &[4]),
        ("evt.rawarg.data exists or fs.path.name startswith /srv", &[3, 4]),
        ("evt.deltatime > 1us and evt.rawtime.s = 1534527348", &[2, 3, 4]),
        ("not evt.abspath.dst exists and evt.count.exit = 1", &[4]),
    ] {
        assert_eq!(matches(&capture, filter), found, "{filter}");
    }
    let error = |text| Filter::parse(text, &Fields).unwrap_err().to_string();
    assert!(
        error("evt.pluginname = x").ends_with("evt.pluginname: captures of system calls have no plugins")
    );
    assert!(error("evt.arg.flgas = x").ends_with("evt.arg has no argument flgas; did you mean flags?"));
}

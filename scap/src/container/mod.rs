//! Containers: which one a process is in, as its control groups say, and what a runtime has told of it.
//!
//! A container event carries what a runtime knows as JSON, in the form of sysdig and Falco. There are four types:
//!
//! | event | of | parameters |
//! | --- | --- | --- |
//! | 228 | recorders before 2018 | id, type, name, image |
//! | 272 | recorders before 2022 | the JSON, up to 64 KiB |
//! | 324 | scapd, and sysdig up to 0.39 | the JSON |
//! | 402, called `container` | the container plugin of Falco from 0.41 on | the JSON |

mod description;
mod group;
mod kind;

pub use description::{Description, MAX_JSON, Mount};
pub use group::{Container, ID, in_groups, is_id, pod_in_groups};
pub use kind::Kind;

use crate::{
    events::{EventType, event},
    format::{EventBuilder, EventView, Value},
};

/// `PPME_CONTAINER_E`.
const PLAIN: EventType = EventType(228);
/// `PPME_CONTAINER_JSON_E`.
const JSON: EventType = EventType(272);
/// `PPME_CONTAINER_JSON_2_E`.
const JSON_2: EventType = EventType(324);
/// `PPME_ASYNCEVENT_E`.
const ASYNC: EventType = EventType(402);
/// How those of Falco's plugin are called that tell of a container.
const ASYNC_NAMES: [&[u8]; 2] = [b"container", b"container_added"];
/// No thread: these events are of the recorder.
const NO_THREAD: u64 = u64::MAX;

/// Returns whether events of this type are about containers alone, and thus never events of the machine.
pub const fn is_event(ty: EventType) -> bool {
    matches!(ty, PLAIN | JSON | JSON_2)
}

/// Returns what an event tells of a container; `None` if it tells of none, or is damaged.
pub fn told_by(event: &EventView<'_>) -> Option<Description> {
    let text = |name: &str| match event.value(name)?.ok()?.value {
        Value::Text(text) => Some(text),
        Value::Bytes(bytes) => Some(bytes.strip_suffix(b"\0").unwrap_or(bytes)),
        _ => None,
    };
    match event.ty() {
        PLAIN => {
            let Value::Uint(kind) = event.value("type")?.ok()?.value else { return None };
            let text = |name| text(name).map(String::from_utf8_lossy).unwrap_or_default();
            Description::of_parts(&text("id"), kind, &text("name"), &text("image"))
        }
        JSON | JSON_2 => Description::parse(text("json")?),
        ASYNC if ASYNC_NAMES.contains(&text("name")?) => Description::parse(text("data")?),
        _ => None,
    }
}

/// Builds the event of a container at `ts` ns since the epoch. `json` is a [description's](Description::json).
pub fn event_of(json: &str, ts: u64) -> Vec<u8> {
    let Some(row) = event(JSON_2) else { return Vec::new() };
    EventBuilder::new(row, ts, NO_THREAD)
        .param(Value::Text(json.as_bytes()))
        .and_then(EventBuilder::build)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;

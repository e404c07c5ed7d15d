//! Traces for Perfetto. (`make test-export` compares them with Perfetto's own schema.)

use std::collections::{HashMap, HashSet};

use prost::Message;
use scapd::export::perfetto::messages::{
    COUNTER, INSTANT, SLICE_BEGIN, SLICE_END, Trace, TracePacket, TrackDescriptor, TrackEvent,
};

use super::*;

fn exported_trace(folder: &TempDir, capture: &Path, options: &[&str]) -> Vec<TracePacket> {
    let path = folder.path().join("trace");
    print(&[&["export", "--to", "perfetto", "-o", text(&path), text(capture)][..], options].concat());
    let trace = Trace::decode(&fs::read(&path).unwrap()[..]).unwrap();
    fs::remove_file(path).unwrap();
    trace.packet
}

/// The events of tracks with their times; each track was described before.
fn events(packets: &[TracePacket]) -> Vec<(u64, TrackEvent)> {
    let mut known = HashSet::new();
    let mut events = Vec::new();
    for packet in packets {
        assert_eq!(packet.trusted_packet_sequence_id, Some(1));
        known.extend(packet.track_descriptor.as_ref().and_then(|track| track.uuid));
        if let Some(event) = &packet.track_event {
            assert!(known.contains(&event.track_uuid.unwrap()), "{event:?}");
            events.push((packet.timestamp.unwrap(), event.clone()));
        }
    }
    events
}

fn argument(event: &TrackEvent, name: &str) -> Option<String> {
    let found = event.debug_annotations.iter().find(|a| a.name.as_deref() == Some(name))?;
    found.string_value.clone().or_else(|| found.int_value.map(|value| value.to_string()))
}

fn descriptors(packets: &[TracePacket]) -> HashMap<u64, TrackDescriptor> {
    let tracks = packets.iter().filter_map(|packet| packet.track_descriptor.clone());
    tracks.map(|track| (track.uuid.unwrap(), track)).collect()
}

#[test]
fn calls_are_slices_of_their_threads() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("a.scap");
    let next =
        [Value::Pid(8), Value::Uint(0), Value::Uint(0), Value::Uint(0), Value::Uint(0), Value::Uint(0)];
    let switch = event("sched_switch", START + 30_000, 7, &next);
    fs::write(&capture, strategies::capture(&machine(b"a"), &[calls(START), vec![switch]].concat())).unwrap();
    let packets = exported_trace(&folder, &capture, &[]);
    assert_eq!(packets[0].sequence_flags, Some(1));
    assert_eq!(packets[0].clock_snapshot.as_ref().unwrap().clocks.len(), 2);
    let (events, tracks) = (events(&packets), descriptors(&packets));
    let of = |ty: i32| events.iter().filter(move |(_, event)| event.r#type == Some(ty));
    let begins: Vec<_> =
        of(SLICE_BEGIN).map(|(ts, event)| (ts - START, event.name.clone().unwrap())).collect();
    // The last one does not end.
    let expected = [(0, "openat"), (4_000, "write"), (10_000, "openat"), (20_000, "read")];
    assert_eq!(begins, expected.map(|(ts, name)| (ts, name.to_owned())));
    assert_eq!(of(SLICE_END).map(|(ts, _)| ts - START).collect::<Vec<_>>(), [3_000, 9_000, 12_000]);
    let (_, opened) = of(SLICE_BEGIN).next().unwrap();
    let shown = r#"/a "b", 'c'\n;\r\td\\ \u{1b}[31m\xffé\u{202e}</script>"#;
    assert_eq!(argument(opened, "name").as_deref(), Some(shown));
    assert_eq!(argument(opened, "result").as_deref(), Some("77"));
    let (_, failed) = of(SLICE_BEGIN).nth(2).unwrap();
    assert_eq!(argument(failed, "error").as_deref(), Some("EACCES"));
    let track = &tracks[&opened.track_uuid.unwrap()];
    assert_eq!(track.thread.as_ref().unwrap().tid, Some(7));
    assert!(tracks[&track.parent_uuid.unwrap()].process.is_some());
    let switched = packets.iter().find_map(|packet| packet.ftrace_events.as_ref()).unwrap();
    let switch = switched.event[0].sched_switch.as_ref().unwrap();
    assert_eq!((switch.prev_pid, switch.next_pid), (Some(7), Some(8)));
    assert_eq!((switched.cpu, switched.event[0].timestamp), (Some(8), Some(START + 30_000)));
    // Counters: bytes of the process, and what was lost.
    let counted = of(COUNTER).filter(|(ts, _)| *ts < START + 30_000);
    let counted: Vec<_> = counted
        .map(|(_, event)| {
            (tracks[&event.track_uuid.unwrap()].name.clone().unwrap(), event.counter_value.unwrap())
        })
        .filter(|(name, _)| name != "resident memory")
        .collect();
    assert_eq!(counted, [("bytes written".to_owned(), 5), ("lost events".to_owned(), 12)]);
    let (_, notice) = of(INSTANT).next().unwrap();
    assert_eq!(argument(notice, "id").as_deref(), Some("scapd.gap"));
    // What is lost is there whatever a filter chooses.
    let chosen = exported_trace(&folder, &capture, &["evt.type = write"]);
    assert!(self::events(&chosen).iter().any(|(_, event)| argument(event, "id").is_some()));
    assert_eq!(
        self::events(&chosen).iter().filter(|(_, event)| event.r#type == Some(SLICE_BEGIN)).count(),
        1
    );
}

#[test]
fn any_events_are_a_valid_trace() {
    let folder = tempfile::tempdir().unwrap();
    let capture = capture(&folder);
    let packets = exported_trace(&folder, &capture, &[]);
    let events = events(&packets);
    let top: Json = serde_json::from_str(&print(&["top", "--json", "-n", "0", text(&capture)])).unwrap();
    let total: u64 =
        top["groups"].as_array().unwrap().iter().map(|group| group["total_ns"].as_u64().unwrap_or(0)).sum();
    let mut open = HashMap::new();
    let mut time = 0;
    for (ts, event) in &events {
        match event.r#type {
            Some(SLICE_BEGIN) => drop(open.insert(event.track_uuid, *ts)),
            Some(SLICE_END) => time += ts - open.remove(&event.track_uuid).unwrap(),
            _ => {}
        }
    }
    assert_eq!(time, total, "the slices take as long as the calls");
    assert!(time > 0 && events.len() > 1_000);
}

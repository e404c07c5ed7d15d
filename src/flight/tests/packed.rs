//! Segments that are packed: more of them fit, and nothing else is different.

use super::{
    state::{busy, contents, longer, machine},
    *,
};
use crate::flight::{gauge::Gauge, segment::Segment};

fn packed(flight: Flight) -> Flight {
    Flight { is_packed: true, ..flight }
}

/// Waits until all segments but the newest are packed, each of which is at least as large as `LARGE`.
fn await_packed(fed: &mut Fed, newest: u64) {
    let deadline = Instant::now() + Duration::from_secs(60);
    fed.window.tick();
    // With the fixed rest of the thread.
    while fed.status().window.bytes > (2 << 20) + newest * 26_300 + 600_000 {
        assert!(Instant::now() < deadline, "{:?}", fed.status());
        thread::sleep(Duration::from_millis(1));
        fed.window.tick();
    }
}

#[test]
fn more_events_fit_if_they_are_packed() {
    let large = Flight { time: Duration::from_secs(1000), bytes: Flight::LEAST_PACKED, ..flight() };
    let fill = |flight: Flight| {
        let mut fed = Fed::new(flight.clone());
        // Each second has 800 kB.
        for second in 0..30 {
            fed.second(second * 40..(second + 1) * 40);
            assert!(fed.status().window.bytes <= flight.bytes, "{:?}", fed.status());
            if flight.is_packed {
                await_packed(&mut fed, 40);
            }
        }
        fed
    };
    assert!(fill(large.clone()).status().window.evicted > 400);
    let mut fed = fill(packed(large));
    assert_eq!((fed.status().window.events, fed.status().window.evicted), (1200, 0));
    fed.trigger(0);
    fed.second(1200..1201);
    fed.settle();
    let dumps = fed.dumps();
    assert_eq!(dumps[0].0, (0..1200).collect::<Vec<_>>());
    assert_eq!(dumps[0].1.left_out.evicted, 0);
}

#[test]
fn what_leaves_the_window_is_applied_though_it_is_packed() {
    for flight in [flight(), longer(1000, Flight::LEAST)] {
        let [plain, other] = [flight.clone(), packed(flight)].map(|flight| {
            let mut fed = Fed::of(flight, &machine());
            for number in 0..3 {
                // In the same segment as what changes the state: an event that can be packed.
                fed.large(number);
            }
            busy(&mut fed);
            fed.trigger(0);
            fed.settle();
            let (_folder, paths) = fed.end();
            contents(&paths[0])
        });
        assert_eq!((other.start, other.events), (plain.start, plain.events));
        assert_eq!((other.longer, other.verdict, other.state), (plain.longer, plain.verdict, plain.state));
    }
}

#[test]
fn a_segment_is_the_same_when_it_is_packed() {
    let gauge = Gauge::default();
    let mut random = fastrand::Rng::with_seed(11);
    let mut blocks = Vec::new();
    for number in 0..30 {
        frame_event(&mut blocks, 1, &event(number, number));
    }
    let segment = Segment::new(blocks.clone(), Verdict { written: 30, ..Verdict::default() }, &gauge);
    let packed = segment.with(segment.pack().unwrap(), &gauge);
    assert!(packed.size() < segment.size() / 10, "{} of {}", packed.size(), segment.size());
    assert_eq!(gauge.bytes(), packed.size() + segment.size());
    assert!(packed.blocks() == blocks);
    assert_eq!((packed.index.first, packed.index.latest, packed.events()), (0, 29, 30));
    assert_eq!((&packed.index, packed.balance), (&segment.index, segment.balance));
    assert!(packed.pack().is_none() && packed.into_memory().is_none());
    drop(segment);
    assert_eq!(gauge.bytes(), 0);
    // What does not get smaller stays as it is.
    let noise: Vec<u8> = (0..100_000).map(|_| random.u8(..)).collect();
    assert!(Segment::new(noise, Verdict::default(), &gauge).pack().is_none());
}

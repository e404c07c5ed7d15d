//! A thread that packs segments of the window, and has time for it only where nobody else needs the CPU.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use super::{
    gauge::{Counted, Gauge},
    ring::Ring,
    segment::{Packed, Segment},
};

/// Segments on their way.
const MOST: usize = 2;
/// What they and the thread take, in bytes.
const REST: usize = 2 << 20;
/// The lowest priority.
const NICE: i32 = 19;

/// The thread, and what it is at.
#[derive(Debug)]
pub struct Packer {
    /// `None` once it ends.
    segments: Option<SyncSender<(u64, Arc<Segment>)>>,
    packed: Receiver<(u64, Option<Packed>)>,
    on_their_way: usize,
    /// The number of the next segment.
    next: u64,
    thread: Option<JoinHandle<()>>,
    _counted: Counted,
}

impl Packer {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system refuses it.
    pub fn start(gauge: &Gauge) -> io::Result<Packer> {
        let (segments, to_pack) = sync_channel::<(u64, Arc<Segment>)>(MOST);
        let (done, packed) = sync_channel(MOST);
        let work = move || {
            // Without it, the thread competes with others.
            let _ = rustix::process::setpriority_process(None, NICE);
            while let Ok((number, segment)) = to_pack.recv() {
                let packed = segment.pack();
                drop(segment);
                if done.send((number, packed)).is_err() {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("scapd-pack".to_owned()).spawn(work)?;
        Ok(Packer {
            segments: Some(segments),
            packed,
            on_their_way: 0,
            next: 0,
            thread: Some(thread),
            _counted: gauge.count(REST),
        })
    }

    /// Puts packed segments in the place of those in a ring, and takes others of it, if it may (`is_idle`): all but the newest.
    pub fn work(&mut self, ring: &mut Ring, is_idle: bool) {
        while let Ok((number, packed)) = self.packed.try_recv() {
            self.on_their_way -= 1;
            if let Some(packed) = packed {
                ring.replace(number, packed);
            }
        }
        let Some(segments) = self.segments.as_ref().filter(|_| is_idle) else { return };
        self.next = self.next.max(ring.left());
        while self.on_their_way < MOST
            && let Some(segment) = ring.older(self.next)
            && segments.try_send((self.next, segment)).is_ok()
        {
            self.on_their_way += 1;
            self.next += 1;
        }
    }
}

impl Drop for Packer {
    fn drop(&mut self) {
        self.segments = None;
        if let Some(thread) = self.thread.take() {
            // A panic has been printed where it happened.
            let _ = thread.join();
        }
    }
}

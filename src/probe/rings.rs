//! The rings of a probe: their number and size, and which CPU writes into which.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use libbpf_rs::{MapCore, MapFlags, MapHandle, MapType, libbpf_sys};

use super::{ProbeError, alarm::Alarm, cpus::CpuSet};
use crate::ring::buffer::RingBuffer;

/// How the memory for events is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingLayout {
    /// Size of each ring in bytes: a power of two, at least a page.
    pub ring_size: u32,
    /// The number of rings.
    pub rings: usize,
    /// How many of them are for the CPUs that are online when the probe is opened, assigned round robin. If this is
    /// less than `rings`, the last ring is for all CPUs that come later.
    pub of_online: usize,
}

impl RingLayout {
    /// Plans a ring of `ring_size` bytes for each of `online` CPUs, and one for all those that `may_come`. If these
    /// would take more than `budget` bytes, there are fewer rings, and CPUs share them.
    pub fn new(ring_size: u64, budget: u64, online: usize, may_come: bool) -> Result<RingLayout, ProbeError> {
        let page = rustix::param::page_size() as u64;
        let size = u32::try_from(ring_size).ok().filter(|s| s.is_power_of_two() && u64::from(*s) >= page);
        let Some(ring_size) = size else { return Err(ProbeError::RingSize { bytes: ring_size, page }) };
        let affordable = usize::try_from(budget / u64::from(ring_size)).unwrap_or(usize::MAX);
        let wanted = online + usize::from(may_come);
        let rings = wanted.min(affordable).max(1);
        let spare = usize::from(may_come && rings > 1);
        Ok(RingLayout { ring_size, rings, of_online: rings - spare })
    }

    /// Returns, for each possible CPU, the index of the ring that it writes into.
    fn of_cpus(&self, cpus: &CpuSet) -> Vec<usize> {
        let mut rings = vec![self.rings - 1; cpus.possible];
        for (n, cpu) in cpus.online.iter().enumerate() {
            rings[*cpu] = n % self.of_online;
        }
        rings
    }
}

/// Creates the BPF map of a ring of this size (bytes).
pub(super) fn create(size: u32) -> libbpf_rs::Result<MapHandle> {
    let options = libbpf_sys::bpf_map_create_opts {
        sz: size_of::<libbpf_sys::bpf_map_create_opts>() as _,
        ..Default::default()
    };
    MapHandle::create(MapType::RingBuf, Some("scapd_ring"), 0, 0, size, &options)
}

/// Creates the rings, stores them in the programs' array, maps them into memory, and adds them to the alarm.
pub(super) fn set_up(
    array: &impl MapCore,
    layout: RingLayout,
    cpus: &CpuSet,
    alarm: &Alarm,
) -> Result<Vec<RingBuffer>, ProbeError> {
    let maps = (0..layout.rings)
        .map(|_| create(layout.ring_size))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| ProbeError::libbpf(format!("create rings of {} bytes", layout.ring_size), e))?;
    for (cpu, ring) in layout.of_cpus(cpus).into_iter().enumerate() {
        let ring = maps[ring].as_fd().as_raw_fd();
        array
            .update(&(cpu as u32).to_ne_bytes(), &ring.to_ne_bytes(), MapFlags::ANY)
            .map_err(|e| ProbeError::libbpf(format!("give CPU {cpu} its ring"), e))?;
    }
    maps.iter()
        .map(|ring| {
            watch(ring.as_fd(), alarm)?;
            map(ring.as_fd(), layout.ring_size)
        })
        .collect()
}

/// Adds a ring to the alarm.
pub(super) fn watch(ring: BorrowedFd<'_>, alarm: &Alarm) -> Result<(), ProbeError> {
    alarm.add(ring).map_err(|e| ProbeError::failed("wait for a ring", e))
}

/// Maps a ring of this size (bytes) into memory. The mapping keeps the ring; the descriptor may be closed.
pub(super) fn map(ring: BorrowedFd<'_>, size: u32) -> Result<RingBuffer, ProbeError> {
    RingBuffer::map(ring, size).map_err(|e| ProbeError::failed("map a ring into memory", e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpus(possible: usize, online: usize) -> CpuSet {
        CpuSet { possible, counted: online, online: (0..online).collect() }
    }

    #[test]
    fn a_budget_makes_cpus_share_rings() {
        let layout = RingLayout::new(8 << 20, 512 << 20, 256, false).unwrap();
        assert_eq!(layout.rings, 64);
        assert_eq!(layout.of_cpus(&cpus(256, 256))[65], 1);
        assert_eq!(RingLayout::new(8 << 20, 512 << 20, 4, false).unwrap().rings, 4);
        assert_eq!(RingLayout::new(8 << 20, 0, 4, false).unwrap().rings, 1);
        let layout = RingLayout::new(8 << 20, 0, 4, true).unwrap();
        assert_eq!(layout.of_cpus(&cpus(6, 4)), [0; 6]);
    }

    #[test]
    fn cpus_that_are_not_there_share_one_ring() {
        let layout = RingLayout::new(8 << 20, 512 << 20, 2, true).unwrap();
        assert_eq!(layout.rings, 3);
        let rings = layout.of_cpus(&cpus(128, 2));
        assert_eq!(rings[..2], [0, 1]);
        assert!(rings.len() == 128 && rings[2..].iter().all(|ring| *ring == 2));
    }

    #[test]
    fn a_ring_is_a_power_of_two() {
        assert!(matches!(RingLayout::new(3 << 20, 1 << 30, 1, false), Err(ProbeError::RingSize { .. })));
        assert!(matches!(RingLayout::new(1024, 1 << 30, 1, false), Err(ProbeError::RingSize { .. })));
    }
}

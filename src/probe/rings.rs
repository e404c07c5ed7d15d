//! The rings of a probe: how many, how large, which CPU writes into which.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use libbpf_rs::{MapCore, MapFlags, MapHandle, MapType, libbpf_sys};

use super::{ProbeError, alarm::Alarm};
use crate::ring::buffer::RingBuffer;

/// How the memory for events is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingLayout {
    /// Bytes of each ring: a power of two, at least a page.
    pub ring_size: u32,
    /// How many rings there are. CPU n writes into ring n modulo this number.
    pub rings: usize,
}

impl RingLayout {
    /// A ring of `ring_size` bytes for each of `cpus` CPUs; fewer rings, shared by CPUs, if all of them together would
    /// take more than `budget` bytes.
    pub fn new(ring_size: u64, budget: u64, cpus: usize) -> Result<RingLayout, ProbeError> {
        let page = rustix::param::page_size() as u64;
        let size = u32::try_from(ring_size).ok().filter(|s| s.is_power_of_two() && u64::from(*s) >= page);
        let Some(ring_size) = size else { return Err(ProbeError::RingSize { bytes: ring_size, page }) };
        let affordable = usize::try_from(budget / u64::from(ring_size)).unwrap_or(usize::MAX);
        Ok(RingLayout { ring_size, rings: cpus.min(affordable).max(1) })
    }

    /// The ring that a CPU writes into.
    pub fn ring_of(&self, cpu: usize) -> usize {
        cpu % self.rings
    }
}

/// Creates a ring of this size: the kernel's map of it.
pub(super) fn create(size: u32) -> libbpf_rs::Result<MapHandle> {
    let options = libbpf_sys::bpf_map_create_opts {
        sz: size_of::<libbpf_sys::bpf_map_create_opts>() as _,
        ..Default::default()
    };
    MapHandle::create(MapType::RingBuf, Some("scapd_ring"), 0, 0, size, &options)
}

/// Creates the rings, puts them into the programs' array, maps them, and has the alarm wait for them.
pub(super) fn set_up(
    array: &impl MapCore,
    layout: RingLayout,
    cpus: usize,
    alarm: &Alarm,
) -> Result<Vec<RingBuffer>, ProbeError> {
    let maps = (0..layout.rings)
        .map(|_| create(layout.ring_size))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| ProbeError::libbpf(format!("create rings of {} bytes", layout.ring_size), e))?;
    for cpu in 0..cpus {
        let ring = maps[layout.ring_of(cpu)].as_fd().as_raw_fd();
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

/// Has the alarm wait for a ring.
pub(super) fn watch(ring: BorrowedFd<'_>, alarm: &Alarm) -> Result<(), ProbeError> {
    alarm.add(ring).map_err(|e| ProbeError::failed("wait for a ring", e))
}

/// Maps a ring of this size into memory. The mapping keeps it; the descriptor is not needed any more.
pub(super) fn map(ring: BorrowedFd<'_>, size: u32) -> Result<RingBuffer, ProbeError> {
    RingBuffer::map(ring, size).map_err(|e| ProbeError::failed("map a ring into memory", e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_makes_cpus_share_rings() {
        let layout = RingLayout::new(8 << 20, 512 << 20, 256).unwrap();
        assert_eq!(layout.rings, 64);
        assert_eq!(layout.ring_of(65), 1);
        assert_eq!(RingLayout::new(8 << 20, 512 << 20, 4).unwrap().rings, 4);
        assert_eq!(RingLayout::new(8 << 20, 0, 4).unwrap().rings, 1);
    }

    #[test]
    fn a_ring_is_a_power_of_two() {
        assert!(matches!(RingLayout::new(3 << 20, 1 << 30, 1), Err(ProbeError::RingSize { .. })));
        assert!(matches!(RingLayout::new(1024, 1 << 30, 1), Err(ProbeError::RingSize { .. })));
    }
}

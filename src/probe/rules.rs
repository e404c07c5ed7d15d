//! The settings that leave events out, or keep more of their data than others: their values.

use std::{fmt, str::FromStr};

use thiserror::Error;

use scapd_bpf::types::sc_wanted;

use super::control::slots;
use scap::events::{SYSCALLS, Sampling};

/// What is recorded while sampling: one part of so many of each second, its first. A power of two from 1 to 128.
///
/// Events of some calls are recorded all the same, and those of others, frequent and of little use, not at all, even with 1:
/// see [`Sampling`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SampleRatio(u32);

impl SampleRatio {
    /// The largest one.
    pub const MAX: u32 = 128;

    /// Into how many parts a second is divided.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for SampleRatio {
    type Error = RuleError;

    fn try_from(ratio: u32) -> Result<SampleRatio, RuleError> {
        let possible = ratio.is_power_of_two() && ratio <= SampleRatio::MAX;
        possible.then_some(SampleRatio(ratio)).ok_or(RuleError::Ratio)
    }
}

impl FromStr for SampleRatio {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<SampleRatio, RuleError> {
        text.parse().map_err(|_| RuleError::Ratio).and_then(|ratio: u32| ratio.try_into())
    }
}

/// Some ports in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    first: u16,
    last: u16,
}

impl Ports {
    /// From `first` to `last`, both included.
    ///
    /// # Errors
    /// [`RuleError::Ports`] if `first` is 0, or greater than `last`.
    pub fn new(first: u16, last: u16) -> Result<Ports, RuleError> {
        (first > 0 && first <= last).then_some(Ports { first, last }).ok_or(RuleError::Ports)
    }

    /// As in `sc_settings.full_capture_ports`.
    pub(super) fn to_word(self) -> u32 {
        u32::from(self.first) | u32::from(self.last) << 16
    }
}

impl FromStr for Ports {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Ports, RuleError> {
        let port = |text: &str| text.trim().parse().map_err(|_| RuleError::Ports);
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Ports::new(port(first)?, port(last)?)
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// Traffic of which more is kept than the snaplen: 16,000 bytes through some ports; 2,000 bytes to statsd, and of what
/// looks like HTTP or like queries of MySQL, PostgreSQL and MongoDB; 512 bytes to a DNS server.
///
/// A snaplen that is larger is kept to. Data in several buffers (`readv`, `sendmsg`) is judged by the ports alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DynamicSnaplen {
    /// Ports, at either end, whose traffic is of special interest.
    pub full_capture: Option<Ports>,
    /// The port that statsd listens at; 0: none.
    pub statsd_port: u16,
}

impl DynamicSnaplen {
    /// Where statsd listens if nobody has changed it.
    pub const STATSD_PORT: u16 = 8125;
}

impl Default for DynamicSnaplen {
    fn default() -> DynamicSnaplen {
        DynamicSnaplen { full_capture: None, statsd_port: DynamicSnaplen::STATSD_PORT }
    }
}

/// Why a value is none that a setting can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RuleError {
    /// Of a [`SampleRatio`].
    #[error("not a part that can be recorded: write 1, 2, 4, 8, 16, 32, 64 or 128")]
    Ratio,
    /// Of [`Ports`].
    #[error("not a range of ports: write 5000-5010, or one port, from 1 to 65535")]
    Ports,
}

/// The bits of `sc_settings.wanted` that have to do with sampling.
pub(super) const SAMPLING: u8 = sc_wanted::SC_SAMPLE_BY_CLOCK.0
    | sc_wanted::SC_SAMPLE_NOTHING.0
    | sc_wanted::SC_SAMPLE_DONE.0
    | sc_wanted::SC_SAMPLE_DESCRIPTORS.0;

/// Those bits while sampling, for each slot up to `count`. Calls that the tables do not know are sampled by the clock.
pub(super) fn sampling_bits(count: usize) -> Vec<u8> {
    let by_clock = sc_wanted::SC_SAMPLE_BY_CLOCK.0;
    let mut bits = vec![by_clock; count];
    for call in SYSCALLS {
        let of_call = match call.sampling {
            Sampling::Never => 0,
            Sampling::Always => sc_wanted::SC_SAMPLE_NOTHING.0,
            Sampling::Sampled => by_clock,
            Sampling::IfFailed => sc_wanted::SC_SAMPLE_DONE.0,
            Sampling::IfNoDescriptor => by_clock | sc_wanted::SC_SAMPLE_DESCRIPTORS.0,
        };
        slots(call).for_each(|slot| bits[slot] = of_call);
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;
    use scap::events::{Arch, Syscall};

    #[test]
    fn ratios_are_powers_of_two() {
        let possible: Vec<u32> = (0..1000).filter(|n| SampleRatio::try_from(*n).is_ok()).collect();
        assert_eq!(possible, [1, 2, 4, 8, 16, 32, 64, 128]);
        assert_eq!("8".parse().map(SampleRatio::get), Ok(8));
        assert_eq!("x".parse::<SampleRatio>(), Err(RuleError::Ratio));
    }

    #[test]
    fn ranges_of_ports() {
        assert_eq!("5000-5010".parse(), Ports::new(5000, 5010));
        assert_eq!("80".parse(), Ports::new(80, 80));
        assert_eq!(Ports::new(1, 65535).unwrap().to_word(), 0xffff_0001);
        for wrong in ["", "-", "0-5", "0", "6-5", "1-65536", "a-b", "1-2-3"] {
            assert_eq!(wrong.parse::<Ports>(), Err(RuleError::Ports), "{wrong}");
        }
    }

    #[test]
    fn each_class_of_calls_has_its_bits() {
        let bits = sampling_bits(2048);
        let of =
            |name: &str| bits[usize::from(Syscall::by_name(name).unwrap().number(Arch::NATIVE).unwrap())];
        assert_eq!(of("openat"), 0);
        assert_eq!(of("read"), sc_wanted::SC_SAMPLE_BY_CLOCK.0);
        assert_eq!(of("futex"), sc_wanted::SC_SAMPLE_NOTHING.0);
        assert_eq!(of("close"), sc_wanted::SC_SAMPLE_DONE.0);
        assert_eq!(of("fcntl"), sc_wanted::SC_SAMPLE_BY_CLOCK.0 | sc_wanted::SC_SAMPLE_DESCRIPTORS.0);
        assert!(bits.iter().all(|b| b & !SAMPLING == 0));
        let rules = SAMPLING | sc_wanted::SC_DROP_FAILED.0 | sc_wanted::SC_FOR_NAMES.0;
        assert_eq!(rules, sc_wanted::SC_WANT_RULES.0);
    }
}

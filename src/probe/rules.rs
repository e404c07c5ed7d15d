//! Values of the settings that leave events out or keep more of their data.

use std::{fmt, str::FromStr};

use thiserror::Error;

use scapd_bpf::types::sc_wanted;

use super::slots::slots;
use scap::events::{SYSCALLS, Sampling};

/// The divisor of sampling: each second is divided into this many parts, and only the first is recorded. A power of two
/// from 1 to 128.
///
/// Some calls are always recorded. Others, frequent and of little use, are never recorded while sampling, even with 1:
/// see [`Sampling`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SampleRatio(u32);

impl SampleRatio {
    /// The largest ratio.
    pub const MAX: u32 = 128;

    /// Returns the number of parts of a second.
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

/// A range of ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    first: u16,
    last: u16,
}

impl Ports {
    /// Makes the range from `first` to `last`, inclusive.
    ///
    /// # Errors
    /// [`RuleError::Ports`] if `first` is 0, or greater than `last`.
    pub fn new(first: u16, last: u16) -> Result<Ports, RuleError> {
        (first > 0 && first <= last).then_some(Ports { first, last }).ok_or(RuleError::Ports)
    }

    /// Returns the encoding of `sc_settings.full_capture_ports`.
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

/// Traffic of which more data than the snaplen is kept: 16,000 bytes on the selected ports; 2,000 bytes to statsd, and
/// of what looks like HTTP or like queries of MySQL, PostgreSQL and MongoDB; 512 bytes to a DNS server.
///
/// A larger snaplen takes precedence. Data in several buffers (`readv`, `sendmsg`) is matched by port only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DynamicSnaplen {
    /// Ports, at either end, of which 16,000 bytes are kept.
    pub full_capture: Option<Ports>,
    /// The port that statsd listens on; 0 for none.
    pub statsd_port: u16,
}

impl DynamicSnaplen {
    /// The default port of statsd.
    pub const STATSD_PORT: u16 = 8125;
}

impl Default for DynamicSnaplen {
    fn default() -> DynamicSnaplen {
        DynamicSnaplen { full_capture: None, statsd_port: DynamicSnaplen::STATSD_PORT }
    }
}

/// An invalid value of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RuleError {
    /// An invalid [`SampleRatio`].
    #[error("not a sample ratio: use 1, 2, 4, 8, 16, 32, 64 or 128")]
    Ratio,
    /// Invalid [`Ports`].
    #[error("not a range of ports: use a port from 1 to 65535, or a range such as 5000-5010")]
    Ports,
}

/// The sampling bits of `sc_settings.wanted`.
pub(super) const SAMPLING: u8 = sc_wanted::SC_SAMPLE_BY_CLOCK.0
    | sc_wanted::SC_SAMPLE_NOTHING.0
    | sc_wanted::SC_SAMPLE_DONE.0
    | sc_wanted::SC_SAMPLE_DESCRIPTORS.0;

/// Returns the bits set while sampling, for each slot below `count`. Calls that the tables do not know are sampled by
/// the clock.
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

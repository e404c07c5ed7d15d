//! Which files of a series are kept.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use serde::Deserialize;

/// What is kept of a series. The oldest files are deleted first, the current one never.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// Maximum number of files, including the current one.
    pub files: Option<u64>,
    /// Maximum total size in bytes.
    pub bytes: Option<u64>,
    /// Maximum time since a file was closed.
    pub age: Option<Duration>,
    /// Minimum free room on the disk.
    pub free: Option<Free>,
}

/// Room on a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Free {
    /// In bytes.
    Bytes(u64),
    /// In percent of the disk.
    Percent(u8),
}

/// A finished file of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    /// When it was closed: ns since the epoch.
    pub(super) closed: u64,
}

/// The disk with the files; size and free room in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Disk {
    pub(super) size: u64,
    pub(super) free: u64,
}

/// Unfinished files: they count, but are never deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Unfinished {
    pub(super) files: u64,
    pub(super) bytes: u64,
}

impl Retention {
    /// Returns whether any limit is set.
    pub fn is_some(&self) -> bool {
        *self != Retention::default()
    }

    /// Returns whether files are deleted to save room. They are then also deleted when the disk is full.
    pub fn saves_room(&self) -> bool {
        self.files.is_some() || self.bytes.is_some() || self.free.is_some()
    }

    /// Returns how many of the files, sorted from oldest to newest, have to be deleted. `now` is in ns since the epoch.
    pub(super) fn surplus(&self, stored: &[Stored], unfinished: Unfinished, disk: Disk, now: u64) -> usize {
        let mut files = stored.len() as u64 + unfinished.files;
        let mut bytes = stored.iter().map(|file| file.bytes).sum::<u64>() + unfinished.bytes;
        let mut free = disk.free;
        let mut surplus = 0;
        for file in stored {
            let old = now.saturating_sub(file.closed);
            let goes = self.files.is_some_and(|limit| files > limit)
                || self.bytes.is_some_and(|limit| bytes > limit)
                || self.age.is_some_and(|limit| u128::from(old) > limit.as_nanos())
                || self.lacks(Disk { free, ..disk });
            if !goes {
                break;
            }
            files -= 1;
            bytes -= file.bytes;
            free = free.saturating_add(file.bytes);
            surplus += 1;
        }
        surplus
    }

    /// Returns whether the disk has less free room than demanded.
    pub(super) fn lacks(&self, disk: Disk) -> bool {
        self.free.is_some_and(|wanted| disk.free < wanted.of(disk.size))
    }
}

impl Free {
    /// Returns the room in bytes, on a disk of that size.
    fn of(self, size: u64) -> u64 {
        match self {
            Free::Bytes(bytes) => bytes,
            Free::Percent(percent) => (u128::from(size) * u128::from(percent) / 100) as u64,
        }
    }
}

impl FromStr for Free {
    type Err = String;

    fn from_str(text: &str) -> Result<Free, String> {
        let Some(percent) = text.strip_suffix('%') else {
            return crate::units::parse_size(text).map(Free::Bytes);
        };
        match percent.parse() {
            Ok(percent @ 1..=99) => Ok(Free::Percent(percent)),
            _ => Err(format!("{text} is not a share of the disk: give 1% to 99%, or a size such as 5G")),
        }
    }
}

impl TryFrom<String> for Free {
    type Error = String;

    fn try_from(text: String) -> Result<Free, String> {
        text.parse()
    }
}

impl fmt::Display for Free {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Free::Bytes(bytes) => indicatif::HumanBytes(*bytes).fmt(f),
            Free::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn files(sizes: &[u64]) -> Vec<Stored> {
        let file = |(i, bytes): (usize, &u64)| Stored {
            path: i.to_string().into(),
            bytes: *bytes,
            closed: i as u64,
        };
        sizes.iter().enumerate().map(file).collect()
    }

    const DISK: Disk = Disk { size: 1000, free: 100 };
    const OPEN: Unfinished = Unfinished { files: 1, bytes: 10 };

    #[test]
    fn each_limit_by_itself() {
        let stored = files(&[100, 200, 300]);
        let surplus = |retention: Retention| retention.surplus(&stored, OPEN, DISK, 1_000_000_002);
        let none = Retention::default();
        assert_eq!(surplus(none), 0);
        assert_eq!(surplus(Retention { files: Some(4), ..none }), 0);
        assert_eq!(surplus(Retention { files: Some(2), ..none }), 2);
        assert_eq!(surplus(Retention { files: Some(1), ..none }), 3);
        assert_eq!(surplus(Retention { bytes: Some(610), ..none }), 0);
        assert_eq!(surplus(Retention { bytes: Some(609), ..none }), 1);
        assert_eq!(surplus(Retention { bytes: Some(0), ..none }), 3);
        assert_eq!(surplus(Retention { age: Some(Duration::from_secs(1)), ..none }), 2);
        assert_eq!(surplus(Retention { free: Some(Free::Bytes(100)), ..none }), 0);
        assert_eq!(surplus(Retention { free: Some(Free::Bytes(101)), ..none }), 1);
        assert_eq!(surplus(Retention { free: Some(Free::Percent(20)), ..none }), 1);
        assert_eq!(surplus(Retention { free: Some(Free::Percent(21)), ..none }), 2);
    }

    #[test]
    fn room_is_bytes_or_a_part() {
        assert_eq!("5G".parse(), Ok(Free::Bytes(5 << 30)));
        assert_eq!("10%".parse(), Ok(Free::Percent(10)));
        for wrong in ["0%", "100%", "%", "-1%", "five"] {
            assert!(wrong.parse::<Free>().is_err(), "{wrong}");
        }
    }

    fn limits() -> impl Strategy<Value = Retention> {
        let free = prop_oneof![(0_u64..2000).prop_map(Free::Bytes), (1_u8..100).prop_map(Free::Percent)];
        (
            proptest::option::of(1_u64..10),
            proptest::option::of(0_u64..3000),
            proptest::option::of(0_u64..20),
            proptest::option::of(free),
        )
            .prop_map(|(files, bytes, age, free)| Retention {
                files,
                bytes,
                age: age.map(Duration::from_nanos),
                free,
            })
    }

    proptest! {
        /// The oldest files are deleted. The rest keeps every limit, if possible; with one file more it would not.
        #[test]
        fn as_many_go_as_have_to_and_no_more(
            sizes in proptest::collection::vec(0_u64..500, 0..12),
            retention in limits(),
            unfinished in (0_u64..3, 0_u64..500).prop_map(|(files, bytes)| Unfinished { files, bytes }),
            free in 0_u64..1000,
        ) {
            let stored = files(&sizes);
            let (now, disk) = (15, Disk { size: 1000, free });
            let surplus = retention.surplus(&stored, unfinished, disk, now);
            let kept_without = |gone: usize| {
                let left = &stored[gone..];
                let freed: u64 = stored[..gone].iter().map(|file| file.bytes).sum();
                let bytes = left.iter().map(|file| file.bytes).sum::<u64>() + unfinished.bytes;
                retention.files.is_none_or(|limit| left.len() as u64 + unfinished.files <= limit)
                    && retention.bytes.is_none_or(|limit| bytes <= limit)
                    && retention.age.is_none_or(|limit| {
                        left.iter().all(|file| u128::from(now - file.closed) <= limit.as_nanos())
                    })
                    && !retention.lacks(Disk { free: free + freed, ..disk })
            };
            prop_assert!(surplus <= stored.len());
            prop_assert!(surplus == stored.len() || kept_without(surplus));
            prop_assert!(surplus == 0 || !kept_without(surplus - 1));
        }
    }
}

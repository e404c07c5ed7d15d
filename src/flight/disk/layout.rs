//! The bytes of the file.
//!
//! ```text
//!  page 0                 head: magic, version, id, times, the two areas
//!  area of the window     records, each from a page on: a header, a lead, and blocks. The newest overwrite the oldest.
//!  area of what is kept   the same; empty without --keep-longer
//!    longer
//! ```
//!
//! All numbers are words of 64 bits, little-endian. A header has the id of its file, which nobody can guess: the data of an
//! event, which is in a page of its own as often as not, cannot pass for a header. Checksums tell what was not written to
//! its end.

use flate2::Crc;

/// Records start at multiples of this, in bytes.
pub const PAGE: u64 = 4096;
/// The size of a record's header in bytes.
pub const HEADER: usize = 16 * 8;

/// The version of this layout.
pub const VERSION: u64 = 1;
const MAGIC: u64 = u64::from_le_bytes(*b"SCAPDWIN");
const RECORD: u64 = u64::from_le_bytes(*b"SCAPDREC");

/// What the file begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Differs in every file.
    pub id: [u64; 2],
    /// How long events are kept, in ns.
    pub time: u64,
    /// How long those are kept that are kept longer; 0 if none are.
    pub longer: u64,
    /// The places of the areas: offset and length in bytes.
    pub areas: [(u64, u64); 2],
}

/// Why bytes are no head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoHead {
    /// It is something else.
    Foreign,
    /// It is of another version.
    Version(u64),
    /// Its checksum is wrong.
    Damaged,
}

impl Head {
    /// Returns the bytes, a page.
    pub fn to_bytes(&self) -> Vec<u8> {
        let [(window, window_len), (longer, longer_len)] = self.areas;
        let [one, other] = self.id;
        let words =
            [MAGIC, VERSION, one, other, self.time, self.longer, window, window_len, longer, longer_len];
        let mut bytes = words.map(u64::to_le_bytes).concat();
        bytes.extend(u64::from(checksum(&[&bytes])).to_le_bytes());
        bytes.resize(PAGE as usize, 0);
        bytes
    }

    /// Reads a page.
    pub fn parse(bytes: &[u8]) -> Result<Head, NoHead> {
        let [magic, version, one, other, time, longer, window, window_len, longer_at, longer_len, sum] =
            words(bytes).ok_or(NoHead::Foreign)?;
        if magic != MAGIC {
            return Err(NoHead::Foreign);
        }
        if version != VERSION {
            return Err(NoHead::Version(version));
        }
        let areas = [(window, window_len), (longer_at, longer_len)];
        let is_area =
            |(at, len): &(u64, u64)| at.is_multiple_of(PAGE) && *at >= PAGE && at.checked_add(*len).is_some();
        if u64::from(checksum(&[&bytes[..10 * 8]])) != sum || !areas.iter().all(is_area) {
            return Err(NoHead::Damaged);
        }
        Ok(Head { id: [one, other], time, longer, areas })
    }

    /// Returns the size of the file in bytes.
    pub fn size(&self) -> u64 {
        self.areas.iter().map(|(at, len)| at + len).fold(PAGE, u64::max)
    }
}

/// What a record has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A segment of the window.
    Window,
    /// A segment of what is kept longer.
    Longer,
    /// The state of the machine.
    State,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::Window, Kind::Longer, Kind::State];

    /// Returns the number of its area.
    pub fn area(self) -> usize {
        usize::from(self == Kind::Longer)
    }
}

/// What a record begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub kind: Kind,
    /// Its number among those of its kind.
    pub number: u64,
    /// Bytes of the lead, a notice, and of the blocks behind it.
    pub lead: u64,
    pub blocks: u64,
    /// The times of the first and the last event, in ns since the epoch.
    pub first: u64,
    pub latest: u64,
    /// Events of all segments of its kind before it, and its own.
    pub before: u64,
    pub events: u64,
    /// Of a segment: the segment of the window that was the oldest then, which the segments that are kept longer do not have
    /// any more. Of a state: the segment of the window that comes first behind it.
    pub window: u64,
    /// Of a state: the same of the segments that are kept longer.
    pub longer: u64,
    /// Events that had left before their time by then, and would still be there.
    pub early: u64,
    /// The checksum of all that follows.
    pub sum: u32,
}

impl Header {
    /// Returns the bytes, of a file with this id.
    pub fn to_bytes(self, id: [u64; 2]) -> [u8; HEADER] {
        let kind = Kind::ALL.iter().position(|kind| *kind == self.kind).unwrap_or_default() as u64;
        let sum = u64::from(self.sum);
        let mut words = [
            RECORD,
            id[0],
            id[1],
            kind,
            self.number,
            self.lead,
            self.blocks,
            self.first,
            self.latest,
            self.before,
            self.events,
            self.window,
            self.longer,
            self.early,
            sum,
            0,
        ];
        words[15] = u64::from(checksum(&[&words[..15]
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect::<Vec<_>>()]));
        let mut bytes = [0; HEADER];
        bytes
            .chunks_exact_mut(8)
            .zip(words)
            .for_each(|(place, word)| place.copy_from_slice(&word.to_le_bytes()));
        bytes
    }

    /// Reads a header of a file with this id; `None` if there is none.
    pub fn parse(bytes: &[u8], id: [u64; 2]) -> Option<Header> {
        let [
            magic,
            one,
            other,
            kind,
            number,
            lead,
            blocks,
            first,
            latest,
            before,
            events,
            window,
            longer,
            early,
            sum,
            own,
        ] = words(bytes)?;
        if magic != RECORD || [one, other] != id || u64::from(checksum(&[&bytes[..15 * 8]])) != own {
            return None;
        }
        let kind = *Kind::ALL.get(usize::try_from(kind).ok()?)?;
        let sum = u32::try_from(sum).ok()?;
        Some(Header { kind, number, lead, blocks, first, latest, before, events, window, longer, early, sum })
    }

    /// Returns the bytes of the whole record; `None` if there is no such number.
    pub fn record(&self) -> Option<u64> {
        (HEADER as u64).checked_add(self.lead)?.checked_add(self.blocks)
    }
}

/// Returns the checksum of some bytes.
pub fn checksum(parts: &[&[u8]]) -> u32 {
    let mut crc = Crc::new();
    parts.iter().for_each(|part| crc.update(part));
    crc.sum()
}

fn words<const N: usize>(bytes: &[u8]) -> Option<[u64; N]> {
    let (words, _) = bytes.as_chunks::<8>();
    Some(words.first_chunk::<N>()?.map(u64::from_le_bytes))
}

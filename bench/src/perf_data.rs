//! Counts the samples in a file of `perf record`, and the lost ones, by walking the records. (perf itself takes
//! seconds.)
//!
//! ```text
//! | magic "PERFILE2" | size u64 | attr size u64 | attrs: offset u64, size u64 | data: offset u64, size u64 | ...
//! data: records, each | type u32 | misc u16 | size u16, with these 8 bytes | ...
//! ```

use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

const MAGIC: &[u8; 8] = b"PERFILE2";
/// The position of the data's offset and size.
const DATA: usize = 40;
const HEADER: u64 = 8;
/// PERF_RECORD_LOST: the id, then the number of losses at this point; there is none for losses at the end of a run.
const LOST: u32 = 2;
const SAMPLE: u32 = 9;
/// PERF_RECORD_LOST_SAMPLES: the number; newer versions of perf write it at the end, for all losses of an event.
const LOST_SAMPLES: u32 = 13;
/// PERF_RECORD_AUXTRACE, perf's own: data follows that the record's size does not include.
const AUXTRACE: u32 = 71;

/// The samples of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Samples {
    /// Samples that were kept.
    pub kept: u64,
    /// Samples that were lost.
    pub lost: u64,
}

/// Counts the samples of a file.
///
/// # Errors
/// If it is not a file of perf, is cut off, or has a hardware trace.
pub fn count(file: impl Read + Seek) -> io::Result<Samples> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut file = BufReader::with_capacity(1 << 20, file);
    let mut head = [0; DATA + 16];
    file.read_exact(&mut head)?;
    if !head.starts_with(MAGIC) {
        return Err(invalid("not a file of perf record"));
    }
    let (offset, mut left) = (number(&head[DATA..]), number(&head[DATA + 8..]));
    file.seek(SeekFrom::Start(offset))?;
    let (mut kept, mut lost, mut lost_samples) = (0, 0, 0);
    while left >= HEADER {
        let mut header = [0; HEADER as usize];
        file.read_exact(&mut header)?;
        let size = u64::from(u16::from_ne_bytes([header[6], header[7]]));
        let body = size.checked_sub(HEADER).ok_or_else(|| invalid("a perf record without a size"))?;
        left = left.checked_sub(size).ok_or_else(|| invalid("a perf record that is cut off"))?;
        let mut numbers = [0; 16];
        let read = numbers.len().min(body as usize);
        file.read_exact(&mut numbers[..read])?;
        match u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) {
            SAMPLE => kept += 1,
            LOST => lost += number(&numbers[8..]),
            LOST_SAMPLES => lost_samples += number(&numbers),
            AUXTRACE => return Err(invalid("a perf file with a hardware trace")),
            _ => {}
        }
        skip(&mut file, body - read as u64)?;
    }
    // Both records count the same losses.
    Ok(Samples { kept, lost: lost.max(lost_samples) })
}

/// Returns the first eight bytes as a number.
fn number(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes))
}

/// Skips bytes without seeking, which would discard the buffer.
fn skip(file: &mut impl BufRead, mut count: u64) -> io::Result<()> {
    while count > 0 {
        let there = file.fill_buf()?.len() as u64;
        if there == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let step = there.min(count);
        file.consume(step as usize);
        count -= step;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn record(ty: u32, body: &[u64]) -> Vec<u8> {
        let mut bytes = ty.to_ne_bytes().to_vec();
        bytes.extend(0u16.to_ne_bytes());
        bytes.extend((8 + 8 * body.len() as u16).to_ne_bytes());
        bytes.extend(body.iter().flat_map(|number| number.to_ne_bytes()));
        bytes
    }

    fn file(records: &[Vec<u8>]) -> Vec<u8> {
        let data = records.concat();
        let mut bytes = MAGIC.to_vec();
        for number in [104, 128, 104, 0, 104, data.len() as u64] {
            bytes.extend(number.to_ne_bytes());
        }
        bytes.resize(104, 0);
        bytes.extend(data);
        // Data after the records must be ignored.
        bytes.extend(record(SAMPLE, &[]));
        bytes
    }

    #[test]
    fn samples_and_losses_are_counted() {
        let records = [
            record(SAMPLE, &[1; 12]),
            record(1, &[5; 20]),
            record(LOST, &[7, 30]),
            record(SAMPLE, &[]),
            record(LOST_SAMPLES, &[13]),
            record(LOST_SAMPLES, &[20]),
        ];
        let older = count(Cursor::new(file(&records[..4]))).unwrap();
        assert_eq!(older, Samples { kept: 2, lost: 30 });
        let samples = count(Cursor::new(file(&records))).unwrap();
        assert_eq!(samples, Samples { kept: 2, lost: 33 });
    }

    #[test]
    fn records_longer_than_the_buffer() {
        let records: Vec<_> = (0..100).map(|_| record(SAMPLE, &[3; 8000])).collect();
        assert_eq!(count(Cursor::new(file(&records))).unwrap(), Samples { kept: 100, lost: 0 });
    }

    #[test]
    fn other_files_are_refused() {
        assert!(count(Cursor::new(b"")).is_err());
        assert!(count(Cursor::new(vec![0; 200])).is_err());
        let mut endless = file(&[record(SAMPLE, &[])]);
        endless[104 + 6] = 0;
        assert!(count(Cursor::new(endless)).is_err());
        let mut cut = file(&[record(SAMPLE, &[1; 12])]);
        cut.truncate(150);
        assert!(count(Cursor::new(cut)).is_err());
    }
}

//! Decompresses a gzip file: a sequence of members, each of which can be decompressed by itself.

use std::{
    collections::VecDeque,
    io::{self, BufRead, ErrorKind, Read},
};

use flate2::{Decompress, FlushDecompress, Status};

/// The first bytes of every member.
pub const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The largest window that gzip allows, so that members of every writer fit.
const WINDOW_BITS: u8 = 15;

/// A position in a capture's file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    /// The offset in the file in bytes.
    pub file: u64,
    /// The offset in the decompressed capture in bytes.
    pub capture: u64,
}

/// Decompresses a sequence of members. It returns the intact part of a truncated or damaged member before the error:
/// [`ErrorKind::UnexpectedEof`] or [`ErrorKind::InvalidData`].
#[derive(Debug)]
pub struct Members<R> {
    input: R,
    inflate: Decompress,
    /// The starts of the last settled member and of all members after it.
    starts: VecDeque<Place>,
}

impl<R: BufRead> Members<R> {
    /// Starts with the first member.
    pub fn new(input: R) -> Self {
        let starts = VecDeque::from([Place::default()]);
        Members { input, inflate: Decompress::new_gzip(WINDOW_BITS), starts }
    }

    /// Returns how many bytes of the file have been read, and how many came out.
    pub fn place(&self) -> Place {
        let start = self.starts.back().copied().unwrap_or_default();
        Place {
            file: start.file + self.inflate.total_in(),
            capture: start.capture + self.inflate.total_out(),
        }
    }

    /// Returns the number of bytes read from the current member if it has produced no output, otherwise 0.
    pub fn fruitless(&self) -> u64 {
        if self.inflate.total_out() == 0 { self.inflate.total_in() } else { 0 }
    }

    /// Returns the start of the member that has this byte of the capture, and forgets the members before it.
    pub fn settle(&mut self, capture: u64) -> Place {
        while self.starts.get(1).is_some_and(|next| next.capture <= capture) {
            self.starts.pop_front();
        }
        self.starts.front().copied().unwrap_or_default()
    }

    fn next_member(&mut self) {
        let start = self.place();
        if self.starts.back().is_some_and(|last| last.capture == start.capture) {
            // An empty member. There may be any number of them, so keep only the last one.
            self.starts.pop_back();
        }
        self.starts.push_back(start);
        self.inflate.reset(true);
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while !buf.is_empty() {
            let input = self.input.fill_buf()?;
            let (is_end, before) = (input.is_empty(), self.inflate.total_in());
            if is_end && before == 0 {
                break;
            }
            let out_before = self.inflate.total_out();
            let result = self.inflate.decompress(input, buf, FlushDecompress::None);
            let (taken, made) = (self.inflate.total_in() - before, self.inflate.total_out() - out_before);
            self.input.consume(taken as usize);
            match result {
                Ok(Status::StreamEnd) => self.next_member(),
                // An error after output recurs with the next call.
                _ if made > 0 => {}
                Err(e) => return Err(io::Error::new(ErrorKind::InvalidData, e)),
                Ok(_) if is_end => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(_) if taken == 0 => return Err(ErrorKind::InvalidData.into()),
                Ok(_) => {}
            }
            if made > 0 {
                return Ok(made as usize);
            }
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn member(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn text() -> Vec<u8> {
        (0..2000_u32).flat_map(|i| (i * i).to_string().into_bytes()).collect()
    }

    /// Returns the output, the final error, and the position.
    fn decompressed(file: &[u8]) -> (Vec<u8>, Option<ErrorKind>, Place) {
        let mut members = Members::new(file);
        let mut out = Vec::new();
        let end = members.read_to_end(&mut out).err().map(|e| e.kind());
        (out, end, members.place())
    }

    #[test]
    fn members_in_a_row_are_one_capture() {
        let text = text();
        let (head, tail) = text.split_at(1000);
        let first = [member(head), member(b""), member(b"")].concat();
        let file = [&first[..], &member(tail)].concat();
        let mut members = Members::new(&file[..]);
        let mut out = Vec::new();
        members.read_to_end(&mut out).unwrap();
        assert!(out == text);
        let (first, all) = (first.len() as u64, (file.len() as u64, text.len() as u64));
        assert_eq!(members.starts.len(), 3, "only the last empty member is kept");
        assert_eq!(members.settle(999), Place { file: 0, capture: 0 });
        assert_eq!(members.settle(1000), Place { file: first, capture: 1000 });
        assert_eq!(members.settle(5000), Place { file: first, capture: 1000 });
        assert_eq!(members.settle(all.1), Place { file: all.0, capture: all.1 });
        assert_eq!(members.place(), Place { file: all.0, capture: all.1 });
    }

    #[test]
    fn all_that_was_flushed_before_a_cut_comes_out() {
        let text = text();
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        let mut flushed = vec![(0, 0)];
        for (i, piece) in text.chunks(333).enumerate() {
            encoder.write_all(piece).unwrap();
            encoder.flush().unwrap();
            flushed.push((encoder.get_ref().len(), i * 333 + piece.len()));
        }
        let file = encoder.finish().unwrap();
        for cut in (1..file.len()).step_by(13) {
            let (out, end, place) = decompressed(&file[..cut]);
            let whole = flushed.iter().rev().find(|(at, _)| *at <= cut).unwrap().1;
            assert!(out.len() >= whole && text.starts_with(&out), "{} of {whole} at {cut}", out.len());
            assert_eq!(end, Some(ErrorKind::UnexpectedEof));
            assert_eq!(place, Place { file: cut as u64, capture: out.len() as u64 });
        }
    }

    #[test]
    fn a_member_of_which_nothing_came_out_is_known() {
        let whole = member(b"bytes");
        let read = |file: &[u8]| {
            let mut members = Members::new(file);
            members.read_to_end(&mut Vec::new()).unwrap_err();
            members.fruitless()
        };
        // Its header alone; and behind a whole one.
        assert_eq!(read(&whole[..10]), 10);
        assert_eq!(read(&[&whole[..], &whole[..10]].concat()), 10);
        assert_eq!(read(&whole[..whole.len() - 1]), 0);
    }

    #[test]
    fn all_before_damage_comes_out() {
        let text = text();
        let good = member(&text);
        // Garbage after a member, then a wrong checksum, which comes after the last byte.
        let (out, end, _) = decompressed(&[&good[..], &[0; 512]].concat());
        assert!(out == text);
        assert_eq!(end, Some(ErrorKind::InvalidData));
        let mut bad = good.clone();
        let at = bad.len() - 5;
        bad[at] ^= 1;
        let (out, end, _) = decompressed(&bad);
        assert!(out == text);
        assert_eq!(end, Some(ErrorKind::InvalidData));
        // An invalid block type in the middle of the stream.
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&text).unwrap();
        encoder.flush().unwrap();
        let broken = [encoder.get_ref(), &[0xff; 64][..]].concat();
        let (out, end, _) = decompressed(&broken);
        assert!(out == text);
        assert_eq!(end, Some(ErrorKind::InvalidData));
    }
}

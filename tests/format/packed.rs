//! Captures compressed by gzip, xz, zstd, bzip2 and lz4: tests/data/packed.

use std::{fs, io::Read, path::PathBuf};

use scap::format::{ReadError, Reader};
use scapd::{
    repair::Survey,
    verify::{VerifyOutcome, VerifyReport},
};

const TOOLS: [(&str, &str); 5] =
    [("gz", "gzip"), ("xz", "xz"), ("zst", "zstd"), ("bz2", "bzip2"), ("lz4", "lz4")];
const EVENTS: usize = 300;

fn packed(extension: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/packed");
    fs::read(folder.join(format!("reads.scap{extension}"))).unwrap()
}

/// Returns the bytes of all events, the number of sections, and the final error.
fn read(file: impl Read) -> (Vec<Vec<u8>>, u32, Option<ReadError>) {
    let mut reader = match Reader::new(file) {
        Ok(reader) => reader,
        Err(error) => return (Vec::new(), 0, Some(error)),
    };
    let mut events = Vec::new();
    loop {
        match reader.next_event() {
            Ok(Some(captured)) => events.push(captured.event.bytes().to_vec()),
            Ok(None) => return (events, reader.section(), None),
            Err(error) => return (events, reader.section(), Some(error)),
        }
    }
}

/// A reader that returns a byte at a time, like a slow pipe.
struct Slow<'a>(&'a [u8]);

impl Read for Slow<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let (now, later) = self.0.split_at(self.0.len().min(buf.len()).min(1));
        buf[..now.len()].copy_from_slice(now);
        self.0 = later;
        Ok(now.len())
    }
}

#[test]
fn every_tools_file_is_read() {
    let (plain, _, end) = read(&packed("")[..]);
    assert!(plain.len() == EVENTS && end.is_none(), "{end:?}");
    for (extension, tool) in TOOLS {
        let file = packed(&format!(".{extension}"));
        assert_eq!(Reader::new(&file[..]).unwrap().compression(), Some(tool));
        for (events, sections, end) in [read(&file[..]), read(Slow(&file))] {
            assert!(end.is_none(), "{tool}: {end:?}");
            assert!(events == plain && sections == 1, "{tool}");
        }
        // Several in a row are one capture, as the tools decompress them.
        let (events, sections, end) = read(&file.repeat(3)[..]);
        assert!(end.is_none(), "{tool}: {end:?}");
        assert_eq!((events.len(), sections), (3 * EVENTS, 3), "{tool}");
    }
}

#[test]
fn a_cut_is_told_from_an_end_and_from_damage() {
    let (plain, ..) = read(&packed("")[..]);
    for (extension, tool) in TOOLS {
        let file = packed(&format!(".{extension}"));
        for len in (7..file.len() - 20).step_by(13).chain(file.len() - 20..file.len()) {
            let (events, _, end) = read(&file[..len]);
            assert!(matches!(end, Some(ReadError::Truncated { .. })), "{tool} at {len}: {end:?}");
            assert!(plain.starts_with(&events), "{tool} at {len}");
        }
    }
}

#[test]
fn damage_is_found() {
    let (plain, ..) = read(&packed("")[..]);
    for (extension, tool) in TOOLS {
        let file = packed(&format!(".{extension}"));
        // Start after the header, which has meaningless bits; the data rarely has them too.
        for at in (16..file.len() - 16).step_by(11) {
            let mut damaged = file.clone();
            damaged[at] ^= 0x10;
            let (events, _, end) = read(&damaged[..]);
            assert!(end.is_some() || events == plain, "{tool} at {at}");
            assert!(!matches!(end, Some(ReadError::Io { .. })), "{tool} at {at}: {end:?}");
        }
        // Other data follows.
        let (events, _, end) = read(&[&file[..], b"something else"].concat()[..]);
        assert!(events.len() == EVENTS && end.is_some(), "{tool}: {end:?}");
    }
}

#[test]
fn an_error_of_the_input_stays_one() {
    struct Failing<'a>(&'a [u8]);

    impl Read for Failing<'_> {
        fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
            match self.0.read(buf)? {
                0 => Err(std::io::Error::other("the disk")),
                n => Ok(n),
            }
        }
    }

    for (extension, tool) in TOOLS {
        let file = packed(&format!(".{extension}"));
        let (_, _, end) = read(Failing(&file[..file.len() / 2]));
        assert!(matches!(end, Some(ReadError::Io { .. })), "{tool}: {end:?}");
    }
}

#[test]
fn a_read_that_a_signal_interrupts_is_made_again() {
    /// Every second read is interrupted; the others give little.
    struct Interrupted<'a>(&'a [u8], bool);

    impl Read for Interrupted<'_> {
        fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(std::io::ErrorKind::Interrupted.into());
            }
            let len = buf.len().min(1000);
            self.0.read(&mut buf[..len])
        }
    }

    let (plain, ..) = read(&packed("")[..]);
    for (extension, tool) in TOOLS {
        let file = packed(&format!(".{extension}"));
        let (events, _, end) = read(Interrupted(&file, false));
        assert!(events == plain && end.is_none(), "{tool}: {end:?}");
        let (_, _, end) = read(Interrupted(&file[..file.len() / 2], false));
        assert!(matches!(end, Some(ReadError::Truncated { .. })), "{tool}: {end:?}");
    }
}

#[test]
fn a_frame_of_zstd_without_data_is_stepped_over() {
    let file = packed(".zst");
    let skipped = b"\x50\x2a\x4d\x18\x07\0\0\0skipped";
    let (events, sections, end) = read(&[&file[..], skipped, &file].concat()[..]);
    assert!(end.is_none(), "{end:?}");
    assert_eq!((events.len(), sections), (2 * EVENTS, 2));
    let (events, _, end) = read(&[&file[..], &skipped[..12]].concat()[..]);
    assert_eq!(events.len(), EVENTS);
    assert!(matches!(end, Some(ReadError::Truncated { .. })), "{end:?}");
}

#[test]
fn what_needs_too_much_memory_is_refused() {
    // The dictionary of xz's block, whose header has a checksum: 1.5 GiB; a zstd window of 2 TiB.
    let xz = b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4\x46\x02\0\x21\x01\x25\0\0\0\x3b\x78\x7b\x41";
    let zstd = b"\x28\xb5\x2f\xfd\0\xf8\x01\0\0\0\0\0";
    for file in [&xz[..], &zstd[..]] {
        let (_, _, end) = read(file);
        let Some(ReadError::Corrupt { what, .. }) = end else { panic!("{end:?}") };
        assert!(what.contains("big") || what.contains("memory") || what.contains("window"), "{what}");
    }
}

#[test]
fn what_expands_without_end_is_read_in_pieces() {
    // A section, and 20 MB of an unknown block type: about 300 bytes of bzip2.
    let body = vec![0; 20_000_000];
    let len = body.len() as u32 + 12;
    let mut capture = packed("")[..28].to_vec();
    capture.extend([0x7777_u32.to_le_bytes(), len.to_le_bytes()].concat());
    capture.extend(&body);
    capture.extend(len.to_le_bytes());
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
    std::io::Write::write_all(&mut encoder, &capture).unwrap();
    let file = encoder.finish().unwrap();
    assert!(file.len() < 4096, "{}", file.len());
    let (events, sections, end) = read(&file[..]);
    assert!(events.is_empty() && sections == 1 && end.is_none(), "{end:?}");
}

#[test]
fn what_cannot_be_packed_again_is_not_repaired() {
    for (extension, tool) in TOOLS.into_iter().filter(|(_, tool)| *tool != "gzip") {
        let file = packed(&format!(".{extension}"));
        // Not cut off, but not closed; and of two in a row, the last one cut off.
        for file in [&file[..], &file.repeat(2)[..file.len() + file.len() / 2]] {
            let survey = Survey::of(file);
            assert!(matches!(survey, Err(ReadError::Packed(name)) if name == tool), "{survey:?}");
        }
    }
    assert!(Survey::of(&packed(".gz")[..]).is_ok());
}

#[test]
fn verify_reads_them() {
    for (extension, _) in TOOLS {
        let report = VerifyReport::of(&packed(&format!(".{extension}"))[..]);
        assert_eq!((report.outcome(), report.events), (VerifyOutcome::NoLedger, EVENTS as u64));
    }
}

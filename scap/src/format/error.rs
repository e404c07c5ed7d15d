//! Errors of reading a capture.

use std::io;

use thiserror::Error;

/// An error that ends the reading of a capture.
///
/// Offsets count bytes of the capture: of a compressed file, those after decompression.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The file is not a capture.
    #[error("not a .scap capture: {0}")]
    NotScap(&'static str),
    /// The compression has no writer here.
    #[error("it is compressed by {0}: decompress it first")]
    Packed(&'static str),
    /// The capture ends inside a block.
    #[error("the capture is cut off: it ends inside the block at byte {offset} ({what})")]
    Truncated {
        /// The offset of that block.
        offset: u64,
        /// The part of the block that is missing.
        what: &'static str,
    },
    /// A block violates the format.
    #[error("the capture is damaged at byte {offset}: {what}")]
    Corrupt {
        /// The offset of that block.
        offset: u64,
        /// The violation.
        what: String,
    },
    /// The state of a section exceeds its memory limit: that at its start, or what events added to it.
    #[error("{}", too_large(*offset, *needs, *is_least, *limit, *given))]
    TooLarge {
        /// The offset of the block that exceeds the limit.
        offset: u64,
        /// The memory that the state needs, in bytes.
        needs: u64,
        /// Whether it may need more, because the rest was not counted.
        is_least: bool,
        /// The limit, in bytes.
        limit: u64,
        /// The bytes of the compressed file read so far, if the limit follows from them.
        given: Option<u64>,
    },
    /// The input cannot be read.
    #[error("reading the capture failed at byte {offset}")]
    Io {
        /// The offset of the block that was being read.
        offset: u64,
        /// The error of the input.
        #[source]
        source: io::Error,
    },
}

fn too_large(offset: u64, needs: u64, is_least: bool, limit: u64, given: Option<u64>) -> String {
    let least = if is_least { "at least " } else { "" };
    let why = match given {
        Some(given) => format!(" for the first {} of a compressed file", binary(given)),
        None => String::new(),
    };
    format!(
        "the threads, descriptors and users in the capture need {least}{} of memory at byte {offset}; the limit is {}{why}: \
         raise it with --max-state {}",
        binary(needs),
        binary(limit),
        needs.div_ceil(1 << 20).next_power_of_two().max(1).to_string() + "M",
    )
}

/// Formats a number of bytes with a binary unit.
fn binary(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut number = bytes as f64;
    let mut unit = "B";
    for next in UNITS {
        if number < 1024.0 {
            break;
        }
        (number, unit) = (number / 1024.0, next);
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{number:.2} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::binary;

    #[test]
    fn bytes_have_a_unit() {
        assert_eq!(
            [0, 1023, 1024, 64 << 20, 3 << 29].map(binary),
            ["0 B", "1023 B", "1.00 KiB", "64.00 MiB", "1.50 GiB"]
        );
    }
}

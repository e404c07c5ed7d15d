//! What a capture lacks that was cut, by damage or by a slice.

/// Why a repaired capture ends where it does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CutCause {
    /// The recorder ended before it could close the capture. Everything written is whole.
    #[default]
    Unclosed,
    /// The capture ended inside a block.
    CutOff,
    /// The data after this point was inconsistent.
    Damaged,
}

impl CutCause {
    pub(super) const ALL: [CutCause; 3] = [CutCause::Unclosed, CutCause::CutOff, CutCause::Damaged];

    /// The name in notices and in JSON.
    pub const fn key(self) -> &'static str {
        match self {
            CutCause::Unclosed => "unclosed",
            CutCause::CutOff => "cut_off",
            CutCause::Damaged => "damaged",
        }
    }

    /// The text for people.
    pub const fn text(self) -> &'static str {
        match self {
            CutCause::Unclosed => "not closed",
            CutCause::CutOff => "cut off",
            CutCause::Damaged => "damaged",
        }
    }
}

/// Where a repaired capture ends, and what followed there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cut {
    /// Why it ends there.
    pub cause: CutCause,
    /// Bytes of the uncompressed capture that were kept.
    pub offset: u64,
    /// Bytes left out. Of a compressed capture: those that could be decompressed, plus the rest of the file as it is.
    pub bytes: u64,
}

impl Cut {
    /// Returns the `desc` of its notice.
    pub fn text(&self) -> String {
        format!("cause={} offset={} bytes={}", self.cause.key(), self.offset, self.bytes)
    }
}

/// What a slice left out of its source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SliceNote {
    /// Events of the source, without notices, that are not in the slice.
    pub left_out: u64,
    /// Whether the source was not read to its end.
    pub is_stopped: bool,
}

impl SliceNote {
    /// Returns the `desc` of its notice.
    pub fn text(&self) -> String {
        let source = if self.is_stopped { "stopped" } else { "read" };
        format!("left_out={} source={source}", self.left_out)
    }
}

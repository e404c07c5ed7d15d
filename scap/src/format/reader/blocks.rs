//! Counting the blocks of a capture.

use std::collections::BTreeMap;

use crate::format::block::BlockType;

/// How many blocks of each type were read.
#[derive(Debug)]
pub(in crate::format) struct Blocks {
    counts: BTreeMap<BlockType, u64>,
    /// The last type, and how many of it are not in the counts yet.
    pub last: (BlockType, u64),
}

impl Default for Blocks {
    fn default() -> Blocks {
        Blocks { counts: BTreeMap::new(), last: (BlockType::SECTION_HEADER, 0) }
    }
}

impl Blocks {
    /// Counts a block.
    #[inline]
    pub fn add(&mut self, ty: BlockType) {
        if ty != self.last.0 {
            count(&mut self.counts, self.last);
            self.last = (ty, 0);
        }
        self.last.1 += 1;
    }

    /// Returns the counts.
    pub fn counts(&self) -> BTreeMap<BlockType, u64> {
        let mut counts = self.counts.clone();
        count(&mut counts, self.last);
        counts
    }
}

fn count(counts: &mut BTreeMap<BlockType, u64>, (ty, more): (BlockType, u64)) {
    if more > 0 {
        *counts.entry(ty).or_default() += more;
    }
}

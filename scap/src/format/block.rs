//! The block framing of a capture file, and the block types.
//!
//! A file is a sequence of blocks, framed as in pcapng, but with its own block types. Integers have the byte order of
//! the machine that wrote the file; every block starts on a 4-byte boundary.
//!
//! ```text
//!          0            4              8                               n      n + padding
//!          ├────────────┼──────────────┼───────────────────────────────┼─────────┼──────────────┐
//!          │ type (u32) │ length (u32) │ body                          │ 0 to 3  │ length again │
//!          │            │              │                               │ zeros   │ (u32)        │
//!          └────────────┴──────────────┴───────────────────────────────┴─────────┴──────────────┘
//!                         length: of the whole block, including type and both lengths
//!
//! body of an event block:               ┌───────────┬───────────────────┬───────┐
//!                                       │ cpu (u16) │ flags (u32), only │ event │
//!                                       │           │ in 0x217, 0x222   │       │
//!                                       └───────────┴───────────────────┴───────┘
//! ```
//!
//! Only this module computes lengths, padding and trailers.

use std::fmt;

/// The size of a block's type and length, before the body, in bytes.
pub const HEADER_LEN: usize = 8;
/// The size of the second length, after the padding, in bytes.
pub const TRAILER_LEN: usize = 4;
/// The longest event block that readers accept, in bytes.
pub const MAX_EVENT_BLOCK: usize = 65_536;
/// The longest event whose block stays within [`MAX_EVENT_BLOCK`], in bytes.
pub const MAX_EVENT: usize = MAX_EVENT_BLOCK - HEADER_LEN - TRAILER_LEN - CPU_LEN;

/// Flag of an event's block: the event is there only to keep names right. sysdig applies such an event and does not show
/// it (`SCAP_DF_STATE_ONLY`).
pub const FOR_NAMES: u32 = 1;

/// The size of the CPU number before an event, in bytes.
const CPU_LEN: usize = size_of::<u16>();

const _: () = {
    assert!(event_block_len(MAX_EVENT) == MAX_EVENT_BLOCK);
    assert!(event_block_len(MAX_EVENT + 1) > MAX_EVENT_BLOCK);
    assert!(event_block_len(0) == 16);
    assert!(block_len(0) == 12 && block_len(1) == 16 && block_len(4) == 16 && block_len(5) == 20);
};

/// The type of a block: its first four bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockType(pub u32);

/// The contents of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockKind {
    /// The start of a section: byte order and version.
    SectionHeader,
    /// The machine.
    MachineInfo,
    /// Threads. Each version has more fields than the one before.
    ProcessList {
        /// 1 to 9.
        version: u8,
    },
    /// The file descriptors of a process; since version 2, each entry has a length.
    FdList {
        /// 1 or 2.
        version: u8,
    },
    /// Addresses of network interfaces; since version 2, each entry has a length.
    InterfaceList {
        /// 1 or 2.
        version: u8,
    },
    /// Users and groups; since version 2, each entry has a length.
    UserList {
        /// 1 or 2.
        version: u8,
    },
    /// What scapd knows of threads and descriptors beyond the other lists: see
    /// [`MachineState::beyond`](super::MachineState::beyond).
    Beyond,
    /// An event.
    Event {
        /// Since version 2, the event header has the number of parameters.
        version: u8,
        /// Whether 32 bits of flags precede the event.
        flags: bool,
        /// Whether the event may be longer than [`MAX_EVENT`].
        large: bool,
    },
    /// A type that this reader does not know, and skips.
    Unknown,
}

macro_rules! block_types {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal, $kind:expr;)*) => {
        impl BlockType {
            $($(#[$doc])* pub const $name: BlockType = BlockType($number);)*

            /// Returns the contents of a block of this type.
            #[inline]
            pub const fn kind(self) -> BlockKind {
                use BlockKind::*;
                match self.0 {
                    $($number => $kind,)*
                    _ => Unknown,
                }
            }

            /// Returns a human-readable name.
            pub const fn name(self) -> &'static str {
                match self.0 {
                    $($number => $text,)*
                    _ => "unknown block",
                }
            }
        }
    };
}
block_types! {
    /// Starts a section.
    SECTION_HEADER = 0x0A0D_0D0A, "section header", SectionHeader;
    /// The machine.
    MACHINE_INFO = 0x201, "machine info", MachineInfo;
    /// Threads.
    PROCESS_LIST = 0x215, "process list", ProcessList { version: 9 };
    /// File descriptors of a process.
    FD_LIST = 0x218, "fd list", FdList { version: 2 };
    /// An event.
    EVENT = 0x216, "event", Event { version: 2, flags: false, large: false };
    /// An event with flags.
    EVENT_FLAGS = 0x217, "event with flags", Event { version: 2, flags: true, large: false };
    /// An event of more than 64 KiB.
    EVENT_LARGE = 0x221, "large event", Event { version: 2, flags: false, large: true };
    /// An event of more than 64 KiB with flags.
    EVENT_LARGE_FLAGS = 0x222, "large event with flags", Event { version: 2, flags: true, large: true };
    /// Addresses of network interfaces.
    INTERFACE_LIST = 0x219, "interface list", InterfaceList { version: 2 };
    /// Users and groups.
    USER_LIST = 0x220, "user list", UserList { version: 2 };
    /// What scapd knows of the state beyond the other lists, in a number for local use. Other readers skip it.
    BEYOND = 0x8000_5CA9, "scapd state", Beyond;

    // Old numbers, which are read but never written. Those of the form 0x80..ABCD predate the format's first release.
    /// The machine.
    MACHINE_INFO_INT = 0x8002_ABCD, "machine info", MachineInfo;
    /// Threads.
    PROCESS_LIST_V1 = 0x202, "process list v1", ProcessList { version: 1 };
    /// Threads.
    PROCESS_LIST_V1_INT = 0x8000_ABCD, "process list v1", ProcessList { version: 1 };
    /// Threads.
    PROCESS_LIST_V2 = 0x207, "process list v2", ProcessList { version: 2 };
    /// Threads.
    PROCESS_LIST_V2_INT = 0x8013_ABCD, "process list v2", ProcessList { version: 2 };
    /// Threads.
    PROCESS_LIST_V3 = 0x209, "process list v3", ProcessList { version: 3 };
    /// Threads.
    PROCESS_LIST_V3_INT = 0x8014_ABCD, "process list v3", ProcessList { version: 3 };
    /// Threads.
    PROCESS_LIST_V4 = 0x210, "process list v4", ProcessList { version: 4 };
    /// Threads.
    PROCESS_LIST_V5 = 0x211, "process list v5", ProcessList { version: 5 };
    /// Threads.
    PROCESS_LIST_V6 = 0x212, "process list v6", ProcessList { version: 6 };
    /// Threads.
    PROCESS_LIST_V7 = 0x213, "process list v7", ProcessList { version: 7 };
    /// Threads.
    PROCESS_LIST_V8 = 0x214, "process list v8", ProcessList { version: 8 };
    /// File descriptors of a process.
    FD_LIST_V1 = 0x203, "fd list v1", FdList { version: 1 };
    /// File descriptors of a process.
    FD_LIST_V1_INT = 0x8001_ABCD, "fd list v1", FdList { version: 1 };
    /// An event.
    EVENT_V1 = 0x204, "event v1", Event { version: 1, flags: false, large: false };
    /// An event.
    EVENT_V1_INT = 0x8010_ABCD, "event v1", Event { version: 1, flags: false, large: false };
    /// An event with flags.
    EVENT_FLAGS_V1 = 0x208, "event with flags v1", Event { version: 1, flags: true, large: false };
    /// Addresses of network interfaces.
    INTERFACE_LIST_V1 = 0x205, "interface list v1", InterfaceList { version: 1 };
    /// Addresses of network interfaces.
    INTERFACE_LIST_V1_INT = 0x8011_ABCD, "interface list v1", InterfaceList { version: 1 };
    /// Users and groups.
    USER_LIST_V1 = 0x206, "user list v1", UserList { version: 1 };
    /// Users and groups.
    USER_LIST_V1_INT = 0x8012_ABCD, "user list v1", UserList { version: 1 };
}

impl BlockType {
    /// Returns whether it is a block for events of more than 64 KiB.
    pub(super) fn is_large(self) -> bool {
        matches!(self.kind(), BlockKind::Event { large: true, .. })
    }
}

impl fmt::Debug for BlockType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:#x})", self.name(), self.0)
    }
}

/// Returns the length in bytes of a block with a body of `body` bytes.
pub const fn block_len(body: usize) -> usize {
    HEADER_LEN + body.next_multiple_of(4) + TRAILER_LEN
}

/// Returns the length in bytes of the block that [`frame_event`] appends for an event of `event_len` bytes.
pub const fn event_block_len(event_len: usize) -> usize {
    block_len(CPU_LEN + event_len)
}

/// Appends a block to `out`; `body` appends its body.
///
/// The body must stay below 4 GiB: the format's lengths have 32 bits.
#[inline]
pub fn frame(out: &mut Vec<u8>, ty: BlockType, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&ty.0.to_ne_bytes());
    out.extend_from_slice(&[0; size_of::<u32>()]);
    let body_start = out.len();
    body(out);
    let len = block_len(out.len() - body_start);
    let length = (len as u32).to_ne_bytes();
    out.resize(start + len - TRAILER_LEN, 0);
    out[start + 4..start + HEADER_LEN].copy_from_slice(&length);
    out.extend_from_slice(&length);
}

/// Appends the block of an event to `out`.
///
/// `event` is in the format that [`EventView`](super::EventView) reads, recorded on `cpu`. The caller must ensure that
/// it has at most [`MAX_EVENT`] bytes: readers refuse longer ones.
#[inline]
pub fn frame_event(out: &mut Vec<u8>, cpu: u16, event: &[u8]) {
    out.reserve(event_block_len(event.len()));
    frame(out, BlockType::EVENT, |out| {
        out.extend_from_slice(&cpu.to_ne_bytes());
        out.extend_from_slice(event);
    });
}

/// Appends the block of an event of a capture to `out`, with these flags of the block. A `large` event needs a block for
/// events of more than 64 KiB.
pub(super) fn frame_captured(out: &mut Vec<u8>, cpu: u16, flags: u32, large: bool, event: &[u8]) {
    let ty = match (flags != 0, large) {
        (false, false) => BlockType::EVENT,
        (true, false) => BlockType::EVENT_FLAGS,
        (false, true) => BlockType::EVENT_LARGE,
        (true, true) => BlockType::EVENT_LARGE_FLAGS,
    };
    out.reserve(event_block_len(event.len()) + size_of::<u32>());
    frame(out, ty, |out| {
        out.extend_from_slice(&cpu.to_ne_bytes());
        if flags != 0 {
            out.extend_from_slice(&flags.to_ne_bytes());
        }
        out.extend_from_slice(event);
    });
}

/// Sets the timestamp of the event in a block that [`frame_event`] appended.
#[inline]
pub fn set_event_time(block: &mut [u8], ts: u64) {
    const AT: usize = HEADER_LEN + CPU_LEN;
    if let Some(bytes) = block.get_mut(AT..AT + size_of::<u64>()) {
        bytes.copy_from_slice(&ts.to_ne_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn an_event_block_byte_by_byte() {
        let mut out = vec![0xee; 3];
        frame_event(&mut out, 0x0102, b"EVENT");
        let block = b"\x16\x02\0\0\x14\0\0\0\x02\x01EVENT\0\x14\0\0\0";
        assert_eq!(&out[..3], [0xee; 3]);
        assert_eq!(&out[3..], block);
    }

    #[test]
    fn the_length_is_known_before() {
        for len in 0..100 {
            let mut out = Vec::new();
            frame_event(&mut out, 7, &vec![1; len]);
            assert_eq!(out.len(), event_block_len(len));
            assert_eq!(out.len() % 4, 0);
            assert_eq!(out[4..8], out[out.len() - 4..]);
            assert_eq!(out[4..8], (out.len() as u32).to_ne_bytes());
        }
    }

    #[test]
    fn the_time_is_set_where_the_event_has_it() {
        let framed = |ts: u64| {
            let mut out = Vec::new();
            frame_event(&mut out, 7, &[&ts.to_ne_bytes()[..], b"the rest"].concat());
            out
        };
        let mut block = framed(1);
        set_event_time(&mut block, u64::MAX - 5);
        assert_eq!(block, framed(u64::MAX - 5));
        // One without room for a time stays as it is.
        let mut short = block[..17].to_vec();
        set_event_time(&mut short, 2);
        assert_eq!(short, block[..17]);
    }

    #[test]
    fn old_numbers_keep_their_meaning() {
        assert_eq!(
            BlockType(0x8010_ABCD).kind(),
            BlockKind::Event { version: 1, flags: false, large: false }
        );
        assert_eq!(BlockType(0x208).kind(), BlockKind::Event { version: 1, flags: true, large: false });
        assert_eq!(BlockType(0x214).kind(), BlockKind::ProcessList { version: 8 });
        assert_eq!(BlockType(0x222).kind(), BlockKind::Event { version: 2, flags: true, large: true });
        assert_eq!(BlockType(6).kind(), BlockKind::Unknown);
    }
}

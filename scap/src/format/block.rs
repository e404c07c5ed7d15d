//! The frame around every part of a capture file, and the numbers of the block types.
//!
//! A file is a sequence of blocks, pcapng's frame with block types of its own. Integers are in the byte order of the
//! machine that wrote the file; every block starts on a 4-byte boundary.
//!
//! ```text
//!          0            4              8                               n      n + padding
//!          ├────────────┼──────────────┼───────────────────────────────┼─────────┼──────────────┐
//!          │ type (u32) │ length (u32) │ body                          │ 0 to 3  │ length again │
//!          │            │              │                               │ zeros   │ (u32)        │
//!          └────────────┴──────────────┴───────────────────────────────┴─────────┴──────────────┘
//!                         length: all of it, from the type to the end of the second length
//!
//! body of an event block:               ┌───────────┬───────────────────┬───────┐
//!                                       │ cpu (u16) │ flags (u32), only │ event │
//!                                       │           │ in 0x217, 0x222   │       │
//!                                       └───────────┴───────────────────┴───────┘
//! ```
//!
//! This module alone computes lengths, padding and trailers.

use std::fmt;

/// Bytes before a block's body: type and length.
pub const HEADER_LEN: usize = 8;
/// Bytes after a block's padding: the length again.
pub const TRAILER_LEN: usize = 4;
/// The longest block of an event that readers take.
pub const MAX_EVENT_BLOCK: usize = 65_536;
/// The longest event whose block stays within [`MAX_EVENT_BLOCK`], in bytes.
pub const MAX_EVENT: usize = MAX_EVENT_BLOCK - HEADER_LEN - TRAILER_LEN - CPU_LEN;

/// Bytes of the CPU's number before an event.
const CPU_LEN: usize = size_of::<u16>();

const _: () = {
    assert!(event_block_len(MAX_EVENT) == MAX_EVENT_BLOCK);
    assert!(event_block_len(MAX_EVENT + 1) > MAX_EVENT_BLOCK);
    assert!(event_block_len(0) == 16);
    assert!(block_len(0) == 12 && block_len(1) == 16 && block_len(4) == 16 && block_len(5) == 20);
};

/// The type of a block, as its first four bytes give it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockType(pub u32);

/// What a block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockKind {
    /// The start of a section: byte order and version.
    SectionHeader,
    /// The machine.
    MachineInfo,
    /// Threads. Each version of 1 to 9 has more fields than the one before.
    ProcessList {
        /// 1 to 9.
        version: u8,
    },
    /// The file descriptors of a process; from version 2 on, an entry carries its length.
    FdList {
        /// 1 or 2.
        version: u8,
    },
    /// Addresses of interfaces; from version 2 on, an entry carries its length.
    InterfaceList {
        /// 1 or 2.
        version: u8,
    },
    /// Users and groups; from version 2 on, an entry carries its length.
    UserList {
        /// 1 or 2.
        version: u8,
    },
    /// An event.
    Event {
        /// 1: its header lacks the number of parameters; 2: it is there.
        version: u8,
        /// Whether 32 bits of flags stand before the event.
        flags: bool,
        /// Whether it may be longer than [`MAX_EVENT`].
        large: bool,
    },
    /// A type that this reader does not know; it is skipped by its length.
    Unknown,
}

macro_rules! block_types {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal, $kind:expr;)*) => {
        impl BlockType {
            $($(#[$doc])* pub const $name: BlockType = BlockType($number);)*

            /// What a block of this type holds.
            pub const fn kind(self) -> BlockKind {
                use BlockKind::*;
                match self.0 {
                    $($number => $kind,)*
                    _ => Unknown,
                }
            }

            /// A name for people.
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

    // Older numbers, read and never written. Those of the form 0x80..ABCD come from before the format's first release.
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

impl fmt::Debug for BlockType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:#x})", self.name(), self.0)
    }
}

/// Bytes of a block whose body has `body` bytes.
pub const fn block_len(body: usize) -> usize {
    HEADER_LEN + body.next_multiple_of(4) + TRAILER_LEN
}

/// Bytes of the block that [`frame_event`] makes of an event of `event_len` bytes.
pub const fn event_block_len(event_len: usize) -> usize {
    block_len(CPU_LEN + event_len)
}

/// Appends a block to `out`; `body` appends its body.
///
/// The body must stay below 4 GiB, as the format's lengths have 32 bits.
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

/// Appends the block of one event to `out`.
///
/// `event` is the event as [`EventView`](super::EventView) reads it, recorded on `cpu`. Readers refuse one of more than
/// [`MAX_EVENT`] bytes: it is the caller's to keep below.
#[inline]
pub fn frame_event(out: &mut Vec<u8>, cpu: u16, event: &[u8]) {
    out.reserve(event_block_len(event.len()));
    frame(out, BlockType::EVENT, |out| {
        out.extend_from_slice(&cpu.to_ne_bytes());
        out.extend_from_slice(event);
    });
}

/// Sets the time stamp of the event in a block of [`frame_event`].
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

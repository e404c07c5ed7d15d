//! Events in version 1 blocks, whose header lacks the number of parameters.

use super::event::{EVENT_HEADER_LEN, wide_lengths};
use crate::events::{EventType, event};

/// The size of the old header (ts, tid, len, type) in bytes, and the offsets of two fields.
const OLD_HEADER_LEN: usize = 22;
const LEN_AT: usize = 16;
const TYPE_AT: usize = 20;

/// Rewrites the event at `start` of the buffer with the current header. The number of parameters is the largest one, up
/// to the table's, whose lengths and data exactly fill the event.
pub(super) fn add_nparams(buf: &mut Vec<u8>, start: usize) -> Result<(), &'static str> {
    const SHORT: &str = "a version 1 event is shorter than its header";
    let header: &[u8; OLD_HEADER_LEN] = buf.get(start..).and_then(<[u8]>::first_chunk).ok_or(SHORT)?;
    let len =
        u32::from_ne_bytes([header[LEN_AT], header[LEN_AT + 1], header[LEN_AT + 2], header[LEN_AT + 3]]);
    let ty = EventType(u16::from_ne_bytes([header[TYPE_AT], header[TYPE_AT + 1]]));
    let len = real_len(ty, len) as usize;
    let params = buf.get(start + OLD_HEADER_LEN..start + len).ok_or("a version 1 event exceeds its block")?;
    let nparams = match event(ty) {
        Some(row) => (0..=row.params.len())
            .rev()
            .find(|&n| fills(params, n, wide_lengths(ty, false)))
            .ok_or("no number of parameters fits the length of a version 1 event")?,
        None => 0,
    };
    let grown = (len + EVENT_HEADER_LEN - OLD_HEADER_LEN) as u32;
    buf[start + LEN_AT..start + TYPE_AT].copy_from_slice(&grown.to_ne_bytes());
    let at = start + OLD_HEADER_LEN;
    buf.splice(at..at, (nparams as u32).to_ne_bytes());
    Ok(())
}

/// Returns the real length of an event: old writers gave two types a length that is 3 too large.
fn real_len(ty: EventType, len: u32) -> u32 {
    const NOTIFICATION: EventType = EventType(280);
    const INFRASTRUCTURE: EventType = EventType(286);
    if ty == NOTIFICATION || ty == INFRASTRUCTURE { len.saturating_sub(3) } else { len }
}

/// Returns whether the lengths and data of `n` parameters exactly fill `params`.
fn fills(params: &[u8], n: usize, wide: bool) -> bool {
    let size = if wide { 4 } else { 2 };
    let Some((lengths, data)) = params.split_at_checked(n * size) else { return false };
    let sum: u64 = lengths
        .chunks_exact(size)
        .map(|l| match *l {
            [a, b] => u64::from(u16::from_ne_bytes([a, b])),
            [a, b, c, d] => u64::from(u32::from_ne_bytes([a, b, c, d])),
            _ => 0,
        })
        .sum();
    sum == data.len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::EventView;

    /// An event with the old header, of a thread whose id has no zero byte.
    fn old(ty: u16, params: &[u8]) -> Vec<u8> {
        let len = (OLD_HEADER_LEN + params.len()) as u32;
        let ids = [&1_u64.to_ne_bytes()[..], &u64::MAX.to_ne_bytes()].concat();
        [&ids[..], &len.to_ne_bytes(), &ty.to_ne_bytes(), params].concat()
    }

    #[test]
    fn a_long_event_keeps_its_length_and_its_thread() {
        // A read of 60,000 bytes, behind the two bytes of a CPU.
        let params = [&8_u16.to_ne_bytes()[..], &60_000_u16.to_ne_bytes(), &[7; 60_008]].concat();
        let mut buf = [&[0xee; 2][..], &old(7, &params)].concat();
        add_nparams(&mut buf, 2).unwrap();
        assert_eq!(buf[..2], [0xee; 2]);
        let event = EventView::parse(&buf[2..], false).unwrap();
        assert_eq!((event.tid(), event.nparams(), event.bytes().len()), (u64::MAX, 2, 26 + params.len()));
        assert_eq!(event.param(1), Some(&[7; 60_000][..]));
    }

    #[test]
    fn lengths_of_32_bits_are_counted_as_such() {
        // A container's JSON, longer than 16 bits can say.
        let params = [&70_000_u32.to_ne_bytes()[..], &[b'x'; 70_000]].concat();
        let mut buf = old(324, &params);
        add_nparams(&mut buf, 0).unwrap();
        let event = EventView::parse(&buf, true).unwrap();
        assert_eq!((event.nparams(), event.param(0).map(<[u8]>::len)), (1, Some(70_000)));
    }
}

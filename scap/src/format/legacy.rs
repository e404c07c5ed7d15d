//! Events of the first block version, whose header lacks the number of parameters.

use super::event::{EVENT_HEADER_LEN, wide_lengths};
use crate::events::{EventType, event};

/// Bytes of the old header, and where its fields lie: ts, tid, len, type.
const OLD_HEADER_LEN: usize = 22;
const LEN_AT: usize = 16;
const TYPE_AT: usize = 20;

/// Rewrites the event at `start` of the buffer with today's header. Its parameters are as many as fill its length, the
/// most that the table gives it tried first.
pub(super) fn add_nparams(buf: &mut Vec<u8>, start: usize) -> Result<(), &'static str> {
    const SHORT: &str = "an old event is shorter than its header";
    let header: &[u8; OLD_HEADER_LEN] = buf.get(start..).and_then(<[u8]>::first_chunk).ok_or(SHORT)?;
    let len =
        u32::from_ne_bytes([header[LEN_AT], header[LEN_AT + 1], header[LEN_AT + 2], header[LEN_AT + 3]]);
    let ty = EventType(u16::from_ne_bytes([header[TYPE_AT], header[TYPE_AT + 1]]));
    let len = real_len(ty, len) as usize;
    let params = buf.get(start + OLD_HEADER_LEN..start + len).ok_or("an old event exceeds its block")?;
    let nparams = match event(ty) {
        Some(row) => (0..=row.params.len())
            .rev()
            .find(|&n| fills(params, n, wide_lengths(ty, false)))
            .ok_or("an old event has a length that no number of parameters gives")?,
        None => 0,
    };
    let grown = (len + EVENT_HEADER_LEN - OLD_HEADER_LEN) as u32;
    buf[start + LEN_AT..start + TYPE_AT].copy_from_slice(&grown.to_ne_bytes());
    let at = start + OLD_HEADER_LEN;
    buf.splice(at..at, (nparams as u32).to_ne_bytes());
    Ok(())
}

/// Writers of old gave two types a length that is 3 too large.
fn real_len(ty: EventType, len: u32) -> u32 {
    const NOTIFICATION: EventType = EventType(280);
    const INFRASTRUCTURE: EventType = EventType(286);
    if ty == NOTIFICATION || ty == INFRASTRUCTURE { len.saturating_sub(3) } else { len }
}

/// Whether lengths and bytes of `n` parameters are all that there is.
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

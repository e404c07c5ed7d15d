//! Parses the control messages (`cmsg`) that `recvmsg` returns, in the layout of the receiver's ABI.

use crate::format::Fields;

const SOL_SOCKET: u32 = 1;
const SCM_RIGHTS: u32 = 1;
const SCM_PIDFD: u32 = 4;

/// A control message that carries descriptors, with the receiver's numbers.
#[derive(Debug)]
pub(crate) enum Control<I> {
    Fds(I),
    Pidfd(i64),
}

/// Returns the complete messages that carry descriptors; the capture may have truncated the last one.
pub(crate) fn messages(control: &[u8]) -> impl Iterator<Item = Control<impl Iterator<Item = i64>>> {
    let mut rest = control;
    std::iter::from_fn(move || {
        let (kind, data, after) = split(rest)?;
        rest = after;
        Some((kind, data))
    })
    .filter_map(|(kind, data)| {
        let mut fds =
            data.chunks_exact(4).filter_map(|fd| Some(i64::from(i32::from_ne_bytes(fd.try_into().ok()?))));
        match kind {
            (SOL_SOCKET, SCM_RIGHTS) => Some(Control::Fds(fds)),
            (SOL_SOCKET, SCM_PIDFD) => fds.next().filter(|fd| *fd >= 0).map(Control::Pidfd),
            _ => None,
        }
    })
}

type Kind = (u32, u32);

/// Splits off the first message: level and type, data, and the rest. The length field has the receiver's word size:
/// read as 64 bits, a 32-bit receiver's is far too large, which tells the two apart.
fn split(control: &[u8]) -> Option<(Kind, &[u8], &[u8])> {
    let mut wide = Fields::new(control);
    let mut narrow = wide;
    split_at(control, wide.u64()?, wide, 8).or_else(|| split_at(control, narrow.u32()?.into(), narrow, 4))
}

fn split_at<'a>(
    control: &'a [u8],
    len: u64,
    mut fields: Fields<'_>,
    word: usize,
) -> Option<(Kind, &'a [u8], &'a [u8])> {
    let len = usize::try_from(len).ok()?;
    let kind = (fields.u32()?, fields.u32()?);
    let data = control.get(word + 8..len)?;
    Some((kind, data, control.get(len.next_multiple_of(word)..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(word: usize, kind: (u32, u32), data: &[i32]) -> Vec<u8> {
        let len = word + 8 + 4 * data.len();
        let mut bytes = (len as u64).to_le_bytes()[..word].to_vec();
        bytes.extend(kind.0.to_ne_bytes());
        bytes.extend(kind.1.to_ne_bytes());
        bytes.extend(data.iter().flat_map(|fd| fd.to_ne_bytes()));
        bytes.resize(len.next_multiple_of(word), 0);
        bytes
    }

    fn all(control: &[u8]) -> Vec<i64> {
        messages(control)
            .flat_map(|message| match message {
                Control::Fds(fds) => fds.collect(),
                Control::Pidfd(fd) => vec![fd, -1],
            })
            .collect()
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn descriptors_are_found_in_either_layout() {
        for word in [4, 8] {
            let credentials = message(word, (SOL_SOCKET, 2), &[1, 2, 3]);
            let rights = message(word, (SOL_SOCKET, SCM_RIGHTS), &[7, 8, 9]);
            let pidfd = message(word, (SOL_SOCKET, SCM_PIDFD), &[5]);
            let control = [credentials, rights, pidfd].concat();
            assert_eq!(all(&control), [7, 8, 9, 5, -1], "{word}");
            for cut in 0..control.len() {
                all(&control[..cut]);
            }
        }
        assert_eq!(all(&message(8, (41, SCM_RIGHTS), &[7])), [0; 0]);
    }
}

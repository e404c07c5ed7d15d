//! The events of a ring's record.

/// An event as the kernel side recorded it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawEvent<'a> {
    /// The CPU that it was recorded on.
    pub cpu: u16,
    /// The event: header, lengths, parameters (see include/scap_event.h).
    pub bytes: &'a [u8],
    /// The events that extend it, one behind the other; nearly always one or none.
    pub extensions: &'a [u8],
    /// Whether an event with a later time stamp came before it, because a program did not end in time.
    pub late: bool,
}

impl<'a> RawEvent<'a> {
    /// Splits the events of a record.
    pub(super) fn of_record(cpu: u16, late: bool, record: &'a [u8]) -> RawEvent<'a> {
        let (bytes, extensions) = split_event(record);
        RawEvent { cpu, bytes, extensions, late }
    }

    /// Iterates over the event and those that extend it.
    pub fn parts(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut rest = self.extensions;
        let extensions = std::iter::from_fn(move || {
            let (event, others) = split_event(rest);
            rest = others;
            Some(event).filter(|event| !event.is_empty())
        });
        std::iter::once(self.bytes).chain(extensions)
    }
}

/// Splits bytes behind the first event, at the length in its header.
#[inline]
fn split_event(bytes: &[u8]) -> (&[u8], &[u8]) {
    const LEN: std::ops::Range<usize> = 16..20;
    let len = bytes.get(LEN).and_then(|len| len.first_chunk()).map(|len| u32::from_ne_bytes(*len) as usize);
    // A length of 0 would split off nothing for ever.
    len.filter(|len| *len > 0).and_then(|len| bytes.split_at_checked(len)).unwrap_or((bytes, &[]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes an event of this length, with nothing but that length.
    fn event(len: u32) -> Vec<u8> {
        let mut event = vec![7; len as usize];
        event[16..20].copy_from_slice(&len.to_ne_bytes());
        event
    }

    fn parts(record: &[u8]) -> Vec<usize> {
        let raw = RawEvent::of_record(3, true, record);
        assert_eq!((raw.cpu, raw.late), (3, true));
        assert_eq!(raw.parts().collect::<Vec<_>>().concat(), record, "a part is missing");
        raw.parts().map(<[u8]>::len).collect()
    }

    #[test]
    fn a_record_is_split_at_the_lengths_of_its_events() {
        assert_eq!(parts(&event(30)), [30]);
        assert_eq!(parts(&[event(30), event(40)].concat()), [30, 40]);
        assert_eq!(parts(&[event(30), event(40), event(26)].concat()), [30, 40, 26]);
    }

    #[test]
    fn nonsense_is_one_event() {
        let (mut long, mut empty) = (event(30), event(30));
        long[16..20].copy_from_slice(&31u32.to_ne_bytes());
        empty[16..20].copy_from_slice(&0u32.to_ne_bytes());
        for record in [long, empty, vec![1; 19]] {
            assert_eq!(parts(&record), [record.len()]);
            assert_eq!(parts(&[event(26), record.clone()].concat()), [26, record.len()]);
        }
    }
}

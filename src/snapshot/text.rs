//! Small parsers for the files of /proc. They work on bytes: names and paths need not be UTF-8.

/// Returns the fields of a line, separated by whitespace.
pub(super) fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| byte.is_ascii_whitespace()).filter(|field| !field.is_empty())
}

/// Returns the non-empty lines of a text, including a last line without a line break.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty())
}

/// Parses a decimal number, which must be the whole text.
pub(super) fn number<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Parses a hexadecimal number of at most 16 significant digits, without prefix, which must be the whole text.
pub(super) fn hex(text: &[u8]) -> Option<u64> {
    // `from_str_radix` would accept a sign.
    if !text.first()?.is_ascii_hexdigit() {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok()
}

/// Returns the text before the first `separator`, and the text after it.
pub(super) fn split_once(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|&byte| byte == separator)?;
    let (before, rest) = text.split_at(at);
    Some((before, rest.get(1..)?))
}

/// Decodes the kernel's octal escapes (`\040`).
pub(super) fn unescape(text: &[u8]) -> Vec<u8> {
    let mut result = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = match tail {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] if first == b'\\' => {
                Some((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'))
            }
            _ => None,
        };
        result.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() { tail.get(3..).unwrap_or_default() } else { tail };
    }
    result
}

/// Truncates a text to at most `limit` bytes.
pub(super) fn shortened(mut text: Vec<u8>, limit: usize) -> Vec<u8> {
    text.truncate(limit);
    text
}

/// Truncates a list of NUL-terminated texts to at most `limit` bytes. The last text ends in NUL even if it is cut.
pub(super) fn shortened_list(mut list: Vec<u8>, limit: usize) -> Vec<u8> {
    let ended = list.last().is_none_or(|&last| last == 0);
    if list.len() > limit || (list.len() == limit && !ended) {
        list.truncate(limit.saturating_sub(1));
        list.push(0);
    } else if !ended {
        list.push(0);
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_whole() {
        assert_eq!(number::<u32>(b"17"), Some(17));
        assert_eq!(number::<u32>(b"17x"), None);
        assert_eq!(number::<u32>(b""), None);
        assert_eq!(number::<i32>(b"-1"), Some(-1));
        assert_eq!(number::<u32>(b"4294967296"), None);
        assert_eq!(hex(b"000001ffffffffff"), Some(0x1ff_ffff_ffff));
        assert_eq!(hex(b"+1"), None);
        assert_eq!(hex(b""), None);
        assert_eq!(hex(b"1ffffffffffffffff"), None);
    }

    #[test]
    fn escapes_are_undone() {
        assert_eq!(unescape(b"/a\\040b\\134c"), b"/a b\\c");
        assert_eq!(unescape(b"\\04"), b"\\04");
        assert_eq!(unescape(b"\\999\\"), b"\\999\\");
    }

    #[test]
    fn lists_end_in_nul() {
        assert_eq!(shortened_list(b"ab\0cd\0".to_vec(), 10), b"ab\0cd\0");
        assert_eq!(shortened_list(b"ab\0cd".to_vec(), 10), b"ab\0cd\0");
        assert_eq!(shortened_list(b"ab\0cd\0".to_vec(), 6), b"ab\0cd\0");
        assert_eq!(shortened_list(b"ab\0cdef\0".to_vec(), 6), b"ab\0cd\0");
        assert_eq!(shortened_list(b"ab\0\0\0".to_vec(), 4), b"ab\0\0");
        assert_eq!(shortened_list(Vec::new(), 6), b"");
    }
}

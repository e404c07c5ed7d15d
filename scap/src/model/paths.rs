//! Paths of the recorded machine: bytes that must not be looked up on this one.

/// Resolves `path` against `base`, an absolute directory, and removes `.`, `..` and doubled slashes.
pub(crate) fn join(base: &[u8], path: &[u8]) -> Vec<u8> {
    let base: &[u8] = if path.starts_with(b"/") { b"" } else { base };
    let mut joined = Vec::with_capacity(base.len() + path.len() + 1);
    for part in base.split(|&b| b == b'/').chain(path.split(|&b| b == b'/')) {
        match part {
            b"" | b"." => {}
            b".." => joined.truncate(joined.iter().rposition(|&b| b == b'/').unwrap_or(0)),
            _ => {
                joined.push(b'/');
                joined.extend_from_slice(part);
            }
        }
    }
    if joined.is_empty() {
        joined.push(b'/');
    }
    joined
}

/// Returns the part after the last slash.
pub(crate) fn file_name(path: &[u8]) -> &[u8] {
    path.rsplit(|&b| b == b'/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined() {
        let join =
            |base: &str, path: &str| String::from_utf8(join(base.as_bytes(), path.as_bytes())).unwrap();
        assert_eq!(join("/tmp/", "a"), "/tmp/a");
        assert_eq!(join("/tmp", "./a//b/../c/."), "/tmp/a/c");
        assert_eq!(join("/tmp", "../../.."), "/");
        assert_eq!(join("/tmp", "/etc//passwd"), "/etc/passwd");
        assert_eq!(join("/tmp", ""), "/tmp");
        assert_eq!(file_name(b"/bin/cat"), b"cat");
        assert_eq!(file_name(b"cat"), b"cat");
    }
}

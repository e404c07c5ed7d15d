//! Escapes text that comes from others, so that a terminal shows it and does not obey it.

use std::{os::unix::ffi::OsStrExt, path::Path};

use scap::text::write_escaped;
pub use scap::text::{escape, is_obeyed};

/// Returns a name for the terminal, escaped so that different names never look alike.
pub fn escaped(bytes: &[u8]) -> String {
    let mut out = String::new();
    escape(&mut out, bytes);
    out
}

/// Returns a path for a message, escaped so that it cannot start a new line.
pub fn shown(path: &Path) -> String {
    escaped(path.as_os_str().as_bytes())
}

/// Returns a message for the terminal. Like [`escaped`], but keeps backslashes: names in it may be escaped already.
pub fn for_terminal(message: &str) -> String {
    let mut out = String::new();
    write_escaped(&mut out, message.as_bytes(), is_obeyed);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped() {
        assert_eq!(shown(Path::new("/a\nb\\c")), "/a\\nb\\\\c");
        assert_eq!(escaped("a\u{202e}b\u{2028}\u{9b}".as_bytes()), "a\\u{202e}b\\u{2028}\\u{9b}");
        assert_eq!(escaped("häl\\lo wörld".as_bytes()), "häl\\\\lo wörld");
        assert_ne!(escaped(b"lit\\n_"), escaped(b"lit\n_"));
        assert_eq!(for_terminal("lit\\n\x07"), "lit\\n\\u{7}");
        assert_eq!(escaped(b"a\nb\x1b[31m\x7f"), "a\\nb\\u{1b}[31m\\u{7f}");
        assert_eq!(escaped(b"a\xff\xc3"), "a\\xff\\xc3");
    }
}

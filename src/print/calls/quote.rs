//! Texts in strace's form: printable ASCII as it is, everything else escaped as in C.

/// Appends a text in quotes.
pub fn quoted(out: &mut String, bytes: &[u8]) {
    out.push('"');
    bare(out, bytes, b"\"\\");
    out.push('"');
}

/// Appends a name that stands between `<` and `>`.
pub fn name(out: &mut String, bytes: &[u8]) {
    bare(out, bytes, b"\"\\<>");
}

fn bare(out: &mut String, bytes: &[u8], special: &[u8]) {
    for (at, &byte) in bytes.iter().enumerate() {
        let short = match byte {
            b'\n' => 'n',
            b'\t' => 't',
            b'\r' => 'r',
            0x0b => 'v',
            0x0c => 'f',
            b'"' | b'\\' if special.contains(&byte) => char::from(byte),
            b' '..=b'~' if !special.contains(&byte) => {
                out.push(char::from(byte));
                continue;
            }
            _ => {
                // A digit behind a shorter number would become part of it.
                let is_before_digit = bytes.get(at + 1).is_some_and(|next| matches!(next, b'0'..=b'7'));
                octal(out, byte, is_before_digit);
                continue;
            }
        };
        out.extend(['\\', short]);
    }
}

fn octal(out: &mut String, byte: u8, whole: bool) {
    let digits = [byte >> 6, byte >> 3 & 7, byte & 7];
    let skip = if whole { 0 } else { digits[..2].iter().take_while(|digit| **digit == 0).count() };
    out.push('\\');
    out.extend(digits[skip..].iter().map(|digit| char::from(b'0' + digit)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_straces() {
        let text = |bytes: &[u8]| {
            let mut out = String::new();
            quoted(&mut out, bytes);
            out
        };
        assert_eq!(text(b"hello\n\t\"q\"\\ \0\x01\xc3\xa9"), r#""hello\n\t\"q\"\\ \0\1\303\251""#);
        assert_eq!(text(b"\x001\x008\x0b\x0c\r\x1b[31m\x7f8"), r#""\0001\08\v\f\r\33[31m\1778""#);
        assert_eq!(text(b"<a>'b'"), "\"<a>'b'\"");
        assert_eq!(text(b""), "\"\"");
    }

    #[test]
    fn a_name_cannot_leave_its_brackets() {
        let mut out = String::new();
        name(&mut out, b"/tmp/x> = 0\n<\"");
        assert_eq!(out, r#"/tmp/x\76 = 0\n\74\""#);
    }
}

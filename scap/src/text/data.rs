//! Data as text: what calls read and write.

use std::iter;

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{Out, values::dots};

/// How data is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum DataForm {
    /// A dot for each byte that is not printable ASCII.
    #[default]
    Dots,
    /// On lines of its own: only printable ASCII and ends of lines.
    Printable,
    /// On lines of its own: a dump in hexadecimal.
    Hex,
    /// On lines of its own: a dump in hexadecimal and ASCII.
    HexAscii,
    /// In base64.
    Base64,
}

impl DataForm {
    /// Appends data. All forms are safe for a terminal.
    pub fn write(self, out: &mut impl Out, bytes: &[u8]) {
        match self {
            DataForm::Dots => dots(out, bytes),
            DataForm::Base64 => out.ascii(STANDARD.encode(bytes).bytes()),
            _ if bytes.is_empty() => {}
            DataForm::Printable => {
                // An end of line is a newline, a carriage return, or both. As in sysdig, there is none at the start.
                let before = iter::once(b'\r').chain(bytes.iter().copied());
                let shown = before.zip(bytes).filter_map(|pair| match pair {
                    (b'\r', b'\n') => None,
                    (_, b'\r' | b'\n') => Some(b'\n'),
                    (_, byte @ b' '..=b'~') => Some(*byte),
                    _ => None,
                });
                out.ascii(iter::once(b'\n').chain(shown));
            }
            DataForm::Hex | DataForm::HexAscii => dump(out, bytes, self == DataForm::HexAscii),
        }
    }
}

/// Appends lines of 16 bytes. ASCII stands in one column, also behind an odd number of bytes (where sysdig puts it two
/// columns further left).
fn dump(out: &mut impl Out, bytes: &[u8], ascii: bool) {
    /// Eight pairs of bytes, each with a blank in front, and two blanks.
    const WIDTH: usize = 8 * 5 + 2;
    // Writing to memory cannot fail.
    let _ = out.write_char('\n');
    for (index, line) in bytes.chunks(16).enumerate() {
        let _ = write!(out, "\t0x{:04x}:", 16 * index);
        for pair in line.chunks(2) {
            let _ = out.write_char(' ');
            for byte in pair {
                let _ = write!(out, "{byte:02x}");
            }
        }
        if ascii {
            let written = 2 * line.len() + line.len().div_ceil(2);
            let _ = write!(out, "{:blanks$}", "", blanks = WIDTH - written);
            dots(out, line);
        }
        let _ = out.write_char('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(form: DataForm, bytes: &[u8]) -> String {
        let mut out = String::new();
        form.write(&mut out, bytes);
        out
    }

    #[test]
    fn data_has_the_form_that_was_asked_for() {
        const BYTES: &[u8] = b"GET / HTTP/1.1\r\nHost: x\t\x1b[2J";
        assert_eq!(shown(DataForm::Dots, BYTES), "GET / HTTP/1.1..Host: x..[2J");
        assert_eq!(shown(DataForm::Printable, BYTES), "\nGET / HTTP/1.1\nHost: x[2J");
        assert_eq!(shown(DataForm::Printable, b"\n"), "\n");
        assert_eq!(shown(DataForm::Printable, b"\n\na"), "\n\na");
        assert_eq!(shown(DataForm::Printable, b"a\rb\n\nc\r\n\r"), "\na\nb\n\nc\n\n");
        assert_eq!(shown(DataForm::Base64, b"\0\xff"), "AP8=");
        assert_eq!(
            shown(DataForm::HexAscii, BYTES),
            "\n\t0x0000: 4745 5420 2f20 4854 5450 2f31 2e31 0d0a  GET / HTTP/1.1..\n\
             \t0x0010: 486f 7374 3a20 7809 1b5b 324a            Host: x..[2J\n"
        );
        assert_eq!(shown(DataForm::Hex, b"abc"), "\n\t0x0000: 6162 63\n");
        for form in [DataForm::Printable, DataForm::Hex, DataForm::HexAscii, DataForm::Base64] {
            assert_eq!(shown(form, b""), "", "{form:?}");
        }
    }

    #[test]
    fn a_huge_value_takes_as_much_as_it_needs() {
        assert_eq!(shown(DataForm::Dots, &vec![0; 1 << 20]).len(), 1 << 20);
        assert!(shown(DataForm::Hex, &vec![0; (1 << 16) + 1]).contains("\t0x10000: 00\n"));
    }
}

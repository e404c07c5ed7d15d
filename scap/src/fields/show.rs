//! The text of values: in output formats, in columns, in tables.

use std::fmt::Write;

use super::{Type, Value};
use crate::text::{DataForm, escape};

/// What stands for a value that is missing.
pub const NO_VALUE: &str = "<NA>";

/// How a field's numbers are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NumberForm {
    /// The least number of digits, with zeros in front.
    pub digits: usize,
    /// In hexadecimal, in upper case (`fd.dev`).
    pub is_hex: bool,
}

impl Default for NumberForm {
    fn default() -> Self {
        Self { digits: 1, is_hex: false }
    }
}

/// Appends the text of a value.
///
/// | type | |
/// |-|-|
/// | text | [escaped](escape) |
/// | data | as `data` says |
/// | numbers, times, durations | as `number` says; times and durations in ns |
/// | true and false | `true`, `false` |
/// | addresses | `10.0.0.1`, `::1` |
pub fn show(out: &mut String, value: &Value<'_>, ty: Type, number: NumberForm, data: DataForm) {
    let digits = number.digits;
    // Writing to a string cannot fail.
    let _ = match value {
        Value::Text(bytes) if ty == Type::Bytes => return data.write(out, bytes),
        Value::Text(bytes) => return escape(out, bytes),
        Value::Bool(v) => write!(out, "{v}"),
        Value::Double(v) => write!(out, "{v}"),
        Value::Ip(v) => write!(out, "{}", v.to_canonical()),
        Value::Int(v) if number.is_hex => write!(out, "{v:0digits$X}"),
        Value::Int(v) => write!(out, "{v:0digits$}"),
        Value::Uint(v) if number.is_hex => write!(out, "{v:0digits$X}"),
        Value::Uint(v) => write!(out, "{v:0digits$}"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &Value<'_>, ty: Type, number: NumberForm) -> String {
        let mut out = String::new();
        show(&mut out, value, ty, number, DataForm::Dots);
        out
    }

    #[test]
    fn a_value_has_the_text_of_its_type() {
        let plain = |value, ty| text(&value, ty, NumberForm::default());
        assert_eq!(
            plain(Value::text("a\\b\n\x1b[2J\u{202e}é\u{fe}"), Type::Text),
            "a\\\\b\\n\\u{1b}[2J\\u{202e}éþ"
        );
        assert_eq!(plain(Value::text(b"a\xff"), Type::Text), "a\\xff");
        assert_eq!(plain(Value::text(b"a\xff\n"), Type::Bytes), "a..");
        assert_eq!(plain(Value::Int(-5), Type::Int), "-5");
        assert_eq!(plain(Value::Uint(u64::MAX), Type::Uint), "18446744073709551615");
        assert_eq!(plain(Value::Uint(443), Type::Port), "443");
        assert_eq!(plain(Value::Uint(1_500), Type::Duration), "1500");
        assert_eq!(plain(Value::Uint(1_700_000_000_000_000_000), Type::Time), "1700000000000000000");
        assert_eq!(plain(Value::Bool(true), Type::Bool), "true");
        assert_eq!(plain(Value::Double(0.25), Type::Double), "0.25");
        assert_eq!(plain(Value::Ip([10, 0, 0, 1].into()), Type::Ip), "10.0.0.1");
        let mapped = std::net::Ipv4Addr::LOCALHOST.to_ipv6_mapped();
        assert_eq!(plain(Value::Ip(mapped.into()), Type::Ip), "127.0.0.1");
        assert_eq!(plain(Value::Ip(std::net::Ipv6Addr::LOCALHOST.into()), Type::Net), "::1");
    }

    #[test]
    fn a_number_has_the_form_of_its_field() {
        let number =
            |value: Value<'_>, digits, is_hex| text(&value, Type::Uint, NumberForm { digits, is_hex });
        assert_eq!(number(Value::Uint(5), 9, false), "000000005");
        assert_eq!(number(Value::Uint(5_514_632_620), 9, false), "5514632620");
        assert_eq!(number(Value::Int(5), 9, false), "000000005");
        assert_eq!(number(Value::Uint(0xfd01), 1, true), "FD01");
        assert_eq!(number(Value::Int(0xfd01), 1, true), "FD01");
    }
}

//! The values of a filter as the types of fields read them: numbers with units, addresses, networks, services.

use std::net::IpAddr;

use ipnet::IpNet;
use regex::bytes::{Regex, RegexBuilder};

use crate::fields::{Type, services};

use super::{
    syntax::Op,
    tree::{Constant, Pattern},
};

/// Reads a value that stands to the right of an operator.
///
/// # Errors
/// A message, if it is none of the field's type.
pub(super) fn read(text: &[u8], op: Op, ty: Type) -> Result<Constant, String> {
    match ty {
        Type::Text | Type::Bytes => match op {
            Op::Regex => Ok(Constant::Regex(Pattern(regex(as_str(text, "a regular expression")?)?))),
            Op::Bcontains | Op::Bstartswith => hexadecimal(text).map(Constant::Text),
            _ => Ok(Constant::Text(text.into())),
        },
        Type::Bool => match text {
            b"true" => Ok(Constant::Bool(true)),
            b"false" => Ok(Constant::Bool(false)),
            _ => Err("expected true or false".into()),
        },
        Type::Int => integer(text, SIZES, i64::MIN.into(), i64::MAX.into()),
        Type::Uint => integer(text, SIZES, 0, u64::MAX.into()),
        Type::Time | Type::Duration => integer(text, TIMES, 0, u64::MAX.into()),
        Type::Port => match str::from_utf8(text).ok().and_then(services::port) {
            Some(port) => Ok(Constant::Integer(port.into())),
            None => integer(text, &[], 0, u16::MAX.into()).map_err(|why| match text.first() {
                Some(b'0'..=b'9' | b'+' | b'-') => why,
                _ => "no such service; write the port's number".into(),
            }),
        },
        Type::Double => match as_str(text, "a number")?.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Constant::Double(number)),
            _ => Err("expected a number, such as 10 or 0.5".into()),
        },
        Type::Ip => match as_str(text, "an address")? {
            text if text.contains('/') => {
                Err("expected an address; networks are for fields like fd.net".into())
            }
            text => text
                .parse()
                .map(Constant::Ip)
                .map_err(|_| "expected an address, such as 10.0.0.1 or ::1".into()),
        },
        Type::Net => {
            let text = as_str(text, "a network")?;
            let net = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
            // The bits behind the prefix mean nothing.
            net.map(|net| Constant::Net(net.trunc()))
                .ok_or_else(|| "expected a network, such as 10.0.0.0/8 or fe80::/10".into())
        }
    }
}

fn as_str<'a>(text: &'a [u8], what: &str) -> Result<&'a str, String> {
    str::from_utf8(text).map_err(|_| format!("expected {what}"))
}

/// Units of sizes, and how many bytes each is.
const SIZES: &[(&str, i128)] = &[
    ("", 1),
    ("k", 1 << 10),
    ("K", 1 << 10),
    ("M", 1 << 20),
    ("G", 1 << 30),
    ("T", 1 << 40),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// Units of times, and how many ns each is.
const TIMES: &[(&str, i128)] = &[
    ("", 1),
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// Reads a number: decimal, also with leading zeros, or hexadecimal (0x) or octal (0o) without a unit.
fn integer(text: &[u8], units: &[(&str, i128)], min: i128, max: i128) -> Result<Constant, String> {
    let example = match units.iter().find(|(name, _)| ["ms", "K"].contains(name)) {
        Some((name, _)) => format!("expected a number, such as 10 or 10{name}"),
        None => "expected a number, such as 10".to_owned(),
    };
    let text = str::from_utf8(text).map_err(|_| example.clone())?;
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let magnitude = match digits.get(..2) {
        Some("0x" | "0X") => radix(&digits[2..], 16).ok_or(example)?,
        Some("0o" | "0O") => radix(&digits[2..], 8).ok_or(example)?,
        _ => decimal(digits, units, &example)?,
    };
    let number = if negative { -magnitude } else { magnitude };
    match number {
        _ if negative && min == 0 && number < 0 => Err("the field is never negative".into()),
        _ if number < min || number > max => Err(format!("the field has values from {min} to {max}")),
        _ => Ok(Constant::Integer(number)),
    }
}

/// More than any field has: larger numbers count as this one.
const HUGE: i128 = 1 << 100;

fn radix(digits: &str, radix: u32) -> Option<i128> {
    let is_number = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    is_number.then(|| i128::from_str_radix(digits, radix).unwrap_or(HUGE).min(HUGE))
}

fn decimal(text: &str, units: &[(&str, i128)], example: &str) -> Result<i128, String> {
    let (number, unit) =
        text.split_at(text.find(|c: char| !matches!(c, '0'..='9' | '.')).unwrap_or(text.len()));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let (Some(whole), Some(parts)) = (radix(whole, 10), radix(fraction, 10)) else {
        return Err(example.into());
    };
    let factor = match units.iter().find(|(name, _)| *name == unit) {
        Some((_, factor)) => *factor,
        None if unit.is_empty() => 1,
        None if units.is_empty() => return Err(example.into()),
        None => {
            let names: Vec<_> = units.iter().map(|(name, _)| *name).filter(|name| !name.is_empty()).collect();
            return Err(format!("no such unit; there are {}", names.join(", ")));
        }
    };
    // At most 10^18, so that nothing overflows.
    let places = u32::try_from(fraction.len()).ok().filter(|places| *places <= 18);
    let scale = places.map(|places| 10_i128.pow(places)).ok_or("too many digits behind the point")?;
    if parts * factor % scale != 0 {
        return Err("expected a whole number".into());
    }
    Ok(whole.saturating_mul(factor).saturating_add(parts * factor / scale))
}

/// Reads the bytes that `bcontains` and `bstartswith` look for.
fn hexadecimal(text: &[u8]) -> Result<Box<[u8]>, String> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    let bytes = text.chunks(2).map(byte).collect::<Option<_>>();
    bytes.ok_or_else(|| "expected bytes as pairs of hexadecimal digits, such as 474554".into())
}

/// Compiles an expression that has to match whole values. As in libs, `^` and `$` match at lines, `.` no newline.
fn regex(text: &str) -> Result<Regex, String> {
    let text = &plain_angles(text);
    let compile = |unicode: bool| {
        // The expression on its own first: `a)(b` must not become valid by what surrounds it.
        RegexBuilder::new(text).unicode(unicode).build()?;
        RegexBuilder::new(&format!(r"\A(?m:{text})\z")).unicode(unicode).build()
    };
    // Unicode's tables for \d, \w and (?i) may not be compiled in. RE2 has these in ASCII anyhow.
    compile(true).or_else(|_| compile(false)).map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "the regular expression is too large".into(),
        error => {
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default().trim();
            format!("not a regular expression: {}", reason.strip_prefix("error: ").unwrap_or(reason))
        }
    })
}

/// Replaces `\<` and `\>`, which are the signs themselves in RE2 and ends of words here.
fn plain_angles(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some(angle @ ('<' | '>'))) => plain.push(angle),
            (c, next) => plain.extend([Some(c), next].into_iter().flatten()),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str, ty: Type) -> Result<i128, String> {
        match read(text.as_bytes(), Op::Eq, ty)? {
            Constant::Integer(number) => Ok(number),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn numbers_are_decimal_hexadecimal_or_octal() {
        for (text, expected) in [
            ("10", 10),
            ("+10", 10),
            ("-10", -10),
            ("010", 10),
            ("0x1F", 31),
            ("-0x10", -16),
            ("0o644", 420),
            ("0", 0),
        ] {
            assert_eq!(number(text, Type::Int), Ok(expected), "{text}");
        }
        for text in
            ["", "-", "x", "0x", "0xg", "0o8", "1e3", "--1", "1_000", "0x10K", "é", ".5", "5.", "1.2.3"]
        {
            assert!(number(text, Type::Int).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_have_a_range() {
        assert_eq!(number("18446744073709551615", Type::Uint), Ok(u64::MAX.into()));
        assert_eq!(number("-9223372036854775808", Type::Int), Ok(i64::MIN.into()));
        let huge = "9".repeat(200);
        for (text, ty) in [
            ("18446744073709551616", Type::Uint),
            ("65536", Type::Port),
            (&huge, Type::Int),
            (&huge, Type::Duration),
        ] {
            assert!(number(text, ty).unwrap_err().starts_with("the field has values from "), "{text}");
        }
        assert_eq!(number("-1", Type::Uint).unwrap_err(), "the field is never negative");
        assert_eq!(number("-0", Type::Uint), Ok(0));
    }

    #[test]
    fn sizes_and_times_have_units() {
        assert_eq!(number("4K", Type::Uint), Ok(4096));
        assert_eq!(number("-1.5MiB", Type::Int), Ok(-1_572_864));
        assert_eq!(number("10ms", Type::Duration), Ok(10_000_000));
        assert_eq!(number("1.5us", Type::Duration), Ok(1500));
        assert_eq!(number("2µs", Type::Duration), Ok(2000));
        assert_eq!(number("1d", Type::Time), Ok(86_400_000_000_000));
        assert_eq!(number("7", Type::Duration), Ok(7));
        assert_eq!(number("1.5", Type::Uint).unwrap_err(), "expected a whole number");
        assert_eq!(number("0.1ns", Type::Duration).unwrap_err(), "expected a whole number");
        assert_eq!(
            number("0.00000000000000000000001s", Type::Duration).unwrap_err(),
            "too many digits behind the point"
        );
        assert_eq!(
            number("10sec", Type::Duration).unwrap_err(),
            "no such unit; there are ns, us, µs, ms, s, m, h, d"
        );
        assert_eq!(number("10ms", Type::Port).unwrap_err(), "expected a number, such as 10");
    }

    #[test]
    fn an_escaped_angle_is_an_angle() {
        let matches = |pattern, text: &str| regex(pattern).unwrap().is_match(text.as_bytes());
        assert!(matches(r"a-\>b\<c", "a->b<c") && matches(r"a\\\>", r"a\>") && !matches(r"a\>", "a"));
        assert!(matches(r"\.\d", ".5") && regex(r"a\").is_err());
    }

    #[test]
    fn ports_have_names() {
        assert_eq!(number("https", Type::Port), Ok(443));
        assert_eq!(number("0443", Type::Port), Ok(443));
        assert_eq!(number("nonsense", Type::Port).unwrap_err(), "no such service; write the port's number");
    }

    #[test]
    fn networks_lose_the_bits_of_hosts() {
        let net = |text: &str| read(text.as_bytes(), Op::Eq, Type::Net);
        assert_eq!(net("10.1.2.3/8"), net("10.0.0.0/8"));
        assert_eq!(net("10.1.2.3"), net("10.1.2.3/32"));
        assert_eq!(net("::1"), net("::1/128"));
        assert!(net("10.0.0.0/33").is_err() && net("10/8").is_err() && net("").is_err());
    }
}

//! Shell patterns as fnmatch() reads them without flags: `*` also matches slashes and leading dots. Bytes are compared.

use memchr::memmem;

/// A pattern.
#[derive(Debug, Clone)]
pub(super) enum Glob {
    Exact(Box<[u8]>),
    Prefix(Box<[u8]>),
    Suffix(Box<[u8]>),
    Contains(Box<memmem::Finder<'static>>),
    Tokens { tokens: Box<[Token]>, ignore_case: bool },
}

/// A part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Byte(u8),
    /// `?`: any one byte.
    One,
    /// `*`: any bytes, or none.
    Many,
    /// `[...]`: one of some bytes.
    Class(Box<[bool; 256]>),
}

impl Glob {
    /// Compiles a pattern. Every text is one: a `[` without its `]` stands for itself.
    pub(super) fn new(pattern: &[u8], ignore_case: bool) -> Self {
        let tokens = tokens(pattern, ignore_case);
        let literal = |tokens: &[Token]| tokens.iter().map(literal).collect::<Option<Box<[u8]>>>();
        let simple = match tokens.as_slice() {
            _ if ignore_case => None,
            [Token::Many, inner @ .., Token::Many] => {
                literal(inner).map(|text| Self::Contains(Box::new(memmem::Finder::new(&text).into_owned())))
            }
            [inner @ .., Token::Many] => literal(inner).map(Self::Prefix),
            [Token::Many, inner @ ..] => literal(inner).map(Self::Suffix),
            all => literal(all).map(Self::Exact),
        };
        simple.unwrap_or_else(|| Self::Tokens { tokens: tokens.into(), ignore_case })
    }

    /// Returns whether the whole text matches.
    pub(super) fn matches(&self, text: &[u8]) -> bool {
        match self {
            Self::Exact(exact) => **exact == *text,
            Self::Prefix(prefix) => text.starts_with(prefix),
            Self::Suffix(suffix) => text.ends_with(suffix),
            Self::Contains(finder) => finder.find(text).is_some(),
            Self::Tokens { tokens, ignore_case } => walk(tokens, text, *ignore_case),
        }
    }
}

fn literal(token: &Token) -> Option<u8> {
    match token {
        Token::Byte(byte) => Some(*byte),
        _ => None,
    }
}

/// Matches; after a mismatch the last `*` takes one byte more. An earlier `*` need not take more: what is between the
/// two matched at its first possible place.
fn walk(tokens: &[Token], text: &[u8], ignore_case: bool) -> bool {
    let (mut token, mut at) = (0, 0);
    let mut retry = None;
    loop {
        let matched = match (tokens.get(token), text.get(at)) {
            (Some(Token::Many), _) => {
                retry = Some((token, at));
                token += 1;
                continue;
            }
            (None, None) => return true,
            (Some(Token::One), Some(_)) => true,
            (Some(Token::Byte(wanted)), Some(byte)) => {
                wanted == byte || ignore_case && wanted.eq_ignore_ascii_case(byte)
            }
            (Some(Token::Class(class)), Some(byte)) => class[usize::from(*byte)],
            (None, Some(_)) | (Some(_), None) => false,
        };
        if matched {
            (token, at) = (token + 1, at + 1);
        } else if let Some((many, from)) = retry.filter(|(_, from)| *from < text.len()) {
            retry = Some((many, from + 1));
            (token, at) = (many + 1, from + 1);
        } else {
            return false;
        }
    }
}

fn tokens(pattern: &[u8], ignore_case: bool) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = pattern;
    while let Some((&first, behind)) = rest.split_first() {
        let (token, behind) = match (first, behind) {
            (b'*', _) => (Token::Many, behind),
            (b'?', _) => (Token::One, behind),
            (b'\\', [escaped, behind @ ..]) => (Token::Byte(*escaped), behind),
            (b'[', _) => match class(behind, ignore_case) {
                Some((class, behind)) => (Token::Class(class), behind),
                None => (Token::Byte(b'['), behind),
            },
            _ => (Token::Byte(first), behind),
        };
        // Several in a row match the same as one.
        if token != Token::Many || tokens.last() != Some(&Token::Many) {
            tokens.push(token);
        }
        rest = behind;
    }
    tokens
}

/// Parses what follows a `[`, up to its `]`; none if it has none.
fn class(pattern: &[u8], ignore_case: bool) -> Option<(Box<[bool; 256]>, &[u8])> {
    let (negated, mut rest) = match pattern {
        [b'!' | b'^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut class = Box::new([false; 256]);
    let mut is_first = true;
    loop {
        rest = match rest {
            [b']', behind @ ..] if !is_first => {
                rest = behind;
                break;
            }
            [b'[', b':', behind @ ..] if memmem::find(behind, b":]").is_some() => {
                let end = memmem::find(behind, b":]")?;
                add_named(&mut class, &behind[..end]);
                &behind[end + 2..]
            }
            _ => {
                let (low, behind) = byte(rest)?;
                match behind {
                    [b'-', end, ..] if *end != b']' => {
                        let (high, behind) = byte(&behind[1..])?;
                        (low..=high).for_each(|byte| class[usize::from(byte)] = true);
                        behind
                    }
                    _ => {
                        class[usize::from(low)] = true;
                        behind
                    }
                }
            }
        };
        is_first = false;
    }
    if ignore_case {
        for lower in b'a'..=b'z' {
            let upper = lower.to_ascii_uppercase();
            let either = class[usize::from(lower)] || class[usize::from(upper)];
            class[usize::from(lower)] = either;
            class[usize::from(upper)] = either;
        }
    }
    class.iter_mut().for_each(|member| *member ^= negated);
    Some((class, rest))
}

/// Returns the first byte, with its escape removed, and what follows it.
fn byte(pattern: &[u8]) -> Option<(u8, &[u8])> {
    match pattern {
        [b'\\', byte, rest @ ..] | [byte, rest @ ..] => Some((*byte, rest)),
        [] => None,
    }
}

/// Adds the bytes of a class of POSIX, such as `alpha`. An unknown one has none.
fn add_named(class: &mut [bool; 256], name: &[u8]) {
    let belongs: fn(u8) -> bool = match name {
        b"alnum" => |byte| byte.is_ascii_alphanumeric(),
        b"alpha" => |byte| byte.is_ascii_alphabetic(),
        b"blank" => |byte| matches!(byte, b' ' | b'\t'),
        b"cntrl" => |byte| byte.is_ascii_control(),
        b"digit" => |byte| byte.is_ascii_digit(),
        b"graph" => |byte| byte.is_ascii_graphic(),
        b"lower" => |byte| byte.is_ascii_lowercase(),
        b"print" => |byte| matches!(byte, b' '..=b'~'),
        b"punct" => |byte| byte.is_ascii_punctuation(),
        b"space" => |byte| matches!(byte, b' ' | b'\t'..=b'\r'),
        b"upper" => |byte| byte.is_ascii_uppercase(),
        b"xdigit" => |byte| byte.is_ascii_hexdigit(),
        _ => |_| false,
    };
    for byte in 0..=u8::MAX {
        class[usize::from(byte)] |= belongs(byte);
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;

    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Glob::new(pattern.as_bytes(), false).matches(text.as_bytes())
    }

    #[test]
    fn patterns_match_whole_texts() {
        for (pattern, yes, no) in [
            ("abc", "abc", "abcd"),
            ("a*", "a/.b", "ba"),
            ("*c", "abc", "abd"),
            ("*b*", "abc", "ac"),
            ("a*b*c", "a-b-b-c", "a-c-b"),
            ("a?c", "abc", "ac"),
            ("[a-c]x", "bx", "dx"),
            ("[!a-c]x", "dx", "bx"),
            ("[]a]", "]", "b"),
            ("[[:digit:]_]*", "_x", "x_"),
            ("\\*", "*", "x"),
            ("[a", "[a", "a"),
            ("[a-]", "-", "b"),
            ("", "", "a"),
        ] {
            assert!(matches(pattern, yes), "{pattern} {yes}");
            assert!(!matches(pattern, no), "{pattern} {no}");
        }
        let folded = |pattern: &str, text: &str| Glob::new(pattern.as_bytes(), true).matches(text.as_bytes());
        assert!(
            folded("/ETC/*", "/etc/x") && folded("[a-c]", "B") && !folded("[!a-c]", "B") && !folded("x", "y")
        );
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        assert!(!matches(&"*a".repeat(500), &"a".repeat(499)));
        assert!(!matches(&format!("{}b", "*a".repeat(200)), &"a".repeat(5000)));
    }

    proptest! {
        #[test]
        #[cfg(target_os = "linux")]
        fn as_fnmatch(pattern in r"([ab*?\[\]!^\\-]|\[:alpha:\]|\[a-b]|\[!a]){0,8}", text in r"[abA\[\]\\-]{0,6}", fold: bool) {
            // Constructs that POSIX leaves open, and in which libcs differ: a backslash at the end or in a class, a range
            // that ends in a class, and `[` without its `]`.
            prop_assume!(!pattern.ends_with('\\') && !pattern.contains("-["));
            prop_assume!(!pattern.contains('[') || !pattern.contains('\\'));
            let ours = Glob::new(pattern.as_bytes(), fold).matches(text.as_bytes());
            let flags = if fold { 1 << 4 } else { 0 };
            let (pattern, text) = (CString::new(pattern).unwrap(), CString::new(text).unwrap());
            // SAFETY: both are strings of C.
            let theirs = unsafe { libc::fnmatch(pattern.as_ptr(), text.as_ptr(), flags) } == 0;
            prop_assert_eq!(ours, theirs, "{:?} {:?}", pattern, text);
        }
    }
}

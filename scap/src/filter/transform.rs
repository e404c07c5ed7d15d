//! The values of operands at an event: fields, and what transformers make of them.

use std::borrow::Cow;

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use crate::fields::{Reference, Source, Value};

use super::{syntax::Function, tree::Operand};

/// Decodes with or without padding, as libs does.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What takes the values, and returns whether it wants further ones.
type Each<'a> = &'a mut dyn FnMut(Value<'_>) -> bool;

impl Operand {
    /// Calls `each` with every value, until it returns false.
    pub(super) fn values<S: Source + ?Sized>(&self, source: &S, each: Each<'_>) {
        match self {
            Self::Field(field) => source.values(&field.reference, each),
            Self::Text(text) => {
                each(Value::text(text));
            }
            Self::List(operands) => {
                let mut more = true;
                for operand in operands {
                    operand.values(source, &mut |value| {
                        more = each(value);
                        false
                    });
                    if !more {
                        break;
                    }
                }
            }
            Self::Call(function, arguments) => call(*function, arguments, source, each),
        }
    }
}

fn call<S: Source + ?Sized>(function: Function, arguments: &[Operand], source: &S, each: Each<'_>) {
    match (function, arguments) {
        (Function::Len, [list]) if list.is_list() => {
            let mut length = 0;
            list.values(source, &mut |_| {
                length += 1;
                true
            });
            if length > 0 {
                each(Value::Uint(length));
            }
        }
        (Function::Join, [separator, list]) => {
            let mut joined = Vec::new();
            let Some(()) = first(separator, source, &mut |separator| {
                let mut is_first = true;
                list.values(source, &mut |value| {
                    if !is_first {
                        joined.extend_from_slice(separator);
                    }
                    is_first = false;
                    joined.extend_from_slice(as_text(&value));
                    true
                });
                (!is_first).then_some(())
            }) else {
                return;
            };
            each(Value::text(&joined));
        }
        (Function::Concat, arguments) => {
            let mut joined = Vec::new();
            for argument in arguments {
                let Some(()) = first(argument, source, &mut |text| {
                    joined.extend_from_slice(text);
                    Some(())
                }) else {
                    return;
                };
            }
            each(Value::text(&joined));
        }
        (function, arguments) => {
            if let Some(argument) = arguments.first() {
                argument.values(source, &mut |value| match transform(function, as_text(&value)) {
                    Some(transformed) => each(transformed),
                    None => true,
                });
            }
        }
    }
}

/// Calls a function with the first value.
fn first<S: Source + ?Sized, T>(
    operand: &Operand,
    source: &S,
    then: &mut dyn FnMut(&[u8]) -> Option<T>,
) -> Option<T> {
    let mut result = None;
    operand.values(source, &mut |value| {
        result = then(as_text(&value));
        false
    });
    result
}

fn as_text<'a>(value: &'a Value<'_>) -> &'a [u8] {
    match value {
        Value::Text(text) => text,
        _ => b"",
    }
}

/// Returns what a transformer of one text makes of it; none if the text is not in base64.
fn transform(function: Function, text: &[u8]) -> Option<Value<'_>> {
    Some(match function {
        Function::Tolower if text.iter().any(u8::is_ascii_uppercase) => {
            Value::Text(Cow::Owned(text.to_ascii_lowercase()))
        }
        Function::Toupper if text.iter().any(u8::is_ascii_lowercase) => {
            Value::Text(Cow::Owned(text.to_ascii_uppercase()))
        }
        Function::B64 => Value::Text(Cow::Owned(BASE64.decode(text).ok()?)),
        Function::Basename => {
            let start = memchr::memrchr(b'/', text).map_or(0, |slash| slash + 1);
            Value::text(&text[start..])
        }
        Function::Len => Value::Uint(u64::try_from(text.len()).unwrap_or(u64::MAX)),
        Function::Tolower | Function::Toupper | Function::Join | Function::Concat => Value::text(text),
    })
}

/// An event without values.
pub(super) struct Nothing;

impl Source for Nothing {
    fn values(&self, _: &Reference, _: &mut dyn FnMut(Value<'_>) -> bool) {}
}

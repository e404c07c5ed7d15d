//! What all JSON that scapd prints has in common: see docs/JSON.md.

use std::fmt::Write;

use serde_json::Value as Json;

use crate::escape::is_obeyed;

/// The version of the format, in every object. It changes with every incompatible change of the format.
pub const VERSION: u64 = 1;

/// The largest integer that programs read exactly if they parse every number as a double.
pub(crate) const MAX_NUMBER: u64 = (1 << 53) - 1;

/// Appends JSON text, escaped for the terminal: serde_json does not escape DEL and non-ASCII characters.
pub fn escape(out: &mut String, json: &str) {
    for c in json.chars() {
        // serde_json has escaped those below the space, except for whitespace between values.
        if c >= '\x7f' && is_obeyed(c) {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
}

/// Replaces integers beyond [`MAX_NUMBER`] in a tree of values with strings, which every program reads exactly.
pub fn safe(json: Json) -> Json {
    match json {
        Json::Number(n) => match (n.as_u64(), n.as_i64()) {
            (Some(v), _) if v > MAX_NUMBER => v.to_string().into(),
            (_, Some(v)) if v.unsigned_abs() > MAX_NUMBER => v.to_string().into(),
            _ => Json::Number(n),
        },
        Json::Array(items) => items.into_iter().map(safe).collect(),
        Json::Object(members) => members.into_iter().map(|(key, value)| (key, safe(value))).collect(),
        other => other,
    }
}

//! The protocol of the control socket: one line of JSON from the client, one from the service.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The maximum size of a request, in bytes, including the newline.
pub const MAX_REQUEST: usize = 64 << 10;

/// A request of a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "lowercase", deny_unknown_fields)]
pub enum Request {
    /// Return the status of the recording.
    Status {},
    /// Start a new file.
    Rotate {},
    /// Write a dump of the events that are kept in memory.
    Dump {
        /// How long it goes on, in seconds; the configured time if missing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<u64>,
        /// Why, for the capture.
        #[serde(default)]
        reason: String,
    },
    /// Reload the configuration.
    Reload {},
    /// Change configuration keys until the next reload.
    Set {
        /// The new value of each key, in the syntax of the flags of `scapd record`.
        values: BTreeMap<String, String>,
    },
    /// Stop the recording.
    Stop {},
}

/// Why a line is not a request.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    /// The line is too long.
    #[error("a request has at most {MAX_REQUEST} bytes")]
    TooLong,
    /// The line does not have the form of a request.
    #[error("not a request: {0}")]
    Malformed(#[from] serde_json::Error),
    /// A `set` request without values.
    #[error("not a request: `values` is empty")]
    Empty,
}

/// Parses a line as a request, with or without the newline.
///
/// ```
/// use scapd::daemon::control::{Request, parse};
///
/// assert_eq!(parse(br#"{"request":"rotate"}"#)?, Request::Rotate {});
/// assert!(parse(br#"{"request":"dance"}"#).is_err());
/// # Ok::<(), scapd::daemon::control::ProtocolError>(())
/// ```
///
/// # Errors
/// [`ProtocolError`]. Nothing in a line makes it panic.
pub fn parse(line: &[u8]) -> Result<Request, ProtocolError> {
    if line.len() > MAX_REQUEST {
        return Err(ProtocolError::TooLong);
    }
    match serde_json::from_slice(line)? {
        Request::Set { values } if values.is_empty() => Err(ProtocolError::Empty),
        request => Ok(request),
    }
}

/// Returns the answer of the service as a line: `{"ok":true,...}` or `{"ok":false,"error":"..."}`.
pub(super) fn answer(result: Result<Map<String, Value>, String>) -> Vec<u8> {
    let mut object = Map::new();
    object.insert("ok".into(), result.is_ok().into());
    match result {
        Ok(more) => object.extend(more),
        Err(error) => drop(object.insert("error".into(), error.into())),
    }
    let mut line = Value::Object(object).to_string().into_bytes();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_is_read_back() {
        let values = BTreeMap::from([("syscalls".to_owned(), "openat,%network".to_owned())]);
        for request in [
            Request::Status {},
            Request::Rotate {},
            Request::Dump { after: None, reason: String::new() },
            Request::Dump { after: Some(10), reason: "a \"b\"\nc".into() },
            Request::Reload {},
            Request::Set { values },
            Request::Stop {},
        ] {
            let mut line = serde_json::to_vec(&request).unwrap();
            assert_eq!(parse(&line).unwrap(), request);
            line.push(b'\n');
            assert_eq!(parse(&line).unwrap(), request);
        }
    }

    #[test]
    fn what_is_no_request_is_refused_with_a_reason() {
        for (line, says) in [
            ("", "EOF"),
            ("{}", "missing field `request`"),
            ("stop", "expected value"),
            (r#"{"request":"dance"}"#, "unknown variant `dance`, expected one of"),
            (r#"{"request":"stop","now":true}"#, "unknown field `now`"),
            (r#"{"request":"set"}"#, "missing field `values`"),
            (r#"{"request":"set","values":{}}"#, "`values` is empty"),
            (r#"{"request":"set","values":{"snaplen":8}}"#, "invalid type"),
            (r#"{"request":"stop"}{"request":"stop"}"#, "trailing characters"),
        ] {
            let said = parse(line.as_bytes()).unwrap_err().to_string();
            assert!(said.contains(says), "{line}: {said}");
        }
        assert!(matches!(parse(&vec![b' '; MAX_REQUEST + 1]), Err(ProtocolError::TooLong)));
        assert!(parse(&vec![b'['; MAX_REQUEST]).is_err(), "deeper than the parser's limit");
        assert!(parse(b"\xff\xfe").is_err());
    }

    #[test]
    fn an_answer_is_a_line() {
        let ok = Map::from_iter([("file".to_owned(), Value::from("a\nb"))]);
        assert_eq!(answer(Ok(ok)), b"{\"ok\":true,\"file\":\"a\\nb\"}\n");
        assert_eq!(answer(Err("no".into())), b"{\"ok\":false,\"error\":\"no\"}\n");
    }

    proptest::proptest! {
        #[test]
        fn no_line_panics(line: Vec<u8>) {
            let _ = parse(&line);
        }
    }
}

//! The JSON format: tests that events of every type are as docs/JSON.md describes.

use super::*;
use scap::events::{Detail, ParamInfo, ParamType, types};

/// Returns the kind of a JSON value in the page's terms; `None` for `null`, which means 'no value' anywhere.
fn shape(json: &Json) -> Option<String> {
    Some(match json {
        Json::Null => return None,
        Json::Bool(_) => "boolean".to_owned(),
        Json::Number(n) if n.is_f64() => "double".to_owned(),
        Json::Number(_) => "integer".to_owned(),
        Json::String(_) => "string".to_owned(),
        Json::Array(_) => "array".to_owned(),
        Json::Object(members) if members.contains_key("invalid") => return None,
        Json::Object(members) if members.contains_key("family") => "address".to_owned(),
        Json::Object(members) if members.len() == 2 && members.contains_key("type") => "dynamic".to_owned(),
        Json::Object(members) if members.contains_key("names") => "flags".to_owned(),
        Json::Object(members) if members.contains_key("value") => "named".to_owned(),
        Json::Object(_) => "structure".to_owned(),
    })
}

/// Returns the kind of JSON value that a parameter must have.
fn expected(info: &ParamInfo) -> &'static str {
    use ParamType::*;
    match info.ty {
        DYN => "dynamic",
        STRUCT => "structure",
        STRUCTS | DIRENTS | FDENTRIES | BITSET => "array",
        FLAGS64 | SIGSET64 => "flags",
        IOVEC => "string",
        _ if info.ty.size().is_some() && matches!(info.detail, Detail::Flags(_)) => "flags",
        _ if info.name == "nativeID" => "named",
        ERRNO | FD | FD32 | PID | PID32 | SYSCALLID | SIGTYPE | UID | GID | RELTIME | FSPATH | FSRELPATH => {
            "named"
        }
        FLAGS8 | FLAGS16 | FLAGS32 | ENUMFLAGS8 | ENUMFLAGS16 | ENUMFLAGS32 | MODE | SIGSET => "flags",
        SOCKADDR | SOCKTUPLE => "address",
        CHARBUFARRAY | FDLIST => "array",
        BYTEBUF if ["args", "env", "cgroups"].contains(&info.name) => "array",
        BOOL => "boolean",
        DOUBLE => "double",
        ABSTIME | CHARBUF | BYTEBUF | CHARBUF_PAIR_ARRAY => "string",
        IPV4ADDR | IPV6ADDR | IPADDR | IPV4NET | IPV6NET | IPNET => "string",
        _ => "integer",
    }
}

/// Returns what a program reads if it parses every number as a double.
fn by_doubles(json: &Json) -> Json {
    match json {
        Json::Number(n) => {
            let double = n.as_f64().unwrap();
            if n.is_f64() || double.fract() != 0.0 { json!(double) } else { json!(double as i64) }
        }
        Json::Array(items) => items.iter().map(by_doubles).collect(),
        Json::Object(members) => members.iter().map(|(k, v)| (k.clone(), by_doubles(v))).collect(),
        other => other.clone(),
    }
}

/// Returns the bytes that a string stands for.
fn unescaped(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, rest) {
            (b'\\', [b'\\', after @ ..]) => {
                out.push(b'\\');
                rest = after;
            }
            (b'\\', [b'x', high, low, after @ ..]) => {
                let digits = [*high, *low];
                out.push(u8::from_str_radix(str::from_utf8(&digits).unwrap(), 16).unwrap());
                rest = after;
            }
            (b'\\', _) => panic!("a single backslash in {text:?}"),
            _ => out.push(byte),
        }
    }
    out
}

#[test]
fn lists_are_arrays() {
    let mut values = vec![Value::Errno(0), Value::Text(b"/bin/x"), Value::Bytes(b"-a\0\0b c\0")];
    let pid = Value::Pid(100);
    values.extend([pid, pid, Value::Pid(1), Value::Text(b"/srv"), NA, NA, NA, NA, NA, NA]);
    values.extend([Value::Text(b"x"), Value::Bytes(b"cpu=/a\0pids=/b\0"), NA]);
    let json = Capture::new().event(100, "execve_x", &values).json();
    let args = &json[0]["args"];
    assert_eq!(args["args"], json!(["-a", "", "b c"]));
    assert_eq!(args["cgroups"], json!(["cpu=/a", "pids=/b"]));
    assert_eq!(args["env"], json!([]), "an absent list is empty, not null");
}

#[test]
fn large_numbers_are_strings() {
    let size = |v| [Value::Fd(3), Value::Uint(v)];
    let (largest, larger) = ((1 << 53) - 1, 1 << 53);
    let close = |v| [Value::Errno(v)];
    let json = Capture::new()
        .event(100, "lseek_e", &[Value::Fd(3), Value::Uint(largest), Value::Enum(0)])
        .event(100, "lseek_e", &[Value::Fd(3), Value::Uint(larger), Value::Enum(0)])
        .event(100, "close_x", &close(-(largest as i64)))
        .event(100, "close_x", &close(i64::MIN))
        .event(100, "read_e", &size(1))
        .json();
    assert_eq!(json[0]["args"]["offset"], largest);
    assert_eq!(json[1]["args"]["offset"], "9007199254740992");
    assert_eq!(json[2]["args"]["res"]["value"], -(largest as i64));
    assert_eq!(json[3]["args"]["res"]["value"], "-9223372036854775808");
    assert!(json.iter().all(|event| event["ts"].is_string()), "times are strings whatever their size");
}

#[test]
fn sockets_have_one_form() {
    let unix = SockTuple::Unix { source: u64::MAX, destination: 0, path: b"@a\0b" };
    let other = |n| Value::SockAddr(SockAddr::Other(n, b"\x01\xff"));
    let row = |code: &str| EVENTS.iter().find(|e| e.code == code).unwrap();
    let json = Capture::new()
        .event(100, "connect_x", &[Value::Errno(0), Value::SockTuple(unix), Value::Fd(9), NA])
        .row(100, row("PPME_SOCKET_BIND_X"), &[Value::Errno(0), other(16)])
        .row(100, row("PPME_SOCKET_BIND_X"), &[Value::Errno(0), other(255)])
        .event(100, "read_e", &[Value::Fd(5), Value::Uint(1)])
        .json();
    let tuple = json!({
        "family": "AF_UNIX",
        "source": { "socket": "ffffffffffffffff" },
        "destination": { "socket": "0" },
        "path": "@a\0b",
    });
    assert_eq!(json[0]["args"]["tuple"], tuple);
    assert_eq!(json[1]["args"]["addr"], json!({ "family": "AF_NETLINK", "data": "\u{1}\\xff" }));
    assert_eq!(json[2]["args"]["addr"]["family"], "255");
    assert_eq!(json[3]["args"]["fd"]["protocol"], "tcp");
}

#[test]
fn the_page_names_the_version() {
    let page = include_str!("../../../docs/JSON.md");
    assert!(page.contains(&format!("`v`: {}", json::VERSION)), "docs/JSON.md describes another version");
}

#[test]
fn times_are_written_as_they_are() {
    let mut writer = json::Writer::default();
    for ts in
        [0, 1, 999_999_999, 1_000_000_000, 1_700_000_000_123_456_789, 1_700_000_000_000_000_000, u64::MAX]
    {
        let mut out = String::new();
        writer.time(&mut out, ts);
        assert_eq!(Some(out), json::rfc3339(ts));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_event_survives_and_has_its_shape(state in strategies::state(), events in vec(strategies::event(), 1..20)) {
        let capture = Capture { bytes: strategies::capture(&state, &strategies::apart(&events, 1)), ts: 0 };
        let (out, _) = capture.read(|args| (args.form, args.wanted.all) = (Form::Json, true));
        for ((row, _), line) in events.iter().zip(out.lines()) {
            let json: Json = serde_json::from_str(line).unwrap();
            prop_assert_eq!(&by_doubles(&json), &json);
            for (name, value) in json["args"].as_object().unwrap() {
                let Some(shape) = shape(value) else { continue };
                // A large integer is a string of digits.
                let is_large = shape == "string" && value.as_str().unwrap().parse::<i128>().is_ok();
                // An event of an old row is shown as one of its successor, whose parameters may have other types.
                let named = |e: &&Event| e.name == row.name || row.name == "accept" && e.name == "accept4";
                let mut wanted = types().filter(named).flat_map(|e| e.params).filter(|p| p.name == name).map(expected);
                prop_assert!(
                    wanted.any(|wanted| {
                        // The members of a structure can have any names.
                        let is_structure = wanted == "structure" && value.is_object();
                        shape == wanted || is_structure || (is_large && wanted == "integer")
                    }),
                    "{} {}: {}", row.code, name, value
                );
            }
        }
    }

    #[test]
    fn any_text_comes_back(text in vec(any::<u8>(), 0..200)) {
        let mut out = String::new();
        json::string(&mut out, &text);
        prop_assert!(out.chars().all(|c| !text::is_obeyed(c)));
        let read: String = serde_json::from_str(&out).unwrap();
        prop_assert_eq!(unescaped(&read), &text[..]);
        prop_assert_eq!(json::bytes(&text), Json::from(read));
    }

    #[test]
    fn texts_of_few_characters_come_back(text in "[\\\\x0f\"\u{80}\u{ff}\u{202e}]{0,12}") {
        let mut out = String::new();
        json::string(&mut out, text.as_bytes());
        prop_assert_eq!(unescaped(&serde_json::from_str::<String>(&out).unwrap()), text.as_bytes());
    }
}

#[test]
fn the_largest_number_that_a_double_holds_is_one() {
    let sought = |to: u64| {
        let capture = Capture::new().event(100, "lseek_x", &[Value::Errno(to as i64)]);
        capture.json()[0]["args"]["res"]["value"].clone()
    };
    assert_eq!(sought((1 << 53) - 1), json!((1_u64 << 53) - 1));
    assert_eq!(sought(1 << 53), json!("9007199254740992"));
    let inode = |ino| {
        let opened = [Value::Fd(9), Value::Fd(-100), Value::Text(b"a"), NA, NA, NA, Value::Uint(ino)];
        Capture::new().event(100, "openat_x", &opened).json()[0]["args"]["ino"].clone()
    };
    assert_eq!(inode((1 << 53) - 1), json!((1_u64 << 53) - 1));
    assert_eq!(inode(1 << 53), json!("9007199254740992"));
}

#[test]
fn quotes_and_backslashes_are_escaped_wherever_they_stand() {
    for (text, read) in [("\"", "\""), ("\\", "\\\\"), ("\"\"", "\"\""), ("a\"b\\", "a\"b\\\\")] {
        let capture = Capture::new().event(100, "chdir_x", &[Value::Errno(0), Value::Text(text.as_bytes())]);
        assert_eq!(capture.json()[0]["args"]["path"].to_string(), json!(read).to_string(), "{text}");
    }
}

#[test]
fn bytes_that_are_no_value_are_shown_as_such() {
    let row = newest("close_x");
    let mut event = EventBuilder::new(row, 1, 100).build_short().unwrap();
    // One parameter of three bytes, where an errno has eight.
    event.extend([3, 0, 0x0a, 0xff, 0x1b]);
    event[16] += 5;
    event[22] = 1;
    let mut capture = Capture::new();
    frame_event(&mut capture.bytes, 1, &event);
    assert_eq!(capture.json()[0]["args"]["res"], json!({ "invalid": "0aff1b" }));
    assert_eq!(capture.lines(), ["< close res=<invalid errno>"]);
}

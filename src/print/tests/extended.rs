//! Events with an extension: their parameters in lines, JSON, fields and calls.

use super::*;
use scap::{
    events::{EXTENSIONS, Extends, Extension, Syscall},
    fields::Fields,
    filter::Filter,
};

/// The row of an extension of a call's event.
fn row_of(call: &str, is_enter: bool) -> &'static Extension {
    let code = Syscall::by_name(call).unwrap().code;
    let is_it = |row: &&Extension| row.extends == Extends::Call(code) && row.own.ty.is_enter() == is_enter;
    EXTENSIONS.iter().find(is_it).unwrap()
}

impl Capture {
    fn extended(self, tid: u64, call: &str, is_enter: bool, values: &[Value<'_>]) -> Capture {
        let code = Syscall::by_name(call).unwrap().code;
        let generic = EVENTS.iter().find(|row| row.ty.0 == u16::from(!is_enter)).unwrap();
        let mut capture = self.row(tid, generic, &[Value::Syscall(code), Value::Uint(1)]);
        // The extension has the same time.
        capture.ts -= 1;
        capture.row(tid, &row_of(call, is_enter).own, values)
    }

    fn stat(self, tid: u64, res: i64, path: &[u8], buf: &[u8]) -> Capture {
        let flags = [Value::Flags(0x100), Value::Flags(0xfff)];
        let buf = if buf.is_empty() { NA } else { Value::Bytes(buf) };
        let values = [Value::Errno(res), Value::Fd(-100), Value::Text(path), flags[0], flags[1], buf];
        self.extended(tid, "statx", false, &values)
    }

    fn summary(&self) -> Summary {
        let (summary, error) = Summary::collect_events(&mut Reader::new(&self.bytes[..]).unwrap(), false);
        assert!(error.is_none());
        summary
    }

    fn only(&self, filter: &str) -> Vec<String> {
        let (out, result) =
            self.read(|args| args.wanted.filter = Some(Filter::parse(filter, &Fields).unwrap()));
        result.unwrap();
        out.lines().map(|l| l.split_once(") ").unwrap().1.to_string()).collect()
    }
}

/// A `struct statx` of an x86-64 program, behind the number of that ABI.
fn statx() -> Vec<u8> {
    let mut bytes = vec![0; 1 + 256];
    let mut put = |at: usize, value: &[u8]| bytes[1 + at..1 + at + value.len()].copy_from_slice(value);
    put(0, &0x7ff_u32.to_ne_bytes());
    put(20, &1000_u32.to_ne_bytes());
    put(28, &0o100_644_u16.to_ne_bytes());
    put(32, &42_u64.to_ne_bytes());
    put(40, &12_u64.to_ne_bytes());
    bytes
}

#[test]
fn a_line_has_the_arguments_of_the_call() {
    let lines = Capture::new()
        .extended(100, "fsync", true, &[Value::Fd(3)])
        .extended(100, "fsync", false, &[Value::Errno(-5), Value::Fd(3)])
        .stat(100, 0, b"hosts", &statx())
        .stat(100, -2, b"/missing", &[])
        .lines();
    let expected = [
        "> fsync fd=3(<f>/srv/data)",
        "< fsync res=-5(EIO) fd=3(<f>/srv/data)",
        "< statx res=0 dirfd=-100(AT_FDCWD) path=hosts(/srv/hosts) flags=256(AT_SYMLINK_NOFOLLOW) \
         mask=4095(STATX_ALL) statxbuf={stx_mask=2047(STATX_BASIC_STATS), ",
        "< statx res=-2(ENOENT) dirfd=-100(AT_FDCWD) path=/missing flags=256(AT_SYMLINK_NOFOLLOW) \
         mask=4095(STATX_ALL) statxbuf=NULL",
    ];
    for (line, start) in lines.iter().zip(expected) {
        assert!(line.starts_with(start), "{line}\n{start}");
    }
    assert_eq!(lines.len(), 4);
    for member in ["stx_mode=0100644", "stx_ino=42", "stx_uid=1000", "stx_size=12"] {
        assert!(lines[2].split([',', '}']).any(|part| part.trim() == member), "{}", lines[2]);
    }
    assert!(lines[2].ends_with('}'));
}

/// The format has no bits for some flags of open: the extension has them as the caller gave them.
#[test]
fn calls_have_the_callers_flags() {
    let values = [Value::Fd(-100), Value::Text(b"/a"), Value::Flags(1), Value::Uint(0)];
    let opens = |capture: Capture| capture.event(100, "openat_e", &values);
    let opened = |capture: Capture| capture.event(100, "openat_x", &[&[Value::Fd(5)], &values[..]].concat());
    let row = EXTENSIONS.iter().find(|row| row.own.code == "EXT_openat_x").unwrap();
    let extended = |mut capture: Capture| {
        capture.ts -= 1;
        capture.row(100, &row.own, &[Value::Flags(0x22_0000), NA, NA])
    };
    // With the start of the call, and without.
    let capture = extended(opened(opens(Capture::new())));
    let lines = opened(extended(opened(capture))).calls();
    for (line, flags) in
        lines.iter().zip(["O_RDONLY|O_NOFOLLOW|O_PATH", "O_RDONLY|O_NOFOLLOW|O_PATH", "O_RDONLY"])
    {
        assert!(line.contains(&format!(" openat(AT_FDCWD, \"/a\", {flags}) = 5</a>")), "{lines:?}");
    }
    assert_eq!(lines.len(), 3);
}

#[test]
fn json_has_objects_and_names() {
    let json = Capture::new().stat(100, 0, b"hosts", &statx()).stat(100, -2, b"/missing", &[]).json();
    let args = &json[0]["args"];
    assert_eq!((&json[0]["type"], &json[0]["category"]), (&json!("statx"), &json!("File")));
    assert_eq!(args["ID"]["name"], "statx");
    assert_eq!(args["path"], json!({"value": "hosts", "name": "/srv/hosts"}));
    assert_eq!(args["flags"], json!({"value": 256, "names": ["AT_SYMLINK_NOFOLLOW"]}));
    let buf = &args["statxbuf"];
    assert_eq!(buf["stx_mask"], json!({"value": 0x7ff, "names": ["STATX_BASIC_STATS"]}));
    assert_eq!((&buf["stx_mode"], &buf["stx_size"]), (&json!(0o100_644), &json!(12)));
    assert_eq!(json[1]["args"]["statxbuf"], json!(null));
    assert_eq!(json[1]["args"]["res"], json!({"value": -2, "name": "ENOENT"}));
}

#[test]
fn filters_know_the_arguments() {
    let capture = Capture::new()
        .extended(100, "fsync", false, &[Value::Errno(-5), Value::Fd(3)])
        .stat(100, 0, b"hosts", &statx())
        .stat(100, -2, b"/missing", &[]);
    let matches = |filter: &str| {
        let lines = capture.only(filter);
        lines.iter().map(|line| line.split(' ').nth(1).unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    for (filter, expected) in [
        ("evt.res = ENOENT", "statx"),
        ("evt.rawres < 0", "fsync statx"),
        ("evt.failed = false", "statx"),
        ("evt.arg.path = /srv/hosts", "statx"),
        ("evt.rawarg.mask = 0xfff", "statx statx"),
        ("evt.arg.flags contains NOFOLLOW", "statx statx"),
        ("evt.rawarg.statxbuf.stx_size = 12", "statx"),
        ("evt.rawarg.statxbuf.stx_size > 12", ""),
        ("evt.arg.statxbuf.stx_mask = STATX_BASIC_STATS", "statx"),
        ("evt.arg.statxbuf contains 'stx_ino=42'", "statx"),
        ("evt.args contains 'stx_ino=42'", "statx"),
        ("evt.args startswith ID", ""),
        ("fd.name = /srv/data", "fsync"),
        ("fd.num = 3", "fsync"),
        ("evt.category = file", "fsync statx statx"),
        ("evt.is_wait = true", "fsync"),
        ("fs.path.name = /srv/hosts", "statx"),
        ("fs.path.nameraw = /missing", "statx"),
        ("evt.abspath = /srv/hosts", "statx"),
        ("syscall.type = statx", "statx statx"),
        ("evt.type = fsync and evt.rawarg.fd = 3", "fsync"),
    ] {
        assert_eq!(matches(filter), expected, "{filter}");
    }
}

#[test]
fn a_call_has_straces_form() {
    let calls = Capture::new()
        .extended(100, "fsync", true, &[Value::Fd(3)])
        .extended(100, "fsync", false, &[Value::Errno(-5), Value::Fd(3)])
        .stat(100, 0, b"/etc/hosts", &statx())
        .stat(100, -2, b"/missing", &[])
        .extended(100, "getrandom", false, &[Value::Errno(16), Value::Uint(16), Value::Flags(1)])
        .calls();
    let expected = [
        "100<sh> fsync(3</srv/data>) = -1 EIO (Input/output error) <0.000000>",
        "100<sh> statx(AT_FDCWD, \"/missing\", AT_SYMLINK_NOFOLLOW, STATX_ALL, ...) = -1 ENOENT (No such file or directory)",
        "100<sh> getrandom(..., 16, GRND_NONBLOCK) = 16",
    ];
    let statx = "100<sh> statx(AT_FDCWD, \"/etc/hosts\", AT_SYMLINK_NOFOLLOW, STATX_ALL, {stx_mask=STATX_BASIC_STATS, ";
    assert!(calls[1].starts_with(statx), "{}", calls[1]);
    // The layout leaves out what the kernel keeps for later.
    assert!(calls[1].contains(", stx_size=12, ") && calls[1].ends_with(", ...}) = 0"), "{}", calls[1]);
    let calls = [&calls[..1], &calls[2..]].concat();
    assert_eq!(calls, expected);
}

#[test]
fn an_extended_call_that_is_interrupted_is_resumed() {
    let calls = Capture::new()
        .extended(100, "fsync", true, &[Value::Fd(3)])
        .event(101, "close_x", &[Value::Errno(0), Value::Fd(3)])
        .extended(100, "fsync", false, &[Value::Errno(0), Value::Fd(3)])
        .calls();
    assert_eq!(calls[0], "100<sh> fsync(3</srv/data> <unfinished ...>");
    assert_eq!(calls[2], "100<sh> <... fsync resumed>) = 0 <0.000000>");
}

#[test]
fn events_are_numbered_without_their_extensions() {
    let capture = Capture::new().stat(100, 0, b"a", &[]).look(100, 3).stat(100, 0, b"b", &[]);
    let numbers: Vec<_> = capture.json().iter().map(|event| event["num"].clone()).collect();
    assert_eq!(numbers, [1, 2, 3]);
}

#[test]
fn an_extension_without_its_event_is_an_event_by_itself() {
    let lone = row_of("fsync", false);
    let capture = Capture::new().row(100, &lone.own, &[Value::Errno(0), Value::Fd(3)]).look(100, 3);
    assert_eq!(capture.lines(), ["< fsync res=0 fd=3(<f>/srv/data)", "> fchdir fd=3(<f>/srv/data)"]);
    assert_eq!(capture.json()[0]["type"], "fsync");
    let calls = capture.calls();
    assert!(calls.len() == 1 && calls[0].contains("fchdir"), "it is no call: nobody knows when it began");
    let summary = capture.stat(100, 0, b"a", &[]).summary();
    assert_eq!((summary.events, summary.extended, summary.lone_extensions), (3, 1, 1));
    assert_eq!(summary.to_json()["extended"], 1);
    assert!(summary.to_text(5).contains("extensions without their event"));
}

/// An argument that has a parameter for each kind of rule.
#[test]
fn of_several_parameters_the_one_with_a_value_is_the_argument() {
    let mut rule = vec![0; 17];
    rule[1] = 1;
    rule[9] = 80;
    let values = [Value::Errno(0), Value::Fd(9), Value::Enum(2), NA, Value::Bytes(&rule), Value::Flags(0)];
    let lines = Capture::new().extended(100, "landlock_add_rule", false, &values).calls();
    let rule = "{allowed_access=LANDLOCK_ACCESS_NET_BIND_TCP, port=80}";
    assert_eq!(lines, [format!("100<sh> landlock_add_rule(9, LANDLOCK_RULE_NET_PORT, {rule}, 0) = 0")]);
    let values = [Value::Errno(-14), Value::Fd(9), Value::Enum(2), NA, NA, Value::Flags(0)];
    let lines = Capture::new().extended(100, "landlock_add_rule", false, &values).calls();
    assert_eq!(
        lines,
        ["100<sh> landlock_add_rule(9, LANDLOCK_RULE_NET_PORT, ..., 0) = -1 EFAULT (Bad address)"]
    );
}

/// Texts that a call returns are shown with the NULs between them.
#[test]
fn a_list_of_texts_is_one_text() {
    let names = b"user.a\0user.b\0";
    let values = [Value::Errno(14), Value::Fd(9), Value::Texts(names), Value::Uint(64)];
    let lines = Capture::new().extended(100, "flistxattr", false, &values).calls();
    assert_eq!(lines, ["100<sh> flistxattr(9, \"user.a\\0user.b\\0\", 64) = 14"]);
}

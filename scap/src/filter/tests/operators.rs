//! Every operator and type, on one event.

use crate::fields::Value;

use super::{super::Filter, Event, Fields, matches};

fn table(all: &[(&str, bool)]) {
    let wrong: Vec<_> = all.iter().filter(|(filter, expected)| matches(filter) != *expected).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn text() {
    table(&[
        ("proc.name = cat", true),
        ("proc.name == cat", true),
        ("proc.name = ca", false),
        ("proc.name != cat", false),
        ("proc.name != dd", true),
        ("proc.name < cau", true),
        ("proc.name < cat", false),
        ("proc.name <= cat", true),
        ("proc.name > ca", true),
        ("proc.name >= catt", false),
        ("fd.name contains passwd", true),
        ("fd.name contains PASSWD", false),
        ("fd.name contains ''", true),
        ("fd.name icontains PASSWD", true),
        ("fd.name icontains shadow", false),
        ("fd.name startswith /etc", true),
        ("fd.name startswith etc", false),
        ("fd.name endswith wd", true),
        ("fd.name endswith w", false),
        ("fd.name glob /e*wd", true),
        ("fd.name glob /E*", false),
        ("fd.name glob '/[a-f]?c/*'", true),
        ("fd.name iglob /E*", true),
        ("fd.name regex /etc/.*", true),
        ("fd.name regex /etc", false),
        ("fd.name regex '(/etc|/lib)/[[:alpha:]]+'", true),
        ("fd.name regex \\W\\w+/p\\w*", true),
        ("fd.name regex '(?i)/ETC/.*'", true),
        ("fd.name regex 'a|/etc/passwd'", true),
        ("fd.name pmatch (/etc, /lib)", true),
        ("fd.name pmatch (etc)", true),
        ("fd.name pmatch (/et)", false),
        ("fd.name pmatch /etc/passwd", true),
        ("fd.name pmatch ()", false),
        ("proc.name in (cat, dd)", true),
        ("proc.name in (dd)", false),
        ("proc.name in cat", true),
        ("proc.name in ()", false),
        ("proc.name in (a, b, c, d, e, f, g, h, cat)", true),
        ("proc.name in (a, b, c, d, e, f, g, h, i)", false),
        ("proc.name intersects (cat, dd)", true),
        ("evt.arg.flags contains O_CLOEXEC", true),
        ("evt.arg[flags] = 'O_RDONLY|O_CLOEXEC'", true),
        ("evt.arg[0] = -2", true),
        ("evt.arg.res exists", false),
        ("evt.arg.empty exists", true),
        ("evt.arg.empty = ''", true),
        ("evt.arg.empty pmatch (/)", true),
        ("proc.env[HOME] = /root", true),
        ("proc.env[\"HOME\"] = /root", true),
        ("proc.env.HOME = /root", true),
        ("proc.env exists", false),
    ]);
}

#[test]
fn data() {
    table(&[
        ("evt.buffer contains GET", true),
        ("evt.buffer contains '\\xff\\n'", true),
        ("evt.buffer = 'GET /\\xff\\n'", true),
        ("evt.buffer icontains get", true),
        ("evt.buffer bcontains 4554", true),
        ("evt.buffer bcontains FF0a", true),
        ("evt.buffer bcontains 00", false),
        ("evt.buffer bstartswith 474554", true),
        ("evt.buffer bstartswith 4554", false),
        ("evt.buffer startswith GET", true),
        ("evt.buffer endswith '\\n'", true),
        ("evt.buffer regex 'GET ..\n'", true),
        ("evt.buffer regex 'GET ...'", false),
        ("evt.buffer regex '(?s)GET ...'", true),
        ("evt.buffer regex 'GET .*$\n^'", true),
    ]);
}

#[test]
fn numbers() {
    table(&[
        ("evt.num = 1100", true),
        ("evt.num=01100", true),
        ("evt.num = 0x44c", true),
        ("evt.num = \"1100\"", true),
        ("evt.num != 1100", false),
        ("evt.num<1101", true),
        ("evt.num<=1100", true),
        ("evt.num>1100", false),
        ("evt.num>=1100", true),
        ("evt.num in (1, 1100, 3)", true),
        ("evt.num in (1, 2)", false),
        ("evt.num > 1K", true),
        ("evt.num > 2K", false),
        ("evt.num < 10 or evt.num < 2000", true),
        ("evt.num > 10000 or evt.num > 200", true),
        ("evt.rawres = -2", true),
        ("evt.rawres < 0", true),
        ("evt.rawres in (-1, -2)", true),
        ("evt.rawarg.size = 4K", true),
        ("evt.failed = true", true),
        ("evt.failed = false", false),
        ("evt.failed != false", true),
        ("evt.failed in (true, false)", true),
        ("thread.cpu = 0.5", true),
        ("thread.cpu < 1", true),
        ("thread.cpu >= 0.6", false),
        ("thread.cpu != 0.5", false),
        ("evt.latency >= 10ms", true),
        ("evt.latency > 10ms", false),
        ("evt.latency = 0.01s", true),
        ("evt.rawtime > 1600000000s", true),
    ]);
}

#[test]
fn addresses() {
    table(&[
        ("fd.sip = 10.1.2.3", true),
        ("fd.sip != 10.1.2.3", false),
        ("fd.sip != ::1", true),
        ("fd.sip in (1.1.1.1, 10.1.2.3)", true),
        ("fd.net = 10.0.0.0/8", true),
        ("fd.net = 10.9.9.9/8", true),
        ("fd.net = ::/0", true),
        ("fd.net = 11.0.0.0/8", false),
        ("fd.net in (11.0.0.0/8, 10.1.0.0/16)", true),
        ("fd.net intersects (11.0.0.0/8, 10.1.0.0/16)", true),
        ("fd.net != 11.0.0.0/8", true),
        // The other end differs, but both have to.
        ("fd.net != 10.0.0.0/8", false),
        ("fd.port = https", true),
        ("fd.port = 45000", true),
        ("fd.port != 443", false),
        ("fd.port != 80", true),
        ("fd.port in (53, 443)", true),
        ("fd.port < 1024", true),
        ("fd.port > 1024", true),
        ("fd.port exists", true),
    ]);
}

#[test]
fn several_values() {
    table(&[
        ("proc.aname = sshd", true),
        ("proc.aname = cat", false),
        ("proc.aname in (cat, sshd)", true),
        ("proc.aname startswith sys", true),
        ("proc.aname != bash", true),
        ("proc.aname != bash or proc.aname != sshd or proc.aname != systemd", true),
        ("proc.aname != bash and proc.aname != sshd and proc.aname != systemd", true),
        ("proc.aname[1] != bash and proc.aname[1] != sshd", false),
        ("not proc.aname = bash", false),
        ("proc.aname[1] = bash", true),
        ("proc.aname[1] != bash", false),
        ("proc.aname[2] exists", false),
        ("fdlist.names intersects (/a/two, /b)", true),
        ("fdlist.names in (/a/two, /b)", false),
        ("fdlist.names in (/a/two, /a/One, Y2F0, /b)", true),
        ("fdlist.names exists", true),
        ("fdlist.nums in (-1, 3)", true),
        ("fdlist.nums in (-1)", false),
        ("fdlist.nums intersects (-1)", true),
    ]);
}

#[test]
fn transformers() {
    table(&[
        ("toupper(proc.name) = CAT", true),
        ("tolower(toupper(proc.name)) = cat", true),
        ("tolower(proc.name) = CAT", false),
        ("basename(fd.name) = passwd", true),
        ("basename(proc.name) = cat", true),
        ("len(fd.name) = 11", true),
        ("len(fdlist.names) = 3", true),
        ("len(fdlist.nums) > 1", true),
        ("len(evt.arg.empty) = 0", true),
        ("len(evt.arg.res) = 0", false),
        ("b64(fdlist.names) intersects (cat)", true),
        ("b64(proc.name) exists", true),
        ("b64(fd.name) = ''", false),
        ("b64(\"Y2F0\") = cat", true),
        ("b64('Y2E') = ca", true),
        ("b64('Y2E=') = ca", true),
        ("tolower(basename(fdlist.names)) intersects (one)", true),
        ("join(',', fdlist.names) = '/a/One,/a/two,Y2F0'", true),
        ("join(\":\", (proc.name, \"x\", basename(fd.name))) = cat:x:passwd", true),
        ("join(',', (proc.aname, 'x')) = 'bash,x'", true),
        ("join('', ()) exists", false),
        ("concat(proc.name, '-', 12) = cat-12", true),
        ("concat(proc.name, evt.arg.res) exists", false),
        ("concat(proc.name, proc.aname) = catbash", true),
        ("proc.name = val(proc.name)", true),
        ("proc.name in val(proc.aname)", false),
        ("proc.aname[1] in val(proc.aname)", true),
        ("proc.name != val(fd.name)", true),
        ("proc.name != val(evt.arg.res)", false),
        ("evt.arg.res != val(proc.name)", false),
        ("fd.name endswith tolower(proc.name)", false),
        ("fd.name contains concat('pass', 'wd')", true),
        ("fd.name icontains toupper('passwd')", true),
        ("fd.name startswith val(evt.arg.empty)", true),
        ("fd.name glob concat('/*', 'passwd')", true),
        ("evt.num > val(evt.rawres)", true),
        ("evt.num = val(evt.rawarg.size)", false),
        ("thread.cpu < val(evt.num)", true),
        ("fdlist.names in val(fdlist.names)", true),
        ("fd.sip = val(fd.sip)", true),
        ("evt.failed = val(evt.failed)", true),
    ]);
}

#[test]
fn logic() {
    table(&[
        ("proc.name = cat and evt.num = 1100", true),
        ("proc.name = cat and evt.num = 1", false),
        ("proc.name = dd or evt.num = 1100", true),
        // `and` binds more than `or`.
        ("proc.name = cat or proc.name = dd and evt.num = 1", true),
        ("(proc.name = cat or proc.name = dd) and evt.num = 1", false),
        ("not proc.name = cat", false),
        ("not not proc.name = cat", true),
        ("not(proc.name = cat)and(evt.num=1)", false),
        ("not (proc.name = dd or evt.num = 1)", true),
        ("not proc.name = dd and not proc.name = ls and not evt.failed = false", true),
        ("not proc.name = dd and not proc.name = cat", false),
        ("proc.name != dd and proc.name != ls", true),
        ("proc.name != dd and proc.name != cat", false),
        ("proc.name != dd or proc.name != cat", true),
        ("((((proc.name = cat))))", true),
    ]);
}

#[test]
fn a_field_without_a_value_makes_tests_false() {
    let nothing = Event::default();
    let at_nothing = |text: &str| Filter::parse(text, &Fields::new()).unwrap().matches(&nothing);
    for test in [
        "proc.name = cat",
        "proc.name != cat",
        "proc.name < cat",
        "proc.name contains ''",
        "fd.name pmatch (/)",
        "proc.name in (cat)",
        "proc.name exists",
        "proc.name regex .*",
        "proc.name = val(proc.name)",
        "len(proc.name) = 0",
        "evt.num != 1",
        "fd.sip != ::1",
        "fd.net != 10.0.0.0/8",
        "fd.port != 1",
        "proc.aname != x",
        "fdlist.names in (a)",
        "evt.failed != true",
    ] {
        assert!(!at_nothing(test), "{test}");
        assert!(at_nothing(&format!("not {test}")), "not {test}");
    }
}

#[test]
fn numbers_may_be_larger_than_their_type() {
    let event =
        Event::default().with("evt.num", [Value::Uint(u64::MAX)]).with("evt.rawres", [Value::Int(i64::MIN)]);
    for test in
        ["evt.num = 18446744073709551615", "evt.num > val(evt.rawres)", "evt.rawres <= -9223372036854775808"]
    {
        assert!(Filter::parse(test, &Fields::new()).unwrap().matches(&event), "{test}");
    }
    let other = Event::default().with("evt.num", [super::text("1")]).with("proc.name", [Value::Uint(1)]);
    for test in ["evt.num = 1", "proc.name = 1", "proc.name < 2", "evt.num < 2"] {
        assert!(!Filter::parse(test, &Fields::new()).unwrap().matches(&other), "{test}");
    }
}

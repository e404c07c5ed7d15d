use std::net::IpAddr;

use super::*;
use crate::fields::{Argument, Field, Key, Reference, Type, Value};

/// Fields of all kinds, and an event that has values of them.
struct Event;

const FIELDS: &[Field] = &[
    field("evt.num", Type::Uint, Argument::None),
    field("proc.name", Type::Text, Argument::None),
    field("proc.aname", Type::Text, Argument::OptionalIndex),
    field("evt.arg", Type::Text, Argument::Key),
    field("proc.env", Type::Text, Argument::OptionalName),
    field("fd.name", Type::Text, Argument::None),
    field("evt.buffer", Type::Bytes, Argument::None),
    field("evt.rawtime.ns", Type::Time, Argument::None),
    field("fd.sip", Type::Ip, Argument::None),
    Field { is_list: true, ..field("fdlist.nums", Type::Int, Argument::None) },
];

const fn field(name: &'static str, ty: Type, argument: Argument) -> Field {
    Field { name, ty, is_list: false, argument, about: "" }
}

impl Registry for Event {
    fn fields(&self) -> &[Field] {
        FIELDS
    }

    fn digits(&self, field: usize) -> usize {
        if FIELDS[field].name.ends_with(".ns") { 9 } else { 1 }
    }
}

impl Source for Event {
    fn values(&self, field: &Reference, each: &mut dyn FnMut(Value<'_>) -> bool) {
        const ANCESTORS: [&str; 3] = ["cat", "bash", "sshd"];
        let value = match (FIELDS[field.field].name, &field.argument) {
            ("evt.num", _) => Value::Uint(42),
            ("proc.name", _) => Value::text("cät\x1b[2J"),
            ("proc.aname", Some(Key::Index(index))) => match ANCESTORS.get(*index as usize) {
                Some(name) => Value::text(*name),
                None => return,
            },
            ("proc.aname", _) => {
                let _ = ANCESTORS.iter().all(|name| each(Value::text(*name)));
                return;
            }
            ("evt.arg" | "proc.env", Some(Key::Name(name))) => Value::text(&**name),
            ("evt.arg", Some(Key::Index(_))) => Value::text("index"),
            ("proc.env", _) => Value::text("all"),
            ("evt.buffer", _) => Value::text(b"a\nb\0"),
            ("evt.rawtime.ns", _) => Value::Uint(7),
            ("fd.sip", _) => Value::Ip(IpAddr::from([10, 0, 0, 1])),
            ("fdlist.nums", _) => {
                let _ = each(Value::Int(3)) && each(Value::Int(-1));
                return;
            }
            _ => return,
        };
        each(value);
    }
}

fn with(text: &str, data: DataForm) -> Option<String> {
    let format = Formatter::parse(text, &Event).unwrap_or_else(|error| panic!("{error}"));
    let mut out = String::from("before ");
    let printed = format.format(&Event, data, &mut out);
    let line = out.strip_prefix("before ").unwrap().to_owned();
    assert!(printed || line.is_empty(), "{line:?} stays behind");
    printed.then_some(line)
}

fn line(text: &str) -> Option<String> {
    with(text, DataForm::Dots)
}

fn shown(text: &str) -> String {
    line(text).unwrap_or_else(|| panic!("{text} prints nothing"))
}

fn mistake(text: &str) -> String {
    Formatter::parse(text, &Event).unwrap_err().to_string()
}

#[test]
fn fields_stand_in_text() {
    assert_eq!(shown("%evt.num: %proc.name."), "42: cät\\u{1b}[2J.");
    assert_eq!(shown("no field"), "no field");
    assert_eq!(shown("100%% %evt.num%%\\n\\t\\r\\\\"), "100% 42%\n\t\r\\");
    assert_eq!(shown("%evt.num%evt.num"), "4242");
    assert_eq!(shown("%{evt.num}X {%evt.num}"), "42X {42}");
    assert_eq!(shown("%evt.num\nä"), "42\nä");
}

#[test]
fn arguments_stand_in_brackets_or_behind_a_dot() {
    assert_eq!(shown("%evt.arg.flags %evt.arg[flags] %evt.arg[0]"), "flags flags index");
    assert_eq!(shown("%proc.aname[1], %proc.env[HOME] %proc.env.HOME"), "bash, HOME HOME");
    assert_eq!(shown("%proc.env[%evt.num] %proc.aname[%evt.num]"), "all[42] (cat,bash,sshd)[42]");
    assert_eq!(shown("%evt.num[7](x) %evt.num.%evt.num..."), "42[7](x) 42.42...");
}

#[test]
fn a_missing_value_prints_no_line_without_a_star() {
    assert_eq!(line("%evt.num %fd.name"), None);
    assert_eq!(line("%proc.aname[3]"), None);
    assert_eq!(shown("*%evt.num %fd.name"), "42 <NA>");
    assert_eq!(shown("*%6fd.name|%2fd.name|"), "<NA>  |<N|");
    assert_eq!(shown("**%evt.num"), "*42");
    assert_eq!(line("%toupper(fd.name)"), None);
}

#[test]
fn a_width_cuts_and_pads_at_the_right() {
    assert_eq!(shown("%5evt.num|%1evt.num|%2evt.num|%0evt.num|%005evt.num|"), "42   |4|42|42|42   |");
    assert_eq!(shown("%2proc.name|%4toupper(proc.aname[0])|%8{evt.num}x"), "cä|CAT |42      x");
}

#[test]
fn values_have_the_form_of_field_and_option() {
    assert_eq!(shown("%evt.rawtime.ns %fd.sip %evt.buffer"), "000000007 10.0.0.1 a.b.");
    assert_eq!(with("%evt.buffer|", DataForm::Base64).unwrap(), "YQpiAA==|");
    assert_eq!(with("%evt.buffer|", DataForm::Printable).unwrap(), "\na\nb|");
    assert_eq!(
        shown("%fdlist.nums %proc.aname %join(\"-\", (proc.aname[0], proc.aname[1]))"),
        "(3,-1) (cat,bash,sshd) cat-bash"
    );
    assert_eq!(shown("%toupper(proc.aname) %len(fdlist.nums) %len( proc.name )"), "(CAT,BASH,SSHD) 2 8");
}

#[test]
fn mistakes_are_shown_with_their_place() {
    for (text, expected) in [
        ("", "\n^ the format is empty; write fields, such as %proc.name"),
        ("*", "*\n^ the format is empty; write fields, such as %proc.name"),
        ("x %proc.nmae y", "x %proc.nmae y\n   ^^^^^^^^^ no such field; did you mean proc.name?"),
        ("%proc.names", "%proc.names\n ^^^^^^^^^^ no such field; did you mean proc.name?"),
        ("%evt.arg", "%evt.arg\n ^^^^^^^ evt.arg needs an argument, such as evt.arg[0] or evt.arg.flags"),
        ("%tuopper(proc.name)", "%tuopper(proc.name)\n ^^^^^^^ no such transformer; did you mean toupper?"),
        ("%len(evt.num)", "%len(evt.num)\n     ^^^^^^^ len takes text here, not numbers"),
        ("%toupper(proc.name", "%toupper(proc.name\n                  ^ expected , or )"),
        ("%evt.arg[", "%evt.arg[\n         ^ expected an argument, such as [0] or [name]"),
        ("50% of", "50% of\n  ^ expected a field, such as %proc.name; write %% for a percent sign"),
        ("50%", "50%\n  ^ expected a field, such as %proc.name; write %% for a percent sign"),
        ("%20", "%20\n^^^ expected a field, such as %proc.name; write %% for a percent sign"),
        (
            "%-20proc.name",
            "%-20proc.name\n ^ a width has no sign: %20proc.name pads with blanks at the right, or cuts",
        ),
        (
            "%99999999999999999999evt.num",
            "%99999999999999999999evt.num\n ^^^^^^^^^^^^^^^^^^^^ a width is at most 9999",
        ),
        ("%{evt.num", "%{evt.num\n ^^^^^^^^ expected } behind the field"),
        ("%(evt.num)", "%(evt.num)\n ^ expected a field, such as proc.name"),
        ("a\\q", "a\\q\n ^^ no such escape; there are \\n, \\r and \\t, and \\\\ for a backslash"),
        ("a\\", "a\\\n ^ no such escape; there are \\n, \\r and \\t, and \\\\ for a backslash"),
    ] {
        assert_eq!(mistake(text), expected, "{text}");
    }
}

#[test]
fn columns_are_a_list_of_fields() {
    let names = |text| {
        let columns = Columns::parse(text, &Event).unwrap_or_else(|error| panic!("{error}"));
        columns.expressions().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(names("evt.num, %proc.name,\tfd.name"), ["evt.num", "proc.name", "fd.name"]);
    assert_eq!(
        names("evt.arg.flags,evt.arg[0],proc.aname[1]"),
        ["evt.arg.flags", "evt.arg[0]", "proc.aname[1]"]
    );
    assert_eq!(
        names("join(\",\", (proc.name,fd.name)),evt.num"),
        ["join(\",\", (proc.name, fd.name))", "evt.num"]
    );
    for (text, expected) in [
        ("", "\n^ expected a field, such as proc.name"),
        ("evt.num,", "evt.num,\n        ^ expected a field, such as proc.name"),
        ("evt.num;fd.name", "evt.num;fd.name\n       ^ expected a comma and a further field"),
        ("evt.num,fd.nmae", "evt.num,fd.nmae\n        ^^^^^^^ no such field; did you mean fd.name?"),
    ] {
        assert_eq!(Columns::parse(text, &Event).unwrap_err().to_string(), expected);
    }
}

#[test]
fn any_text_is_parsed_without_a_panic() {
    use proptest::prelude::*;
    let strategy = prop_oneof![
        any::<String>(),
        "(%|\\*|\\{|\\}|\\[|\\]|\\(|\\)|\\\\|[0-9]|\\.|evt\\.arg|proc\\.name|ä| ){0,12}",
    ];
    proptest!(|(text in strategy)| {
        if let Ok(format) = Formatter::parse(&text, &Event) {
            format.format(&Event, DataForm::HexAscii, &mut String::new());
        }
        drop(Columns::parse(&text, &Event));
    });
}

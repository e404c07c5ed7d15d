//! What texts mean the same, and how filters are printed.

use super::{super::Filter, Fields};

fn parse(text: &str) -> Filter {
    Filter::parse(text, &Fields::new()).unwrap_or_else(|why| panic!("{why}"))
}

#[test]
fn blanks_are_needed_only_between_words() {
    for (one, other) in [
        ("evt.num<5", "evt.num < 5"),
        ("  evt.num\t<\r\n5  ", "evt.num < 5"),
        ("proc.name=a and(evt.num=1)or(evt.num=2)", "proc.name = a and (evt.num = 1) or (evt.num = 2)"),
        ("proc.name in(a,b , c )", "proc.name in (a, b, c)"),
        ("not(evt.num=1)", "not evt.num=1"),
        ("not not not evt.num=1", "not evt.num=1"),
        ("proc.name=\"a\"and evt.num=1", "proc.name = a and evt.num = 1"),
        ("tolower( proc.name )=a", "tolower(proc.name) = a"),
        ("proc.name=val( fd.name )", "proc.name = val(fd.name)"),
        ("(proc.name=a)", "proc.name=a"),
        ("proc.name == a", "proc.name = a"),
        ("proc.name in cat", "proc.name in (cat)"),
        ("proc.name=and or evt.num=1", "proc.name='and' or evt.num = 1"),
        ("proc.name=!a", "proc.name='!a'"),
        ("proc.name!=-a", "proc.name != '-a'"),
        ("fd.name contains /a[0]*\\d{2}|:$", "fd.name contains '/a[0]*\\\\d{2}|:$'"),
    ] {
        assert_eq!(parse(one), parse(other), "{one}");
    }
}

#[test]
fn escapes_stand_for_bytes() {
    for (one, other) in [
        (r#"proc.name = "a\"b\\c""#, r#"proc.name = 'a"b\\c'"#),
        (r"proc.name = '\x41\/\x2f'", "proc.name = A//"),
        (r"proc.name = 'it\'s'", r#"proc.name = "it's""#),
        ("proc.name = '\\t\\n\\r\\b\\f'", "proc.name = '\t\n\r\\x08\\x0c'"),
        // As in libs, for the sake of old rules of Falco.
        (r"proc.name = 'a\ b'", r"proc.name = 'a\\b'"),
        (r"proc.name = 'a\\'", r"proc.name = a\"),
        (r"proc.name = \d\x", r"proc.name = '\\d\\x'"),
        (r"proc.name = 'é'", r"proc.name = '\xc3\xa9'"),
    ] {
        assert_eq!(parse(one), parse(other), "{one}");
    }
}

#[test]
fn filters_are_printed() {
    for (text, printed) in [
        ("proc.name==a", "proc.name = a"),
        ("evt.latency>10ms", "evt.latency > 10ms"),
        ("proc.name='a b'", "proc.name = \"a b\""),
        ("proc.name=''", "proc.name = \"\""),
        ("proc.name='a\\xffé\\n\"\\\\'", "proc.name = \"a\\xffé\\n\\\"\\\\\""),
        ("(evt.num=1 or evt.num=2)and evt.num=3", "(evt.num = 1 or evt.num = 2) and evt.num = 3"),
        ("evt.num=1 or(evt.num=2 and evt.num=3)", "evt.num = 1 or evt.num = 2 and evt.num = 3"),
        ("(evt.num=1 or evt.num=2)or evt.num=3", "(evt.num = 1 or evt.num = 2) or evt.num = 3"),
        ("not(evt.num=1 and(not(not evt.num=2)))", "not (evt.num = 1 and not (not evt.num = 2))"),
        ("evt.arg[flags] exists", "evt.arg.flags exists"),
        ("evt.arg['0'] exists", "evt.arg[0] exists"),
        ("proc.env.HOME exists", "proc.env[HOME] exists"),
        ("proc.env['a b'] exists", "proc.env[\"a b\"] exists"),
        ("proc.name='\\x1b[0m\u{7f}'", "proc.name = \"\\x1b[0m\\x7f\""),
        ("proc.name in(a,'b c')", "proc.name in (a, \"b c\")"),
        ("fd.name pmatch ()", "fd.name pmatch ()"),
        ("join(',',(proc.name,'x',12))=y", "join(\",\", (proc.name, \"x\", \"12\")) = y"),
        ("proc.name in val(fdlist.names)", "proc.name in val(fdlist.names)"),
        ("proc.name=toupper(val(fd.name))", "proc.name = toupper(fd.name)"),
    ] {
        let filter = parse(text);
        assert_eq!(filter.to_string(), printed);
        assert_eq!(parse(printed), filter);
    }
}

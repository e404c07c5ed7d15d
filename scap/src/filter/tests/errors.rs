//! The texts of errors.

use super::{super::Filter, Fields, example};

/// Checks pairs of a filter and the error below its first line.
fn table(all: &[(&str, &str)]) {
    let shown = |filter: &str| match Filter::parse(filter, &Fields::new()) {
        Ok(filter) => format!("{filter} was taken"),
        Err(error) => error.to_string(),
    };
    let wanted =
        |(filter, expected): &(&str, &str)| (shown(filter), format!("{}\n{expected}", filter.trim_end()));
    let wrong: Vec<_> = all.iter().map(wanted).filter(|(shown, expected)| shown != expected).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn names() {
    table(&[
        ("proc.nmae = cat", "^^^^^^^^^ no such field; did you mean proc.name?"),
        ("proc.name=a and PROC.NAME=b", "                ^^^^^^^^^ no such field; did you mean proc.name?"),
        ("evt.pluginname = x", "^^^^^^^^^^^^^^ evt.pluginname: there are no plugins"),
        ("xyzzy.y = 1", "^^^^^^^ no such field; `scapd list fields` prints them all"),
        (
            "spawned_process and proc.name = x",
            "                ^^^ expected an operator; a field alone is no test: write `= true` or `exists`",
        ),
        (
            "spawned_process = true",
            "^^^^^^^^^^^^^^^ no such field; their names have a dot, as in proc.name (macros of Falco do not exist here)",
        ),
        ("proc.name contians a", "          ^^^^^^^^ no such operator; did you mean contains?"),
        ("proc.name CONTAINS a", "          ^^^^^^^^ no such operator; did you mean contains?"),
        ("proc.name is a", "          ^^ expected an operator, such as =, contains or exists"),
        ("proc.name a", "          ^ expected an operator, such as =, contains or exists"),
        ("toloer(proc.name) = a", "^^^^^^ no such transformer; did you mean tolower?"),
        (
            "proc.name = f(x)",
            "            ^ no such transformer; there are tolower, toupper, b64, basename, len, join, concat, val",
        ),
        ("evt.arg exists", "^^^^^^^ evt.arg needs an argument, such as evt.arg[0] or evt.arg.flags"),
        ("proc.name[1] = a", "^^^^^^^^^^^^ proc.name takes no argument"),
        (
            "proc.aname[x] = a",
            "^^^^^^^^^^^^^ proc.aname takes a number as its argument, such as proc.aname[1]",
        ),
        (
            "proc.aname[4294967296] = a",
            "^^^^^^^^^^^^^^^^^^^^^^ proc.aname takes a number up to 4294967295 as its argument",
        ),
        ("evt.arg.a[0] = a", "^^^^^^^^^^^^ evt.arg takes one argument"),
        ("evt.rawarg.siez = 1", "^^^^^^^^^^^^^^^ evt.rawarg has no argument siez; did you mean size?"),
        ("evt.rawarg[xyzzy] = 1", "^^^^^^^^^^^^^^^^^ evt.rawarg has no argument xyzzy"),
        ("proc.env[''] = 1", "^^^^^^^^^^^^ the argument of proc.env is empty"),
        ("proc.env['\\xff'] = 1", "^^^^^^^^^^^^^^^^ the argument of proc.env is not UTF-8"),
        ("proc.env[a b] = 1", "          ^ expected ]"),
        ("proc.env[] = 1", "         ^ expected an argument, such as [0] or [name]"),
    ]);
}

#[test]
fn syntax() {
    table(&[
        ("", "^ the filter is empty"),
        ("   ", "^ the filter is empty"),
        (
            "proc.name",
            "         ^ expected an operator; a field alone is no test: write `= true` or `exists`",
        ),
        (
            "evt.failed or x",
            "           ^^ expected an operator; a field alone is no test: write `= true` or `exists`",
        ),
        ("proc.name =", "           ^ expected a value"),
        ("proc.name = )", "            ^ expected a value"),
        ("proc.name = a and", "                 ^ expected a test, such as proc.name = cat"),
        (
            "proc.name = a and and",
            "                     ^ expected an operator; a field alone is no test: write `= true` or `exists`",
        ),
        ("and proc.name = a", "    ^^^^^^^^^ expected an operator, such as =, contains or exists"),
        ("= a", "^ expected a field, such as proc.name"),
        ("\"x\" = a", "^^^ expected a field, such as proc.name, and not a value"),
        ("(proc.name = a", "              ^ expected ), or `and` or `or` and a further test"),
        ("proc.name = a)", "             ^ there is no ( for this )"),
        (
            "proc.name = a AND evt.num = 1",
            "              ^^^ expected `and`, `or` or the end; keywords are in lower case",
        ),
        (
            "proc.name = a b",
            "              ^ expected `and`, `or` or the end; a value with blanks needs quotes",
        ),
        (
            "proc.name = a,b",
            "             ^ expected `and`, `or` or the end; a value with this character needs quotes",
        ),
        ("proc.name = a && evt.num = 1", "              ^^ expected `and`, `or` or the end"),
        ("proc.name in", "            ^ expected a list, such as (a, b)"),
        ("proc.name in (a b)", "                ^ expected , or )"),
        ("proc.name in (a,)", "                ^ expected a value"),
        ("proc.name in (a", "               ^ expected , or )"),
        ("proc.name = (a)", "            ^ expected a value"),
        ("proc.name = 'a", "            ^^ the closing quote is missing"),
        ("proc.name = 'a\\", "            ^^^ the closing quote is missing"),
        ("proc.name = 'a\\q'", "              ^^ no such escape; write \\\\ for a backslash"),
        ("proc.name = 'a\\xg0'", "              ^^ expected two hexadecimal digits behind \\x"),
        ("proc.name = val(a.b", "                   ^ expected )"),
        ("proc.name = val('a')", "                   ^ expected a field, such as proc.name"),
        ("tolower(proc.name", "                 ^ expected , or )"),
        ("tolower(=) = a", "        ^ expected a field, a transformer, a number or text in quotes"),
        (
            "proc.name = a é",
            "              ^ expected `and`, `or` or the end; a value with blanks needs quotes",
        ),
    ]);
}

#[test]
fn types() {
    table(&[
        (
            "evt.num contains 1",
            "        ^^^^^^^^ contains is not for numbers; there are = != < <= > >= in intersects exists",
        ),
        (
            "evt.failed < true",
            "           ^ < is not for true and false; there are = != in intersects exists",
        ),
        (
            "fd.sip startswith 10",
            "       ^^^^^^^^^^ startswith is not for addresses; there are = != in intersects exists",
        ),
        ("fdlist.names = a", "             ^ = is not for lists; there are in intersects exists"),
        ("evt.num = abc", "          ^^^ expected a number, such as 10 or 10K"),
        ("evt.num in (1, x)", "               ^ expected a number, such as 10 or 10K"),
        ("evt.num = 1e3", "          ^^^ no such unit; there are k, K, M, G, T, KiB, MiB, GiB, TiB"),
        ("evt.num = -1", "          ^^ the field is never negative"),
        ("evt.latency > 10sec", "              ^^^^^ no such unit; there are ns, us, µs, ms, s, m, h, d"),
        ("evt.failed = 1", "             ^ expected true or false"),
        ("thread.cpu > nan", "             ^^^ expected a number, such as 10 or 0.5"),
        ("fd.port = 65536", "          ^^^^^ the field has values from 0 to 65535"),
        ("fd.port = xyzzy", "          ^^^^^ no such service; write the port's number"),
        ("fd.sip = 10.0.0", "         ^^^^^^ expected an address, such as 10.0.0.1 or ::1"),
        (
            "fd.sip = 10.0.0.0/8",
            "         ^^^^^^^^^^ expected an address; networks are for fields like fd.net",
        ),
        ("fd.net = 10.0.0.0/33", "         ^^^^^^^^^^^ expected a network, such as 10.0.0.0/8 or fe80::/10"),
        (
            "evt.buffer bcontains 4g",
            "                     ^^ expected bytes as pairs of hexadecimal digits, such as 474554",
        ),
        ("fd.name regex 'a)(b'", "              ^^^^^^ not a regular expression: unopened group"),
        ("fd.name regex '[a'", "              ^^^^ not a regular expression: unclosed character class"),
        (
            "fd.name regex '(.{1000}){1000}'",
            "              ^^^^^^^^^^^^^^^^^ the regular expression is too large",
        ),
        ("fd.name regex '\\xff'", "              ^^^^^^ expected a regular expression"),
        ("proc.name = val(evt.num)", "                ^^^^^^^ text cannot be compared with numbers"),
        ("evt.latency > val(evt.num)", "                  ^^^^^^^ durations cannot be compared with numbers"),
        (
            "proc.name pmatch val(fd.name)",
            "                     ^^^^^^^ pmatch takes no field on its right, only text",
        ),
        (
            "fd.net = val(fd.sip)",
            "             ^^^^^^ networks are compared with text only, such as 10.0.0.0/8",
        ),
        (
            "proc.name = val(fdlist.names)",
            "                ^^^^^^^^^^^^ a list; compare with in or intersects, not =",
        ),
        ("tolower(evt.num) = 1", "        ^^^^^^^ tolower takes text here, not numbers"),
        (
            "tolower(proc.name, fd.name) = 1",
            "^^^^^^^^^^^^^^^^^^^^^^^^^^^ tolower takes one argument, such as tolower(proc.name)",
        ),
        (
            "concat(proc.name) = 1",
            "^^^^^^^^^^^^^^^^^ concat takes two or more arguments, such as concat(proc.name, \":\", fd.name)",
        ),
        (
            "concat(proc.name, fdlist.names) = 1",
            "                  ^^^^^^^^^^^^ concat takes text here, not a list of text",
        ),
        ("join(',', proc.name) = 1", "          ^^^^^^^^^ join takes a list of text here, not text"),
        ("join(',') = 1", "^^^^^^^^^ join takes two arguments, such as join(\",\", (proc.name, fd.name))"),
        ("join(',', (evt.num)) = 1", "           ^^^^^^^ expected text: a list has no numbers and no lists"),
    ]);
}

#[test]
fn a_mistake_on_a_further_line() {
    let error =
        Filter::parse("proc.name = a and\n  evt.nmu = 3\nor evt.num = 4", &Fields::new()).unwrap_err();
    assert_eq!(error.to_string(), "  evt.nmu = 3\n  ^^^^^^^ no such field; did you mean evt.num?");
    assert_eq!((error.span(), error.message()), (20..27, "no such field; did you mean evt.num?"));
}

#[test]
fn deep_nesting_is_an_error() {
    let nested = |depth: usize| format!("{}evt.num = 1{}", "(".repeat(depth), ")".repeat(depth));
    assert!(Filter::parse(&nested(100), &Fields::new()).is_ok());
    let error = Filter::parse(&nested(101), &Fields::new()).unwrap_err();
    assert_eq!((error.span(), error.message()), (100..101, "nested more than 100 deep"));
    for deep in ["(", "not (", "tolower(", "concat((", "evt.num = 1 or ("] {
        let error = Filter::parse(&deep.repeat(50_000), &Fields::new()).unwrap_err();
        assert_eq!(error.message(), "nested more than 100 deep", "{deep}");
    }
    assert!(Filter::parse(&format!("{}evt.num = 1", "not ".repeat(50_000)), &Fields::new()).is_ok());
    for (open, close) in [("not (", ")"), ("evt.num = 1 or (evt.num = 2 and ", ")")] {
        let deep = format!("{}proc.name = cat{}", open.repeat(100), close.repeat(100));
        let filter = Filter::parse(&deep, &Fields::new()).unwrap();
        assert_eq!(Filter::parse(&filter.to_string(), &Fields::new()).as_ref(), Ok(&filter));
        assert_eq!(filter.matches(&example()), open == "not (", "{open}");
    }
    let calls = format!("{}proc.name{} = cat", "tolower(".repeat(100), ")".repeat(100));
    assert!(Filter::parse(&calls, &Fields::new()).unwrap().matches(&example()));
    let long = vec!["evt.num = 1 and proc.name = x"; 20_000].join(" or ");
    assert!(Filter::parse(&long, &Fields::new()).is_ok());
}

use super::{
    places::{Texts, texts},
    *,
};
use crate::{
    events::{EVENTS, EXTENSIONS, ParamType, event_by_program},
    format::{
        EventBuilder, Value,
        state::{Fd, FdList, Thread},
        strategies,
    },
};

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn rules() -> Arc<Rules> {
    let options = strings(&["--password", "--*-token", "-p"]);
    let variables = strings(&["AWS_SECRET_*", "*_PASSWORD", "PASSWORD"]);
    let patterns = strings(&["AKIA[A-Z0-9]{4}", "Bearer ([a-z]+)", "(?s-u)key=\\x00.\\xff"]);
    Arc::new(Rules::new(&options, &variables, &patterns).unwrap())
}

fn covered(text: &str, find: fn(&Rules, &[u8], &mut Vec<Range<usize>>)) -> String {
    let (mut found, mut bytes) = (Vec::new(), text.as_bytes().to_vec());
    find(&rules(), &bytes, &mut found);
    cover(&mut bytes, &found);
    String::from_utf8(bytes).unwrap().replace('\0', "|")
}

#[test]
fn options_and_variables_of_a_program() {
    let list = |text: &str| covered(&text.replace('|', "\0"), Rules::find_in_list);
    for (text, expected) in [
        ("--password|hunter2|-v|", "--password|*******|-v|"),
        ("--password=hunter2|-v|", "--password=*******|-v|"),
        ("--passwords|x|", "--passwords|x|"),
        ("--api-token|a b|c|", "--api-token|***|c|"),
        ("-phunter2|-p|x|-port|", "-p*******|-p|*|-p***|"),
        ("--password||x|", "--password||x|"),
        ("--password", "--password"),
        ("HOME=/|AWS_SECRET_KEY=a b\nc|PATH=x|", "HOME=/|AWS_SECRET_KEY=*****|PATH=x|"),
        ("db_password=x y|XPASSWORD=y|", "db_password=***|XPASSWORD=y|"),
        ("AKIAABCD x=y DB_PASSWORD=x y|", "******** x=y DB_PASSWORD=* y|"),
        ("-c|curl --password hunter2 -v|", "-c|curl --password ******* -v|"),
        ("-c|curl --password='hunter 2' -v|", "-c|curl --password='********' -v|"),
        ("AKIAABCD|xAKIA1234y|", "********|x********y|"),
        ("Bearer abc|Bearer|", "Bearer ***|Bearer|"),
    ] {
        assert_eq!(list(text), expected, "{text}");
    }
}

#[test]
fn names_and_patterns_in_data() {
    let data = |text: &str| covered(text, Rules::find);
    for (text, expected) in [
        ("a=1\nAWS_SECRET_KEY=x y\nb=2\n", "a=1\nAWS_SECRET_KEY=***\nb=2\n"),
        ("export PASSWORD=abc; true", "export PASSWORD=***; true"),
        ("{\"password\": \"a b\", \"x\": 1}", "{\"password\": \"***\", \"x\": 1}"),
        ("?user=x&password=abc&y=z", "?user=x&password=***&y=z"),
        ("x --password abc --y", "x --password *** --y"),
        ("--password\0abc\0-v", "--password|***|-v"),
        ("Authorization: Bearer abc\r\n", "Authorization: Bearer ***\r\n"),
        ("nothing here", "nothing here"),
    ] {
        assert_eq!(data(text), expected, "{text}");
    }
    let mut found = Vec::new();
    rules().find(b"\xfekey=\0\n\xff!", &mut found);
    assert_eq!((found.len(), found[0].clone()), (1, 1..8), "bytes that are no text");
}

#[test]
fn a_wrong_rule_is_named() {
    let wrong = |options: &[&str], variables: &[&str], patterns: &[&str]| {
        let error = Rules::new(&strings(options), &strings(variables), &strings(patterns)).unwrap_err();
        (error.kind, error.index, error.what)
    };
    let (kind, index, what) = wrong(&[], &[], &["a", "(b"]);
    assert_eq!((kind, index), (RuleKind::Pattern, 1));
    assert!(what.starts_with("not a regular expression: ") && what.contains("unclosed group"), "{what}");
    let (kind, index, what) = wrong(&[], &[], &["x*"]);
    assert_eq!((kind, index), (RuleKind::Pattern, 0));
    assert!(what.contains("empty text"), "{what}");
    assert_eq!(wrong(&["--a", ""], &[], &[]).1, 1);
    assert_eq!(wrong(&[], &["A=B"], &[]).0, RuleKind::Variable);
    let none = Rules::new(&[], &[], &[]).unwrap();
    let mut found = Vec::new();
    none.find_in_list(b"--password\0x\0", &mut found);
    assert!(found.is_empty() && none.counts() == [0; 3]);
}

/// Every value of every type that can hold a text is looked at, and nothing but what was found changes.
#[test]
fn an_event_keeps_its_form() {
    use proptest::strategy::{Strategy, ValueTree};
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let any = Arc::new(Rules::new(&[], &[], &strings(&["(?s-u)."])).unwrap());
    let mut redactor = Redactor::new(any);
    let mut overwritten = 0;
    for row in EVENTS.iter().chain(EXTENSIONS.iter().map(|row| &row.own)) {
        let values: Vec<_> =
            strategies::values(row).iter().map(|v| v.new_tree(&mut runner).unwrap().current()).collect();
        let event = strategies::built(row, &values, 1, 2);
        let Ok(view) = EventView::parse(&event, false) else { continue };
        let kind =
            |value: Value<'_>| format!("{value:?}").split(['(', ' ']).next().unwrap_or_default().to_owned();
        let kinds = |view: &EventView<'_>| -> Vec<_> {
            view.values().map(|(info, value)| (info.name, value.map(|v| kind(v.value)))).collect()
        };
        let before = kinds(&view);
        let (after, values) = redactor.event(&event);
        overwritten += values;
        let after_view = EventView::parse(after, false).unwrap();
        assert_eq!(before, kinds(&after_view), "{}", row.code);
        texts(&after_view, |text| {
            let is_covered = |byte: &u8| *byte == COVER || (*byte == 0 && matches!(text, Texts::List(_)));
            assert!(text.bytes().iter().all(is_covered), "{}: {text:?}", row.code);
        });
    }
    assert!(overwritten > 300, "{overwritten}");
}

#[test]
fn arguments_and_environments_are_lists_in_every_row() {
    for row in EVENTS.iter().filter(|row| row.program.is_some()) {
        let has_list = row
            .params
            .iter()
            .any(|param| param.ty == ParamType::BYTEBUF && ["args", "env"].contains(&param.name));
        let is_list =
            matches!(row.effect(), Some(crate::events::Effect::Exec | crate::events::Effect::Clone));
        assert!(!has_list || is_list, "{}", row.code);
    }
}

#[test]
fn values_are_counted_and_others_stay_as_they_are() {
    let row = event_by_program("write_x").unwrap();
    let write = |data: &[u8]| {
        let values = [Value::Errno(9), Value::Bytes(data), Value::Fd(1), Value::Uint(9)];
        let event =
            values.into_iter().fold(EventBuilder::new(row, 1, 2), |event, value| event.param(value).unwrap());
        event.build().unwrap()
    };
    let mut redactor = Redactor::new(rules());
    let plain = write(b"plain");
    assert_eq!(redactor.event(&plain), (&plain[..], 0));
    let secret = write(b"AKIAABCD AKIA1234");
    let (event, values) = redactor.event(&secret);
    assert_eq!(values, 1);
    assert_eq!(event, write(b"******** ********"));
    assert_eq!(redactor.event(b"short"), (&b"short"[..], 0));
}

#[test]
fn the_state_of_a_machine_is_overwritten_too() {
    let thread =
        |args: &[u8], env: &[u8]| Thread { args: args.to_vec(), env: env.to_vec(), ..Thread::default() };
    let file = |path: &[u8]| FdKind::File { open_flags: 1, path: path.to_vec(), dev: 2 };
    let state = |args: &[u8], env: &[u8], path: &[u8]| MachineState {
        threads: vec![thread(args, env), thread(b"-v\0", b"")],
        fds: vec![FdList { pid: 1, fds: vec![Fd { fd: 3, ino: 4, kind: file(path) }] }],
        ..MachineState::default()
    };
    let mut machine = state(b"--password\0x\0", b"A=1\0DB_PASSWORD=y\0", b"/tmp/AKIAABCD");
    assert_eq!(Redactor::new(rules()).state(&mut machine), 3);
    assert_eq!(machine, state(b"--password\0*\0", b"A=1\0DB_PASSWORD=*\0", b"/tmp/********"));
    assert_eq!(Redactor::new(rules()).state(&mut machine.clone()), 2, "a cover is covered again");
}

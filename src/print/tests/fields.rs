//! Formats, tables, times and forms of data: `scapd read -p`, `-o`, `-t`, `-A -x -X -b`.

use super::*;
use scap::{
    fields::Fields,
    formatter::{Columns, Formatter},
    text::DataForm,
};

/// A shell that opens a file, which takes 1 ns, and reads from it.
fn capture() -> Capture {
    Capture::new()
        .event(100, "openat_e", &[Value::Fd(-100), Value::Text(b"/x"), Value::Flags(1), Value::Uint(0)])
        .event(100, "openat_x", &[Value::Fd(7), Value::Fd(-100), Value::Text(b"/x"), NA, NA, NA, NA])
        .event(999, "close_e", &[Value::Fd(3)])
        .event(100, "read_x", &[Value::Errno(4), Value::Bytes(b"a\r\n\xff"), Value::Fd(3), Value::Uint(4)])
}

fn shown(capture: &Capture, form: Form) -> String {
    let (out, result) = capture.read(|args| args.form = form);
    result.unwrap();
    out
}

fn in_format(text: &str) -> Form {
    Form::Format(Formatter::parse(text, &Fields).unwrap(), TimeForm::Delta, DataForm::Dots)
}

fn table(columns: &str, form: TableForm) -> Form {
    Form::Table(Columns::parse(columns, &Fields).unwrap(), form, DataForm::Dots)
}

fn lines(style: LineStyle) -> String {
    shown(&capture(), Form::Lines(style))
}

#[test]
fn a_format_prints_the_fields_of_each_event() {
    let out = shown(&capture(), in_format("%evt.num|%4proc.name|%toupper(evt.type)"));
    assert_eq!(out, "1|sh  |OPENAT\n2|sh  |OPENAT\n4|sh  |READ\n", "no command is known of the third");
    let out = shown(&capture(), in_format("*%evt.num %proc.name %evt.latency"));
    assert_eq!(out, "1 sh <NA>\n2 sh 1\n3 <NA> <NA>\n4 sh <NA>\n");
}

#[test]
fn a_table_has_a_line_of_names_if_it_has_one() {
    let rows = "1\tsh\t\n2\tsh\t1\n3\t\t\n4\tsh\t\n";
    let columns = "evt.num,proc.name,evt.latency";
    assert_eq!(shown(&capture(), table(columns, TableForm::Plain)), rows);
    let tsv = shown(&capture(), table(columns, TableForm::Tsv));
    assert_eq!(tsv, format!("evt.num\tproc.name\tevt.latency\n{rows}"));
    let csv = shown(&capture(), table(columns, TableForm::Csv));
    assert_eq!(csv, format!("{columns}\n{}", rows.replace('\t', ",")));

    let nothing = |form| shown(&Capture::new(), table("evt.num,evt.type", form));
    let forms = [TableForm::Csv, TableForm::Tsv, TableForm::Plain, TableForm::Json];
    assert_eq!(forms.map(nothing), ["evt.num,evt.type\n", "evt.num\tevt.type\n", "", ""]);
}

#[test]
fn cells_are_quoted_as_in_rfc_4180() {
    let capture = Capture::new().exec(100, "a,\"b\"\t\n\x1b[2J").exec(100, "plain").exec(100, "");
    let cell = r#"a,""b""\t\n\u{1b}[2J"#;
    let columns = "evt.num,proc.name,concat(proc.name, \",\")";
    assert_eq!(
        shown(&capture, table(columns, TableForm::Csv)),
        format!(
            "evt.num,proc.name,\"concat(proc.name, \"\",\"\")\"\n1,\"{cell}\",\"{cell},\"\n2,plain,\"plain,\"\n3,,\",\"\n"
        )
    );
    let tsv = shown(&capture, table("evt.num,proc.name", TableForm::Tsv));
    assert_eq!(tsv, "evt.num\tproc.name\n1\ta,\"b\"\\t\\n\\u{1b}[2J\n2\tplain\n3\t\n");
}

#[test]
fn an_object_has_the_types_of_its_fields() {
    let capture = capture().exec(100, "q\"\\\n\u{202e}");
    let out = shown(&capture, table("evt.num,proc.name,evt.latency,len(evt.type)", TableForm::Json));
    assert!(out.chars().all(|c| c == '\n' || !text::is_obeyed(c)), "{out:?}");
    let objects: Vec<Json> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(objects.len(), 5);
    assert_eq!(objects[1], json!({ "evt.num": 2, "proc.name": "sh", "evt.latency": 1, "len(evt.type)": 6 }));
    assert_eq!(objects[2]["proc.name"], Json::Null);
    assert_eq!(objects[4]["proc.name"], "q\"\\\\\n\u{202e}", "a backslash is doubled, as in all JSON");
    assert!(out.starts_with(r#"{"evt.num":1,"proc.name":"sh","evt.latency":null,"#), "{out}");
}

#[test]
fn a_time_is_what_was_asked_for() {
    let times = |time| {
        let out = lines(LineStyle { time, ..LineStyle::default() });
        out.lines().map(|line| line.split(' ').nth(1).unwrap().to_owned()).collect::<Vec<_>>()
    };
    let at = |ns: [u64; 4]| ns.map(|ns| format!("0.00000000{ns}"));
    assert_eq!(times(TimeForm::Epoch), [1, 2, 3, 4].map(|ns| format!("1700000000.00000000{ns}")));
    assert_eq!(times(TimeForm::Relative), at([0, 1, 2, 3]));
    assert_eq!(times(TimeForm::Latency), at([0, 1, 0, 0]));
    assert_eq!(times(TimeForm::Delta), at([0, 1, 1, 1]));
    let clock = times(TimeForm::Clock);
    assert!(clock.iter().all(|time| time.len() == "22:13:20.000000001".len()), "{clock:?}");
}

#[test]
fn a_delta_is_that_to_the_event_printed_before() {
    let (out, result) = capture().read(|args| {
        args.form = Form::Lines(LineStyle { time: TimeForm::Delta, ..LineStyle::default() });
        args.wanted.events = Some(parse_events("openat,read").unwrap());
    });
    result.unwrap();
    let deltas: Vec<_> = out.lines().map(|line| line.split(' ').nth(1).unwrap()).collect();
    assert_eq!(deltas, ["0.000000000", "0.000000001", "0.000000002"]);
}

#[test]
fn formats_have_the_time_of_lines() {
    let out = shown(&capture(), in_format("%evt.outputtime %proc.name"));
    assert_eq!(out, "0.000000000 sh\n0.000000001 sh\n0.000000002 sh\n", "the third event prints no line");
    let out = shown(&capture(), in_format("%tolower(evt.outputtime)"));
    assert!(out.ends_with("\n0.000000001\n"), "{out}");
}

#[test]
fn time_before_the_first_event_is_negative() {
    let mut late = Capture::new();
    late.ts += 2_000_000_000;
    let mut both = late.look(100, 3);
    both.bytes.extend(Capture::new().look(100, 3).bytes);
    let style = LineStyle { time: TimeForm::Relative, ..LineStyle::default() };
    let out = shown(&both, Form::Lines(style));
    assert!(out.starts_with("1 0.000000000 ") && out.contains("\n2 -2.000000000 "), "{out}");
}

#[test]
fn data_has_the_form_that_was_asked_for() {
    let read = |data| {
        let out = lines(LineStyle { data, ..LineStyle::default() });
        out.split_once("data=").unwrap().1.split_once("fd=").unwrap().0.to_owned()
    };
    assert_eq!(read(DataForm::Dots), "a... ");
    assert_eq!(read(DataForm::Printable), "\na\n ");
    assert_eq!(read(DataForm::Hex), "\n\t0x0000: 610d 0aff\n ");
    let dump = "\n\t0x0000: 610d 0aff                                a...\n ";
    assert_eq!(read(DataForm::HexAscii), dump);
    assert_eq!(read(DataForm::Base64), "YQ0K/w== ");
}

#[test]
fn lines_with_containers_have_the_thread_of_the_namespace() {
    let mut state = state();
    state.threads[0].vtid = 7;
    let capture = Capture::of(&state).look(100, 3).look(999, 3);
    let style = LineStyle { containers: true, ..LineStyle::default() };
    let out = shown(&capture, Form::Lines(style));
    let heads: Vec<_> = out.lines().map(|line| line.splitn(4, ' ').nth(3).unwrap()).collect();
    let named = |head: &str| head.split_once(") ").unwrap().1.to_owned();
    assert_eq!(named(heads[0]), "sh (100:7) > fchdir fd=3(<f>/srv/data)");
    assert!(named(heads[1]).starts_with("<NA> (999:"), "{out}");
    // Neither is in a container.
    assert!(
        heads.iter().all(|head| head.starts_with("<NA> (<NA>) ") || head.starts_with("host (host) ")),
        "{out}"
    );
}

#[test]
fn colours_are_those_of_sysdig() {
    let style = LineStyle { colours: true, ..LineStyle::default() };
    let out = lines(style);
    let (green, blue) = ("\x1b[1m\x1b[32msh\x1b[0m", "\x1b[1m\x1b[34mopenat\x1b[0m");
    let line = out.lines().next().unwrap();
    assert!(line.contains(&format!(" {green} (\x1b[36m100\x1b[0m) > {blue} dirfd=")), "{line:?}");
    assert!(!lines(LineStyle::default()).contains('\x1b'));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    struct Gone(usize);
    impl io::Write for Gone {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.0.checked_sub(bytes.len()) {
                Some(left) => self.0 = left,
                None => return Err(io::ErrorKind::BrokenPipe.into()),
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let capture = (0..10_000).fold(Capture::new(), |capture, _| capture.look(100, 3));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &capture.bytes).unwrap();
    for form in [
        in_format("%evt.num %evt.type %proc.name"),
        table("evt.num,evt.type,proc.name", TableForm::Csv),
        table("evt.num,evt.type,proc.name", TableForm::Json),
        Form::Lines(LineStyle { time: TimeForm::Delta, ..LineStyle::default() }),
    ] {
        let args = ReadArgs { files: vec![file.path().into()], form, ..ReadArgs::default() };
        let mut out = Gone(100_000);
        read(&args, &mut out).unwrap();
        assert!(out.0 < 100_000, "it was written to");
    }
}

#[test]
fn a_huge_value_is_shown_in_every_form() {
    let data = vec![b'x'; 60_000];
    let capture = Capture::new().event(
        100,
        "read_x",
        &[Value::Errno(60_000), Value::Bytes(&data), Value::Fd(3), Value::Uint(60_000)],
    );
    for (data, length) in
        [(DataForm::Dots, 60_000), (DataForm::Base64, 80_000), (DataForm::HexAscii, 60_000 / 16 * 67)]
    {
        let out = shown(&capture, Form::Lines(LineStyle { data, ..LineStyle::default() }));
        assert!((length..length + 300).contains(&out.len()), "{data:?}: {}", out.len());
    }
}

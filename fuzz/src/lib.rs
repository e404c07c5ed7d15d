//! The fuzz targets. `make fuzz` calls each of these functions with generated input, and keeps input that reaches new
//! code in `corpus/<name>/`; `tests/corpora.rs` replays the corpora in every `cargo test`.
//!
//! A new target needs a function here, its row in [`TARGETS`], a file `fuzz_targets/<name>.rs` like the others, and its
//! `[[bin]]` in Cargo.toml. A target fails by panicking: it asserts what must hold for every input.

use std::io::{Cursor, sink};

use scap::{
    fields::{Fields, Key, Reference, Registry, Source, Type, Value},
    filter::Filter,
    format::{Keep, ReadError, Reader},
    formatter::{Columns, Formatter},
    text::DataForm,
};
use scapd::{
    cli,
    daemon::{
        config::ServiceSettings,
        control::{Request, parse},
        http::{self, Hosts},
    },
    print::{PrintError, Summary},
    read::{Form, ReadArgs, read_from},
    repair::Survey,
    verify::{VerifyOutcome, VerifyReport},
};

/// The name and the function of a target.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("config", config),
    ("control", control),
    ("filter", filter),
    ("formatter", formatter),
    ("http", http),
    ("reader", reader),
    ("repair", repair),
];

/// A configuration file. A valid one yields the flags of a recording, and parses again after `scapd daemon
/// --print-config` has printed it; an invalid one yields a message.
pub fn config(input: &[u8]) {
    match ServiceSettings::parse(&cli::keys(), "fuzz.toml", &String::from_utf8_lossy(input)) {
        Ok(settings) => comes_back(&settings),
        Err(mistakes) => assert!(!mistakes.to_string().is_empty()),
    }
}

/// A line on the control socket, and the change of the configuration that it requests.
pub fn control(input: &[u8]) {
    let request = match parse(input) {
        Ok(request) => request,
        Err(why) => return assert!(!why.to_string().is_empty()),
    };
    let line = serde_json::to_vec(&request).expect("a request is a line");
    assert_eq!(parse(&line).expect("a request that was written can be read"), request);
    let Request::Set { values } = &request else { return };
    match ServiceSettings::defaults()
        .with(&cli::keys(), values.iter().map(|(key, value)| (key.as_str(), value.as_str())))
    {
        Ok(settings) => comes_back(&settings),
        Err(mistakes) => assert!(!mistakes.to_string().is_empty()),
    }
}

/// A filter. A valid one parses again after it is printed, and gives the same result; an
/// invalid one yields a message with the place underlined.
pub fn filter(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let filter = match Filter::parse(&text, &Fields) {
        Ok(filter) => filter,
        Err(error) => {
            assert!(text.get(error.span()).is_some() && error.to_string().contains('^'), "{error:?}");
            return;
        }
    };
    let printed = filter.to_string();
    let again = Filter::parse(&printed, &Fields).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(again, filter, "{printed}");
    for event in [Event(false), Event(true)] {
        assert_eq!(again.matches(&event), filter.matches(&event), "{printed}");
    }
}

/// An output format and a list of columns. A valid one prints an event; an invalid one yields a message
/// with the place underlined.
pub fn formatter(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let format = Formatter::parse(&text, &Fields);
    let columns = Columns::parse(&text, &Fields);
    for error in [format.as_ref().err(), columns.as_ref().err()].into_iter().flatten() {
        assert!(text.get(error.span()).is_some() && error.to_string().contains('^'), "{error:?}");
    }
    let Ok(format) = format else { return };
    for event in [Event(false), Event(true)] {
        let mut line = String::new();
        let is_printed = format.format(&event, DataForm::HexAscii, &mut line);
        assert!(is_printed || line.is_empty(), "{line}");
    }
}

/// An event, with a value of each field or with none.
struct Event(bool);

impl Source for Event {
    fn values(&self, field: &Reference, each: &mut dyn FnMut(Value<'_>) -> bool) {
        if !self.0 {
            return;
        }
        let number = match &field.argument {
            Some(Key::Index(index)) => u64::from(*index),
            _ => 2,
        };
        each(match Fields.type_of(field) {
            Type::Text => Value::text("/etc/a"),
            Type::Bytes => Value::text(b"a\xff\n"),
            Type::Int => Value::Int(-2),
            Type::Uint | Type::Time | Type::Duration | Type::Port => Value::Uint(number),
            Type::Bool => Value::Bool(true),
            Type::Double => Value::Double(0.5),
            Type::Ip | Type::Net => Value::Ip([10, 0, 0, 1].into()),
        });
    }
}

/// A request for metrics. The result does not depend on what follows the request or on how it is split. Only requests
/// with a `Host:` header or HTTP/1.0 are accepted.
pub fn http(input: &[u8]) {
    let ours = Hosts::new(&[]);
    let whole = http::parse(input, &ours);
    if let Some(first) = (0..input.len()).find_map(|end| http::parse(&input[..end], &ours)) {
        assert_eq!(Some(&first), whole.as_ref());
    }
    let Some(Ok(path)) = whole else { return };
    let text = String::from_utf8_lossy(input).to_ascii_lowercase();
    assert!(text.contains("host:") || text.contains("http/1.0"), "{text}");
    assert!(text.contains(&path.to_ascii_lowercase()));
}

fn comes_back(settings: &ServiceSettings) {
    settings.wanted(&cli::keys()).expect("a configuration that was taken makes flags");
    let text = settings.to_toml(&cli::keys());
    let again = ServiceSettings::parse(&cli::keys(), "again.toml", &text)
        .unwrap_or_else(|why| panic!("{why}, in:\n{text}"));
    let difference = settings.difference(&cli::keys(), &again);
    assert!(difference.live.is_empty() && difference.restart.is_empty(), "{difference:?}, in:\n{text}");
}

/// `scapd read` as text, as JSON and as calls, `scapd info` and `scapd verify`.
pub fn reader(input: &[u8]) {
    let shown = |form| read_from(input, &ReadArgs { form, ..ReadArgs::default() }, &mut sink());
    let (lines, json) = (shown(Form::default()), shown(Form::Json));
    let calls = shown(Form::Calls { colours: false });
    assert_eq!(lines.is_ok(), json.is_ok(), "{lines:?}, {json:?}");
    assert_eq!(lines.is_ok(), calls.is_ok(), "{lines:?}, {calls:?}");
    if let Err(PrintError::Read { source: ReadError::TooLarge { .. }, .. }) = lines {
        // A limit of memory is no damage: the others keep less, and may come to the end.
        return;
    }
    if let Ok(reader) = Reader::new(input) {
        let mut reader = reader.keep(Keep::Threads);
        let (summary, error) = Summary::collect(&mut reader);
        assert_eq!(error.is_some(), lines.is_err(), "{lines:?}");
        assert!(summary.to_text(10).len() + summary.to_json().to_string().len() > 0);
        assert!(reader.offset() >= summary.size);
    }
    let report = VerifyReport::of(input);
    assert!(lines.is_ok() || report.outcome() >= VerifyOutcome::Damaged);
    assert!(report.to_json().is_object());
}

/// `scapd repair`: its output is intact, has as many events as before plus a notice, and needs no further repair.
pub fn repair(input: &[u8]) {
    let Ok(survey) = Survey::of(input) else { return };
    let mut repaired = Vec::new();
    let cut = survey.write(&mut Cursor::new(input), &mut repaired).expect("memory can be read and written");
    assert!(cut.offset == survey.end);
    let again = Survey::of(&repaired[..]).expect("what was repaired can be read");
    assert!(again.damage.is_none() && again.is_closed, "{again:?}");
    assert_eq!(again.events, survey.events + 1);
}

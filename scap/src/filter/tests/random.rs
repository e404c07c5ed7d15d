//! Random texts, random filters, and an evaluator so plain that it can be believed.

use std::net::IpAddr;

use proptest::{prelude::*, sample::select};

use crate::{
    events::EventType,
    fields::{Registry, Source, Value},
};

use super::{
    super::{
        Filter, Matcher,
        syntax::{Function, Op},
        tree::{Constant, Operand, Right, Test, Tree},
    },
    Event, Fields, reference, text,
};

/// Few, so that they meet.
const TEXTS: &[&str] =
    &["", "a", "A", "ab", "b/a", "/a", "/a/b", "//a", "Y2E=", "*", "a*", "[ab]", "a b", "é", "12"];
const INTEGERS: &[&str] = &["0", "1", "2", "3", "0x2"];
const SETS: &[&str] = &["=", "==", "!=", "in", "intersects"];
const ORDERS: &[&str] = &["=", "!=", "<", "<=", ">", ">=", "in", "intersects"];
const ON_TEXT: &[&str] = &[
    "=",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "contains",
    "icontains",
    "startswith",
    "endswith",
    "glob",
    "iglob",
    "pmatch",
    "in",
    "intersects",
];

fn value_in_quotes(texts: &'static [&'static str]) -> impl Strategy<Value = String> {
    (select(texts), any::<bool>()).prop_map(|(text, single)| {
        let escaped = text.replace('\\', "\\\\");
        if single { format!("'{escaped}'") } else { format!("\"{escaped}\"") }
    })
}

/// A test of an operand of one type.
fn test_of(
    operands: BoxedStrategy<String>,
    ops: &'static [&'static str],
    values: &'static [&'static str],
    rights: BoxedStrategy<String>,
) -> BoxedStrategy<String> {
    let list = prop::collection::vec(value_in_quotes(values), 0..9)
        .prop_map(|values| format!("({})", values.join(",")));
    (operands, select(ops), value_in_quotes(values), list, rights, 0..5)
        .prop_map(|(left, op, value, list, right, kind)| match (kind, op) {
            (0, "pmatch" | "bcontains") => format!("{left} exists"),
            (0, op) => format!("{left} {op} {right}"),
            (1, _) => format!("{left} exists"),
            (_, "in" | "intersects" | "pmatch") => format!("{left} {op}{list}"),
            (_, op) => format!("{left} {op} {value}"),
        })
        .boxed()
}

fn texts() -> BoxedStrategy<String> {
    select(
        &["proc.name", "fd.name", "evt.buffer", "proc.aname", "proc.aname[1]", "evt.arg.x", "evt.arg[0]"][..],
    )
    .prop_map(str::to_owned)
    .prop_recursive(3, 8, 3, |inner| {
        let argument =
            prop_oneof![3 => inner.clone(), 1 => value_in_quotes(TEXTS), 1 => Just("12".to_owned())].boxed();
        prop_oneof![
            (select(&["tolower", "toupper", "b64", "basename"][..]), argument.clone())
                .prop_map(|(name, argument)| format!("{name}({argument})")),
            prop::collection::vec(argument.clone(), 2..4)
                .prop_map(|all| format!("concat({})", all.join(","))),
            (argument.clone(), prop::collection::vec(argument, 0..3))
                .prop_map(|(separator, all)| format!("join({separator},({}))", all.join(","))),
        ]
    })
    .boxed()
}

fn lists() -> BoxedStrategy<String> {
    prop_oneof![
        Just("fdlist.names".to_owned()),
        select(&["tolower", "b64", "basename"][..]).prop_map(|name| format!("{name}(fdlist.names)")),
    ]
    .boxed()
}

fn right(of: BoxedStrategy<String>) -> BoxedStrategy<String> {
    of.prop_map(|operand| if operand.contains('(') { operand } else { format!("val({operand})") }).boxed()
}

fn one_test() -> BoxedStrategy<String> {
    let fields = |names: &'static [&'static str]| select(names).prop_map(str::to_owned).boxed();
    let numbers = || {
        prop_oneof![
            fields(&["evt.num", "evt.rawres", "fd.port", "evt.rawarg.size"]),
            prop_oneof![texts(), lists()].prop_map(|operand| format!("len({operand})")),
        ]
        .boxed()
    };
    prop_oneof![
        6 => test_of(texts(), ON_TEXT, TEXTS, right(texts())),
        2 => test_of(lists(), &["in", "intersects"], TEXTS, right(prop_oneof![lists(), texts()].boxed())),
        3 => test_of(numbers(), ORDERS, INTEGERS, right(numbers())),
        1 => test_of(fields(&["fdlist.nums"]), &["in", "intersects"], INTEGERS, right(fields(&["fdlist.nums"]))),
        1 => test_of(fields(&["thread.cpu"]), ORDERS, &["0", "0.5", "2"], right(fields(&["thread.cpu", "evt.num"]))),
        1 => test_of(fields(&["evt.failed"]), SETS, &["true", "false"], right(fields(&["evt.failed"]))),
        1 => test_of(fields(&["fd.sip"]), SETS, &["10.0.0.1", "10.1.0.1", "::1"], right(fields(&["fd.sip"]))),
        1 => test_of(
            fields(&["fd.net"]),
            &["=", "!=", "in", "intersects"],
            &["10.0.0.0/16", "::/0", "10.1.0.1"],
            Just("::/1".to_owned()).boxed()
        ),
        1 => (select(&["fd.name", "evt.buffer"][..]), select(&["a|b", "a.*", ".", "[[:alpha:]]?", "(/a)+/b", "^a$"][..]))
            .prop_map(|(field, regex)| format!("{field} regex '{regex}'")),
    ]
    .boxed()
}

/// Tests of one operand, which the plan may merge.
fn merged() -> BoxedStrategy<String> {
    let operands =
        select(&["proc.name", "proc.aname", "tolower(proc.name)", "fd.name"][..]).prop_map(str::to_owned);
    (operands, select(ON_TEXT), select(&[" and ", " or ", " and not ", " or not "][..]))
        .prop_flat_map(|(operand, op, joined)| {
            let value = select(TEXTS).prop_map(move |value| match op {
                "in" | "intersects" | "pmatch" => format!("{operand} {op} ('{value}')"),
                _ => format!("{operand} {op} '{value}'"),
            });
            prop::collection::vec(value, 2..4).prop_map(move |all| format!("({})", all.join(joined)))
        })
        .boxed()
}

fn filter() -> impl Strategy<Value = String> {
    prop_oneof![3 => one_test(), 2 => merged()].prop_recursive(5, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..5).prop_map(|all| format!("({})", all.join(" or "))),
            prop::collection::vec(inner.clone(), 2..5).prop_map(|all| format!("({})", all.join(" and "))),
            prop::collection::vec(inner.clone(), 2..5).prop_map(|all| all.join(" or ")),
            inner.prop_map(|inner| format!("not ({inner})")),
        ]
    })
}

fn event() -> impl Strategy<Value = Event> {
    let texts = |max: usize| prop::collection::vec(select(TEXTS).prop_map(text), 0..=max).boxed();
    let uints = |max: usize| prop::collection::vec((0..4_u64).prop_map(Value::Uint), 0..=max).boxed();
    let ips = |max: usize| {
        let ip = select(&["10.0.0.1", "10.1.0.1", "::1"][..])
            .prop_map(|ip| Value::Ip(ip.parse::<IpAddr>().unwrap()));
        prop::collection::vec(ip, 0..=max).boxed()
    };
    let all = [
        ("proc.name", texts(1)),
        ("fd.name", texts(1)),
        ("evt.buffer", texts(1)),
        ("evt.num", uints(1)),
        ("evt.rawres", prop::collection::vec((-1..4_i64).prop_map(Value::Int), 0..=1).boxed()),
        ("evt.failed", prop::collection::vec(any::<bool>().prop_map(Value::Bool), 0..=1).boxed()),
        (
            "thread.cpu",
            prop::collection::vec(select(&[0.0, 0.5, 1.0][..]).prop_map(Value::Double), 0..=1).boxed(),
        ),
        ("fd.port", uints(2)),
        ("fd.sip", ips(1)),
        ("fd.net", ips(2)),
        ("fdlist.names", texts(3)),
        ("fdlist.nums", prop::collection::vec((-1..4_i64).prop_map(Value::Int), 0..=3).boxed()),
        ("proc.aname", texts(3)),
        ("proc.aname[1]", texts(1)),
        ("evt.arg.x", texts(1)),
        ("evt.arg[0]", texts(1)),
        ("evt.rawarg.size", uints(1)),
    ];
    all.into_iter().map(|(name, values)| (Just(reference(name)), values)).collect::<Vec<_>>().prop_map(Event)
}

/// Evaluates a tree without a plan, with every value in a list.
fn plainly(tree: &Tree, event: &Event) -> bool {
    match tree {
        Tree::Or(all) => all.iter().any(|one| plainly(one, event)),
        Tree::And(all) => all.iter().all(|one| plainly(one, event)),
        Tree::Not(inner) => !plainly(inner, event),
        Tree::Test(test) => plain_test(test, event),
    }
}

fn plain_test(test: &Test, event: &Event) -> bool {
    let left = plain_values(&test.left, event);
    let right = match &test.right {
        Right::Nothing => return !left.is_empty(),
        Right::Values(values) => values.iter().map(|literal| literal.value.clone()).collect(),
        Right::Operand(operand) => plain_values(operand, event),
    };
    let matches = |left: &Constant| right.iter().any(|right| plain_pair(left, test.op, right));
    let every = (test.op == Op::In && test.left.is_list()) || (test.op == Op::Ne && !test.left.is_ancestry());
    !left.is_empty() && if every { left.iter().all(matches) } else { left.iter().any(matches) }
}

fn plain_values(operand: &Operand, event: &Event) -> Vec<Constant> {
    let bytes = |constant: Constant| match constant {
        Constant::Text(text) => text.to_vec(),
        other => panic!("{other:?}"),
    };
    let texts = |operand: &Operand| plain_values(operand, event).into_iter().map(bytes).collect::<Vec<_>>();
    let one = |text: Vec<u8>| vec![Constant::Text(text.into())];
    match operand {
        Operand::Field(field) => {
            let mut all = Vec::new();
            event.values(&field.reference, &mut |value| {
                all.push(match value {
                    Value::Text(text) => Constant::Text(text.into_owned().into()),
                    Value::Int(number) => Constant::Integer(number.into()),
                    Value::Uint(number) => Constant::Integer(number.into()),
                    Value::Bool(value) => Constant::Bool(value),
                    Value::Double(number) => Constant::Double(number),
                    Value::Ip(ip) => Constant::Ip(ip),
                });
                true
            });
            all
        }
        Operand::Text(text) => one(text.to_vec()),
        Operand::List(all) => {
            all.iter().filter_map(|operand| plain_values(operand, event).into_iter().next()).collect()
        }
        Operand::Call(Function::Len, arguments) => {
            let values = plain_values(&arguments[0], event);
            if arguments[0].is_list() {
                return Vec::from_iter((!values.is_empty()).then(|| Constant::Integer(values.len() as i128)));
            }
            values.into_iter().map(|value| Constant::Integer(bytes(value).len() as i128)).collect()
        }
        Operand::Call(Function::Join, arguments) => {
            let (separators, all) = (texts(&arguments[0]), texts(&arguments[1]));
            if separators.is_empty() || all.is_empty() {
                Vec::new()
            } else {
                one(all.join(&separators[0][..]))
            }
        }
        Operand::Call(Function::Concat, arguments) => {
            let all: Vec<_> = arguments.iter().map(texts).collect();
            if all.iter().any(Vec::is_empty) {
                return Vec::new();
            }
            one(all.into_iter().flat_map(|mut values| values.swap_remove(0)).collect())
        }
        Operand::Call(function, arguments) => texts(&arguments[0])
            .into_iter()
            .filter_map(|text| match function {
                Function::Tolower => Some(text.to_ascii_lowercase()),
                Function::Toupper => Some(text.to_ascii_uppercase()),
                Function::Basename => text.rsplit(|byte| *byte == b'/').next().map(<[u8]>::to_vec),
                _ => base64(&text),
            })
            .map(|text| Constant::Text(text.into()))
            .collect(),
    }
}

fn base64(text: &[u8]) -> Option<Vec<u8>> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    let digits = &text[..text.len() - padding];
    if digits.len() % 4 == 1 || padding > 0 && !text.len().is_multiple_of(4) || padding > 2 {
        return None;
    }
    let mut bits = Vec::new();
    for digit in digits {
        let number = DIGITS.iter().position(|known| known == digit)?;
        bits.extend((0..6).rev().map(|bit| number >> bit & 1 == 1));
    }
    Some(bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |all, bit| all << 1 | u8::from(*bit))).collect())
}

fn plain_pair(left: &Constant, op: Op, right: &Constant) -> bool {
    let as_double = |constant: &Constant| match constant {
        Constant::Integer(number) => *number as f64,
        Constant::Double(number) => *number,
        other => panic!("{other:?}"),
    };
    let ordering = match (left, right) {
        (Constant::Text(left), Constant::Text(right)) => match op {
            Op::Contains => {
                return left.len() >= right.len()
                    && (0..=left.len() - right.len()).any(|at| left[at..].starts_with(right));
            }
            Op::Icontains => {
                let (left, right) = (left.to_ascii_lowercase(), right.to_ascii_lowercase());
                return (0..=left.len()).any(|at| left[at..].starts_with(&right));
            }
            Op::Startswith => return left.starts_with(right),
            Op::Endswith => return left.ends_with(right),
            Op::Glob => return plain_glob(right, left),
            Op::Iglob => return plain_glob(&right.to_ascii_lowercase(), &left.to_ascii_lowercase()),
            Op::Pmatch => return plain_path(right, left),
            _ => Some(left.cmp(right)),
        },
        (Constant::Text(left), Constant::Regex(regex)) => {
            let pattern = regex.0.as_str();
            let whole = regex::bytes::Regex::new(pattern).unwrap().find(left).map(|found| found.range());
            return whole == Some(0..left.len());
        }
        (Constant::Ip(ip), Constant::Net(net)) => return net.contains(ip) == (op != Op::Ne),
        (Constant::Bool(left), Constant::Bool(right)) => Some(left.cmp(right)),
        (Constant::Ip(left), Constant::Ip(right)) => Some(left.cmp(right)),
        (left, right) => as_double(left).partial_cmp(&as_double(right)),
    };
    let ordering = ordering.unwrap();
    match op {
        Op::Ne => ordering.is_ne(),
        Op::Lt => ordering.is_lt(),
        Op::Le => ordering.is_le(),
        Op::Gt => ordering.is_gt(),
        Op::Ge => ordering.is_ge(),
        _ => ordering.is_eq(),
    }
}

/// With the patterns of [`TEXTS`] only.
fn plain_glob(pattern: &[u8], text: &[u8]) -> bool {
    match pattern {
        [] => text.is_empty(),
        [b'*', rest @ ..] => (0..=text.len()).any(|at| plain_glob(rest, &text[at..])),
        [b'[', b'a', b'b', b']', rest @ ..] => {
            text.first().is_some_and(|byte| b"ab".contains(byte)) && plain_glob(rest, &text[1..])
        }
        [first, rest @ ..] => text.first() == Some(first) && plain_glob(rest, &text[1..]),
    }
}

fn plain_path(above: &[u8], path: &[u8]) -> bool {
    let components = |path: &[u8]| -> Vec<Vec<u8>> {
        path.split(|byte| *byte == b'/')
            .filter(|component| !component.is_empty())
            .map(<[u8]>::to_vec)
            .collect()
    };
    let (above, path) = (components(above), components(path));
    above.len() <= path.len()
        && above.iter().zip(&path).all(|(above, component)| plain_glob(above, component))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_text_panics(text in any::<String>()) {
        if let Err(error) = Filter::parse(&text, &Fields::new()) {
            prop_assert!(error.to_string().contains('^'));
        }
    }

    #[test]
    fn no_text_like_a_filter_panics(
        parts in prop::collection::vec(
            prop_oneof![
                3 => select(&[
                    "proc.name", "evt.num", "evt.arg", "fdlist.names", "fd.net", " and ", " or ", "not ", "(", ")", ",", "=",
                    "!=", "<", " in ", " contains ", " exists", " regex ", "tolower(", "val(", "join(", "[", "]", "0", "x", "'",
                    "\"", "\\", " ", ".", "é", "10.0.0.0/8", "\n",
                ][..]).prop_map(str::to_owned),
                1 => one_test(),
            ],
            0..12
        )
    ) {
        let text = parts.concat();
        match Filter::parse(&text, &Fields::new()) {
            Ok(filter) => prop_assert_eq!(Filter::parse(&filter.to_string(), &Fields::new()), Ok(filter)),
            Err(error) => {
                let span = error.span();
                prop_assert!(text.get(span).is_some() && error.to_string().contains('^'));
            }
        }
    }

    /// The fields of the type of an event are those of the first one of that type; generic events may have any.
    #[test]
    fn what_is_remembered_of_a_type_is_true(
        text in filter(),
        types in prop::collection::vec(event(), 3),
        events in prop::collection::vec((0..4_usize, event()), 1..20),
    ) {
        let fields = Fields::new();
        let filter = Filter::parse(&text, &fields).unwrap_or_else(|why| panic!("{why}"));
        let mut matcher = Matcher::new(&filter, &fields);
        for (ty, mut event) in events {
            for (index, (field, values)) in event.0.iter_mut().enumerate() {
                if let (true, Some(of_type)) = (fields.is_of_type(field.field), types.get(ty)) {
                    values.clone_from(&of_type.0[index].1);
                }
            }
            let ty = EventType(if ty < types.len() { 2 + ty as u16 } else { 1 });
            prop_assert_eq!(matcher.matches(ty, &event), filter.matches(&event), "{} {:?}", filter, event);
        }
    }

    #[test]
    fn a_filter_is_what_it_says(text in filter(), events in prop::collection::vec(event(), 1..5)) {
        let filter = Filter::parse(&text, &Fields::new()).unwrap_or_else(|why| panic!("{why}"));
        let again = Filter::parse(&filter.to_string(), &Fields::new()).unwrap_or_else(|why| panic!("{why}"));
        prop_assert_eq!(&again, &filter, "printed and parsed again");
        for event in events {
            prop_assert_eq!(filter.matches(&event), plainly(&filter.tree, &event), "{} {:?}", filter, event);
        }
    }
}

//! Fields and events for tests, and tests of whole filters.

mod errors;
mod fields;
mod operators;
mod random;
mod syntax;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::fields::{Argument, Field, Key, Reference, Registry, Source, Type, Value};

use super::Filter;

/// Fields of every type and kind.
pub(super) struct Fields(Vec<Field>);

impl Fields {
    pub(super) fn new() -> Self {
        let field = |name, ty, is_list, argument| Field { name, ty, is_list, argument, about: "" };
        let plain = |name, ty| field(name, ty, false, Argument::None);
        Self(vec![
            plain("proc.name", Type::Text),
            plain("fd.name", Type::Text),
            plain("evt.buffer", Type::Bytes),
            plain("evt.num", Type::Uint),
            plain("evt.rawres", Type::Int),
            plain("evt.failed", Type::Bool),
            plain("thread.cpu", Type::Double),
            plain("evt.rawtime", Type::Time),
            plain("evt.latency", Type::Duration),
            plain("fd.port", Type::Port),
            plain("fd.sip", Type::Ip),
            plain("fd.net", Type::Net),
            field("fdlist.names", Type::Text, true, Argument::None),
            field("fdlist.nums", Type::Int, true, Argument::None),
            field("proc.aname", Type::Text, false, Argument::OptionalIndex),
            field("evt.arg", Type::Text, false, Argument::Key),
            field("evt.rawarg", Type::Text, false, Argument::Key),
            field("proc.env", Type::Text, false, Argument::OptionalName),
        ])
    }

    pub(super) fn index(&self, name: &str) -> usize {
        self.0.iter().position(|field| field.name == name).unwrap()
    }
}

impl Registry for Fields {
    fn fields(&self) -> &[Field] {
        &self.0
    }

    fn type_of(&self, field: &Reference) -> Type {
        match &field.argument {
            Some(Key::Name(name)) if field.field == self.index("evt.rawarg") && **name == *"size" => {
                Type::Uint
            }
            _ => self.0[field.field].ty,
        }
    }

    fn argument_names(&self, field: usize) -> Option<Vec<&str>> {
        (field == self.index("evt.rawarg")).then(|| vec!["size", "name", "flags"])
    }

    fn is_of_type(&self, field: usize) -> bool {
        field == self.index("proc.name") || field == self.index("evt.failed")
    }

    fn cost(&self, field: usize) -> u32 {
        if field == self.index("fd.name") { 5 } else { 1 }
    }

    fn why_not(&self, name: &str) -> Option<&str> {
        (name == "evt.pluginname").then_some("there are no plugins")
    }
}

/// The values of some fields.
#[derive(Debug, Clone, Default)]
pub(super) struct Event(pub(super) Vec<(Reference, Vec<Value<'static>>)>);

impl Source for Event {
    fn values(&self, field: &Reference, each: &mut dyn FnMut(Value<'_>) -> bool) {
        let values = self.0.iter().find(|(reference, _)| reference == field).map(|(_, values)| values);
        for value in values.into_iter().flatten() {
            if !each(value.clone()) {
                return;
            }
        }
    }
}

impl Event {
    /// Adds a field, as filters name it, with its values.
    pub(super) fn with(mut self, field: &str, values: impl IntoIterator<Item = Value<'static>>) -> Self {
        self.0.push((reference(field), values.into_iter().collect()));
        self
    }
}

pub(super) fn reference(field: &str) -> Reference {
    Filter::parse(&format!("{field} exists"), &Fields::new()).unwrap().fields()[0].clone()
}

pub(super) fn text(text: &'static str) -> Value<'static> {
    Value::text(text)
}

/// A read of /etc/passwd by cat, with some more than such an event has.
pub(super) fn example() -> Event {
    Event::default()
        .with("proc.name", [text("cat")])
        .with("fd.name", [text("/etc/passwd")])
        .with("evt.buffer", [Value::text(b"GET /\xff\n")])
        .with("evt.num", [Value::Uint(1100)])
        .with("evt.rawres", [Value::Int(-2)])
        .with("evt.failed", [Value::Bool(true)])
        .with("thread.cpu", [Value::Double(0.5)])
        .with("evt.rawtime", [Value::Uint(1_700_000_000_000_000_000)])
        .with("evt.latency", [Value::Uint(10_000_000)])
        .with("fd.port", [Value::Uint(45_000), Value::Uint(443)])
        .with("fd.sip", [Value::Ip(IpAddr::V4(Ipv4Addr::new(10, 1, 2, 3)))])
        .with(
            "fd.net",
            [Value::Ip(IpAddr::V4(Ipv4Addr::new(10, 1, 2, 3))), Value::Ip(IpAddr::V6(Ipv6Addr::LOCALHOST))],
        )
        .with("fdlist.names", [text("/a/One"), text("/a/two"), text("Y2F0")])
        .with("fdlist.nums", [Value::Int(3), Value::Int(-1)])
        .with("proc.aname", [text("bash"), text("sshd"), text("systemd")])
        .with("proc.aname[1]", [text("bash")])
        .with("evt.arg.flags", [text("O_RDONLY|O_CLOEXEC")])
        .with("evt.arg[0]", [text("-2")])
        .with("evt.rawarg.size", [Value::Uint(4096)])
        .with("proc.env[HOME]", [text("/root")])
        .with("evt.arg.empty", [text("")])
}

/// Returns whether a filter matches the example.
pub(super) fn matches(filter: &str) -> bool {
    Filter::parse(filter, &Fields::new()).unwrap_or_else(|why| panic!("{why}")).matches(&example())
}

#[test]
fn a_filter_names_the_fields_it_needs() {
    let fields = Fields::new();
    let needed = |text: &str| {
        let filter = Filter::parse(text, &fields).unwrap();
        filter.fields().iter().map(|field| fields.0[field.field].name).collect::<Vec<_>>()
    };
    assert_eq!(needed("fd.name = x and proc.name = y and fd.name contains z"), ["proc.name", "fd.name"]);
    assert_eq!(
        needed("evt.num = val(evt.rawres) or len(concat(proc.name, 'x')) > 3"),
        ["evt.num", "evt.rawres", "proc.name"]
    );
    assert_eq!(needed("fd.name in () and proc.name = y"), [""; 0], "can never be true");
    assert_eq!(needed("toupper('a') = A and proc.name = y"), ["proc.name"]);
}

#[test]
fn the_plan_merges_tests_and_puts_cheap_ones_first() {
    let plan = |text: &str| format!("{:?}", Filter::parse(text, &Fields::new()).unwrap().plan);
    let count = |plan: &str| plan.matches("Values {").count();
    for (text, tests) in [
        ("proc.name = a or proc.name = b or proc.name in (c, d)", 1),
        ("proc.name contains a or evt.num = 1 or (proc.name contains b or evt.num = 2)", 2),
        ("proc.name != a and proc.name != b", 1),
        ("not proc.name = a and not proc.name = b and not fd.name = c", 2),
        ("proc.name != a or proc.name != b", 2),
        ("proc.name = a and proc.name = b", 2),
        ("fdlist.names in (a) or fdlist.names in (b)", 2),
        ("fdlist.names intersects (a) or fdlist.names intersects (b)", 1),
        ("proc.aname != a and proc.aname != b", 2),
        ("proc.name = a or tolower(proc.name) = b", 2),
    ] {
        assert_eq!(count(&plan(text)), tests, "{text}: {}", plan(text));
    }
    let ordered = plan("fd.name regex 'a.*b' and fd.name = c and evt.num < 5 and proc.name = d");
    let place = |what: &str| ordered.find(what).unwrap_or_else(|| panic!("{what} in {ordered}"));
    assert!(place("Integers") < place("[[100]]"), "{ordered}");
    assert!(place("[[100]]") < place("[[99]]") && place("[[99]]") < place("Regex"), "{ordered}");
    assert_eq!(plan("not proc.name in () or fd.name = x"), "Constant(true)");
}

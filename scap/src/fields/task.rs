//! What the fields of processes and threads have in common: whose values they are, and how texts are made.

use std::borrow::Cow;

use super::{Key, Type, Value, row::Row};
use crate::{
    model::{ProcessInfo, ThreadInfo},
    replay::Moment,
};

/// The cost of a text that is put together.
pub(super) const JOINED: u32 = 4;
/// The cost of a look at every ancestor.
pub(super) const ANCESTORS: u32 = 16;

/// Returns the thread of the event.
pub(super) fn thread<'a>(m: &'a Moment<'a>) -> Option<&'a ThreadInfo> {
    m.machine.thread_info(m.event().tid())
}

/// Returns the process of the event.
pub(super) fn process<'a>(m: &'a Moment<'a>) -> Option<&'a ProcessInfo> {
    m.machine.process_info(m.event().tid())
}

/// Returns the process of the event, if all of it is known.
pub(super) fn complete<'a>(m: &'a Moment<'a>) -> Option<&'a ProcessInfo> {
    process(m).filter(|process| process.is_complete)
}

/// Returns the process of the event, if the program that it runs is described.
pub(super) fn described<'a>(m: &'a Moment<'a>) -> Option<&'a ProcessInfo> {
    process(m).filter(|process| process.is_described())
}

/// Returns the id of the event's process; `None` if the thread is unknown.
pub(super) fn pid(m: &Moment<'_>) -> Option<u64> {
    m.machine.process_of(m.event().tid())
}

/// Returns the parent process, if it is known to run.
pub(super) fn parent<'a>(m: &'a Moment<'a>) -> Option<(u64, &'a ProcessInfo)> {
    ancestor(m, 1)
}

/// Returns the process so many generations above the event's: 0 is that itself.
pub(super) fn ancestor<'a>(m: &'a Moment<'a>, generation: u32) -> Option<(u64, &'a ProcessInfo)> {
    let pid = pid(m)?;
    match (generation as usize).checked_sub(1) {
        None => Some((pid, process(m)?)),
        Some(above) => m.machine.ancestors(pid).nth(above),
    }
}

/// Returns a number that is an id: those that are not known have no value.
pub(super) fn id<'a>(id: u64) -> Option<Value<'a>> {
    i64::try_from(id).ok().map(Value::Int)
}

/// Returns a number that is an id, as the kernel has it: below 0 if unknown.
pub(super) fn signed_id<'a>(id: i64) -> Option<Value<'a>> {
    (id >= 0).then_some(Value::Int(id))
}

/// Returns a number, unless it is 0, which stands for an unknown one.
pub(super) fn known<'a>(number: u64) -> Option<Value<'a>> {
    (number != 0).then_some(Value::Uint(number))
}

/// Splits texts, each with its terminating NUL.
pub(super) fn texts(texts: &[u8]) -> impl Iterator<Item = &[u8]> {
    let texts = texts.strip_suffix(b"\0").unwrap_or(texts);
    // No text, and one empty one, look alike: there is none.
    texts.split(|byte| *byte == 0).skip(usize::from(texts.is_empty()))
}

/// Puts texts, each with its terminating NUL, into one, with spaces between them.
pub(super) fn joined(texts: &[u8]) -> Cow<'_, [u8]> {
    let texts = texts.strip_suffix(b"\0").unwrap_or(texts);
    match memchr::memchr(0, texts) {
        None => Cow::Borrowed(texts),
        Some(_) => Cow::Owned(texts.iter().map(|byte| if *byte == 0 { b' ' } else { *byte }).collect()),
    }
}

/// Returns a command line: a program's name and its arguments.
pub(super) fn command_line<'a>(name: &'a [u8], args: &'a [u8]) -> Value<'a> {
    match joined(args) {
        args if args.is_empty() => Value::text(name),
        args => Value::Text(Cow::Owned([name, b" ", &args].concat())),
    }
}

/// Returns the value of a variable of the environment; empty if it is not set, as sysdig has it.
pub(super) fn variable<'a>(env: &'a [u8], name: &str) -> &'a [u8] {
    named(env, name).unwrap_or_default()
}

/// Returns the value of an entry `name=value`.
pub(super) fn named<'a>(entries: &'a [u8], name: &str) -> Option<&'a [u8]> {
    texts(entries).find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

/// Returns the value of a field for each ancestor, or for the one that the argument says.
macro_rules! of_ancestors {
    ($name:literal, $ty:expr, $about:literal, $get:expr) => {
        Row::many($name, $ty, Argument::OptionalIndex, $about, |m, key, each| {
            $crate::fields::task::each_ancestor(m, key, each, $get);
        })
        .cost(ANCESTORS)
    };
}
pub(super) use of_ancestors;

/// Calls `each` with the value of each ancestor, the parent first, or of the one whose generation the argument is.
pub(super) fn each_ancestor(
    m: &Moment<'_>,
    key: Option<&Key>,
    each: &mut dyn FnMut(Value<'_>) -> bool,
    get: impl for<'a> Fn(&'a Moment<'_>, u64, &'a ProcessInfo) -> Option<Value<'a>>,
) {
    if let Some(Key::Index(generation)) = key {
        if let Some(value) = ancestor(m, *generation).and_then(|(pid, info)| get(m, pid, info)) {
            each(value);
        }
        return;
    }
    let Some(pid) = pid(m) else { return };
    let mut values = m.machine.ancestors(pid).filter_map(|(pid, info)| get(m, pid, info));
    while values.next().is_some_and(&mut *each) {}
}

/// A field with the cost of a text that is put together.
pub(super) const fn joined_text(
    name: &'static str,
    about: &'static str,
    get: for<'a> fn(&'a Moment<'a>) -> Option<Value<'a>>,
) -> Row {
    Row::one(name, Type::Text, about, get).cost(JOINED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_split_and_joined() {
        let split = |text: &[u8]| texts(text).map(<[u8]>::to_vec).collect::<Vec<_>>();
        assert_eq!(split(b"a\0\0b c\0"), [&b"a"[..], b"", b"b c"]);
        assert_eq!((split(b""), split(b"a")), (vec![], vec![b"a".to_vec()]));
        assert_eq!(&*joined(b"a\0\0b c\0"), b"a  b c");
        assert!(matches!(joined(b"abc\0"), Cow::Borrowed(b"abc")));
        assert_eq!(command_line(b"ls", b""), Value::text("ls"));
        assert_eq!(command_line(b"ls", b"-l\0/\0"), Value::text("ls -l /"));
        assert_eq!(variable(b"AB=1\0A=2\0A=3\0", "A"), b"2");
        assert_eq!((variable(b"AB=1\0", "A"), named(b"AB=1\0", "A")), (&b""[..], None));
    }
}

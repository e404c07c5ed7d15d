//! The `CALL` rows of include/extensions.def, as the generic programs read them (include/call_rows.h). A row that they cannot
//! record does not compile.

use scapd_bpf::types::{self, sc_form as Form, sc_length as Length, sc_value_flags as Flags};

use super::settings::array_len;
use scap::events::{Abi, Layout, LayoutTable, ParamType, Syscall, layout, same};

mod moved;

/// The row of a call.
struct Row {
    name: &'static str,
    /// The size of its result.
    result_size: u8,
    result_signed: bool,
    waits: bool,
    values: &'static [Value],
}

/// A parameter of a row.
#[derive(Clone, Copy)]
struct Value {
    form: Form,
    flags: u16,
    size: u8,
    length: Length,
    /// The fixed length.
    number: u32,
    /// Where the address or the value is.
    argument: u8,
    /// Where the length is.
    length_argument: u8,
    /// The condition.
    when: Option<When>,
    /// Maximum number of bytes.
    limit: u16,
    layouts: LayoutTable,
    /// Whether a 32-bit caller passes it in two arguments, which moves all later ones.
    moves: bool,
}

/// The condition of a parameter: an argument, how many of its bits are skipped, and the bits of its values.
#[derive(Clone, Copy)]
struct When {
    argument: u8,
    shift: u8,
    set: u32,
}

/// Limits in bytes: of a string, a structure, several structures whatever the snaplen, a set of bits.
const PATH: u16 = 4095;
const STRUCTS: u16 = 1024;
const STRUCT: u16 = 4096;
const BITS: u16 = 1024;

const fn is_one_of(name: &str, names: &[&str]) -> bool {
    let mut i = 0;
    while i < names.len() {
        if same(name, names[i]) {
            return true;
        }
        i += 1;
    }
    false
}

/// Returns what follows a prefix as a number of one digit.
const fn argument_of(text: &str, prefix: &str) -> Option<u8> {
    let (text, prefix) = (text.as_bytes(), prefix.as_bytes());
    if text.len() != prefix.len() + 1 || !text[prefix.len()].is_ascii_digit() {
        return None;
    }
    let mut i = 0;
    while i < prefix.len() {
        if text[i] != prefix[i] {
            return None;
        }
        i += 1;
    }
    Some(text[prefix.len()] - b'0')
}

/// Returns where a length comes from, and the argument for it.
const fn length(text: &str) -> (Length, u8) {
    let kinds = [
        ("ARG_", Length::SC_LENGTH_ARGUMENT),
        ("AT_", Length::SC_LENGTH_AT),
        ("RES_", Length::SC_LENGTH_AT_MOST),
        ("BITS_", Length::SC_LENGTH_BITS),
        ("NODES_", Length::SC_LENGTH_NODES),
        ("AT8_", Length::SC_LENGTH_BEHIND),
        ("PAGES_", Length::SC_LENGTH_PAGES),
    ];
    let mut i = 0;
    while i < kinds.len() {
        if let Some(argument) = argument_of(text, kinds[i].0) {
            return (kinds[i].1, argument);
        }
        i += 1;
    }
    if same(text, "RES") { (Length::SC_LENGTH_RESULT, 0) } else { (Length::SC_LENGTH_FIXED, 0) }
}

/// Returns the number that a text of digits is; 0 for another text.
const fn number(text: &str) -> u32 {
    let (mut number, mut i) = (0, 0);
    while i < text.len() {
        let byte = text.as_bytes()[i];
        if !byte.is_ascii_digit() {
            return 0;
        }
        number = number * 10 + (byte - b'0') as u32;
        i += 1;
    }
    number
}

impl Value {
    const fn new(ty: &str, size: Option<usize>, list: &str, source: &str, argument: u8, len: &str) -> Value {
        let (length, length_argument) = length(len);
        assert!(argument < 6 && length_argument < 6, "a call has no such argument");
        let value = Value {
            form: Form::SC_FORM_VALUE,
            flags: 0,
            size: 0,
            length,
            number: number(len),
            argument,
            length_argument,
            when: None,
            limit: 0,
            layouts: &[],
            moves: false,
        };
        if is_one_of(source, &["VALUE", "WIDE", "PAIR"]) {
            let Some(size) = size else { panic!("an argument is no value of variable size") };
            return value.in_register(ty, size as u8, source);
        }
        const SOURCES: &[&str] = &["IN", "OUT", "INOUT", "FOUND", "IN_VIA", "OUT_VIA", "IN_EACH"];
        assert!(is_one_of(source, SOURCES), "no such source");
        let out = if is_one_of(source, &["OUT", "OUT_VIA", "FOUND"]) { Flags::SC_VALUE_OUT.0 } else { 0 };
        let found = if same(source, "FOUND") { Flags::SC_VALUE_FOUND.0 } else { 0 };
        let via = if is_one_of(source, &["IN_VIA", "OUT_VIA"]) { Flags::SC_VALUE_VIA.0 } else { 0 };
        let each = if same(source, "IN_EACH") { Flags::SC_VALUE_EACH.0 } else { 0 };
        assert!(each == 0 || same(ty, "STRUCTS"), "only structures have a pointer each");
        let value = Value { flags: out | found | via | each, ..value };
        match size {
            Some(size) => Value {
                form: Form::SC_FORM_BYTES,
                length: Length::SC_LENGTH_FIXED,
                number: size as u32,
                limit: size as u16,
                ..value
            },
            None => value.in_memory(ty, list, same(len, "0")),
        }
    }

    const fn in_register(self, ty: &str, size: u8, source: &str) -> Value {
        let signed = Flags::SC_VALUE_SIGNED.0;
        let sign = if is_one_of(ty, &["FD", "PID"]) {
            Flags::SC_VALUE_SIGN_32.0 | signed
        } else if is_one_of(ty, &["INT64", "ERRNO"]) {
            Flags::SC_VALUE_SIGN_COMPAT.0 | signed
        } else if is_one_of(ty, &["INT8", "INT16", "INT32"]) {
            signed
        } else {
            0
        };
        if same(source, "VALUE") {
            return Value { size, flags: sign, ..self };
        }
        assert!(size == 8, "only a value of 64 bits is in two arguments");
        Value { form: Form::SC_FORM_WIDE, size, flags: sign, moves: same(source, "WIDE"), ..self }
    }

    /// Describes what has a variable size; `whole` says that the type alone gives the length.
    const fn in_memory(self, ty: &str, list: &str, whole: bool) -> Value {
        let snaplen = self.flags | Flags::SC_VALUE_SNAPLEN.0;
        let bytes = Value { form: Form::SC_FORM_BYTES, ..self };
        if is_one_of(ty, &["CHARBUF", "FSPATH", "FSRELPATH"]) {
            let form = if whole { Form::SC_FORM_STRING } else { Form::SC_FORM_TEXT };
            return Value { form, limit: PATH, ..self };
        }
        if same(ty, "STRUCT") {
            let number = if whole { u32::MAX } else { self.number };
            return Value {
                form: Form::SC_FORM_STRUCT,
                limit: STRUCT,
                layouts: layout(list),
                number,
                ..self
            };
        }
        assert!(!whole, "a parameter of variable size has no length");
        if same(ty, "STRUCTS") {
            let flags = snaplen | Flags::SC_VALUE_UNITS.0;
            return Value {
                form: Form::SC_FORM_STRUCT,
                limit: STRUCTS,
                layouts: layout(list),
                flags,
                ..self
            };
        }
        if same(ty, "BITSET") {
            return Value { limit: BITS, ..bytes };
        }
        if same(ty, "IOVEC") {
            assert!(matches!(self.length, Length::SC_LENGTH_ARGUMENT), "an argument counts iovecs");
            return Value { form: Form::SC_FORM_IOVEC, flags: snaplen, ..self };
        }
        assert!(is_one_of(ty, &["BYTEBUF", "DIRENTS", "CHARBUFARRAY"]), "no program can read this type");
        if same(list, "NA") {
            return Value { flags: snaplen, ..bytes };
        }
        Value { flags: snaplen | Flags::SC_VALUE_BEHIND.0, layouts: layout(list), ..bytes }
    }

    /// Adds a condition.
    #[allow(dead_code, reason = "few rows have one")]
    const fn when(self, argument: u8, set: u32, shift: u8) -> Value {
        Value { when: Some(When { argument, shift, set }), ..self }
    }

    /// Returns the form that the programs read, if the arguments of a 32-bit caller are `moved` by so many.
    fn to_program(self, moved: u8) -> types::sc_value {
        let both = |argument: u8| [argument, argument + moved];
        let When { argument: when, shift: when_shift, set } =
            self.when.unwrap_or(When { argument: 0, shift: 0, set: 0 });
        // The bytes of a page are known at run time.
        let pages = matches!(self.length, Length::SC_LENGTH_PAGES);
        let number = if pages { rustix::param::page_size() as u32 } else { self.number };
        let size = |number: usize| {
            let abi = Abi::of(number as u8);
            abi.and_then(|abi| Layout::of(self.layouts, abi)).map_or(0, |layout| layout.size as u16)
        };
        types::sc_value {
            form: self.form,
            flags: Flags(self.flags | if self.when.is_some() { Flags::SC_VALUE_CONDITIONAL.0 } else { 0 }),
            size: self.size,
            length: self.length,
            argument: both(self.argument),
            length_argument: both(self.length_argument),
            when_argument: both(when),
            when_shift,
            limit: self.limit,
            when: set,
            number,
            layout_size: std::array::from_fn(size),
        }
    }
}

const fn fixed(size: Option<usize>) -> u8 {
    match size {
        Some(size) => size as u8,
        None => panic!("a result has a fixed size"),
    }
}

macro_rules! value {
    ($ty:ident, $format:ident, $list:ident, $source:ident, $argument:literal, $length:tt
        $(, $when:literal, $set:literal $(, $shift:literal)?)?) => {
        Value::new(
            stringify!($ty),
            ParamType::$ty.size(),
            stringify!($list),
            stringify!($source),
            $argument,
            stringify!($length),
        )$(.when($when, $set, 0 $(+ $shift)?))?
    };
}

macro_rules! row {
    (CALL($name:ident, $category:ident, $($flag:ident)|+, R($result:ident, $($format:tt)*),
        $(A($param:ident, $($value:tt)*))*)) => {
        Some(Row {
            name: stringify!($name),
            result_size: fixed(ParamType::$result.size()),
            result_signed: ParamType::$result.is_signed(),
            waits: is_one_of("WAITS", &[$(stringify!($flag)),+]),
            values: &[$(value!($($value)*)),*],
        })
    };
    ($kind:ident($($row:tt)*)) => {
        None
    };
}

macro_rules! rows {
    ($($kind:ident($($row:tt)*))*) => {
        const ROWS: &[Option<Row>] = &[$(row!($kind($($row)*))),*];
    };
}
scap::with_extensions!(rows);

/// The maximum number of values: of all rows, and of one.
const MAX_VALUES: usize = array_len(|calls: &types::sc_calls| &calls.values);
const ROW_VALUES: usize = array_len(|row: &types::sc_call_row| &row.values);

const _: () = {
    let (mut values, mut i) = (0, 0);
    while i < ROWS.len() {
        if let Some(row) = &ROWS[i] {
            values += row.values.len();
            assert!(row.values.len() <= ROW_VALUES, "raise SC_ROW_VALUES");
        }
        i += 1;
    }
    assert!(values + moved::VALUES <= MAX_VALUES, "raise SC_VALUES");
};

/// Fills the tables of calls.
pub(super) fn fill(calls: &mut types::sc_calls) {
    let mut used = 0;
    for row in ROWS.iter().flatten() {
        let Some(code) = Syscall::by_name(row.name).map(|call| call.code) else { continue };
        let mut moved = 0;
        let values = row.values.iter().map(|value| {
            let described = value.to_program(moved);
            moved += u8::from(value.moves);
            described
        });
        used = put(calls, code.into(), row, values, used);
    }
    moved::fill(calls, used);
}

/// Writes a row with its values at a place, where `used` values are there already; returns how many there are then.
fn put(
    calls: &mut types::sc_calls,
    place: usize,
    row: &Row,
    values: impl Iterator<Item = types::sc_value>,
    used: usize,
) -> usize {
    let written = &mut calls.rows[place];
    written.count = row.values.len() as u8;
    written.result_size = row.result_size;
    written.result_signed = row.result_signed.into();
    written.waits = row.waits.into();
    for ((index, value), number) in written.values.iter_mut().zip(values).zip(used..) {
        *index = number as u16;
        calls.values[number] = value;
    }
    used + row.values.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use scap::events::SYSCALLS;

    #[test]
    fn every_row_is_that_of_a_call_without_a_program() {
        for row in ROWS.iter().flatten() {
            let call =
                Syscall::by_name(row.name).unwrap_or_else(|| panic!("no call has the name {}", row.name));
            assert!(call.exit().is_none_or(|event| event.program.is_none()), "{} has a program", row.name);
        }
        let rows = array_len(|calls: &types::sc_calls| &calls.rows);
        assert!(SYSCALLS.iter().all(|call| usize::from(call.code) < rows));
    }

    #[test]
    fn a_value_is_described_by_its_row() {
        let of = |ty, size, list, source, argument, length| {
            Value::new(ty, size, list, source, argument, length).to_program(1)
        };
        let fd = of("FD", Some(8), "NA", "VALUE", 3, "0");
        assert_eq!(
            (fd.form, fd.size, fd.argument, fd.flags),
            (Form::SC_FORM_VALUE, 8, [3, 4], Flags(Flags::SC_VALUE_SIGN_32.0 | Flags::SC_VALUE_SIGNED.0))
        );
        let path = of("FSPATH", None, "NA", "IN", 1, "0");
        assert_eq!((path.form, path.flags.0), (Form::SC_FORM_STRING, 0));
        let link = of("CHARBUF", None, "NA", "OUT", 1, "RES");
        assert_eq!(
            (link.form, link.length, link.limit),
            (Form::SC_FORM_TEXT, Length::SC_LENGTH_RESULT, 4095)
        );
        let number = of("UINT32", Some(4), "NA", "INOUT", 2, "0");
        assert_eq!(
            (number.form, number.number, number.limit, number.flags.0),
            (Form::SC_FORM_BYTES, 4, 4, 0)
        );
        let time = of("STRUCT", None, "timespec", "OUT", 1, "0");
        assert_eq!(time.layout_size[..5], [16, 8, 16, 8, 16]);
        assert_eq!(
            (time.form, time.number, time.flags),
            (Form::SC_FORM_STRUCT, u32::MAX, Flags::SC_VALUE_OUT)
        );
        let data = of("BYTEBUF", None, "timespec", "IN", 1, "AT_2");
        assert_eq!((data.length, data.length_argument, data.limit), (Length::SC_LENGTH_AT, [2, 3], 0));
        assert_eq!(data.flags.0, Flags::SC_VALUE_SNAPLEN.0 | Flags::SC_VALUE_BEHIND.0);
        let some = of("STRUCTS", None, "timespec", "IN", 1, "16");
        assert_eq!((some.number, some.flags.0), (16, Flags::SC_VALUE_SNAPLEN.0 | Flags::SC_VALUE_UNITS.0));
        let when = Value::new("UINT64", Some(8), "NA", "VALUE", 2, "0").when(1, 6, 8).to_program(0);
        assert_eq!((when.when_argument, when.when, when.when_shift), ([1; 2], 6, 8));
        assert_eq!(when.flags, Flags::SC_VALUE_CONDITIONAL);
        let via = of("BYTEBUF", None, "NA", "OUT_VIA", 4, "AT8_4");
        assert_eq!((via.length, via.length_argument), (Length::SC_LENGTH_BEHIND, [4, 5]));
        let flags = Flags::SC_VALUE_VIA.0 | Flags::SC_VALUE_OUT.0 | Flags::SC_VALUE_SNAPLEN.0;
        assert_eq!(via.flags.0, flags);
        let pages = of("BYTEBUF", None, "NA", "OUT", 2, "PAGES_1");
        assert_eq!(pages.number as usize, rustix::param::page_size());
    }

    #[test]
    fn a_wide_value_moves_the_later_ones_of_a_32_bit_caller() {
        let wide = Value::new("INT64", Some(8), "NA", "WIDE", 1, "0");
        let pair = Value::new("INT64", Some(8), "NA", "PAIR", 1, "0");
        assert_eq!((wide.moves, pair.moves), (true, false));
        assert!(wide.form == Form::SC_FORM_WIDE && pair.form == Form::SC_FORM_WIDE);
    }
}

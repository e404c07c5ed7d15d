//! Formats values that need no names from the capture.

use super::escape::Out;
use crate::events::{FlagTable, ParamType, PrintFormat};

/// Appends data, with a dot for each byte that is not printable ASCII.
pub fn dots(out: &mut impl Out, bytes: &[u8]) {
    out.ascii(bytes.iter().map(|&b| if matches!(b, b' '..=b'~') { b } else { b'.' }));
}

/// Appends an integer of type `ty`, given as 64 sign-extended bits, in the table's print format.
pub fn integer(out: &mut impl Out, ty: ParamType, format: PrintFormat, bits: u64) {
    let size = ty.size().unwrap_or(size_of::<u64>());
    // Hexadecimal and octal show only the type's own bits.
    let own = if size < size_of::<u64>() { bits & ((1 << (8 * size)) - 1) } else { bits };
    // Writing to memory cannot fail.
    let _ = match format {
        PrintFormat::HEX => write!(out, "{own:X}"),
        PrintFormat::OCT if own == 0 => write!(out, "0"),
        PrintFormat::OCT => write!(out, "0{own:o}"),
        PrintFormat::DEC | PrintFormat::NA if ty.is_signed() => return out.integer(bits as i64),
        PrintFormat::DEC | PrintFormat::NA => return out.integer(bits),
    };
}

/// The bits of a mode that hold the file type: a number, not flags.
const S_IFMT: u64 = 0o170_000;

/// Returns the bits of a table's values that form a number: the file type, if the table's last row is one.
fn field_of(table: FlagTable) -> u64 {
    if table.last().is_some_and(|flag| flag.name.starts_with("S_IF")) { S_IFMT } else { 0 }
}

/// Returns the names of the set flags. Rows are tested in order, and a match removes its bits: `O_RDWR` hides
/// `O_RDONLY`, which shares a bit with it.
pub fn flag_names(table: FlagTable, value: u64) -> Vec<&'static str> {
    let field = field_of(table);
    let mut left = value;
    let mut names = Vec::new();
    for flag in table {
        let set = match flag.value & field {
            0 => flag.value != 0 && left & flag.value == flag.value,
            _ => value & field == flag.value,
        };
        if set || (flag.value == 0 && value == 0) {
            left &= !flag.value;
            names.push(flag.name);
        }
    }
    names
}

/// Returns the names of an enumeration value; some values have two.
pub fn enum_names(table: FlagTable, value: u64) -> Vec<&'static str> {
    table.iter().filter(|flag| flag.value == value).map(|flag| flag.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::flag_table;

    #[test]
    fn data_are_dotted() {
        let mut out = String::new();
        dots(&mut out, b"GET /\r\n\0~\x7f\xff");
        assert_eq!(out, "GET /...~..");
    }

    #[test]
    fn integers_have_the_form_of_the_table() {
        let text = |ty, format, bits: i64| {
            let mut out = String::new();
            integer(&mut out, ty, format, bits as u64);
            out
        };
        assert_eq!(text(ParamType::UINT32, PrintFormat::OCT, 0o644), "0644");
        assert_eq!(text(ParamType::UINT32, PrintFormat::OCT, 0), "0");
        assert_eq!(text(ParamType::UINT64, PrintFormat::HEX, 0x7ffc_0000_abcd), "7FFC0000ABCD");
        assert_eq!(text(ParamType::INT32, PrintFormat::HEX, -1), "FFFFFFFF");
        assert_eq!(text(ParamType::INT32, PrintFormat::DEC, -1), "-1");
        assert_eq!(text(ParamType::UINT64, PrintFormat::DEC, -1), u64::MAX.to_string());
    }

    #[test]
    fn flags_are_named_once() {
        let names = |value| flag_names(flag_table("file_flags"), value).join("|");
        assert_eq!(names(1), "O_RDONLY");
        assert_eq!(names(3), "O_RDWR");
        assert_eq!(names(4097), "O_RDONLY|O_CLOEXEC");
        assert_eq!(names(0), "O_NONE");
        assert_eq!(names(1 << 31), "");
        let modes = |value| flag_names(flag_table("mknod_mode"), value).join("|");
        assert_eq!(modes(0o060_600), "S_IWUSR|S_IRUSR|S_IFBLK");
        assert_eq!(modes(0o020_600), "S_IWUSR|S_IRUSR|S_IFCHR");
        assert_eq!(modes(0o140_000), "S_IFSOCK");
        assert_eq!(modes(0o100_001), "S_IXOTH|S_IFREG");
        assert_eq!(modes(0o010_000), "S_IFIFO");
        assert_eq!(modes(0o160_000), "", "no type has this number");
        assert_eq!(enum_names(flag_table("socket_families"), 2), ["AF_INET"]);
        assert_eq!(enum_names(flag_table("socket_families"), 1), ["AF_LOCAL", "AF_UNIX"]);
        assert_eq!(enum_names(flag_table("socket_families"), 999), [""; 0]);
    }
}

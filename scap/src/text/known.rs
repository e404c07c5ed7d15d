//! What is known of the parameters of each row before their values, so that those of most events need no more than a look at
//! their bytes.

use std::sync::LazyLock;

use super::{
    data::DataForm,
    escape::Out,
    meaning::{is_signed, is_special_fd},
};
use crate::{
    events::{Detail, Effect, Event, ParamInfo, ParamType, PrintFormat, rows},
    format::integer,
    model::{Machine, OpenFd},
};

/// What is known of a row before its values.
pub(super) struct KnownRow {
    pub(super) params: Vec<Known>,
    /// Whether it is of a request of io_uring: most of its parameters are those of other operations.
    pub(super) is_request: bool,
}

/// What is known of a parameter before its value.
pub(super) struct Known {
    pub(super) info: &'static ParamInfo,
    /// A space, its name, `=`.
    pub(super) start: String,
    pub(super) is_signed: bool,
    form: Form,
}

/// What the text of a parameter needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Decimal digits.
    Unsigned,
    /// The same, and a sign.
    Signed,
    /// A result that is not negative.
    Result,
    /// A descriptor of the thread that is not negative.
    Fd,
    Text,
    Data,
    /// What only the decoded value tells.
    Decoded,
}

/// The same of all rows, by [`EventView::row`](crate::format::EventView::row).
pub(super) static KNOWN: LazyLock<Vec<KnownRow>> = LazyLock::new(|| {
    let param = |row: &'static Event, info: &'static ParamInfo| Known {
        info,
        start: format!(" {}=", info.name),
        is_signed: is_signed(row, info),
        form: Form::of(row, info),
    };
    let known = |row: &'static Event| KnownRow {
        params: row.params.iter().map(|info| param(row, info)).collect(),
        is_request: matches!(row.effect(), Some(Effect::IoUringSubmit | Effect::IoUringComplete)),
    };
    rows().map(known).collect()
});

impl Form {
    fn of(row: &Event, info: &ParamInfo) -> Form {
        use ParamType::*;
        let is_decimal = matches!(info.format, PrintFormat::DEC | PrintFormat::NA);
        match info.ty {
            _ if info.detail != Detail::None => Form::Decoded,
            BYTEBUF => Form::Data,
            CHARBUF => Form::Text,
            FD | FD32 if !is_special_fd(row, info) => Form::Fd,
            ERRNO if is_decimal => Form::Result,
            INT8 | INT16 | INT32 | INT64 if is_decimal => Form::Signed,
            UINT8 | UINT16 | UINT32 | UINT64 if is_decimal && info.name != "nativeID" => {
                if is_signed(row, info) { Form::Signed } else { Form::Unsigned }
            }
            _ => Form::Decoded,
        }
    }
}

impl Known {
    /// Appends the value that `bytes` are, and its meaning in parentheses, if the value has a simple form; returns whether it
    /// has.
    #[inline]
    pub(super) fn write(
        &self,
        out: &mut impl Out,
        bytes: &[u8],
        data: DataForm,
        (machine, tid): (&Machine, u64),
    ) -> bool {
        match self.form {
            _ if bytes.is_empty() => return false,
            Form::Data => data.write(out, bytes),
            Form::Text => out.text(bytes.strip_suffix(b"\0").unwrap_or(bytes)),
            Form::Decoded => return false,
            Form::Unsigned | Form::Signed | Form::Result | Form::Fd => {
                let Some(bits) = integer(self.info.ty, bytes) else { return false };
                let signed = bits as i64;
                match self.form {
                    Form::Unsigned => out.integer(bits),
                    Form::Signed => out.integer(signed),
                    // Negative results are errors, and negative descriptors are errors or say something else.
                    _ if signed < 0 => return false,
                    form => {
                        out.integer(bits);
                        if form == Form::Fd
                            && let Some(fd) = machine.fd(tid, signed)
                        {
                            let _ = out.write_char('(');
                            open_fd(out, fd);
                            let _ = out.write_char(')');
                        }
                    }
                }
            }
        }
        true
    }
}

/// Appends what a descriptor refers to: the letters of its class, and its name.
pub(super) fn open_fd(out: &mut impl Out, fd: &OpenFd) {
    let _ = out.write_char('<');
    let letters = [Some(fd.class.letter()), fd.class.protocol()];
    let _ = letters.into_iter().flatten().try_for_each(|letter| out.write_char(letter));
    let _ = out.write_char('>');
    out.text(&fd.name);
}

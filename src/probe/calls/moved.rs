//! The calls of x32 programs, and those of 32-bit and x32 programs whose arguments are not where the row of their call has
//! them.

use scapd_bpf::types;

use super::{Form, ROWS, Row, Value, put};
use crate::probe::slots::NR_MAX;
use scap::events::Syscall;

/// The calls that only x32 programs have, by number: their arguments are those of the calls of
/// the same name. Source: the
/// kernel's arch/x86/entry/syscalls/syscall_64.tbl.
const X32_CALLS: &[(u16, &str)] = &[
    (512, "rt_sigaction"),
    (513, "rt_sigreturn"),
    (514, "ioctl"),
    (515, "readv"),
    (516, "writev"),
    (517, "recvfrom"),
    (518, "sendmsg"),
    (519, "recvmsg"),
    (520, "execve"),
    (521, "ptrace"),
    (522, "rt_sigpending"),
    (523, "rt_sigtimedwait"),
    (524, "rt_sigqueueinfo"),
    (525, "sigaltstack"),
    (526, "timer_create"),
    (527, "mq_notify"),
    (528, "kexec_load"),
    (529, "waitid"),
    (530, "set_robust_list"),
    (531, "get_robust_list"),
    (532, "vmsplice"),
    (533, "move_pages"),
    (534, "preadv"),
    (535, "pwritev"),
    (536, "rt_tgsigqueueinfo"),
    (537, "recvmmsg"),
    (538, "sendmmsg"),
    (539, "process_vm_readv"),
    (540, "process_vm_writev"),
    (541, "setsockopt"),
    (542, "getsockopt"),
    (543, "io_setup"),
    (544, "io_submit"),
    (545, "execveat"),
    (546, "preadv2"),
    (547, "pwritev2"),
];

/// The first of these numbers.
const X32_FIRST: u16 = NR_MAX as u16;

/// A call with its own places of arguments.
struct Moved {
    /// As the kernel passes it.
    number: u32,
    /// The call whose row it has otherwise.
    call: &'static str,
    /// Where each parameter of the row is.
    places: &'static [Place],
}

/// Where a parameter is: an argument, counted from 0.
#[derive(Clone, Copy)]
enum Place {
    At(u8),
    /// A value of 64 bits in two arguments, the low half first.
    Two(u8),
}
use Place::{At, Two};

/// The bit of an x32 call's number: the kernel's `__X32_SYSCALL_BIT`.
const X32: u32 = 1 << 30;

/// These calls. Source: the kernel's arch/x86/kernel/sys_ia32.c, and fs/read_write.c (`compat_sys_preadv64v2`).
const MOVED: &[Moved] = &[
    Moved { number: 193, call: "truncate", places: &[At(0), Two(1)] },
    Moved { number: 194, call: "ftruncate", places: &[At(0), Two(1)] },
    Moved { number: 272, call: "fadvise64", places: &[At(0), Two(1), Two(3), At(5)] },
    Moved { number: X32 | 546, call: "preadv2", places: &[At(0), At(1), At(2), At(3), At(4)] },
    Moved { number: X32 | 547, call: "pwritev2", places: &[At(0), At(1), At(2), At(3), At(4)] },
];

/// How many values these calls have.
pub(super) const VALUES: usize = {
    let (mut values, mut i) = (0, 0);
    while i < MOVED.len() {
        values += MOVED[i].places.len();
        i += 1;
    }
    values
};

/// Fills the tables of these calls, where `used` values are there already.
pub(super) fn fill(calls: &mut types::sc_calls, mut used: usize) {
    for (number, name) in X32_CALLS {
        calls.x32_code[usize::from(number - X32_FIRST)] = Syscall::by_name(name).map_or(0, |call| call.code);
    }
    let last = calls.rows.len() - 1;
    for (i, (moved, row)) in MOVED.iter().filter_map(|moved| Some((moved, row(moved)?))).enumerate() {
        let place = last - i;
        calls.moved[i] = types::sc_moved_call { number: moved.number, row: place as u32 };
        let values =
            row.values.iter().zip(moved.places).map(|(value, place)| at(*value, *place).to_program(0));
        used = put(calls, place, row, values, used);
    }
}

fn row(moved: &Moved) -> Option<&'static Row> {
    ROWS.iter().flatten().find(|row| row.name == moved.call)
}

/// Returns a parameter with another place.
fn at(value: Value, place: Place) -> Value {
    match place {
        At(argument) => Value { argument, ..value },
        Two(argument) => Value { argument, form: Form::SC_FORM_WIDE, ..value },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::settings::array_len;
    use scap::events::SYSCALLS;

    #[test]
    fn the_calls_of_x32_are_known() {
        for (number, name) in X32_CALLS {
            assert!(Syscall::by_name(name).is_some() && (X32_FIRST..).contains(number), "{name}");
        }
    }

    #[test]
    fn each_moved_call_has_a_place_for_each_parameter() {
        for moved in MOVED {
            let row = row(moved).unwrap_or_else(|| panic!("{} has no row", moved.call));
            assert_eq!(row.values.len(), moved.places.len(), "{}", moved.call);
        }
        let rows = array_len(|calls: &types::sc_calls| &calls.rows);
        let codes = SYSCALLS.iter().map(|call| usize::from(call.code));
        assert!(codes.max() < Some(rows - MOVED.len()), "raise SC_CALL_ROWS");
        assert!(MOVED.len() <= array_len(|calls: &types::sc_calls| &calls.moved), "raise SC_MOVED_CALLS");
    }
}

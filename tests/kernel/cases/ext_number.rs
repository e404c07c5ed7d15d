//! Calls by their row's own number: a call that this architecture or the libc crate does not have needs no code of its own.

/// The working directory, as a descriptor.
pub const CWD: i64 = libc::AT_FDCWD as i64;
/// A descriptor that is not open.
pub const BAD: i32 = -7;

/// Returns the number of a call of 32-bit programs.
pub fn i386(name: &str) -> u16 {
    scap::events::Syscall::by_name(name).and_then(|call| call.number(scap::events::Arch::I386)).unwrap()
}

/// Makes a call by its number, and returns the kernel's result: an error is a negative errno.
#[macro_export]
macro_rules! by_number {
    ($number:expr $(, $arg:expr)*) => {{
        #[allow(unused_unsafe, clippy::undocumented_unsafe_blocks)]
        let result = unsafe { libc::syscall(libc::c_long::from($number) $(, $arg)*) };
        if result == -1 { -i64::from(std::io::Error::last_os_error().raw_os_error().unwrap()) } else { result }
    }};
}

/// Makes the row's call with these arguments; it must fail with the errno. Returns its exit event.
#[macro_export]
macro_rules! fails {
    ($row:expr, $errno:expr $(, $arg:expr)* $(,)?) => {{
        let number = $row.native();
        $row.fails($errno, || $crate::by_number!(number $(, $arg)*))
    }};
}

/// Makes the row's call with these arguments; it must succeed. Returns its result and its exit event.
#[macro_export]
macro_rules! succeeds {
    ($row:expr $(, $arg:expr)* $(,)?) => {{
        let number = $row.native();
        $row.succeeds(|| $crate::by_number!(number $(, $arg)*))
    }};
}

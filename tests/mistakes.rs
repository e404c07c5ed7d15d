//! Mistakes in adding a program in C, each of which clang names.
//!
//! (Mistakes in Rust cannot be compiled into a test: a row without a program is a missing field of the skeleton in
//! src/probe/programs.rs, a program without a test a missing function in tests/kernel/main.rs.)

#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Compiles a program against the headers in `include`, and returns clang's messages.
fn compile(include: &Path, body: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("program.bpf.c");
    fs::write(
        &source,
        format!("#include \"template/extension.h\"\n#include \"template/ringbuf.h\"\n{body}\n"),
    )
    .unwrap();
    let output = Command::new(std::env::var_os("BPF_CLANG").unwrap_or("clang".into()))
        .args(["-target", "bpf", "-D__TARGET_ARCH_x86", "-mcpu=v2", "-std=gnu11", "-O2", "-g"])
        .args(["-Wall", "-Wextra", "-Werror", "-Ibpf", "-c", "-o", "/dev/null"])
        .args(["-I", env!("SCAPD_LIBBPF_HEADERS"), "-idirafter", "/usr/include/x86_64-linux-gnu", "-I"])
        .arg(include)
        .arg(&source)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The lines of the file before the program: `#include`s.
const INCLUDES: usize = 2;

/// Checks that a program compiles unchanged, and that clang names the mistake after a change: an error in the program's
/// file, at the wrong line (of the program, from 1 on).
#[track_caller]
fn mistake(program: &str, from: &str, to: &str, line: usize, named: &str) {
    mistake_with(Path::new("include"), program, from, to, line, named);
}

/// The same with the tables in `include`.
#[track_caller]
fn mistake_with(include: &Path, program: &str, from: &str, to: &str, line: usize, named: &str) {
    assert_eq!(compile(include, program), "");
    assert!(program.contains(from));
    let said = compile(include, &program.replace(from, to));
    let place = format!("/program.bpf.c:{}:", line + INCLUDES);
    let error = said.lines().find(|line| line.contains("error:"));
    assert!(
        error.is_some_and(|error| error.contains(&place) && error.contains(named)),
        "the first error is not `{named}` at {place}: {said}"
    );
}

const FIXED: &str = "SYSCALL_ENTER(access_e)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, access_e))
		return;
	ringbuf__store(&ringbuf, access_e, mode, extract__syscall_argument(call, 1));
	ringbuf__submit_event(call, &ringbuf, access_e);
}";

const VARIABLE: &str = "SYSCALL_EXIT(access_x)
{
	struct auxmap auxmap;

	if (!auxmap__begin(call, &auxmap, access_x))
		return;
	auxmap__store(&auxmap, access_x, res, call->ret);
	auxmap__store_charbuf(&auxmap, access_x, name, extract__syscall_argument(call, 0), SC_MAX_PATH, SC_USER);
	auxmap__store(&auxmap, access_x, mode, 0);
	auxmap__submit_event(call, &auxmap, access_x);
}";

const NAME: &str = "	auxmap__store_charbuf(&auxmap, access_x, name, extract__syscall_argument(call, 0), SC_MAX_PATH, SC_USER);\n";
const MODE: &str = "	auxmap__store(&auxmap, access_x, mode, 0);\n";

const FIXED_PAIR: &str = "SYSCALL_ENTER(read_e)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, read_e))
		return;
	ringbuf__store(&ringbuf, read_e, fd, 0);
	ringbuf__store(&ringbuf, read_e, size, 0);
	ringbuf__submit_event(call, &ringbuf, read_e);
}";

const FD: &str = "	ringbuf__store(&ringbuf, read_e, fd, 0);\n";
const SIZE: &str = "	ringbuf__store(&ringbuf, read_e, size, 0);\n";

const SCHEMA: &str = "SYSCALL_EXIT(socket_x)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, socket_x)) return;
	ringbuf__store(&ringbuf, socket_x, fd, 0);
	ringbuf__store(&ringbuf, socket_x, domain, 0);
	ringbuf__store(&ringbuf, socket_x, type, 0);
	ringbuf__store(&ringbuf, socket_x, proto, 0);
	ringbuf__store(&ringbuf, socket_x, flags, 0);
	ringbuf__submit_event(call, &ringbuf, socket_x);
}";

const PROTO: &str = "	ringbuf__store(&ringbuf, socket_x, proto, 0);\n";
const FLAGS: &str = "	ringbuf__store(&ringbuf, socket_x, flags, 0);\n";

#[test]
fn a_program_without_a_row() {
    mistake(FIXED, "access_e", "acces_e", 5, "acces_e__");
}

#[test]
fn a_parameter_that_the_row_does_not_have() {
    mistake(FIXED, "mode", "flags", 7, "no member named 'flags'");
}

#[test]
fn a_forgotten_parameter() {
    mistake(FIXED, "	ringbuf__store", "	(void)sizeof(call);//", 8, "every parameter of its row");
    mistake(VARIABLE, MODE, "", 9, "every parameter of its row");
}

#[test]
fn a_skipped_parameter() {
    mistake(VARIABLE, NAME, "", 8, "out of the order of its row");
}

/// For a row with parameters that only some schemas have.
#[test]
fn a_parameter_of_a_later_schema() {
    mistake(SCHEMA, FLAGS, "", 10, "every parameter of its row");
    mistake(SCHEMA, &format!("{PROTO}{FLAGS}"), &format!("{FLAGS}{PROTO}"), 9, "out of the order of its row");
}

#[test]
fn parameters_out_of_order() {
    mistake(FIXED_PAIR, &format!("{FD}{SIZE}"), &format!("{SIZE}{FD}"), 7, "out of the order of its row");
    mistake(VARIABLE, &format!("{NAME}{MODE}"), &format!("{MODE}{NAME}"), 8, "out of the order of its row");
}

#[test]
fn a_parameter_twice() {
    mistake(VARIABLE, MODE, &format!("{MODE}{MODE}"), 10, "out of the order of its row");
}

#[test]
fn a_pointer_where_an_integer_belongs() {
    mistake(FIXED, "extract__syscall_argument(call, 1)", "call->regs", 7, "pointer to integer conversion");
    mistake(VARIABLE, "mode, 0", "mode, (void *)call->ctx", 9, "pointer to integer conversion");
}

#[test]
fn a_string_where_an_integer_belongs() {
    let as_string = "	auxmap__store_charbuf(&auxmap, access_x, mode, 0, SC_MAX_PATH, SC_USER);\n";
    mistake(VARIABLE, MODE, as_string, 9, "not a string in its row");
}

#[test]
fn a_variable_size_event_by_the_ringbuf_template() {
    mistake(FIXED, "access_e", "access_x", 5, "access_x__size");
}

/// Returns a copy of the headers with a change in a table.
fn changed_table(table: &str, from: &str, to: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let include = folder.path().join("include");
    fs::create_dir(&include).unwrap();
    for entry in fs::read_dir("include").unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), include.join(entry.file_name())).unwrap();
    }
    let table = include.join(table);
    let text = fs::read_to_string(&table).unwrap();
    assert!(text.contains(from));
    fs::write(&table, text.replace(from, to)).unwrap();
    (folder, include)
}

#[test]
fn a_variable_size_type_in_a_fixed_row() {
    let (_folder, include) = changed_table(
        "events.def",
        "access_e, access, SYSCALL, FILE, OLD_VERSION | CONVERTER_MANAGED,\n            P(mode, FLAGS32",
        "access_e, access, SYSCALL, FILE, OLD_VERSION | CONVERTER_MANAGED,\n            P(mode, FSPATH",
    );
    let said = compile(&include, FIXED);
    assert!(said.contains("sc_pt_FSPATH"), "{said}");
}

const EXTENDED: &str = "SYSCALL_EXIT(rmdir_x)
{
	struct auxmap auxmap;

	if (!auxmap__begin(call, &auxmap, rmdir_x)) return;
	auxmap__store(&auxmap, rmdir_x, res, call->ret);
	auxmap__store_charbuf(&auxmap, rmdir_x, path, extract__syscall_argument(call, 0), SC_MAX_PATH, SC_USER);
	if (!auxmap__extend(call, &auxmap, rmdir_x)) return;
	auxmap__store(&auxmap, rmdir_x__extension, sum, 1);
	auxmap__store_charbuf(&auxmap, rmdir_x__extension, real, 0, SC_MAX_PATH, SC_KERNEL);
	auxmap__submit_extended(call, &auxmap, rmdir_x);
}";

#[test]
fn the_same_mistakes_in_an_extension() {
    const PATH: &str = "	auxmap__store_charbuf(&auxmap, rmdir_x, path, extract__syscall_argument(call, 0), SC_MAX_PATH, SC_USER);\n";
    const SUM: &str = "	auxmap__store(&auxmap, rmdir_x__extension, sum, 1);\n";
    const REAL: &str =
        "	auxmap__store_charbuf(&auxmap, rmdir_x__extension, real, 0, SC_MAX_PATH, SC_KERNEL);\n";
    let known = "EXTENSION(rmdir_x, NONE, P(base, FSPATH, NA) P(base_flags, FLAGS8, HEX, path_flags))";
    let row = "EXTENSION(rmdir_x, NONE, P(sum, UINT64, DEC) P(real, FSPATH, NA))";
    let (_folder, include) = changed_table("extensions.def", known, row);
    let mistake = |from: &str, to: &str, line, named: &str| {
        mistake_with(&include, EXTENDED, from, to, line, named);
    };
    mistake(PATH, "", 7, "every parameter of its row");
    mistake(SUM, "", 9, "out of the order of its row");
    mistake(REAL, "", 10, "every parameter of its row");
    mistake(&format!("{SUM}{REAL}"), &format!("{REAL}{SUM}"), 9, "out of the order of its row");
    mistake("sum, 1", "sum, (void *)call->ctx", 9, "pointer to integer conversion");
    mistake("rmdir_x__extension, sum", "rmdir_x__extension, total", 9, "no member named 'total'");
    mistake(
        "auxmap__extend(call, &auxmap, rmdir_x)",
        "auxmap__extend(call, &auxmap, chdir_e)",
        8,
        "chdir_e__ext",
    );
}

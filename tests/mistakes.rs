//! The mistakes that someone who adds a program can make in C, and that clang names.
//!
//! (Those on the Rust side cannot be compiled into a test: a row without a program is a missing field of the skeleton
//! in src/probe/programs.rs, a program without a test a missing function in tests/kernel/main.rs.)

#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Compiles a program against the headers in `include`: what clang says.
fn compile(include: &Path, body: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("program.bpf.c");
    fs::write(&source, format!("#include \"template/auxmap.h\"\n#include \"template/ringbuf.h\"\n{body}\n"))
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

/// Checks that a program compiles as it stands, and that clang names what is wrong after a change to it.
#[track_caller]
fn mistake(program: &str, from: &str, to: &str, named: &str) {
    let include = Path::new("include");
    assert_eq!(compile(include, program), "");
    assert!(program.contains(from));
    let said = compile(include, &program.replace(from, to));
    assert!(said.contains(named), "clang does not say `{named}`: {said}");
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

#[test]
fn a_program_without_a_row() {
    mistake(FIXED, "access_e", "acces_e", "acces_e__");
}

#[test]
fn a_parameter_that_the_row_does_not_have() {
    mistake(FIXED, "mode", "flags", "no member named 'flags'");
}

#[test]
fn a_forgotten_parameter() {
    mistake(FIXED, "	ringbuf__store", "	(void)sizeof(call);//", "every parameter of its row");
    mistake(VARIABLE, MODE, "", "every parameter of its row");
}

#[test]
fn a_skipped_parameter() {
    mistake(VARIABLE, NAME, "", "out of the order of its row");
}

#[test]
fn parameters_out_of_order() {
    mistake(VARIABLE, &format!("{NAME}{MODE}"), &format!("{MODE}{NAME}"), "out of the order of its row");
}

#[test]
fn a_parameter_twice() {
    mistake(VARIABLE, MODE, &format!("{MODE}{MODE}"), "out of the order of its row");
}

#[test]
fn a_pointer_where_an_integer_belongs() {
    mistake(FIXED, "extract__syscall_argument(call, 1)", "call->regs", "pointer to integer conversion");
    mistake(VARIABLE, "mode, 0", "mode, (void *)call->ctx", "pointer to integer conversion");
}

#[test]
fn a_string_where_an_integer_belongs() {
    let as_string = "	auxmap__store_charbuf(&auxmap, access_x, mode, 0, SC_MAX_PATH, SC_USER);\n";
    mistake(VARIABLE, MODE, as_string, "not a string in its row");
}

#[test]
fn a_variable_size_event_by_the_ringbuf_template() {
    mistake(FIXED, "access_e", "access_x", "access_x__size");
}

/// A copy of the headers with a changed table.
fn changed_table(from: &str, to: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let include = folder.path().join("include");
    fs::create_dir(&include).unwrap();
    for entry in fs::read_dir("include").unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), include.join(entry.file_name())).unwrap();
    }
    let table = include.join("events.def");
    let text = fs::read_to_string(&table).unwrap();
    assert!(text.contains(from));
    fs::write(&table, text.replace(from, to)).unwrap();
    (folder, include)
}

#[test]
fn a_variable_size_type_in_a_fixed_row() {
    let (_folder, include) = changed_table(
        "access_e, access, SYSCALL, FILE, OLD_VERSION | CONVERTER_MANAGED,\n            P(mode, FLAGS32",
        "access_e, access, SYSCALL, FILE, OLD_VERSION | CONVERTER_MANAGED,\n            P(mode, FSPATH",
    );
    let said = compile(&include, FIXED);
    assert!(said.contains("sc_pt_FSPATH"), "{said}");
}

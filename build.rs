//! Builds the BPF object with its Rust skeleton, and wraps the tables of `include/` in Rust macros.
//!
//! Everything generated stays in `OUT_DIR`. Environment: `BPF_CLANG` names the compiler (default: clang),
//! `BPF_CFLAGS` adds arguments to it.

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
};

use libbpf_cargo::SkeletonBuilder;

/// A table of `include/` and the macro whose argument its rows become.
const TABLES: &[(&str, &str)] = &[
    ("events.def", "with_events"),
    ("params.def", "with_params"),
    ("flags.def", "with_flags"),
    ("syscalls.def", "with_syscalls"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo did not set OUT_DIR")?);
    wrap_tables(&out)?;
    build_probe(&out)?;
    // For the test that compiles mistakes.
    let headers = env::var("DEP_BPF_INCLUDE")?;
    println!("cargo:rustc-env=SCAPD_LIBBPF_HEADERS={headers}");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=include");
    println!("cargo:rerun-if-changed=bpf");
    println!("cargo:rerun-if-env-changed=BPF_CLANG");
    println!("cargo:rerun-if-env-changed=BPF_CFLAGS");
    Ok(())
}

/// The rows are C and Rust tokens at once: a comment of either language is one of both.
fn wrap_tables(out: &Path) -> Result<(), Box<dyn Error>> {
    let mut text = String::new();
    for (file, name) in TABLES {
        let path = Path::new("include").join(file);
        let rows = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        text.push_str(&format!(
            "/// Calls `$callback!` with the rows of `include/{file}`.\n\
             #[macro_export]\n\
             macro_rules! {name} {{ ($callback:ident) => {{ $callback! {{\n{rows}\n}} }} }}\n"
        ));
    }
    fs::write(out.join("tables.rs"), text)?;
    Ok(())
}

fn build_probe(out: &Path) -> Result<(), Box<dyn Error>> {
    let arch = env::var("CARGO_CFG_TARGET_ARCH")?;
    let mut args: Vec<String> = [
        "-Iinclude",
        "-Ibpf",
        "-mcpu=v2",
        "-std=gnu11",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-fno-stack-protector",
        "-idirafter",
    ]
    .map(String::from)
    .into();
    args.push(format!("/usr/include/{arch}-linux-gnu"));
    args.extend(env::var("BPF_CFLAGS").unwrap_or_default().split_whitespace().map(String::from));

    let mut builder = SkeletonBuilder::new();
    builder.source("bpf/scapd.bpf.c").clang_args(args);
    if let Some(clang) = env::var_os("BPF_CLANG") {
        builder.clang(clang);
    }
    builder.build_and_generate(out.join("scapd.skel.rs"))?;
    Ok(())
}

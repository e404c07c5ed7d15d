//! Builds the BPF object with its Rust skeleton.
//!
//! Everything generated stays in `OUT_DIR`. Environment: `BPF_CLANG` names the compiler (default: clang),
//! `BPF_CFLAGS` adds arguments to it.

use std::{env, error::Error, path::PathBuf};

use libbpf_cargo::SkeletonBuilder;

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo did not set OUT_DIR")?);
    let arch = env::var("CARGO_CFG_TARGET_ARCH")?;
    let mut args: Vec<String> = [
        "-I../include",
        "-I.",
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
    builder.source("scapd.bpf.c").clang_args(args);
    if let Some(clang) = env::var_os("BPF_CLANG") {
        builder.clang(clang);
    }
    builder.build_and_generate(out.join("scapd.skel.rs"))?;
    println!("cargo:rerun-if-changed=.");
    println!("cargo:rerun-if-changed=../include");
    println!("cargo:rerun-if-env-changed=BPF_CLANG");
    println!("cargo:rerun-if-env-changed=BPF_CFLAGS");
    Ok(())
}

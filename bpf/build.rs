//! Builds the BPF object with its Rust skeleton.
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
    let skeleton = out.join("scapd.skel.rs");
    builder.build_and_generate(&skeleton)?;
    leave_out_attach(&skeleton)?;
    println!("cargo:rerun-if-changed=.");
    println!("cargo:rerun-if-changed=../include");
    println!("cargo:rerun-if-env-changed=BPF_CLANG");
    println!("cargo:rerun-if-env-changed=BPF_CFLAGS");
    Ok(())
}

/// Replaces the generated function that attaches all programs: scapd attaches them one by one. Optimizing it
/// takes minutes, because each early return drops hundreds of links; the rest of the skeleton takes seconds.
fn leave_out_attach(skeleton: &Path) -> Result<(), Box<dyn Error>> {
    const START: &str = "fn attach(&mut self) -> libbpf_rs::Result<()> {";
    const INSTEAD: &str =
        "Err(libbpf_rs::Error::from(std::io::Error::from(std::io::ErrorKind::Unsupported)))";
    let text = fs::read_to_string(skeleton)?;
    let body = text.find(START).map(|at| at + START.len());
    let Some((start, end)) = body.and_then(|start| Some((start, start + block_end(&text[start..])?))) else {
        println!("cargo:warning=the skeleton's attach function has changed: release builds take minutes");
        return Ok(());
    };
    Ok(fs::write(skeleton, format!("{}{INSTEAD}{}", &text[..start], &text[end..]))?)
}

/// Returns the offset of the brace that closes the block whose contents start the text.
fn block_end(text: &str) -> Option<usize> {
    let mut depth = 1;
    for (at, byte) in text.bytes().enumerate() {
        depth += i32::from(byte == b'{') - i32::from(byte == b'}');
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

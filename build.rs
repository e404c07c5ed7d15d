//! Wraps the tables of `include/` in Rust macros. (bpf/build.rs builds the BPF object.)

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
};

/// The tables of `include/`, each with the macro that wraps its rows.
const TABLES: &[(&str, &str)] = &[
    ("events.def", "with_events"),
    ("params.def", "with_params"),
    ("flags.def", "with_flags"),
    ("syscalls.def", "with_syscalls"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo did not set OUT_DIR")?);
    wrap_tables(&out)?;
    // For tests/mistakes.rs, which compiles BPF programs.
    let headers = env::var("DEP_BPF_INCLUDE")?;
    println!("cargo:rustc-env=SCAPD_LIBBPF_HEADERS={headers}");
    // Tests that need O_DIRECT on tmpfs are reported as ignored where the kernel lacks it.
    println!("cargo:rustc-check-cfg=cfg(tmpfs_direct)");
    if kernel_version().is_some_and(|version| version >= (6, 6)) {
        println!("cargo:rustc-cfg=tmpfs_direct");
    }
    println!("cargo:rerun-if-changed=/proc/sys/kernel/osrelease");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=include");
    Ok(())
}

/// Returns the version of the running kernel: tmpfs supports O_DIRECT since 6.6.
fn kernel_version() -> Option<(u32, u32)> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    let mut numbers = release.split(['.', '-']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Writes a Rust macro for each table. The rows, including their comments, are valid tokens in both C and Rust.
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

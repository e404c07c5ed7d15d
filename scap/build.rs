//! Wraps the tables of `include/` in Rust macros.

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
};

/// Each table of `include/`, and the macro that passes its rows on.
const TABLES: &[(&str, &str)] = &[
    ("events.def", "with_events"),
    ("params.def", "with_params"),
    ("flags.def", "with_flags"),
    ("effects.def", "with_effects"),
    ("extensions.def", "with_extensions"),
    ("layouts.def", "with_layouts"),
    ("io_uring.def", "with_io_uring"),
    ("syscalls.def", "with_syscalls"),
];

/// The rows are C and Rust tokens at once: a comment of either language is one of both.
fn main() -> Result<(), Box<dyn Error>> {
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
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo did not set OUT_DIR")?);
    fs::write(out.join("tables.rs"), text)?;
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=include");
    Ok(())
}

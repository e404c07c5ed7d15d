//! Tells the tests where they are. (bpf/build.rs builds the BPF object, scap/build.rs wraps the tables of events.)

use std::{env, error::Error, fs};

fn main() -> Result<(), Box<dyn Error>> {
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
    Ok(())
}

/// Returns the version of the running kernel: tmpfs supports O_DIRECT since 6.6.
fn kernel_version() -> Option<(u32, u32)> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    let mut numbers = release.split(['.', '-']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

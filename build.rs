//! Tells the tests where they are. (bpf/build.rs builds the BPF object, scap/build.rs wraps the tables of events.)

use std::{env, error::Error, fs};

fn main() -> Result<(), Box<dyn Error>> {
    // For the test that compiles mistakes.
    let headers = env::var("DEP_BPF_INCLUDE")?;
    println!("cargo:rustc-env=SCAPD_LIBBPF_HEADERS={headers}");
    // For tests that need it: those of a machine that lacks it are then reported as ignored.
    println!("cargo:rustc-check-cfg=cfg(tmpfs_direct)");
    if kernel_version().is_some_and(|version| version >= (6, 6)) {
        println!("cargo:rustc-cfg=tmpfs_direct");
    }
    println!("cargo:rerun-if-changed=/proc/sys/kernel/osrelease");
    println!("cargo:rerun-if-changed=build.rs");
    Ok(())
}

/// The version of the kernel that builds: tmpfs knows O_DIRECT from 6.6 on.
fn kernel_version() -> Option<(u32, u32)> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    let mut numbers = release.split(['.', '-']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#!/bin/bash
# Runs cargo for arm64 on an x86-64 machine: cargo-arm64.sh build --locked
#
# clang compiles the C code, and Rust's own linker links it with Debian's libraries for arm64. The only cross toolchain
# needed is Rust's standard library, which rustup fetches.

set -euo pipefail
source "$(dirname "$0")/lib.sh"

[ $# -ge 1 ] || die "usage: cargo-arm64.sh COMMAND [ARG...]"
command=$1 target=aarch64-unknown-linux-gnu
shift
need cargo clang rustc
debian_arch=arm64
root=$(in_cache root)
[ -d "$root" ] || debian_root bookworm "$root" libelf-dev libgcc-12-dev

sysroot=$(rustc --print sysroot)
if [ ! -d "$sysroot/lib/rustlib/$target" ]; then
	need rustup
	rustup target add "$target"
fi
linker=$sysroot/lib/rustlib/$(rustc -vV | sed -n 's/^host: //p')/bin/gcc-ld/ld.lld
[ -x "$linker" ] || die "$linker is missing: install Rust with rustup"

flags="--target=aarch64-linux-gnu --sysroot=$root"
libraries=$root/usr/lib/aarch64-linux-gnu
export CC_aarch64_unknown_linux_gnu=clang CFLAGS_aarch64_unknown_linux_gnu=$flags
export LIBBPF_SYS_LIBRARY_PATH_aarch64_unknown_linux_gnu=$libraries
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=clang
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS="-C strip=symbols -C link-arg=--ld-path=$linker"
for flag in $flags; do
	CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS+=" -C link-arg=$flag"
done
export BPF_CFLAGS="-idirafter $root/usr/include/aarch64-linux-gnu"
exec cargo "$command" --target "$target" "$@"

#!/bin/bash
# Checks that the crate in scap/ compiles for systems other than Linux, and that its package is complete. Uses Debian
# sid's rustc, with its standard library for WebAssembly, from a folder in the cache (see lib.sh).

set -euo pipefail
source "$(dirname "$0")/lib.sh"
cd "$(dirname "$0")/.."

root=$cache/rust-sid
[ -d "$root" ] || debian_root sid "$root" rustc libstd-rust-dev-wasm32

# The compiler runs with the libraries of its own release.
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cat >"$tmp/rustc" <<EOF
#!/bin/sh
exec $root/lib64/ld-linux-x86-64.so.2 --library-path $root/usr/lib/x86_64-linux-gnu \\
	$root/usr/bin/rustc --sysroot $root/usr "\$@"
EOF
chmod +x "$tmp/rustc"

export RUSTC=$tmp/rustc CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/portable
say "$("$RUSTC" --version)"
check "scap/ compiles for WebAssembly" \
	cargo check --quiet --locked -p scapd-captures --target wasm32-unknown-unknown
unset RUSTC
check "the package of scap/ builds" cargo package --quiet --locked --allow-dirty -p scapd-captures
finish

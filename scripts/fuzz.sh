#!/bin/bash
# Fuzzes every parser of scapd: see fuzz/src/lib.rs.
#
#   fuzz.sh run SECONDS [TARGET...]    runs each target (default: all) for that time, on one CPU
#   fuzz.sh keep                       adds the inputs found to the committed corpora, and minimizes these
#
# A run collects its inputs in fuzz/found/, which is not in the repository. An input that fails is in fuzz/artifacts/:
# `cargo +nightly fuzz run TARGET FILE` repeats it.

set -euo pipefail
source "$(dirname "$0")/lib.sh"
cd "$(dirname "$0")/.."

cargo +nightly --version >/dev/null 2>&1 || die "a nightly toolchain is needed: run 'rustup toolchain install nightly'"
cargo +nightly fuzz --version >/dev/null 2>&1 || cargo install --locked cargo-fuzz

# fuzz TARGET DIR... -- OPTION...: without a sanitizer, as the parsers have little unsafe code and it slows them down.
fuzz() { cargo +nightly fuzz run --sanitizer none "$@"; }

case ${1:-} in
run)
	seconds=${2:?"usage: fuzz.sh run SECONDS [TARGET...]"}
	shift 2
	mapfile -t targets < <(cargo +nightly fuzz list)
	[ $# = 0 ] || targets=("$@")
	for target in "${targets[@]}"; do
		mkdir -p "fuzz/found/$target"
		say "$target, for $seconds s"
		fuzz "$target" "fuzz/found/$target" "fuzz/corpus/$target" -- -max_total_time="$seconds" -max_len=16384 \
			-timeout=10 -rss_limit_mb=2048 -print_final_stats=1
	done
	;;
keep)
	for target in $(cargo +nightly fuzz list); do
		mkdir -p "fuzz/found/$target" "fuzz/corpus/$target"
		fresh=$(mktemp -d "fuzz/found/$target.XXXX")
		# Keep one short input for each branch, not one for each count of its executions.
		fuzz "$target" "$fresh" "fuzz/corpus/$target" "fuzz/found/$target" -- \
			-set_cover_merge=1 -use_counters=0 -max_len=512
		rm -rf "fuzz/corpus/$target"
		mv "$fresh" "fuzz/corpus/$target"
		chmod 755 "fuzz/corpus/$target"
		say "$target: $(find "fuzz/corpus/$target" -type f | wc -l) inputs, $(du -sb "fuzz/corpus/$target" | cut -f1) bytes"
	done
	;;
*)
	die "usage: fuzz.sh run SECONDS [TARGET...] | keep"
	;;
esac

#!/bin/bash
# Boots Debian's kernels in emulation with the built program, and runs guest-test.sh on each.
#
#   test-kernels.sh SCAPD [SUITE...]        by default bullseye (5.10), bookworm (6.1), trixie (6.12) and sid (7.x)

set -euo pipefail
source "$(dirname "$0")/lib.sh"

if [ $# -lt 1 ] || [ ! -x "$1" ]; then die "usage: test-kernels.sh SCAPD [SUITE...] (the program, built)"; fi
scapd=$1 scripts=$(dirname "$0")
shift
[ $# -gt 0 ] || set -- bullseye bookworm trixie sid
need ldd strip

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
guest=$tmp/guest
mkdir -p "$guest/bin"
cp "$scripts/guest-test.sh" "$guest/bin/"

# add_program FILE: into the guest, with its libraries where the program looks for them.
add_program() {
	local library

	strip -o "$guest/bin/$(basename "$1")" "$1"
	for library in $(ldd "$1" | grep -o '/[^ ]*'); do
		install -D "$library" "$guest$library"
	done
}
add_program "$scapd"
[ ! -x "$(dirname "$scapd")/examples/hammer" ] || add_program "$(dirname "$scapd")/examples/hammer"

for suite in "$@"; do
	status=0
	SECONDS=0
	"$scripts/kernel-vm.sh" "$suite" "$guest" guest-test.sh >"$tmp/output" || status=$?
	cat "$tmp/output"
	passed=$((passed + $(grep -c '^ok: ' "$tmp/output" || true)))
	failed=$((failed + $(grep -c '^NOT OK: ' "$tmp/output" || true)))
	# 1: the guest said what failed. Anything else is a guest that did not come to its end.
	[ "$status" -le 1 ] || not_ok "$suite: exit status $status"
	say "$suite: $SECONDS seconds"
done
finish

#!/bin/bash
# Boots a Debian kernel in emulation with two CPUs, and runs guest-hotplug.sh there: one CPU goes offline and online
# while events are recorded.
#
#   test-hotplug.sh SCAPD [SUITE...]        by default trixie (6.12)

set -euo pipefail
source "$(dirname "$0")/lib.sh"

if [ $# -lt 1 ] || [ ! -x "$1" ]; then die "usage: test-hotplug.sh SCAPD [SUITE...] (the program, built)"; fi
scapd=$1 hammer=$(dirname "$1")/examples/hammer scripts=$(dirname "$0")
shift
[ -x "$hammer" ] || die "$hammer is missing: build it with cargo build --example hammer"
[ $# -gt 0 ] || set -- trixie
need ldd strip

make_guest guest-lib.sh guest-hotplug.sh
add_program "$scapd" scapd
add_program "$hammer" hammer

for suite in "$@"; do
	status=0
	"$scripts/kernel-vm.sh" -n 2 "$suite" "$guest" guest-hotplug.sh >"$tmp/output" || status=$?
	cat "$tmp/output"
	passed=$((passed + $(grep -c '^ok: ' "$tmp/output" || true)))
	failed=$((failed + $(grep -c '^NOT OK: ' "$tmp/output" || true)))
	# 1: the guest has reported what failed. Any other status means that it did not finish.
	[ "$status" -le 1 ] || not_ok "$suite: exit status $status"
done
finish

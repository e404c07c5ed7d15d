#!/bin/bash
# Boots a Debian kernel in emulation, on one CPU, with its default preemption and with preempt=full, and runs
# guest-stress.sh there: the hammer, for SECONDS in total on each.
#
#   stress-kernels.sh HAMMER SECONDS [SUITE]        by default sid (7.x)
#
# Environment: PREEMPTION selects one of the two (default, full). Both may run at the same time.

set -euo pipefail
source "$(dirname "$0")/lib.sh"

if [ $# -lt 2 ] || [ ! -x "$1" ]; then die "usage: stress-kernels.sh HAMMER SECONDS [SUITE] (the example, built)"; fi
hammer=$1 seconds=$2 suite=${3:-sid} scripts=$(dirname "$0")
need ldd strip

make_guest guest-stress.sh
add_program "$hammer" hammer

# Leaves time for a slow guest and for what it does besides.
limit=$((seconds * 2 + 300))
for preemption in ${PREEMPTION:-default full}; do
	arguments=
	[ "$preemption" = default ] || arguments=preempt=$preemption
	status=0
	"$scripts/kernel-vm.sh" -t $limit -m 1024 -c "$arguments" "$suite" "$guest" guest-stress.sh "$seconds" |
		tee "$tmp/output" || status=$?
	passed=$((passed + $(grep -c '^ok: ' "$tmp/output" || true)))
	[ "$status" = 0 ] || not_ok "$suite, preemption $preemption: exit status $status"
done
finish

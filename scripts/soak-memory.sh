#!/bin/bash
# Records a hundred million events into a file, and checks that the recorder's memory does not grow.
#
#   soak-memory.sh SCAPD GENERATE [EVENTS]        the two programs, built; as root
#
# Two processes read and write on the last CPU; the recorder has the first one. The file takes about 11 GB in SOAK_DIR
# (default /var/tmp), and is removed at the end. The memory (VmRSS) is sampled every half second: the median of the last
# tenth must not exceed that of the second tenth by more than 3 %.

set -euo pipefail
source "$(dirname "$0")/lib.sh"

if [ $# -lt 2 ] || [ ! -x "$1" ] || [ ! -x "$2" ]; then die "usage: soak-memory.sh SCAPD GENERATE [EVENTS]"; fi
scapd=$1 generate=$2 events=${3:-100000000}
need awk df nice taskset
[ "$(id -u)" = 0 ] || die "run this as root"

# The disk space needed: 112 bytes for an event and its block on average, plus a fifth.
gigabytes=$((events * 112 * 12 / 10 / 1000000000 + 1))
free=$(df -B1000000000 --output=avail "${SOAK_DIR:-/var/tmp}" | tail -n 1)
[ "$free" -ge "$gigabytes" ] ||
	die "${SOAK_DIR:-/var/tmp} has $free GB free, and $gigabytes GB are needed: set SOAK_DIR to another directory"
tmp=$(mktemp -d -p "${SOAK_DIR:-/var/tmp}" soak-memory.XXXXXX)
trap 'rm -rf "$tmp"' EXIT

# Four events for each iteration, two generators, and a tenth more for the warm-up of the generators.
iterations=$((events * 10 / (4 * 2 * 11) + 1))
last_cpu=$(($(nproc --all) - 1))
# shellcheck disable=SC2016 # for the inner shell
generators='"$0" read-write --iterations "$1" & "$0" read-write --iterations "$1" & wait'
nice -n -10 taskset -c 0 "$scapd" record -q --stats-file "$tmp/stats.json" -w "$tmp/soak.scap" -- \
	nice -n 10 taskset -c "$last_cpu" sh -c "$generators" "$generate" "$iterations" >"$tmp/said" &
recorder=$!
SECONDS=0
while rss=$(awk '/^VmRSS:/ { print $2 }' "/proc/$recorder/status" 2>/dev/null) && [ -n "$rss" ]; do
	echo "$SECONDS $rss"
	sleep 0.5
done >"$tmp/samples"
wait "$recorder" || not_ok "the recorder's exit status: $?"
took=$SECONDS bytes=$(stat -c %s "$tmp/soak.scap")

# number NAME: prints a number of the statistics.
number() {
	sed -n "s/^  \"$1\": \([0-9]*\),*$/\1/p" "$tmp/stats.json" | sed 1q
}
seen=$(number seen) written=$(number written) lost=$(number lost)
echo "$(uname -r): $seen events seen, $written written, $lost lost, $bytes bytes, in $took seconds"
awk '{ rss[NR] = $2 } END {
	for (i = 0; i < 20; i++) { n = int(1 + i * (NR - 1) / 19); printf "%s%d", i ? " " : "VmRSS in KiB: ", rss[n] }
	print ""
}' "$tmp/samples"

# median FROM TO: prints the median of the samples from one tenth to another.
median() {
	awk -v from="$1" -v to="$2" '{ rss[NR] = $2 } END {
		for (i = int(NR * from / 10) + 1; i <= int(NR * to / 10); i++) print rss[i]
	}' "$tmp/samples" | sort -n | awk '{ rss[NR] = $1 } END { print rss[int((NR + 1) / 2)] }'
}
early=$(median 1 2) late=$(median 9 10)
echo "median of the second tenth: $early KiB, of the last: $late KiB"

check() {
	local what=$1
	shift
	if "$@"; then ok "$what"; else not_ok "$what"; fi
}
check "$events events or more" [ "$seen" -ge "$events" ]
check 'seen = written + lost' [ "$seen" = $((written + lost)) ]
check 'nothing lost' [ "$lost" = 0 ]
check 'the memory does not grow' [ $((late * 100)) -le $((early * 103)) ]
finish

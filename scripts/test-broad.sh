#!/bin/bash
# Records a workload that makes most system calls (broad-workload.sh), and reads the capture with scapd, sysdig, tshark
# and strato. Checks that no event is malformed, and that they agree on the number of events of each type and on the
# parameters.
#   test-broad.sh SCAPD [DIR]        DIR keeps the capture, and the output of the readers
# Needs root. The workload's programs are fetched into the cache, and run in namespaces of their own. Takes ten minutes.

set -euo pipefail
source "$(dirname "$0")/lib.sh"
source "$(dirname "$0")/counts.sh"

if [ $# -lt 1 ] || [ $# -gt 2 ] || [ ! -x "$1" ]; then die "usage: test-broad.sh SCAPD [DIR] (the program, built)"; fi
[ "$(id -u)" = 0 ] || { as_root "$0" "$@"; exit; }
need perl flock unshare
scapd=$(realpath "$1")
scripts=$(realpath "$(dirname "$0")")
root=$cache/workload

fetch_workload() {
	lock_cache
	[ -d "$root" ] || debian_root bookworm "$root" bash coreutils stress-ng gcc libc6-dev curl python3 \
		libpython3.11-testsuite iproute2
	printf '%s localhost\n' 127.0.0.1 ::1 >"$root/etc/hosts"
	exec 9>&-
}
fetch_workload

if [ $# = 2 ]; then
	tmp=$(realpath "$2")
else
	tmp=$(mktemp -d)
	trap 'rm -rf "$tmp"' EXIT
fi
mkdir -p "$tmp/parts"
cd "$tmp"
export TZ=UTC

# verified: checks that the capture is complete, and that every event has the form of its type.
verified() {
	runs "the capture is complete" "$scapd" verify broad.scap || return 1
	"$scapd" read broad.scap >scapd.txt
	if "$scapd" read --json broad.scap | grep -m1 '{"invalid":' >invalid.txt || grep -m1 '<invalid ' scapd.txt >>invalid.txt; then
		not_ok "no parameter is malformed: $(head -n1 invalid.txt)"
	else
		ok "no parameter is malformed"
	fi
}

# which_calls: prints how many of the calls with their own programs were made, and the names of the others.
which_calls() {
	"$scapd" list syscalls --json >calls.json
	# shellcheck disable=SC2016 # variables of jq
	read_by sid jq -r --slurpfile info /mnt/broad.json '
		([$info[0].by_type[].number] | unique) as $seen
		| map(select(.program)) | (map(select(.exit_event | IN($seen[]))) | length) as $made
		| "\($made) of \(length) calls with a program of their own were made; not made: \(map(select(.exit_event | IN($seen[]) | not).name) | join(" "))"
	' <calls.json
}

if runs "record" "$scapd" record -q -w broad.scap --buffer-size 64M -- "$scripts/broad-namespace.sh" "$root" "$tmp/parts" &&
	"$scapd" info --json broad.scap >broad.json && verified; then
	which_calls
	known=$(counts_in broad "$shown")

	read_by sid sysdig -r broad.scap -p '*%evt.time %thread.tid %evt.dir %evt.type %evt.args' >sysdig.txt
	same "sysdig counts what scapd counts" "$known" "$(cut -d' ' -f4 sysdig.txt | count)"
	parameters >parameters.txt
	if perl "$scripts/compare-lines.pl" parameters.txt scapd.txt sysdig.txt >differ.txt && [ ! -s differ.txt ]; then
		ok "sysdig prints the parameters that scapd prints"
	else
		not_ok "sysdig prints other parameters than scapd"
		cat differ.txt
	fi
	same "tshark counts what scapd counts" "$(counts_in broad true .number)" \
		"$(types_by_tshark broad.scap | count)"
	same "strato counts what scapd counts" "$known" "$(read_by sid strato -r broad.scap -T fields -e evt.type | count)"
fi

finish || {
	sed 's/^/readers: /' errors 2>/dev/null | tail -n 20 >&2
	exit 1
}

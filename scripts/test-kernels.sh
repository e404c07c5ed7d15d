#!/bin/bash
# Boots Debian's kernels in emulation, runs guest-test.sh on each with the built program, and prints a table of the
# results.
#
#   test-kernels.sh [-a ARCH] [-j JOBS] [-k TESTS] SCAPD [SUITE...]
#
# The default suites are sid (7.x), trixie (6.12), bookworm (6.1) and bullseye (5.10). TESTS are the kernel tests, built
# by `cargo test --test kernel --no-run`. ARCH is amd64 (the default), or arm64 for programs built by cargo-arm64.sh.
# A guest has one CPU, so as many run at a time as this machine has; JOBS is another number.

set -euo pipefail
source "$(dirname "$0")/lib.sh"

scripts=$(dirname "$0") tests='' seconds=1800 jobs=$(nproc)
while getopts a:j:k: option; do
	case $option in
	a) debian_arch=$OPTARG ;;
	j) jobs=$OPTARG ;;
	k) tests=$OPTARG ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))
if [ $# -lt 1 ] || [ ! -x "$1" ] || { [ -n "$tests" ] && [ ! -x "$tests" ]; }; then
	die "usage: test-kernels.sh [-a ARCH] [-j JOBS] [-k TESTS] SCAPD [SUITE...] (the program and the kernel tests, built)"
fi
scapd=$1
shift
# The emulation of arm64 takes twice as long.
[ "$debian_arch" = amd64 ] || seconds=3600
# Those that take longest come first.
[ $# -gt 0 ] || set -- sid trixie bookworm bullseye
need chrt ldd nproc strip

# program NAME: prints the path of a program of Debian's for the guest.
program() {
	local package=coreutils dir

	if [ "$debian_arch" = amd64 ]; then
		type -P "$1"
		return
	fi
	[ "$1" != chrt ] || package=util-linux
	dir=$(in_cache "$package")
	debian_unpack bookworm "$package" "$dir"
	find "$dir" -path "*/bin/$1" | sed 1q
}

make_guest guest-lib.sh guest-test.sh

add_program "$scapd" scapd
add_program "$(dirname "$scapd")/examples/hammer" hammer
if [ -n "$tests" ]; then
	add_program "$tests" kernel
	# The tests run some of these by other names, which busybox does not accept; it has no chrt.
	for program in true false chrt; do
		add_program "$(program $program)" $program
	done
fi

# boot SUITE: runs the guest. Its output, its exit status and its seconds are in files then.
boot() {
	local status=0

	SECONDS=0
	"$scripts/kernel-vm.sh" -a "$debian_arch" -t "$seconds" -k overlay "$1" "$guest" guest-test.sh >"$tmp/$1.output" ||
		status=$?
	echo "$status" >"$tmp/$1.status"
	say "$1: $SECONDS seconds"
}

# said SUITE REGEX: prints the rest of the first line of the guest's output that starts with it; - if there is none.
said() {
	sed -n "s/^$2//p" "$tmp/$1.output" | sed 1q | grep . || echo -
}

# row SUITE: prints its line of the table.
row() {
	local way

	printf '| %s (%s) | %s |' "$(said "$1" 'kernel: ')" "$1" "$(said "$1" 'programs: ')"
	for way in btf tracepoint; do
		printf ' %s |' "$(said "$1" "kernel tests by $way: ")"
	done
	printf ' %s |\n' "$(sed -n 's/^not testable here: //p' "$tmp/$1.output" | sort -u | wc -l)"
}

# report SUITE: prints what the guest said, and counts its checks.
report() {
	cat "$tmp/$1.output"
	passed=$((passed + $(grep -c '^ok: ' "$tmp/$1.output" || true)))
	failed=$((failed + $(grep -c '^NOT OK: ' "$tmp/$1.output" || true)))
	# 1: the guest has reported what failed. Any other status means that it did not finish.
	[ "$(cat "$tmp/$1.status")" -le 1 ] || not_ok "$1: exit status $(cat "$tmp/$1.status")"
}

for suite in "$@"; do
	[ "$(jobs -pr | wc -l)" -lt "$jobs" ] || wait -n
	boot "$suite" &
done
wait
for suite in "$@"; do
	report "$suite"
done
echo '| kernel | programs accepted | kernel tests by btf | by tracepoint | not testable |'
echo '| --- | --- | --- | --- | --- |'
for suite in "$@"; do
	row "$suite"
done
finish

#!/bin/bash
# Boots Debian's kernels in emulation, runs guest-test.sh on each with the built program, and prints a table of the
# results.
#
#   test-kernels.sh [-a ARCH] [-k TESTS] SCAPD [SUITE...]
#
# The default suites are bullseye (5.10), bookworm (6.1), trixie (6.12) and sid (7.x). TESTS are the kernel tests, built
# by `cargo test --test kernel --no-run`. ARCH is amd64 (the default), or arm64 for programs built by cargo-arm64.sh.

set -euo pipefail
source "$(dirname "$0")/lib.sh"

scripts=$(dirname "$0") tests='' seconds=1800
while getopts a:k: option; do
	case $option in
	a) debian_arch=$OPTARG ;;
	k) tests=$OPTARG ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))
if [ $# -lt 1 ] || [ ! -x "$1" ] || { [ -n "$tests" ] && [ ! -x "$tests" ]; }; then
	die "usage: test-kernels.sh [-a ARCH] [-k TESTS] SCAPD [SUITE...] (the program and the kernel tests, built)"
fi
scapd=$1
shift
# The emulation of arm64 takes twice as long.
[ "$debian_arch" = amd64 ] || seconds=3600
[ $# -gt 0 ] || set -- bullseye bookworm trixie sid
need chrt ldd strip

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

# said REGEX: prints the rest of the first line of the guest's output that starts with it; - if there is none.
said() {
	sed -n "s/^$1//p" "$tmp/output" | sed 1q | grep . || echo -
}

# results SUITE: prints a line of the table.
results() {
	local way

	printf '| %s (%s) | %s |' "$(said 'kernel: ')" "$1" "$(said 'programs: ')"
	for way in btf tracepoint; do
		printf ' %s |' "$(said "kernel tests by $way: ")"
	done
	printf ' %s |\n' "$(sed -n 's/^not testable here: //p' "$tmp/output" | sort -u | wc -l)"
}

for suite in "$@"; do
	status=0
	SECONDS=0
	"$scripts/kernel-vm.sh" -a "$debian_arch" -t "$seconds" -k overlay "$suite" "$guest" guest-test.sh >"$tmp/output" || status=$?
	cat "$tmp/output"
	passed=$((passed + $(grep -c '^ok: ' "$tmp/output" || true)))
	failed=$((failed + $(grep -c '^NOT OK: ' "$tmp/output" || true)))
	# 1: the guest has reported what failed. Any other status means that it did not finish.
	[ "$status" -le 1 ] || not_ok "$suite: exit status $status"
	results "$suite" >>"$tmp/table"
	say "$suite: $SECONDS seconds"
done
echo '| kernel | programs accepted | kernel tests by btf | by tracepoint | not testable |'
echo '| --- | --- | --- | --- | --- |'
cat "$tmp/table"
finish

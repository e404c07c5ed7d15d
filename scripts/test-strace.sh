#!/bin/bash
# Compares scapd with strace, call by call, of the same runs: strace traces a workload, and scapd records both. Each workload
# runs twice: strace prints the registers (-e raw=all) in the first run, and what they mean in the second one.
# strace-differences.txt has the differences that must stay.
#
#   test-strace.sh SCAPD [DIR [WORKLOAD...]]      DIR keeps the captures, strace's output and the report
#
# WORKLOAD: those of strace-workload.sh (default: all). Needs root, and ptrace. The programs are fetched into the cache, and
# the workloads run in namespaces of their own. Takes twenty minutes.

set -euo pipefail
source "$(dirname "$0")/lib.sh"

if [ $# = 0 ] || [ ! -x "$1" ]; then die "usage: test-strace.sh SCAPD [DIR [WORKLOAD...]] (the program, built)"; fi
[ "$(id -u)" = 0 ] || { as_root "$0" "$@"; exit; }
need perl flock unshare
perl -MJSON::PP -e 1 2>/dev/null || die "Perl's module JSON::PP is missing (Debian's package perl)"
scapd=$(realpath "$1")
scripts=$(realpath "$(dirname "$0")")
workloads=("${@:3}")
[ ${#workloads[@]} -gt 0 ] || workloads=(compiler tests python stress)
# strace's own programs, which its tests trace, are of this release; strace itself is newer, to know more calls.
root=$cache/strace-tests

# build_tests: builds the programs that strace's own tests trace, in the root, as far as they build there.
build_tests() {
	local source=usr/src/strace

	[ ! -e "$root/$source/tests/built" ] || return 0
	debian_source bookworm strace "$root/$source"
	say "building the programs of strace's tests"
	ln -sf mawk "$root/usr/bin/awk"
	# shellcheck disable=SC2016 # for the inner shell
	unshare --mount bash -euc '
		mount --rbind /dev "$1/dev"
		exec unshare --root="$1" --wd="/$2" env -i PATH=/usr/sbin:/usr/bin HOME=/root CONFIG_SHELL=/bin/bash bash -euc "
			./configure -q --enable-mpers=no --disable-gcc-Werror --without-libunwind --without-libdw --with-libselinux=no
			make -s -j2 -k -C bundled
			make -s -j2 -k -C src headers
			make -s -j2 -k -C tests check TESTS=
		"
	' build "$root" "$source" >"$cache/strace-tests.log" 2>&1 || say "not all of them build: see $cache/strace-tests.log"
	[ -x "$root/$source/tests/statx" ] || die "strace's tests do not build: see $cache/strace-tests.log"
	touch "$root/$source/tests/built"
}

fetch() {
	lock_cache
	[ -d "$cache/strace" ] || debian_root trixie "$cache/strace" strace
	[ -d "$root" ] || debian_root bookworm "$root" bash coreutils stress-ng gcc libc6-dev python3 libpython3.11-testsuite \
		make mawk sed grep diffutils findutils perl-base iproute2
	build_tests
	printf '%s localhost\n' 127.0.0.1 ::1 >"$root/etc/hosts"
	exec 9>&-
}
fetch
strace=("$cache/strace/lib64/ld-linux-x86-64.so.2" --library-path "$cache/strace/usr/lib/x86_64-linux-gnu"
	"$cache/strace/usr/bin/strace")

if [ $# -ge 2 ]; then
	mkdir -p "$2"
	tmp=$(realpath "$2")
else
	tmp=$(mktemp -d)
	trap 'rm -rf "$tmp"' EXIT
fi
mkdir -p "$tmp/parts"
cd "$tmp"
export TZ=UTC

# traced WORKLOAD PASS OPTION...: runs it under strace with these options, and records that.
traced() {
	local workload=$1 run=$1.$2

	shift 2
	rm -f "$run".{scap,strace}
	# strace's own messages say what it cannot read.
	runs "record $run" "$scapd" record -q --on-loss fail --buffer-size 256M -s 256 -w "$run.scap" -- \
		"${strace[@]}" -f -n -q -a 1 -o "$run.strace" "$@" \
		"$scripts/broad-namespace.sh" "$root" "$tmp/parts" "$scripts/strace-workload.sh" "$workload" 2>"$run.errors"
}

runs=()
export WHOLE=$(($# < 3))
for workload in "${workloads[@]}"; do
	traced "$workload" raw -e raw=all && traced "$workload" decoded -v -s 256 && runs+=("$workload")
done
while IFS=$'\t' read -r result text; do
	case $result in
	ok) ok "$text" ;;
	*) not_ok "$text" ;;
	esac
done < <(SCAPD=$scapd ROOT=$scripts/.. REPORT=report.txt perl "$scripts/strace.pl" "${runs[@]}" ||
	printf 'not ok\tstrace.pl fails\n')
[ ! -e report.txt ] || cat report.txt
finish

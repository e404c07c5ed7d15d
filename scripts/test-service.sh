#!/bin/bash
# Boots a fresh Debian with its own kernel and systemd in emulation, runs every command of docs/SERVICE.md in it, and
# those for a service in docs/FLIGHT.md, and checks both in detail.  test-service.sh SCAPD [SUITE...] (the program, built)
#
# The default suites are Debian 12 (bookworm: systemd 252) and 13 (trixie: systemd 257, which has Type=notify-reload).
# Needs root. The system has what the pages presume: make, curl, socat, a service that may fail, and this source with the
# built program.

set -euo pipefail
source "$(dirname "$0")/lib.sh"

if [ $# = 0 ] || [ ! -x "$1" ]; then die "usage: test-service.sh SCAPD [SUITE...] (the program, built)"; fi
[ "$(id -u)" = 0 ] || { as_root "$0" "$@"; exit; }
scripts=$(realpath "$(dirname "$0")")
scapd=$(realpath "$1")
shift
[ $# -gt 0 ] || set -- bookworm trixie
tmp=$(mktemp -d)
trap 'rm -rf --one-file-system "$tmp"' EXIT

# try SUITE: runs everything on that release.
try() {
	local root=$tmp/$1 status=0

	# jq is for guest-service.sh and guest-flight.sh.
	source_system "$1" "$root" "$scapd" make curl socat libelf1 zlib1g jq
	"$scripts/kernel-vm.sh" -s -m 2048 -t 900 "$1" "$root" env -C /src \
		bash -c 'scripts/guest-follow.sh docs/SERVICE.md && scripts/guest-service.sh && scripts/guest-flight.sh' || status=$?
	rm -rf --one-file-system "$root"
	return "$status"
}

for suite; do
	echo "== $suite"
	runs "the service on $suite" try "$suite" || true
done
finish

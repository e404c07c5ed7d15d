#!/bin/bash
# Installs those of the named Debian packages that are not there yet.  apt-install.sh PACKAGE...
# Does nothing, and needs no root and no network, when all of them are.

set -euo pipefail
source "$(dirname "$0")/lib.sh"

command -v dpkg-query >/dev/null || {
	say "this is no Debian: make sure that your system's packages like these are installed: $*"
	exit 0
}
missing=()
for package in "$@"; do
	[ "$(dpkg-query -Wf '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

say "installing ${missing[*]}"
install=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "${missing[@]}")
# The lists may be missing or old: fetched only when the packages cannot be had without.
as_root "${install[@]}" </dev/null 2>/dev/null || {
	as_root apt-get -qq update
	as_root "${install[@]}" </dev/null || die "apt-get cannot install ${missing[*]}"
}

#!/bin/bash
# Installs the named Debian packages that are missing.  apt-install.sh PACKAGE...
# If none is missing, it does nothing, and needs neither root nor network.

set -euo pipefail
source "$(dirname "$0")/lib.sh"

command -v dpkg-query >/dev/null || {
	say "this is not Debian: make sure that your system's equivalents of these packages are installed: $*"
	exit 0
}
missing=()
for package in "$@"; do
	[ "$(dpkg-query -Wf '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

say "installing ${missing[*]}"
install=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "${missing[@]}")
# The package lists may be missing or outdated: fetch them only if the packages cannot be installed without.
as_root "${install[@]}" </dev/null 2>/dev/null || {
	as_root apt-get -qq update
	as_root "${install[@]}" </dev/null || die "apt-get cannot install ${missing[*]}"
}

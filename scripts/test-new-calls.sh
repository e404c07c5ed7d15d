#!/bin/bash
# Fetches the headers of Debian's newest kernel, of sid, and checks that the tables have every call that they list.
#
#   test-new-calls.sh [CARGO-OPTION...]

set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/lib.sh

debian_apt sid
version=$(apt-cache "${APT[@]}" show --no-all-versions linux-libc-dev | sed -n 's/^Version: //p')
[ -n "$version" ] || die "sid has no package linux-libc-dev"
headers=$(in_cache "headers-$version")
debian_unpack sid linux-libc-dev "$headers"
say "the calls of Linux $version"
SCAPD_KERNEL_HEADERS=$headers/usr/include cargo test "$@" --test newest_calls

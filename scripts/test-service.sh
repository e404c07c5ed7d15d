#!/bin/bash
# Boots a fresh Debian 12 with its own kernel and systemd in emulation, and follows docs/SERVICE.md in it, word by word.
#   test-service.sh SCAPD (the program, built)
# As root. For what the page takes as given, make and curl are in that system, and this source with the built program.

set -euo pipefail
source "$(dirname "$0")/lib.sh"

if [ $# != 1 ] || [ ! -x "$1" ]; then die "usage: test-service.sh SCAPD (the program, built)"; fi
[ "$(id -u)" = 0 ] || { as_root "$0" "$@"; exit; }
scripts=$(realpath "$(dirname "$0")")
scapd=$(realpath "$1")
tmp=$(mktemp -d)
trap 'rm -rf --one-file-system "$tmp"' EXIT

debian_system "$tmp/root"
chroot "$tmp/root" apt-get -qq -y --no-install-recommends install make curl libelf1 zlib1g >"$tmp/install" 2>&1 ||
	die "$(tail -n 20 "$tmp/install")"
rm -rf "$tmp"/root/{var/cache/apt,var/lib/apt/lists,usr/share/locale}/*
mkdir -p "$tmp"/root/src/{bpf,include,target/release}
cp -r "$scripts" "$scripts"/../{Makefile,packaging,docs,LICENSE,LICENSES,README.md,CHANGELOG.md} "$tmp/root/src/"
strip -o "$tmp/root/src/target/release/scapd" "$scapd"
"$scripts/kernel-vm.sh" -s -m 2048 -t 900 bookworm "$tmp/root" \
	env -C /src scripts/guest-follow.sh docs/SERVICE.md

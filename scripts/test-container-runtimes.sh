#!/bin/bash
# Boots a fresh Debian 13 with systemd and control groups of version 2 in emulation, with its podman, Docker and containerd, and
# runs guest-containers.sh there. Needs root. Nothing in the guest reaches a network: the image is made of busybox.
#
#   test-container-runtimes.sh SCAPD

set -euo pipefail
source "$(dirname "$0")/lib.sh"

if [ $# != 1 ] || [ ! -x "$1" ]; then die "usage: test-container-runtimes.sh SCAPD (the program, built)"; fi
[ "$(id -u)" = 0 ] || { as_root "$0" "$@"; exit; }
suite=trixie
tmp=$(mktemp -d)
trap 'rm -rf --one-file-system "$tmp"' EXIT
root=$tmp/root

# curl and protobuf-compiler are for cri.sh.
source_system $suite "$root" "$1" podman crun runc uidmap dbus-user-session docker.io docker-cli rootlesskit slirp4netns \
	containerd make curl protobuf-compiler libelf1 zlib1g
lock_cache
debian_unpack $suite golang-github-kubernetes-cri-api-dev "$cache/cri-api-$suite"
exec 9>&-
mkdir -p "$root/usr/share/cri"
# Without the options of one generator for Go.
sed '/gogoproto/d' "$cache/cri-api-$suite/usr/share/gocode/src/k8s.io/cri-api/pkg/apis/runtime/v1/api.proto" \
	>"$root/usr/share/cri/api.proto"
if [ -d "$cache/readers-bookworm" ]; then
	mkdir -p "$root/root/.cache/scapd"
	cp -a "$cache/readers-bookworm" "$root/root/.cache/scapd/"
fi
"$(dirname "$0")/kernel-vm.sh" -s -n 2 -m 5000 -t 1800 -k overlay $suite "$root" env -C /src scripts/guest-containers.sh

#!/bin/bash
# Runs the README's commands first in a fresh clone, on an unprepared machine.
#
#   test-fresh.sh [-s SUITE] [-r ROOT]... [TARGET...]        by default both roots, and the targets run and test
#
# ROOT is `namespace` (this machine in a mount namespace without tracefs, debugfs and bpffs, with its own /tmp and home)
# or `debian` (a Debian SUITE, default trixie, with only gcc, make and Rust). Rust is this machine's, read-only. The
# clone has only what is committed. Needs root. Environment: PROFILE, as for make.

set -euo pipefail
source "$(dirname "$0")/lib.sh"

usage() { die "usage: test-fresh.sh [-s SUITE] [-r namespace|debian]... [TARGET...]"; }

roots=() suite=trixie
while getopts r:s: option; do
	case $option in
	r) roots+=("$OPTARG") ;;
	s) suite=$OPTARG ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
[ ${#roots[@]} -gt 0 ] || roots=(namespace debian)
for root in "${roots[@]}"; do
	case $root in namespace | debian) ;; *) usage ;; esac
done
[ $# -gt 0 ] || set -- run test
[ "$(id -u)" = 0 ] || { as_root "$0" -s "$suite" "${roots[@]/#/-r}" "$@"; exit; }
need git rustc unshare

source_tree=$(realpath "$(dirname "$0")/..")
toolchain=$(rustc --print sysroot)
# On disk: a clone is built in it.
tmp=$(mktemp -d -p /var/tmp scapd-fresh.XXXXXX)
trap 'rm -rf --one-file-system "$tmp"' EXIT
packages=gcc,libc6-dev,make,ca-certificates

# The settings for reaching the crates.
environment=(LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive)
for name in http_proxy https_proxy no_proxy HTTPS_PROXY SSL_CERT_FILE CARGO_HTTP_CAINFO; do
	[ -z "${!name:-}" ] || environment+=("$name=${!name}")
done

# fresh_clone DIR HOME: makes a clone, and a home with only cargo's configuration.
fresh_clone() {
	local configuration=${CARGO_HOME:-$HOME/.cargo}/config.toml

	rm -rf "$1" "$2"
	git -c safe.directory='*' clone -q --no-hardlinks "$source_tree" "$1"
	mkdir -p "$2/.cargo"
	[ ! -f "$configuration" ] || cp "$configuration" "$2/.cargo/"
}

# make_in_namespace TARGET: makes the target on this machine.
make_in_namespace() {
	fresh_clone "$tmp/scapd" "$tmp/home"
	mkdir -p "$tmp/tmp" "$tmp/rust"
	chmod 1777 "$tmp/tmp"
	# shellcheck disable=SC2016 # for the inner bash
	unshare --mount --propagation private bash -euc '
		mount --bind "$2" "$1/rust"
		mount -o remount,bind,ro "$1/rust"
		for type in bpf tracefs debugfs; do
			umount -a -t $type || true
		done
		! grep -E " (bpf|tracefs|debugfs) " /proc/mounts || { echo "these are still mounted" && exit 1; }
		mount --bind "$1/tmp" /tmp
		cd "$1/scapd"
		exec env -i HOME="$1/home" PATH="$1/rust/bin:/usr/sbin:/usr/bin:/sbin:/bin" "${@:3}"
		' - "$tmp" "$toolchain" "${environment[@]}" make "PROFILE=${PROFILE:-release}" "$1" </dev/null
}

# make_in_debian TARGET: makes the target in a new root: each target installs packages. The root is pivoted to, as a
# chroot would show other paths to the kernel than to the tests.
make_in_debian() {
	local root=$tmp/debian

	rm -rf --one-file-system "$root"
	debian_system "$suite" "$root" $packages
	fresh_clone "$root/scapd" "$root/root"
	mkdir -p "$root/opt/rust"
	# Reaching the crates may need other certificates.
	[ -z "${SSL_CERT_FILE:-}" ] || install -D -m 644 "$SSL_CERT_FILE" "$root$SSL_CERT_FILE"
	# shellcheck disable=SC2016 # for the inner bash
	unshare --mount --propagation private bash -euc '
		mount --bind "$1" "$1"
		mount --bind "$2" "$1/opt/rust"
		mount -o remount,bind,ro "$1/opt/rust"
		mount -t proc proc "$1/proc"
		mount -t sysfs sysfs "$1/sys"
		mount --rbind /dev "$1/dev"
		[ ! -e /etc/resolv.conf ] || cat /etc/resolv.conf >"$1/etc/resolv.conf"
		cd "$1"
		pivot_root . .
		umount -l .
		exec env -i -C /scapd HOME=/root PATH=/opt/rust/bin:/usr/sbin:/usr/bin:/sbin:/bin "${@:3}"
		' - "$root" "$toolchain" "${environment[@]}" make "PROFILE=${PROFILE:-release}" "$1" </dev/null
}

for root in "${roots[@]}"; do
	for target in "$@"; do
		check "$root: make $target" "make_in_$root" "$target"
	done
done
finish

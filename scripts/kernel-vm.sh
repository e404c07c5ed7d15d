#!/bin/bash
# Runs a command as root on a Debian release's kernel, in emulation.
#
#   kernel-vm.sh [-t SECONDS] [-m MEGABYTES] SUITE DIR COMMAND [ARG...]
#
# SUITE is bullseye, bookworm, trixie, sid ...: the newest cloud kernel of that release. The contents of DIR are the
# guest's root, to which busybox and its applets are added; COMMAND runs there with an empty standard input. Its output
# comes out on stdout, and its exit status is ours. 124: it took longer than SECONDS (default 300). 125: the guest
# ended by itself; what its console said last is on stderr.
#
# The kernel, busybox and qemu are fetched once, into the cache (see lib.sh); nothing is installed. One CPU, no network,
# no disk; x86-64 only.

set -euo pipefail
source "$(dirname "$0")/lib.sh"

usage() {
	sed -n '2,/^$/{s/^# \{0,1\}//p}' "$0" >&2
	exit 2
}

seconds=300 megabytes=768
while getopts t:m: option; do
	case $option in
	t) seconds=$OPTARG ;;
	m) megabytes=$OPTARG ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
[ $# -ge 3 ] || usage
suite=$1 dir=$2
shift 2
[ -d "$dir" ] || die "$dir is not a folder"
[ "$(uname -m)" = x86_64 ] || die "x86-64 only"

# depends_on PACKAGE REGEX: the first package name in its Depends that matches.
depends_on() {
	apt-cache "${APT[@]}" show --no-all-versions "$1" | sed -n 's/^Depends: //p' | grep -oE "(^|[ ,])$2[^ ,]*" |
		tr -d ' ,' | sed 1q
}

# fetch_kernel: the suite's newest cloud kernel. From 7.x on, linux-image-* only depends on the package that holds it.
fetch_kernel() {
	local image binary

	[ ! -d "$cache/kernels/$suite" ] || return 0
	debian_apt "$suite"
	image=$(depends_on linux-image-cloud-amd64 'linux-image-[0-9]')
	[ -n "$image" ] || die "$suite has no cloud kernel"
	binary=$(depends_on "$image" 'linux-binary-[0-9]' || true)
	debian_unpack "$suite" "${binary:-$image}" "$cache/kernels/$suite"
}

# make_initramfs FILE: DIR with busybox, and an init that runs the command and reports its status on the console.
make_initramfs() {
	local root=$tmp/root busybox=$cache/busybox/usr/bin/busybox

	mkdir -p "$root"/{bin,dev,etc,proc,sys,tmp}
	cp -a "$dir/." "$root/"
	cp "$busybox" "$root/bin/busybox"
	[ -e "$root/etc/passwd" ] || echo 'root:x:0:0:root:/:/bin/sh' >"$root/etc/passwd"
	printf '%q ' "$@" >"$root/command"
	cat >"$root/init" <<-INIT
		#!/bin/busybox sh
		export PATH=/bin:/usr/bin:/sbin:/usr/sbin HOME=/
		/bin/busybox --install -s /bin
		mount -t proc proc /proc
		mount -t sysfs sysfs /sys
		mount -t devtmpfs dev /dev
		mount -t tmpfs tmpfs /tmp
		mount -t tracefs tracefs /sys/kernel/tracing
		ip link set lo up
		stty -F /dev/ttyS1 raw -echo
		setsid sh /command </dev/null >/dev/ttyS1 2>&1
		printf '\n$mark %d\n' \$? >/dev/console
		poweroff -f
	INIT
	chmod +x "$root/init"
	(cd "$root" && find . | "$busybox" cpio -o -H newc -R 0:0 2>/dev/null)
}

# qemu ARG...: the emulator, with the libraries and the firmware of its own release.
qemu() {
	local root=$cache/qemu lib

	lib=$root/usr/lib/x86_64-linux-gnu
	QEMU_MODULE_DIR=$lib/qemu timeout --foreground "$seconds" \
		"$root/lib64/ld-linux-x86-64.so.2" --library-path "$lib" "$root/usr/bin/qemu-system-x86_64" \
		-L "$root/usr/share/qemu" -L "$root/usr/share/seabios" "$@"
}

need flock timeout
mkdir -p "$cache/kernels"
exec 9>"$cache/lock"
flock 9
fetch_kernel
[ -d "$cache/busybox" ] || debian_unpack trixie busybox-static "$cache/busybox"
[ -d "$cache/qemu" ] || debian_root trixie "$cache/qemu" qemu-system-x86 seabios
exec 9>&-
kernel=$(find "$cache/kernels/$suite" -name 'vmlinuz*' -type f | sed 1q)
[ -n "$kernel" ] || die "no kernel image in $cache/kernels/$suite: remove that folder to fetch it again"

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mark="kernel-vm-$RANDOM$RANDOM"
make_initramfs "$@" >"$tmp/initramfs"
: >"$tmp/console"
# Two serial ports: the console, and the command's output.
status=0
qemu -M pc -accel tcg,thread=single -cpu max -smp 1 -m "$megabytes" -nodefaults -no-user-config -display none \
	-no-reboot -serial "file:$tmp/console" -chardev stdio,id=out,signal=off -serial chardev:out \
	-kernel "$kernel" -initrd "$tmp/initramfs" -append 'console=ttyS0 panic=-1 quiet' </dev/null || status=$?
if [ "$status" = 124 ]; then
	say "$suite: not finished after $seconds seconds"
	exit 124
fi
result=$(tr -d '\r' <"$tmp/console" | sed -n "s/^$mark //p")
if [ -z "$result" ]; then
	say "$suite: the guest ended by itself (qemu: $status); its console:"
	tail -n 40 "$tmp/console" >&2
	exit 125
fi
exit "$result"

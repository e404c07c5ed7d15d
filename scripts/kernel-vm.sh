#!/bin/bash
# Runs a command as root on the kernel of a Debian release, in emulation.
#
#   kernel-vm.sh [-s] [-a ARCH] [-t SECONDS] [-m MEGABYTES] [-k MODULE]... [-c ARGUMENTS] [-n CPUS]
#                SUITE DIR COMMAND [ARG...]
#
# SUITE is bullseye, bookworm, trixie, sid ...: the script takes the newest cloud kernel of that release. DIR becomes
# the guest's root, with busybox and its applets added. COMMAND runs there with an empty standard input, after the
# kernel modules are loaded (only modules without dependencies). The script prints its output on stdout and returns its
# exit status, or 124 if it took longer than SECONDS (default 300), or 125 if the guest ended by itself, with the end of
# its console on stderr. ARGUMENTS are added to the kernel's command line.
#
# With -s, DIR has a systemd, which is process 1; COMMAND starts when it has reached multi-user.target.
#
# The kernel, busybox and qemu are fetched once, into the cache (see lib.sh); nothing is installed. CPUS is 1 by
# default. The guest has no network and no disk. ARCH is amd64 (the default) or arm64; this machine must be amd64.

set -euo pipefail
source "$(dirname "$0")/lib.sh"

usage() {
	sed -n '2,/^$/{s/^# \{0,1\}//p}' "$0" >&2
	exit 2
}

seconds=300 megabytes=768 modules=() arguments='' systemd='' cpus=1
while getopts sa:t:m:k:c:n: option; do
	case $option in
	s) systemd=yes ;;
	a) debian_arch=$OPTARG ;;
	t) seconds=$OPTARG ;;
	m) megabytes=$OPTARG ;;
	k) modules+=("$OPTARG") ;;
	c) arguments=$OPTARG ;;
	n) cpus=$OPTARG ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
[ $# -ge 3 ] || usage
suite=$1 dir=$2
shift 2
[ -d "$dir" ] || die "$dir is not a directory"
[ "$(uname -m)" = x86_64 ] || die "this machine must be x86-64"
case $debian_arch in
amd64 | arm64) ;;
*) die "$debian_arch: the architecture must be amd64 or arm64" ;;
esac
console=ttyS0 output=ttyS1
[ "$debian_arch" = amd64 ] || console=ttyAMA0 output=ttyS0
kernel_dir=$(in_cache "kernels/$suite") busybox_dir=$(in_cache busybox) qemu_dir=$(in_cache qemu)

# depends_on PACKAGE REGEX: prints the first package name in its Depends that matches.
depends_on() {
	apt-cache "${APT[@]}" show --no-all-versions "$1" | sed -n 's/^Depends: //p' | grep -oE "(^|[ ,])$2[^ ,]*" |
		tr -d ' ,' | sed 1q
}

# fetch_kernel: fetches the suite's newest cloud kernel. From 7.x on, linux-image-* only depends on the package with it.
fetch_kernel() {
	local image binary

	[ ! -d "$kernel_dir" ] || return 0
	debian_apt "$suite"
	image=$(depends_on "linux-image-cloud-$debian_arch" 'linux-image-[0-9]')
	[ -n "$image" ] || die "$suite has no cloud kernel"
	binary=$(depends_on "$image" 'linux-binary-[0-9]' || true)
	debian_unpack "$suite" "${binary:-$image}" "$kernel_dir"
}

# find_kernel NAME: prints the first of the kernel's files with that name.
find_kernel() {
	find "$kernel_dir"{,-modules} -name "$1" -type f 2>/dev/null | sed 1q || true
}

# fetch_modules: fetches the modules of the same version, if the kernel's own package has none.
fetch_modules() {
	local version

	[ -z "$(find_kernel '*.ko*')" ] || return 0
	version=$(find_kernel vmlinuz)
	version=$(basename "$(dirname "$version")")
	debian_unpack "$suite" "linux-modules-$version" "$kernel_dir-modules"
}

# unpack_module NAME: writes the module to stdout.
unpack_module() {
	local file

	file=$(find_kernel "$1.ko*")
	case $file in
	*.ko) cat "$file" ;;
	*.ko.xz) xz -dc "$file" ;;
	*.ko.zst) zstd -dc "$file" ;;
	*) die "$suite has no kernel module $1" ;;
	esac
}

# start_systemd ROOT: makes systemd process 1, and the command a unit that reports like the init below.
start_systemd() {
	local units=$1/etc/systemd/system

	# On a mount of its own: containers cannot leave the root that the kernel unpacks.
	cat >"$1/init" <<-INIT
		#!/bin/busybox sh
		for module in /modules/*.ko; do
			[ ! -e "\$module" ] || /bin/busybox insmod "\$module"
		done
		/bin/busybox mount -o bind / /mnt
		cd /mnt
		/bin/busybox mount -o move . /
		exec /bin/busybox chroot . /lib/systemd/systemd
	INIT
	ln -sf /lib/systemd/system/multi-user.target "$units/default.target"
	ln -sf /dev/null "$units/serial-getty@$console.service"
	mkdir -p "$units/multi-user.target.wants"
	ln -sf ../kernel-vm.service "$units/multi-user.target.wants/"
	cat >"$units/kernel-vm.service" <<-UNIT
		[Unit]
		After=multi-user.target
		[Service]
		Type=oneshot
		Environment=HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
		ExecStart=/bin/sh /report
	UNIT
	cat >"$1/report" <<-REPORT
		stty -F /dev/$output raw -echo
		sh /command </dev/null >/dev/$output 2>&1
		printf '\n$mark %d\n' \$? >/dev/console
		systemctl poweroff -ff
	REPORT
}

# make_initramfs COMMAND [ARG...]: writes to stdout DIR with busybox, and an init that runs the command and reports its
# status on the console.
make_initramfs() {
	local root=$tmp/root busybox=$busybox_dir/usr/bin/busybox module

	mkdir -p "$root"
	cp -a "$dir/." "$root/"
	mkdir -p "$root"/{bin,dev,etc,modules,proc,sys,tmp}
	cp "$busybox" "$root/bin/busybox"
	[ -e "$root/etc/passwd" ] || echo 'root:x:0:0:root:/:/bin/sh' >"$root/etc/passwd"
	for module in "${modules[@]}"; do
		unpack_module "$module" >"$root/modules/$module.ko"
	done
	printf '%q ' "$@" >"$root/command"
	cat >"$root/init" <<-INIT
		#!/bin/busybox sh
		export PATH=/bin:/usr/bin:/sbin:/usr/sbin HOME=/
		/bin/busybox --install -s /bin
		mount -t proc proc /proc
		mount -t sysfs sysfs /sys
		mount -t devtmpfs dev /dev
		mkdir /dev/shm
		mount -t tmpfs tmpfs /dev/shm
		mount -t tmpfs tmpfs /tmp
		ip link set lo up
		for module in /modules/*.ko; do
			[ ! -e "\$module" ] || insmod "\$module"
		done
		stty -F /dev/$output raw -echo
		setsid sh /command </dev/null >/dev/$output 2>&1
		printf '\n$mark %d\n' \$? >/dev/console
		poweroff -f
	INIT
	chmod +x "$root/init"
	[ -z "$systemd" ] || start_systemd "$root"
	(cd "$root" && find . | "$cache/busybox/usr/bin/busybox" cpio -o -H newc -R 0:0 2>/dev/null)
}

# fetch_qemu: fetches qemu for this machine, with its libraries and its firmware, whatever it emulates.
fetch_qemu() {
	local packages=(qemu-system-x86 seabios)

	[ ! -d "$qemu_dir" ] || return 0
	[ "$debian_arch" = amd64 ] || packages=(qemu-system-arm)
	debian_arch=amd64 debian_root trixie "$qemu_dir" "${packages[@]}"
}

# qemu ARG...: runs the emulator with two serial ports: the console, and the command's output.
qemu() {
	local lib=$qemu_dir/usr/lib/x86_64-linux-gnu machine

	case $debian_arch in
	amd64) machine=(qemu-system-x86_64 -M pc -cpu max -serial "file:$tmp/console" -serial chardev:out) ;;
	arm64)
		machine=(qemu-system-aarch64 -M virt -cpu cortex-a76 -serial "file:$tmp/console"
			-device "pci-serial,chardev=out")
		;;
	esac
	QEMU_MODULE_DIR=$lib/qemu timeout --foreground "$seconds" \
		"$qemu_dir/lib64/ld-linux-x86-64.so.2" --library-path "$lib" "$qemu_dir/usr/bin/${machine[0]}" \
		-L "$qemu_dir/usr/share/qemu" -L "$qemu_dir/usr/share/seabios" -nodefaults -no-user-config \
		-chardev stdio,id=out,signal=off "${machine[@]:1}" "$@"
}

need timeout
lock_cache
mkdir -p "$cache/kernels"
fetch_kernel
[ "${#modules[@]}" = 0 ] || fetch_modules
[ -d "$busybox_dir" ] || debian_unpack trixie busybox-static "$busybox_dir"
debian_arch=amd64 debian_unpack trixie busybox-static "$cache/busybox"
fetch_qemu
exec 9>&-
kernel=$(find_kernel 'vmlinuz*')
[ -n "$kernel" ] || die "no kernel image in $cache/kernels/$suite: remove that directory to fetch it again"

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mark="kernel-vm-$RANDOM$RANDOM"
make_initramfs "$@" >"$tmp/initramfs"
: >"$tmp/console"
status=0
qemu -accel tcg,thread=single -smp "$cpus" -m "$megabytes" -display none -no-reboot -kernel "$kernel" \
	-initrd "$tmp/initramfs" -append "console=$console panic=-1 quiet $arguments" </dev/null || status=$?
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

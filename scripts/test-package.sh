#!/bin/bash
# Installs a Debian package of scapd in a fresh Debian 12, uses it, removes it, and checks that nothing is left. Also
# checks the package with lintian. Needs root.  test-package.sh DEB

set -euo pipefail
source "$(dirname "$0")/lib.sh"

if [ $# != 1 ] || [ ! -f "$1" ]; then die "usage: test-package.sh DEB (one package)"; fi
[ "$(id -u)" = 0 ] || { as_root "$0" "$@"; exit; }
need lintian unshare
deb=$(realpath "$1")
tmp=$(mktemp -d)
trap 'rm -rf --one-file-system "$tmp"' EXIT
root=$tmp/root

# inside COMMAND [ARG...]: runs the command in the root, with the kernel's file systems mounted until it ends.
inside() {
	# shellcheck disable=SC2016 # for the inner bash
	unshare --mount --propagation private bash -c '
		mount -t proc proc "$0/proc" && mount -t sysfs sysfs "$0/sys" && mount --rbind /dev "$0/dev" &&
		exec chroot "$0" env -i \
		PATH=/usr/sbin:/usr/bin DEBIAN_FRONTEND=noninteractive HOME=/root LC_ALL=C.UTF-8 "$@"' "$root" "$@" </dev/null
}

# everything: prints each path in the root with its properties, except what apt and dpkg always write.
everything() {
	(cd "$root" && find . \( -path ./tmp -o -path ./run -o -path ./var/log -o -path ./var/cache -o \
		-path ./var/lib/dpkg -o -path ./var/lib/apt -o -name '*-' \) -prune -o ! -name ld.so.cache \
		\( -type f -printf '%m %u %g %P ' -exec md5sum {} \; -o -printf '%m %u %g %P %l\n' \) | sed 's/ \.\/.*//' | sort)
}

debian_system bookworm "$root"
everything >"$tmp/before"
inside dpkg -l | awk '/^ii/ { print $2 }' >"$tmp/packages"
cp "$deb" "$root/tmp/scapd.deb"

if runs "apt installs it" quietly inside apt-get -qq -y --no-install-recommends install /tmp/scapd.deb; then
	# shellcheck disable=SC2016 # for dpkg-query
	same "dpkg lists it as installed" 'install ok installed' "$(inside dpkg-query -Wf '${Status}' scapd)"
	check "no file is missing or changed" inside dpkg -V scapd
	inside dpkg -L scapd >"$tmp/files"
	inside ldd /usr/bin/scapd >"$tmp/libraries"
	check "the libraries are there" test -z "$(grep 'not found' "$tmp/libraries")"
	check "scapd --version" inside scapd --version
	check "scapd check" inside scapd check
	check "scapd record" inside scapd record -q -w /tmp/x.scap --syscalls openat,execve -- true
	check "scapd verify" inside scapd verify /tmp/x.scap
	check "man scapd" inside man -w scapd
	check "man scapd record" inside man -w scapd record
	inside whatis scapd >"$tmp/whatis" || true
	has "whatis scapd" "$tmp/whatis" '^scapd \(1\) +- Records what a Linux machine does'
	check "the user of the service" inside id scapd
	check "the unit is valid" inside systemd-analyze verify /usr/lib/systemd/system/scapd.service
	check "that of scapd ship is, too" inside systemd-analyze verify /usr/lib/systemd/system/scapd-ship.service
	check "and it is not enabled" test "$(inside systemctl is-enabled scapd-ship || true)" = disabled
	check "it is not enabled" test "$(inside systemctl is-enabled scapd || true)" = disabled
	check "the service's configuration is valid" inside scapd daemon --check
	# The files that an administrator and a run of the service leave.
	inside install -d -o scapd -g scapd -m 700 /var/lib/scapd
	inside install -D /dev/null /etc/scapd/config.d/50-local.toml
	inside touch /var/lib/scapd/a.scap
	check "enable" quietly inside systemctl enable scapd

	check "install it again" quietly inside dpkg -i /tmp/scapd.deb
	same "it stays enabled" enabled "$(inside systemctl is-enabled scapd || true)"
	check "remove" quietly inside apt-get -qq -y remove scapd
	check "the captures and the configuration stay" quietly \
		ls "$root"/var/lib/scapd/a.scap "$root"/etc/scapd/scapd.toml "$root"/etc/scapd/config.d/50-local.toml
	check "the program is gone" test ! -e "$root/usr/bin/scapd"
	check "purge" quietly inside apt-get -qq -y --autoremove purge scapd
	rm -r "$root"/tmp/*
	# The user stays: see packaging/debian/postrm.
	for file in passwd group shadow gshadow; do sed -i '/^scapd:/d' "$root/etc/$file"; done
	everything >"$tmp/after"
	same "no file is left" "$(<"$tmp/before")" "$(<"$tmp/after")"
	same "no dependency is left" "$(<"$tmp/packages")" "$(inside dpkg -l | awk '/^ii/ { print $2 }')"
fi
# The suppressed tag is for Debian's own archive.
check "lintian" lintian --no-cfg --allow-root --fail-on error,warning --suppress-tags initial-upload-closes-no-bugs "$deb"
finish

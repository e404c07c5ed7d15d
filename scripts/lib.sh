# shellcheck shell=bash
# Functions shared by the scripts here; `source` it after `set -euo pipefail`.
#
# Debian packages of other releases are fetched by apt, with separate package lists, and unpacked by dpkg-deb into a
# cache. This installs nothing, changes no file of the system, and needs no root.
#
# Environment: SCAPD_CACHE (default ~/.cache/scapd), SCAPD_DEBIAN_MIRROR (default: the first Debian archive in this
# machine's apt sources).

export LC_ALL=C

cache=${SCAPD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/scapd}

say() { printf '%s: %s\n' "$(basename "$0" .sh)" "$*" >&2; }

die() {
	say "$*"
	exit 1
}

# as_root COMMAND [ARG...]: runs the command as root, with sudo if necessary. Keeps PATH and the cache.
as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo -E env "PATH=$PATH" "SCAPD_CACHE=$cache" "$@"
	else
		die "root is needed for: $*: run this as root, or install sudo"
	fi
}

# need COMMAND...: exits with an error that names the first missing command.
need() {
	local c
	for c in "$@"; do
		command -v "$c" >/dev/null || die "the command '$c' is missing: install it"
	done
}

# lock_cache: makes the cache, and waits until no other script changes it. The lock is on descriptor 9, until that is closed.
lock_cache() {
	need flock
	mkdir -p "$cache"
	exec 9>"$cache/lock"
	flock 9
}

# apt_sources: prints the archives of this machine's apt sources, one on a line.
apt_sources() {
	cat /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources} 2>/dev/null |
		sed -nE 's/^URIs:[[:space:]]*([^[:space:]]+).*/\1/p; s/^deb[[:space:]]+(\[[^]]*\][[:space:]]+)?([^[:space:]]+).*/\2/p' |
		sed 's,/*$,,'
}

# The architecture of the Debian packages to fetch.
debian_arch=amd64

# in_cache NAME: prints the path of NAME in the cache for that architecture.
in_cache() {
	local name=$cache/$1

	[ "$debian_arch" = amd64 ] || name+=-$debian_arch
	echo "$name"
}

# debian_apt SUITE: sets the array APT to options that make apt-get and apt-cache see only that suite.
debian_apt() {
	local suite=$1 dir keys=/usr/share/keyrings/debian-archive-keyring.gpg mirror security option

	dir=$(in_cache "apt/$suite")
	need apt-get apt-cache apt-config dpkg-deb
	APT=(-qq
		-o "Dir::Etc::sourcelist=$dir/sources.list" -o Dir::Etc::sourceparts=/dev/null
		-o Dir::Etc::main=/dev/null -o Dir::Etc::parts=/dev/null
		-o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null
		-o "Dir::State=$dir/state" -o "Dir::State::status=$dir/status" -o "Dir::Cache=$dir/cache"
		-o "APT::Architecture=$debian_arch" -o "APT::Architectures=$debian_arch"
		-o APT::Install-Recommends=false -o APT::Sandbox::User= -o Acquire::Languages=none)
	# Of this machine's settings, keep only those for reaching the archive: hooks would change the system.
	while read -r option; do
		APT+=(-o "$option")
	done < <(apt-config dump --format '%F=%v%n' | grep -iE '^Acquire::https?::.*=.')
	[ -z "$(find "$dir/fetched" -mmin -720 2>/dev/null)" ] || return 0

	[ -e "$keys" ] || die "$keys is missing (Debian's package debian-archive-keyring)"
	mirror=${SCAPD_DEBIAN_MIRROR:-$(apt_sources | grep -m1 '/debian$' || true)}
	[ -n "$mirror" ] || die "no Debian archive in this machine's apt sources: set SCAPD_DEBIAN_MIRROR to one"
	security=$(apt_sources | grep -m1 '/debian-security$' || true)
	say "fetching the package lists of $suite"
	mkdir -p "$dir"/state/lists/partial "$dir"/cache/archives/partial
	: >"$dir/status"
	echo "deb [signed-by=$keys] $mirror $suite main" >"$dir/sources.list"
	case $suite in
	bullseye | bookworm | trixie)
		[ -z "$security" ] || echo "deb [signed-by=$keys] $security $suite-security main" >>"$dir/sources.list" ;;
	esac
	apt-get "${APT[@]}" update >&2 || die "the package lists of $suite cannot be fetched"
	touch "$dir/fetched"
}

# debian_unpack SUITE PACKAGE DEST: unpacks the package without its dependencies.
debian_unpack() {
	local part=$3.part

	[ ! -d "$3" ] || return 0
	debian_apt "$1"
	say "fetching $2 of $1"
	rm -rf "$part"
	mkdir -p "$part/root"
	(cd "$part" && apt-get "${APT[@]}" download "$2" >&2) || die "$2 of $1 cannot be fetched"
	dpkg-deb -x "$part"/*.deb "$part/root"
	mv "$part/root" "$3"
	rm -rf "$part"
}

# debian_source SUITE PACKAGE DEST: unpacks the source of a package, as its authors have released it.
debian_source() {
	local lists=$cache/apt/$1-src part=$3.part apt

	[ ! -d "$3" ] || return 0
	need tar xz
	debian_apt "$1"
	apt=(apt-get "${APT[@]}" -o "Dir::Etc::sourcelist=$lists/sources.list" -o "Dir::State=$lists/state")
	say "fetching the source of $2 of $1"
	mkdir -p "$lists/state/lists/partial"
	sed 's/^deb /deb-src /' "$cache/apt/$1/sources.list" >"$lists/sources.list"
	"${apt[@]}" update >&2 || die "the list of the sources of $1 cannot be fetched"
	rm -rf "$part"
	mkdir -p "$part/unpacked"
	(cd "$part" && "${apt[@]}" source --download-only "$2" >&2) || die "the source of $2 of $1 cannot be fetched"
	tar -xf "$part"/*.orig.tar.?z -C "$part/unpacked" --strip-components=1
	mv "$part/unpacked" "$3"
	rm -rf "$part"
}

# debian_root SUITE DEST PACKAGE... [-- PACKAGE...]: makes a root to chroot into, with these packages and their
# dependencies, and the packages after -- without dependencies. Runs no maintainer scripts.
debian_root() {
	local suite=$1 dest=$2 part=$2.part deb dir alone=()

	shift 2
	debian_apt "$suite"
	rm -rf "$part"
	mkdir -p "$part"/{archives/partial,root/{dev,etc,mnt,proc,tmp}}
	for dir in bin sbin lib lib64; do
		mkdir -p "$part/root/usr/$dir"
		ln -s "usr/$dir" "$part/root/$dir"
	done
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		alone+=("$1")
		shift
	done
	apt-get "${APT[@]}" -o "Dir::Cache::archives=$part/archives" install --download-only -y "${alone[@]}" >&2 ||
		die "${alone[*]} of $suite cannot be fetched"
	[ $# -le 1 ] || (cd "$part/archives" && apt-get "${APT[@]}" download "${@:2}" >&2) ||
		die "${*:2} of $suite cannot be fetched"
	for deb in "$part"/archives/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink -C "$part/root"
	done
	mv "$part/root" "$dest"
	rm -rf "$part"
}

# The root of the guest being assembled.
guest=

# libraries FILE: prints the paths of the libraries that it needs.
libraries() {
	case $debian_arch in
	amd64) ldd "$1" | grep -o '/[^ ]*' ;;
	*) printf '/lib/%s\n' ld-linux-aarch64.so.1 aarch64-linux-gnu/lib{c.so.6,elf.so.1,gcc_s.so.1,m.so.6,z.so.1} ;;
	esac
}

# make_guest SCRIPT...: makes a guest's root at $guest, with scripts of this directory. Removes $tmp at exit.
make_guest() {
	tmp=$(mktemp -d)
	trap 'rm -rf "$tmp"' EXIT
	guest=$tmp/guest
	mkdir -p "$guest/bin"
	(cd "$(dirname "$0")" && cp "$@" "$guest/bin/")
}

# add_program FILE NAME: copies a program and its libraries into $guest. (A static program would need another build of
# everything.)
add_program() {
	local library root=

	[ "$debian_arch" = amd64 ] || root=$(in_cache root)
	strip -o "$guest/bin/$2" "$1" 2>/dev/null || cp "$1" "$guest/bin/$2"
	for library in $(libraries "$1"); do
		install -D "$root$library" "$guest$library"
	done
}

# debian_system SUITE DEST [PACKAGE,...]: makes a Debian with debootstrap and these packages (default: systemd and man),
# in which apt can install others. It is made once, in the cache, and copied. Needs root.
debian_system() {
	local suite=$1 packages=${3:-systemd-sysv,man-db} base=$cache/root-$1${3:+-$3} part

	part=$base.part

	if [ ! -d "$base" ]; then
		need debootstrap
		debian_apt "$suite"
		rm -rf "$part"
		say "installing a Debian $suite in $base"
		debootstrap --variant=minbase --include="$packages" "$suite" "$part" \
			"$(sed -nE '1s/.*\] ([^ ]+) .*/\1/p' "$cache/apt/$suite/sources.list")" >&2
		# Its apt reaches the archive with our settings.
		apt-config dump --format '%F "%v";%n' | grep -iE '^Acquire::https?::.*".+"' >"$part/etc/apt/apt.conf.d/90way" || true
		chroot "$part" apt-get -qq update >&2
		mv "$part" "$base"
	fi
	cp -a "$base" "$2"
}

# source_system SUITE DEST SCAPD PACKAGE...: makes a Debian as debian_system does, for a guest: with these packages, and with this
# source and the program in /src.
source_system() {
	local dest=$2 top log

	top=$(realpath "$(dirname "$0")/..")
	log=$(mktemp)
	debian_system "$1" "$dest"
	chroot "$dest" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "${@:4}" >"$log" 2>&1 ||
		die "$(tail -n 20 "$log")"
	rm -rf "$log" "$dest"/{var/cache/apt,var/lib/apt/lists,usr/share/locale}/*
	mkdir -p "$dest"/src/{bpf,include,target/release}
	cp -r "$top"/{scripts,Makefile,packaging,docs,LICENSE,LICENSES,README.md,CHANGELOG.md} "$dest/src/"
	strip -o "$dest/src/target/release/scapd" "$3"
}

# The checks below print one line each; finish prints their numbers.
passed=0 failed=0

ok() {
	echo "ok: $*"
	passed=$((passed + 1))
}

not_ok() {
	echo "NOT OK: $*"
	failed=$((failed + 1))
}

# same WHAT EXPECTED GOT: checks that two texts are equal and not empty.
same() {
	if [ -n "$2" ] && [ "$2" = "$3" ]; then
		ok "$1"
	else
		not_ok "$1: expected (-), got (+)"
		{ diff -U0 <(echo "$2") <(echo "$3") || true; } | sed 1,2d | head -n 40
	fi
}

# has WHAT FILE REGEX: checks that a line of the file matches.
has() {
	if grep -qE -- "$3" "$2"; then
		ok "$1"
	else
		not_ok "$1: no line of $(basename "$2") matches: $3"
	fi
}

# runs WHAT COMMAND [ARG...]: checks that the command succeeds, and returns 1 otherwise.
runs() {
	local what=$1 status=0

	shift
	"$@" || status=$?
	if [ "$status" = 0 ]; then
		ok "$what"
	else
		not_ok "$what: exit status $status of: $*"
		return 1
	fi
}

# check WHAT COMMAND [ARG...]: the same, but never fails.
check() { runs "$@" || true; }

# quietly COMMAND [ARG...]: shows the command's output only if it fails.
quietly() {
	local said

	said=$("$@" 2>&1) || {
		local status=$?
		echo "$said"
		return "$status"
	}
}

# finish: prints the numbers of checks; fails if a check failed, or if there was none.
finish() {
	echo "$passed passed, $failed failed"
	[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
}

#!/bin/bash
# Runs a program of another Debian release, from the directories that setup-readers.sh and setup-browser.sh made.
#
#   reader.sh RELEASE PROGRAM [ARG...]        e.g. reader.sh sid sysdig -r demo.scap
#
# The program's working directory is the current directory; it sees no other files of this machine. Needs root, for a
# chroot in a mount namespace of its own.

set -euo pipefail
source "$(dirname "$0")/lib.sh"

[ $# -ge 2 ] || die "usage: reader.sh RELEASE PROGRAM [ARG...]"
root=$cache/readers-$1
shift
[ -d "$root" ] || die "$root is missing: run 'make setup-readers' or 'make setup-browser' first"
need unshare
# shellcheck disable=SC2016 # for the inner shell
as_root unshare --mount bash -c '
	set -e
	root=$1
	shift
	mount --rbind /dev "$root/dev"
	mount --rbind /proc "$root/proc"
	mkdir -p "$root/mnt"
	mount --bind "$PWD" "$root/mnt"
	exec unshare --root="$root" --wd=/mnt "$@"
' reader "$root" "$@"

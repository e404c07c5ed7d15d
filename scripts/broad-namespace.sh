#!/bin/bash
# Runs a script in a Debian root, in namespaces of its own: its changes to mounts, processes, the network and the host name
# end with it, and the kernel refuses others.
#
#   broad-namespace.sh ROOT LOGS [SCRIPT [ARG...]]      SCRIPT (default: broad-workload.sh) is called with /tmp and ARG...
#
# It changes nothing on disk but the directory LOGS, the script's /tmp: the script's own directory is in memory, and of
# limited size.

set -euo pipefail

root=$1 logs=$2
shift 2
script=$(realpath "${1:-$(dirname "$0")/broad-workload.sh}")
# shellcheck disable=SC2016 # for the inner shell
exec unshare --user --map-root-user --mount --ipc --uts --net --cgroup --pid --fork --kill-child bash -euc '
	mkdir -p "$1/mnt"
	mount --rbind /dev "$1/dev"
	mount -t proc proc "$1/proc"
	mount -t tmpfs -o size=512m tmpfs "$1/mnt"
	mount --bind "$2" "$1/tmp"
	cp "$3" "$1/mnt/workload.sh"
	mkdir "$1/mnt/home"
	exec unshare --root="$1" --wd=/mnt/home env -i PATH=/usr/sbin:/usr/bin HOME=/mnt/home TMPDIR=/mnt \
		bash /mnt/workload.sh /tmp "${@:4}"
' workload "$root" "$logs" "$script" "${@:2}"

#!/bin/bash
# Records containers of podman, with control groups of version 1 or 2 as the machine has them, and checks the names that they have in captures, also in
# sysdig 0.29 if setup-readers.sh has fetched it. Needs root, and what setup-containers.sh has fetched. Nothing reaches a network:
# the image is made of busybox.
#
#   test-containers.sh SCAPD

set -euo pipefail
source "$(dirname "$0")/lib.sh"
source "$(dirname "$0")/container-lib.sh"

if [ $# != 1 ] || [ ! -x "$1" ]; then die "usage: test-containers.sh SCAPD (the program, built)"; fi
[ "$(id -u)" = 0 ] || { as_root "$0" "$@"; exit; }
need nsenter unshare
scapd=$(realpath "$1")
root=$cache/podman-trixie
[ -d "$root" ] || die "podman is missing: run scripts/setup-containers.sh"

if [ -z "${SCAPD_GROUPS:-}" ]; then
	status=0
	for version in 1 2; do
		SCAPD_GROUPS=$version unshare --mount "$0" "$scapd" || status=1
	done
	exit "$status"
fi

# From here on in a mount namespace, with these control groups and a /run of its own.
mount --make-rprivate /
mount -t tmpfs none /run
if [ "$SCAPD_GROUPS" = 2 ]; then
	umount -l /sys/fs/cgroup
	mount -t cgroup2 none /sys/fs/cgroup
	if ! grep -q memory /sys/fs/cgroup/cgroup.controllers; then
		say "the controllers of this machine are in control groups of version 1: version 2 is not tested"
		exit
	fi
elif mountpoint -q /sys/fs/cgroup/memory; then
	# crun refuses a machine with both.
	umount -l /sys/fs/cgroup/unified 2>/dev/null || true
else
	say "this machine has no control groups of version 1: not tested"
	exit
fi
echo "control groups of version $SCAPD_GROUPS"

tmp=$(mktemp -d)
jail='' service=''
end() {
	if [ -n "$jail" ]; then
		[ -z "$recorder" ] || kill -INT "$recorder" 2>/dev/null || true
		[ -z "$service" ] || kill -CONT "$service" 2>/dev/null || true
		timeout 20 nsenter --mount="/proc/$jail/ns/mnt" podman --storage-driver=vfs rm -f -t 0 --all >/dev/null 2>&1 || true
		# The services, and what else is in podman's mount namespace.
		namespace=$(readlink "/proc/$jail/ns/mnt")
		for process in /proc/[0-9]*; do
			[ "$(readlink "$process/ns/mnt" 2>/dev/null)" != "$namespace" ] || kill -9 "${process#/proc/}"
		done
	fi
	rm -rf "$tmp"
}
trap end EXIT
cd "$tmp"

# podman's root: its own mounts, with this /run.
# shellcheck disable=SC2016 # for the inner shell
unshare --mount bash -c '
	set -e
	mount --bind "$1" "$1"
	cd "$1"
	mkdir -p sys run tmp var/tmp var/lib/containers root data
	for shared in dev sys run; do mount --rbind "/$shared" "$shared"; done
	mount -t proc proc proc
	for own in tmp var/tmp var/lib/containers; do mount -t tmpfs none "$own"; done
	pivot_root . mnt
	umount -l /mnt
	printf "[containers]\npids_limit = 0\n" >/tmp/containers.conf
	touch /run/ready
	exec sleep infinity
' jail "$root" &
jail=$!
disown
for _ in $(seq 100); do [ ! -e /run/ready ] || break; sleep 0.1; done
inside() {
	nsenter --mount="/proc/$jail/ns/mnt" env -i PATH=/usr/sbin:/usr/bin HOME=/root PODMAN_IGNORE_CGROUPSV1_WARNING=1 \
		CONTAINERS_CONF_OVERRIDE=/tmp/containers.conf "$@"
}
podman() { inside podman --storage-driver=vfs --cgroup-manager=cgroupfs --events-backend=file --runtime=crun "$@"; }
box() { podman run --network=none "$@"; }

box_image "$root/usr/bin/busybox" | quietly podman import - docker.io/demo/box:7
mkdir -p /run/podman /run/user/1000/podman
for socket in /run/podman/podman.sock /run/user/1000/podman/podman.sock; do
	podman system service -t 0 "unix://$socket" 2>/dev/null &
	disown
	for _ in $(seq 100); do [ ! -S "$socket" ] || break; sleep 0.1; done
	[ -S "$socket" ] || die "podman does not listen at $socket"
done
service=$(pgrep -n -f 'system service -t 0 unix:///run/podman/' || true)

image=docker.io/demo/box:7
early=$(box -d --name early --label tier=back --privileged "$image" sleep 600)
group=/user.slice/user-1000.slice/user@1000.service
box -d --name session --cgroup-parent="$group" "$image" sleep 600 >/dev/null
inside bash -c "cat /proc/$(podman inspect -f '{{.State.Pid}}' session)/cgroup" >group.txt
has "the group is in a user's session" group.txt "$group/libpod-"

# Each container reads a file once its name is known.
work() {
	podman exec early cat /bin/sh >/dev/null
	podman exec session cat /bin/sh >/dev/null
	box --rm --name web --label tier=front -v /usr/share:/data:ro "$image" \
		sh -c '/bin/sleep 3; /bin/cat /data/doc/base-files/README' >/dev/null
	as_systemd "$early" cat /etc/hostname >/dev/null
}

# as_systemd ID COMMAND [ARG...]: runs the command in a group that is called as systemd calls that of this container of podman.
# sysdig 0.29 knows no other groups of podman.
as_systemd() {
	local folder=/sys/fs/cgroup/memory id=$1

	shift
	[ "$SCAPD_GROUPS" = 1 ] || folder=/sys/fs/cgroup
	folder+=/machine.slice/libpod-$id.scope
	mkdir -p "$folder"
	# shellcheck disable=SC2016 # for the inner shell
	sh -c 'echo $$ >"$0/cgroup.procs"; exec "$@"' "$folder" "$@"
	rmdir "$folder"
}

# Without the other calls that change names: sysdig 0.29 does not know all of them.
record all.scap --only
work
stop
check "nothing is lost" quietly "$scapd" verify all.scap
fields='%container.name|%container.image|%container.type|%container.privileged|%container.label.tier|%container.mounts'
"$scapd" read all.scap -p "*$fields" 'container.id != host and proc.name = cat and evt.type = openat and evt.dir = <' | sort -u >names.txt
same "what the containers are called" "early|$image|podman|true|back|
session|$image|podman|false|<NA>|
web|$image|podman|false|front|/usr/share:/data::false:rprivate" "$(cat names.txt)"
"$scapd" top all.scap --by container.name,image | tail -n +2 >top.txt
has "a summary has the names" top.txt " web +$image\$"
grep -o 'containers: .*' record.log >told.txt || true
has "the recorder says what it found" told.txt '^containers: 3 described by a runtime, 0 unknown to all, 0 without an answer'

if [ -d "$cache/readers-bookworm" ]; then
	# Of processes, those in groups that sysdig knows.
	agrees_with_sysdig all.scap 'proc.name = cat and thread.cgroups contains .scope and evt.dir = <'
	has "sysdig 0.29 has names at the events of processes" sysdig.txt '\|openat\|.*\|early\|'
fi

record series.scap -G 2s
work
stop
check "a series loses nothing" quietly "$scapd" verify series*.scap
for file in $(find . -name 'series*.scap' | sort | tail -n +2); do
	"$scapd" read "$file" -p '*%container.name' 'evt.type = container' | sort -u >known.txt
	has "$file begins with what is known" known.txt '^early$'
done

record filtered.scap 'container.name = web and evt.type = openat'
work
stop
"$scapd" read filtered.scap -p '*%container.name %evt.type' 'not evt.type in (container, notification)' | sort -u >filtered.txt
same "a filter of a recording knows names" "web openat" "$(cat filtered.txt)"

"$scapd" record --only --no-extensions --syscalls execve,clone,vfork,openat --keep 30s -w 'dump-%s.scap' \
	--after 1s --trigger 'container.name = web and proc.name = cat' >record.log 2>&1 &
recorder=$!
sleep 4
work
for _ in $(seq 100); do ! compgen -G 'dump-*.scap' >/dev/null || break; sleep 0.1; done
stop
cat dump-*.scap >dump.scap
check "a dump loses nothing" quietly "$scapd" verify dump.scap
"$scapd" read dump.scap -p '*%container.name' 'proc.name = cat and evt.type = openat' | sort -u >dump.txt
has "a dump has the names" dump.txt '^early$'

# A runtime that hangs.
[ -n "$service" ] || die "the service of podman is not found"
kill -STOP "$service"
began=$SECONDS
record hangs.scap --container-socket /run/podman/podman.sock
podman exec early cat /bin/sh >/dev/null
# It is given five seconds.
sleep 5
stop
kill -CONT "$service"
check "a runtime that hangs delays nothing" [ $((SECONDS - began)) -lt 20 ]
check "with a runtime that hangs, nothing is lost" quietly "$scapd" verify hangs.scap
has "the recorder says that it hangs" record.log 'cannot ask the container runtime at podman:/run/podman/podman.sock: no answer'
same "it says so once" 1 "$(grep -c 'cannot ask' record.log)"
record off.scap --no-containers
podman exec early cat /bin/sh >/dev/null
stop
same "--no-containers asks nobody" 0 "$("$scapd" read off.scap 'evt.type = container' | wc -l)"
finish

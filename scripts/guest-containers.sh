#!/bin/bash
# Runs in the guest of test-container-runtimes.sh: records containers of podman, Docker and containerd, with root and without, in
# groups made by systemd and by the runtimes themselves. Checks what they are called. Then follows docs/CONTAINERS.md to let the
# service ask, and checks that.  guest-containers.sh

set -euo pipefail
source "$(dirname "$0")/lib.sh"
source "$(dirname "$0")/container-lib.sh"

image=docker.io/demo/box:7
id='[0-9a-f]{64}'
pod=11111111-2222-3333-4444-555555555555
user=user.slice/user-1000.slice/user@1000.service
scapd=/src/target/release/scapd
export SYSTEMD_PAGER='' SYSTEMD_COLORS=0
# For each container that runs: how to run a command in it, and what is to be told of it.
commands=() expected=()

# await COMMAND [ARG...]: waits until the command succeeds, for up to a minute.
await() {
	local end=$((SECONDS + 60))

	until "$@" >await.txt 2>&1; do
		[ "$SECONDS" -lt "$end" ] || die "not within a minute: $*: $(tail -n 3 await.txt)"
		sleep 0.5
	done
}

# in_session USER COMMAND [ARG...]: runs the command as a service of that user's manager. Monitors of containers outlive it.
in_session() {
	local name=$1

	shift
	systemd-run --user --machine="$name@.host" --quiet --collect --pipe --wait -p KillMode=process "$@"
}

user_podman() { in_session box podman "$@"; }
user_docker() { in_session box docker -H unix:///run/user/1000/docker.sock "$@"; }

# running PROGRAM NAME TYPE GROUP: adds a container, and checks in which group its process is.
running() {
	cat "/proc/$("$1" inspect -f '{{.State.Pid}}' "$2")/cgroup" >group.txt
	has "$1: $2: its group" group.txt "^0::/$4\$"
	commands+=("$1 exec $2")
	expected+=("$2|$image|$3|back|<NA>|<NA>")
}

# start PROGRAM NAME TYPE GROUP [OPTION...]: starts a container with podman or Docker.
start() {
	quietly "$1" "${@:5}" run -d --name "$2" --label tier=back --network none "$image" sleep 3600
	running "${@:1:4}"
}

# quadlet FOLDER NAME: describes a unit for Quadlet, which puts the container into the unit's own group.
quadlet() {
	mkdir -p "$1"
	printf '%s\n' '[Container]' "ContainerName=$2" "Image=$image" Network=none Label=tier=back 'Exec=sleep 3600' >"$1/$2.container"
}

# configure DRIVER: sets up Docker and containerd to have groups made by systemd, or by themselves (cgroupfs).
configure() {
	local runtime='[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]' is_systemd=false

	[ "$1" != systemd ] || is_systemd=true
	mkdir -p /etc/docker
	cat >/etc/docker/daemon.json <<-END
		{ "iptables": false, "ip6tables": false, "bridge": "none", "exec-opts": ["native.cgroupdriver=$1"] }
	END
	[ -e /tmp/config.toml ] || cp /etc/containerd/config.toml /tmp/
	sed "/^ *\[plugins.\"io.containerd.grpc.v1.cri\"\]\$/a sandbox_image = '$image'" /tmp/config.toml >/etc/containerd/config.toml
	cat >>/etc/containerd/config.toml <<-END
		$runtime
		runtime_type = "io.containerd.runc.v2"
		${runtime%]}.options]
		SystemdCgroup = $is_systemd
	END
	systemctl reset-failed docker.service docker.socket
	systemctl restart containerd docker
	await docker ps
}

# start_pod NAME GROUP PARENT: starts a pod of Kubernetes with a container `shop`.
start_pod() {
	local sandbox config container network='security_context { namespace_options { network: NODE } }'

	config="metadata { name: '$1' uid: '$pod' namespace: 'store' } labels { key: 'app' value: 'shop' } log_directory: '/tmp/logs'
		linux { cgroup_parent: '$3' $network }"
	sandbox=$(made_by RunPodSandbox "config { $config }")
	container=$(made_by CreateContainer "pod_sandbox_id: '$sandbox' sandbox_config { $config } config {
		metadata { name: 'shop' } image { image: '$image' } command: 'sleep' args: '3600' linux { $network }
		labels { key: 'tier' value: 'front' } labels { key: 'io.kubernetes.pod.name' value: '$1' }
		labels { key: 'io.kubernetes.pod.namespace' value: 'store' } labels { key: 'io.kubernetes.pod.uid' value: '$pod' } }")
	quietly "$scripts/cri.sh" StartContainer <<<"container_id: '$container'"
	cat "/proc/$(ctr -n k8s.io tasks ls | awk -v id="$container" '$1 == id { print $2 }')/cgroup" >group.txt
	has "containerd: $1: the group of its container" group.txt "^0::/$2\$"
	commands+=("ctr -n k8s.io tasks exec --exec-id again $container")
	expected+=("shop|$image|containerd|front|$1|store")
}

# made_by METHOD REQUEST: makes a request, and prints the id of what it has made.
made_by() { "$scripts/cri.sh" "$1" <<<"$2" | sed -nE "s/^(pod_sandbox|container)_id: \"(.*)\"/\2/p"; }

# start_user_docker: starts a Docker without root.
start_user_docker() {
	in_session box systemd-run --user --quiet --unit=docker -p Delegate=yes -E PATH=/usr/sbin:/usr/bin \
		-E DOCKERD_ROOTLESS_ROOTLESSKIT_NET=host -E DOCKERD_ROOTLESS_ROOTLESSKIT_PORT_DRIVER=none \
		-E DOCKERD_ROOTLESS_ROOTLESSKIT_DISABLE_HOST_LOOPBACK=false \
		sh /usr/share/docker.io/contrib/dockerd-rootless.sh --iptables=false --ip6tables=false --bridge=none
	# Not `version`, at which it panics without a network of its own.
	await user_docker ps
}

# everyone_reads: reads a file in each container.
everyone_reads() {
	local how words

	for how in "${commands[@]}"; do
		read -ra words <<<"$how"
		check "$how" quietly "${words[@]}" cat /etc/hostname
	done
}

# told_in FILE...: prints what the captures tell of the containers in which that file was read.
told_in() {
	local file

	for file; do
		"$scapd" read "$file" -p "*%container.name|%container.image|%container.type|%container.label.tier|%k8s.pod.name|%k8s.ns.name" \
			'container.id != host and proc.name = cat and evt.type = openat and evt.dir = < and fd.name = /etc/hostname'
	done | sort -u
}

in_order() { printf '%s\n' "${expected[@]}" | sort -u; }

# complains SOCKET: prints how often the service has said that it cannot ask there; fails if it has not.
complains() { journalctl -u scapd -o cat | grep -c "cannot ask the container runtime at $1: Permission denied"; }

mkdir -p /tmp/containers
cd /tmp/containers
echo "Linux $(uname -r); $(systemctl --version | head -n 1)"
podman --version
docker --version
containerd --version
same "control groups of version 2 alone" cgroup2fs "$(stat -fc %T /sys/fs/cgroup)"
useradd -m box
loginctl enable-linger box root
await test -S /run/user/1000/bus -a -S /run/user/0/bus

configure systemd
box_image /bin/busybox >box.tar
quietly podman import box.tar "$image"
quietly user_podman import - "$image" <box.tar
quietly docker import --change 'ENV PATH=/bin' --change 'CMD ["sleep", "3600"]' box.tar "$image"
quietly ctr -n k8s.io images import <(docker save "$image")
start_user_docker
quietly user_docker import - "$image" <box.tar

quadlet /etc/containers/systemd unit
quadlet /etc/containers/systemd/users/1000 user-unit
quadlet /root/.config/containers/systemd root-unit
systemctl daemon-reload
systemctl start unit podman.socket
for name in box root; do in_session "$name" systemctl --user daemon-reload; done
in_session box systemctl --user start user-unit podman.socket
in_session root systemctl --user start root-unit

start podman web podman "machine.slice/libpod-$id.scope/container"
start podman by-runc podman "machine.slice/libpod-$id.scope" --runtime=runc
start podman own podman "libpod_parent/libpod-$id" --cgroup-manager=cgroupfs
running podman unit podman "system.slice/unit.service/libpod-payload-$id"
running podman root-unit podman "user.slice/user-0.slice/user@0.service/app.slice/root-unit.service/libpod-payload-$id"
start user_podman user-web podman "$user/user.slice/libpod-$id.scope/container"
start user_podman user-own podman "$user/app.slice/$id" --cgroup-manager=cgroupfs
running user_podman user-unit podman "$user/app.slice/user-unit.service/libpod-payload-$id"
start docker docker docker "system.slice/docker-$id.scope"
start user_docker user-docker docker "$user/user.slice/docker-$id.scope"
start_pod shop-1 "kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod${pod//-/_}.slice/cri-containerd-$id.scope" \
	"kubepods-besteffort-pod${pod//-/_}.slice"

# Without the other calls that change names: sysdig 0.29 does not know all of them.
record all.scap --only
# In emulation, runtimes take seconds to answer.
sleep 30
everyone_reads
# Runtimes answer when they have started a container.
later=()
for program in podman user_podman docker user_docker; do
	quietly "$program" run --rm --name "later-$program" --label tier=back --network none "$image" \
		sh -c '/bin/sleep 20; /bin/cat /etc/hostname' &
	later+=($!)
	expected+=("later-$program|$image|${program#user_}|back|<NA>|<NA>")
done
for process in "${later[@]}"; do check "a container that starts later runs" wait "$process"; done
stop
check "nothing is lost" quietly "$scapd" verify all.scap
same "what the containers are called" "$(in_order)" "$(told_in all.scap)"
grep -E 'containers: |cannot ask' record.log
# The sandbox of the pod is one more.
has "the recorder says what it found" record.log "containers: $((${#expected[@]} + 1)) described by a runtime, 0 unknown to all, 0 without"
if [ -d "$cache/readers-bookworm" ]; then
	# sysdig knows Docker's containers, and the names of those that systemd makes groups for.
	agrees_with_sysdig all.scap \
		'proc.name = cat and evt.dir = < and (thread.cgroups contains machine.slice or thread.cgroups contains docker-)'
	for name in web docker; do
		has "sysdig 0.29 has names at the events of processes: $name" sysdig.txt "\|openat\|.*\|$name\|"
	done
fi

commands=() expected=()
configure cgroupfs
running podman web podman "machine.slice/libpod-$id.scope/container"
start docker by-itself docker "docker/$id"
start_pod shop-2 "kubepods/besteffort/pod$pod/$id" "/kubepods/besteffort/pod$pod"
quietly make -C /src install
quietly systemd-sysusers
systemctl daemon-reload
mkdir -p /etc/scapd/config.d
printf '[record]\nsyscalls = ["openat", "%%process"]\n' >/etc/scapd/config.d/50-local.toml
sockets=(podman:/run/podman/podman.sock docker:/run/docker.sock cri:/run/containerd/containerd.sock)
systemctl start scapd
for socket in "${sockets[@]}"; do await complains "$socket"; done
# It asks again, but does not say so.
sleep 10
for socket in "${sockets[@]}"; do
	same "the service says once that it may not ask at $socket" 1 "$(complains "$socket")"
done
systemctl stop scapd
rm /var/lib/scapd/*
check "docs/CONTAINERS.md" env -C /src scripts/guest-follow.sh docs/CONTAINERS.md Permissions
sleep 30
everyone_reads
# The service does not see sockets of users.
check "user_podman exec user-web" quietly user_podman exec user-web cat /etc/hostname
expected+=("<NA>|<NA>|podman|<NA>|<NA>|<NA>")
systemctl stop scapd
check "the service loses nothing" quietly scapd verify /var/lib/scapd/*.scap
same "what the service calls the containers" "$(in_order)" "$(told_in /var/lib/scapd/*.scap)"
journalctl -u scapd -o cat | grep -E 'cannot ask|containers: '
finish

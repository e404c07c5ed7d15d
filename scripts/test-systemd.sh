#!/bin/bash
# Runs the unit under a real systemd: a user manager of root in a mount namespace of its own, which works even if
# process 1 is not systemd. User= has no effect there; the rest of the unit applies. Usage: scripts/test-systemd.sh
# SCAPD
set -euo pipefail
scapd=$(realpath "${1:?usage: $0 path-of-scapd}")
packaging=$(realpath "$(dirname "$0")/../packaging")
[ "$(id -u)" = 0 ] || { echo "needs root"; exit 1; }
if [ -z "${SCAPD_IN_NAMESPACE:-}" ]; then
	SCAPD_IN_NAMESPACE=1 exec unshare -m "$0" "$scapd"
fi

mount --make-rprivate /
umount -l /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
mount -t tmpfs none /run
mkdir -p /run/systemd/system /run/manager
# The replacements for inaccessible paths, which a system manager makes at boot.
for folder in /run/systemd/inaccessible /run/manager/systemd/inaccessible; do
	mkdir -p "$folder/dir"
	touch "$folder/reg"
	mkfifo "$folder/fifo"
	mknod "$folder/chr" c 0 0
	mknod "$folder/blk" b 0 0
done
group=/sys/fs/cgroup/scapd-test-$$
mkdir -p "$group/init"
echo $$ >"$group/init/cgroup.procs"

export XDG_RUNTIME_DIR=/run/manager HOME=/run/home
units=$HOME/.config/systemd/user
mkdir -p "$units" "$HOME/.config/scapd"
install -m 755 "$scapd" /run/scapd-under-test
# The user manager's directories: $XDG_RUNTIME_DIR for RuntimeDirectory, $XDG_CONFIG_HOME for StateDirectory.
cat >"$HOME/.config/scapd/scapd.toml" <<-END
	[record]
	syscalls = ["openat", "%process"]
	[files]
	keep-free = "1M"
	write = "$HOME/.config/scapd/x.scap"
	[control]
	control = "$XDG_RUNTIME_DIR/scapd/control.sock"
END
sed -e "s|/usr/bin/scapd daemon|/run/scapd-under-test daemon --config $HOME/.config/scapd/scapd.toml|" \
	-e "s|/usr/bin/scapd ctl reload|/run/scapd-under-test ctl reload --socket $XDG_RUNTIME_DIR/scapd/control.sock|" \
	-e '/^User=/d' -e '/^Group=/d' -e '/^After=/d' \
	-e 's/^WatchdogSec=.*/WatchdogSec=4/' \
	-e 's|^ExecStart=|StandardError=append:/run/log\n&|' "$packaging/scapd.service" >"$units/scapd.service"

/lib/systemd/systemd --user --log-target=console </dev/null >/run/manager-log 2>&1 &
manager=$!
end() {
	systemctl --user stop scapd || true
	kill "$manager" 2>/dev/null || true
	wait "$manager" 2>/dev/null || true
	rmdir "$group"/* "$group" 2>/dev/null || true
}
trap end EXIT
touch /run/manager-log
failed() { echo "FAILED: $*"; systemctl --user status scapd --no-pager --lines=0 || true; tail -n 30 /run/log /run/manager-log; exit 1; }
property() { systemctl --user show scapd --value --property="$1"; }
# await_another PID: waits until another process is the active service.
await_another() {
	for _ in $(seq 300); do
		now=$(property MainPID)
		[ "$(property ActiveState)" = active ] && [ "$now" != "$1" ] && [ "$now" != 0 ] && return
		sleep 0.2
	done
}
for _ in $(seq 50); do
	systemctl --user is-system-running >/dev/null 2>&1 && break
	sleep 0.2
done

echo "start: returns when the service is ready"
systemctl --user start scapd || failed start
[ "$(property ActiveState)" = active ] || failed "not active"
pid=$(property MainPID)
echo "  $(property StatusText)"
for name in NoNewPrivs Seccomp CapBnd CapEff; do grep "^$name:" "/proc/$pid/status" | sed 's/^/  /'; done

echo "watchdog: fed for longer than its timeout"
sleep 9
[ "$(property MainPID)" = "$pid" ] || failed "restarted by the watchdog"

echo "reload: a change is accepted, a mistake is refused"
sed -i 's/openat/unlinkat/' "$HOME/.config/scapd/scapd.toml"
systemctl --user reload scapd || failed reload
echo "  $(property StatusText)"
cp "$HOME/.config/scapd/scapd.toml" /run/good.toml
sed -i 's/unlinkat/unlinkatt/' "$HOME/.config/scapd/scapd.toml"
! systemctl --user reload scapd 2>/dev/null || failed "a wrong configuration was accepted"
[ "$(property MainPID)/$(property ActiveState)" = "$pid/active" ] || failed "the wrong configuration stopped it"
cp /run/good.toml "$HOME/.config/scapd/scapd.toml"

echo "kill: systemd restarts it"
kill -KILL "$pid"
await_another "$pid"
[ "$(property ActiveState)" = active ] || failed "not started again"

echo "watchdog: systemd restarts a hung service"
pid=$(property MainPID)
kill -STOP "$pid"
await_another "$pid"
[ "$(property MainPID)" != "$pid" ] || failed "the watchdog did not restart it"
[ "$(property ActiveState)" = active ] || failed "not started again"

echo "stop: the file is complete"
systemctl --user stop scapd || failed stop
[ "$(property Result)" = success ] || failed "result $(property Result)"
files=("$HOME"/.config/scapd/x-*.scap)
"$scapd" verify "${files[-1]}" || failed "the file"
echo "all checks passed"

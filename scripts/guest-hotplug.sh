#!/bin/busybox sh
# shellcheck shell=dash
# Runs in the guest of test-hotplug.sh: takes one of two CPUs offline and online while events are recorded.

# shellcheck source=guest-lib.sh
. /bin/guest-lib.sh

cpu=/sys/devices/system/cpu/cpu1/online

# toggle FILE: takes CPU 1 offline and online until FILE exists, then writes the number of times to it.
toggle() {
	times=0
	while [ ! -e "$1" ]; do
		echo 0 >$cpu
		sleep 0.3
		echo 1 >$cpu
		sleep 0.3
		times=$((times + 1))
	done
	echo $times >"$1"
}

check 'two CPUs are possible' grep -x 0-1 /sys/devices/system/cpu/possible

# A CPU that is offline when the recording starts, and comes online later.
echo 0 >$cpu
check 'one is online' grep -x 0 /sys/devices/system/cpu/online
cat >/tmp/late <<-END
	sleep 1
	echo 1 >$cpu
	exec taskset 2 cat /etc/passwd
END
check 'record while the other CPU comes online' scapd record -w /tmp/late.scap --syscalls openat,execve -- sh /tmp/late
check 'nothing is lost' scapd verify /tmp/late.scap
check 'read' scapd read /tmp/late.scap
cp /tmp/output /tmp/events
check 'events of the CPU that came online later' grep -E '^[0-9]+ [^ ]+ 1 .* < openat .*name=/etc/passwd' /tmp/events

# A CPU goes offline and online while threads only make system calls: each call is captured, in order, or accounted for.
for attach in auto btf tracepoint; do
	rm -f /tmp/stop
	toggle /tmp/stop &
	check "$attach: hammer while a CPU goes offline and online" hammer --attach $attach --seconds 8
	cat /tmp/output
	: >/tmp/stop
	wait
	echo "CPU 1 came online $(cat /tmp/stop) times"
	check "$attach: more than once" [ "$(cat /tmp/stop)" -gt 1 ]
done
exit $failed

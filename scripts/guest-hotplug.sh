#!/bin/busybox sh
# shellcheck shell=dash
# Runs in the guest of test-hotplug.sh, which has two CPUs: one of them comes and goes while events are recorded.

# shellcheck source=guest-lib.sh
. /bin/guest-lib.sh

cpu=/sys/devices/system/cpu/cpu1/online

# toggle FILE: has CPU 1 go and come until FILE is there; how often it came is in it then.
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

# A CPU that is offline when the recording starts, and comes later.
echo 0 >$cpu
check 'one is online' grep -x 0 /sys/devices/system/cpu/online
cat >/tmp/late <<-END
	sleep 1
	echo 1 >$cpu
	exec taskset 2 cat /etc/passwd
END
check 'record, and the other CPU comes' scapd record -w /tmp/late.scap --syscalls openat,execve -- sh /tmp/late
check 'nothing is lost' scapd verify /tmp/late.scap
check 'read' scapd read /tmp/late.scap
cp /tmp/output /tmp/events
check 'events of the CPU that came later' grep -E '^[0-9]+ [^ ]+ 1 .* < openat .*name=/etc/passwd' /tmp/events

# A CPU that goes and comes while threads do nothing but system calls: each is captured, in order, or accounted for.
for attach in auto btf tracepoint; do
	rm -f /tmp/stop
	toggle /tmp/stop &
	check "$attach: hammer while a CPU goes and comes" hammer --attach $attach --seconds 8
	cat /tmp/output
	: >/tmp/stop
	wait
	echo "CPU 1 came $(cat /tmp/stop) times"
	check "$attach: it did so more than once" [ "$(cat /tmp/stop)" -gt 1 ]
done
exit $failed

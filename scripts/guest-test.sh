#!/bin/busybox sh
# shellcheck shell=dash
# Runs in the guests of test-kernels.sh: checks the kernel, records a program in each way to attach, reads it back.

failed=0

# check WHAT COMMAND [ARG...]: the command succeeds; what it said is shown when it does not.
check() {
	what=$1
	shift
	if "$@" >/tmp/output 2>&1; then
		echo "ok: $(uname -r): $what"
	else
		echo "NOT OK: $(uname -r): $what: exit status $? of: $*"
		tail -n 40 /tmp/output
		failed=1
	fi
}

# none WHAT FILE REGEX: there are lines, and none of them matches.
none() {
	# shellcheck disable=SC2016 # for awk
	check "$1" awk -v regex="$3" '{ n++ } $0 ~ regex { print; bad = 1 } END { exit bad || !n }' "$2"
}

check 'scapd check' scapd check
for attach in auto btf tracepoint; do
	file=/tmp/$attach.scap
	check "$attach: record" scapd record -w $file --attach $attach --syscalls openat,close,execve -- \
		/bin/busybox cat /etc/passwd
	cp /tmp/output /tmp/said
	check "$attach: the command's output" grep root:x:0:0 /tmp/said
	check "$attach: info" scapd info $file
	check "$attach: read" scapd read $file
	cp /tmp/output /tmp/events
	check "$attach: the executed program" grep -E ' < execve .*filename=/bin/busybox' /tmp/events
	check "$attach: enter of openat" grep -E ' > openat .*name=/etc/passwd' /tmp/events
	check "$attach: exit of openat" grep -E ' < openat .*name=/etc/passwd' /tmp/events
	check "$attach: exit of close" grep -E ' < close .*res=0' /tmp/events
	none "$attach: nothing else" /tmp/events ' [<>] (read|write|mmap|brk|fstat|syscall) '
done
# Several threads that do nothing but system calls, on one CPU: from 7.x on, the programs of tp_btf are preempted.
[ ! -x /bin/hammer ] || check 'hammer' hammer
exit $failed

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

# refused WHAT TEXT COMMAND [ARG...]: the command fails, and says TEXT.
refused() {
	what=$1 text=$2
	shift 2
	if "$@" >/tmp/output 2>&1; then
		echo "NOT OK: $(uname -r): $what: it succeeded: $*"
		failed=1
	else
		cp /tmp/output /tmp/said
		check "$what" grep -F "$text" /tmp/said
	fi
}

check 'scapd check' scapd check
ways='auto btf tracepoint'
if [ "$(uname -r | cut -d. -f1)" = 5 ] && [ "$(uname -r | cut -d. -f2)" -lt 15 ]; then
	ways='auto btf'
	refused 'tracepoint: refused before 5.15' 'before Linux 5.15' scapd record -w /tmp/x --attach tracepoint -- true
fi
for attach in $ways; do
	file=/tmp/$attach.scap
	check "$attach: record" scapd record -w "$file" --attach "$attach" --syscalls openat,close,execve -- \
		/bin/busybox cat /etc/passwd
	cp /tmp/output /tmp/said
	check "$attach: the command's output" grep root:x:0:0 /tmp/said
	check "$attach: info" scapd info "$file"
	check "$attach: read" scapd read "$file"
	cp /tmp/output /tmp/events
	check "$attach: the executed program" grep -E ' < execve .*filename=/bin/busybox' /tmp/events
	check "$attach: enter of openat" grep -E ' > openat .*name=/etc/passwd' /tmp/events
	check "$attach: exit of openat" grep -E ' < openat .*name=/etc/passwd' /tmp/events
	check "$attach: exit of close" grep -E ' < close .*res=0' /tmp/events
	none "$attach: nothing else" /tmp/events ' [<>] (read|write|mmap|brk|fstat|syscall) '
done
# Several threads that do nothing but system calls, on one CPU: every call is captured or accounted for.
check 'hammer' hammer --calls 20000
# From 7.x on the programs of tp_btf are preempted, and others skipped: the test above would notice.
if [ "$(uname -r | cut -d. -f1)" -ge 7 ]; then
	check 'hammer by tp_btf loses events' hammer --calls 20000 --attach btf --expect-skips
fi
exit $failed

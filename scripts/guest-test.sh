#!/bin/busybox sh
# shellcheck shell=dash
# Runs in the guests of test-kernels.sh: checks the kernel, records a program with each way to attach, reads it back,
# and runs the kernel tests with the ways on tracepoints, a few of them also on functions.

# shellcheck source=guest-lib.sh
. /bin/guest-lib.sh

# none WHAT FILE REGEX: checks that the file has lines, and none matches.
none() {
	# shellcheck disable=SC2016 # for awk
	check "$1" awk -v regex="$3" '{ n++ } $0 ~ regex { print; bad = 1 } END { exit bad || !n }' "$2"
}

# refused WHAT TEXT COMMAND [ARG...]: checks that the command fails, with TEXT in its output.
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

# From 7.x on, the kernel skips programs of a task that has preempted another program or a change of a BPF map. There
# the tests run with real-time priority. (Older kernels would not deliver packets meanwhile.)
real_time=
[ "$(uname -r | cut -d. -f1)" -lt 7 ] || real_time='chrt -f 1'

# kernel_tests WAY [NAME]: runs the tests of every program, or those with NAME in theirs, attached in this way. They share a probe,
# unless $probe is `own`: in emulation, loading one for each test would take most of the time.
kernel_tests() {
	attach=$1
	shift
	SCAPD_TEST_PROBE=${probe:-shared} SCAPD_TEST_ATTACH=$attach $real_time kernel --color never "$@" >/tmp/tests 2>/dev/null
	status=$?
	set -- "$attach"
	result=$(sed -n 's/^test result: [^.]*\. \([0-9]* passed; [0-9]* failed; [0-9]* ignored\).*/\1/p' /tmp/tests)
	echo "kernel tests by $1: ${result:-not ended}"
	sed -n 's/^test \(.*[^ ]\)  *\.\.\. ignored (\(.*\))$/not testable here: \1: \2/p' /tmp/tests
	check "kernel tests by $1" test "$status" = 0
	[ "$status" = 0 ] || sed -n '/^failures:$/,$p' /tmp/tests | head -n 200
}

echo "kernel: $(uname -r)"
check 'scapd check' scapd check
cp /tmp/output /tmp/checked
sed -n 's/^programs  *\(.*\) accepted.*/programs: \1/p; s/^  refused  */refused: /p' /tmp/output
ways='auto btf tracepoint'
if [ "$(uname -r | cut -d. -f1)" = 5 ] && [ "$(uname -r | cut -d. -f2)" -lt 15 ]; then
	ways='auto btf'
	echo 'kernel tests by tracepoint: needs 5.15'
	refused 'tracepoint: refused before 5.15' 'before Linux 5.15' scapd record -w /tmp/x --attach tracepoint -- true
fi
# Trampolines came later to some architectures.
function=
if grep -q -- '--attach function is possible' /tmp/checked; then
	function=function
else
	refused 'function: refused without trampolines' 'refuses programs on functions' scapd record -w /tmp/x --attach function -- true
fi
for attach in $ways $function; do
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
# The child's own event describes the child; on arm64 it comes from another tracepoint.
for attach in auto $function; do
	file=/tmp/children.scap
	check "children, $attach: record" scapd record -w $file --attach "$attach" --syscalls 'clone,?fork,?vfork' -- \
		sh -c 'cat /etc/passwd; true'
	check "children, $attach: complete and in order" scapd verify $file
	check "children, $attach: read" scapd read $file
	cp /tmp/output /tmp/events
	check "children, $attach: the parent" grep -E ' \([1-9][0-9]*\) < (clone|fork|vfork) res=[1-9]' /tmp/events
	check "children, $attach: the child" grep -E ' \([1-9][0-9]*\) < (clone|fork|vfork) res=0' /tmp/events
done
# Threads that only make system calls, on one CPU: every call is captured or accounted for.
check 'hammer' hammer --seconds 8
# Where the kernel hides the functions of calls, as 5.10 does, the hammer does not see all of its calls.
if [ -n "$function" ] && ! grep -Eq 'tables do not know, and: .* futex( |$)' /tmp/checked; then
	check 'hammer by function' hammer --seconds 8 --attach function
fi
# From 7.x on, tp_btf programs are preempted and others skipped, which the check above would notice.
if [ "$(uname -r | cut -d. -f1)" -ge 7 ]; then
	check 'hammer by tp_btf loses events' hammer --seconds 8 --attach btf --expect-skips
fi
if [ -x /bin/kernel ]; then
	mount -t cgroup2 cgroup2 /sys/fs/cgroup
	echo -1 >/proc/sys/kernel/sched_rt_runtime_us
	for attach in ${ways#auto }; do
		kernel_tests "$attach"
	done
	# What differs with functions is where programs are attached, not what they do, but for children. With a probe of its own: to
	# attach to all functions takes minutes. Before 5.15 the flags of a child's event are not known.
	if [ -n "$function" ] && [ "$ways" != 'auto btf' ]; then
		probe=own kernel_tests function clone_x
	fi
fi
# In a container, the ids in /proc differ from those in events.
apart() { unshare -p -f --mount-proc scapd "$@"; }
if [ "$(uname -m)" = aarch64 ] && ! apart check >/dev/null 2>&1; then
	refused 'another pid namespace: is refused' 'run scapd in the initial pid namespace' apart check
	exit $failed
fi
check 'another pid namespace: check' apart check
cp /tmp/output /tmp/said
check 'another pid namespace: ids are translated' grep '^process ids  *translated' /tmp/said
check 'another pid namespace: record' apart record -w /tmp/pids.scap --syscalls openat,execve -- /bin/busybox cat /etc/passwd
check 'another pid namespace: read' scapd read /tmp/pids.scap
cp /tmp/output /tmp/said
check 'another pid namespace: the command' grep 'openat .*name=/etc/passwd' /tmp/said
exit $failed

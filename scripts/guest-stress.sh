#!/bin/busybox sh
# shellcheck shell=dash
# Runs in the guests of stress-kernels.sh: the hammer for SECONDS in all, in each way to attach, with large and with
# small rings. Its shares of the time are those of the ways that users get: half of it the way that is chosen there.
#
#   guest-stress.sh SECONDS

seconds=$1 failed=0

# hammer_for PERCENT ARG...: for this share of the time.
hammer_for() {
	time=$((seconds * $1 / 100))
	shift
	echo "== Linux $(uname -r), $(sed -n 's/.*\(PREEMPT[^ ]*\).*/\1/p' /proc/version), $(cat /proc/cmdline)"
	echo "== hammer --seconds $time $*"
	hammer --seconds $time "$@" || failed=1
}

hammer_for 50 --attach auto
hammer_for 20 --attach auto --ring-size 65536
hammer_for 30 --attach btf
exit $failed

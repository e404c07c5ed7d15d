#!/bin/busybox sh
# shellcheck shell=dash
# Runs in the guests of stress-kernels.sh: runs the hammer for SECONDS in total, attached in each way, with large and
# small rings. Half of the time goes to `--attach auto`, which users get by default.
#
#   guest-stress.sh SECONDS

seconds=$1 failed=0

# hammer_for PERCENT ARG...: runs the hammer for this share of the time.
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

# shellcheck shell=dash
# Functions shared by the guests of test-kernels.sh and test-hotplug.sh; `source` it.

# shellcheck disable=SC2034 # used by the scripts that source this
failed=0

# check WHAT COMMAND [ARG...]: checks that the command succeeds, and shows its output if it fails.
check() {
	what=$1
	shift
	if "$@" >/tmp/output 2>&1; then
		echo "ok: $(uname -r): $what"
	else
		echo "NOT OK: $(uname -r): $what: exit status $? of: $*"
		tail -n 40 /tmp/output | cut -c 1-1000
		failed=1
	fi
}

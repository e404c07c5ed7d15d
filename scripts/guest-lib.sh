# shellcheck shell=dash
# What the guests of test-kernels.sh and test-hotplug.sh share: sourced.

# shellcheck disable=SC2034 # for who sources this
failed=0

# check WHAT COMMAND [ARG...]: the command succeeds; what it said is shown when it does not.
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

# shellcheck shell=bash
# How many events of each type a capture has, as scapd says it and as readers do; read with `source`, after lib.sh, by
# the tests that compare them. A list has '<event name> <count>' a line; needs $scripts, $scapd and $tmp.

# read_by RELEASE PROGRAM [ARG...]: runs a reader, in the current folder.
# shellcheck disable=SC2154 # of those who read this file
read_by() { "$scripts/reader.sh" "$@" 2>>"$tmp/errors"; }

# What sysdig 0.41 and strato show: exit events, and those that come alone. Types from 450 on are newer than they.
# shellcheck disable=SC2034 # for those who read this file
shown='.number < 450 and (.number % 2 == 1 or (.type | IN("procexit", "switch", "signaldeliver", "page_fault", "notification")))'

# counts_in NAME FILTER [KEY]: of the events in NAME.json (scapd info) that pass a jq filter; by a key other than .type.
# A call with a number that no table has is a 'syscall' to scapd, and 'unknown' to the readers.
counts_in() {
	read_by sid jq -r ".by_type[] | select($2) | \"\(${3:-.type}) \(.count)\"" <"$1.json" |
		awk '{ n[$1 == "syscall" ? "unknown" : $1] += $2 } END { for (key in n) print key, n[key] }' | sort
}

# parameters: the events that scapd records and the readers show, a line each: name and parameters' names.
parameters() {
	"$scapd" list events --json | read_by sid jq -r '.[]
		| select(.program and (.number % 2 == 1 or .source == "tracepoint")) | [.name] + [.parameters[].name] | join(" ")'
}

# count: of the lines of stdin, one for each event.
count() { awk '{ n[$1]++ } END { for (key in n) print key, n[key] }' | sort; }

# shellcheck shell=bash
# Counts the events of each type in a capture, according to scapd and to the readers. The tests that compare them
# `source` this after lib.sh. A list has lines of '<event name> <count>'. Needs $scripts, $scapd and $tmp.

# read_by RELEASE PROGRAM [ARG...]: runs a reader in the current directory.
# shellcheck disable=SC2154 # set by the scripts that source this
read_by() { "$scripts/reader.sh" "$@" 2>>"$tmp/errors"; }

# The events that sysdig 0.41 and strato show: exit events, and events without a pair. They know types below 450.
# shellcheck disable=SC2034 # used by the scripts that source this
shown='.number < 450 and (.number % 2 == 1 or (.type | IN("procexit", "switch", "signaldeliver", "page_fault", "notification")))'

# Calls that sysdig 0.29 knows: it crashes on generic events of newer ones.
# shellcheck disable=SC2034
classic=open,openat,creat,close,read,write,pipe,stat,fstat,mkdir,rmdir,unlink,unlinkat,rename,renameat,chdir,execve,clone,fork
classic+=,vfork,socket,connect,bind,listen,accept

# counts_in NAME FILTER [KEY]: counts the events in NAME.json (scapd info) that pass a jq filter, by KEY (default
# .type). A call whose number is in no table is 'syscall' in scapd, and 'unknown' in the readers.
counts_in() {
	read_by sid jq -r ".by_type[] | select($2) | \"\(${3:-.type}) \(.count)\"" <"$1.json" |
		awk '{ n[$1 == "syscall" ? "unknown" : $1] += $2 } END { for (key in n) print key, n[key] }' | sort
}

# types_by_tshark FILE: prints the type of each event in a capture. tshark shows extensions, from 0x8000 to 0x9fff, as events
# that it does not know.
types_by_tshark() {
	read_by sid tshark -r "$1" -T fields -e sysdig.event_type | awk '$1 < 32768 || $1 >= 40960'
}

# parameters: prints a line for each event that scapd records and the readers show: its name and its parameters' names, then
# | and those of its extension.
parameters() {
	# shellcheck disable=SC2016 # for jq
	"$scapd" list events --json | read_by sid jq -r '
		def names: [.parameters[].name] | join(" ");
		([.[] | select(.source == "extension" and .number % 2 == 1) | { (.name): names }] | add) as $extensions
		| .[] | select(.source != "extension" and .program and (.number % 2 == 1 or .source == "tracepoint"))
		| "\(.name) \(names) | \($extensions[.name] // "")"'
}

# count: counts the events in stdin, one on a line.
count() { awk '{ n[$1]++ } END { for (key in n) print key, n[key] }' | sort; }

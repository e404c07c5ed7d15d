#!/bin/bash
# Records a shell script, and compares scapd's output for the captures with that of sysdig, tshark and strato: the
# number of events of each type, and the names. Needs root, and the readers from setup-readers.sh.  test-readers.sh SCAPD

set -euo pipefail
source "$(dirname "$0")/lib.sh"
source "$(dirname "$0")/counts.sh"

if [ $# != 1 ] || [ ! -x "$1" ]; then die "usage: test-readers.sh SCAPD (the program, built)"; fi
[ "$(id -u)" = 0 ] || { as_root "$0" "$@"; exit; }
need perl
scapd=$(realpath "$1")
scripts=$(realpath "$(dirname "$0")")

tmp=$(mktemp -d)
before=
trap '[ -z "$before" ] || kill "$before" 2>/dev/null; rm -rf "$tmp"' EXIT
cd "$tmp"

# record NAME OPTION...: records the workload in the directory NAME to NAME.scap, with scapd's counts in NAME.json.
record() {
	local name=$1

	shift
	mkdir "$name"
	runs "record $name" "$scapd" record -q -w "$name.scap" "$@" -- env -i "PATH=$PATH" bash "$scripts/workload.sh" "$tmp/$name" &&
		"$scapd" info --json --all "$name.scap" >"$name.json"
}

fields='*%evt.type|%proc.name|%fd.name|%evt.args|%proc.cmdline'

# check_names WHO FILE DIR: checks the names in the lines of FILE (in the form of `fields`) for the workload in DIR.
check_names() {
	local client server

	read -r client server <"$3/ports"
	has "$1: a file's name" "$2" "^openat\|bash\|$3/notes.txt\|.*name=notes.txt"
	has "$1: writing through a duplicate of its descriptor" "$2" "^write\|bash\|$3/notes.txt\|.*the first line"
	has "$1: reading from it" "$2" "^read\|bash\|$3/notes.txt\|.*the first line"
	has "$1: renaming" "$2" "^rename[a-z0-9]*\|mv\|.*folder/renamed.txt"
	has "$1: a missing file" "$2" "^openat\|cat\|.*ENOENT.*missing.txt"
	has "$1: removing" "$2" "^unlink(at)?\|rm\|.*folder/renamed.txt"
	has "$1: a directory" "$2" "^mkdir(at)?\|mkdir\|.*folder"
	has "$1: a command line" "$2" '^execve\|mv\|.*\|mv notes.txt folder/renamed.txt'
	has "$1: arguments with a space" "$2" '^execve\|echo\|.*\|echo one two words'
	has "$1: a child without exec" "$2" '^(clone|clone3|fork|vfork)\|bash\|.*res=0 '
	has "$1: a TCP connect" "$2" "^connect\|perl\|127.0.0.1:$client->127.0.0.1:$server\|"
	has "$1: its accept" "$2" "^accept4?\|perl\|127.0.0.1:$client->127.0.0.1:$server\|"
	has "$1: sending" "$2" "^write\|perl\|127.0.0.1:$client->127.0.0.1:$server\|.*ping"
	has "$1: a unix socket" "$2" "^connect\|perl\|.*talk.socket"
	has "$1: the answer through the unix socket" "$2" "^write\|perl\|.*talk.socket.*\|.*pong"
}

# check_counts NAME WHAT: checks that sysdig and tshark count the events of NAME.scap as NAME.json does. Leaves sysdig's
# lines in NAME.txt.
check_counts() {
	read_by sid sysdig -r "$1.scap" -p "$fields" >"$1.txt"
	same "sysdig counts what scapd counts$2" "$(counts_in "$1" "$shown")" "$(cut -d'|' -f1 "$1.txt" | count)"
	same "tshark counts what scapd counts$2" \
		"$(counts_in "$1" true .number)" "$(types_by_tshark "$1.scap" | count)"
}

# check_cut FILE BYTES: checks that sysdig and tshark open a capture that was cut after BYTES and repaired by scapd.
check_cut() {
	local where=", cut after $2 bytes of $1"

	rm -f cut.scap
	head -c "$2" "$1" >cut.scap.partial
	if runs "repair$where" "$scapd" repair cut.scap.partial; then
		"$scapd" info --json cut.scap >cut.json
		check_counts cut "$where"
		has "the notice$where" cut.txt '^notification\|.*scapd.cut'
	fi
}

# Everything, enter and exit events.
if record all; then
	check_counts all ""
	check_names sysdig all.txt "$tmp/all"
	# Cut it at some offsets of its last 64 KiB, and within its state.
	size=$(stat -c %s all.scap)
	for back in 1 4 5 1000 4711 20000 33333 50001 65535; do check_cut all.scap $((size - back)); done
	for front in 300 1000 5000; do check_cut all.scap "$front"; done
	gzip -k all.scap
	same "sysdig reads it compressed" "$(wc -l <all.txt)" "$(read_by sid sysdig -r all.scap.gz -p "$fields" | wc -l)"
	size=$(stat -c %s all.scap.gz)
	for back in 1 9 3000 20000; do check_cut all.scap.gz $((size - back)); done
fi

# Exit events only: the form that strato shows right.
if record exits --events exit; then
	read_by sid strato -r exits.scap -T fields -E separator='|' -e evt.type -e proc.name -e fd.name -e evt.args \
		-e proc.cmdline >strato.txt
	same "strato counts what scapd counts" "$(counts_in exits "$shown")" "$(cut -d'|' -f1 strato.txt | count)"
	check_names strato strato.txt "$tmp/exits"
fi

# Some calls: names are right, as the calls that change them are recorded too.
if record some --syscalls openat,read,write; then
	check_counts some ", of some calls"
	read -r client server <some/ports
	has "some calls: writing through a duplicate of a descriptor" some.txt "^write\|bash\|$tmp/some/notes.txt\|.*the first line"
	has "some calls: a reused descriptor" some.txt "^read\|bash\|$tmp/some/notes.txt\|.*the first line"
	has "some calls: a missing file" some.txt "^openat\|cat\|.*ENOENT.*missing.txt.*$tmp/some/missing.txt"
	has "some calls: sending" some.txt "^write\|perl\|127.0.0.1:$client->127.0.0.1:$server\|.*ping"
	same "some calls: no process without a name" 0 "$(grep -c '^[^|]*|<NA>|' some.txt)"
fi

# check_lines NAME: checks that sysdig prints the same parameters as scapd, with types and names of descriptors.
check_lines() {
	"$scapd" read --all "$1.scap" >"$1.lines"
	read_by sid sysdig -r "$1.scap" -p '*%evt.time %thread.tid %evt.dir %evt.type %evt.args' >"$1.sysdig"
	if perl "$scripts/compare-lines.pl" parameters.txt "$1.lines" "$1.sysdig" >differ.txt && [ ! -s differ.txt ]; then
		ok "sysdig prints the parameters that scapd prints, in $1.scap"
	else
		not_ok "sysdig prints other parameters than scapd, in $1.scap"
		cat differ.txt
	fi
}
parameters >parameters.txt
export TZ=UTC
[ ! -e all.json ] || check_lines all

# check_form WHAT COLUMNS OPTION...: checks that sysdig and scapd print the same returns of openat and write in all.scap; of
# lines, some columns (the numbers of events differ: sysdig hides enter events). sysdig does not fill the times of `-t a` with
# zeros: without them, .000690404 is .690404 in both.
check_form() {
	local what=$1 columns=$2 zeros=

	shift 2
	[ "$*" != '-t a' ] || zeros='s/^\([0-9]\{9,\}\)\.0*\([0-9]\)/\1.\2/'
	same "sysdig prints the same with $what" \
		"$(read_by sid sysdig -r all.scap "$@" 'evt.type in (openat, write)' | cut -d' ' -f"$columns")" \
		"$("$scapd" read all.scap "$@" "evt.type in (openat, write) and evt.dir = '<'" | cut -d' ' -f"$columns" |
			sed "$zeros")"
}
if [ -e all.json ]; then
	check_form "widths, transformers and brackets" 1- -p '%evt.time|%20proc.name|%3evt.type[%toupper(evt.type)]'
	check_form "a missing value" 1- -p '%evt.rawtime %evt.buffer'
	check_form "* and a missing value" 1- -p '*%evt.rawtime.s.%evt.rawtime.ns\t%evt.buffer'
	check_form "the text of data" 1- -A -p '%evt.cpu %evt.buffer|'
	check_form "times since 1970" 2-5 -t a
	check_form "times since the line before" 2-5 -t D
	check_form "times of day" 2-5 -t h
fi

# No number is too large for jq, which converts a number to a double when it calculates with it.
if [ -e all.json ]; then
	"$scapd" read --all --json all.scap >events.json
	# shellcheck disable=SC2016 # for jq
	same "the JSON form survives jq" "$(read_by sid jq -c . <events.json)" \
		"$(read_by sid jq -c 'walk(if type == "number" then . + 0 else . end)' <events.json)"
fi

# Descriptors of every kind that were open before the recording, field by field. The capture has a call on each.
perl "$scripts/descriptors.pl" expected 60 &
before=$!
for _ in {1..100}; do [ -e expected ] || sleep 0.05; done
if runs "record descriptors opened before" "$scapd" record -q -w open.scap -p "$before" --duration 1s; then
	read_by sid sysdig -r open.scap -p '*%fd.num|%fd.type|%fd.l4proto|%fd.name|%fd.cip|%fd.cport|%fd.sip|%fd.sport' \
		evt.type=lseek | sort -un >open.sysdig
	same "sysdig: types, protocols and ends of descriptors opened before" "$(cat expected)" "$(cat open.sysdig)"
	same "scapd: the same" "$(tr '\0' 0 <expected.scapd)" "$("$scapd" read --json open.scap --syscalls lseek |
		read_by sid jq -rj '.args.fd | "\(.value) \(.kind) \(.protocol // "-") \(.name)\n"' | tr '\0' 0 | sort -un)"
	check_lines open
fi
kill "$before"
wait "$before" 2>/dev/null || true

# A process started before the recording: its name and its descriptors come from the state at the start. sysdig 0.29
# does not know its pidfd.
echo 'something to read' >before.txt
perl - before.txt <<'END' &
use IO::Socket;

open my $file, "<", "before.txt" or die $!;
my $pidfd_open = 434; # on every architecture
syscall($pidfd_open, $$ + 0, 0) >= 0 or die $!;
my $server = IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1") or die $!;
my $client = IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $server->sockport) or die $!;
my $socket = $server->accept or die $!;
open my $ports, ">", "ports.new";
print $ports $client->sockport, " ", $server->sockport, "\n";
close $ports;
rename "ports.new", "ports";
for (1 .. 600) {
	seek $file, 0, 0;
	sysread $file, my $text, 100;
	syswrite $client, "still here";
	sysread $socket, $text, 100;
	select undef, undef, undef, 0.1;
}
END
before=$!
for _ in {1..100}; do [ -e ports ] || sleep 0.05; done
read -r client server <ports
if runs "record a process started before" "$scapd" record -q -w before.scap -p "$before" --duration 1s; then
	read_by sid sysdig -r before.scap -p "$fields" >before.sysdig
	has "its command line" before.sysdig '^read\|perl\|.*\|perl - before.txt$'
	has "its open file" before.sysdig "^read\|perl\|$tmp/before.txt\|.*something to read"
	has "its open connection" before.sysdig "^write\|perl\|127.0.0.1:$client->127.0.0.1:$server\|.*still here"
fi

# The classic calls, for the sysdig of 2022, which also shows enter events.
classic=open,openat,creat,close,read,write,dup,dup2,pipe,stat,fstat,mkdir,rmdir,unlink,unlinkat,rename,renameat
classic+=,chdir,execve,clone,fork,vfork,socket,connect,bind,listen,accept,accept4
read_classic() { read_by bookworm sysdig -r classic.scap -p "$fields" >old.txt; }
# The process with the pidfd must still run.
if record classic --syscalls "$classic" && kill -0 "$before" && runs "sysdig 0.29 reads it" read_classic; then
	# It does not show types from 336 on, which include today's dup, dup2 and accept4.
	same "sysdig 0.29 counts what scapd counts" "$(counts_in classic '.number < 336')" "$(cut -d'|' -f1 old.txt | count)"
	has "sysdig 0.29: a file's name" old.txt "^openat\|bash\|$tmp/classic/notes.txt\|"
	has "sysdig 0.29: a command line" old.txt '^execve\|mv\|.*\|mv notes.txt folder/renamed.txt'
fi

# check_slice RELEASE NAME FILTER: checks that sysdig prints of a slice of NAME.scap what it prints of the source. The state
# at the start of the slice names pipes, which sysdig leaves without a name when it sees them made.
lines_of() {
	read_by "$1" sysdig -r "$2" -p "*%evt.time|%thread.tid|%evt.dir|$fields" "${@:3}" | sed 's/pipe:\[[0-9]*\]//g'
}
check_slice() {
	if runs "slice $2 by $3" "$scapd" read "$2.scap" "$3" -w slice.scap; then
		same "sysdig of $1 prints the slice of $2 by $3 as the source" "$(lines_of "$1" "$2.scap" "$3")" "$(lines_of "$1" slice.scap)"
		same "tshark counts the events of the slice of $2 by $3" "$("$scapd" info --json --all slice.scap |
			read_by sid jq '[.by_type[].count] | add')" "$(types_by_tshark slice.scap | wc -l)"
	fi
}
for filter in evt.type=read evt.type=openat evt.type=connect evt.type=execve; do
	[ ! -e all.json ] || check_slice sid all "$filter"
	[ ! -e classic.json ] || check_slice bookworm classic "$filter"
done

finish || {
	sed 's/^/readers: /' errors | tail -n 20 >&2
	exit 1
}

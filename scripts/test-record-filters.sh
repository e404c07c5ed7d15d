#!/bin/bash
# Records a workload without a filter, and at the same time with each filter of record-filters.txt. What a filtered recording
# shows has to be what scapd shows of the unfiltered one with the same filter; sysdig 0.41 has to show the same returns of it,
# unless the table says why not. Checks where each test is decided, too. Needs root, and the readers from setup-readers.sh.
#
#   test-record-filters.sh SCAPD
#
# Environment: AT_ONCE (recordings that run beside the unfiltered one, default 6).

set -euo pipefail
source "$(dirname "$0")/lib.sh"
source "$(dirname "$0")/counts.sh"

if [ $# != 1 ] || [ ! -x "$1" ]; then die "usage: test-record-filters.sh SCAPD (the program, built)"; fi
[ "$(id -u)" = 0 ] || { as_root "$0" "$@"; exit; }
need perl
scapd=$(realpath "$1")
scripts=$(realpath "$(dirname "$0")")
at_once=${AT_ONCE:-6}

tmp=$(mktemp -d)
worker=
recorders=()
trap 'kill $worker "${recorders[@]}" 2>/dev/null || true; rm -rf "$tmp"' EXIT
cd "$tmp"
export TZ=UTC

# Calls of many kinds, by a process and by children of other names and users, once it gets a line.
workload() {
	cat <<'END'
use strict; use Socket;
my $go = <STDIN>; $0 = "worker";
open(my $f, "<", "/etc/passwd") or die; my @lines = <$f>; close $f;
open(my $n, "<", "/no/such/file");
mkdir "d" or die; mkdir "d"; open(my $w, ">", "d/new") or die;
syswrite($w, "x" x 50) for 1..5; close $w;
rename "d/new", "d/old"; unlink "d/old", "d/none"; rmdir "d";
unlink "/etc/../tmp/there/none", "/tmp//there/none", "/tmp/there/../there/none", "/tmp/there/none"; stat("/etc/hosts");
mkdir "/no/such/dir"; rmdir "/tmp/there/"; mkdir "/tmp/.there/x"; open(my $s, "<", "/etc//passwd"); close $s; chdir "/etc/.";
chdir "/tmp/..";
getppid for 1..20;
socket(my $s, PF_INET, SOCK_STREAM, 0); connect($s, sockaddr_in(9, inet_aton("127.0.0.1"))); close $s;
socket(my $l, PF_INET, SOCK_STREAM, 0); bind($l, pack_sockaddr_in(0, inet_aton("127.0.0.1"))); listen($l, 1) or die;
socket(my $c, PF_INET, SOCK_STREAM, 0); connect($c, getsockname $l) && accept(my $a, $l) or die;
syswrite($c, "question"); sysread($a, my $question, 9); close $c; close $a; close $l;
pipe(my $r, my $p); syswrite($p, "hello"); sysread($r, my $data, 5);
select(undef, undef, undef, 0.05) for 1..2;
chdir "/usr"; opendir(my $d, "share"); closedir $d;
system("cat", "/etc/hostname") for 1..2;
unless (fork) { $( = $) = 65534; $> = 65534; open(my $h, "<", "/etc/group"); my $l = <$h>; getppid for 1..3; exit 0 }
wait;
unless (fork) { getppid for 1..9; select(undef, undef, undef, 0.2); getppid for 1..99; exec "dd", "if=/dev/zero", "of=/dev/null", "bs=1", "count=300" }
wait;
END
}
workload >workload.pl

# record NAME [FILTER]: starts a recording of the worker.
record() { (trap - INT QUIT; exec "$scapd" record -q --on-loss fail -p "$worker" -w "$1.scap" "${@:2}" 2>>"$tmp/errors") & recorders+=($!); }

# shown FORM FILTER NAME: prints the events of a capture that match, apart from the recorder's own.
shown() { "$scapd" read -p "$1" -f "($2) and evt.type != notification" "$3.scap"; }
form='*%thread.tid %evt.type %evt.dir %proc.name %evt.rawres %fd.num %fd.name %evt.arg.name %user.uid'
# Returns are the same in both, and sysdig shows no entries.
key='%evt.rawtime %thread.tid %evt.type'

# record_all FILTER...: records the workload without and with the filters, to all.scap and NUMBER.scap.
record_all() {
	local n ready=

	rm -rf ./*.scap ./*.partial d go
	mkfifo go
	# In a session of its own: what starts this script may be in session 0, as init is.
	setsid perl workload.pl <go >/dev/null 2>&1 &
	worker=$! recorders=()
	exec 8>go
	record all
	for ((n = 1; n <= $#; n++)); do record $n "${!n//PID/$worker}"; done
	for _ in {1..2400}; do
		ready=$(find . -name '*.scap.partial' -size +0 | wc -l)
		[ "$ready" -le $# ] || break
		sleep 0.1
	done
	# The kernel gets its part of the filter now.
	sleep 0.3
	echo >&8
	exec 8>&-
	wait "$worker" || not_ok "the workload fails"
	kill -INT "${recorders[@]}" 2>/dev/null || true
	for n in "${recorders[@]}"; do wait "$n" || not_ok "a recording fails: $(tail -n 1 errors)"; done
	recorders=()
}

# sorted: orders events by thread; those of a thread keep their order.
sorted() { sort -s -n -k1,1; }

# try NUMBER PLACES READER FILTER: compares one recording.
try() {
	local filter=${4//PID/$worker} places unknown

	places=$("$scapd" record --explain --json "$filter" | read_by sid jq -r '[.parts[].places | join("+")] | join(" ")')
	same "$4: decided" "$2" "$places" || true
	same "$4: recorded" "$(shown "$form" "$filter" all | sorted)" "$(shown "$form" 'evt.num > 0' "$1" | sorted)" || true
	case $3 in
	same)
		unknown=$("$scapd" info --json all.scap | read_by sid jq -r '[.by_type[] | select(.number >= 450) | .type] | join("|")')
		same "$4: sysdig" "$(shown "$key" "($filter) and evt.dir = <" all | grep -vE " (${unknown:-none})\$")" \
			"$(read_by sid sysdig -r all.scap -p "$key" "($filter) and evt.dir = < and evt.type != notification")" || true
		;;
	*) ok "$4: not compared with sysdig, which $3" ;;
	esac
}

filters=() rows=()
flush() {
	local n

	[ ${#filters[@]} -gt 0 ] || return 0
	record_all "${filters[@]}"
	for n in "${!filters[@]}"; do
		IFS=$'\t' read -r places reader filter <<<"${rows[$n]}"
		try $((n + 1)) "$places" "$reader" "$filter"
	done
	filters=() rows=()
}
while IFS=$'\t' read -r places reader filter; do
	filters+=("$filter") rows+=("$places	$reader	$filter")
	[ ${#filters[@]} -lt "$at_once" ] || flush
done < <(sed '/^#/d; /^$/d' "$scripts/record-filters.txt")
flush

finish || {
	sed 's/^/record-filters: /' errors 2>/dev/null | tail -n 20 >&2
	exit 1
}

#!/bin/bash
# Compares the summaries of scapd with those of sysdig 0.29's chisels, on the same capture: bytes, errors, times and counts by file,
# directory, process, connection and call. Needs root, and the readers from setup-readers.sh.
#
#   test-chisels.sh SCAPD

set -euo pipefail
source "$(dirname "$0")/lib.sh"
source "$(dirname "$0")/counts.sh"

if [ $# != 1 ] || [ ! -x "$1" ]; then die "usage: test-chisels.sh SCAPD (the program, built)"; fi
[ "$(id -u)" = 0 ] || { as_root "$0" "$@"; exit; }
need perl
scapd=$(realpath "$1")
scripts=$(realpath "$(dirname "$0")")
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

# Files of known sizes, calls that fail, and three clients of a server. They keep their names: sysdig does not follow a rename.
workload() {
	cat <<'END'
use strict;
use Socket;

for my $n (1 .. 14) {
	my $folder = "folder" . $n % 3;
	mkdir $folder;
	open my $file, "+>", "$folder/file$n" or die "open: $!";
	syswrite $file, "x" x (100 * $n) for 1 .. $n;
	sysseek $file, 0, 0;
	sysread $file, my $data, 50 * $n + 1 for 1 .. 3;
}
for my $n (1 .. 5) { open my $none, "<", "folder0/none$n" for 1 .. $n }
socket my $server, PF_INET, SOCK_STREAM, 0 or die "socket: $!";
bind $server, pack_sockaddr_in(0, INADDR_LOOPBACK) or die "bind: $!";
listen $server, 5 or die "listen: $!";
my $address = getsockname $server;
for my $n (1 .. 3) {
	my $child = fork // die "fork: $!";
	if (!$child) {
		open my $none, "<", "/no/child$n";
		socket my $to, PF_INET, SOCK_STREAM, 0 or die "socket: $!";
		connect $to, $address or die "connect: $!";
		syswrite $to, "y" x (1000 * $n);
		my $left = 500 * $n;
		while ($left > 0) { $left -= sysread($to, my $answer, 4096) || die "read: $!" }
		exit 0;
	}
	accept my $peer, $server or die "accept: $!";
	my $left = 1000 * $n;
	while ($left > 0) { $left -= sysread($peer, my $data, 4096) || die "read: $!" }
	syswrite $peer, "z" x (500 * $n);
	waitpid $child, 0;
	die "client $n" if $?;
}
END
}

# shellcheck disable=SC2016 # for jq
# ours KEYS COLUMN FILTER: prints scapd's groups: the value, then the keys, separated by tabs.
ours() {
	"$scapd" top capture.scap --by "$1" -n 0 --json -f "$3" |
		read_by sid jq -r --arg keys "$1" --arg column "$2" \
			'.groups[] | [.[$column], .keys[($keys | split(","))[]]] | @tsv'
}

# theirs CHISEL [ARG...]: prints the rows of a chisel in the same form: each has its keys, then the value.
theirs() {
	read_by bookworm sysdig -r capture.scap -j -c "$@" | read_by sid jq -r '.data[] | [last, .[:-1][]] | @tsv'
}

# compare KEYS COLUMN FILTER CHISEL [ARG...]: a chisel shows the first rows alone, in any order if their values are equal.
compare() {
	local keys=$1 column=$2 filter=$3 name rows

	shift 3
	name="$*: $column by $keys"
	ours "$keys" "$column" "$filter" | awk -F '\t' '$1 > 0' | sort >ours.txt
	theirs "$@" | sort >theirs.txt
	comm -13 ours.txt theirs.txt >more.txt
	rows=$(wc -l <theirs.txt)
	if [ "$rows" = 0 ]; then
		not_ok "$name: the chisel shows nothing"
	elif [ -s more.txt ]; then
		not_ok "$name: scapd has not $(head -n 3 more.txt | tr '\t\n' ' ;')"
	elif ! cmp -s <(cut -f 1 ours.txt | sort -rn | head -n "$rows") <(cut -f 1 theirs.txt | sort -rn); then
		not_ok "$name: scapd has larger groups: $(comm -23 ours.txt theirs.txt | sort -rn | head -n 3 | tr '\t\n' ' ;')"
	else
		ok "$name: the same $rows rows"
	fi
}

workload >workload.pl
# sysdig 0.29 does not know accept4, which perl calls: alone, scapd knows no more than sysdig.
runs record "$scapd" record -q --no-extensions --only --syscalls "$classic,lseek,ioctl,exit_group,wait4" -w capture.scap -- \
	env -i "PATH=$PATH" perl workload.pl

io='evt.is_io = true'
compare fd.name bytes "fd.type = file and $io" topfiles_bytes
compare fd.name errors "fd.type = file and evt.failed = true" topfiles_errors
compare fd.name total_ns "fd.type = file and $io" topfiles_time
compare fd.directory bytes "fd.type = file and $io" fdbytes_by fd.directory "fd.type = file"
compare fd.type bytes "$io" fdbytes_by fd.type
compare proc.name,proc.pid bytes "fd.type = file and $io" topprocs_file
compare proc.name,proc.pid bytes "fd.type in (ipv4, ipv6) and $io" topprocs_net
compare proc.name,proc.pid errors "evt.failed = true" topprocs_errors
compare fd.l4proto,fd.name bytes "fd.type in (ipv4, ipv6) and $io" topconns
compare fd.sport bytes "fd.type in (ipv4, ipv6) and $io" topports_server
# sysdig counts both returns of clone.
compare evt.type calls "evt.type != clone" topscalls "evt.dir = < and evt.type != clone"
compare evt.type total_ns "evt.type exists" topscalls_time

finish || {
	sed 's/^/chisels: /' errors 2>/dev/null | tail -n 20 >&2
	exit 1
}

#!/bin/bash
# Runs a few hundred generated filters with scapd and with sysdig 0.41 and 0.29, and compares which events of captures they
# select. filter-differences.txt has the differences that must stay. Records the captures itself; more can be given. Needs
# root, and the readers from setup-readers.sh.
#
#   test-filters.sh SCAPD [CAPTURE...]
#
# Environment: SEED (default 1) and COUNT (filters for each capture, default 150).

set -euo pipefail
source "$(dirname "$0")/lib.sh"
source "$(dirname "$0")/counts.sh"

if [ $# = 0 ] || [ ! -x "$1" ]; then die "usage: test-filters.sh SCAPD [CAPTURE...] (the program, built)"; fi
[ "$(id -u)" = 0 ] || { as_root "$0" "$@"; exit; }
need perl
scapd=$(realpath "$1")
shift
scripts=$(realpath "$(dirname "$0")")
given=()
for capture; do given+=("$(realpath "$capture")"); done
seed=${SEED:-1}
count=${COUNT:-150}

tmp=$(mktemp -d)
before=
trap '[ -z "$before" ] || kill "$before" 2>/dev/null; rm -rf "$tmp"' EXIT
cd "$tmp"
export TZ=UTC SCAPD=$scapd READER=$scripts/reader.sh

# record NAME OPTION...: records to NAME.scap, without extensions: sysdig has no fields for them.
record() {
	local name=$1

	shift
	runs "record $name" "$scapd" record -q --no-extensions -w "$name.scap" "$@"
}

# reader_fields RELEASE: prints the names of the fields that a sysdig has.
reader_fields() { read_by "$1" sysdig -l | sed -nE 's/^([a-z]+(\.[a-z0-9_]+)+).*/\1/p' | sort -u; }

# compare NAME RELEASE...: compares the filters on NAME.scap.
compare() {
	local name=$1 result text

	shift
	"$scapd" read --all --json "$name.scap" | read_by sid jq -r '[.num, .ts, .tid, .dir] | @tsv' >"$name.events"
	while IFS=$'\t' read -r result text; do
		case $result in
		ok) ok "$text" ;;
		*) not_ok "$text" ;;
		esac
	done < <(perl "$scripts/filters.pl" "$name" "$seed" "$count" "$@" || printf 'not ok\tfilters.pl fails on %s.scap\n' "$name")
	seed=$((seed + 1))
}

# A program that uses files, and a program that uses sockets of all families, pipes and others. Both make calls that fail.
files() {
	cat <<'END'
open my $file, "+>", "a file";
syswrite $file, "a line";
sysseek $file, 0, 0;
sysread $file, my $text, 4;
mkdir "folder";
opendir my $folder, "folder";
open my $none, "<", "folder/none";
stat "a file";
rename "a file", "folder/a file";
unlink "folder/a file";
rmdir "folder";
# Without a pipe, which system() would make: sysdig 0.29 does not know pipe2.
my $child = fork // die "fork: $!";
exec "true" if !$child;
waitpid $child, 0;
END
}
sockets() {
	cat <<'END'
use IO::Socket;
use Socket qw(:DEFAULT pack_sockaddr_in6 inet_pton);

# sysdig takes a socket for a server's if it sees its port.
my $port = 20000 + $$ % 10000;

sub socket_of { socket(my $socket, $_[0], $_[1], $_[2] // 0) or die "socket: $!"; return $socket }
sub say_and_hear {
	my ($from, $to, $address) = @_;
	defined $address ? send($from, "question", 0, $address) : send($from, "question", 0);
	my $peer = recv $to, my $text, 20, 0;
	length $peer > 2 ? send($to, "answer", 0, $peer) : send($to, "answer", 0);
	recv $from, $text, 20, MSG_DONTWAIT;
}
my @local = (pack_sockaddr_in($port, INADDR_LOOPBACK), pack_sockaddr_in6($port, inet_pton(AF_INET6, "::1")));
for my $i (0, 1) {
	my $family = (AF_INET, AF_INET6)[$i];
	my $server = socket_of($family, SOCK_DGRAM);
	bind $server, $local[$i] or die "bind: $!";
	say_and_hear(socket_of($family, SOCK_DGRAM), $server, getsockname $server) for 1, 2;
	my $client = socket_of($family, SOCK_DGRAM);
	connect $client, getsockname $server;
	say_and_hear($client, $server);
	my $listening = socket_of($family, SOCK_STREAM);
	bind $listening, $local[$i] or die "bind: $!";
	listen $listening, 5 or die "listen: $!";
	my $stream = socket_of($family, SOCK_STREAM);
	connect $stream, getsockname $listening or die "connect: $!";
	accept my $accepted, $listening or die "accept: $!";
	syswrite $stream, "to the server";
	sysread $accepted, my $text, 20;
	shutdown $stream, 2;
}
my $dns = socket_of(AF_INET, SOCK_DGRAM);
connect $dns, pack_sockaddr_in(53, INADDR_LOOPBACK);
send $dns, "nobody", 0;
connect socket_of(AF_INET, SOCK_STREAM), pack_sockaddr_in(1, INADDR_LOOPBACK);
my $unix = socket_of(AF_UNIX, SOCK_DGRAM);
bind $unix, pack_sockaddr_un("datagrams") or die "bind: $!";
send socket_of(AF_UNIX, SOCK_DGRAM), "to nobody", 0, pack_sockaddr_un("datagrams");
recv $unix, my $datagram, 20, 0;
socketpair my $one, my $other, AF_UNIX, SOCK_STREAM, 0;
say_and_hear($one, $other);
socket_of(16, SOCK_RAW); # netlink
socket_of(17, SOCK_RAW); # packets
pipe my $read, my $write;
syswrite $write, "through a pipe";
sysread $read, my $text, 5;
open my $copy, ">&", $write;
my $eventfd = 290; # on x86-64
syscall $eventfd, 0, 0;
unlink "datagrams";
END
}

# shellcheck disable=SC2016 # for jq
"$scapd" list fields --json | read_by sid jq -r '.[] | select(.supported) | [.name, .type, (if .list then "list" else "-" end),
	((.argument // {}) | (.number, .name, .required) | if . then "1" else "-" end)] | @tsv' >fields.txt
# Parameters that many events have.
"$scapd" list events --json | read_by sid jq -r '[.[].parameters[].name] | group_by(.)[] | select(length > 20)[0]' >parameters.txt
for release in sid bookworm; do reader_fields "$release" >"$release.fields"; done
sed '/^#/d; /^$/d' "$scripts/filter-differences.txt" >differences.txt

mkdir all
sockets >sockets.pl
files >files.pl
workload() { record "$@" -- env -i "PATH=$PATH" bash "$scripts/workload.sh" "$tmp/all"; }
if workload all; then compare all sid; fi
# sysdig shows all events of it.
if workload exits --events exit; then compare exits sid; fi
if record sockets -- perl sockets.pl; then compare sockets sid; fi
perl "$scripts/descriptors.pl" expected 60 &
before=$!
for _ in {1..100}; do [ -e expected ] || sleep 0.05; done
if record open -p "$before" --duration 1s; then compare open sid; fi
kill "$before"
wait "$before" 2>/dev/null || true
before=
if record classic --syscalls "$classic" -- perl files.pl; then compare classic sid bookworm; fi
for capture in "${given[@]}"; do
	cp "$capture" "given-$(basename "$capture" .scap).scap"
	compare "given-$(basename "$capture" .scap)" sid
done

finish || {
	sed 's/^/filters: /' errors 2>/dev/null | tail -n 20 >&2
	exit 1
}
